//! Whoever comes to a pod: the kubelet with its probes, clients of both eras, a monitor; and the end of it all.

use std::time::Duration;

use http::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::Instant;
use vmcp_testkit::{
    client::{Client, Response, fetch},
    gateway::eventually,
    modern_client::{Listening, ModernClient},
    process::Process,
};

/// How long the kubelet waits before it kills.
const GRACE: Duration = Duration::from_secs(30);

/// A client that comes to a pod.
#[derive(Clone, Copy, Default)]
pub(super) struct Caller<'a> {
    /// What it shows, if it has to.
    pub(super) token: Option<&'a str>,
    /// By which name it knows the pod, if it is not the address.
    pub(super) host: Option<&'a str>,
}

/// Clients of both eras with an open stream each.
pub(super) struct Visit {
    pub(super) legacy: Client,
    legacy_stream: Response,
    pub(super) modern: ModernClient,
    modern_stream: Listening,
}

impl Caller<'_> {
    pub(super) fn legacy(self, process: &Process) -> Client {
        let mut client = Client::new(&process.url());
        for (name, value) in self.headers() {
            client = client.with_header(name, &value);
        }
        client
    }

    pub(super) fn modern(self, process: &Process) -> ModernClient {
        let mut client = ModernClient::new(&process.url());
        for (name, value) in self.headers() {
            client = client.header(name, &value);
        }
        client
    }

    fn headers(self) -> impl Iterator<Item = (&'static str, String)> {
        let token = self.token.map(|token| ("authorization", format!("Bearer {token}")));
        let host = self.host.map(|host| ("host", host.to_owned()));
        token.into_iter().chain(host)
    }
}

/// Probes the pod; lists these tools and calls some of them as clients of both eras; then each opens a stream.
pub(super) async fn visit(
    process: &Process,
    caller: Caller<'_>,
    tools: &[&str],
    called: &[&str],
) -> Visit {
    assert_eq!(json_of(process, "/health").await, json!({"status": "ok"}));
    assert_eq!(json_of(process, "/readyz").await["status"], "ready");
    let mut legacy = caller.legacy(process);
    let begun = legacy.initialize().await;
    begun.unwrap_or_else(|why| panic!("{why:#}\n{}", process.log())).result().unwrap();
    let listed = legacy.request("1", "tools/list", "{}").await.unwrap();
    let mut listed = listed.keys("tools", "name").unwrap();
    listed.sort();
    assert_eq!(listed, tools, "{}", process.log());
    let modern = caller.modern(process);
    let shown = modern.learn_tools().await.unwrap();
    let mut shown: Vec<_> = shown.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    shown.sort_unstable();
    assert_eq!(shown, tools);
    for tool in called {
        let arguments = json!({"delay_ms": 1});
        let answer = legacy.call("2", tool, &arguments.to_string()).await.unwrap();
        answer.text().unwrap_or_else(|why| panic!("{tool}: {why:#}\n{}", process.log()));
        let answer = modern.call(tool, arguments).await.unwrap();
        answer.text().unwrap_or_else(|why| panic!("{tool}: {why:#}\n{}", process.log()));
    }
    let legacy_stream = legacy.listen(None).await.unwrap();
    assert_eq!(legacy_stream.status(), StatusCode::OK);
    let modern_stream = modern.listen(json!({"toolsListChanged": true})).await.unwrap();
    Visit { legacy, legacy_stream, modern, modern_stream }
}

/// Looks at what monitors read, until all of these backends are healthy, or all but those that are said to be unhealthy.
pub(super) async fn monitor(process: &Process, backends: &[(&str, &str)]) {
    let states = backends.iter().map(|(name, state)| json!({"name": name, "health": state}));
    let expected = json!({
        "backends": states.collect::<Vec<_>>(),
        "healthy": true,
        "version": env!("CARGO_PKG_VERSION"),
        "group_ref": "office",
    });
    eventually("all backends are judged", async || {
        (json_of(process, "/status").await == expected).then_some(())
    })
    .await;
    let report = json_of(process, "/api/backends/health").await;
    assert_eq!(report["monitoring_enabled"], true, "{report}");
    let healthy = backends.iter().filter(|(_, state)| *state == "healthy").count();
    let (all, summary) = (backends.len(), &report["summary"]);
    assert_eq!((&summary["Total"], &summary["Healthy"]), (&json!(all), &json!(healthy)));
    for (name, state) in backends {
        let told = &report["backends"][name];
        assert_eq!(told["Status"], *state, "{report}");
        let members = ["ConsecutiveFailures", "LastTransitionTime", "LastErrorCategory"];
        assert!(members.iter().all(|member| !told[member].is_null()), "{report}");
    }
}

pub(super) async fn json_of(process: &Process, path: &str) -> Value {
    let (status, body) = fetch(&process.url_of(path)).await.unwrap();
    assert_eq!(status, StatusCode::OK, "{path}");
    serde_json::from_slice(&body).unwrap()
}

impl Visit {
    /// Waits until both are told that the tools have changed.
    pub(super) async fn told(&mut self) {
        let changed = "notifications/tools/list_changed";
        loop {
            let message = self.legacy_stream.message().await.unwrap().expect("the stream goes on");
            if message.method().as_deref() == Some(changed) {
                break;
            }
        }
        self.modern_stream.until(changed).await.unwrap();
    }

    /// Ends the pod as a kubelet does while the streams are open, and gives what it has said. `rest` is what is
    /// still told on the streams, beside signs of life.
    pub(super) async fn end(mut self, mut process: Process) -> (Vec<String>, String) {
        let began = Instant::now();
        process.signal(Signal::TERM).unwrap();
        let mut rest = Vec::new();
        while let Some(message) = self.legacy_stream.message().await.unwrap() {
            rest.extend(message.method());
        }
        self.modern_stream.ended().await.unwrap();
        let status = process.wait().await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", process.log());
        assert!(began.elapsed() < GRACE, "{:?}", began.elapsed());
        (rest, process.log())
    }
}
