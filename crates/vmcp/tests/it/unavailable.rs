//! Backends that hang, are down, or come late: the rest goes on without them.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::{
    sync::Semaphore,
    time::{Duration, Instant},
};
use vmcp_testkit::{
    client::{Client, Message},
    gateway::{Gateway, eventually},
    peers,
    process::{Process, free_port},
    raw::{Answer, Call, RawServer, handler},
};

use crate::serve;

const WAIT: Duration = Duration::from_millis(500);
/// What a busy machine may add; it is far from any deadline that was not asked for.
const GRACE: Duration = Duration::from_secs(10);

fn impatient(backends: &[(&str, String)]) -> Gateway {
    Gateway::before(backends).with("sessions: {initializeWait: 500ms}")
}

/// Opens a session; the answer must be there in time.
async fn initialized(process: &Process) -> (Client, Value) {
    let mut client = Client::new(&process.url());
    let began = Instant::now();
    let answer = client.initialize().await.unwrap();
    assert!(began.elapsed() < WAIT + GRACE, "{:?}", began.elapsed());
    (client, answer.json()["result"].clone())
}

async fn names(client: &Client) -> Vec<String> {
    let list: Message = client.request("1", "tools/list", "{}").await.unwrap();
    list.keys("tools", "name").unwrap()
}

/// A server that answers `initialize` only when the gate is open.
fn gated(gate: &Arc<Semaphore>) -> RawServer {
    let gate = Arc::clone(gate);
    let initialize = handler(move |call: Call| {
        let gate = Arc::clone(&gate);
        async move {
            let _pass = gate.acquire().await.unwrap();
            let version = call.session.version().to_owned();
            let capabilities = r#"{"tools":{"listChanged":true}}"#;
            Answer::from(format!(
                r#"{{"protocolVersion":"{version}","capabilities":{capabilities},"serverInfo":{{"name":"late","version":"1"}}}}"#
            ))
        }
    });
    peers::slow().script("initialize", initialize)
}

