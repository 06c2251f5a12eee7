//! What a call unlocks in a kept session appears to its caller, and to nobody else.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use vmcp_testkit::{
    CHILD,
    gateway::{Gateway, eventually},
    identity::{AUDIENCE, IdentityProvider},
    modern_client::{Listening, ModernClient},
    peers::{self, Unlocking},
    raw::{Form, Kind, Lost},
};

use super::{Kept, call, ends::reload, modern_client};
use crate::serve;

/// Long enough for a notification that must not come to show itself.
const MOMENT: Duration = Duration::from_millis(800);

const PLAIN: [&str; 2] = ["a_unlock", "a_lock"];
const UNLOCKED: [&str; 3] = ["a_unlock", "a_lock", "a_secret"];
const LIST_CHANGED: &str = "notifications/tools/list_changed";

async fn before(form: Form, sections: &str) -> (Kept, Arc<Unlocking>) {
    let (peer, state) = peers::unlocking();
    (Kept::before(peer.form(form), sections).await, state)
}

async fn names(client: &ModernClient, method: &str, member: &str, key: &str) -> Vec<String> {
    let listed = client.list(method, member).await.unwrap();
    listed.iter().map(|item| item[key].as_str().unwrap().to_owned()).collect()
}

async fn tools(client: &ModernClient) -> Vec<String> {
    names(client, "tools/list", "tools", "name").await
}

async fn text(client: &ModernClient, tool: &str, arguments: Value) -> String {
    let answer = call(client, tool, arguments).await;
    answer.text().unwrap_or_else(|_error| panic!("{answer:?}"))
}

async fn refused(client: &ModernClient, tool: &str) {
    assert_eq!(call(client, tool, json!({})).await.error_code().unwrap(), -32602, "{tool}");
}

async fn listening(client: &ModernClient) -> Listening {
    client.listen(json!({"toolsListChanged": true, "promptsListChanged": true})).await.unwrap()
}

#[tokio::test]
async fn a_tool_that_a_call_unlocks_appears_to_its_caller_alone() {
    let (kept, state) = before(Form::Sse, "").await;
    let (client, other) = (&kept.client, kept.named("other"));
    assert_eq!(text(&other, "a_lock", json!({})).await, "done");
    let (mut told, mut others) = (listening(client).await, listening(&other).await);
    assert_eq!(tools(client).await, PLAIN);
    refused(client, "a_secret").await;
    // Whoever has the answer may use at once what the call has changed.
    state.slow_down(Duration::from_millis(200));
    assert_eq!(text(client, "a_unlock", json!({})).await, "done");
    assert_eq!(text(client, "a_secret", json!({})).await, "the secret");
    assert_eq!(tools(client).await, UNLOCKED);
    assert_eq!(told.next().await.unwrap()["method"], LIST_CHANGED);
    // What is one client's own may not be kept for another, nor for long.
    let listed = client.request("tools/list", json!({})).await.unwrap().result().unwrap();
    assert_eq!((&listed["ttlMs"], &listed["cacheScope"]), (&json!(0), &json!("private")));

    assert_eq!(tools(&other).await, PLAIN);
    let calls = kept.peer.counters().calls("secret");
    refused(&other, "a_secret").await;
    assert_eq!(kept.peer.counters().calls("secret"), calls, "the backend is not even asked");
    // Neither does one see it that can do something else.
    assert_eq!(tools(&client.clone().capabilities(json!({}))).await, PLAIN);

    assert_eq!(text(client, "a_lock", json!({})).await, "done");
    assert_eq!(tools(client).await, PLAIN);
    refused(client, "a_secret").await;
    assert_eq!(told.next().await.unwrap()["method"], LIST_CHANGED);
    told.quiet_for(MOMENT).await.unwrap();
    others.quiet_for(MOMENT).await.unwrap();
}

/// What could not be read is as it was, and is read when that can be done again.
#[tokio::test]
async fn a_list_that_fails_for_a_while_loses_nothing() {
    let (kept, state) = before(Form::Sse, "").await;
    let client = &kept.client;
    assert_eq!(text(client, "a_unlock", json!({})).await, "done");
    assert_eq!(tools(client).await, UNLOCKED);
    state.fail(true);
    let before = state.read();
    assert_eq!(text(client, "a_unlock", json!({"name": "another"})).await, "done");
    eventually("it is tried", async || (state.read() > before).then_some(())).await;
    assert_eq!(tools(client).await, UNLOCKED);
    assert_eq!(text(client, "a_secret", json!({})).await, "the secret");
    state.fail(false);
    eventually("it is listed", async || {
        tools(client).await.contains(&"a_another".to_owned()).then_some(())
    })
    .await;
    assert_eq!(text(client, "a_another", json!({})).await, "the another");
}

