//! The round of the pairing test, and how it is asked for: `tools/pairings/rounds.py` in Rust.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use anyhow::{Context as _, Error, Result};
use rmcp::service::ServiceError;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, stdin, stdout},
    process::Command,
    time::{Instant, sleep, timeout},
};

use crate::RustClient;

const STEP: Duration = Duration::from_secs(20);
/// What is sent before an answer, or with it, may be read a moment after it.
const SETTLING: Duration = Duration::from_secs(3);
const TOOLS: [&str; 9] =
    ["echo", "add", "count", "work", "ask", "sample", "roots", "unlock", "grow"];
const STEPS: [&str; 12] = [
    "list", "resource", "prompt", "echo", "add", "count", "work", "ask", "sample", "roots",
    "unlock", "grow",
];

/// What the driver asks for, in one line.
#[derive(Deserialize)]
struct Job {
    #[serde(rename = "do")]
    kind: Kind,
    url: Option<String>,
    #[serde(default)]
    command: Vec<String>,
    prefix: String,
    #[serde(default)]
    server: String,
    #[serde(default)]
    mark: String,
    seconds: u64,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Round,
    List,
}

/// One connection, on which every step is taken.
struct Round {
    client: RustClient,
    job: Job,
}

/// Answers a line of standard input with one of standard output, until there are no more.
pub async fn answer_jobs() -> Result<()> {
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let job: Job = serde_json::from_str(&line)?;
        let patience = Duration::from_secs(job.seconds);
        let answer = match timeout(patience, answer(job)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => json!({"failed": kind_of(&error)}),
            Err(_elapsed) => json!({"failed": "nothing in time"}),
        };
        stdout().write_all(format!("{answer}\n").as_bytes()).await?;
        stdout().flush().await?;
    }
    Ok(())
}

async fn answer(job: Job) -> Result<Value> {
    let mut program = None;
    let client = if let Some(url) = &job.url {
        RustClient::connect(url).await?
    } else {
        let (command, arguments) = job.command.split_first().context("a command without words")?;
        let child = program.insert(
            Command::new(command)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?,
        );
        let pipes = child.stdout.take().zip(child.stdin.take()).context("it has its pipes")?;
        RustClient::over(pipes).await?
    };
    let mut round = Round { client, job };
    let answer = match round.job.kind {
        Kind::List => json!({"tools": round.every_name().await?}),
        Kind::Round => json!(round.run().await?),
    };
    // All is said; how the server takes the end is no step.
    let _ = round.client.close().await;
    if let Some(mut child) = program {
        // It ends with its input, or else with this value.
        let _ = timeout(STEP, child.wait()).await;
    }
    Ok(answer)
}

