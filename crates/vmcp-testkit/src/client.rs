//! A small strict MCP client for tests. It never re-serializes: bytes go out and come in as they are.
//!
//! One connection a request, so that a test can drop any response without touching another.
//! It does not retry, reconnect, or forgive; a rule that the server breaks is an error here.

mod response;
mod sse;

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};

pub use response::{Message, Response};
pub use sse::Event;

/// How long any single step may take before the test has failed, unless it says otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client of one MCP endpoint. Cloning it gives a second client of the same session.
#[derive(Clone, Debug)]
pub struct Client {
    address: String,
    path: String,
    headers: HeaderMap,
    session: Option<String>,
    version: Option<String>,
    patience: Duration,
}

impl Client {
    /// A client of `http://host:port/path` that has not said anything yet.
    pub fn new(url: &str) -> Self {
        let rest = url.strip_prefix("http://").expect("tests speak plain HTTP");
        let (address, path) = rest.split_once('/').unwrap_or((rest, ""));
        Self {
            address: address.to_owned(),
            path: format!("/{path}"),
            headers: HeaderMap::new(),
            session: None,
            version: None,
            patience: PATIENCE,
        }
    }

    /// A client of this URL with a session of its own, as [`Self::initialize`] opens it.
    pub async fn connect(url: &str) -> Result<Self> {
        let mut client = Self::new(url);
        client.initialize().await?;
        Ok(client)
    }

