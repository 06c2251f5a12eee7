//! The audit log: one record for each request, notification, answer and stream, and what it says.
//!
//! Each request of a test has a name in `X-Request-Id`, by which its record is found when vmcp has ended and so has
//! written all there is.

mod ends;
mod files;
mod forms;
mod guarded;
mod leaving;
mod methods;
mod others;
mod settings;

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;
use vmcp_testkit::{
    client::{Client, Message},
    gateway::{Gateway, eventually},
    modern::{self, ModernServer, complete},
    modern_client::ModernClient,
    process::Process,
    raw::{self, Answer, Kind, RawServer},
};

use crate::serve;

/// The header that names a request.
const NAME: &str = "x-request-id";

/// A gateway that writes an audit log.
struct Audited {
    process: Process,
    directory: TempDir,
}

/// What an audit log holds.
struct Records(Vec<Value>);

impl Audited {
    /// Starts one with these keys of `audit` more.
    async fn start(gateway: &Gateway, keys: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("audit.log");
        let section = format!("audit: {{logFile: '{}'{keys}}}", file.display());
        let process = serve(&gateway.clone().with(&section)).await;
        Self { process, directory }
    }

    fn url(&self) -> String {
        self.process.url()
    }

    /// A client with a session of its own, whose requests so far are called `hello`.
    async fn connect(&self) -> Client {
        let mut client = Client::new(&self.url()).with_header(NAME, "hello");
        client.initialize().await.unwrap();
        client
    }

    /// A client of the modern era that can do everything.
    fn modern(&self) -> ModernClient {
        ModernClient::new(&self.url()).capable().tolerant()
    }

    /// The file's path.
    fn file(&self) -> PathBuf {
        self.directory.path().join("audit.log")
    }

    /// What is in the file now.
    fn so_far(&self) -> Records {
        let text = fs::read_to_string(self.file()).unwrap_or_default();
        // What comes behind the last newline is being written.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Records(lines(whole))
    }

    /// What is recorded of the request of this name, once something is.
    async fn recorded(&self, name: &str) -> Vec<String> {
        eventually("there is a record", async || {
            let told = self.so_far().of(name);
            (!told.is_empty()).then_some(told)
        })
        .await
    }

    /// Ends vmcp and gives all that it has recorded.
    async fn end(self) -> Records {
        let Self { process, directory } = self;
        assert!(process.terminate().await.unwrap().success());
        Records(lines(&fs::read_to_string(directory.path().join("audit.log")).unwrap()))
    }
}

impl Records {
    /// What each record of the request of this name says, in the order of the file.
    fn of(&self, name: &str) -> Vec<String> {
        self.whole(name).into_iter().map(told).collect()
    }

    /// The records of the request of this name.
    fn whole(&self, name: &str) -> Vec<&Value> {
        let is_of = |record: &&Value| record["source"]["extra"]["request_id"] == name;
        self.0.iter().filter(is_of).collect()
    }

