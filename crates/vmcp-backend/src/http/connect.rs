//! Opens connections: TCP, and TLS where the URL asks for it. Or pipes, to a server in this process.

use std::{io, sync::Arc, time::Duration};

use http::Uri;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::net::sockopt;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, pki_types::pem::PemObject as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use super::{
    connection::Connection,
    pool::{MAX_STREAMS, Sender},
    socket::Socket,
    tunnel, unreachable,
};
use crate::{
    config::{Endpoint, InvalidConfig, Proxy},
    gauge::Open,
    memory::Network,
};

/// How often a connection of HTTP/2 that is in use is asked for a sign of life, and how long the
/// backend may take to give it. Without this, everything on a dead connection would wait for its
/// own deadline.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes that may be on their way on one stream of HTTP/2. A connection has room for as much on each of
/// its streams: an answer that nobody reads takes nothing from the others.
const STREAM_WINDOW: u32 = 256 << 10;

/// How long a connection may be silent before the system asks whether the other end is still there,
/// how often it asks, and how many times. A stream that says nothing would otherwise never be known
/// to be dead.
const ALIVE: (Duration, Duration, u32) = (Duration::from_secs(30), Duration::from_secs(10), 4);

/// Knows where a backend is and how to get there.
#[derive(Debug)]
pub(super) struct Connector {
    host: String,
    port: u16,
    proxy: Option<Proxy>,
    tls: Option<Tls>,
    network: Network,
    open: Open,
}

struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// The authorities are those that configuration names.
    has_bundle: bool,
}

impl Connector {
    pub(super) fn new(endpoint: &Endpoint) -> Result<Self, InvalidConfig> {
        let secure = match endpoint.url.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(InvalidConfig::Url),
        };
        let network = endpoint.network.clone();
        if secure && network != Network::Tcp {
            return Err(InvalidConfig::TlsInMemory);
        }
        let host = host(&endpoint.url).ok_or(InvalidConfig::Url)?;
        let port = endpoint.url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure { Some(Tls::new(&host, endpoint)?) } else { None };
        let (proxy, open) = (endpoint.proxy.clone(), Open::default());
        Ok(Self { host, port, proxy, tls, network, open })
    }

    /// Opens one connection, on the current runtime. One of HTTP/2 has a driver, counted by `tasks`. The
    /// error says in one line what went wrong.
    pub(super) async fn connect(&self, tasks: &TaskTracker) -> Result<Sender, String> {
        if let Network::Memory(server) = &self.network {
            let stream = server.connect().await;
            let refused = |error| unreachable::tcp(&error, &self.host, self.port);
            return Ok(self.http1(Socket::Memory(stream.map_err(refused)?)));
        }
        let stream = self.stream().await?;
        let Some(tls) = &self.tls else { return Ok(self.http1(Socket::Plain(stream))) };
        let connector = TlsConnector::from(Arc::clone(&tls.config));
        let stream = connector
            .connect(tls.name.clone(), stream)
            .await
            .map_err(|error| unreachable::tls(&error, &self.host, tls.has_bundle))?;
        if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Ok(self.http1(Socket::Tls(Box::new(stream))));
        }
        let (sender, driver) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(STREAM_WINDOW * MAX_STREAMS)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        tasks.spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "connection ended");
            }
        });
        Ok(Sender::Http2(sender, self.open.enter()))
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.open.count()
    }

    fn http1(&self, socket: Socket) -> Sender {
        Sender::Http1(Connection::new(socket, self.open.enter()))
    }

    /// A connection on which the backend is to be spoken to, or TLS with it.
    async fn stream(&self) -> Result<TcpStream, String> {
        let Self { host, port, proxy, tls, .. } = self;
        let Some(proxy) = proxy else {
            let stream = tcp(host, *port).await;
            return stream.map_err(|error| unreachable::tcp(&error, host, *port));
        };
        let stream = tcp(&proxy.host, proxy.port).await;
        let mut stream = stream.map_err(|error| {
            format!("the proxy on the way: {}", unreachable::tcp(&error, &proxy.host, proxy.port))
        })?;
        // In plain text, each request names its own destination.
        if tls.is_some() {
            tunnel::open(&mut stream, proxy, host, *port).await?;
        }
        Ok(stream)
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    keep_alive(&stream)?;
    Ok(stream)
}

/// The host without the brackets of an IPv6 address.
fn host(url: &Uri) -> Option<String> {
    let host = url.host()?;
    Some(host.trim_start_matches('[').trim_end_matches(']').to_owned())
        .filter(|host| !host.is_empty())
}

impl Tls {
    fn new(host: &str, endpoint: &Endpoint) -> Result<Self, InvalidConfig> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_error| InvalidConfig::Url)?;
        let mut roots = RootCertStore::empty();
        match &endpoint.ca_bundle {
            Some(bundle) => {
                for certificate in CertificateDer::pem_slice_iter(bundle) {
                    let added =
                        certificate.map_err(|error| error.to_string()).and_then(|certificate| {
                            roots.add(certificate).map_err(|error| error.to_string())
                        });
                    added.map_err(InvalidConfig::CaBundle)?;
                }
                if roots.is_empty() {
                    return Err(InvalidConfig::CaBundle("it holds no certificate".to_owned()));
                }
            }
            None => {
                let found = rustls_native_certs::load_native_certs();
                let (added, _unusable) = roots.add_parsable_certificates(found.certs);
                if added == 0 {
                    let errors: Vec<String> =
                        found.errors.iter().map(ToString::to_string).collect();
                    return Err(InvalidConfig::SystemRoots(errors.join("; ")));
                }
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .map_err(|error| InvalidConfig::CaBundle(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(client), name, has_bundle: endpoint.ca_bundle.is_some() })
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    let (idle, interval, count) = ALIVE;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, idle)?;
    sockopt::set_tcp_keepintvl(stream, interval)?;
    Ok(sockopt::set_tcp_keepcnt(stream, count)?)
}
