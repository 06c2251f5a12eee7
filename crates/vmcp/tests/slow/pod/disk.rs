//! Nothing can be written in a pod: what would be is refused at start, by its key.

use super::{
    Backends,
    visit::{Caller, visit},
};

const LOG: &str = "/var/log/desk/audit.log";

#[tokio::test]
async fn records_of_calls_need_a_place() {
    let audit = format!("audit:\n    enabled: true\n    logFile: {LOG}\n");
    let backends = Backends::start().await;
    let pod = backends.pod("discovered").followed_by(&audit);
    let (status, said) = pod.end().await;
    assert!(!status.success(), "{said}");
    assert!(said.contains("audit.logFile") && said.contains(LOG), "{said}");
    // One file can be written, and nothing beside it.
    let pod = pod.writable(LOG);
    let mut running = pod.start().await;
    let tools = ["maps_count", "maps_slow", "notes_count", "notes_slow"];
    visit(&running.process, Caller::default(), &tools, &["maps_count"]).await;
    running.process.signal(rustix::process::Signal::TERM).unwrap();
    assert!(running.process.wait().await.unwrap().success());
    let records = std::fs::read_to_string(running.written(LOG)).unwrap();
    assert_eq!(records.matches("\"mcp_tool_call\"").count(), 2, "{records}");
    let (status, said) = pod.followed_by("    maxFileBytes: 1MiB\n").end().await;
    assert!(!status.success(), "{said}");
    assert!(said.contains("audit.maxFileBytes") && said.contains("/var/log/desk"), "{said}");
}
