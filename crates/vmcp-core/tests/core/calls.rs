//! Calls that are answered: as a whole, large or as a stream, in all pairs of eras; and what is recorded
//! of each.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use vmcp_core::{Alias, CallEvent};
use vmcp_model::{Era, LogLevel, Method};
use vmcp_testkit::{
    modern,
    raw::{self, Answer, Form, Kind, RawServer},
};
use vmcp_wire::Fault;

use crate::{
    client::{Client, all_of, end_of, next_piece, text_of},
    world::{
        BOTH, Legacy, Modern, Setup, World, legacy, modern as modern_server, plain_legacy,
        plain_modern, tool,
    },
};

/// What a call of a tool takes that takes its time.
const TIME: Duration = Duration::from_millis(8);

/// The same as it is told: the upper bound of what is not told apart.
const TOLD: Duration = Duration::from_micros(8192);

fn slow_legacy(answer: Answer) -> Legacy {
    let answer = raw::handler(move |_call| {
        let answer = answer.clone();
        async move {
            tokio::time::sleep(TIME).await;
            answer
        }
    });
    legacy("t", answer)
}

fn slow_modern(answer: Answer) -> Modern {
    let answer = modern::handler(move |_call| {
        let answer = answer.clone();
        async move {
            tokio::time::sleep(TIME).await;
            answer
        }
    });
    modern_server("t", answer)
}

async fn before_both(old: &Legacy, new: &Modern) -> (World, [Client; 2]) {
    let world = Setup::new().with("old", old).with("new", new).begin();
    let clients = [world.client(Era::Legacy).await, world.client(Era::Modern).await];
    (world, clients)
}

#[tokio::test(start_paused = true)]
async fn each_era_is_answered_by_each_era() {
    let (old, new) = (plain_legacy(), plain_modern());
    let (world, clients) = before_both(&old, &new).await;
    for client in clients {
        for (name, said) in [("old_t", "legacy"), ("new_t", "modern")] {
            let answer = client.answer(name).await;
            assert_eq!((text_of(&answer), &answer["id"]), (said, &7.into()), "{name}");
        }
    }
    assert_eq!((world.tool_calls("old"), world.tool_calls("new")), ((2, 0, 0), (2, 0, 0)));
    assert_eq!((world.under_way(), old.counters().calls("t")), (0, 2));
    assert_eq!((new.counters().executions("t"), new.refusals()), (2, vec![]));
}

