//! Small texts, over a new connection each time.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header, uri::PathAndQuery,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    body::Incoming,
    client::conn::http1,
    rt::{Read, Write},
};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use crate::address::is_public;

/// The largest answer of what does not say how large one may be.
const MAX_BYTES: usize = 1 << 20;

/// How long one address may take to answer, so that the next has its turn.
const CONNECT: Duration = Duration::from_secs(2);

/// Redirects that are followed one after the other.
const MAX_REDIRECTS: usize = 3;

/// The type of a form (RFC 6749, appendix B).
const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// With whom a [`Fetcher`] may speak, and how.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Authorities that vouch for servers, in PEM, in place of the system's.
    pub ca_bundle: Option<&'a [u8]>,
    /// Whether a server may have an address that is not public.
    pub allow_private_ip: bool,
    /// The key of the configuration that allows it, which whoever is refused is told.
    pub private_ip_key: &'static str,
    /// Whether a server may be asked without TLS.
    pub allow_http: bool,
}

/// Fetches, as its rules allow it.
pub struct Fetcher {
    tls: Result<Arc<ClientConfig>, InvalidRoots>,
    allow_private_ip: bool,
    private_ip_key: &'static str,
    allow_http: bool,
}

/// Why nobody can be trusted to vouch for servers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoots {
    #[error("the CA bundle cannot be used: {0}")]
    CaBundle(String),
    #[error("the system's certificate authorities cannot be used: {0}")]
    System(String),
}

/// Why something could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("{0} is not an https URL, or holds credentials")]
    NotHttps(Uri),
    #[error(
        "{host} is at {address}, which is not a public address; \
         if that is where it should be, set {key}: true"
    )]
    Private { host: String, address: IpAddr, key: &'static str },
    #[error("{url} cannot be reached: {source}")]
    Unreachable { url: Uri, source: io::Error },
    #[error("{url} leads to another server, which is not followed")]
    Redirected { url: Uri },
    #[error("{url} answers {status}")]
    Status { url: Uri, status: StatusCode },
    #[error("{url} answers something that cannot be used: {why}")]
    Unusable { url: Uri, why: String },
    #[error(transparent)]
    Tls(#[from] InvalidRoots),
    #[error("it took longer than {seconds} s")]
    TooSlow { seconds: u64 },
}

/// A form that is sent.
#[derive(Clone, Copy)]
pub struct Form<'a> {
    pub text: &'a str,
    /// The header of that name.
    pub authorization: Option<&'a HeaderValue>,
    /// The type of the answer that is asked for: some servers give another one where that is asked for.
    pub accept: &'static str,
}

/// A body that is sent, of whatever type.
#[derive(Clone, Copy)]
pub struct Post<'a> {
    pub content_type: &'static str,
    /// Headers beyond those that every request has.
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
    /// The largest answer, in bytes.
    pub max_answer: usize,
}

/// What almost everybody answers with.
pub const JSON: &str = "application/json";

/// What metadata and keys come as (RFC 7517, section 8.5.2). The API server of Kubernetes gives its keys as nothing else.
const JSON_OR_KEYS: &str = "application/json, application/jwk-set+json";

/// A request, but for where it goes.
struct Asked {
    method: Method,
    accept: &'static str,
    headers: HeaderMap,
    body: Bytes,
    max_answer: usize,
}

/// Where a URL leads.
struct Server {
    secure: bool,
    host: String,
    port: u16,
}

impl Fetcher {
    pub fn new(rules: Rules<'_>) -> Self {
        let Rules { ca_bundle, allow_private_ip, private_ip_key, allow_http } = rules;
        let tls = tls(ca_bundle).map(Arc::new);
        Self { tls, allow_private_ip, private_ip_key, allow_http }
    }

    /// Why TLS cannot be used, if it cannot.
    pub fn problem(&self) -> Option<InvalidRoots> {
        self.tls.as_ref().err().cloned()
    }

