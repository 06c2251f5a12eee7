//! The configuration changes while clients are connected: on SIGHUP, or because its file did.

mod commands;
mod editors;
mod headers;
mod openings;
mod own;

use std::{fs, time::Duration};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::timeout;
use vmcp_testkit::{
    client::{Client, Response, fetch},
    gateway::{Gateway, eventually},
    peers,
    process::Process,
    raw::{Answer, Kind, Running, Server, fixed, handler},
    token_endpoint::TokenEndpoint,
};

use crate::{connect, serve};

/// Long enough for a notification that must not come to show itself.
const MOMENT: Duration = Duration::from_millis(800);

async fn status(process: &Process) -> Value {
    let (_, text) = fetch(&process.url_of("/status")).await.unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Gives the process another configuration, and waits until it has taken it or refused to.
async fn reload(process: &Process, yaml: &str) -> Value {
    let attempts = |status: &Value| status["reload"]["attempts"].as_u64().unwrap_or(0);
    let before = attempts(&status(process).await);
    process.write_config(yaml).unwrap();
    process.signal(Signal::HUP).unwrap();
    eventually("the reload is over", async || {
        let status = status(process).await;
        (attempts(&status) > before).then(|| status["reload"].clone())
    })
    .await
}

async fn reloaded(process: &Process, gateway: &Gateway) {
    let outcome = reload(process, &gateway.yaml()).await;
    assert_eq!(outcome["succeeded"], true, "{outcome}");
}

async fn tools(client: &Client) -> Vec<String> {
    client.request("1", "tools/list", "{}").await.unwrap().keys("tools", "name").unwrap()
}

async fn text(client: &Client, tool: &str) -> String {
    client.call("2", tool, r#"{"delay_ms":1}"#).await.unwrap().text().unwrap()
}

async fn next(stream: &mut Response) -> String {
    stream.message().await.unwrap().unwrap().method().unwrap()
}

async fn quiet(stream: &mut Response) {
    let more = timeout(MOMENT, stream.message()).await;
    assert!(more.is_err(), "nothing more was to come: {more:?}");
}

fn named(name: &str) -> vmcp_testkit::raw::RawServer {
    let tool = format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
    vmcp_testkit::raw::RawServer::builder().offer(Kind::Tools, &tool, fixed(Answer::text(name)))
}

fn server_of(backend: &Running) -> &Server {
    backend
}

#[tokio::test]
async fn backends_come_change_and_go_under_a_session() {
    let stays = peers::stateful().start().await.unwrap();
    let (old, new) = (named("old").start().await.unwrap(), named("new").start().await.unwrap());
    let added = named("added").start().await.unwrap();
    // Late, so that whoever reads the others first has done so.
    let late = handler(|_call| async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let tool = r#"{"name":"also","inputSchema":{"type":"object"}}"#;
        Answer::from(format!(r#"{{"tools":[{tool}]}}"#))
    });
    let also = named("also").script("tools/list", late).start().await.unwrap();
    let gone = named("gone").start().await.unwrap();
    let gateway = Gateway::before(&[("a", stays.url()), ("b", old.url()), ("c", gone.url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    assert_eq!(tools(&client).await, ["a_slow", "a_count", "b_old", "c_gone"]);
    assert_eq!(text(&client, "a_count").await, "1");
    assert_eq!(text(&client, "b_old").await, "old");
    assert_eq!(text(&client, "c_gone").await, "gone");
    let initializes = stays.counters().initializes();

    reloaded(
        &process,
        &Gateway::before(&[
            ("a", stays.url()),
            ("b", new.url()),
            ("d", added.url()),
            ("e", also.url()),
        ]),
    )
    .await;
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    assert_eq!(tools(&client).await, ["a_slow", "a_count", "b_new", "d_added", "e_also"]);
    quiet(&mut get).await;
    assert_eq!(text(&client, "a_count").await, "2", "its state is as it was");
    assert_eq!(stays.counters().initializes(), initializes, "it was left alone");
    for (tool, expected) in [("b_new", "new"), ("d_added", "added"), ("e_also", "also")] {
        assert_eq!(text(&client, tool).await, expected);
    }
    let refused = client.call("3", "c_gone", "{}").await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32602);
    for backend in [&old, &gone] {
        eventually("no session is left behind", async || {
            backend.sessions().is_empty().then_some(())
        })
        .await;
    }
    let line = r#""added":"d, e","changed":"b","removed":"c""#;
    process.logged(line).await;
    let others = connect(&process).await;
    assert_eq!(tools(&others).await, tools(&client).await);
    assert_eq!(client.delete().await.unwrap(), 200);
}

#[tokio::test]
async fn a_call_under_way_on_a_backend_that_goes_comes_to_its_end() {
    let (goes, stays) =
        (peers::slow().start().await.unwrap(), peers::stateful().start().await.unwrap());
    let other = peers::slow().start().await.unwrap();
    let process =
        serve(&Gateway::before(&[("a", goes.url()), ("b", stays.url()), ("c", goes.url())])).await;
    let client = connect(&process).await;
    let slow = async |id: &str, tool: &str| {
        let arguments = r#"{"delay_ms":1500}"#;
        client.call(id, tool, arguments).await.unwrap().text().unwrap()
    };
    let change = async {
        eventually("both calls are under way", async || {
            (goes.counters().calls("slow") == 2).then_some(())
        })
        .await;
        reloaded(&process, &Gateway::before(&[("b", stays.url()), ("c", other.url())])).await;
        assert_eq!(text(&client, "c_slow").await, "done", "others go to the new one");
        assert!(goes.sessions().len() >= 2, "not while they are under way");
    };
    let (removed, changed, ()) =
        tokio::join!(slow(r#""r""#, "a_slow"), slow(r#""c""#, "c_slow"), change);
    assert_eq!((removed.as_str(), changed.as_str()), ("done", "done"));
    eventually("no session is left behind", async || goes.sessions().is_empty().then_some(()))
        .await;
}

/// A call that takes longer than the drain is cut off, and says so.
#[tokio::test]
async fn a_backend_that_goes_waits_no_longer_than_the_drain() {
    let (goes, stays) =
        (peers::slow().start().await.unwrap(), peers::slow().start().await.unwrap());
    let sessions = "sessions: {drainTimeout: 500ms}";
    let process =
        serve(&Gateway::before(&[("a", goes.url()), ("b", stays.url())]).with(sessions)).await;
    let client = connect(&process).await;
    let call = client.call("1", "a_slow", r#"{"delay_ms":60000}"#);
    let change = async {
        eventually("the call is under way", async || {
            (goes.counters().calls("slow") == 1).then_some(())
        })
        .await;
        reloaded(&process, &Gateway::before(&[("b", stays.url())]).with(sessions)).await;
    };
    let (answer, ()) = tokio::join!(call, change);
    assert!(answer.unwrap().error().unwrap().contains("cut off"));
    eventually("no session is left behind", async || goes.sessions().is_empty().then_some(()))
        .await;
}

#[tokio::test]
async fn a_client_that_listens_and_subscribes_hears_from_the_changed_backend() {
    let (old, new) =
        (peers::changing().start().await.unwrap(), peers::changing().start().await.unwrap());
    let process = serve(&Gateway::before(&[("a", old.url())])).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    let params = r#"{"uri":"change://one"}"#;
    client.request("1", "resources/subscribe", params).await.unwrap().result().unwrap();
    reloaded(&process, &Gateway::before(&[("a", new.url())])).await;
    eventually("the new one knows of the subscription and is listened to", async || {
        let sessions = new.sessions();
        let mut sessions = sessions.iter();
        sessions.any(|one| one.subscriptions() == ["change://one"] && one.listens()).then_some(())
    })
    .await;
    server_of(&new).update("change://one").await;
    assert_eq!(next(&mut get).await, "notifications/resources/updated");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_reported_and_changes_nothing() {
    let backend = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    assert_eq!(text(&client, "a_count").await, "1");
    let wrong = format!("{}sesions: {{ttl: 1h}}\nlimits: {{views: none}}\n", gateway.yaml());
    let outcome = reload(&process, &wrong).await;
    assert_eq!(outcome["succeeded"], false);
    let problem = outcome["problem"].as_str().unwrap();
    for said in ["vmcp.yaml:9:1: unknown key \"sesions\"", "vmcp.yaml:10:17: limits.views: "] {
        assert!(problem.contains(said), "{problem}");
        let said = said.replace('"', "\\\"");
        // What is logged may take a moment to be read.
        let log = eventually("it is logged", async || {
            Some(process.log()).filter(|log| log.contains(&said))
        });
        let log = log.await;
        let told = log.lines().filter(|line| line.contains(&said));
        assert!(told.clone().count() == 1 && told.clone().all(|l| l.contains("ERROR")), "{log}");
    }
    let broken = gateway.yaml().replace("gateway", "[");
    assert_eq!(reload(&process, &broken).await["succeeded"], false);
    assert_eq!(text(&client, "a_count").await, "2");
    reloaded(&process, &gateway).await;
    assert_eq!(text(&client, "a_count").await, "3");
    assert_eq!(status(&process).await["reload"]["problem"], Value::Null);
}

/// An authority's file that holds no certificate is noticed only when the backend is made.
#[tokio::test]
async fn a_reload_is_checked_as_deep_as_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let bundle = directory.path().join("ca.pem");
    let broken = "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n";
    fs::write(&bundle, broken).unwrap();
    let backend = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]);
    let process = serve(&gateway).await;
    let entry = format!(
        "backends:\n  - {{name: b, url: 'https://localhost:1', type: entry, caBundlePath: '{}'}}\n",
        bundle.display()
    );
    let outcome = reload(&process, &gateway.yaml().replace("backends:\n", &entry)).await;
    assert_eq!(outcome["succeeded"], false, "{outcome}");
    assert!(outcome["problem"].as_str().unwrap().contains("backend b"), "{outcome}");
    assert_eq!(tools(&connect(&process).await).await, ["a_slow", "a_count"]);
}

#[tokio::test]
async fn a_changed_credential_is_used_by_the_next_call() {
    let backend = peers::slow().start().await.unwrap();
    let gateway = |value: &str| {
        Gateway::before(&[("a", backend.url())]).with(&format!(
            "outgoingAuth:
  default: {{type: header_injection, headerInjection: {{headerName: X-Key, headerValue: {value}}}}}"
        ))
    };
    let process = serve(&gateway("first")).await;
    let client = connect(&process).await;
    let last = || {
        let seen = backend.seen();
        let call = seen.iter().rfind(|seen| seen.method == "tools/call").unwrap();
        call.headers["x-key"].to_str().unwrap().to_owned()
    };
    assert_eq!((text(&client, "a_slow").await, last()), ("done".into(), "first".into()));
    reloaded(&process, &gateway("second")).await;
    assert_eq!((text(&client, "a_slow").await, last()), ("done".into(), "second".into()));
}

#[tokio::test]
async fn the_file_and_what_it_refers_to_are_looked_at() {
    let (one, two) = (named("one").start().await.unwrap(), named("two").start().await.unwrap());
    let endpoint = TokenEndpoint::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    fs::write(&file, "first").unwrap();
    let with = |backends: &[(&str, String)]| {
        Gateway::before(backends).with(&format!(
            "outgoingAuth:
  default:
    type: client_credentials
    clientCredentials: {{tokenUrl: '{}', clientId: c, clientAuth: post, clientSecretFile: '{}'}}",
            endpoint.url(),
            file.display()
        ))
    };
    let process = serve(&with(&[("a", one.url())])).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    process.write_config(&with(&[("a", one.url()), ("b", two.url())]).yaml()).unwrap();
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    assert_eq!(tools(&client).await, ["a_one", "b_two"]);
    fs::write(&file, "second").unwrap();
    eventually("the new secret is used", async || {
        text(&client, "a_one").await;
        let asked = endpoint.asked();
        asked.iter().any(|asked| asked.field("client_secret") == "second").then_some(())
    })
    .await;
}

#[tokio::test]
async fn watching_can_be_turned_off_and_sighup_works_still() {
    let (one, two) = (named("one").start().await.unwrap(), named("two").start().await.unwrap());
    let still = |backends: &[(&str, String)]| {
        Gateway::before(backends).with("operational: {reload: {watchFile: false}}")
    };
    let process = serve(&still(&[("a", one.url())])).await;
    let client = connect(&process).await;
    let both = still(&[("a", one.url()), ("b", two.url())]);
    process.write_config(&both.yaml()).unwrap();
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(tools(&client).await, ["a_one"]);
    reloaded(&process, &both).await;
    eventually("the change is there", async || {
        (tools(&client).await == ["a_one", "b_two"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn rules_timeouts_labels_and_the_log_level_change_at_once() {
    let backend = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    assert_eq!(text(&client, "a_count").await, "1");
    let initializes = backend.counters().initializes();
    let other = gateway
        .clone()
        .aggregation(
            "conflictResolution: prefix
conflictResolutionConfig: {prefixFormat: '{workload}.'}
tools: [{workload: a, filter: [slow, count], overrides: {slow: {name: slow, description: new}}}]",
        )
        .with("metadata: {team: x}\noperational: {logLevel: debug, timeouts: {default: 300ms}}");
    reloaded(&process, &other).await;
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    assert_eq!(tools(&client).await, ["a.slow", "a.count"]);
    assert_eq!(text(&client, "a.count").await, "2", "other timeouts are no other backend");
    let late = client.call("3", "a.slow", r#"{"delay_ms":5000}"#).await.unwrap();
    assert!(late.error().unwrap().contains("did not answer within"), "{late:?}");
    quiet(&mut get).await;
    assert_eq!(status(&process).await["metadata"]["labels"], json!({"team": "x"}));
    // Of interest to developers only.
    client.post(r#"{"jsonrpc":"2.0","error":{"code":-1,"message":"m"}}"#).await.unwrap();
    process.logged("DEBUG").await;
    // The watch of the backend is a new one; the session on it is not.
    assert!(backend.counters().initializes() <= initializes + 2);
    eventually("one session and the watches are left", async || {
        (backend.sessions().len() <= 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_needs_a_start_is_said_once() {
    let backend = peers::stateful().start().await.unwrap();
    // Read when the signal comes only: one change is one reload.
    let unwatched = "operational: {reload: {watchFile: false}}";
    let before = Gateway::before(&[("a", backend.url())]).with(unwatched);
    let process = serve(&before).await;
    let more = format!("{unwatched}\nsessions: {{ttl: 5m}}\nallowedHosts: [localhost]");
    let other = Gateway::before(&[("a", backend.url())]).with(&more);
    let outcome = reload(&process, &other.yaml()).await;
    assert_eq!(outcome["pending"], json!(["allowedHosts", "sessions.ttl"]), "{outcome}");
    let log = process.logged("at the next start").await;
    let said = log.lines().filter(|line| line.contains("at the next start"));
    let said: Vec<_> = said.collect();
    assert!(
        said.len() == 1 && said[0].contains(r#""settings":"allowedHosts, sessions.ttl""#),
        "{log}"
    );
    connect(&process).await;
    // What could not be read leaves what is pending as it is.
    let outcome = reload(&process, "[").await;
    assert_eq!(outcome["pending"], json!(["allowedHosts", "sessions.ttl"]), "{outcome}");
    let outcome = reload(&process, &before.yaml()).await;
    assert_eq!(outcome["pending"], json!([]), "{outcome}");
}

/// Whoever shuts somebody out must know that it has not happened yet.
#[tokio::test]
async fn other_callers_wait_for_a_start_and_that_is_said() {
    let backend = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]);
    let process = serve(&gateway).await;
    let other = gateway.yaml().replace("type: anonymous", "type: local");
    assert_ne!(other, gateway.yaml());
    let outcome = reload(&process, &other).await;
    assert_eq!(outcome["pending"], json!(["incomingAuth"]), "{outcome}");
    process.logged("callers are still judged by the one that vmcp was started with").await;
}

/// The order of the backends in the file is that of the lists.
#[tokio::test]
async fn another_order_of_the_backends_is_another_list() {
    let (one, other) =
        (peers::stateful().start().await.unwrap(), peers::stateful().start().await.unwrap());
    let process = serve(&Gateway::before(&[("b", one.url()), ("a", other.url())])).await;
    let client = connect(&process).await;
    let listed = ["b_slow", "b_count", "a_slow", "a_count"];
    assert_eq!(tools(&client).await, listed);
    let mut stream = client.listen(None).await.unwrap();
    let swapped = Gateway::before(&[("a", other.url()), ("b", one.url())]);
    reloaded(&process, &swapped).await;
    assert_eq!(next(&mut stream).await, "notifications/tools/list_changed");
    assert_eq!(tools(&client).await, [listed[2], listed[3], listed[0], listed[1]]);
}
