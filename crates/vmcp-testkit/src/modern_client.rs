//! A small strict MCP client of the modern era (2026-07-28) for tests.
//!
//! It sends every header and every part of `_meta` that the specification asks for, and any of them
//! wrong on request. Whatever comes back is held to the specification before the test sees it: form,
//! status, ids, result types, what a result must say of itself, and what may come before it. It does
//! not retry and does not forgive; [`ModernClient::tolerant`] lets pass what the specification only
//! recommends.

mod answered;
mod listening;
mod rules;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

use crate::{
    client::{Client, Response},
    modern::{
        META_CAPABILITIES, META_CLIENT_INFO, META_LOG_LEVEL, META_VERSION, VERSION,
        headers::{Mirrored, encoded, mirrored, text_of},
    },
};

pub use answered::{Answered, Exchange};
pub use listening::Listening;
use rules::{Asked, readable};

/// A client of one MCP endpoint. It has no state but what it knows of the tools' headers, so a clone
/// is as good as a second client.
#[derive(Clone, Debug)]
pub struct ModernClient {
    http: Client,
    version: String,
    meta: BTreeMap<String, Value>,
    /// In place of the headers of that name; `None` leaves one away.
    headers: BTreeMap<String, Option<String>>,
    tolerant: bool,
    next: Arc<AtomicU64>,
    tools: Arc<Mutex<BTreeMap<String, Vec<Mirrored>>>>,
}

impl ModernClient {
    /// A client of `http://host:port/path` that can do nothing that a server might ask for.
    pub fn new(url: &str) -> Self {
        let client_info = json!({"name": "testkit", "version": "1"});
        let meta = [(META_CLIENT_INFO, client_info), (META_CAPABILITIES, json!({}))];
        Self {
            http: Client::new(url),
            version: VERSION.to_owned(),
            meta: meta.map(|(key, value)| (key.to_owned(), value)).into(),
            headers: BTreeMap::new(),
            tolerant: false,
            next: Arc::default(),
            tools: Arc::default(),
        }
    }

    /// What it says it can do, in every request.
    #[must_use]
    pub fn capabilities(self, capabilities: Value) -> Self {
        self.meta(META_CAPABILITIES, capabilities)
    }

    /// Says that it can do everything: elicitation, sampling, roots.
    #[must_use]
    pub fn capable(self) -> Self {
        self.capabilities(
            json!({"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {}}),
        )
    }

    /// Wants log messages from this level on.
    #[must_use]
    pub fn log_level(self, level: &str) -> Self {
        self.meta(META_LOG_LEVEL, json!(level))
    }

    /// The version that it speaks, in `_meta` and in the header.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Puts this into `_meta` of every request: `progressToken`, `traceparent`, anything.
    #[must_use]
    pub fn meta(mut self, key: &str, value: Value) -> Self {
        self.meta.insert(key.to_owned(), value);
        self
    }

    /// Leaves this out of `_meta`.
    #[must_use]
    pub fn without_meta(mut self, key: &str) -> Self {
        self.meta.insert(key.to_owned(), Value::Null);
        self
    }

    /// Sends this header with every request, in place of the client's own if it has one.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_ascii_lowercase(), Some(value.to_owned()));
        self
    }

    /// Never sends one of its own headers.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.insert(name.to_ascii_lowercase(), None);
        self
    }

