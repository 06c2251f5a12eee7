//! The official Rust SDK as a client of either era, which says everything that a client can and notes
//! what it hears.
//!
//! Its own HTTP client speaks over a Unix socket; what it says is carried to the server's TCP port.

#![expect(deprecated, reason = "logging, sampling and roots are current in the legacy era")]

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use http::{Request, Response, uri::PathAndQuery};
use hyper::{
    body::Incoming, client::conn::http1 as client, server::conn::http1 as server,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt as _, ErrorData, RoleClient,
    ServiceExt as _,
    model::{
        ClientConfig, ClientRequest, CreateMessageRequestParams, CreateMessageResult,
        ElicitRequestParams, ElicitResult, ListPromptsResult, ListResourceTemplatesResult,
        ListResourcesResult, ListRootsResult, ListToolsResult, LoggingMessageNotificationParam,
        ProgressNotificationParam, ProtocolVersion, ResourceUpdatedNotificationParam,
    },
    service::{
        NotificationContext, PeerRequestOptions, RequestContext, RequestHandle, RunningService,
        Subscription,
    },
    transport::StreamableHttpClientTransport,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixListener},
    time::timeout,
};

use crate::host::Life;

/// A client with a session of its own.
pub struct RustClient {
    running: RunningService<RoleClient, Handler>,
    heard: Heard,
    _carried: Option<(OnDrop, TempDir)>,
}

/// An open subscription.
pub struct RustSubscription(Subscription);

/// How long a notification may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The methods of the notifications that came, in order.
type Heard = Arc<Mutex<Vec<&'static str>>>;

struct Handler(Heard);

/// Ends the carrying when the client is dropped.
struct OnDrop(Life);

/// How many items the models of the Rust SDK find in the result of a list, given as JSON text.
pub fn items_by_rmcp(list: &str, result: &str) -> Result<usize> {
    Ok(match list {
        "tools" => serde_json::from_str::<ListToolsResult>(result)?.tools.len(),
        "resources" => serde_json::from_str::<ListResourcesResult>(result)?.resources.len(),
        "resourceTemplates" => {
            let read: ListResourceTemplatesResult = serde_json::from_str(result)?;
            read.resource_templates.len()
        }
        "prompts" => serde_json::from_str::<ListPromptsResult>(result)?.prompts.len(),
        other => bail!("no list is called {other}"),
    })
}

impl RustClient {
    /// Opens a session on the server at `http://host:port/path`, in the legacy era.
    pub async fn connect(url: &str) -> Result<Self> {
        Self::open(url, ClientLifecycleMode::Initialize).await
    }

    /// A client of the modern era; the server must be one of that era too.
    pub async fn connect_modern(url: &str) -> Result<Self> {
        let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
        Self::open(url, ClientLifecycleMode::Discover { preferred_versions }).await
    }

    /// Opens a session in the legacy era with what reads and writes, such as the pipes of a program.
    pub async fn over<R, W>(pipes: (R, W)) -> Result<Self>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let heard = Heard::default();
        let running = Handler(Arc::clone(&heard)).serve(pipes).await?;
        Ok(Self { running, heard, _carried: None })
    }

    async fn open(url: &str, lifecycle: ClientLifecycleMode) -> Result<Self> {
        let address = url.strip_prefix("http://").and_then(|rest| rest.split('/').next());
        let address = address.context("not a plain HTTP URL")?.to_owned();
        let directory = tempfile::tempdir()?;
        let socket = directory.path().join("socket");
        let life = OnDrop(Life::default());
        carry(&socket, address, &life.0)?;
        let path = socket.to_str().context("a path that is no text")?;
        let transport = StreamableHttpClientTransport::from_unix_socket(path, url);
        let heard = Heard::default();
        let handler = Handler(Arc::clone(&heard));
        let running = handler.serve_with_lifecycle(transport, lifecycle).await?;
        Ok(Self { running, heard, _carried: Some((life, directory)) })
    }

    /// Sends a request and gives its result.
    pub async fn ask(&self, method: &str, params: Value) -> Result<Value> {
        let result = self.running.peer().send_request(request(method, params)?).await?;
        Ok(serde_json::to_value(result)?)
    }

    /// Calls a tool, gets a prompt or reads a resource, and answers what the server asks on the way,
    /// in either era.
    pub async fn settle(&self, method: &str, params: Value) -> Result<Value> {
        Ok(match method {
            "tools/call" => json!(self.running.call_tool(serde_json::from_value(params)?).await?),
            "prompts/get" => json!(self.running.get_prompt(serde_json::from_value(params)?).await?),
            "resources/read" => {
                json!(self.running.read_resource(serde_json::from_value(params)?).await?)
            }
            _ => self.ask(method, params).await?,
        })
    }

    /// Opens a subscription of the modern era. What it brings is not among what is [`Self::heard`].
    pub async fn listen(&self, filter: Value) -> Result<RustSubscription> {
        let filter = serde_json::from_value(filter)?;
        Ok(RustSubscription(self.running.peer().listen(filter).await?))
    }

    /// Sends a request and does not wait: the handle can cancel it.
    pub async fn begin(&self, method: &str, params: Value) -> Result<RequestHandle<RoleClient>> {
        let options = PeerRequestOptions::no_options();
        let request = request(method, params)?;
        Ok(self.running.peer().send_cancellable_request(request, options).await?)
    }

    /// What the server said when the session was opened.
    pub fn server(&self) -> Value {
        json!(self.running.peer_info())
    }

    /// How many notifications of this method have come.
    pub fn heard(&self, method: &str) -> usize {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.iter().filter(|heard| **heard == method).count()
    }

    /// Ends the session.
    pub async fn close(self) -> Result<()> {
        self.running.cancel().await?;
        Ok(())
    }
}

