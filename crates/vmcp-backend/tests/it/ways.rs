//! The way to a backend: through a proxy, and what is told where there is none.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::HeaderValue;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::task::TaskTracker;
use vmcp_backend::{Backend, Config, Endpoint, Error, Proxy, Transport};
use vmcp_model::{BackendId, Method};

use crate::{
    server::{Authority, Server},
    tls::view,
};

/// Longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);

const AUTHORIZATION: &str = "Basic bWU6c2VjcmV0";

/// A proxy that demands a password and notes what it is asked for. In plain text it answers itself.
struct Demanding {
    proxy: Proxy,
    asked: Arc<Mutex<Vec<String>>>,
    _tasks: JoinSet<()>,
}

impl Demanding {
    async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let noted = Arc::clone(&asked);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _peer)) = listener.accept().await {
                connections.spawn(serve(stream, Arc::clone(&noted)));
            }
        });
        let authorization = Some(HeaderValue::from_static(AUTHORIZATION));
        let proxy = Proxy { host: "127.0.0.1".to_owned(), port, authorization };
        Self { proxy, asked, _tasks: tasks }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, asked: Arc<Mutex<Vec<String>>>) {
    let mut stream = BufReader::new(stream);
    let (mut lines, mut line) = (Vec::new(), String::new());
    while stream.read_line(&mut line).await.unwrap() > 2 {
        lines.push(std::mem::take(&mut line).trim_end().to_owned());
    }
    asked.lock().unwrap().push(lines[0].clone());
    if !lines.iter().any(|line| *line == format!("proxy-authorization: {AUTHORIZATION}")) {
        let refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n";
        stream.write_all(refusal).await.unwrap();
        return;
    }
    let mut words = lines[0].split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    if method != "CONNECT" {
        let answer =
            "HTTP/1.1 503 Busy\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\nby proxy!";
        stream.write_all(answer.as_bytes()).await.unwrap();
        return;
    }
    let Ok(mut there) = TcpStream::connect(target).await else {
        stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").await.unwrap();
        return;
    };
    stream.write_all(b"HTTP/1.1 200 Connected\r\nvia: test\r\n\r\n").await.unwrap();
    // Either end may go first.
    let _copied = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
}

fn backend(url: &str, bundle: Option<&Authority>, proxy: Option<&Proxy>) -> Arc<Backend> {
    let url: http::Uri = url.parse().unwrap();
    let mut config = Config::plain(BackendId::new("a").unwrap(), url.clone());
    // A machine without a network may take its time to find out that a name is not known.
    (config.timeouts.connect, config.timeouts.initialize) = (PATIENCE, PATIENCE);
    let ca_bundle = bundle.map(|authority| Arc::clone(&authority.pem));
    config.transport =
        Transport::Http(Endpoint { ca_bundle, proxy: proxy.cloned(), ..Endpoint::plain(url) });
    Backend::new(&config, TaskTracker::new()).unwrap()
}

async fn told(url: &str, bundle: Option<&Authority>, proxy: Option<&Proxy>) -> String {
    let backend = backend(url, bundle, proxy);
    backend.open(&view()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn tls_goes_through_the_proxy() {
    let authority = Authority::new();
    let demanding = Demanding::start().await;
    for protocols in [&["h2", "http/1.1"][..], &["http/1.1"]] {
        let server = Server::start(&authority, protocols, 1).await;
        let url = format!("https://127.0.0.1:{}/mcp", server.port);
        let backend = backend(&url, Some(&authority), Some(&demanding.proxy));
        let session = backend.open(&view()).await.unwrap();
        backend.ask(&session, Method::Ping, None).await.unwrap();
        let connect = format!("CONNECT 127.0.0.1:{} HTTP/1.1", server.port);
        assert!(demanding.asked().contains(&connect), "{:?}", demanding.asked());
    }
}

#[tokio::test]
async fn what_is_not_encrypted_is_handed_to_the_proxy() {
    let demanding = Demanding::start().await;
    let error = told("http://backend.example/mcp?a=b", None, Some(&demanding.proxy)).await;
    assert_eq!(error, "refused the request with HTTP status 503: by proxy!");
    assert_eq!(demanding.asked()[0], "POST http://backend.example/mcp?a=b HTTP/1.1");
}

#[tokio::test]
async fn what_the_proxy_says_is_told() {
    let demanding = Demanding::start().await;
    let Proxy { host, port, .. } = &demanding.proxy;
    let stranger = Proxy { authorization: None, ..demanding.proxy.clone() };
    assert_eq!(
        told("https://backend.example/mcp", None, Some(&stranger)).await,
        format!(
            "cannot be reached: the proxy {host}:{port} refuses to connect it with backend.example:443: \
             HTTP status 407 Proxy Authentication Required; check the name and password in its URL"
        )
    );
    assert_eq!(
        told("https://[::1]:1/mcp", None, Some(&demanding.proxy)).await,
        format!(
            "cannot be reached: the proxy {host}:{port} refuses to connect it with [::1]:1: \
             HTTP status 502 Bad Gateway"
        )
    );
    let nobody = Proxy { port: 1, ..stranger };
    assert_eq!(
        told("https://backend.example/mcp", None, Some(&nobody)).await,
        "cannot be reached: the proxy on the way: nothing listens at 127.0.0.1:1 \
         (connection refused); is it running?"
    );
    assert!(!format!("{:?}", demanding.proxy).contains("bWU6"));
}

#[tokio::test]
async fn where_there_is_no_way_it_is_said_what_to_look_at() {
    let authority = Authority::new();
    let server = Server::start(&authority, &["http/1.1"], 1).await;
    let secure = format!("https://127.0.0.1:{}/mcp", server.port);
    assert_eq!(
        told(&secure, Some(&Authority::new()), None).await,
        "cannot be reached: no authority in caBundlePath vouches for its certificate"
    );
    let named = format!("https://localhost:{}/mcp", server.port);
    assert_eq!(
        told(&named, Some(&authority), None).await,
        "cannot be reached: its certificate is not for the name localhost; is its URL right?"
    );
    // Those of the system, of which some machines have none.
    match Backend::new(
        &Config::plain(BackendId::new("a").unwrap(), secure.parse().unwrap()),
        TaskTracker::new(),
    ) {
        Ok(backend) => {
            let error = backend.open(&view()).await.unwrap_err().to_string();
            assert!(
                error.contains("name the PEM file of its authority in caBundlePath"),
                "{error}"
            );
        }
        Err(error) => assert!(error.to_string().contains("no usable CA certificates"), "{error}"),
    }
    let plain = told(&format!("http://127.0.0.1:{}/mcp", server.port), None, None).await;
    assert!(plain.ends_with("it speaks TLS: does its URL begin with https://?"), "{plain}");

    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut plain = JoinSet::new();
    plain.spawn(async move {
        loop {
            let (mut stream, _peer) = listener.accept().await.unwrap();
            let mut hello = [0; 16];
            stream.read_exact(&mut hello).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
                .await
                .unwrap();
        }
    });
    assert_eq!(
        told(&format!("https://127.0.0.1:{port}/mcp"), Some(&authority), None).await,
        "cannot be reached: what it says is not TLS; does its URL begin with http://?"
    );
    assert_eq!(
        told("http://127.0.0.1:1/mcp", None, None).await,
        "cannot be reached: nothing listens at 127.0.0.1:1 (connection refused); is it running?"
    );
    let unknown = backend("http://nobody.invalid/mcp", None, None).open(&view()).await;
    let Err(Error::Unreachable(why)) = unknown else { panic!("{unknown:?}") };
    assert!(why.starts_with("the name nobody.invalid is not known ("), "{why}");
}