impl Round {
    async fn run(&mut self) -> Result<BTreeMap<&'static str, String>> {
        let greeting = self.client.server();
        let mut seen = BTreeMap::new();
        seen.insert("era", text_at(&greeting, "/protocolVersion"));
        if greeting["capabilities"]["logging"].is_object() {
            self.client.ask("logging/setLevel", json!({"level": "info"})).await?;
        }
        for step in STEPS {
            let said = match timeout(STEP, self.step(step)).await {
                Ok(Ok(said)) => said,
                Ok(Err(error)) => format!("error: {}", kind_of(&error)),
                Err(_elapsed) => "error: nothing in time".to_owned(),
            };
            seen.insert(step, said);
        }
        Ok(seen)
    }

    async fn step(&self, name: &str) -> Result<String> {
        match name {
            "list" => {
                // Other clients have left tools of their own on a server that all share.
                let mut names = self.names().await?;
                names.retain(|name| TOOLS.contains(&name.as_str()));
                Ok(names.join(","))
            }
            "resource" => self.resource().await,
            "prompt" => self.prompt().await,
            "echo" => self.call("echo", json!({"message": "hello"})).await,
            "add" => {
                let result = self.result("add", json!({"a": 2, "b": 3})).await?;
                let sum = result.pointer("/structuredContent/sum").and_then(Value::as_f64);
                Ok(sum.map(|sum| sum.to_string()).unwrap_or_default())
            }
            "count" => {
                let mut said = Vec::new();
                for _ in 0..3 {
                    said.push(self.call("count", json!({})).await?);
                }
                Ok(said.join(","))
            }
            "work" => self.work().await,
            "unlock" => self.unlock().await,
            "grow" => self.call("grow", json!({"tool": format!("grown_{}", self.job.mark)})).await,
            question => self.call(question, json!({})).await,
        }
    }

    async fn result(&self, tool: &str, arguments: Value) -> Result<Value> {
        let name = format!("{}{tool}", self.job.prefix);
        let params = json!({"name": name, "arguments": arguments});
        let result = self.client.settle("tools/call", params).await?;
        anyhow::ensure!(result["isError"] != true, OfTool);
        Ok(result)
    }

    async fn call(&self, tool: &str, arguments: Value) -> Result<String> {
        Ok(text_at(&self.result(tool, arguments).await?, "/content/0/text"))
    }

    /// The names, or whatever else stands under `key`, of every page of a list.
    async fn every(&self, method: &str, list: &str, key: &str) -> Result<Vec<String>> {
        let (mut found, mut params) = (Vec::new(), json!({}));
        loop {
            let page = self.client.ask(method, params).await?;
            for one in page[list].as_array().into_iter().flatten() {
                found.push(text_at(one, &format!("/{key}")));
            }
            let Some(cursor) = page["nextCursor"].as_str() else { return Ok(found) };
            params = json!({"cursor": cursor});
        }
    }

    async fn every_name(&self) -> Result<Vec<String>> {
        self.every("tools/list", "tools", "name").await
    }

    /// The names of the server's tools.
    async fn names(&self) -> Result<Vec<String>> {
        let every = self.every_name().await?;
        let own = every.iter().filter_map(|name| name.strip_prefix(&self.job.prefix));
        Ok(own.map(str::to_owned).collect())
    }

    async fn resource(&self) -> Result<String> {
        let uri = format!("memo://{}/note", self.job.server);
        let is_listed = self.every("resources/list", "resources", "uri").await?.contains(&uri);
        let read = self.client.settle("resources/read", json!({"uri": uri})).await?;
        Ok(format!("{}; {}", presence(is_listed), text_at(&read, "/contents/0/text")))
    }

    async fn prompt(&self) -> Result<String> {
        let name = format!("{}greet", self.job.prefix);
        let is_listed = self.every("prompts/list", "prompts", "name").await?.contains(&name);
        let params = json!({"name": name, "arguments": {"who": "Ann"}});
        let got = self.client.settle("prompts/get", params).await?;
        Ok(format!("{}; {}", presence(is_listed), text_at(&got, "/messages/0/content/text")))
    }

    async fn work(&self) -> Result<String> {
        let heard = |what| self.client.heard(what);
        let (progress, logs) = ("notifications/progress", "notifications/message");
        let before = (heard(progress), heard(logs));
        let said = self.call("work", json!({"steps": 3})).await?;
        let came = || (heard(progress) - before.0, heard(logs) - before.1);
        until(|| came().0 >= 3 && came().1 >= 3).await;
        Ok(format!("{said}; progress {}, logs {}", came().0, came().1))
    }

    /// A tool that appears in mid-session, is listed, and can be called.
    async fn unlock(&self) -> Result<String> {
        let secret = format!("secret_{}", self.job.mark);
        let changes = || self.client.heard("notifications/tools/list_changed");
        let before = changes();
        let said = self.call("unlock", json!({"tool": secret})).await?;
        let told = if until(|| changes() > before).await { "told" } else { "not told" };
        let end = Instant::now() + SETTLING;
        let mut is_listed = self.names().await?.contains(&secret);
        while !is_listed && Instant::now() < end {
            sleep(Duration::from_millis(100)).await;
            is_listed = self.names().await?.contains(&secret);
        }
        let called = match self.call(&secret, json!({})).await {
            Ok(said) => said,
            Err(error) => format!("error: {}", kind_of(&error)),
        };
        Ok(format!("{said}; {told}; {}; {called}", presence(is_listed)))
    }
}

/// A tool's own error.
#[derive(Debug)]
struct OfTool;

impl std::fmt::Display for OfTool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("of the tool")
    }
}

/// Of which kind an error is.
fn kind_of(error: &Error) -> String {
    if let Some(ServiceError::McpError(error)) = error.downcast_ref() {
        return error.code.0.to_string();
    }
    error.downcast_ref::<OfTool>().map_or_else(|| error.to_string(), ToString::to_string)
}

fn presence(is_listed: bool) -> &'static str {
    if is_listed { "listed" } else { "not listed" }
}

fn text_at(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Waits for something that the client has been sent already.
async fn until(condition: impl Fn() -> bool) -> bool {
    let end = Instant::now() + SETTLING;
    while !condition() && Instant::now() < end {
        sleep(Duration::from_millis(20)).await;
    }
    condition()
}
