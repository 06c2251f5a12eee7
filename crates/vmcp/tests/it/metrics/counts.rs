//! Numbers that are known, as requests are.

use std::os::unix::fs::symlink;

use rustix::process::Signal;
use serde_json::json;
use vmcp_testkit::{
    gateway::{Gateway, eventually},
    modern::{self, ModernServer},
    modern_client::ModernClient,
    process::Process,
    raw::{Answer, RawServer},
};

use super::*;
use crate::{connect, serve};

const TELEMETRY: &str = "telemetry: {enablePrometheusMetricsPath: true}";

const OPERATIONS: &str = "mcp_server_operation_duration_seconds_count";
const AT_BACKENDS: &str = "mcp_client_operation_duration_seconds_count";

async fn samples(process: &Process) -> Samples {
    Samples::of(&process.url_of("/metrics")).await
}

fn tool(name: &str) -> String {
    format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#)
}

const FAILED: &str = r#""content":[],"isError":true"#;

fn old() -> RawServer {
    RawServer::builder()
        .tool(&tool("fine"), Answer::text("fine"))
        .tool(&tool("fails"), format!("{{{FAILED}}}"))
        .tool(&tool("wrong"), Answer::error(-32000, "wrong"))
        .tool(&tool("hang"), Answer::Hang)
        .tool(&tool("close"), Answer::Close)
        .prompt(r#"{"name":"p"}"#, r#"{"messages":[]}"#)
}

fn new() -> ModernServer {
    ModernServer::builder()
        .tool(&tool("fine"), modern::text("fine"))
        .tool(&tool("fails"), modern::complete(FAILED))
        .tool(&tool("wrong"), modern::error(-32000, "wrong"))
        .tool(&tool("hang"), Answer::Hang)
        .tool(&tool("close"), Answer::Close)
        .prompt(r#"{"name":"p"}"#, modern::complete(r#""messages":[]"#))
}

/// How a call of a tool ends, as `error.type` has it; and how often each client calls it at each backend.
const CALLS: [(&str, &str, u32); 5] = [
    ("fine", "", 4),
    ("fails", "tool_error", 3),
    ("wrong", "-32000", 2),
    ("hang", "timeout", 1),
    ("close", "backend", 1),
];

/// One client of each era calls everything, at a backend of each.
async fn call_everything(process: &Process) {
    let (legacy, modern) = (connect(process).await, ModernClient::new(&process.url()).tolerant());
    for backend in ["old", "new"] {
        for (tool, _, times) in CALLS {
            for _ in 0..times {
                let tool = format!("{backend}_{tool}");
                legacy.call("1", &tool, "{}").await.unwrap();
                modern.call(&tool, json!({})).await.unwrap();
            }
        }
        let prompt = format!(r#"{{"name":"{backend}_p"}}"#);
        legacy.request("1", "prompts/get", &prompt).await.unwrap().result().unwrap();
    }
    for name in ["nothing", "nothing-\"else\"\\\n"] {
        let params = json!({"name": name}).to_string();
        legacy.request("1", "tools/call", &params).await.unwrap().error().unwrap();
    }
    for _ in 0..5 {
        legacy.request("1", "ping", "{}").await.unwrap().result().unwrap();
    }
    legacy.request("1", "tools/list", "{}").await.unwrap().result().unwrap();
    assert_eq!(legacy.delete().await.unwrap(), 200);
}

#[tokio::test]
async fn what_was_called_is_counted_exactly() {
    let (old, new) = (old().start().await.unwrap(), new().start().await.unwrap());
    let gateway = Gateway::before(&[("old", old.url()), ("new", new.url())])
        .with("operational: {timeouts: {default: 1s}}")
        .with(TELEMETRY);
    let process = serve(&gateway).await;
    call_everything(&process).await;
    let per_client: u32 = CALLS.iter().map(|(.., times)| times).sum();
    let calls = per_client * 4;
    let all = eventually("all are counted", async || {
        let all = samples(&process).await;
        // The last of all is the end of the session.
        (all.sum("toolhive_mcp_requests_total", &[("method", "DELETE")]) == 1.0).then_some(all)
    })
    .await;
    for (method, count) in [
        ("tools/call", calls + 2),
        ("prompts/get", 2),
        ("ping", 5),
        ("tools/list", 1),
        ("initialize", 1),
        ("notifications/initialized", 1),
    ] {
        let found = all.sum(OPERATIONS, &[("mcp_method_name", method)]);
        assert_eq!(found, f64::from(count), "{method}");
        let found = all.sum("toolhive_mcp_requests_total", &[("mcp_method", method)]);
        assert_eq!(found, f64::from(count), "{method}");
    }
    let call = ("mcp_method_name", "tools/call");
    for (tool, error, times) in CALLS {
        let found = all.sum(OPERATIONS, &[call, ("error_type", error)]);
        assert_eq!(found, f64::from(times * 4), "{tool}");
        for backend in ["old", "new"] {
            let name = format!("{backend}_{tool}");
            let found = all.sum(OPERATIONS, &[call, ("gen_ai_tool_name", &name)]);
            assert_eq!(found, f64::from(times * 2), "{name}");
            let status = if error.is_empty() { "success" } else { "error" };
            let of = [("tool", &*name), ("status", status)];
            let found = all.sum("toolhive_mcp_tool_calls_total", &of);
            assert_eq!(found, f64::from(times * 2), "{name}");
            let of = [call, ("target_workload_name", backend), ("error_type", error)];
            assert_eq!(all.sum(AT_BACKENDS, &of), f64::from(times * 2), "{name}");
        }
    }
    assert_eq!(all.sum(OPERATIONS, &[call, ("error_type", "invalid")]), 2.0);
    // Names that nothing has are no labels: there is no end of them.
    let tools = all.values(OPERATIONS, "gen_ai_tool_name");
    assert_eq!(tools.len(), CALLS.len() * 2, "{tools:?}");
    assert_eq!(all.values(OPERATIONS, "gen_ai_prompt_name"), ["new_p", "old_p"]);
    for backend in ["old", "new"] {
        let of = [("target_workload_name", backend)];
        let sent = all.sum("toolhive_vmcp_backend_requests_total", &of);
        assert_eq!(sent, f64::from(per_client * 2 + 1), "{backend}");
        // A tool that says it has failed has given a result.
        let failed = all.sum("toolhive_vmcp_backend_errors_total", &of);
        assert_eq!(failed, 8.0, "{backend}");
        let timed = all.sum("toolhive_vmcp_backend_requests_duration_seconds_count", &of);
        assert_eq!(timed, sent, "{backend}");
    }
    assert_histograms_are_consistent(&all);
    assert_eq!(all.sum("toolhive_vmcp_backends_discovered", &[]), 2.0);
    assert_eq!(all.values("toolhive_mcp_requests_total", "server"), ["gateway"]);
}

/// The last bucket has all, none has less than the one before, and the sum is a time that can be.
fn assert_histograms_are_consistent(all: &Samples) {
    let mut checked = 0;
    for (name, labels, count) in &all.0 {
        let Some(of) = name.strip_suffix("_count") else { continue };
        let bucket = format!("{of}_bucket");
        let mut last = 0.0;
        let mut buckets = 0;
        for (found, of_bucket, value) in &all.0 {
            let mut others = of_bucket.clone();
            if *found != bucket || others.remove("le").is_none() || others != *labels {
                continue;
            }
            assert!(*value >= last, "{name} {of_bucket:?}");
            (last, buckets) = (*value, buckets + 1);
        }
        assert_eq!(last, *count, "{name} {labels:?}");
        assert!(buckets > 5, "{name}");
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

#[tokio::test]
async fn sessions_come_and_go_and_reloads_are_counted() {
    let backend = old().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with(TELEMETRY);
    let process = serve(&gateway).await;
    let reaches = async |name: &str, expected: f64| {
        eventually(&format!("{name} is {expected}"), async || {
            let found = samples(&process).await.sum(name, &[]);
            (found == expected).then_some(())
        })
        .await;
    };
    reaches("vmcp_sessions", 0.0).await;
    let (one, two) = (connect(&process).await, connect(&process).await);
    reaches("vmcp_sessions", 2.0).await;
    let stream = one.listen(None).await.unwrap();
    reaches("vmcp_streams", 1.0).await;
    drop(stream);
    reaches("vmcp_streams", 0.0).await;
    assert_eq!(one.delete().await.unwrap(), 200);
    reaches("vmcp_sessions", 1.0).await;

    let before = samples(&process).await;
    let [reloads, failures] =
        ["vmcp_configuration_reloads_total", "vmcp_configuration_reload_failures_total"];
    assert_eq!((before.sum(reloads, &[]), before.sum(failures, &[])), (0.0, 0.0));
    process.signal(Signal::HUP).unwrap();
    reaches(reloads, 1.0).await;
    process.write_config("name: [").unwrap();
    process.signal(Signal::HUP).unwrap();
    process.logged("configuration").await;
    eventually("it has failed", async || {
        let now = samples(&process).await;
        (now.sum(failures, &[]) >= 1.0).then_some(())
    })
    .await;
    // What was counted is not forgotten, and what runs goes on.
    two.call("1", "a_fine", "{}").await.unwrap().text().unwrap();
    eventually("it is counted", async || {
        let now = samples(&process).await;
        let calls = now.sum(OPERATIONS, &[("mcp_method_name", "tools/call")]);
        (calls == 1.0 && now.sum(OPERATIONS, &[("mcp_method_name", "initialize")]) == 2.0)
            .then_some(())
    })
    .await;
    assert_eq!(two.delete().await.unwrap(), 200);
    reaches("vmcp_sessions", 0.0).await;
}

/// Names of the reference system can be left out.
#[tokio::test]
async fn what_the_server_is_called_is_told_of_it() {
    let backend = old().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with(
        "telemetry: {enablePrometheusMetricsPath: true, serviceName: 'my \"service\"', serviceVersion: '7', \
         customAttributes: {team: blue}, useLegacyAttributes: false}",
    );
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    client.call("1", "a_fine", "{}").await.unwrap().text().unwrap();
    let all = eventually("it is counted", async || {
        let all = samples(&process).await;
        let of = [("gen_ai_tool_name", "a_fine")];
        (all.sum("mcp_server_operation_duration_seconds_count", &of) == 1.0).then_some(all)
    })
    .await;
    let of = [("service_name", "my \"service\""), ("service_version", "7"), ("team", "blue")];
    assert_eq!(all.sum("target_info", &of), 1.0);
    for label in ["target_workload_id", "target_workload_name", "gen_ai_tool_name"] {
        let values = all.values("toolhive_vmcp_backend_requests_total", label);
        assert!(values.is_empty(), "{label}: {values:?}");
    }
}

/// What is said of the audit log is how many lines it has.
#[tokio::test]
async fn records_are_counted() {
    let backend = old().start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("audit.log");
    let audit = format!("audit: {{logFile: '{}'}}", file.display());
    let gateway = Gateway::before(&[("a", backend.url())]).with(TELEMETRY).with(&audit);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    for _ in 0..10 {
        client.call("1", "a_fine", "{}").await.unwrap().text().unwrap();
    }
    eventually("all are written", async || {
        let all = samples(&process).await;
        (all.sum("vmcp_audit_written_total", &[]) == 12.0).then_some(())
    })
    .await;
    assert_eq!(samples(&process).await.sum("vmcp_audit_dropped_total", &[]), 0.0);
    let lines = std::fs::read_to_string(&file).unwrap();
    assert_eq!(lines.lines().count(), 12);
}

/// A disk that is full stops nobody, unless the configuration says so.
#[tokio::test]
async fn records_that_cannot_be_written_are_counted_and_said_once() {
    let backend = old().start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let [link, other, file] = ["link", "other", "file"].map(|name| directory.path().join(name));
    symlink("/dev/full", &link).unwrap();
    let gateway = Gateway::before(&[("a", backend.url())])
        .with(TELEMETRY)
        .with(&format!("audit: {{logFile: '{}'}}", link.display()));
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    for _ in 0..10 {
        client.call("1", "a_fine", "{}").await.unwrap().text().unwrap();
    }
    eventually("all are dropped", async || {
        let all = samples(&process).await;
        (all.sum("vmcp_audit_dropped_total", &[]) == 12.0).then_some(())
    })
    .await;
    assert_eq!(samples(&process).await.sum("vmcp_audit_written_total", &[]), 0.0);
    let log = process.logged("audit records cannot be written").await;
    assert_eq!(log.matches("audit records cannot be written").count(), 1, "{log}");
    // It follows the file at its path, as soon as it looks there again.
    symlink(&file, &other).unwrap();
    std::fs::rename(&other, &link).unwrap();
    eventually("records are written again", async || {
        client.call("1", "a_fine", "{}").await.unwrap().text().unwrap();
        file.exists().then_some(())
    })
    .await;
    client.call("1", "a_fine", "{}").await.unwrap().text().unwrap();
    let log = process.logged("audit records are written again").await;
    assert_eq!(log.matches("audit records are written again").count(), 1, "{log}");
    assert!(process.terminate().await.unwrap().success());
}
