//! No call runs twice: not when the era of a backend was guessed wrongly, not when a connection breaks,
//! not when a backend wants other headers than it did.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use vmcp_testkit::{
    client::Message,
    gateway::{Gateway, eventually},
    modern::{self, Call, ModernServer, Running, Speaks, header_mismatch, legacy_refusals},
    process::Process,
    raw::{self, Answer, Form, Kind, RawServer},
};

use super::{Clients, ERAS, Era, modern_client, tool};
use crate::{connect, serve};

/// How often each number was executed, in whatever era.
#[derive(Clone, Default)]
struct Executed(Arc<Mutex<BTreeMap<u64, u64>>>);

impl Executed {
    fn note(&self, number: Option<u64>) {
        *self.0.lock().unwrap().entry(number.unwrap_or_default()).or_default() += 1;
    }

    fn times(&self, number: u64) -> u64 {
        self.0.lock().unwrap().get(&number).copied().unwrap_or_default()
    }

    /// A server that notes what it executes, in either era.
    fn server(&self) -> ModernServer {
        let (new, old) = (self.clone(), self.clone());
        let legacy = RawServer::builder().offer(
            Kind::Tools,
            &tool("note"),
            raw::handler(move |call: raw::Call| {
                old.note(call.argument("n"));
                async { Answer::text("noted") }
            }),
        );
        let noting = modern::handler(move |call: Call| {
            new.note(call.argument("n"));
            async { modern::text("noted") }
        });
        ModernServer::builder().offer(Kind::Tools, &tool("note"), noting).legacy(legacy)
    }
}

fn succeeded(answer: &Message) -> bool {
    answer.json()["result"]["content"][0]["text"] == "noted"
}

/// A server that changes its era, and a gateway before it that has not heard of it.
struct Turning {
    executed: Executed,
    server: Running,
    clients: Clients,
    next: AtomicU64,
    _process: Process,
}

impl Turning {
    async fn start() -> Self {
        let executed = Executed::default();
        let server = executed.server().start().await.unwrap();
        let process = serve(&Gateway::before(&[("a", server.url())])).await;
        let clients = Clients::of(&process).await;
        Self { executed, server, clients, next: AtomicU64::new(1), _process: process }
    }