    /// Fetches a text. Redirects are followed on the same server only.
    pub async fn get(&self, url: &Uri) -> Result<Bytes, FetchError> {
        self.get_as(url, None).await
    }

    /// The same as somebody, by the header `Authorization`.
    pub async fn get_as(
        &self,
        url: &Uri,
        authorization: Option<&HeaderValue>,
    ) -> Result<Bytes, FetchError> {
        let mut url = url.clone();
        let server = self.server(&url)?;
        for _redirect in 0..=MAX_REDIRECTS {
            let answer = self.exchange(&server, &url, Asked::get(authorization)).await?;
            let status = answer.status();
            if status.is_success() {
                return Ok(answer.into_body());
            }
            let Some(target) =
                answer.headers().get(header::LOCATION).filter(|_| status.is_redirection())
            else {
                return Err(FetchError::Status { url, status });
            };
            let Some(next) = redirected(&server, &url, target) else {
                return Err(FetchError::Redirected { url });
            };
            url = next;
        }
        Err(FetchError::Unusable { url, why: "too many redirects".to_owned() })
    }

    /// Sends a form and gives the answer, whatever its status. Nothing is followed: what is sent is for
    /// this server alone.
    pub async fn post_form(
        &self,
        url: &Uri,
        form: Form<'_>,
    ) -> Result<Response<Bytes>, FetchError> {
        let server = self.server(url)?;
        self.exchange(&server, url, Asked::form(form)).await
    }

    /// Sends a body and gives the answer, whatever its status. Nothing is followed.
    pub async fn post_body(
        &self,
        url: &Uri,
        post: Post<'_>,
    ) -> Result<Response<Bytes>, FetchError> {
        let server = self.server(url)?;
        self.exchange(&server, url, Asked::post(post)).await
    }

    fn server(&self, url: &Uri) -> Result<Server, FetchError> {
        Server::of(url)
            .filter(|server| server.secure || self.allow_http)
            .ok_or_else(|| FetchError::NotHttps(url.clone()))
    }

    async fn exchange(
        &self,
        server: &Server,
        url: &Uri,
        asked: Asked,
    ) -> Result<Response<Bytes>, FetchError> {
        let unreachable = |source| FetchError::Unreachable { url: url.clone(), source };
        let stream = self.connect(server, url).await?;
        if !server.secure {
            return ask(TokioIo::new(stream), url, asked).await;
        }
        let tls = self.tls.clone()?;
        let name = ServerName::try_from(server.host.clone())
            .map_err(|_error| FetchError::NotHttps(url.clone()))?;
        let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(unreachable)?;
        ask(TokioIo::new(stream), url, asked).await
    }

    /// Connects to the first address that may be used and answers.
    async fn connect(&self, server: &Server, url: &Uri) -> Result<TcpStream, FetchError> {
        let unreachable = |source| FetchError::Unreachable { url: url.clone(), source };
        let host = server.host.as_str();
        let addresses: Vec<SocketAddr> =
            tokio::net::lookup_host((host, server.port)).await.map_err(unreachable)?.collect();
        let mut failed = None;
        for address in addresses {
            if !self.allow_private_ip && !is_public(address.ip()) {
                let (host, address) = (host.to_owned(), address.ip());
                let key = self.private_ip_key;
                failed = Some(FetchError::Private { host, address, key });
                continue;
            }
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => failed = Some(unreachable(error)),
                Err(_elapsed) => failed = Some(unreachable(io::ErrorKind::TimedOut.into())),
            }
        }
        Err(failed.unwrap_or_else(|| unreachable(io::ErrorKind::NotFound.into())))
    }
}

impl Asked {
    fn get(authorization: Option<&HeaderValue>) -> Self {
        let headers = authorization.map(|value| (header::AUTHORIZATION, value.clone()));
        Self {
            method: Method::GET,
            accept: JSON_OR_KEYS,
            headers: headers.into_iter().collect(),
            body: Bytes::new(),
            max_answer: MAX_BYTES,
        }
    }

