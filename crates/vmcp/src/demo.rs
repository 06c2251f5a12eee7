//! `vmcp demo`: two small backends inside this process, served as one, and a walk through them.
//!
//! The walk is what any client does, over a real connection: initialize, list, call, read, get.

mod backend;
mod calculator;
mod notebook;

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use http::HeaderMap;
use serde_json::json;
use tokio_util::task::TaskTracker;
use tracing::Level;
use vmcp_model::{Kind, Method};

use crate::{
    cli,
    client::{self, Client},
    compose::{self, ENDPOINT},
    config,
    logging::Logging,
    output::line,
    serve::control_runtime,
    stop::{Hangup, Stop},
};

pub(crate) fn run(options: &cli::Demo, logging: Logging) -> anyhow::Result<()> {
    logging.start_for_people(Level::WARN);
    control_runtime()?.block_on(async {
        let mut stop = Stop::listen(Hangup::Stops)?;
        let tasks = TaskTracker::new();
        let calculator = backend::start(calculator::SERVER, &tasks).await?;
        let notebook = backend::start(notebook::SERVER, &tasks).await?;
        line(format_args!("Two backends are up, each an MCP server of its own:"))?;
        line(format_args!("  calculator  http://{calculator}/mcp"))?;
        line(format_args!("  notebook    http://{notebook}/mcp"))?;
        let text = configuration(calculator, notebook);
        let configuration = config::parse(&text, "demo", &|_name| None)?;
        let listen = SocketAddr::from(([127, 0, 0, 1], options.port));
        let running = compose::start(configuration, listen, None, None)
            .await
            .context("if the port is taken, choose another one with --port")?;
        let url = format!("http://{}{ENDPOINT}", running.address);
        line(format_args!("vmcp serves both as one at {url}"))?;
        let walked = walk(&url, &tasks).await;
        if options.once || walked.is_err() {
            running.stop(stop.told()).await?;
            return walked;
        }
        how_to_connect(&url)?;
        stop.told().await;
        running.stop(stop.told_again()).await?;
        Ok(())
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
    let client = Client::connect(url, HeaderMap::new(), tasks).await?;
    line(format_args!("\nA client connects and sees one catalog:"))?;
    for kind in [Kind::Tool, Kind::Resource, Kind::Prompt] {
        for item in client.list(kind).await? {
            let name = item[kind.key()].as_str().unwrap_or("?");
            let text = item["description"].as_str().unwrap_or_default();
            line(format_args!("  {:<9}  {name:<24}  {text}", kind.noun()))?;
        }
    }
    line(format_args!("\nIt calls a tool of each, reads a resource and gets a prompt:"))?;
    let sum = text_of(&client.call("calculator_add", &json!({"a": 2, "b": 40})).await?);
    line(format_args!("  calculator_add {{a: 2, b: 40}}  ->  {sum}"))?;
    client.call("notebook_write", &json!({"text": "the answer is 42"})).await?;
    let notes = text_of(&client.call("notebook_read", &json!({})).await?);
    line(format_args!("  notebook_write, then notebook_read  ->  {notes}"))?;
    let resource = client.ask(Method::ResourcesRead, &json!({"uri": "note://welcome"})).await?;
    let text = resource["contents"][0]["text"].as_str().unwrap_or_default();
    line(format_args!("  note://welcome  ->  {text}"))?;
    let prompt = client.ask(Method::PromptsGet, &json!({"name": "notebook_summarize"})).await?;
    let text = prompt["messages"][0]["content"]["text"].as_str().unwrap_or_default();
    line(format_args!("  notebook_summarize  ->  {text}"))?;
    if sum != "42" || !notes.contains("the answer is 42") {
        bail!("the demo's backends answered something else than they should");
    }
    client.close().await
}

/// The text that a tool answers.
fn text_of(result: &serde_json::Value) -> String {
    result["content"][0]["text"].as_str().unwrap_or_default().to_owned()
}

fn how_to_connect(url: &str) -> anyhow::Result<()> {
    line(format_args!("\nConnect an editor or another client: add this to its MCP servers,"))?;
    line(format_args!("  {}", client::entry(url)))?;
    line(format_args!("or look around with the inspector:"))?;
    line(format_args!(
        "  npx @modelcontextprotocol/inspector --cli {url} --transport http --method tools/list"
    ))?;
    line(format_args!("\nServing until Ctrl-C."))
}
