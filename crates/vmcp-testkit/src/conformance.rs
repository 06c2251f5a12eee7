//! The server that the official conformance suite expects, for both eras: every revision from
//! 2024-11-05 to 2026-07-28.
//!
//! It can be split over two servers, so that a gateway in front of both must look like the whole,
//! and held to one era, so that a gateway must speak that one. Every tool works in either era: what
//! must be asked of the client is asked in the manner of the era in which the tool was called.
//! Beyond the suite it can change its lists and its watched resource on demand.

#![expect(
    deprecated,
    reason = "logging, sampling, roots and subscriptions are current in the legacy era"
)]

mod asking;
mod calls;
mod changes;
mod definitions;
mod handler;
mod questions;
mod tasks;

use std::{
    borrow::Cow,
    collections::BTreeSet,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use rmcp::{
    RoleServer, ServiceExt as _,
    model::{LoggingLevel, ProtocolVersion},
    service::RequestContext,
    task_manager::TaskManager,
    transport::IntoTransport as _,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::{
    rmcp_host::{self, OfEra, RmcpServer},
    sse_host::{self, SseServer},
};

pub use crate::rmcp_host::Era;

/// What a request comes with.
type Context = RequestContext<RoleServer>;

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

/// Starts the fixture on a port; 0 takes any. It speaks both eras.
pub async fn start(part: Part, port: u16) -> io::Result<RmcpServer> {
    start_as(part, Era::Both, port).await
}

/// The same, held to an era.
pub async fn start_as(part: Part, era: Era, port: u16) -> io::Result<RmcpServer> {
    rmcp_host::serve(era, port, fixtures(part, era)).await
}

/// The same over HTTP+SSE, which the legacy era alone has.
pub async fn start_sse(part: Part, port: u16) -> io::Result<SseServer> {
    sse_host::serve(port, fixtures(part, Era::Legacy)).await
}

/// Serves the fixture on standard input and output, until the input ends.
pub async fn serve_stdio(part: Part, era: Era) -> anyhow::Result<()> {
    let pipes = rmcp::transport::stdio().into_transport();
    let running = fixtures(part, era)().serve(OfEra::new(era, pipes)).await?;
    running.waiting().await?;
    Ok(())
}

/// Makes the handlers: one for each session, or for each request that has none.
fn fixtures(part: Part, era: Era) -> impl Fn() -> Fixture {
    let shared = Arc::new(Shared::default());
    move || Fixture { part, era, shared: Arc::clone(&shared), session: Arc::default() }
}

/// What answers the requests of one session, or one request that has none.
struct Fixture {
    part: Part,
    era: Era,
    shared: Arc<Shared>,
    session: Arc<Session>,
}

/// What all sessions of a server see.
#[derive(Default)]
struct Shared {
    listeners: changes::Listeners,
    /// Whether the tool and the prompt that come and go are there.
    extra: Mutex<Extra>,
    tasks: TaskManager,
}

#[derive(Clone, Copy, Default)]
struct Extra {
    tool: bool,
    prompt: bool,
}

/// What a legacy session has set.
#[derive(Default)]
struct Session {
    level: Mutex<Option<LoggingLevel>>,
    subscriptions: Mutex<BTreeSet<String>>,
}

impl Part {
    /// This part's share of a list.
    fn share(self, all: Vec<Value>) -> Vec<Value> {
        all.into_iter().filter(|one| self == Self::All || self == definitions::home(one)).collect()
    }
}

impl Fixture {
    fn tools(&self) -> Vec<Value> {
        let mut tools = self.part.share(definitions::tools());
        if self.era == Era::Legacy {
            tools.retain(|tool| !definitions::must_be_task(tool));
        }
        if lock(&self.shared.extra).tool {
            tools.push(definitions::extra_tool());
        }
        tools
    }

    fn prompts(&self, modern: bool) -> Vec<Value> {
        let mut prompts = self.part.share(definitions::prompts(modern));
        if lock(&self.shared.extra).prompt {
            prompts.push(definitions::extra_prompt());
        }
        prompts
    }

    fn versions(&self) -> Cow<'static, [ProtocolVersion]> {
        match self.era {
            Era::Both => Cow::Borrowed(ProtocolVersion::KNOWN_VERSIONS),
            Era::Legacy => {
                Cow::Borrowed(ProtocolVersion::known_up_to(&ProtocolVersion::V_2025_11_25))
            }
            Era::Modern => Cow::Owned(vec![ProtocolVersion::V_2026_07_28]),
        }
    }
}

/// Whether a request is of the modern era.
pub(crate) fn is_modern(context: &Context) -> bool {
    context
        .protocol_version()
        .is_some_and(|version| version.as_str() >= ProtocolVersion::V_2026_07_28.as_str())
}

/// A result of one of rmcp's types, with what the modern era wants in every result.
fn result<T: DeserializeOwned>(context: &Context, mut value: Value) -> T {
    if is_modern(context) {
        if value["resultType"].is_null() {
            value["resultType"] = json!("complete");
        }
        value["_meta"]["io.modelcontextprotocol/serverInfo"] = server_info();
    }
    typed(value)
}

/// The same for results that a client may keep for a while.
fn lasting<T: DeserializeOwned>(context: &Context, mut value: Value) -> T {
    if is_modern(context) {
        value["ttlMs"] = json!(1_000);
        value["cacheScope"] = json!("public");
    }
    result(context, value)
}

fn server_info() -> Value {
    json!({"name": "vmcp-testkit conformance", "version": "1.0.0"})
}

/// A value of one of rmcp's types, from the JSON that it stands for.
pub(crate) fn typed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).expect("the fixture's definitions have the protocol's shape")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds the fixture's state")
}