    /// Checks that each name has just the one record that says this.
    fn assert_each<'a>(&self, expected: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let wrong: Vec<_> = expected
            .into_iter()
            .filter(|(name, expected)| self.of(name) != [*expected])
            .map(|(name, expected)| {
                format!("{name}\n  expected {expected}\n  recorded {:?}", self.of(name))
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    /// How many records each type has.
    fn by_type(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for record in &self.0 {
            *counts.entry(record["type"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        counts
    }
}

/// The lines of a log, each of which must be JSON.
fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What matters of a record, in one line: type, outcome, method, what is used, its backend, why it failed, the code
/// of the error, the status.
fn told(record: &Value) -> String {
    let extra = &record["metadata"]["extra"];
    let target = &record["target"];
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let used = match (text(&target["type"]), text(&target["name"])) {
        (None, None) => None,
        (kind, name) => Some(format!("{}={}", kind.unwrap_or_default(), name.unwrap_or_default())),
    };
    assert_eq!(target["backend"], extra["backend_name"], "{record}");
    let parts = [
        text(&record["type"]),
        text(&record["outcome"]),
        text(&target["method"]),
        used,
        text(&target["backend"]).map(|backend| format!("@{backend}")),
        text(&extra["reason"]),
        text(&extra["jsonrpc_error_code"]).map(|code| format!("code {code}")),
        text(&extra["http_status"]),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A client of either era.
enum Asker {
    Legacy(Client),
    Modern(ModernClient),
}

impl Asker {
    async fn both(audited: &Audited) -> [(&'static str, Self); 2] {
        let legacy = audited.connect().await;
        [("legacy", Self::Legacy(legacy)), ("modern", Self::Modern(audited.modern()))]
    }

    /// Sends a request of this name and reads its whole response. Gives the status and the error's code.
    async fn ask(&self, name: &str, method: &str, params: Value) -> (u16, Option<i64>) {
        let (status, answer): (_, Message) = match self {
            Self::Legacy(client) => {
                let client = client.clone().with_header(NAME, name);
                let mut response = client.open("1", method, &params.to_string()).await.unwrap();
                (response.status(), response.answer("1").await.unwrap())
            }
            Self::Modern(client) => {
                let client = client.clone().header(NAME, name);
                let answered = client.request(method, params).await.unwrap();
                (answered.status(), answered.message().clone())
            }
        };
        (status.as_u16(), answer.json()["error"]["code"].as_i64())
    }
}

/// A definition of a tool that takes anything.
fn tool(name: &str) -> String {
    format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#)
}

/// A result that says that the tool has failed, with so many bytes of text.
fn failing(bytes: usize) -> String {
    format!(r#""content":[{{"type":"text","text":"{}"}}],"isError":true"#, "x".repeat(bytes))
}

/// More than is read whole of an answer before it is passed on.
const LARGE: usize = 300_000;

/// A server of the legacy era, with a tool for each way to end; resources and prompts are at `name`.
fn legacy_server(name: &str) -> RawServer {
    let content = format!(r#"{{"contents":[{{"uri":"{name}://one","text":"one"}}]}}"#);
    let prompt = r#"{"messages":[{"role":"user","content":{"type":"text","text":"prompt"}}]}"#;
    RawServer::builder()
        .tool(&tool("fine"), Answer::text("fine"))
        .tool(&tool("fails"), format!("{{{}}}", failing(1)))
        .tool(&tool("fails_large"), format!("{{{}}}", failing(LARGE)))
        .tool(&tool("wrong"), Answer::error(-7, "wrong"))
        .tool(&tool("hang"), Answer::Hang)
        .tool(&tool("cut"), Answer::CutOff(LARGE as u64))
        .tool(&tool("close"), Answer::Close)
        .resource(&format!(r#"{{"uri":"{name}://one","name":"one"}}"#), content)
        .resource(&format!(r#"{{"uri":"{name}://bad","name":"bad"}}"#), Answer::error(-9, "bad"))
        .prompt(r#"{"name":"fine"}"#, prompt)
        .prompt(r#"{"name":"bad"}"#, Answer::error(-8, "bad"))
        .script("completion/complete", raw::fixed(r#"{"completion":{"values":["v"]}}"#))
        .script("resources/subscribe", raw::fixed("{}"))
        .script("logging/setLevel", raw::fixed("{}"))
        .capabilities(
            r#"{"tools":{},"resources":{"subscribe":true},"prompts":{},"completions":{},"logging":{}}"#,
        )
}

/// The same in the modern era.
fn modern_server(name: &str) -> ModernServer {
    let content = format!(r#""contents":[{{"uri":"{name}://one","text":"one"}}]"#);
    let prompt = r#""messages":[{"role":"user","content":{"type":"text","text":"prompt"}}]"#;
    ModernServer::builder()
        .tool(&tool("fine"), modern::text("fine"))
        .tool(&tool("fails"), complete(&failing(1)))
        .tool(&tool("fails_large"), complete(&failing(LARGE)))
        .tool(&tool("wrong"), modern::error(-7, "wrong"))
        .tool(&tool("hang"), Answer::Hang)
        .tool(&tool("cut"), Answer::CutOff(LARGE as u64))
        .tool(&tool("close"), Answer::Close)
        .resource(&format!(r#"{{"uri":"{name}://one","name":"one"}}"#), complete(&content))
        .resource(&format!(r#"{{"uri":"{name}://bad","name":"bad"}}"#), modern::error(-9, "bad"))
        .prompt(r#"{"name":"fine"}"#, complete(prompt))
        .prompt(r#"{"name":"bad"}"#, modern::error(-8, "bad"))
        .script("completion/complete", modern::fixed(complete(r#""completion":{"values":["v"]}"#)))
}

fn named(name: &str) -> Value {
    json!({"name": name, "arguments": {}})
}

fn uri(uri: &str) -> Value {
    json!({"uri": uri})
}
