//! The server that the official conformance suite expects, for revisions 2025-06-18 and 2025-11-25.
//!
//! It can be split over two servers, so that a gateway in front of both must look like the whole.
//! Beyond the suite it can change its lists and its watched resource on demand.

#![expect(
    deprecated,
    reason = "logging, sampling, roots and subscriptions are current in the legacy era"
)]

mod calls;
mod definitions;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use rmcp::{
    ErrorData, Peer, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, CompleteRequestParams, CompleteResult,
        GetPromptRequestParams, GetPromptResponse, InitializeResult, ListPromptsResult,
        ListResourceTemplatesResult, ListResourcesResult, ListToolsResult, LoggingLevel,
        PaginatedRequestParams, ProtocolVersion, ReadResourceRequestParams, ReadResourceResponse,
        SetLevelRequestParams, SubscribeRequestParams, UnsubscribeRequestParams,
    },
    service::{NotificationContext, RequestContext},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    rmcp_host::{self, RmcpServer},
    sse_host::{self, SseServer},
};

/// Which part of the fixture a server carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Everything.
    All,
    /// One half of each list.
    A,
    /// The other half of each list.
    B,
}

/// Starts the fixture on a port; 0 takes any.
pub async fn start(part: Part, port: u16) -> io::Result<RmcpServer> {
    rmcp_host::serve(port, fixtures(part)).await
}

/// The same over HTTP+SSE.
pub async fn start_sse(part: Part, port: u16) -> io::Result<SseServer> {
    sse_host::serve(port, fixtures(part)).await
}

/// Serves the fixture on standard input and output, until the input ends.
pub async fn serve_stdio(part: Part) -> anyhow::Result<()> {
    let running = fixtures(part)().serve(rmcp::transport::stdio()).await?;
    running.waiting().await?;
    Ok(())
}

/// Makes the handlers of all sessions.
fn fixtures(part: Part) -> impl Fn() -> Fixture {
    let shared = Arc::new(Shared::default());
    move || Fixture { part, shared: Arc::clone(&shared), session: Arc::default() }
}

/// The handler of one session.
struct Fixture {
    part: Part,
    shared: Arc<Shared>,
    session: Arc<Session>,
}

/// What all sessions of a server see.
#[derive(Default)]
struct Shared {
    listeners: Mutex<Vec<Listener>>,
    /// Whether the tool and the prompt that come and go are there.
    extra: Mutex<Extra>,
}

#[derive(Clone, Copy, Default)]
struct Extra {
    tool: bool,
    prompt: bool,
}

#[derive(Default)]
struct Session {
    level: Mutex<Option<LoggingLevel>>,
    subscriptions: Mutex<BTreeSet<String>>,
}

#[derive(Clone)]
struct Listener {
    peer: Peer<RoleServer>,
    session: Arc<Session>,
}

impl Part {
    /// This part's share of a list: every second entry.
    fn share(self, all: Vec<Value>) -> Vec<Value> {
        let wanted = |index: &usize| match self {
            Self::All => true,
            Self::A => index.is_multiple_of(2),
            Self::B => !index.is_multiple_of(2),
        };
        all.into_iter().enumerate().filter(|(index, _)| wanted(index)).map(|(_, one)| one).collect()
    }
}

impl Fixture {
    fn tools(&self) -> Vec<Value> {
        let mut tools = self.part.share(definitions::tools());
        if lock(&self.shared.extra).tool {
            tools.push(definitions::extra_tool());
        }
        tools
    }

    fn prompts(&self) -> Vec<Value> {
        let mut prompts = self.part.share(definitions::prompts());
        if lock(&self.shared.extra).prompt {
            prompts.push(definitions::extra_prompt());
        }
        prompts
    }
}

impl Shared {
    /// Those who finished `initialize` and are still there.
    fn listeners(&self) -> Vec<Listener> {
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| !listener.peer.is_transport_closed());
        listeners.clone()
    }
}

impl ServerHandler for Fixture {
    fn get_info(&self) -> InitializeResult {
        typed(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {
                "tools": {"listChanged": true},
                "resources": {"subscribe": true, "listChanged": true},
                "prompts": {"listChanged": true},
                "logging": {},
                "completions": {},
            },
            "serverInfo": {"name": "vmcp-testkit conformance", "version": "1.0.0"},
        }))
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        Cow::Borrowed(ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25))
    }

    async fn on_initialized(&self, context: NotificationContext<RoleServer>) {
        let listener = Listener { peer: context.peer, session: Arc::clone(&self.session) };
        lock(&self.shared.listeners).push(listener);
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(typed(json!({"tools": self.tools()})))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        if !self.tools().iter().any(|tool| tool["name"] == *request.name) {
            return Err(ErrorData::invalid_params(format!("unknown tool: {}", request.name), None));
        }
        self.call(&request, &context).await.map(|result| CallToolResponse::Complete(typed(result)))
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(typed(json!({"resources": self.part.share(definitions::resources())})))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let templates = if self.part == Part::A { Vec::new() } else { definitions::templates() };
        Ok(typed(json!({"resourceTemplates": templates})))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let listed = self.part.share(definitions::resources());
        let content = if listed.iter().any(|resource| resource["uri"] == request.uri) {
            definitions::content(&request.uri)
        } else if self.part == Part::A {
            None
        } else {
            definitions::template_content(&request.uri)
        };
        let Some(content) = content else {
            let uri = json!({"uri": request.uri});
            return Err(ErrorData::resource_not_found("Resource not found", Some(uri)));
        };
        Ok(ReadResourceResponse::Complete(typed(json!({"contents": [content]}))))
    }

    async fn subscribe(
        &self,
        request: SubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        lock(&self.session.subscriptions).insert(request.uri);
        Ok(())
    }

    async fn unsubscribe(
        &self,
        request: UnsubscribeRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        lock(&self.session.subscriptions).remove(&request.uri);
        Ok(())
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(typed(json!({"prompts": self.prompts()})))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let known = self.prompts().iter().any(|prompt| prompt["name"] == request.name);
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let messages = definitions::messages(&request.name, &arguments).filter(|_| known);
        let Some(messages) = messages else {
            return Err(ErrorData::invalid_params(
                format!("unknown prompt: {}", request.name),
                None,
            ));
        };
        Ok(GetPromptResponse::Complete(typed(json!({"messages": messages}))))
    }

    async fn complete(
        &self,
        request: CompleteRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        let words = ["paris", "park", "party", "prague"];
        let values: Vec<_> =
            words.iter().filter(|word| word.starts_with(&request.argument.value)).collect();
        let total = values.len();
        Ok(typed(json!({"completion": {"values": values, "total": total, "hasMore": false}})))
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        *lock(&self.session.level) = Some(request.level);
        Ok(())
    }
}

/// A value of one of rmcp's types, from the JSON that it stands for.
fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the fixture's definitions have the protocol's shape")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds the fixture's state")
}
