//! Requests to the API server over HTTPS, as whoever has a token.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use serde_json::Value;
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use tokio_rustls::TlsConnector;

/// How long any single step may take before the test has failed.
const PATIENCE: Duration = Duration::from_secs(60);

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const APPLY_PATCH: &str = "application/apply-patch+yaml";

/// Requests with one token. Paths are those of the API: `/api/v1/namespaces/c01/secrets/login`.
#[derive(Clone, Debug)]
pub struct Api {
    connections: Arc<Connections>,
    token: Option<String>,
}

/// What the API server has answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

/// A stream of events that has begun.
#[derive(Debug)]
pub struct Watch {
    body: Incoming,
    read: BytesMut,
    _connection: Connection,
}

#[derive(Debug)]
struct Connections {
    port: u16,
    tls: Arc<ClientConfig>,
    /// Those that wait for a request.
    idle: Mutex<Vec<Connection>>,
}

#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

impl Api {
    /// `authority` is in PEM.
    pub(super) fn new(port: u16, authority: &str, token: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connections = Connections { port, tls: Arc::new(tls), idle: Mutex::default() };
        Ok(Self { connections: Arc::new(connections), token: Some(token.to_owned()) })
    }

    /// The same with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self { connections: Arc::clone(&self.connections), token: Some(token.to_owned()) }
    }

    /// The same without a token.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self { connections: Arc::clone(&self.connections), token: None }
    }

    /// Reads one object, or a list.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.asked(Method::GET, path, None).await
    }

    /// The items of a list.
    pub async fn list(&self, path: &str) -> Result<Vec<Value>> {
        let mut list = self.get(path).await?;
        serde_json::from_value(list["items"].take()).with_context(|| format!("{path} is no list"))
    }

    /// Makes an object, which must not be there yet. The path is that of the list.
    pub async fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.asked(Method::POST, path, Some((JSON, object))).await
    }

    /// Puts an object in the place of the one that is there.
    pub async fn replace(&self, path: &str, object: &Value) -> Result<Value> {
        self.asked(Method::PUT, path, Some((JSON, object))).await
    }

    /// Changes what the patch names; null removes.
    pub async fn merge_patch(&self, path: &str, patch: &Value) -> Result<Value> {
        self.asked(Method::PATCH, path, Some((MERGE_PATCH, patch))).await
    }

    /// Makes an object, or changes the one that is there to it (server-side apply). What an earlier call has set and this
    /// one does not name is removed.
    pub async fn apply(&self, path: &str, object: &Value) -> Result<Value> {
        let path = format!("{path}?fieldManager=operator&force=true");
        self.asked(Method::PATCH, &path, Some((APPLY_PATCH, object))).await
    }

    pub async fn delete(&self, path: &str) -> Result<()> {
        self.asked(Method::DELETE, path, None).await.map(drop)
    }

    /// Begins to watch: `…/mcpservers?resourceVersion=7`.
    pub async fn watch(&self, path: &str) -> Result<Watch> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let request = self.request(Method::GET, &format!("{path}{separator}watch=true"), None)?;
        let (response, connection) = timeout(PATIENCE, self.connections.send(request))
            .await
            .with_context(|| format!("no answer to the watch of {path}"))??;
        let status = response.status();
        ensure!(status.is_success(), "the watch of {path} was answered {status}");
        let body = response.into_body();
        Ok(Watch { body, read: BytesMut::new(), _connection: connection })
    }

    /// Any request, whatever the answer. A body has its media type beside it.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Answer> {
        let request = self.request(method, path, body)?;
        let exchange = async {
            let (response, connection) = self.connections.send(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            self.connections.keep(connection);
            Ok(Answer { status, body })
        };
        timeout(PATIENCE, exchange).await.with_context(|| format!("no answer to {path}"))?
    }

    /// A request that must succeed.
    async fn asked(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Value> {
        let answer = self.send(method.clone(), path, body).await?;
        if !answer.is_success() {
            let text = String::from_utf8_lossy(&answer.body);
            bail!("{method} {path} was answered {}: {text}", answer.status);
        }
        answer.json()
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, &Value)>,
    ) -> Result<Request<Full<Bytes>>> {
        let host = format!("127.0.0.1:{}", self.connections.port);
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let mut content = Vec::new();
        if let Some((media_type, value)) = body {
            request = request.header(header::CONTENT_TYPE, media_type);
            content = serde_json::to_vec(value)?;
        }
        Ok(request.body(Full::new(Bytes::from(content)))?)
    }

    pub(super) fn port(&self) -> u16 {
        self.connections.port
    }

    pub(super) fn forget_connections(&self) {
        self.connections.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Answer {
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }

    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).context("the answer is not JSON")
    }
}

impl Watch {
    /// The next event, `{"type": "ADDED", "object": …}`; none when the server has ended the stream.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        timeout(PATIENCE, self.read_event()).await.context("the watch says nothing")?
    }

    /// Reads until there is an event of this type about an object of this name.
    pub async fn until(&mut self, event_type: &str, name: &str) -> Result<Value> {
        while let Some(mut event) = self.next().await? {
            if event["type"] == event_type && event["object"]["metadata"]["name"] == name {
                return Ok(event["object"].take());
            }
        }
        bail!("the watch ended before {name} was {event_type}")
    }

    async fn read_event(&mut self) -> Result<Option<Value>> {
        loop {
            if let Some(end) = self.read.iter().position(|&byte| byte == b'\n') {
                let line = self.read.split_to(end + 1);
                return serde_json::from_slice(&line).map(Some).context("an event is not JSON");
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            if let Some(data) = frame?.data_ref() {
                self.read.extend_from_slice(data);
            }
        }
    }
}

impl Connections {
    async fn send(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Connection)> {
        let mut connection = match self.waiting() {
            Some(connection) => connection,
            None => self.open().await?,
        };
        connection.sender.ready().await?;
        let response = connection.sender.send_request(request).await?;
        Ok((response, connection))
    }

    fn waiting(&self) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.sender.is_closed());
        idle.pop()
    }

    fn keep(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    async fn open(&self) -> Result<Connection> {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let name = ServerName::try_from("127.0.0.1")?;
        let stream = TlsConnector::from(Arc::clone(&self.tls)).connect(name, socket).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // How a connection ends is told to whoever uses it.
            let _ = connection.await;
        });
        Ok(Connection { sender, _driver: driver })
    }
}