#[tokio::test(start_paused = true)]
async fn between_legacy_parties_an_answer_passes_byte_for_byte() {
    let result = r#"{"content" : [], "big":12345678901234567890, "x":"\u0041"}"#;
    let server = legacy("t", raw::fixed(result));
    let (_world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let whole = client.call("a_t").await.whole();
    let expected = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{result}}}"#);
    assert_eq!((&whole.text[..], whole.error), (expected.as_bytes(), None));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_crosses_eras_says_what_the_other_era_wants() {
    let (old, new) = (plain_legacy(), plain_modern());
    let (_world, [before, now]) = before_both(&old, &new).await;
    let modernized = now.answer("old_t").await;
    assert_eq!(modernized["result"]["resultType"], "complete");
    let server_info = &modernized["result"]["_meta"]["io.modelcontextprotocol/serverInfo"];
    assert_eq!(server_info["name"], "vmcp");
    let antiquated = before.answer("new_t").await;
    assert!(antiquated["result"]["resultType"].is_null(), "{antiquated}");
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_is_recorded_with_the_time_that_it_took() {
    let (old, new) = (slow_legacy(Answer::text("x")), slow_modern(modern::text("x")));
    let (world, clients) = before_both(&old, &new).await;
    for client in clients {
        client.answer("old_t").await;
        client.answer("new_t").await;
    }
    for name in ["old", "new"] {
        let of = world.uses(name, Method::ToolsCall);
        let latency = of.latency.unwrap();
        assert_eq!((of.calls, of.errors, of.abandoned), (2, 0, 0));
        assert_eq!((latency.calls, latency.p50, latency.p99), (2, TOLD, TOLD), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_backend_is_recorded_as_one_in_every_pair_of_eras() {
    let old = slow_legacy(Answer::error(-32000, "no"));
    let new = slow_modern(modern::error(-32099, "no"));
    let (world, clients) = before_both(&old, &new).await;
    for client in clients {
        for (name, code) in [("old_t", -32000), ("new_t", -32099)] {
            assert_eq!(client.call(name).await.whole().error, Some(code));
        }
    }
    for name in ["old", "new"] {
        assert_eq!(world.tool_calls(name), (2, 2, 0), "{name}");
        let latency = world.uses(name, Method::ToolsCall).latency.unwrap();
        assert_eq!((latency.calls, latency.p50), (2, TOLD), "errors take their time, too");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_is_recorded_as_an_error() {
    let (old, new) = (slow_legacy(Answer::Close), slow_modern(Answer::Close));
    let (world, clients) = before_both(&old, &new).await;
    for client in clients {
        for name in ["old_t", "new_t"] {
            let fault = client.call(name).await.fault();
            assert!(matches!(fault, Fault::Backend { .. }), "{fault}");
        }
    }
    assert_eq!((world.tool_calls("old"), world.tool_calls("new")), ((2, 2, 0), (2, 2, 0)));
    let latency = ["old", "new"].map(|name| world.uses(name, Method::ToolsCall).latency);
    assert_eq!(latency, [None, None], "what is no answer tells nothing of how long these take");
}

#[tokio::test(start_paused = true)]
async fn what_leads_nowhere_is_recorded_nowhere() {
    let (old, new) = (plain_legacy(), plain_modern());
    let (world, clients) = before_both(&old, &new).await;
    for client in clients {
        let fault = client.call("old_other").await.fault();
        assert_eq!(fault, Fault::InvalidParams("unknown tool: old_other".into()));
    }
    assert_eq!((world.tool_calls("old"), world.tool_calls("new")), ((0, 0, 0), (0, 0, 0)));
    assert_eq!(world.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn each_method_is_recorded_by_itself() {
    let server = RawServer::builder()
        .tool(&tool("t"), Answer::text(""))
        .prompt(r#"{"name":"p"}"#, r#"{"messages":[]}"#)
        .resource(r#"{"uri":"x:r","name":"r"}"#, r#"{"contents":[]}"#)
        .start_in_memory();
    let (world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    for (method, params, times) in [
        ("tools/call", r#""name":"a_t""#, 1),
        ("prompts/get", r#""name":"a_p""#, 2),
        ("resources/read", r#""uri":"x:r""#, 3),
        (
            "completion/complete",
            r#""ref":{"type":"ref/prompt","name":"a_p"},"argument":{"name":"a","value":""}"#,
            4,
        ),
    ] {
        for _time in 0..times {
            client.send(&client.request(method, params)).await.json();
        }
    }
    let of: Vec<_> =
        world.backend("a").stats().uses.iter().map(|of| (of.method, of.calls)).collect();
    let expected = [
        (Method::ToolsCall, 1),
        (Method::PromptsGet, 2),
        (Method::ResourcesRead, 3),
        (Method::CompletionComplete, 4),
    ];
    assert_eq!(of.len(), expected.len());
    assert!(expected.iter().all(|counted| of.contains(counted)), "{of:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_between_legacy_parties_is_relayed_and_recorded_at_its_end() {
    let server = legacy("t", raw::fixed(Answer::Huge(300 << 10)));
    let (world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let mut relay = client.call("a_t").await.relay();
    let first = next_piece(&mut relay).await.unwrap().unwrap();
    assert!(first.starts_with(br#"{"jsonrpc":"2.0","id":7,"result""#));
    assert_eq!((world.under_way(), world.tool_calls("a")), (1, (0, 0, 0)));
    let size = first.len() + all_of(&mut relay).await.unwrap();
    assert!(size > 300 << 10 && size < 301 << 10, "{size}");
    drop(relay);
    assert_eq!((world.under_way(), world.tool_calls("a")), (0, (1, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_that_crosses_eras_is_read_as_a_whole() {
    let old = legacy("t", raw::fixed(Answer::Huge(300 << 10)));
    let new = plain_modern();
    let (world, [_, client]) = before_both(&old, &new).await;
    let answer = client.answer("old_t").await;
    assert_eq!(text_of(&answer).len(), 300 << 10);
    assert_eq!(world.tool_calls("old"), (1, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_that_breaks_off_is_an_error() {
    let server = legacy("t", raw::fixed(Answer::CutOff(300 << 10)));
    let (world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let mut relay = client.call("a_t").await.relay();
    let fault = all_of(&mut relay).await.unwrap_err();
    assert!(matches!(fault, Fault::Backend { .. }), "{fault}");
    drop(relay);
    assert_eq!(world.tool_calls("a"), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_stream_brings_notices_and_its_answer_in_every_pair_of_eras() {
    let talking = raw::handler(|call: raw::Call| async move {
        for _notice in 0..2 {
            call.notify("notifications/message", r#"{"level":"error","data":1}"#).await.unwrap();
        }
        Answer::text("legacy")
    });
    let talking_too = modern::handler(|call: modern::Call| async move {
        for _notice in 0..2 {
            call.notify("notifications/message", r#"{"level":"error","data":1}"#).await.unwrap();
        }
        modern::text("modern")
    });
    let (old, new) = (legacy("t", talking), modern_server("t", talking_too));
    let (world, clients) = before_both(&old, &new).await;
    for client in clients {
        for (name, said) in [("old_t", "legacy"), ("new_t", "modern")] {
            let (mut stream, lent) = client.call(name).await.stream();
            let (notices, answer) = end_of(&mut stream).await.unwrap();
            assert_eq!((notices, text_of(&answer), &answer["id"]), (2, said, &7.into()));
            lent.inspect(|lent| lent.answered());
        }
    }
    assert_eq!((world.tool_calls("old"), world.tool_calls("new")), ((2, 0, 0), (2, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_recorded_with_the_time_to_its_end() {
    let talking = raw::handler(|call: raw::Call| async move {
        call.notify("notifications/message", r#"{"level":"error","data":1}"#).await.unwrap();
        tokio::time::sleep(TIME).await;
        Answer::text("")
    });
    let server = legacy("t", talking);
    let (world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let (mut stream, _) = client.call("a_t").await.stream();
    assert!(matches!(stream.next().await.unwrap(), CallEvent::Notice(_)));
    assert_eq!(world.tool_calls("a"), (0, 0, 0), "it has begun, and not ended");
    end_of(&mut stream).await.unwrap();
    drop(stream);
    let latency = world.uses("a", Method::ToolsCall).latency.unwrap();
    assert_eq!((latency.calls, latency.p50), (1, TOLD));
}

#[tokio::test(start_paused = true)]
async fn an_error_at_the_end_of_a_stream_is_recorded_as_one() {
    for era in BOTH {
        let answer = raw::fixed(Answer::error(-32000, "no"));
        let server = RawServer::builder()
            .form(Form::Sse)
            .offer(Kind::Tools, &tool("t"), answer)
            .start_in_memory();
        let (world, client) = Setup::new().with("a", &server).settled(era).await;
        let (mut stream, lent) = client.call("a_t").await.stream();
        let (_, answer) = end_of(&mut stream).await.unwrap();
        assert!(answer["error"]["code"].is_number());
        drop((stream, lent));
        assert_eq!(world.tool_calls("a"), (1, 1, 0), "{era:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_without_an_answer_is_an_error() {
    for era in BOTH {
        let nothing = raw::fixed(Answer::Messages(vec![]));
        let server = RawServer::builder()
            .form(Form::Sse)
            .offer(Kind::Tools, &tool("t"), nothing)
            .start_in_memory();
        let (world, client) = Setup::new().with("a", &server).settled(era).await;
        let (mut stream, lent) = client.call("a_t").await.stream();
        let fault = end_of(&mut stream).await.unwrap_err();
        assert!(matches!(fault, Fault::Backend { .. }), "{fault}");
        drop((stream, lent));
        assert_eq!(world.tool_calls("a"), (1, 1, 0), "{era:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_brings_the_progress_of_its_own_call_only() {
    let talking = raw::handler(|call: raw::Call| async move {
        for token in [r#""mine""#, r#""other""#, "7"] {
            let params = format!(r#"{{"progressToken":{token},"progress":1}}"#);
            call.notify("notifications/progress", &params).await.unwrap();
        }
        Answer::text("")
    });
    let server = legacy("t", talking);
    let (world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let call = client.call_with_token("a_t", r#""mine""#);
    let (mut stream, _) = client.send(&call).await.stream();
    assert_eq!(end_of(&mut stream).await.unwrap().0, 1);
    assert_eq!(world.backend("a").stats().stray_progress, 2);
}

#[tokio::test(start_paused = true)]
async fn a_legacy_request_goes_by_another_name_where_its_own_is_taken() {
    let talking = raw::handler(|call: raw::Call| async move {
        let token = call.progress_token().unwrap();
        let params = format!(r#"{{"progressToken":{token},"progress":1}}"#);
        call.notify("notifications/progress", &params).await.unwrap();
        Answer::text(format!("{} {token}", call.id).replace('"', ""))
    });
    let server = legacy("t", talking);
    let (_world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let sessions = Arc::new(client.sessions.under(Alias::new("other")));
    let client = Client { sessions, ..client };
    let message = client.call_with_token("a_t", r#""mine""#);
    let (mut stream, _) = client.send(&message).await.stream();
    let CallEvent::Notice(notice) = stream.next().await.unwrap() else { panic!("progress") };
    let notice: Value = serde_json::from_slice(&notice.text).unwrap();
    assert_eq!(notice["params"]["progressToken"], "mine");
    let (_, answer) = end_of(&mut stream).await.unwrap();
    assert_eq!((text_of(&answer), &answer["id"]), ("other other", &7.into()));
}

#[tokio::test(start_paused = true)]
async fn a_client_gets_log_messages_of_the_level_that_it_wants() {
    let talking = raw::handler(|call: raw::Call| async move {
        for level in ["debug", "error", "made up"] {
            let params = format!(r#"{{"level":"{level}","data":1}}"#);
            call.notify("notifications/message", &params).await.unwrap();
        }
        Answer::text("")
    });
    let server = legacy("t", talking);
    let (_world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let (mut stream, _) = client.call("a_t").await.stream();
    let mut passed = Vec::new();
    while let CallEvent::Notice(notice) = stream.next().await.unwrap() {
        let levels = [None, Some(LogLevel::Debug), Some(LogLevel::Warning)];
        passed.push(levels.map(|level| notice.passes(level)));
    }
    // What has no level that anybody knows is kept from nobody.
    assert_eq!(passed, [[true, true, false], [true, true, true], [true, true, true]]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_another_request_is_nobodys() {
    let stray = |text: &str| Answer::Messages(vec![text.to_owned().into()]);
    let server = legacy("t", raw::fixed(stray(r#"{"jsonrpc":"2.0","id":8,"result":{}}"#)));
    let (world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let fault = client.call("a_t").await.fault();
    assert!(matches!(fault, Fault::Backend { .. }), "{fault}");
    assert_eq!(world.tool_calls("a"), (1, 1, 0));
}
