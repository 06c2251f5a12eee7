//! What a backend lists to one session, because a call has unlocked it there, is that session's own.

use std::sync::Arc;

use serde_json::Value;
use tokio::time::{Duration, timeout};
use vmcp_testkit::{
    CHILD,
    client::{Client, Response},
    gateway::{Gateway, eventually},
    peers::{self, Unlocking},
    process::Process,
    raw::{Kind, Lost, Running},
};

use crate::{connect, serve};

/// Long enough for a notification that must not come to show itself.
const MOMENT: Duration = Duration::from_millis(800);

/// A gateway before a backend, `a`, that unlocks things.
struct Fixture {
    backend: Running,
    state: Arc<Unlocking>,
    process: Process,
}

async fn fixture() -> Fixture {
    let (backend, state) = peers::unlocking();
    let backend = backend.start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    Fixture { backend, state, process }
}

async fn tools(client: &Client) -> Vec<String> {
    client.request("1", "tools/list", "{}").await.unwrap().keys("tools", "name").unwrap()
}

async fn text(client: &Client, tool: &str, arguments: &str) -> String {
    client.call("2", tool, arguments).await.unwrap().text().unwrap()
}

/// The next notification, long waited for.
async fn next(stream: &mut Response) -> String {
    let message = timeout(Duration::from_secs(30), stream.message()).await;
    message.expect("a notification").unwrap().unwrap().method().unwrap()
}

async fn quiet(stream: &mut Response) {
    let more = timeout(MOMENT, stream.message()).await;
    assert!(more.is_err(), "nothing more was to come: {more:?}");
}

async fn refused(client: &Client, tool: &str) {
    let refused = client.call("3", tool, "{}").await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32602, "{tool}");
}

const PLAIN: [&str; 2] = ["a_unlock", "a_lock"];
const UNLOCKED: [&str; 3] = ["a_unlock", "a_lock", "a_secret"];

#[tokio::test]
async fn a_tool_that_a_call_unlocks_appears_can_be_called_and_disappears() {
    let Fixture { backend, process, .. } = fixture().await;
    let (client, other) = (connect(&process).await, connect(&process).await);
    let mut get = client.listen(None).await.unwrap();
    let mut others = other.listen(None).await.unwrap();
    assert_eq!(tools(&client).await, PLAIN);
    refused(&client, "a_secret").await;
    // Whoever has the answer may use at once what the call has changed.
    assert_eq!(text(&client, "a_unlock", "{}").await, "done");
    assert_eq!(tools(&client).await, UNLOCKED);
    assert_eq!(text(&client, "a_secret", "{}").await, "the secret");
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");

    assert_eq!(text(&other, "a_lock", "{}").await, "done");
    assert_eq!(tools(&other).await, PLAIN);
    let calls = backend.counters().calls("secret");
    refused(&other, "a_secret").await;
    assert_eq!(backend.counters().calls("secret"), calls, "the backend is not even asked");
    assert_eq!(tools(&connect(&process).await).await, PLAIN);

    assert_eq!(text(&client, "a_lock", "{}").await, "done");
    assert_eq!(tools(&client).await, PLAIN);
    refused(&client, "a_secret").await;
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    quiet(&mut get).await;
    quiet(&mut others).await;
}