    fn form(form: Form<'_>) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, FORM);
        headers.extend(form.authorization.map(|value| (header::AUTHORIZATION, value.clone())));
        Self {
            method: Method::POST,
            accept: form.accept,
            headers,
            body: form.text.to_owned().into(),
            max_answer: MAX_BYTES,
        }
    }

    fn post(post: Post<'_>) -> Self {
        let mut headers = post.headers.clone();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(post.content_type));
        Self {
            method: Method::POST,
            accept: post.content_type,
            headers,
            body: post.body.clone(),
            max_answer: post.max_answer,
        }
    }
}

impl Server {
    fn of(url: &Uri) -> Option<Self> {
        if url.authority()?.as_str().contains('@') {
            return None;
        }
        let secure = match url.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = url.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        (!host.is_empty()).then_some(Self { secure, host, port })
    }

    fn is(&self, other: &Self) -> bool {
        self.secure == other.secure
            && self.port == other.port
            && self.host.eq_ignore_ascii_case(&other.host)
    }
}

/// Where a redirect leads, if it stays on the same server.
fn redirected(server: &Server, url: &Uri, target: &HeaderValue) -> Option<Uri> {
    let target: Uri = target.to_str().ok()?.parse().ok()?;
    if target.scheme().is_some() {
        return Server::of(&target).is_some_and(|other| server.is(&other)).then_some(target);
    }
    if target.authority().is_some() || !target.path().starts_with('/') {
        return None;
    }
    let mut parts = url.clone().into_parts();
    parts.path_and_query = target.into_parts().path_and_query;
    Uri::from_parts(parts).ok()
}

/// One request on a connection of its own.
async fn ask<S>(stream: S, url: &Uri, asked: Asked) -> Result<Response<Bytes>, FetchError>
where
    S: Read + Write + Unpin + Send,
{
    let unusable = |why: String| FetchError::Unusable { url: url.clone(), why };
    let host = url.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let path = url.path_and_query().map_or("/", PathAndQuery::as_str);
    let Asked { method, accept, headers, body, max_answer } = asked;
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .header(header::ACCEPT, accept)
        .header(header::USER_AGENT, "vmcp")
        .header(header::CONNECTION, "close")
        .body(Full::new(body))
        .map_err(|error| unusable(error.to_string()))?;
    request.headers_mut().extend(headers);
    let (mut sender, connection) =
        http1::handshake(stream).await.map_err(|error| unusable(error.to_string()))?;
    let mut driver = pin!(async {
        // What goes wrong shows where the answer is read.
        let _ended = connection.await;
        std::future::pending::<()>().await;
    });
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (head, body): (_, Incoming) = answer.into_parts();
        let body = Limited::new(body, max_answer).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        Ok::<_, String>(Response::from_parts(head, body))
    };
    tokio::select! {
        answer = exchange => answer.map_err(unusable),
        () = &mut driver => Err(unusable("it broke off".to_owned())),
    }
}

fn tls(ca_bundle: Option<&[u8]>) -> Result<ClientConfig, InvalidRoots> {
    let mut roots = RootCertStore::empty();
    match ca_bundle {
        Some(bundle) => {
            for certificate in CertificateDer::pem_slice_iter(bundle) {
                let added = certificate
                    .map_err(|error| error.to_string())
                    .and_then(|one| roots.add(one).map_err(|error| error.to_string()));
                added.map_err(InvalidRoots::CaBundle)?;
            }
            if roots.is_empty() {
                return Err(InvalidRoots::CaBundle("it holds no certificate".to_owned()));
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            let (added, _unusable) = roots.add_parsable_certificates(found.certs);
            if added == 0 {
                let errors: Vec<String> = found.errors.iter().map(ToString::to_string).collect();
                return Err(InvalidRoots::System(errors.join("; ")));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| InvalidRoots::CaBundle(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
