//! Sessions that a backend has lost: opened anew once, and the call sent once more, only because the loss
//! proves that it has not run.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::sleep};
use vmcp_backend::Timeouts;
use vmcp_model::Era;
use vmcp_testkit::{
    modern::{self, ModernServer, Speaks},
    raw::{self, Answer, Kind, Lost, RawServer},
};
use vmcp_wire::Fault;

use crate::{
    client::{Client, text_of},
    world::{BOTH, Legacy, Setup, World, plain_legacy, tool},
};

async fn before(server: &Legacy, era: Era) -> (World, Client) {
    let (world, client) = Setup::new().with("a", server).settled(era).await;
    assert_eq!(text_of(&client.answer("a_t").await), "legacy");
    (world, client)
}

fn refused(status: u16, body: &'static str) -> raw::Handler {
    let content_type = Some("application/json");
    raw::fixed(Answer::Http { status, content_type, body: body.into() })
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_is_opened_anew_in_whatever_way_it_is_told() {
    for lost in [Lost::NotFound, Lost::BadRequest, Lost::Answered] {
        for era in BOTH {
            let server = plain_legacy();
            let (world, client) = before(&server, era).await;
            server.forget_sessions(lost);
            assert_eq!(text_of(&client.answer("a_t").await), "legacy", "{lost:?} {era:?}");
            assert_eq!(server.counters().calls("t"), 2, "it has run once each time");
            assert_eq!(world.tool_calls("a"), (2, 0, 0), "to the client it is one call");
            if era == Era::Legacy {
                assert_eq!(client.sessions.renewals(), 1);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_sent_again_once_and_only_once() {
    let server = plain_legacy();
    let (world, client) = before(&server, Era::Legacy).await;
    server.script("tools/call", refused(404, ""));
    let fault = client.call("a_t").await.fault();
    assert!(matches!(fault, Fault::Backend { .. }), "{fault}");
    assert_eq!((server.counters().calls("t"), client.sessions.renewals()), (3, 1));
    assert_eq!(world.tool_calls("a"), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_a_ping_refutes_is_no_loss() {
    let server = plain_legacy();
    let (world, client) = before(&server, Era::Legacy).await;
    server.script("tools/call", refused(400, ""));
    let fault = client.call("a_t").await.fault();
    assert!(matches!(fault, Fault::Backend { .. }), "{fault}");
    assert_eq!((server.counters().calls("t"), client.sessions.renewals()), (2, 0));
    assert_eq!(server.counters().requests("ping"), 1);
    assert_eq!(world.tool_calls("a"), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_404_that_answers_the_very_request_is_its_answer() {
    let server = plain_legacy();
    let (world, client) = before(&server, Era::Legacy).await;
    let error = r#"{"jsonrpc":"2.0","id":$id,"error":{"code":-32602,"message":"no such thing"}}"#;
    server.script("tools/call", refused(404, error));
    assert_eq!(client.call("a_t").await.whole().error, Some(-32602));
    assert_eq!((server.counters().calls("t"), client.sessions.renewals()), (2, 0));
    assert_eq!(world.tool_calls("a"), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_error_that_speaks_of_a_session_which_is_known_passes() {
    let server = plain_legacy();
    let (_world, client) = before(&server, Era::Legacy).await;
    server.script("tools/call", raw::fixed(Answer::error(-32001, "Session not found")));
    assert_eq!(client.call("a_t").await.whole().error, Some(-32001));
    assert_eq!((server.counters().calls("t"), client.sessions.renewals()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_told_lost_in_an_error_twice_is_not_opened_a_third_time() {
    let server = plain_legacy();
    let (_world, client) = before(&server, Era::Legacy).await;
    server.forget_sessions(Lost::Answered);
    // The next one is lost as soon as it is used.
    server.script(
        "tools/call",
        raw::handler(|call: raw::Call| async move {
            call.server.forget_sessions(Lost::Answered);
            Answer::error(-32001, "Session not found")
        }),
    );
    assert_eq!(client.call("a_t").await.whole().error, Some(-32001));
    assert_eq!((server.counters().calls("t"), client.sessions.renewals()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_be_opened_anew_fails_the_call() {
    let server = plain_legacy();
    let (world, client) = before(&server, Era::Legacy).await;
    server.forget_sessions(Lost::NotFound);
    server.script("initialize", raw::fixed(Answer::error(-32603, "not now")));
    let fault = client.call("a_t").await.fault();
    assert!(matches!(&fault, Fault::Backend { backend, .. } if backend == "a"), "{fault}");
    assert_eq!((server.counters().calls("t"), world.tool_calls("a")), (1, (2, 1, 0)));
    // It is not out for ever.
    server.unscript("initialize");
    assert_eq!(text_of(&client.answer("a_t").await), "legacy");
}

#[tokio::test(start_paused = true)]
async fn a_kept_session_is_renewed_once_however_many_call() {
    let server = plain_legacy();
    let (world, client) = before(&server, Era::Modern).await;
    assert_eq!((server.counters().initializes(), server.sessions().len()), (2, 2));
    server.forget_sessions(Lost::NotFound);
    let mut calls = JoinSet::new();
    for _call in 0..8 {
        let client = client.clone();
        calls.spawn(async move { text_of(&client.answer("a_t").await) == "legacy" });
    }
    assert!(calls.join_all().await.into_iter().all(|answered| answered));
    assert_eq!(server.counters().calls("t"), 9);
    // The other one is that of the watch, which has lost its own.
    sleep(Duration::from_secs(5)).await;
    assert_eq!((server.counters().initializes(), server.sessions().len()), (4, 2));
    assert_eq!(world.vmcp.kept_sessions(&world.backend("a")), 1);
}

#[tokio::test(start_paused = true)]
async fn who_hears_of_a_loss_late_uses_what_was_opened_meanwhile() {
    let late = raw::handler(|call: raw::Call| async move {
        sleep(Duration::from_secs(10)).await;
        let knows = |session: &Arc<raw::Session>| session.id() == call.session.id();
        match call.server.sessions().iter().any(knows) {
            true => Answer::text("late"),
            false => Answer::Http { status: 404, content_type: None, body: "".into() },
        }
    });
    let server = plain_legacy();
    server.add(Kind::Tools, &tool("late"), late).await;
    let timeouts = Timeouts { idle: Duration::from_secs(60), ..Setup::new().timeouts };
    let setup = Setup { timeouts, ..Setup::new() }.with("a", &server);
    let (_world, client) = setup.settled(Era::Modern).await;
    client.answer("a_t").await;
    let meanwhile = async {
        sleep(Duration::from_secs(1)).await;
        server.forget_sessions(Lost::NotFound);
        client.answer("a_t").await;
        sleep(Duration::from_secs(5)).await;
        server.counters().initializes()
    };
    let (answer, opened) = tokio::join!(client.answer("a_late"), meanwhile);
    assert_eq!((text_of(&answer), server.counters().calls("late")), ("late", 2));
    assert_eq!((opened, server.counters().initializes()), (4, 4), "with those of the watch");
}

#[tokio::test(start_paused = true)]
async fn a_method_that_nobody_knows_is_no_loss_though_it_is_answered_like_one() {
    for (status, body) in [(404, ""), (400, ""), (405, ""), (501, "")] {
        let server = plain_legacy();
        let (world, client) = before(&server, Era::Legacy).await;
        server.script("foreign/method", refused(status, body));
        let fault = client.send(&client.request("foreign/method", "")).await.fault();
        assert_eq!(fault, Fault::MethodNotFound("foreign/method".to_owned()), "{status}");
        assert_eq!(client.sessions.renewals(), 0);
        assert_eq!(server.counters().requests("foreign/method"), 1);
        assert_eq!(world.under_way(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_foreign_method_on_a_lost_session_is_sent_again() {
    let server = RawServer::builder()
        .tool(&tool("t"), Answer::text("legacy"))
        .script("foreign/method", raw::fixed(r#"{"x":1}"#))
        .start_in_memory();
    let (_world, client) = before(&server, Era::Legacy).await;
    server.forget_sessions(Lost::NotFound);
    let answer = client.send(&client.request("foreign/method", "")).await.json();
    assert_eq!((&answer["result"]["x"], client.sessions.renewals()), (&1.into(), 1));
}

#[tokio::test(start_paused = true)]
async fn the_lists_of_a_backend_that_has_lost_a_session_are_read_again() {
    let server = plain_legacy();
    let (_world, client) = before(&server, Era::Legacy).await;
    server.forget_sessions(Lost::NotFound);
    server.add(Kind::Tools, &tool("new"), raw::fixed(Answer::text("new"))).await;
    client.answer("a_t").await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(text_of(&client.answer("a_new").await), "new");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_has_changed_its_era_runs_a_call_once() {
    let legacy = RawServer::builder().tool(&tool("t"), Answer::text("legacy"));
    for era in BOTH {
        let server = ModernServer::builder()
            .legacy(legacy.clone())
            .offer(Kind::Tools, &tool("t"), modern::fixed(modern::text("modern")))
            .start_in_memory();
        let (world, client) = Setup::new().with("a", &server).settled(era).await;
        assert_eq!(text_of(&client.answer("a_t").await), "modern");
        let (_name, refusal) = modern::legacy_refusals().swap_remove(0);
        server.set_speaks(Speaks::Legacy(refusal));
        assert_eq!(text_of(&client.answer("a_t").await), "legacy", "{era:?}");
        server.set_speaks(Speaks::Modern);
        assert_eq!(text_of(&client.answer("a_t").await), "modern", "{era:?}");
        assert_eq!(server.counters().executions("t"), 2);
        assert_eq!(server.legacy().counters().calls("t"), 1);
        assert_eq!(world.tool_calls("a"), (3, 0, 0));
    }
}