#[tokio::test]
async fn a_backend_that_hangs_at_initialize_holds_nobody_up_and_may_come_late() {
    let gate = Arc::new(Semaphore::new(0));
    let late = gated(&gate).start().await.unwrap();
    let good = peers::stateful().start().await.unwrap();
    let process = serve(&impatient(&[("late", late.url()), ("good", good.url())])).await;
    let (client, greeting) = initialized(&process).await;
    assert_eq!(greeting["_meta"]["vmcp/missing"], json!(["late"]));
    assert_eq!(greeting["capabilities"]["tools"]["listChanged"], true);
    assert_eq!(names(&client).await, ["good_slow", "good_count"]);
    assert_eq!(client.call("2", "good_count", "{}").await.unwrap().text().unwrap(), "1");
    let (_other, greeting) = initialized(&process).await;
    assert_eq!(greeting["_meta"]["vmcp/missing"], json!(["late"]), "still");

    let mut get = client.listen(None).await.unwrap();
    gate.add_permits(1);
    let told = get.message().await.unwrap().unwrap();
    assert_eq!(told.method().unwrap(), "notifications/tools/list_changed");
    assert_eq!(names(&client).await, ["late_slow", "good_slow", "good_count"]);
    let answer = client.call("3", "late_slow", r#"{"delay_ms":1}"#).await.unwrap();
    assert_eq!(answer.text().unwrap(), "done");
    let (_another, greeting) = initialized(&process).await;
    assert!(greeting.get("_meta").is_none(), "nothing is missing any more: {greeting}");
}

/// A session waits once: where `initialize` has waited, lists do not wait for the same backends again.
#[tokio::test]
async fn lists_do_not_wait_for_what_initialize_has_waited_for() {
    let hanging = peers::hanging_at_initialize().start().await.unwrap();
    let good = peers::stateful().start().await.unwrap();
    let wait = Duration::from_secs(3);
    let gateway = Gateway::before(&[("hang", hanging.url()), ("good", good.url())]);
    let process = serve(&gateway.with("sessions: {initializeWait: 3s}")).await;
    let client = Client::connect(&process.url()).await.unwrap();
    let began = Instant::now();
    for method in ["tools/list", "resources/list", "resources/templates/list", "prompts/list"] {
        client.request("1", method, "{}").await.unwrap().result().unwrap();
    }
    assert!(began.elapsed() < wait * 2, "of 12 s, had each waited: {:?}", began.elapsed());
}

#[tokio::test]
async fn all_backends_may_hang() {
    let hanging = peers::hanging_at_initialize().start().await.unwrap();
    let process = serve(&impatient(&[("a", hanging.url()), ("b", hanging.url())])).await;
    let (client, greeting) = initialized(&process).await;
    assert_eq!(greeting["_meta"]["vmcp/missing"], json!(["a", "b"]));
    assert!(names(&client).await.is_empty());
    client.request("2", "ping", "{}").await.unwrap().result().unwrap();
}

#[tokio::test]
async fn a_backend_that_is_down_at_first_comes_up() {
    let port = free_port().unwrap();
    let good = peers::slow().start().await.unwrap();
    let down = format!("http://127.0.0.1:{port}/mcp");
    let process = serve(&impatient(&[("down", down), ("good", good.url())])).await;
    let (client, greeting) = initialized(&process).await;
    assert_eq!(greeting["_meta"]["vmcp/missing"], json!(["down"]));
    let mut get = client.listen(None).await.unwrap();
    let _up = peers::stateful().port(port).start().await.unwrap();
    let told = get.message().await.unwrap().unwrap();
    assert_eq!(told.method().unwrap(), "notifications/tools/list_changed");
    assert_eq!(names(&client).await, ["down_slow", "down_count", "good_slow"]);
    assert_eq!(client.call("2", "down_count", "{}").await.unwrap().text().unwrap(), "1");
}

/// What a backend offered last is shown while it is away, and its calls fail clearly.
#[tokio::test]
async fn the_last_good_offer_stays() {
    let backend = peers::stateful().start().await.unwrap();
    let good = peers::slow().start().await.unwrap();
    let port = backend.address().port();
    let process = serve(&impatient(&[("a", backend.url()), ("good", good.url())])).await;
    let (client, _) = initialized(&process).await;
    drop(backend);
    let away = async |client: &Client| {
        let answer = client.call("1", "a_count", "{}").await.unwrap();
        assert!(answer.error().unwrap().contains("backend a"), "{answer:?}");
    };
    away(&client).await;
    let (newcomer, _) = initialized(&process).await;
    assert_eq!(names(&newcomer).await, ["a_slow", "a_count", "good_slow"]);
    away(&newcomer).await;
    newcomer.call("2", "good_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    let _again =
        eventually("the port is free", async || peers::stateful().port(port).start().await.ok())
            .await;
    assert_eq!(newcomer.call("3", "a_count", "{}").await.unwrap().text().unwrap(), "1");
    assert_eq!(client.call("3", "a_count", "{}").await.unwrap().text().unwrap(), "1");
}

#[tokio::test]
async fn headers_without_end_and_lists_that_are_none_hurt_nobody_else() {
    let endless = peers::endless_headers(0).await.unwrap();
    let lying = peers::lying_about_tools().start().await.unwrap();
    let good = peers::slow().start().await.unwrap();
    let backends = [("endless", endless.url()), ("lying", lying.url()), ("good", good.url())];
    let process = serve(&impatient(&backends)).await;
    let (client, greeting) = initialized(&process).await;
    let missing = greeting["_meta"]["vmcp/missing"].to_string();
    assert!(missing.contains("endless") && !missing.contains("good"), "{missing}");
    assert_eq!(names(&client).await, ["good_slow"]);
    client.call("2", "good_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    let uris = client.request("3", "resources/list", "{}").await.unwrap();
    assert!(uris.keys("resources", "uri").unwrap().len() <= 1);
    let prompts = client.request("4", "prompts/list", "{}").await.unwrap();
    assert!(prompts.items("prompts").unwrap().is_empty());
}

/// A call that its backend never answers holds up nothing but itself.
#[tokio::test]
async fn calls_that_hang_do_not_hold_up_others() {
    let hanging = peers::hanging_at_calls().start().await.unwrap();
    let good = peers::slow().start().await.unwrap();
    let process = serve(&impatient(&[("hang", hanging.url()), ("good", good.url())])).await;
    let (client, _) = initialized(&process).await;
    let hung = client.call("1", "hang_hang", "{}");
    let others = async {
        eventually("the call hangs", async || {
            (hanging.counters().calls("hang") == 1).then_some(())
        })
        .await;
        for id in 2..20 {
            let id = id.to_string();
            client.call(&id, "good_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
        }
    };
    tokio::select! {
        answer = hung => panic!("{answer:?}"),
        () = others => {}
    }
}