/// The backend says it on the stream of its session, which is listened to for as long as it is kept.
#[tokio::test]
async fn what_a_backend_says_aside_counts_as_well() {
    let (kept, _state) = before(Form::Json, "").await;
    let client = &kept.client;
    let mut told = listening(client).await;
    assert_eq!(text(client, "a_unlock", json!({"aside": true})).await, "done");
    assert_eq!(told.next().await.unwrap()["method"], LIST_CHANGED);
    assert_eq!(tools(client).await, UNLOCKED);
    assert_eq!(text(client, "a_secret", json!({})).await, "the secret");
    told.quiet_for(MOMENT).await.unwrap();
}

#[tokio::test]
async fn prompts_and_resources_are_unlocked_likewise() {
    let (kept, _state) = before(Form::Sse, "").await;
    let client = &kept.client;
    let mut told = listening(client).await;
    text(client, "a_unlock", json!({"kind": "prompts", "name": "p"})).await;
    assert_eq!(told.next().await.unwrap()["method"], "notifications/prompts/list_changed");
    assert_eq!(names(client, "prompts/list", "prompts", "name").await, ["a_hello", "a_p"]);
    client.prompt("a_p", json!({})).await.unwrap().result().unwrap();
    text(client, "a_unlock", json!({"kind": "resources", "name": "x://two"})).await;
    let listed = names(client, "resources/list", "resources", "uri").await;
    assert_eq!(listed, ["x://one", "x://two"]);
    client.read("x://two").await.unwrap().result().unwrap();
    text(client, "a_unlock", json!({"kind": "templates", "name": "y://{n}"})).await;
    let templates =
        names(client, "resources/templates/list", "resourceTemplates", "uriTemplate").await;
    assert_eq!(templates, ["y://{n}"]);
    let other = kept.named("other");
    assert_eq!(names(&other, "prompts/list", "prompts", "name").await, ["a_hello"]);
    assert_eq!(names(&other, "resources/list", "resources", "uri").await, ["x://one"]);
}

#[tokio::test]
async fn no_other_principal_sees_it() {
    let (peer, _state) = peers::unlocking();
    let peer = peer.form(Form::Sse).start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let oidc = format!(
        "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, insecureAllowHttp: true, jwksAllowPrivateIp: true}}",
        provider.issuer()
    );
    let process = serve(&Gateway::before(&[("a", peer.url())]).incoming(&oidc)).await;
    let client = |subject: &str| {
        let token = format!("Bearer {}", provider.token(subject));
        modern_client(&process).header("authorization", &token)
    };
    let (alice, bob) = (client("alice"), client("bob"));
    assert_eq!(text(&alice, "a_unlock", json!({})).await, "done");
    assert_eq!(tools(&bob).await, PLAIN);
    refused(&bob, "a_secret").await;
    // Another token of the same subject.
    assert_eq!(tools(&client("alice")).await, UNLOCKED);
    assert_eq!(text(&client("alice"), "a_secret", json!({})).await, "the secret");
}

/// Where nobody can say that the next call comes from the same caller, nothing is anybody's own.
#[tokio::test]
async fn it_appears_to_nobody_whose_session_is_not_kept_for_it_alone() {
    for reuse in ["all", "never"] {
        let (kept, _state) = before(Form::Sse, &format!("bridge: {{reuse: {reuse}}}")).await;
        let mut told = listening(&kept.client).await;
        assert_eq!(text(&kept.client, "a_unlock", json!({})).await, "done");
        assert_eq!(tools(&kept.client).await, PLAIN, "{reuse}");
        refused(&kept.client, "a_secret").await;
        told.quiet_for(MOMENT).await.unwrap();
    }
    let (kept, _state) = before(Form::Sse, "").await;
    let stranger = kept.client.clone().header("x-forwarded-for", "192.0.2.1");
    assert_eq!(text(&stranger, "a_unlock", json!({})).await, "done");
    assert_eq!(tools(&stranger).await, PLAIN);
    assert_eq!(tools(&kept.client).await, PLAIN);
}

