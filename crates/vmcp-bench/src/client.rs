//! One MCP client: a kept connection, a session on it, and a check of every answer.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet};

use crate::backend::answer::{MODERN, PROTOCOL_VERSION, SESSION_ID, VERSION};

pub(crate) mod message;

/// Where every party serves MCP.
pub(crate) const ENDPOINT: &str = "/mcp";

/// A kept HTTP connection.
#[derive(Debug)]
pub(crate) struct Connection {
    requests: SendRequest<Full<Bytes>>,
    host: HeaderValue,
    /// The token that is shown with each request.
    authorization: Option<HeaderValue>,
    /// Reads and writes the socket; ends with this.
    _driver: JoinSet<()>,
}

/// Whom a request is from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sender<'a> {
    /// Nobody yet.
    Stranger,
    Session(&'a HeaderValue),
    /// A client of the modern era, whose headers repeat what its body says.
    Modern {
        method: &'a str,
        name: Option<&'a str>,
    },
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await.context("cannot connect")?;
        stream.set_nodelay(true)?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async {
            // Whoever waits for an answer learns of the failure.
            let _told_elsewhere = connection.await;
        });
        let host = HeaderValue::from_str(&address.to_string())?;
        Ok(Self { requests, host, authorization: None, _driver: driver })
    }

    /// Shows this token from now on.
    pub(crate) fn show(&mut self, token: &str) -> Result<()> {
        self.authorization = Some(HeaderValue::from_str(&format!("Bearer {token}"))?);
        Ok(())
    }

    /// Sends one request and reads the whole answer.
    pub(crate) async fn exchange(
        &mut self,
        method: Method,
        path: &str,
        sender: Sender<'_>,
        body: Bytes,
    ) -> Result<Answer> {
        let (status, headers, body) = self.send(method, path, sender, body).await?;
        let body = body.collect().await.context("the answer breaks off")?.to_bytes();
        Ok(Answer { status, headers, body })
    }

    /// Opens a GET stream and gives its status back together with the stream, which stays open as
    /// long as both it and this live.
    pub(crate) async fn listen(
        &mut self,
        session: &HeaderValue,
    ) -> Result<(StatusCode, hyper::body::Incoming)> {
        let (status, _, body) =
            self.send(Method::GET, ENDPOINT, Sender::Session(session), Bytes::new()).await?;
        Ok((status, body))
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        sender: Sender<'_>,
        body: Bytes,
    ) -> Result<(StatusCode, HeaderMap, hyper::body::Incoming)> {
        let accept = match method {
            Method::GET => "text/event-stream",
            _ => "application/json, text/event-stream",
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host)
            .header(header::ACCEPT, accept);
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        request = match sender {
            Sender::Stranger => request,
            Sender::Session(session) => {
                request.header(SESSION_ID, session).header(PROTOCOL_VERSION, VERSION)
            }
            Sender::Modern { method, name } => {
                let request = request.header(PROTOCOL_VERSION, MODERN).header("mcp-method", method);
                match name {
                    Some(name) => request.header("mcp-name", name),
                    None => request,
                }
            }
        };
        self.requests.ready().await.context("the connection was closed")?;
        let response = self.requests.send_request(request.body(Full::new(body))?).await?;
        let (head, body) = response.into_parts();
        Ok((head.status, head.headers, body))
    }
}

/// Sends one request of a client of the modern era.
pub(crate) async fn ask_modern(
    connection: &mut Connection,
    conversation: &mut message::Conversation,
) -> Result<Answer> {
    let body = conversation.ask();
    let (method, name) = conversation.target();
    let sender = Sender::Modern { method, name };
    let answer = connection.exchange(Method::POST, ENDPOINT, sender, body).await?;
    ensure!(answer.status == StatusCode::OK, "a call is answered with {}", brief(&answer));
    Ok(answer)
}

/// A session, on a connection of its own or on one that it shares in turn.
#[derive(Debug)]
pub(crate) struct Session(HeaderValue);

impl Session {
    /// Goes through the handshake.
    pub(crate) async fn open(connection: &mut Connection) -> Result<Self> {
        let session = Self::initialize(connection).await?;
        let body = Bytes::from_static(message::INITIALIZED.as_bytes());
        let answer =
            connection.exchange(Method::POST, ENDPOINT, Sender::Session(&session.0), body).await?;
        ensure!(
            answer.status == StatusCode::ACCEPTED,
            "a notification is answered with {}",
            answer.status
        );
        Ok(session)
    }

    /// The first request alone.
    pub(crate) async fn initialize(connection: &mut Connection) -> Result<Self> {
        let body = Bytes::from_static(message::INITIALIZE.as_bytes());
        let answer = connection.exchange(Method::POST, ENDPOINT, Sender::Stranger, body).await?;
        let Some(session) = answer.headers.get(SESSION_ID).cloned() else {
            bail!("initialize is answered without a session id: {}", brief(&answer));
        };
        ensure!(
            answer.status == StatusCode::OK
                && message::whole(&answer)?.pointer("/result/protocolVersion").is_some(),
            "initialize is answered with {}",
            brief(&answer)
        );
        Ok(Self(session))
    }

    /// Sends one request of the session.
    pub(crate) async fn post(&self, connection: &mut Connection, body: Bytes) -> Result<Answer> {
        let answer =
            connection.exchange(Method::POST, ENDPOINT, Sender::Session(&self.0), body).await?;
        ensure!(answer.status == StatusCode::OK, "a call is answered with {}", brief(&answer));
        Ok(answer)
    }

    /// Opens the session's GET stream.
    pub(crate) async fn listen(
        &self,
        connection: &mut Connection,
    ) -> Result<hyper::body::Incoming> {
        let (status, body) = connection.listen(&self.0).await?;
        ensure!(status == StatusCode::OK, "a GET stream is answered with {status}");
        Ok(body)
    }

    pub(crate) async fn end(&self, connection: &mut Connection) -> Result<()> {
        let answer = connection
            .exchange(Method::DELETE, ENDPOINT, Sender::Session(&self.0), Bytes::new())
            .await?;
        ensure!(
            matches!(answer.status, StatusCode::OK | StatusCode::NO_CONTENT),
            "DELETE is answered with {}",
            brief(&answer)
        );
        Ok(())
    }
}

/// What an error shows of an answer.
pub(crate) fn brief(answer: &Answer) -> String {
    let shown = &answer.body[..answer.body.len().min(200)];
    format!("{}: {}", answer.status, String::from_utf8_lossy(shown))
}
