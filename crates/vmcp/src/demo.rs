//! `vmcp demo`: two small backends inside this process, served as one, and a walk through them.
//!
//! The walk is what any client does, over a real connection: initialize, list, call, read, get.

mod backend;
mod calculator;
mod notebook;

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use tracing::Level;
use vmcp_backend::{Backend, ClientView, Session};
use vmcp_model::ProtocolVersion;

use crate::{
    cli,
    compose::{self, ENDPOINT},
    config, logging,
    output::line,
    serve::{control_runtime, stop_signal},
};

pub(crate) fn run(options: &cli::Demo, debug: bool) -> anyhow::Result<()> {
    logging::start(if debug { Level::DEBUG } else { Level::WARN });
    control_runtime()?.block_on(async {
        let stopped = stop_signal()?;
        let tasks = TaskTracker::new();
        let calculator = backend::start(calculator::SERVER, &tasks).await?;
        let notebook = backend::start(notebook::SERVER, &tasks).await?;
        line(format_args!("Two backends are up, each an MCP server of its own:"))?;
        line(format_args!("  calculator  http://{calculator}/mcp"))?;
        line(format_args!("  notebook    http://{notebook}/mcp"))?;
        let text = configuration(calculator, notebook);
        let configuration = config::parse(&text, "demo", &|_name| None)?;
        let listen = SocketAddr::from(([127, 0, 0, 1], options.port));
        let running = compose::start(configuration, listen)
            .await
            .context("if the port is taken, choose another one with --port")?;
        let url = format!("http://{}{ENDPOINT}", running.address);
        line(format_args!("vmcp serves both as one at {url}"))?;
        let walked = walk(&url, &tasks).await;
        if options.once || walked.is_err() {
            running.stop().await?;
            return walked;
        }
        how_to_connect(&url)?;
        stopped.await;
        running.stop().await
    })
}

/// The configuration that a user would write for the two.
fn configuration(calculator: SocketAddr, notebook: SocketAddr) -> String {
    format!(
        "name: demo\n\
         backends:\n\
         - {{name: calculator, url: \"http://{calculator}/mcp\"}}\n\
         - {{name: notebook, url: \"http://{notebook}/mcp\"}}\n\
         incomingAuth: {{type: anonymous}}\n\
         outgoingAuth: {{source: inline}}\n\
         aggregation:\n  \
           conflictResolution: prefix\n  \
           conflictResolutionConfig: {{prefixFormat: \"{{workload}}_\"}}\n"
    )
}

/// Does what a client does, and shows what comes back.
async fn walk(url: &str, tasks: &TaskTracker) -> anyhow::Result<()> {
    let client = Client::connect(url, tasks).await?;
    line(format_args!("\nA client connects and sees one catalog:"))?;
    for (method, member, key) in [
        ("tools/list", "tools", "name"),
        ("resources/list", "resources", "uri"),
        ("prompts/list", "prompts", "name"),
    ] {
        let result = client.ask(method, &json!({})).await?;
        for item in result[member].as_array().into_iter().flatten() {
            let (name, text) = (item[key].as_str(), item["description"].as_str());
            let (name, text) = (name.unwrap_or("?"), text.unwrap_or(""));
            line(format_args!("  {:<9}  {name:<24}  {text}", member.trim_end_matches('s')))?;
        }
    }
    line(format_args!("\nIt calls a tool of each, reads a resource and gets a prompt:"))?;
    let sum = client.call("calculator_add", &json!({"a": 2, "b": 40})).await?;
    line(format_args!("  calculator_add {{a: 2, b: 40}}  ->  {sum}"))?;
    client.call("notebook_write", &json!({"text": "the answer is 42"})).await?;
    let notes = client.call("notebook_read", &json!({})).await?;
    line(format_args!("  notebook_write, then notebook_read  ->  {notes}"))?;
    let resource = client.ask("resources/read", &json!({"uri": "note://welcome"})).await?;
    let text = resource["contents"][0]["text"].as_str().unwrap_or_default();
    line(format_args!("  note://welcome  ->  {text}"))?;
    let prompt = client.ask("prompts/get", &json!({"name": "notebook_summarize"})).await?;
    let text = prompt["messages"][0]["content"]["text"].as_str().unwrap_or_default();
    line(format_args!("  notebook_summarize  ->  {text}"))?;
    if sum != "42" || !notes.contains("the answer is 42") {
        bail!("the demo's backends answered something else than they should");
    }
    client.close().await
}

fn how_to_connect(url: &str) -> anyhow::Result<()> {
    line(format_args!("\nConnect an editor or another client: add this to its MCP servers,"))?;
    line(format_args!("  {}", json!({"mcpServers": {"vmcp": {"type": "http", "url": url}}})))?;
    line(format_args!("or look around with the inspector:"))?;
    line(format_args!(
        "  npx @modelcontextprotocol/inspector --cli {url} --transport http --method tools/list"
    ))?;
    line(format_args!("\nServing until Ctrl-C."))
}

/// A client of vmcp, over the same transport that vmcp uses towards backends.
struct Client {
    connection: Arc<Backend>,
    session: Session,
}

impl Client {
    async fn connect(url: &str, tasks: &TaskTracker) -> anyhow::Result<Self> {
        let id = vmcp_model::BackendId::new("vmcp")?;
        let config = vmcp_backend::Config::plain(id, url.parse()?);
        let connection = Backend::new(&config, tasks.clone())?;
        let version = ProtocolVersion::LATEST_LEGACY;
        let capabilities = Bytes::from_static(b"{}");
        let session = connection.open(&ClientView { version, capabilities }).await?;
        Ok(Self { connection, session })
    }

    async fn ask(&self, method: &str, params: &Value) -> anyhow::Result<Value> {
        let params = params.to_string();
        let answer = self.connection.ask(&self.session, method, Some(params.as_bytes())).await?;
        let Some(result) = answer.result() else {
            bail!("{method} failed: {}", String::from_utf8_lossy(answer.text()));
        };
        Ok(serde_json::from_slice(result)?)
    }

    /// Calls a tool and gives the text it answers.
    async fn call(&self, name: &str, arguments: &Value) -> anyhow::Result<String> {
        let result = self.ask("tools/call", &json!({"name": name, "arguments": arguments})).await?;
        Ok(result["content"][0]["text"].as_str().unwrap_or_default().to_owned())
    }

    async fn close(self) -> anyhow::Result<()> {
        Ok(self.connection.close(&self.session).await?)
    }
}