#[tokio::test]
async fn it_is_gone_when_the_session_ends() {
    let (kept, _state) = before(Form::Sse, "bridge: {idle: 4s}").await;
    let client = &kept.client;
    let mut told = listening(client).await;
    assert_eq!(text(client, "a_unlock", json!({})).await, "done");
    assert_eq!(tools(client).await, UNLOCKED);
    assert_eq!(told.next().await.unwrap()["method"], LIST_CHANGED);
    eventually("it is ended", async || (kept.told().await == 0).then_some(())).await;
    assert_eq!(told.next().await.unwrap()["method"], LIST_CHANGED);
    assert_eq!(tools(client).await, PLAIN);
    refused(client, "a_secret").await;
    // A new one may unlock it again.
    assert_eq!(text(client, "a_unlock", json!({})).await, "done");
    assert_eq!(text(client, "a_secret", json!({})).await, "the secret");
}

#[tokio::test]
async fn it_is_gone_when_the_backend_has_lost_the_session() {
    let (kept, _state) = before(Form::Sse, "").await;
    let client = &kept.client;
    let mut told = listening(client).await;
    assert_eq!(text(client, "a_unlock", json!({})).await, "done");
    assert_eq!(tools(client).await, UNLOCKED);
    assert_eq!(told.next().await.unwrap()["method"], LIST_CHANGED);
    kept.peer.forget_sessions(Lost::NotFound);
    // The new session knows nothing of it.
    let answer = call(client, "a_secret", json!({})).await;
    assert_eq!(answer.error_code().unwrap(), -32602, "{answer:?}");
    assert_eq!(told.next().await.unwrap()["method"], LIST_CHANGED);
    assert_eq!(tools(client).await, PLAIN);
}

/// Its own offer stands beside what changes in the rest.
#[tokio::test]
async fn another_backend_may_change_meanwhile() {
    let (locked, _state) = peers::unlocking();
    let locked = locked.form(Form::Sse).start().await.unwrap();
    let changing = peers::changing().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", locked.url()), ("b", changing.url())])).await;
    let client = modern_client(&process);
    let mut told = listening(&client).await;
    text(&client, "a_unlock", json!({})).await;
    assert_eq!(told.next().await.unwrap()["method"], LIST_CHANGED);
    text(&client, "b_add", json!({"name": "new"})).await;
    assert_eq!(told.next().await.unwrap()["method"], LIST_CHANGED);
    let all = ["a_unlock", "a_lock", "a_secret", "b_add", "b_remove", "b_touch", "b_new"];
    eventually("both are listed", async || (tools(&client).await == all).then_some(())).await;
    assert_eq!(text(&client, "a_secret", json!({})).await, "the secret");
    assert_eq!(text(&client, "b_new", json!({})).await, "new");
}

/// What changes for everybody may change for this caller, too, though nothing is said on its session.
#[tokio::test]
async fn it_is_read_again_when_everybodys_lists_change() {
    let (kept, state) = before(Form::Sse, "").await;
    let client = &kept.client;
    text(client, "a_unlock", json!({})).await;
    assert_eq!(tools(client).await, UNLOCKED);
    let seen = kept.peer.seen();
    let called = seen.iter().rfind(|seen| seen.method == "tools/call").unwrap();
    let own = called.headers["mcp-session-id"].to_str().unwrap().to_owned();
    state.set("", Kind::Tools, "more", true);
    for session in kept.peer.sessions() {
        if session.id() != own {
            session.notify(LIST_CHANGED, "{}").await;
        }
    }
    let all = ["a_unlock", "a_lock", "a_secret", "a_more"];
    eventually("it is listed beside", async || (tools(client).await == all).then_some(())).await;
    assert_eq!(text(client, "a_more", json!({})).await, "the more");
    let others = tools(&kept.named("other")).await;
    assert_eq!(others, ["a_unlock", "a_lock", "a_more"]);
}

