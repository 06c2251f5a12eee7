//! HTTP/1.1 against a peer that says exact bytes over a real socket.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Response, StatusCode};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::task::TaskTracker;
use vmcp_credentials::Credential;
use vmcp_model::{BackendId, ProtocolVersion};
use vmcp_wire::Lines;

use super::{Http, body::Body};
use crate::{
    config::{Config, Endpoint},
    error::Error,
    session::{Facts, Session},
};

mod answers;
mod connections;
mod requests;

/// Longer than any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is answered when it does not matter what.
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

/// A server that says what a test has it say, and the client for it.
struct Peer {
    listener: TcpListener,
    http: Http,
}

/// A connection as the server has it.
struct Accepted(TcpStream);

impl Peer {
    async fn start() -> Self {
        Self::with(|_endpoint| {}).await
    }

    async fn with(change: impl FnOnce(&mut Endpoint)) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/mcp?a=1", listener.local_addr().unwrap());
        let config =
            Config::plain(BackendId::new("a").unwrap(), "http://x.example/".parse().unwrap());
        let mut endpoint = Endpoint::plain(url.parse().unwrap());
        change(&mut endpoint);
        let (tasks, secrets) = (TaskTracker::new(), std::sync::Arc::default());
        let outgoing = endpoint.outgoing.clone();
        let credential = Credential::new(outgoing, std::sync::Arc::new(|_work| {})).into();
        let http = Http::new(&endpoint, &config, tasks, &secrets, &credential).unwrap();
        Self { listener, http }
    }

    async fn accept(&self) -> Accepted {
        let accepted = timeout(PATIENCE, self.listener.accept()).await.expect("a connection");
        let (stream, _from) = accepted.unwrap();
        stream.set_nodelay(true).unwrap();
        Accepted(stream)
    }

    async fn post(&self, text: impl Into<Bytes>) -> Result<Response<Body>, Error> {
        let posted = self.http.post(None, text.into(), true, None);
        timeout(PATIENCE, posted).await.expect("an answer")
    }

    /// Sends a message and reads the answer whole.
    async fn ask(&self, text: impl Into<Bytes>) -> Result<(StatusCode, Bytes), Error> {
        let response = self.post(text).await?;
        let status = response.status();
        let body = timeout(PATIENCE, response.into_body().collect(usize::MAX));
        Ok((status, body.await.expect("the end of the answer")?))
    }
}

impl Accepted {
    /// Reads one request.
    async fn asked(&mut self) -> String {
        timeout(PATIENCE, self.asked_or_closed()).await.unwrap().expect("a request")
    }

    /// Reads one request, if another one comes.
    async fn asked_or_closed(&mut self) -> Option<String> {
        let mut text = Vec::new();
        let missing = loop {
            if self.0.read_buf(&mut text).await.unwrap_or(0) == 0 {
                assert!(text.is_empty(), "{:?}", String::from_utf8_lossy(&text));
                return None;
            }
            let Some(head) = memchr::memmem::find(&text, b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&text[..head + 4]).unwrap();
            let length = head.split_once("content-length: ").map_or(0, |(_, length)| {
                length.split("\r\n").next().unwrap().parse::<usize>().unwrap()
            });
            break (head.len() + length).checked_sub(text.len()).unwrap();
        };
        let read = text.len();
        text.resize(read + missing, 0);
        self.0.read_exact(&mut text[read..]).await.unwrap();
        Some(String::from_utf8(text).unwrap())
    }

    async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Waits until the client closes the connection, whatever it still sends.
    async fn wait_for_end(mut self) {
        let ended = async {
            let mut bytes = vec![0; 1 << 16];
            while self.0.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
        };
        timeout(PATIENCE, ended).await.expect("the client closes the connection");
    }
}

/// Lets everything else go on, the sockets too.
async fn pause() {
    for _turn in 0..10 {
        tokio::task::yield_now().await;
    }
}