    /// Sends this header with every request, in place of the client's own if it has one.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("a header name");
        self.headers.insert(name, HeaderValue::from_str(value).expect("a header value"));
        self
    }

    /// Waits so long for any single step.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same session at another address, as if a load balancer had chosen another replica.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        let Self { address, path, .. } = Self::new(url);
        Self { address, path, ..self.clone() }
    }

    /// The session id that the server gave.
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Goes on as the client of a session that another client opened.
    #[must_use]
    pub fn with_session(mut self, session: &str, version: &str) -> Self {
        self.session = Some(session.to_owned());
        self.version = Some(version.to_owned());
        self
    }

    /// Opens a session at revision 2025-11-25 as a client that can do everything.
    pub async fn initialize(&mut self) -> Result<Message> {
        let all =
            r#"{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{"listChanged":true}}"#;
        self.initialize_as("2025-11-25", all).await
    }

    /// Opens a session at a revision with these capabilities, as literal JSON.
    pub async fn initialize_as(&mut self, version: &str, capabilities: &str) -> Result<Message> {
        let params = format!(
            r#"{{"protocolVersion":"{version}","capabilities":{capabilities},"clientInfo":{{"name":"testkit","version":"1"}}}}"#
        );
        let mut response = self.open("0", "initialize", &params).await?;
        let session = response.header("mcp-session-id").map(str::to_owned);
        let answer = response.answer("0").await?;
        #[derive(Deserialize)]
        struct Agreed {
            #[serde(rename = "protocolVersion")]
            version: String,
        }
        let agreed: Agreed = serde_json::from_str(answer.result()?)?;
        (self.session, self.version) = (session, Some(agreed.version));
        let status = self.notify("notifications/initialized", "{}").await?;
        ensure!(status == StatusCode::ACCEPTED, "initialized was answered {status}");
        Ok(answer)
    }

    /// Sends a request and reads its whole response. `id` and `params` are literal JSON.
    pub async fn request(&self, id: &str, method: &str, params: &str) -> Result<Message> {
        self.open(id, method, params).await?.answer(id).await
    }

    /// Calls a tool and reads the whole response. `arguments` is literal JSON.
    pub async fn call(&self, id: &str, tool: &str, arguments: &str) -> Result<Message> {
        self.open_call(id, tool, arguments).await?.answer(id).await
    }

    /// Calls a tool and hands over its response to be read event by event.
    pub async fn open_call(&self, id: &str, tool: &str, arguments: &str) -> Result<Response> {
        let params = format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#);
        self.open(id, "tools/call", &params).await
    }

    /// Sends a request and hands over its response to be read event by event.
    pub async fn open(&self, id: &str, method: &str, params: &str) -> Result<Response> {
        let message =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        self.post(message).await
    }

    /// Sends a notification.
    pub async fn notify(&self, method: &str, params: &str) -> Result<StatusCode> {
        let message = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        Ok(self.post(message).await?.status())
    }

    /// Answers a question of the server: with `result`, which is literal JSON.
    pub async fn answer(&self, question: &Message, result: &str) -> Result<StatusCode> {
        let id = question.id().context("a question has an id")?;
        let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        Ok(self.post(message).await?.status())
    }

    /// Posts bytes as they are: a batch, half a message, anything.
    pub async fn post(&self, body: impl Into<Bytes>) -> Result<Response> {
        self.send(Method::POST, &[], body.into()).await
    }

    /// Opens a GET stream, after the event with this id if one is given.
    pub async fn listen(&self, last_event: Option<&str>) -> Result<Response> {
        let extra: Vec<_> = last_event.map(|id| ("last-event-id", id)).into_iter().collect();
        self.send(Method::GET, &extra, Bytes::new()).await
    }

    /// Ends the session.
    pub async fn delete(&self) -> Result<StatusCode> {
        Ok(self.send(Method::DELETE, &[], Bytes::new()).await?.status())
    }

    /// Sends any request to the endpoint, with the session's headers and then `extra`, in place of
    /// those of the same names.
    pub async fn send(
        &self,
        verb: Method,
        extra: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Response> {
        let mut request = Request::new(Full::new(body));
        request.headers_mut().extend(self.own_headers(&verb, extra)?);
        *request.method_mut() = verb;
        *request.uri_mut() = self.path.parse()?;
        let sent = timeout(self.patience, exchange(&self.address, request, self.patience)).await;
        sent.context("no response in time")?
    }

    fn own_headers(&self, verb: &Method, extra: &[(&str, &str)]) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(&self.address)?);
        if *verb == Method::POST {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let both = HeaderValue::from_static("application/json, text/event-stream");
            headers.insert(header::ACCEPT, both);
        } else if *verb == Method::GET {
            headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        }
        if let Some(session) = &self.session {
            headers.insert("mcp-session-id", HeaderValue::from_str(session)?);
        }
        if let Some(version) = &self.version {
            headers.insert("mcp-protocol-version", HeaderValue::from_str(version)?);
        }
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        for (name, _) in extra {
            headers.remove(*name);
        }
        for (name, value) in extra {
            headers.append(HeaderName::try_from(*name)?, HeaderValue::from_str(value)?);
        }
        Ok(headers)
    }
}

/// Fetches any URL with GET; for `/readyz`, `/status` and the like.
pub async fn fetch(url: &str) -> Result<(StatusCode, Bytes)> {
    let client = Client::new(url);
    let response = client.send(Method::GET, &[("accept", "*/*")], Bytes::new()).await?;
    Ok((response.status(), response.bytes().await?))
}

async fn exchange(
    address: &str,
    request: Request<Full<Bytes>>,
    patience: Duration,
) -> Result<Response> {
    let socket = TcpStream::connect(address).await.with_context(|| format!("connect {address}"))?;
    socket.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // What goes wrong on the connection shows where the response is read.
        let _ = connection.await;
    });
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Response::new(head, body, driver, patience))
}

/// The members of one JSON-RPC message, each as the bytes that were received.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Checks that bytes are one well-formed message and nothing else.
fn parts(bytes: &[u8]) -> Result<Parts<'_>> {
    let parts: Parts<'_> = serde_json::from_slice(bytes)?;
    ensure!(
        parts.jsonrpc.is_some_and(|version| version.get() == r#""2.0""#),
        "jsonrpc is not \"2.0\""
    );
    match (&parts.method, parts.result, parts.error) {
        (Some(_), None, None) | (None, Some(_), None) | (None, None, Some(_)) => Ok(parts),
        _ => bail!("neither a request, nor a notification, nor an answer"),
    }
}