#[tokio::test]
async fn what_two_backends_list_alike_is_told_apart() {
    let ((one, _), (two, _)) = (peers::unlocking(), peers::unlocking());
    let one = one.form(Form::Sse).start().await.unwrap();
    let two = two.form(Form::Sse).start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", one.url()), ("b", two.url())])).await;
    let client = modern_client(&process);
    text(&client, "a_unlock", json!({})).await;
    text(&client, "b_unlock", json!({})).await;
    let all = ["a_unlock", "a_lock", "a_secret", "b_unlock", "b_lock", "b_secret"];
    assert_eq!(tools(&client).await, all);
    text(&client, "a_lock", json!({})).await;
    assert_eq!(tools(&client).await, ["a_unlock", "a_lock", "b_unlock", "b_lock", "b_secret"]);
    assert_eq!(text(&client, "b_secret", json!({})).await, "the secret");
    refused(&client, "a_secret").await;
}

/// What a server has listed is nothing that another has under its name.
#[tokio::test]
async fn it_is_gone_when_another_backend_has_the_name() {
    let (kept, _state) = before(Form::Sse, "").await;
    let client = &kept.client;
    text(client, "a_unlock", json!({})).await;
    assert_eq!(tools(client).await, UNLOCKED);
    let (another, _state) = peers::unlocking();
    let another = another.form(Form::Sse).start().await.unwrap();
    reload(&kept, &Gateway::before(&[("a", another.url())])).await;
    eventually("it is gone", async || (tools(client).await == PLAIN).then_some(())).await;
    refused(client, "a_secret").await;
    assert_eq!(text(client, "a_unlock", json!({})).await, "done");
    assert_eq!(text(client, "a_secret", json!({})).await, "the secret");
    assert_eq!(another.counters().calls("secret"), 1);
}

#[tokio::test]
async fn fifty_changes_at_once_are_read_a_few_times() {
    let (kept, state) = before(Form::Sse, "").await;
    let client = &kept.client;
    let mut told = listening(client).await;
    text(client, "a_lock", json!({})).await;
    told.quiet_for(MOMENT).await.unwrap();
    let before = state.read();
    text(client, "a_unlock", json!({"times": 50})).await;
    assert_eq!(tools(client).await, UNLOCKED);
    assert_eq!(told.next().await.unwrap()["method"], LIST_CHANGED);
    told.quiet_for(MOMENT).await.unwrap();
    let read = state.read() - before;
    // The session's own and the view's, each with one more for what came meanwhile.
    assert!((2..=5).contains(&read), "the tools were listed {read} times");
}

/// At a bound the caller is shown what its view is, and the log says so.
#[tokio::test]
async fn what_is_too_much_is_not_shown() {
    let (kept, _state) = before(Form::Sse, "").await;
    let client = &kept.client;
    assert_eq!(text(client, "a_unlock", json!({})).await, "done");
    assert_eq!(tools(client).await, UNLOCKED);
    let long = "x".repeat(1 << 18);
    let many = ["1", "2", "3"]
        .map(|number| json!({"kind": "resources", "name": format!("x://{number}{long}")}));
    for arguments in &many {
        assert_eq!(text(client, "a_unlock", arguments.clone()).await, "done");
    }
    eventually("the view's is shown", async || (tools(client).await == PLAIN).then_some(())).await;
    let log = kept.process.log();
    assert!(log.contains("lists more bytes to a kept session"), "{log}");
    for arguments in many {
        assert_eq!(text(client, "a_lock", arguments).await, "done");
    }
    eventually("it is shown again", async || (tools(client).await == UNLOCKED).then_some(())).await;
}

/// A program says it on the one channel that it has, before it answers or when no call is under way.
#[tokio::test]
async fn it_is_so_with_programs() {
    let backend = format!("name: a, command: python3, args: ['{CHILD}']");
    let process = serve(&Gateway::before(&[]).backend(&backend)).await;
    for late in [false, true] {
        let name = |name| super::named(&modern_client(&process), name, &format!("late {late}"));
        let (client, other) = (name("one"), name("other"));
        let mut told = listening(&client).await;
        let count = tools(&client).await.len();
        assert!(count > 0);
        assert_eq!(text(&client, "a_change", json!({"late": late})).await, "changed");
        if late {
            assert_eq!(told.next().await.unwrap()["method"], LIST_CHANGED);
        }
        assert_eq!(text(&client, "a_extra", json!({})).await, "the extra");
        assert_eq!(tools(&client).await.len(), count + 1);
        text(&other, "a_count", json!({})).await;
        assert_eq!(tools(&other).await.len(), count);
        refused(&other, "a_extra").await;
    }
}