    /// Waits so long for any single step.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.http = self.http.with_patience(patience);
        self
    }

    /// Lets pass what the specification only recommends; not every peer does all of it.
    #[must_use]
    pub fn tolerant(mut self) -> Self {
        self.tolerant = true;
        self
    }

    /// The same client at another address, as if a load balancer had chosen another replica.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self { http: self.http.at(url), ..self.clone() }
    }

    /// `server/discover`.
    pub async fn discover(&self) -> Result<Answered> {
        self.request("server/discover", json!({})).await
    }

    /// Everything on a list, page by page: `tools/list` and its member `tools`.
    pub async fn list(&self, method: &str, member: &str) -> Result<Vec<Value>> {
        let (mut all, mut params) = (Vec::new(), json!({}));
        loop {
            let page = self.request(method, params).await?.result()?;
            let items = page[member].as_array().with_context(|| format!("no {member}: {page}"))?;
            all.extend(items.iter().cloned());
            match &page["nextCursor"] {
                Value::Null => return Ok(all),
                cursor => params = json!({"cursor": cursor}),
            }
        }
    }

    /// The tools. From now on calls mirror those of their parameters that have headers; a tool whose
    /// annotations are invalid is an error, as no server should offer one.
    pub async fn learn_tools(&self) -> Result<Vec<Value>> {
        let tools = self.list("tools/list", "tools").await?;
        let mut known = BTreeMap::new();
        for tool in &tools {
            let name = tool["name"].as_str().context("a tool has a name")?;
            let all = mirrored(&tool["inputSchema"]);
            let all = all.map_err(|wrong| anyhow::anyhow!("tool {name:?}: {wrong}"))?;
            known.insert(name.to_owned(), all);
        }
        *self.known_tools() = known;
        Ok(tools)
    }

    /// Calls a tool.
    pub async fn call(&self, tool: &str, arguments: Value) -> Result<Answered> {
        self.request("tools/call", json!({"name": tool, "arguments": arguments})).await
    }

    /// Calls a tool with arguments that are literal JSON, and arrive as they are.
    pub async fn call_literally(&self, tool: &str, arguments: &str) -> Result<Answered> {
        let params = format!(r#"{{"name":{},"arguments":{arguments}}}"#, json!(tool));
        self.open_literally("tools/call", &params).await?.answer().await
    }

    /// Reads a resource.
    pub async fn read(&self, uri: &str) -> Result<Answered> {
        self.request("resources/read", json!({"uri": uri})).await
    }

    /// Gets a prompt.
    pub async fn prompt(&self, name: &str, arguments: Value) -> Result<Answered> {
        self.request("prompts/get", json!({"name": name, "arguments": arguments})).await
    }

    /// Sends a request and reads its whole response. `_meta` is put into `params`.
    pub async fn request(&self, method: &str, params: Value) -> Result<Answered> {
        self.open(method, params).await?.answer().await
    }

    /// Sends a request again, byte for byte, with answers to what was asked and with the state that
    /// came with the questions.
    pub async fn answer(&self, asked: &Answered, responses: Value) -> Result<Answered> {
        let mut brought = format!(r#","inputResponses":{responses}"#);
        if let Some(state) = asked.request_state() {
            brought.push_str(&format!(r#","requestState":{}"#, Value::from(state)));
        }
        self.send(asked.method(), asked.literal_params(), &brought).await?.answer().await
    }

    /// Sends a request and hands over its response to be read message by message. Dropping that
    /// cancels the request.
    pub async fn open(&self, method: &str, params: Value) -> Result<Exchange> {
        self.open_literally(method, &params.to_string()).await
    }

    /// The same with `params` that are literal JSON.
    pub async fn open_literally(&self, method: &str, params: &str) -> Result<Exchange> {
        self.send(method, params, "").await
    }

    /// Sends `params` with `_meta` before and `brought` behind its own members.
    async fn send(&self, method: &str, params: &str, brought: &str) -> Result<Exchange> {
        let id = format!("\"r-{}\"", self.next.fetch_add(1, Relaxed));
        let members = params.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let members = members.context("params are no object")?;
        let comma = if members.trim().is_empty() { "" } else { "," };
        let meta = self.meta_of_a_request();
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{"_meta":{meta}{comma}{members}{brought}}}}}"#
        );
        let readable = readable(params.as_bytes());
        let response = self.post(method, &readable, body).await?;
        let asked = Asked {
            id,
            method: method.to_owned(),
            params: params.to_owned(),
            meta,
            tolerant: self.tolerant,
        };
        Exchange::new(asked, response)
    }

    /// Posts a body as it is, with the headers that a request of this method and these parameters
    /// has. The response is handed over unchecked.
    pub async fn post(
        &self,
        method: &str,
        params: &Value,
        body: impl Into<Bytes>,
    ) -> Result<Response> {
        let headers = self.headers_of(method, params);
        let headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.http.send(Method::POST, &headers, body.into()).await
    }

    /// Opens a subscription with this filter, and checks its acknowledgement.
    pub async fn listen(&self, filter: Value) -> Result<Listening> {
        let params = json!({"notifications": filter});
        let exchange = self.open("subscriptions/listen", params).await?;
        Listening::new(exchange, filter).await
    }

    /// The headers that a request of this method and these parameters has, as this client sends
    /// them.
    fn headers_of(&self, method: &str, params: &Value) -> BTreeMap<String, String> {
        let mut headers = BTreeMap::from([
            ("mcp-protocol-version".to_owned(), self.version.clone()),
            ("mcp-method".to_owned(), encoded(method)),
        ]);
        let name = match method {
            "tools/call" | "prompts/get" => params["name"].as_str(),
            "resources/read" => params["uri"].as_str(),
            "tasks/get" | "tasks/update" | "tasks/cancel" => params["taskId"].as_str(),
            _ => None,
        };
        if let Some(name) = name {
            headers.insert("mcp-name".to_owned(), encoded(name));
        }
        let tools = self.known_tools();
        let known = name.filter(|_| method == "tools/call").and_then(|tool| tools.get(tool));
        for one in known.into_iter().flatten() {
            if let Some(value) = text_of(&params["arguments"], &one.path) {
                let header = format!("mcp-param-{}", one.header.to_ascii_lowercase());
                headers.insert(header, encoded(&value));
            }
        }
        for (name, value) in &self.headers {
            match value {
                Some(value) => headers.insert(name.clone(), value.clone()),
                None => headers.remove(name),
            };
        }
        headers
    }

    fn meta_of_a_request(&self) -> Value {
        let mut meta = self.meta.clone();
        meta.entry(META_VERSION.to_owned()).or_insert_with(|| json!(self.version));
        meta.into_iter().filter(|(_, value)| !value.is_null()).collect()
    }

    fn known_tools(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Mirrored>>> {
        self.tools.lock().expect("no code panics while it holds the tools")
    }
}

/// Fails unless a server at this URL speaks the modern era.
pub async fn discover(url: &str) -> Result<Value> {
    let found = ModernClient::new(url).discover().await?.result()?;
    let versions = found["supportedVersions"].as_array().context("no supportedVersions")?;
    ensure!(versions.contains(&json!(VERSION)), "{VERSION} is not among {versions:?}");
    Ok(found)
}
