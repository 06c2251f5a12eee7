//! A small MCP client, over the same transports that vmcp uses towards backends.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use http::{HeaderMap, Uri};
use serde_json::{Value, json, value::RawValue};
use tokio_util::task::TaskTracker;
use vmcp_backend::{Backend, Endpoint, Session, Transport};
use vmcp_model::{BackendId, Kind, Method};
use vmcp_wire::Message;

use crate::{cli::Misuse, config};

/// How long a call may take: whoever waits for it can end it.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Pages of a list that are followed.
const PAGES: usize = 1000;

/// A session with a server.
pub(crate) struct Client {
    connection: Arc<Backend>,
    session: Session,
}

/// What an editor's file says to connect to this URL.
pub(crate) fn entry(url: &str) -> Value {
    json!({"mcpServers": {"vmcp": {"type": "http", "url": url}}})
}

/// A URL without what may be secret in it: who is named before its host, and its query.
pub(crate) fn shown(url: &str) -> &str {
    let url = url.split_once('?').map_or(url, |(before, _)| before);
    if url.contains('@') { "the URL" } else { url }
}

impl Client {
    /// Connects to a server, with headers for every request.
    pub(crate) async fn connect(
        url: &str,
        headers: HeaderMap,
        tasks: &TaskTracker,
    ) -> anyhow::Result<Self> {
        let shown = shown(url);
        let address: Uri = url.parse().map_err(|_invalid| Misuse(format!("{shown} is no URL")))?;
        if address.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            let advice = "the URL holds credentials; show them with --header 'Authorization: ...'";
            return Err(Misuse(advice.to_owned()).into());
        }
        let mut settings = vmcp_backend::Config::plain(BackendId::new("server")?, address.clone());
        let proxy = config::proxy(&address, &config::environment).map_err(Misuse)?;
        settings.transport =
            Transport::Http(Endpoint { headers, proxy, ..Endpoint::plain(address) });
        settings.timeouts.idle = PATIENCE;
        let connection = Backend::new(&settings, tasks.clone())?;
        let session = connection.open(&vmcp_backend::ClientView::nobody()).await;
        let session = session.with_context(|| format!("no session with {shown}"))?;
        Ok(Self { connection, session })
    }

    /// Asks something and gives the result.
    pub(crate) async fn ask(&self, method: Method, params: &Value) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(self.ask_raw(method, params).await?.get())?)
    }

    /// Backends of which the server said at the beginning that it misses them, as vmcp does.
    pub(crate) fn missing(&self) -> &[BackendId] {
        &self.session.facts().missing
    }

    /// Asks something and gives the result as the server wrote it.
    pub(crate) async fn ask_raw(
        &self,
        method: Method,
        params: &Value,
    ) -> anyhow::Result<Box<RawValue>> {
        self.ask_hearing(method, params, &mut |_notification| {}).await
    }

    /// The same; `hear` is given the notifications that come before the answer.
    pub(crate) async fn ask_hearing(
        &self,
        method: Method,
        params: &Value,
        hear: &mut (dyn FnMut(&Message) + Send),
    ) -> anyhow::Result<Box<RawValue>> {
        let params = params.to_string();
        let (session, params) = (&self.session, Some(params.as_bytes()));
        let answer = self.connection.ask_hearing(session, method, params, hear).await?;
        let Some(result) = answer.result() else {
            let answer: Value = serde_json::from_slice(answer.text())?;
            let said = answer["error"]["message"].as_str().filter(|said| !said.is_empty());
            bail!("{}", said.unwrap_or("the server refuses, and does not say why"));
        };
        Ok(serde_json::from_slice(result)?)
    }

    /// Everything of a kind that the server offers.
    pub(crate) async fn list(&self, kind: Kind) -> anyhow::Result<Vec<Value>> {
        let has = self.session.facts().has;
        // Some servers forget to declare what they have.
        let declares_any = has.tools || has.resources || has.prompts;
        let has = match kind {
            Kind::Tool => has.tools,
            Kind::Resource | Kind::ResourceTemplate => has.resources,
            Kind::Prompt => has.prompts,
        };
        let mut items = Vec::new();
        let mut cursor = None;
        for _ in 0..if has || !declares_any { PAGES } else { 0 } {
            let params =
                cursor.map_or_else(|| json!({}), |cursor: Value| json!({"cursor": cursor}));
            let mut result = match self.ask(kind.list_method(), &params).await {
                Err(_none) if !declares_any => break,
                result => result?,
            };
            if let Value::Array(more) = result[kind.list_member()].take() {
                items.extend(more);
            }
            cursor = Some(result["nextCursor"].take()).filter(Value::is_string);
            if cursor.is_none() {
                break;
            }
        }
        Ok(items)
    }

    /// Calls a tool and gives its result.
    pub(crate) async fn call(&self, name: &str, arguments: &Value) -> anyhow::Result<Value> {
        self.ask(Method::ToolsCall, &json!({"name": name, "arguments": arguments})).await
    }

    pub(crate) async fn close(self) -> anyhow::Result<()> {
        Ok(self.connection.close(&self.session).await?)
    }
}
