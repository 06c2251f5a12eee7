//! Kept sessions: those on which the calls of modern clients run where the backend is a legacy one.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::time::{Instant, timeout};
use vmcp_core::{Borrower, Bridge, CallEvent, Reuse, Vmcp};
use vmcp_model::{Era, LogLevel, Principal};
use vmcp_testkit::raw::{self, Answer, RawServer};
use vmcp_wire::Fault;

use crate::{
    client::{Client, end_of, text_of},
    world::{Legacy, Setup, World, client_view, idle, legacy, of_tenant, tool},
};

/// A tool that says which session it runs on, after a second if it is asked to be `slow`.
fn telling() -> Legacy {
    let telling = raw::handler(|call: raw::Call| async move {
        if call.argument("slow") == Some(true) {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Answer::text(call.session.id())
    });
    legacy("t", telling)
}

async fn before(server: &Legacy, bridge: Bridge) -> (World, Client) {
    Setup { bridge, ..Setup::new() }.with("a", server).settled(Era::Modern).await
}

/// The session that a call of this client runs on.
async fn session_of(client: &Client) -> String {
    text_of(&client.answer("a_t").await).to_owned()
}

/// The same of a call that takes a second.
async fn slowly(client: &Client) -> Result<String, Fault> {
    let called = client.send(&client.tool_call("a_t", r#"{"slow":true}"#)).await;
    called.answered().map(|answer| text_of(&answer).to_owned())
}

fn subject(name: &str) -> Principal {
    Principal::Subject { issuer: "https://idp".into(), subject: name.into() }
}

fn known_as(client: &Client, principal: Option<Principal>, info: &'static str) -> Client {
    let client_info = Bytes::from_static(info.as_bytes());
    Client { borrower: Borrower { principal, client_info }, ..client.clone() }
}

fn kept(vmcp: &Vmcp) -> usize {
    vmcp.kept_sessions(&vmcp.backend("a").unwrap())
}

const INFO: &str = r#"{"name":"c","version":"1"}"#;

#[tokio::test(start_paused = true)]
async fn one_caller_finds_the_same_session_again() {
    let server = telling();
    let (world, client) = before(&server, Bridge::default()).await;
    let alice = known_as(&client, Some(subject("alice")), INFO);
    let first = session_of(&alice).await;
    assert_eq!(session_of(&alice).await, first);
    // What a client says of itself besides makes no difference, nor how it is written.
    let again = r#"{ "version":"1","title":"C","name":"c" }"#;
    assert_eq!(session_of(&known_as(&client, Some(subject("alice")), again)).await, first);
    assert_eq!((kept(&world.vmcp), server.sessions().len()), (1, 2), "and that of the watch");
    idle().await;
    let cancelled = server.counters().requests("notifications/cancelled");
    assert_eq!(cancelled, 0, "what has been answered is not cancelled");
}

#[tokio::test(start_paused = true)]
async fn callers_and_clients_that_differ_share_no_session() {
    let server = telling();
    let (world, client) = before(&server, Bridge::default()).await;
    let other_issuer =
        Principal::Subject { issuer: "https://other".into(), subject: "alice".into() };
    let mut sessions = Vec::new();
    for (principal, info) in [
        (subject("alice"), INFO),
        (subject("bob"), INFO),
        (other_issuer, INFO),
        (Principal::Anonymous, INFO),
        (subject("alice"), r#"{"name":"d","version":"1"}"#),
        (subject("alice"), r#"{"name":"c","version":"2"}"#),
        (subject("alice"), ""),
    ] {
        sessions.push(session_of(&known_as(&client, Some(principal), info)).await);
    }
    let count = sessions.len();
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!((sessions.len(), kept(&world.vmcp)), (count, count));
}

#[tokio::test(start_paused = true)]
async fn what_a_client_can_do_and_whose_credential_is_shown_tell_sessions_apart() {
    let server = telling();
    let setup = Setup { passes_tenant: true, ..Setup::new() };
    let (world, client) = setup.with("a", &server).settled(Era::Modern).await;
    let mut sessions = vec![session_of(&client).await];
    for kind in [
        client_view(Era::Modern, r#"{"sampling":{}}"#),
        world.client_view_of(Era::Modern, &of_tenant("alice")),
        world.client_view_of(Era::Modern, &of_tenant("bob")),
    ] {
        let view = world.view(&kind).await;
        let client = Client::new(&world.vmcp, view);
        sessions.push(session_of(&client).await);
        assert_eq!(session_of(&client).await, *sessions.last().unwrap());
    }
    sessions.sort_unstable();
    sessions.dedup();
    assert_eq!((sessions.len(), kept(&world.vmcp)), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn who_may_be_anybody_has_a_session_for_one_call_only() {
    let server = telling();
    let (world, client) = before(&server, Bridge::default()).await;
    let anybody = known_as(&client, None, INFO);
    assert_ne!(session_of(&anybody).await, session_of(&anybody).await);
    idle().await;
    assert_eq!((kept(&world.vmcp), server.counters().deletes()), (0, 2));
    assert_eq!(server.sessions().len(), 1, "that of the watch");
}

#[tokio::test(start_paused = true)]
async fn sessions_can_be_kept_for_nobody_or_for_all() {
    let server = telling();
    let never = Bridge { reuse: Reuse::Never, ..Bridge::default() };
    let (world, client) = before(&server, never).await;
    assert_ne!(session_of(&client).await, session_of(&client).await);
    assert_eq!(kept(&world.vmcp), 0);
    let all = Bridge { reuse: Reuse::All, ..Bridge::default() };
    let (world, client) = before(&server, all).await;
    let [alice, bob] = ["alice", "bob"].map(|who| known_as(&client, Some(subject(who)), INFO));
    let (one, other) = (session_of(&alice).await, session_of(&bob).await);
    assert_eq!((one, kept(&world.vmcp)), (other, 1));
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_caller_run_side_by_side_under_names_of_their_own() {
    let server = telling();
    let (_world, client) = before(&server, Bridge::default()).await;
    session_of(&client).await;
    let begun = Instant::now();
    let (one, other) = tokio::join!(slowly(&client), slowly(&client));
    assert_eq!((one.unwrap(), begun.elapsed().as_secs()), (other.unwrap(), 1));
    let ids = server.seen().into_iter().filter(|seen| seen.method == "tools/call");
    let ids = ids.map(|seen| serde_json::from_slice::<Value>(&seen.body).unwrap()["id"].clone());
    let mut ids: Vec<_> = ids.map(|id| id.as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 3, "each has a number that no other has");
}

#[tokio::test(start_paused = true)]
async fn a_call_has_its_progress_under_its_own_token() {
    let server = legacy(
        "t",
        raw::handler(|call: raw::Call| async move {
            let token = call.progress_token().unwrap();
            assert_eq!(token.get(), call.id, "both are the name that it has there");
            for token in [token.get(), "999999"] {
                let params = format!(r#"{{"progressToken":{token},"progress":1}}"#);
                call.notify("notifications/progress", &params).await.unwrap();
            }
            Answer::text("")
        }),
    );
    let (_world, client) = before(&server, Bridge::default()).await;
    let message = client.call_with_token("a_t", r#""mine""#);
    let (mut stream, lent) = client.send(&message).await.stream();
    let CallEvent::Notice(notice) = stream.next().await.unwrap() else { panic!("progress") };
    let notice: Value = serde_json::from_slice(&notice.text).unwrap();
    assert_eq!(notice["params"]["progressToken"], "mine");
    let (more, answer) = end_of(&mut stream).await.unwrap();
    assert_eq!((more, &answer["id"]), (0, &7.into()), "what is another's is left out");
    lent.unwrap().answered();
}

#[tokio::test(start_paused = true)]
async fn a_session_of_all_is_used_by_one_at_a_time_and_left_when_a_call_fails() {
    let server = telling();
    let all = Bridge { reuse: Reuse::All, ..Bridge::default() };
    let (world, client) = before(&server, all).await;
    let first = session_of(&client).await;
    let begun = Instant::now();
    let (one, other) = tokio::join!(slowly(&client), slowly(&client));
    assert_eq!((one.unwrap(), other.unwrap()), (first.clone(), first.clone()));
    assert_eq!(begun.elapsed().as_secs(), 2, "one after the other");
    assert!(timeout(Duration::from_millis(500), slowly(&client)).await.is_err());
    assert_ne!(session_of(&client).await, first, "nobody finds what that call has left");
    idle().await;
    assert_eq!((kept(&world.vmcp), server.counters().deletes()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_callers_own_session_outlives_a_call_that_fails() {
    let server = telling();
    let (_world, client) = before(&server, Bridge::default()).await;
    let first = session_of(&client).await;
    assert!(timeout(Duration::from_millis(500), slowly(&client)).await.is_err());
    assert_eq!(session_of(&client).await, first);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_when_nobody_has_used_it_for_long() {
    let server = telling();
    let bridge = Bridge { idle: Duration::from_secs(100), ..Bridge::default() };
    let (world, client) = before(&server, bridge).await;
    let first = session_of(&client).await;
    tokio::time::sleep(Duration::from_secs(99)).await;
    assert_eq!((session_of(&client).await, kept(&world.vmcp)), (first.clone(), 1));
    tokio::time::sleep(Duration::from_secs(99)).await;
    assert_eq!((kept(&world.vmcp), server.counters().deletes()), (1, 0));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!((kept(&world.vmcp), server.counters().deletes()), (0, 1));
    assert_ne!(session_of(&client).await, first);
}

#[tokio::test(start_paused = true)]
async fn so_many_sessions_are_kept_and_who_comes_late_waits_for_a_place() {
    let server = telling();
    let bridge = Bridge { sessions: 2, wait: Duration::from_secs(3), ..Bridge::default() };
    let (world, client) = before(&server, bridge).await;
    let [one, two, three] = ["1", "2", "3"].map(|who| known_as(&client, Some(subject(who)), INFO));
    let first = session_of(&one).await;
    idle().await;
    session_of(&two).await;
    // One that nobody uses gives way, the one first that has been unused longest.
    session_of(&three).await;
    assert_eq!((kept(&world.vmcp), session_of(&one).await == first), (2, false));
    // While all are used, whoever comes waits for one of them.
    session_of(&two).await;
    let begun = Instant::now();
    let late = async {
        idle().await;
        slowly(&three).await.map(|_session| begun.elapsed().as_secs())
    };
    let (a, b, waited) = tokio::join!(slowly(&one), slowly(&two), late);
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(waited, Ok(2), "a second for a place, and its own");
    assert_eq!(kept(&world.vmcp), 2);
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_place_in_time_is_told_which_bound_it_was() {
    let server = legacy("t", raw::fixed(Answer::Hang));
    let bridge = Bridge { sessions: 1, wait: Duration::from_secs(3), ..Bridge::default() };
    let (world, client) = before(&server, bridge).await;
    let [one, two] = ["1", "2"].map(|who| known_as(&client, Some(subject(who)), INFO));
    let begun = Instant::now();
    let late = async {
        idle().await;
        let fault = two.call("a_t").await.fault();
        (fault, begun.elapsed().as_secs())
    };
    let (_times_out, (fault, waited)) = tokio::join!(one.call("a_t"), late);
    let Fault::BackendUnavailable { reason, .. } = &fault else { panic!("{fault}") };
    assert!(reason.contains("limits.keptSessionsPerBackend") && waited == 3, "{reason} {waited}");
    assert_eq!(world.tool_calls("a"), (2, 2, 0));
}

#[tokio::test(start_paused = true)]
async fn one_callers_calls_at_once_can_be_bounded() {
    let server = telling();
    let wait = Duration::from_millis(1500);
    let bridge = Bridge { concurrency: Some(1), wait, ..Bridge::default() };
    let (_world, client) = before(&server, bridge).await;
    session_of(&client).await;
    let bob = known_as(&client, Some(subject("bob")), INFO);
    let (one, two, three, of_bob) =
        tokio::join!(slowly(&client), slowly(&client), slowly(&client), slowly(&bob));
    assert!(one.is_ok() && two.is_ok() && of_bob.is_ok());
    let fault = three.unwrap_err();
    let Fault::BackendUnavailable { reason, .. } = &fault else { panic!("{fault}") };
    assert!(reason.contains("bridge.concurrency"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn the_log_level_that_somebody_wants_is_told_once() {
    let server = telling();
    let (_world, client) = before(&server, Bridge::default()).await;
    let level = |level| Client { level: Some(level), ..client.clone() };
    session_of(&client).await;
    for (wanted, told) in
        [(LogLevel::Warning, 1), (LogLevel::Error, 1), (LogLevel::Warning, 1), (LogLevel::Debug, 2)]
    {
        session_of(&level(wanted)).await;
        assert_eq!(server.counters().requests("logging/setLevel"), told, "{wanted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_in_mid_call_ends_the_call_and_is_declined() {
    let (heard, mut told) = tokio::sync::mpsc::channel(2);
    let asking = raw::handler(move |call: raw::Call| {
        let heard = heard.clone();
        async move {
            let answer = call.ask("roots/list", "{}").await.unwrap();
            assert!(call.cancelled.is_cancelled(), "the call is cancelled before that");
            heard.send(answer).await.unwrap();
            Answer::text("")
        }
    });
    let server = RawServer::builder().offer(raw::Kind::Tools, &tool("t"), asking).start_in_memory();
    let world = Setup::new().with("a", &server).begin();
    let client = world.client_with(Era::Modern, r#"{"roots":{}}"#).await;
    let (mut stream, lent) = client.call("a_t").await.stream();
    let CallEvent::Asks(question) = stream.next().await.unwrap() else { panic!("it asks") };
    let lent = lent.unwrap();
    let fault = lent.asked(stream.asks_itself(), question).unwrap();
    assert!(matches!(&fault, Fault::Backend { backend, .. } if backend == "a"), "{fault}");
    drop((stream, lent));
    let answer = timeout(Duration::from_secs(1), told.recv()).await.unwrap().unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert!(answer["error"]["code"].is_number(), "{answer}");
    assert_eq!(world.tool_calls("a"), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn sessions_of_a_backend_that_is_parted_with_end_after_their_calls() {
    let server = telling();
    let (world, client) = before(&server, Bridge::default()).await;
    session_of(&client).await;
    let (backend, begun) = (world.backend("a"), Instant::now());
    let parting = async {
        idle().await;
        world.vmcp.part_with(&backend, begun + Duration::from_secs(30)).await;
        begun.elapsed()
    };
    let (answered, parted) = tokio::join!(slowly(&client), parting);
    assert!(answered.is_ok() && parted.as_secs() == 1, "{parted:?}");
    idle().await;
    assert_eq!((kept(&world.vmcp), server.counters().deletes()), (0, 1));
}
