//! The server of the pairing test: what `tools/pairings/README.md` says that each server has.

#![expect(deprecated, reason = "logging, sampling and roots are current in the legacy era")]

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt as _,
    model::{
        CallToolRequestParams, CallToolResponse, GetPromptRequestParams, GetPromptResponse,
        InitializeResult, ListPromptsResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, ReadResourceRequestParams, ReadResourceResponse,
        SetLevelRequestParams, SubscriptionFilter,
    },
    service::{RequestContext, ServiceError, SubscriptionContext, SubscriptionSink},
};
use serde_json::{Value, json};
use tokio::{sync::Mutex, time::sleep};

use crate::{
    conformance::{is_modern, typed},
    rmcp_host::{self, Era, RmcpServer},
};

/// Some clients lose what comes together with an answer.
const STEP: Duration = Duration::from_millis(20);

/// What answers one legacy session, or one request of the modern era.
struct Server {
    name: String,
    shared: Arc<Shared>,
    /// Tools that were unlocked in this session.
    unlocked: Mutex<Vec<String>>,
    count: AtomicU32,
}

/// What all sessions see.
#[derive(Default)]
struct Shared {
    /// Tools that were added for every session; the modern era's are all of these.
    grown: Mutex<Vec<String>>,
    subscriptions: Mutex<Vec<SubscriptionSink>>,
}

type Context = RequestContext<RoleServer>;

/// Serves on a port, until the value is dropped.
pub async fn serve_http(name: &str, port: u16) -> io::Result<RmcpServer> {
    rmcp_host::serve(Era::Both, port, servers(name)).await
}

/// Serves on standard input and output, until the input ends.
pub async fn serve_stdio(name: &str) -> anyhow::Result<()> {
    servers(name)().serve(rmcp::transport::stdio()).await?.waiting().await?;
    Ok(())
}

fn servers(name: &str) -> impl Fn() -> Server + use<> {
    let (name, shared) = (name.to_owned(), Arc::new(Shared::default()));
    move || Server {
        name: name.clone(),
        shared: Arc::clone(&shared),
        unlocked: Mutex::default(),
        count: AtomicU32::new(0),
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> InitializeResult {
        typed(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {
                "tools": {"listChanged": true}, "resources": {}, "prompts": {}, "logging": {},
            },
            "serverInfo": {"name": self.name, "version": "1"},
        }))
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListToolsResult, ErrorData> {
        let mut tools = tools();
        for name in self.secrets().await {
            tools.push(json!({"name": name, "inputSchema": {"type": "object"}}));
        }
        Ok(result(&context, json!({"tools": tools})))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: Context,
    ) -> Result<CallToolResponse, ErrorData> {
        self.call(request, &context).await
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(result(&context, json!({"resources": [{"uri": self.uri(), "name": "note"}]})))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        context: Context,
    ) -> Result<ReadResourceResponse, ErrorData> {
        if request.uri != self.uri() {
            return Err(ErrorData::resource_not_found("no such resource", None));
        }
        let content = json!({"uri": self.uri(), "text": format!("the note of {}", self.name)});
        Ok(ReadResourceResponse::Complete(result(&context, json!({"contents": [content]}))))
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        context: Context,
    ) -> Result<ListPromptsResult, ErrorData> {
        let who = json!({"name": "who", "required": true});
        Ok(result(&context, json!({"prompts": [{"name": "greet", "arguments": [who]}]})))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        context: Context,
    ) -> Result<GetPromptResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let said = format!("Greet {}.", arguments["who"].as_str().unwrap_or_default());
        let message = json!({"role": "user", "content": {"type": "text", "text": said}});
        Ok(GetPromptResponse::Complete(result(&context, json!({"messages": [message]}))))
    }

    /// Whatever is asked for, the messages of `work` are at or above it.
    async fn set_level(&self, _: SetLevelRequestParams, _: Context) -> Result<(), ErrorData> {
        Ok(())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, subscription: SubscriptionContext) -> Result<(), ErrorData> {
        self.shared.subscriptions.lock().await.push(subscription.sink().clone());
        subscription.cancelled().await;
        Ok(())
    }
}

impl Server {
    fn uri(&self) -> String {
        format!("memo://{}/note", self.name)
    }

    async fn secrets(&self) -> Vec<String> {
        let mut names = self.shared.grown.lock().await.clone();
        names.extend(self.unlocked.lock().await.iter().cloned());
        names
    }

    async fn call(
        &self,
        request: CallToolRequestParams,
        context: &Context,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = Value::Object(request.arguments.clone().unwrap_or_default());
        let argument = |name: &str| arguments[name].as_str().unwrap_or_default().to_owned();
        let said = match &*request.name {
            "echo" => format!("{}: {}", self.name, argument("message")),
            "add" => return Ok(CallToolResponse::Complete(result(context, sum(&arguments)))),
            "count" => (self.count.fetch_add(1, Ordering::Relaxed) + 1).to_string(),
            "work" => {
                work(context, arguments["steps"].as_u64().unwrap_or_default()).await?;
                "done".to_owned()
            }
            "ask" | "sample" | "roots" => return ask(&request, context).await,
            "unlock" => {
                self.unlock(argument("tool"), context).await?;
                "unlocked".to_owned()
            }
            "grow" => {
                self.shared.grown.lock().await.push(argument("tool"));
                "grown".to_owned()
            }
            name if self.secrets().await.iter().any(|secret| secret == name) => {
                "the secret".to_owned()
            }
            name => return Err(ErrorData::invalid_params(format!("unknown tool: {name}"), None)),
        };
        Ok(CallToolResponse::Complete(result(context, text(&said))))
    }

