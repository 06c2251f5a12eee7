//! What operators and their tools see: probes, status, signs of life.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use vmcp_testkit::{
    client::{Client, fetch},
    gateway::{Gateway, eventually},
    peers,
    process::{Program, free_port},
};

use crate::{connect, serve};

async fn json(url: &str) -> (u16, Value) {
    let (status, body) = fetch(url).await.unwrap();
    (status.as_u16(), serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn health_readiness_and_status_beside_mcp_on_loopback() {
    let (up, down) = (peers::slow().start().await.unwrap(), free_port().unwrap());
    let gateway =
        Gateway::before(&[("up", up.url()), ("down", format!("http://127.0.0.1:{down}/mcp"))]);
    let process = serve(&gateway.with("groupRef: team\nmetadata: {floor: '3'}")).await;
    let client = connect(&process).await;
    client.call("1", "up_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    let _get = client.listen(None).await.unwrap();
    for probe in ["/health", "/ping"] {
        assert_eq!(json(&process.url_of(probe)).await, (200, serde_json::json!({"status": "ok"})));
    }
    let (status, ready) = json(&process.url_of("/readyz")).await;
    assert_eq!((status, ready["status"].as_str()), (200, Some("ready")));
    let (status, report) = json(&process.url_of("/status")).await;
    assert_eq!(status, 200);
    assert_eq!(report["sessions"], 1, "{report}");
    assert_eq!(report["get_streams"], 1, "{report}");
    let state = |name: &str| -> Value {
        let all = report["backends"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap().clone()
    };
    assert_eq!(state("up")["state"], "healthy");
    assert!(state("up")["latency"]["p99_ms"].is_number(), "{report}");
    assert_eq!(state("up")["offers"]["tools"], 1);
    assert_ne!(state("down")["state"], "healthy");
    assert!(state("down")["offer_problem"].is_string(), "{report}");
    assert!(state("down")["last_error"].is_string(), "{report}");
    let text = report.to_string();
    assert!(text.contains("team") && text.contains("floor"), "{text}");
    assert!(!text.contains(client.session().unwrap()), "a session id is a secret");
}

/// Monitors that are built for the reference system read this.
#[tokio::test]
async fn the_health_of_backends_is_told_as_the_reference_tells_it() {
    let (up, down) = (peers::slow().start().await.unwrap(), free_port().unwrap());
    let list = [("up", up.url()), ("down", format!("http://127.0.0.1:{down}/mcp"))];
    let breaker = "operational: {failureHandling: {unhealthyThreshold: 1, healthCheckInterval: 1s, \
                   circuitBreaker: {enabled: true}}}";
    let process = serve(&Gateway::before(&list).with(breaker)).await;
    let report = eventually("both are judged", async || {
        let (status, report) = json(&process.url_of("/api/backends/health")).await;
        assert_eq!(status, 200);
        let is_judged = report["summary"]["Healthy"] == 1 && report["summary"]["Unhealthy"] == 1;
        is_judged.then_some(report)
    })
    .await;
    assert_eq!(report["monitoring_enabled"], true);
    assert_eq!(
        report["summary"],
        serde_json::json!({"Total": 2, "Healthy": 1, "Degraded": 0, "Unhealthy": 1, "Unknown": 0,
                           "Unauthenticated": 0})
    );
    let (up, down) = (&report["backends"]["up"], &report["backends"]["down"]);
    assert_eq!(
        (up["Status"].as_str(), up["LastErrorCategory"].as_str()),
        (Some("healthy"), Some(""))
    );
    assert_eq!(down["Status"], "unhealthy");
    assert!(down["ConsecutiveFailures"].as_u64().unwrap() >= 1, "{report}");
    assert!(down["CircuitState"].is_string(), "{report}");
    for time in [&up["LastCheckTime"], &up["LastTransitionTime"], &down["CircuitLastChanged"]] {
        let time = time.as_str().unwrap();
        assert!(time.starts_with("20") && time.ends_with('Z') && time.len() == 20, "{time}");
    }
}

#[tokio::test]
async fn status_says_which_era_each_backend_speaks() {
    let (old, new) = (peers::slow().start().await.unwrap(), peers::modern().start().await.unwrap());
    let down = format!("http://127.0.0.1:{}/mcp", free_port().unwrap());
    let list = [("old", old.url()), ("new", new.url()), ("down", down)];
    let process = serve(&Gateway::before(&list)).await;
    let _client = connect(&process).await;
    eventually("it is known of all that can be reached", async || {
        let report = json(&process.url_of("/status")).await.1;
        let all = report["backends"].as_array().unwrap().clone();
        let era = |name: &str| all.iter().find(|one| one["name"] == name).unwrap()["era"].clone();
        (era("old") == "legacy" && era("new") == "modern" && era("down") == "unknown").then_some(())
    })
    .await;
    assert_eq!(new.refusals(), Vec::<String>::new());
}

/// Beyond loopback, whoever can call must not see what there is: that stands on a listener apart.
#[tokio::test]
async fn status_stands_apart_from_mcp_on_other_addresses() {
    let backend = peers::slow().start().await.unwrap();
    let admin = free_port().unwrap();
    let gateway = Gateway::before(&[("a", backend.url())])
        .with(&format!("admin: {{listen: '127.0.0.1:{admin}'}}"));
    let arguments = ["serve", "--config", "{config}", "--host", "0.0.0.0", "--port", "{port}"];
    let program = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments).config(&gateway.yaml());
    let process = program.start().await.unwrap();
    let client = connect(&process).await;
    client.request("1", "ping", "{}").await.unwrap().result().unwrap();
    assert_eq!(json(&process.url_of("/status")).await.0, 404);
    assert_eq!(json(&process.url_of("/readyz")).await.0, 200);
    let admin = format!("http://127.0.0.1:{admin}");
    let (status, report) = json(&format!("{admin}/status")).await;
    assert_eq!((status, &report["sessions"]), (200, &Value::from(1)));
    let calling = client.at(&format!("{admin}/mcp"));
    assert_eq!(calling.open("2", "ping", "{}").await.unwrap().status(), 404);
    for (url, served) in [
        (
            format!("{admin}/mcp"),
            "not found; this listener serves /status, /api/backends/health, /health, /ping and /readyz",
        ),
        (process.url_of("/status"), "not found; the MCP endpoint is /mcp"),
    ] {
        let told = json(&url).await.1;
        assert_eq!(told["error"]["message"], served, "{url}");
    }
    process.logged("without incoming authentication").await;
}

#[tokio::test]
async fn an_idle_get_stream_shows_that_it_is_alive() {
    // When the first would come without the setting.
    const DEFAULT: Duration = Duration::from_secs(5);
    let backend = peers::slow().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("sessions: {keepAlive: 200ms}");
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    assert_eq!(get.header("content-type"), Some("text/event-stream"));
    assert!(get.header("cache-control").unwrap().contains("no-cache"));
    let began = tokio::time::Instant::now();
    let mut comments = 0;
    while comments < 3 {
        let chunk = get.chunk().await.unwrap().unwrap();
        let text = String::from_utf8_lossy(&chunk).into_owned();
        comments += text.lines().filter(|line| line.starts_with(':')).count();
    }
    assert!(began.elapsed() < DEFAULT, "{:?}: as often as configured", began.elapsed());
}

/// A long silent call is kept alive too, or a proxy on the way would end it.
#[tokio::test]
async fn an_idle_stream_of_a_call_shows_that_it_is_alive() {
    let backend = peers::slow().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("sessions: {keepAlive: 100ms}");
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let params = r#"{"name":"a_slow","arguments":{"delay_ms":700},"_meta":{"progressToken":1}}"#;
    let response = client.open("1", "tools/call", params).await.unwrap();
    let body = response.bytes().await.unwrap();
    let text = String::from_utf8_lossy(&body).into_owned();
    let comments = text.lines().filter(|line| line.starts_with(':')).count();
    assert!(comments >= 3, "{text}");
    assert!(text.contains(r#""text":"done""#), "{text}");
}

#[tokio::test]
async fn status_forgets_what_has_ended() {
    let backend = peers::slow().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    for _ in 0..5 {
        let client = connect(&process).await;
        let _get = client.listen(None).await.unwrap();
        client.call("1", "a_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
        assert_eq!(client.delete().await.unwrap(), 200);
    }
    eventually("nothing is left", async || {
        let report = json(&process.url_of("/status")).await.1;
        let left = ["sessions", "records", "get_streams", "calls_in_flight"];
        left.iter().all(|what| report[*what] == 0).then_some(())
    })
    .await;
}

/// Some clients end every path with a slash.
#[tokio::test]
async fn the_endpoint_is_the_same_with_a_slash_behind_it() {
    let backend = peers::slow().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = Client::connect(&process.url_of("/mcp/")).await.unwrap();
    let plain = client.at(&process.url());
    for client in [&client, &plain] {
        client.call("1", "a_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    }
    assert_eq!(client.listen(None).await.unwrap().status(), 200);
    assert_eq!(client.delete().await.unwrap(), 200);
    for path in ["/mcp//", "/mcp/x", "//mcp"] {
        assert_eq!(
            client.at(&process.url_of(path)).post("{}").await.unwrap().status(),
            404,
            "{path}"
        );
    }
}

/// Whoever watches a pod of ToolHive's operator reads them at its port, over the network.
#[tokio::test]
async fn in_a_pod_anybody_is_told_names_and_states_and_nothing_more() {
    let backend = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("up", backend.url()), ("down", backend.url())])
        .with("groupRef: tools")
        .with(
            "outgoingAuth: {source: inline, backends: {down: {type: header_injection, \
             headerInjection: {headerName: X-Key, headerValueEnv: NOT_THERE}}}}",
        );
    let arguments = ["serve", "--config", "{config}", "--host", "0.0.0.0", "--port", "{port}"];
    let program = || Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments).config(&gateway.yaml());
    let process = program().start().await.unwrap();
    for path in ["/status", "/api/backends/health"] {
        assert_eq!(fetch(&process.url_of(path)).await.unwrap().0, 404, "{path}");
    }
    assert!(process.terminate().await.unwrap().success());
    let program = program().environment("VMCP_NAME", "hub").environment("VMCP_NAMESPACE", "n");
    let process = program.start().await.unwrap();
    let json = async |path: &str| {
        let (status, body) = fetch(&process.url_of(path)).await.unwrap();
        assert_eq!(status, 200, "{path}");
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let status = eventually("both are known", async || {
        let status = json("/status").await;
        (status["healthy"] == true).then_some(status)
    })
    .await;
    let version = env!("CARGO_PKG_VERSION");
    let expected = serde_json::json!({
        "backends": [{"name": "down", "health": "unhealthy"}, {"name": "up", "health": "healthy"}],
        "healthy": true,
        "version": version,
        "group_ref": "tools",
    });
    assert_eq!(status, expected);
    let health = json("/api/backends/health").await;
    assert_eq!(health["backends"]["down"]["Status"], "unhealthy");
    assert!(!format!("{status}{health}").contains("127.0.0.1"), "where backends are is told");
    // A page of another site gets nothing, and nothing is written there.
    let client = Client::new(&process.url_of("/status"));
    let page = [("origin", "https://other.example")];
    assert_eq!(client.send(Method::GET, &page, Bytes::new()).await.unwrap().status(), 403);
    assert_eq!(client.send(Method::POST, &[], Bytes::new()).await.unwrap().status(), 405);
}