/// The backend says it on the session's own stream, which the client's holds open.
#[tokio::test]
async fn what_a_backend_says_aside_counts_as_well() {
    let Fixture { backend: _backend, process, .. } = fixture().await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    assert_eq!(text(&client, "a_unlock", r#"{"aside":true}"#).await, "done");
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    assert_eq!(text(&client, "a_secret", "{}").await, "the secret");
    quiet(&mut get).await;
}

#[tokio::test]
async fn prompts_resources_and_templates_are_unlocked_likewise() {
    let Fixture { backend: _backend, process, .. } = fixture().await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    let listed = async |method: &str, member: &str, key: &str| -> Vec<String> {
        client.request("1", method, "{}").await.unwrap().keys(member, key).unwrap()
    };
    text(&client, "a_unlock", r#"{"kind":"prompts","name":"p"}"#).await;
    assert_eq!(next(&mut get).await, "notifications/prompts/list_changed");
    assert_eq!(listed("prompts/list", "prompts", "name").await, ["a_hello", "a_p"]);
    let got = client.request("2", "prompts/get", r#"{"name":"a_p"}"#).await.unwrap();
    assert_eq!(got.result().unwrap(), r#"{"messages":[]}"#);

    text(&client, "a_unlock", r#"{"kind":"resources","name":"x://two"}"#).await;
    assert_eq!(next(&mut get).await, "notifications/resources/list_changed");
    assert_eq!(listed("resources/list", "resources", "uri").await, ["x://one", "x://two"]);
    let read = r#"{"uri":"x://two"}"#;
    client.request("3", "resources/read", read).await.unwrap().result().unwrap();

    text(&client, "a_unlock", r#"{"kind":"templates","name":"y://{n}"}"#).await;
    assert_eq!(next(&mut get).await, "notifications/resources/list_changed");
    let templates = listed("resources/templates/list", "resourceTemplates", "uriTemplate").await;
    assert_eq!(templates, ["y://{n}"]);
    quiet(&mut get).await;

    let other = connect(&process).await;
    let prompts = other.request("1", "prompts/list", "{}").await.unwrap();
    assert_eq!(prompts.keys("prompts", "name").unwrap(), ["a_hello"]);
    let read = other.request("2", "resources/read", read).await.unwrap();
    assert_eq!(read.error_code().unwrap(), -32002);
}

async fn unlocks_over_rmcp(process: &Process, hears_in_call: bool) {
    let (client, other) = (connect(process).await, connect(process).await);
    let mut get = client.listen(None).await.unwrap();
    assert_eq!(tools(&client).await, ["a_unlock"]);
    assert_eq!(text(&client, "a_unlock", "{}").await, "done");
    if hears_in_call {
        assert_eq!(tools(&client).await, ["a_unlock", "a_secret"]);
    }
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    assert_eq!(tools(&client).await, ["a_unlock", "a_secret"]);
    assert_eq!(text(&client, "a_secret", "{}").await, "the secret");
    assert_eq!(tools(&other).await, ["a_unlock"]);
    refused(&other, "a_secret").await;
}

#[tokio::test]
async fn it_is_so_with_servers_on_an_sdk() {
    let server = peers::unlocking_rmcp(0).await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    unlocks_over_rmcp(&process, false).await;
}

#[tokio::test]
async fn it_is_so_over_http_and_sse() {
    let server = peers::unlocking_sse(0).await.unwrap();
    let backend = format!("name: a, url: '{}', transport: sse", server.url());
    let process = serve(&Gateway::before(&[]).backend(&backend)).await;
    unlocks_over_rmcp(&process, false).await;
}

/// A program has one channel for everything; what it says when no call is under way and nobody
/// listens is heard, too.
#[tokio::test]
async fn it_is_so_with_programs() {
    let backend = format!("name: a, command: python3, args: ['{CHILD}']");
    let process = serve(&Gateway::before(&[]).backend(&backend)).await;
    for arguments in ["{}", r#"{"late":true}"#] {
        let (client, other) = (connect(&process).await, connect(&process).await);
        let count = tools(&client).await.len();
        assert_eq!(text(&client, "a_change", arguments).await, "changed");
        eventually("it is listed", async || {
            tools(&client).await.contains(&"a_extra".to_owned()).then_some(())
        })
        .await;
        assert_eq!(text(&client, "a_extra", "{}").await, "the extra");
        assert_eq!(tools(&client).await.len(), count + 1);
        text(&other, "a_count", "{}").await;
        assert_eq!(tools(&other).await.len(), count);
        refused(&other, "a_extra").await;
    }
}

/// Its own offer stands beside what changes in the rest.
#[tokio::test]
async fn another_backend_may_change_meanwhile() {
    let (locked, state) = peers::unlocking();
    let (locked, changing) =
        (locked.start().await.unwrap(), peers::changing().start().await.unwrap());
    let process = serve(&Gateway::before(&[("a", locked.url()), ("b", changing.url())])).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    text(&client, "a_unlock", "{}").await;
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    text(&client, "b_add", r#"{"name":"new"}"#).await;
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    let all = ["a_unlock", "a_lock", "a_secret", "b_add", "b_remove", "b_touch", "b_new"];
    eventually("both are listed", async || (tools(&client).await == all).then_some(())).await;
    assert_eq!(text(&client, "a_secret", "{}").await, "the secret");
    assert_eq!(text(&client, "b_new", "{}").await, "new");
    drop(state);
}

/// The rules for names hold for what is a session's own as for all else.
#[tokio::test]
async fn names_are_given_out_by_the_same_rules() {
    let (locked, _state) = peers::unlocking();
    let (locked, other) = (locked.start().await.unwrap(), peers::changing().start().await.unwrap());
    let gateway = Gateway::before(&[("a", locked.url()), ("b", other.url())]);
    let process = serve(&gateway.priority(&["b", "a"])).await;
    let client = connect(&process).await;
    // Another backend's has this name, and comes first.
    text(&client, "unlock", r#"{"name":"add"}"#).await;
    text(&client, "unlock", r#"{"name":"secret"}"#).await;
    assert_eq!(tools(&client).await, ["unlock", "lock", "secret", "add", "remove", "touch"]);
    let added = text(&client, "add", r#"{"name":"new"}"#).await;
    assert_eq!(added, "added", "it leads where it led");
}

#[tokio::test]
async fn when_the_backend_loses_the_session_what_the_new_one_lists_counts() {
    let Fixture { backend, process, .. } = fixture().await;
    let client = connect(&process).await;
    text(&client, "a_unlock", "{}").await;
    assert_eq!(tools(&client).await, UNLOCKED);
    let mut get = client.listen(None).await.unwrap();
    backend.forget_sessions(Lost::NotFound);
    // The new session knows nothing of it, and says so itself.
    let answer = client.call("5", "a_secret", "{}").await.unwrap();
    assert!(answer.error_code().is_ok(), "{answer:?}");
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    eventually("the new session's lists", async || (tools(&client).await == PLAIN).then_some(()))
        .await;
}

#[tokio::test]
async fn fifty_changes_at_once_are_read_a_few_times() {
    let Fixture { backend: _backend, state, process } = fixture().await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    text(&client, "a_lock", "{}").await;
    quiet(&mut get).await;
    let before = state.read();
    text(&client, "a_unlock", r#"{"times":50}"#).await;
    assert_eq!(tools(&client).await, UNLOCKED);
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    quiet(&mut get).await;
    let read = state.read() - before;
    // The session's own and the view's, each with one more for what came meanwhile.
    assert!((2..=5).contains(&read), "the tools were listed {read} times");
}

#[tokio::test]
async fn sessions_that_are_told_at_once_ask_one_after_the_other() {
    const SESSIONS: usize = 200;
    let Fixture { backend, state, process } = fixture().await;
    let mut clients = Vec::new();
    for _session in 0..SESSIONS {
        let client = connect(&process).await;
        let get = client.listen(None).await.unwrap();
        text(&client, "a_lock", "{}").await;
        clients.push((client, get));
    }
    eventually("all are listened to", async || {
        (backend.sessions().iter().filter(|one| one.listens()).count() >= SESSIONS).then_some(())
    })
    .await;
    tokio::time::sleep(MOMENT).await;
    let before = state.read();
    state.slow_down(Duration::from_millis(20));
    // Those of the clients. What everybody is offered stays as it is: a session that has the same for a
    // moment would have nothing of its own.
    let callers = state.callers();
    assert_eq!(callers.len(), SESSIONS);
    callers.iter().for_each(|session| state.set(session, Kind::Tools, "secret", true));
    backend.notify_all("notifications/tools/list_changed", "{}").await;
    for (client, _get) in &clients {
        eventually("it is listed", async || (tools(client).await == UNLOCKED).then_some(())).await;
    }
    // Four sessions and the view's own.
    assert!(state.peak() <= 6, "{} at once", state.peak());
    let read = state.read() - before;
    assert!(read <= 3 * SESSIONS, "{read} readings for {SESSIONS} sessions");
    let status = vmcp_testkit::client::fetch(&process.url_of("/status")).await.unwrap().1;
    let status: Value = serde_json::from_slice(&status).unwrap();
    assert_eq!(status["backends"][0]["state"], "healthy", "{status}");
}

/// At a bound the session is shown what its view is, and the log says so.
#[tokio::test]
async fn what_is_too_much_is_not_shown() {
    let Fixture { backend: _backend, state, process } = fixture().await;
    let client = connect(&process).await;
    assert_eq!(text(&client, "a_unlock", "{}").await, "done");
    assert_eq!(tools(&client).await, UNLOCKED);
    let long = "x".repeat(1 << 18);
    let many = ["1", "2", "3"]
        .map(|number| format!(r#"{{"kind":"resources","name":"x://{number}{long}"}}"#));
    for arguments in &many {
        assert_eq!(text(&client, "a_unlock", arguments).await, "done");
    }
    eventually("the view's is shown", async || (tools(&client).await == PLAIN).then_some(())).await;
    process.logged("lists more bytes to a session").await;
    for arguments in &many {
        assert_eq!(text(&client, "a_lock", arguments).await, "done");
    }
    eventually("it is shown again", async || (tools(&client).await == UNLOCKED).then_some(()))
        .await;
    drop(state);
}

/// What could not be read is as it was, and is read when that can be done again.
#[tokio::test]
async fn a_list_that_fails_for_a_while_loses_nothing() {
    let Fixture { backend: _backend, state, process } = fixture().await;
    let client = connect(&process).await;
    text(&client, "a_unlock", "{}").await;
    assert_eq!(tools(&client).await, UNLOCKED);
    state.fail(true);
    let before = state.read();
    text(&client, "a_unlock", r#"{"name":"another"}"#).await;
    eventually("it is tried", async || (state.read() > before).then_some(())).await;
    assert_eq!(tools(&client).await, UNLOCKED);
    assert_eq!(text(&client, "a_secret", "{}").await, "the secret");
    state.fail(false);
    eventually("it is listed", async || {
        tools(&client).await.contains(&"a_another".to_owned()).then_some(())
    })
    .await;
    assert_eq!(text(&client, "a_another", "{}").await, "the another");
}

/// The client's own session lists something more, which is told aside and being read, slowly.
async fn unlock_aside(Fixture { backend, state, .. }: &Fixture) {
    state.slow_down(Duration::from_millis(400));
    let before = state.read();
    let seen = backend.seen();
    let called = seen.iter().rfind(|seen| seen.method == "tools/call").unwrap();
    let id = called.headers["mcp-session-id"].to_str().unwrap();
    let own = backend.sessions().into_iter().find(|session| session.id() == id).unwrap();
    state.set(own.id(), Kind::Tools, "secret", true);
    own.notify("notifications/tools/list_changed", "{}").await;
    eventually("the lists are read", async || (state.read() > before).then_some(())).await;
}

#[tokio::test]
async fn a_list_waits_for_lists_that_are_being_read() {
    let fixture = fixture().await;
    let client = connect(&fixture.process).await;
    let mut get = client.listen(None).await.unwrap();
    text(&client, "a_lock", "{}").await;
    quiet(&mut get).await;
    unlock_aside(&fixture).await;
    assert_eq!(tools(&client).await, UNLOCKED);
}

/// Whoever has seen that something was unlocked need not wait to be told before using it.
#[tokio::test]
async fn a_call_waits_for_lists_that_are_being_read() {
    let fixture = fixture().await;
    let client = connect(&fixture.process).await;
    let mut get = client.listen(None).await.unwrap();
    text(&client, "a_lock", "{}").await;
    quiet(&mut get).await;
    unlock_aside(&fixture).await;
    assert_eq!(text(&client, "a_secret", "{}").await, "the secret");
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    // What is nowhere is refused as ever.
    refused(&client, "a_nothing").await;
}
