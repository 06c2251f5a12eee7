//! Servers that list something to one session and not to others.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, InitializeResult,
        ListToolsResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities,
    },
    service::RequestContext,
};
use tokio::time::sleep;

use super::{rmcp_tool, tool};
use crate::{
    SseServer,
    raw::{Answer, Call, Kind, RawServer, handler},
    rmcp_host::{self, Era, RmcpServer},
    sse_host,
};

/// What the sessions of [`unlocking`] have unlocked, and how its lists are read.
#[derive(Debug, Default)]
pub struct Unlocking {
    unlocked: Mutex<HashMap<String, Vec<(Kind, String)>>>,
    delay: AtomicU64,
    reading: AtomicUsize,
    peak: AtomicUsize,
    read: AtomicUsize,
    fails: AtomicBool,
}

impl Unlocking {
    /// From now on a list of tools fails, or does not any more.
    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Relaxed);
    }

    /// From now on a list of tools takes so long.
    pub fn slow_down(&self, delay: Duration) {
        self.delay.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// How often the tools have been listed.
    pub fn read(&self) -> usize {
        self.read.load(Relaxed)
    }

    /// How many have listed the tools at once, at most.
    pub fn peak(&self) -> usize {
        self.peak.load(Relaxed)
    }

    /// Puts something on the lists of one session, or takes it off, without a word to anybody. The
    /// session `""` stands for all, those to come included.
    pub fn set(&self, session: &str, kind: Kind, name: &str, listed: bool) {
        let mut all = self.unlocked.lock().unwrap_or_else(PoisonError::into_inner);
        let unlocked = all.entry(session.to_owned()).or_default();
        unlocked.retain(|(of, other)| *of != kind || other != name);
        if listed {
            unlocked.push((kind, name.to_owned()));
        }
    }

    /// The sessions that have called `unlock` or `lock`.
    pub fn callers(&self) -> Vec<String> {
        let all = self.unlocked.lock().unwrap_or_else(PoisonError::into_inner);
        all.keys().filter(|session| !session.is_empty()).cloned().collect()
    }

    fn has(&self, session: &str, kind: Kind, name: &str) -> bool {
        self.names(session, kind).iter().any(|unlocked| unlocked == name)
    }

    fn names(&self, session: &str, kind: Kind) -> Vec<String> {
        let all = self.unlocked.lock().unwrap_or_else(PoisonError::into_inner);
        let unlocked = [session, ""].into_iter().filter_map(|one| all.get(one)).flatten();
        unlocked.filter(|(of, _)| *of == kind).map(|(_, name)| name.clone()).collect()
    }

    async fn list(&self, call: &Call, kind: Kind) -> Answer {
        if kind == Kind::Tools {
            self.read.fetch_add(1, Relaxed);
            self.peak.fetch_max(self.reading.fetch_add(1, Relaxed) + 1, Relaxed);
            sleep(Duration::from_millis(self.delay.load(Relaxed))).await;
            self.reading.fetch_sub(1, Relaxed);
            if self.fails.load(Relaxed) {
                return Answer::error(-32603, "out of order");
            }
        }
        let mut names = match kind {
            Kind::Tools => vec!["unlock".to_owned(), "lock".to_owned()],
            Kind::Prompts => vec!["hello".to_owned()],
            Kind::Resources => vec!["x://one".to_owned()],
            Kind::Templates => Vec::new(),
        };
        names.extend(self.names(call.session.id(), kind));
        let items = names.iter().map(|name| match kind {
            Kind::Tools | Kind::Prompts => tool(name),
            Kind::Resources => format!(r#"{{"uri":"{name}","name":"{name}"}}"#),
            Kind::Templates => format!(r#"{{"uriTemplate":"{name}","name":"{name}"}}"#),
        });
        let (member, items) = (kind.member(), items.collect::<Vec<_>>().join(","));
        format!(r#"{{"{member}":[{items}]}}"#).into()
    }

    async fn call(&self, call: Call) -> Answer {
        let session = call.session.id();
        let name: String = call.param("name").unwrap_or_default();
        if name != "unlock" && name != "lock" {
            return if self.has(session, Kind::Tools, &name) {
                Answer::text(format!("the {name}"))
            } else {
                Answer::error(-32602, "unknown here")
            };
        }
        let kind = match call.argument::<String>("kind").as_deref() {
            Some("prompts") => Kind::Prompts,
            Some("resources") => Kind::Resources,
            Some("templates") => Kind::Templates,
            _ => Kind::Tools,
        };
        let key = call.argument::<String>("name").unwrap_or_else(|| "secret".to_owned());
        self.set(session, kind, &key, name == "unlock");
        for _time in 0..call.argument("times").unwrap_or(1) {
            if call.argument("aside").unwrap_or(false) {
                call.session.notify(kind.list_changed(), "{}").await;
            } else {
                // Nobody may be reading any more.
                let _ = call.notify(kind.list_changed(), "{}").await;
            }
        }
        Answer::text("done")
    }
}

/// Tools `unlock` and `lock` put `name` (`secret`) on the session's list of `kind` (`tools`), or take
/// it off, and say so `times` times on the call's stream, or on the session's own (`aside`). What is
/// unlocked can be used; in other sessions it is unknown.
pub fn unlocking() -> (RawServer, Arc<Unlocking>) {
    let state: Arc<Unlocking> = Arc::default();
    let of = |answer: fn(Arc<Unlocking>, Call) -> Answering| {
        let state = Arc::clone(&state);
        handler(move |call: Call| answer(Arc::clone(&state), call))
    };
    let server = RawServer::builder()
        .capabilities(r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"subscribe":true,"listChanged":true}}"#)
        .script("tools/call", of(|state, call| Box::pin(async move { state.call(call).await })))
        .script("tools/list", of(|state, call| Box::pin(async move { state.list(&call, Kind::Tools).await })))
        .script("prompts/list", of(|state, call| Box::pin(async move { state.list(&call, Kind::Prompts).await })))
        .script("resources/list", of(|state, call| Box::pin(async move { state.list(&call, Kind::Resources).await })))
        .script("resources/templates/list", of(|state, call| Box::pin(async move { state.list(&call, Kind::Templates).await })))
        .script("prompts/get", of(|state, call| Box::pin(async move {
            let name: String = call.param("name").unwrap_or_default();
            if state.has(call.session.id(), Kind::Prompts, &name) {
                r#"{"messages":[]}"#.into()
            } else {
                Answer::error(-32602, "unknown here")
            }
        })))
        .script("resources/read", of(|state, call| Box::pin(async move {
            let uri: String = call.param("uri").unwrap_or_default();
            if state.has(call.session.id(), Kind::Resources, &uri) {
                format!(r#"{{"contents":[{{"uri":"{uri}","text":"unlocked"}}]}}"#).into()
            } else {
                Answer::error(-32002, "unknown here")
            }
        })));
    (server, state)
}

type Answering = std::pin::Pin<Box<dyn Future<Output = Answer> + Send>>;

/// On rmcp: tool `unlock` puts the tool `secret` on the session's list, and says so.
pub async fn unlocking_rmcp(port: u16) -> io::Result<RmcpServer> {
    rmcp_host::serve(Era::Legacy, port, Door::default).await
}

/// [`unlocking_rmcp`] over HTTP+SSE.
pub async fn unlocking_sse(port: u16) -> io::Result<SseServer> {
    sse_host::serve(port, Door::default).await
}

#[derive(Default)]
struct Door {
    open: AtomicBool,
}

impl ServerHandler for Door {
    fn get_info(&self) -> InitializeResult {
        let capabilities =
            ServerCapabilities::builder().enable_tools().enable_tool_list_changed().build();
        InitializeResult::new(capabilities).with_protocol_version(ProtocolVersion::V_2025_11_25)
    }

    fn supported_protocol_versions(&self) -> std::borrow::Cow<'static, [ProtocolVersion]> {
        ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25).into()
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let names = if self.open.load(Relaxed) { &["unlock", "secret"][..] } else { &["unlock"] };
        let tools = names.iter().copied().map(rmcp_tool);
        Ok(ListToolsResult::with_all_items(tools.collect()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let text = match &*request.name {
            "unlock" => {
                self.open.store(true, Relaxed);
                // Nobody may be listening.
                let _ = context.peer.notify_tool_list_changed().await;
                "done"
            }
            "secret" if self.open.load(Relaxed) => "the secret",
            other => return Err(ErrorData::invalid_params(format!("unknown tool: {other}"), None)),
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]).into())
    }
}