    /// In a legacy session for it alone; the modern era has no sessions.
    async fn unlock(&self, tool: String, context: &Context) -> Result<(), ErrorData> {
        if !is_modern(context) {
            self.unlocked.lock().await.push(tool);
            return context.peer.notify_tool_list_changed().await.map_err(failed);
        }
        self.shared.grown.lock().await.push(tool);
        let mut open = Vec::new();
        for sink in self.shared.subscriptions.lock().await.drain(..) {
            // Whoever left in the meantime need not know.
            if sink.notify_tool_list_changed().await.is_ok() {
                open.push(sink);
            }
        }
        self.shared.subscriptions.lock().await.extend(open);
        Ok(())
    }
}

fn tools() -> Vec<Value> {
    let tool = |name: &str, arguments: &[(&str, &str)]| {
        let properties: serde_json::Map<_, _> = arguments
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), json!({"type": kind})))
            .collect();
        let required: Vec<_> = arguments.iter().map(|(name, _)| name).collect();
        let schema = json!({"type": "object", "properties": properties, "required": required});
        json!({"name": name, "inputSchema": schema})
    };
    let mut add = tool("add", &[("a", "number"), ("b", "number")]);
    add["outputSchema"] = json!({"type": "object", "properties": {"sum": {"type": "number"}}});
    vec![
        tool("echo", &[("message", "string")]),
        add,
        tool("count", &[]),
        tool("work", &[("steps", "integer")]),
        tool("ask", &[]),
        tool("sample", &[]),
        tool("roots", &[]),
        tool("unlock", &[("tool", "string")]),
        tool("grow", &[("tool", "string")]),
    ]
}

fn sum(terms: &Value) -> Value {
    let sum = terms["a"].as_f64().unwrap_or_default() + terms["b"].as_f64().unwrap_or_default();
    let mut result = text(&sum.to_string());
    result["structuredContent"] = json!({"sum": sum});
    result
}

async fn work(context: &Context, steps: u64) -> Result<(), ErrorData> {
    let token = context.meta.get_progress_token();
    // In the modern era a request says whether it wants messages.
    let wants_logs = !is_modern(context) || context.meta.log_level().is_some();
    for step in 1..=steps {
        if let Some(token) = &token {
            let note = json!({"progressToken": token, "progress": step, "total": steps});
            context.peer.notify_progress(typed(note)).await.map_err(failed)?;
        }
        if wants_logs {
            let note = json!({"level": "info", "data": format!("step {step}")});
            context.peer.notify_logging_message(typed(note)).await.map_err(failed)?;
        }
        sleep(STEP).await;
    }
    Ok(())
}

/// Asks the client: in the modern era by the answer, in the legacy one while the call waits.
async fn ask(
    request: &CallToolRequestParams,
    context: &Context,
) -> Result<CallToolResponse, ErrorData> {
    let (method, params) = question(&request.name);
    let answer = if let Some(answers) = &request.input_responses {
        json!(answers["it"])
    } else if is_modern(context) {
        let questions = json!({"it": {"method": method, "params": params}});
        let asks = json!({"resultType": "input_required", "inputRequests": questions});
        return Ok(CallToolResponse::InputRequired(typed(asks)));
    } else {
        let peer = &context.peer;
        match method {
            "elicitation/create" => {
                json!(peer.create_elicitation(typed(params)).await.map_err(failed)?)
            }
            "roots/list" => json!(peer.list_roots().await.map_err(failed)?),
            _ => json!(peer.create_message(typed(params)).await.map_err(failed)?),
        }
    };
    let part = |pointer| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let said = match method {
        "elicitation/create" => format!("{} {}", part("/action"), part("/content/name")),
        "roots/list" => part("/roots/0/uri").to_owned(),
        _ => part("/content/text").to_owned(),
    };
    Ok(CallToolResponse::Complete(result(context, text(&said))))
}

fn question(tool: &str) -> (&'static str, Value) {
    match tool {
        "ask" => {
            let name = json!({"name": {"type": "string"}});
            let schema = json!({"type": "object", "properties": name, "required": ["name"]});
            let params =
                json!({"mode": "form", "message": "Who are you?", "requestedSchema": schema});
            ("elicitation/create", params)
        }
        "roots" => ("roots/list", json!({})),
        _ => {
            let message = json!({"role": "user", "content": {"type": "text", "text": "a poem"}});
            ("sampling/createMessage", json!({"messages": [message], "maxTokens": 10}))
        }
    }
}

fn text(said: &str) -> Value {
    json!({"content": [{"type": "text", "text": said}]})
}

/// A result of one of rmcp's types, with what the modern era wants in every result.
fn result<T: serde::de::DeserializeOwned>(context: &Context, mut value: Value) -> T {
    if is_modern(context) {
        value["resultType"] = json!("complete");
        value["ttlMs"] = json!(0);
        value["cacheScope"] = json!("private");
    }
    typed(value)
}

fn failed(error: ServiceError) -> ErrorData {
    match error {
        ServiceError::McpError(error) => error,
        other => ErrorData::internal_error(other.to_string(), None),
    }
}