impl RustSubscription {
    /// What of the filter the server honours.
    pub fn granted(&self) -> Value {
        json!(self.0.acknowledged())
    }

    /// The next notification; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Value>> {
        let next = timeout(PATIENCE, self.0.next()).await.context("nothing in time")??;
        Ok(next.map(|notification| json!(notification)))
    }
}

impl Handler {
    fn note(&self, method: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(method);
    }
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        typed(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {
                "sampling": {},
                "elicitation": {"form": {}},
                "roots": {"listChanged": true},
            },
            "clientInfo": {"name": "rmcp", "version": "1"},
        }))
    }

    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let content = json!({"type": "text", "text": "sampled by rmcp"});
        Ok(typed(json!({"role": "assistant", "model": "m", "content": content})))
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let content = json!({"name": "ann", "username": "ann", "email": "ann@example.com"});
        Ok(typed(json!({"action": "accept", "content": content})))
    }

    async fn list_roots(
        &self,
        _: RequestContext<RoleClient>,
    ) -> Result<ListRootsResult, ErrorData> {
        Ok(typed(json!({"roots": [{"uri": "file:///work", "name": "work"}]})))
    }

    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.note("notifications/progress");
    }

    async fn on_logging_message(
        &self,
        _: LoggingMessageNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.note("notifications/message");
    }

    async fn on_resource_updated(
        &self,
        _: ResourceUpdatedNotificationParam,
        _: NotificationContext<RoleClient>,
    ) {
        self.note("notifications/resources/updated");
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.note("notifications/tools/list_changed");
    }

    async fn on_prompt_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.note("notifications/prompts/list_changed");
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Carries what is said on a Unix socket to a TCP port.
fn carry(socket: &Path, address: String, life: &Life) -> Result<()> {
    let listener = UnixListener::bind(socket)?;
    let connections = life.clone();
    life.spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (address, life) = (address.clone(), connections.clone());
            connections.spawn(async move {
                let pass = service_fn(move |request| pass(request, address.clone(), life.clone()));
                // Either side may close at any time.
                let _ = server::Builder::new().serve_connection(TokioIo::new(client), pass).await;
            });
        }
    });
    Ok(())
}

/// Passes one request on, on a connection of its own. Over a Unix socket the client names the whole
/// URL as a proxy's client would, which not every server understands.
async fn pass(
    mut request: Request<Incoming>,
    address: String,
    life: Life,
) -> Result<Response<Incoming>> {
    let path = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
    *request.uri_mut() = path.parse()?;
    let socket = TcpStream::connect(address).await?;
    let (mut server, connection) = client::handshake(TokioIo::new(socket)).await?;
    life.spawn(async move {
        // Its end is seen by whoever reads the answer.
        let _ = connection.await;
    });
    Ok(server.send_request(request).await?)
}

fn request(method: &str, params: Value) -> Result<ClientRequest> {
    Ok(serde_json::from_value(json!({"method": method, "params": params}))?)
}

fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("it is written as the specification has it")
}