    /// Whether a call succeeds, which must have run then, once, and not at all otherwise.
    async fn call(&self, era: Era) -> bool {
        let number = self.next.fetch_add(1, Relaxed);
        let answer = self.clients.call(era, "a_note", &format!(r#"{{"n":{number}}}"#)).await;
        let succeeded = succeeded(&answer);
        assert_eq!(self.executed.times(number), u64::from(succeeded), "{era:?}: {answer:?}");
        succeeded
    }
}

/// Each way in which servers of the field refuse what they do not know, and back: the call heals what
/// vmcp believes and runs once.
#[tokio::test]
async fn a_server_that_changes_its_era_runs_each_call_once() {
    let turning = Turning::start().await;
    for (name, refusal) in legacy_refusals() {
        // With 200 it is an ordinary answer to a call.
        if name.contains("200") || name.contains("stream") {
            continue;
        }
        for era in ERAS {
            turning.server.set_speaks(Speaks::Legacy(refusal.clone()));
            assert!(turning.call(era).await, "{era:?}: {name}");
            turning.server.set_speaks(Speaks::Modern);
            assert!(turning.call(era).await, "{era:?}: back from {name}");
        }
    }
}

/// What cannot be told from an ordinary answer is one, until something else shows what has become of the
/// server.
#[tokio::test]
async fn a_change_that_shows_in_nothing_else_heals_with_the_stream() {
    let turning = Turning::start().await;
    let (_, refusal) =
        legacy_refusals().into_iter().find(|(name, _)| *name == "-32601 with 200").unwrap();
    turning.server.set_speaks(Speaks::Legacy(refusal));
    turning.call(Era::Modern).await;
    turning.server.break_subscriptions();
    eventually("it heals", async || turning.call(Era::Modern).await.then_some(())).await;
    assert!(turning.call(Era::Legacy).await);
}

/// Many calls at once while the server turns and turns: each runs once at most, and once if its client
/// is told so.
#[tokio::test]
async fn a_server_that_turns_while_it_is_called_runs_no_call_twice() {
    let executed = Executed::default();
    let server = executed.server().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let mut calling = JoinSet::new();
    for client in 0..6_u64 {
        let (process, executed) = (Clients::of(&process).await, executed.clone());
        let era = ERAS[usize::try_from(client % 2).unwrap()];
        calling.spawn(async move {
            let mut told = 0;
            for number in client * 1_000..client * 1_000 + 40 {
                let arguments = format!(r#"{{"n":{number}}}"#);
                let answer = process.call(era, "a_note", &arguments).await;
                let times = executed.times(number);
                assert!(times <= 1, "{number} ran {times} times: {answer:?}");
                assert!(times == 1 || !succeeded(&answer), "{number} did not run");
                told += u64::from(succeeded(&answer));
            }
            told
        });
    }
    let turning = async {
        let refusals = legacy_refusals();
        for turn in 0.. {
            let refusal = refusals[turn % refusals.len()].1.clone();
            server.set_speaks(match turn % 3 {
                0 => Speaks::Legacy(refusal),
                1 => Speaks::Both,
                _ => Speaks::Modern,
            });
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
    };
    let told = tokio::select! {
        () = turning => unreachable!("it turns for as long as there are calls"),
        told = calling.join_all() => told,
    };
    assert!(told.iter().sum::<u64>() > 0, "some calls must have got through: {told:?}");
}

/// Calls a tool, on a connection that was used before if it is to be one.
async fn call_behind(clients: &Clients, era: Era, used_before: bool, name: &str) -> Message {
    if used_before {
        clients.call(era, "a_fine", "{}").await.result().unwrap();
    }
    clients.call(era, &format!("a_{name}"), "{}").await
}

/// A backend that takes a call and breaks the connection may have run it, and nobody asks again: on a
/// new connection, and on one that was used before.
#[tokio::test]
async fn a_call_whose_connection_breaks_is_not_sent_again() {
    let mut server = ModernServer::builder().tool(&tool("fine"), modern::text("fine"));
    let broken: [(&str, Answer); 3] = [
        ("close", Answer::Close),
        ("cut", Answer::CutOff(5_000)),
        ("gone", Answer::Http { status: 502, content_type: None, body: "".into() }),
    ];
    for (name, answer) in &broken {
        server = server.tool(&tool(name), answer.clone());
    }
    let server = server.start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let clients = Clients::of(&process).await;
    let mut expected = 0;
    for form in [Form::Json, Form::Sse] {
        server.set_form(form);
        for (era, used_before) in ERAS.into_iter().flat_map(|era| [(era, false), (era, true)]) {
            expected += 1;
            for (name, _) in &broken {
                let answer = call_behind(&clients, era, used_before, name).await;
                let error = answer.json()["error"].clone();
                let told = (&error["code"], &error["data"]["backend"]);
                assert_eq!(told, (&json!(-32603), &json!("a")), "{era:?} {name}: {answer:?}");
                assert_eq!(server.counters().executions(name), expected, "{era:?} {name}");
            }
        }
    }
}

/// What a backend refuses for the moment is the client's to send again.
#[tokio::test]
async fn a_refused_call_is_not_sent_again() {
    let executed = Executed::default();
    let server = executed.server().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let clients = Clients::of(&process).await;
    let mut number = 0;
    for status in [401, 403, 408, 429, 500, 502, 503, 504] {
        for era in ERAS {
            number += 1;
            let before = server.counters().requests("tools/call");
            let refusal = Answer::Http { status, content_type: None, body: "".into() };
            server.next("tools/call", &refusal, 1);
            let arguments = format!(r#"{{"n":{number}}}"#);
            let answer = clients.call(era, "a_note", &arguments).await;
            assert_eq!(answer.error_code().unwrap(), -32603, "{status} {era:?}");
            assert_eq!(server.counters().requests("tools/call"), before + 1, "{status} {era:?}");
            assert_eq!(executed.times(number), 0);
        }
    }
}

const WANTING: &str = r#"{"name":"note","inputSchema":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}"#;

/// A tool that begins to want a header refuses a call without; vmcp asks what it wants now, and the call
/// runs once.
#[tokio::test]
async fn a_call_that_lacks_a_header_runs_once_with_it() {
    let executed = Executed::default();
    let server = executed.server().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    for (round, era) in ERAS.into_iter().enumerate() {
        let clients = Clients::of(&process).await;
        let number = 10 * (round as u64 + 1);
        let call = async |number: u64| -> Message {
            clients.call(era, "a_note", &format!(r#"{{"n":{number}}}"#)).await
        };
        assert!(succeeded(&call(number).await));
        let noting = executed.clone();
        let noting = modern::handler(move |call: Call| {
            noting.note(call.argument("n"));
            async { modern::text("noted") }
        });
        server.put(Kind::Tools, WANTING, Arc::clone(&noting));
        let healed = call(number + 1).await;
        assert!(succeeded(&healed), "{era:?}: {healed:?}");
        assert_eq!(executed.times(number + 1), 1);
        let seen = server.last("tools/call").unwrap();
        assert_eq!(seen.header("mcp-param-n"), Some(&*(number + 1).to_string()));
        // From then on the catalog has it.
        eventually("the list is read again", async || {
            let listed = modern_client(&process).list("tools/list", "tools").await.unwrap();
            listed[0]["inputSchema"]["properties"]["n"]["x-mcp-header"].is_string().then_some(())
        })
        .await;
        if era == Era::Modern {
            assert_eq!(call(number + 2).await.error_code().unwrap(), -32020, "list it again");
            clients.modern.learn_tools().await.unwrap();
            let arguments = json!({"n": number + 3});
            clients.modern.call("a_note", arguments).await.unwrap().result().unwrap();
        } else {
            assert!(succeeded(&call(number + 3).await));
        }
        assert_eq!((executed.times(number + 2), executed.times(number + 3)), (0, 1));
        server.put(Kind::Tools, &tool("note"), noting);
        server.list_changed(Kind::Tools);
        eventually("the list is read again", async || {
            let listed = modern_client(&process).list("tools/list", "tools").await.unwrap();
            listed[0]["inputSchema"]["properties"].is_null().then_some(())
        })
        .await;
    }
}

/// One that is never content is asked twice, and no more.
#[tokio::test]
async fn a_backend_that_refuses_all_headers_is_asked_twice() {
    let executed = Executed::default();
    let server = executed.server().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let clients = Clients::of(&process).await;
    for era in ERAS {
        let before = server.counters().requests("tools/call");
        server.next("tools/call", &header_mismatch("never content"), 5);
        let answer = clients.call(era, "a_note", r#"{"n":1}"#).await;
        server.forget_next();
        let error: Value = answer.json()["error"].clone();
        let told = (&error["code"], &error["data"]["backend"]);
        assert_eq!(told, (&json!(-32603), &json!("a")), "no fault of the client's: {answer:?}");
        assert_eq!(server.counters().requests("tools/call"), before + 2);
    }
    assert_eq!(executed.times(1), 0);
    let legacy = connect(&process).await;
    assert!(succeeded(&legacy.call("1", "a_note", r#"{"n":2}"#).await.unwrap()));
}
