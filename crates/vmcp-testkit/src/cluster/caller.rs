//! One session that keeps its connection, for load.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

/// How long an answer may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"load","version":"1"}}}"#;

/// A client of one session. Unlike [`crate::client::Client`] it keeps its connection, as real clients do.
#[derive(Debug)]
pub struct Caller {
    address: String,
    session: Option<String>,
    authorization: Option<String>,
    sender: Option<SendRequest<Full<Bytes>>>,
    driver: JoinSet<()>,
}

/// A whole response.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Caller {
    /// A client of `http://host:port/mcp` without a session.
    pub fn new(url: &str) -> Self {
        let address = url.strip_prefix("http://").expect("tests speak plain HTTP");
        let address = address.strip_suffix("/mcp").expect("the endpoint is /mcp");
        Self {
            address: address.to_owned(),
            session: None,
            authorization: None,
            sender: None,
            driver: JoinSet::new(),
        }
    }

    /// A client with a session of its own.
    pub async fn connect(url: &str) -> Result<Self> {
        let mut caller = Self::new(url);
        caller.initialize().await?;
        Ok(caller)
    }

    /// Shows this token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.authorization = Some(format!("Bearer {token}"));
        self
    }

    /// The same session at another address.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        let (session, authorization) = (self.session.clone(), self.authorization.clone());
        Self { session, authorization, ..Self::new(url) }
    }

    /// Another session at the same address.
    #[must_use]
    pub fn of(&self, session: &str) -> Self {
        let mut other = self.at(&format!("http://{}/mcp", self.address));
        other.session = Some(session.to_owned());
        other
    }

    /// Goes on with another session, over the same connection.
    pub fn go_on_with(&mut self, session: &str) {
        self.session = Some(session.to_owned());
    }

    /// The session's id.
    pub fn session(&self) -> &str {
        self.session.as_deref().expect("the test has opened a session")
    }

    /// Opens a session.
    pub async fn initialize(&mut self) -> Result<()> {
        let answer = self.try_initialize().await?;
        ensure!(answer.status == StatusCode::OK, "initialize: {answer:?}");
        let session = answer.headers.get("mcp-session-id").context("no session id")?;
        self.session = Some(session.to_str()?.to_owned());
        Ok(())
    }

    /// Asks for a session, whatever comes of it.
    pub async fn try_initialize(&mut self) -> Result<Answer> {
        let session = self.session.take();
        let answer = self.post(INITIALIZE.into()).await;
        self.session = session;
        answer
    }

    /// Calls a tool.
    pub async fn call(&mut self, tool: &str) -> Result<Answer> {
        let message = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
        );
        self.post(message.into()).await
    }

    /// Asks for the tools, which vmcp itself knows.
    pub async fn list(&mut self) -> Result<Answer> {
        self.post(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.into()).await
    }

    /// Ends the session.
    pub async fn delete(&mut self) -> Result<Answer> {
        self.send(http::Method::DELETE, Bytes::new()).await
    }

    async fn post(&mut self, body: Bytes) -> Result<Answer> {
        self.send(http::Method::POST, body).await
    }

    async fn send(&mut self, verb: http::Method, body: Bytes) -> Result<Answer> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = verb;
        *request.uri_mut() = "/mcp".parse()?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, HeaderValue::from_str(&self.address)?);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let accept = HeaderValue::from_static("application/json, text/event-stream");
        headers.insert(header::ACCEPT, accept);
        headers.insert("mcp-protocol-version", HeaderValue::from_static("2025-11-25"));
        if let Some(session) = &self.session {
            headers.insert("mcp-session-id", HeaderValue::from_str(session)?);
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(authorization)?);
        }
        timeout(PATIENCE, self.exchange(request)).await.context("no answer in time")?
    }

    async fn exchange(&mut self, mut request: Request<Full<Bytes>>) -> Result<Answer> {
        if let Some(mut sender) = self.sender.take().filter(SendRequest::is_ready) {
            match sender.try_send_request(request).await {
                Ok(response) => return self.finish(sender, response).await,
                Err(mut error) => match error.take_message() {
                    // Nothing of it was sent.
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
        let socket = TcpStream::connect(&self.address).await?;
        socket.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        self.driver = JoinSet::new();
        self.driver.spawn(async move {
            // What goes wrong on the connection shows where the response is read.
            let _ = connection.await;
        });
        let response = sender.send_request(request).await?;
        self.finish(sender, response).await
    }

    async fn finish(
        &mut self,
        sender: SendRequest<Full<Bytes>>,
        response: http::Response<hyper::body::Incoming>,
    ) -> Result<Answer> {
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        self.sender = Some(sender);
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

impl Answer {
    /// Whether it says when to try again.
    pub fn says_when(&self) -> bool {
        self.headers.contains_key(header::RETRY_AFTER)
    }

    /// The number that the tool `count` answers with.
    pub fn count(&self) -> Result<u64> {
        let message: serde_json::Value = serde_json::from_slice(&self.body)?;
        let text = message["result"]["content"][0]["text"].as_str();
        Ok(text.with_context(|| format!("{self:?}"))?.parse()?)
    }
}
