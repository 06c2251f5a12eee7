//! The modern era (2026-07-28) on either side: clients without sessions, backends without sessions, and
//! what becomes of a request when the other side speaks the legacy era.

mod cells;
mod errors;
mod fidelity;
mod headers;
mod kept;
mod leaving;
mod listen;
mod lists;
mod once;
mod schemas;
mod state;

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};
use vmcp_testkit::{
    client::{Client, Message},
    gateway::Gateway,
    modern::{self, Call, ModernServer, Speaks, complete},
    modern_client::ModernClient,
    process::Process,
    raw::{self, Kind, RawServer},
};

use crate::connect;

/// Both eras.
const ERAS: [Era; 2] = [Era::Modern, Era::Legacy];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Era {
    Modern,
    Legacy,
}

/// A client of each era, before one gateway.
struct Clients {
    modern: ModernClient,
    legacy: Client,
}

impl Clients {
    async fn of(process: &Process) -> Self {
        Self { modern: modern_client(process), legacy: connect(process).await }
    }

    /// Sends a request; `params` is literal JSON without `_meta`. The answer may be an error.
    async fn ask(&self, era: Era, method: &str, params: &str) -> Message {
        match era {
            Era::Legacy => self.legacy.request("1", method, params).await.unwrap(),
            Era::Modern => ask(&self.modern, method, params).await,
        }
    }

    /// Calls a tool; `arguments` is literal JSON.
    async fn call(&self, era: Era, tool: &str, arguments: &str) -> Message {
        let params = format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#);
        self.ask(era, "tools/call", &params).await
    }
}

/// A client of the modern era that can do everything.
fn modern_client(process: &Process) -> ModernClient {
    ModernClient::new(&process.url()).capable()
}

/// Sends a request whose `params` are literal JSON without `_meta`.
async fn ask(client: &ModernClient, method: &str, params: &str) -> Message {
    let exchange = client.open_literally(method, params).await.unwrap();
    exchange.answer().await.unwrap().message().clone()
}

/// A definition of a tool that takes anything.
fn tool(name: &str) -> String {
    format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#)
}

/// A server of the modern era that offers what [`legacy_peer`] offers, and is that in the legacy era
/// if it is made to speak it.
fn modern_peer(name: &str) -> ModernServer {
    let content = format!(r#""contents":[{{"uri":"{name}://one","text":"one"}}]"#);
    let item = format!(r#""contents":[{{"uri":"{name}://item/7","text":"item"}}]"#);
    let prompt = r#""messages":[{"role":"user","content":{"type":"text","text":"prompt"}}]"#;
    let [one, template] = resources(name);
    ModernServer::builder()
        .offer(
            Kind::Tools,
            &tool("echo"),
            modern::handler(async |call: Call| {
                let params = String::from_utf8_lossy(&call.params).into_owned();
                complete(&format!(r#""content":[],"structuredContent":{params}"#))
            }),
        )
        .offer(
            Kind::Tools,
            &tool("talk"),
            modern::handler(async |call: Call| {
                for level in ["debug", "warning", "error"] {
                    call.log(level, r#"{"n":1.10}"#).await.unwrap();
                }
                call.progress(1, 2).await.unwrap();
                modern::text("done")
            }),
        )
        .resource(&one, complete(&content))
        .offer(Kind::Templates, &template, modern::fixed(complete(&item)))
        .prompt(r#"{"name":"prompt"}"#, complete(prompt))
        .legacy(legacy_peer(name))
}

/// A server of the legacy era: tools `echo` and `talk`, a resource, a template, a prompt.
fn legacy_peer(name: &str) -> RawServer {
    let content = format!(r#"{{"contents":[{{"uri":"{name}://one","text":"one"}}]}}"#);
    let item = format!(r#"{{"contents":[{{"uri":"{name}://item/7","text":"item"}}]}}"#);
    let prompt = r#"{"messages":[{"role":"user","content":{"type":"text","text":"prompt"}}]}"#;
    let [one, template] = resources(name);
    RawServer::builder()
        .offer(
            Kind::Tools,
            &tool("echo"),
            raw::handler(|call: raw::Call| async move {
                let params = String::from_utf8_lossy(&call.params).into_owned();
                format!(r#"{{"content":[],"structuredContent":{params}}}"#).into()
            }),
        )
        .offer(
            Kind::Tools,
            &tool("talk"),
            raw::handler(|call: raw::Call| async move {
                for level in ["debug", "warning", "error"] {
                    let params = format!(r#"{{"level":"{level}","data":{{"n":1.10}}}}"#);
                    call.notify("notifications/message", &params).await.unwrap();
                }
                if let Some(token) = call.progress_token() {
                    let params = format!(r#"{{"progressToken":{token},"progress":1,"total":2}}"#);
                    call.notify("notifications/progress", &params).await.unwrap();
                }
                raw::Answer::text("done")
            }),
        )
        .resource(&one, content)
        .offer(Kind::Templates, &template, raw::fixed(item))
        .prompt(r#"{"name":"prompt"}"#, prompt)
}

fn resources(name: &str) -> [String; 2] {
    [
        format!(r#"{{"uri":"{name}://one","name":"one"}}"#),
        format!(r#"{{"uriTemplate":"{name}://item/{{id}}","name":"item"}}"#),
    ]
}

/// Backends of every kind: `new` is modern, `old` legacy, `both` is both.
struct Peers {
    new: modern::Running,
    old: raw::Running,
    both: modern::Running,
}

impl Peers {
    async fn start() -> Self {
        let both = modern_peer("both").speaks(Speaks::Both).start().await.unwrap();
        both.set_supported(&["2026-07-28", "2025-11-25"]);
        let new = modern_peer("new").start().await.unwrap();
        Self { new, old: legacy_peer("old").start().await.unwrap(), both }
    }

    fn gateway(&self) -> Gateway {
        let Self { new, old, both } = self;
        Gateway::before(&[("new", new.url()), ("old", old.url()), ("both", both.url())])
    }
}

/// The members of an object in their order, each value as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Members(Vec<(String, String)>);

impl Members {
    fn of(object: &str) -> Self {
        serde_json::from_str(object).unwrap()
    }

    /// The same without those of these names.
    fn without(mut self, names: &[&str]) -> Self {
        self.0.retain(|(name, _)| !names.contains(&name.as_str()));
        self
    }

    /// A member's value as it is written.
    fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(found, _)| found == name);
        &found.unwrap_or_else(|| panic!("no {name}: {self:?}")).1
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut all = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    all.push((name, value.get().to_owned()));
                }
                Ok(Members(all))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// What vmcp says that it is, as it writes it.
async fn server_info(client: &ModernClient) -> String {
    let discovered = client.discover().await.unwrap();
    let meta = Members::of(Members::of(discovered.literal_result().unwrap()).get("_meta"));
    meta.get(modern::META_SERVER_INFO).to_owned()
}

/// A number that `/status` says.
async fn status(process: &Process, member: &str) -> u64 {
    let (_, body) = vmcp_testkit::client::fetch(&process.url_of("/status")).await.unwrap();
    let status: Value = serde_json::from_slice(&body).unwrap();
    status[member].as_u64().unwrap_or_else(|| panic!("no {member}: {status}"))
}
