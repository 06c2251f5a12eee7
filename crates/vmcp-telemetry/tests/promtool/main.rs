//! Prometheus's own tool has nothing to say against the text, with every metric and hostile names in it.

#[path = "../it/example.rs"]
mod example;
#[expect(dead_code, reason = "other tests use the rest")]
#[path = "../it/support.rs"]
mod support;

use std::{
    io::Write,
    process::{Command, Stdio},
};

use vmcp_telemetry::exposition::text;

#[test]
fn promtool_finds_nothing_wrong() {
    let resource = [("service.name", "vmcp"), ("service.version", "0.1\"\n")];
    let text = text(&example::families(), &resource);
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = match promtool {
        Ok(promtool) => promtool,
        Err(error) => panic!("promtool: {error}; install the Debian package prometheus"),
    };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    assert_eq!(said, ["", ""], "of {text}");
    assert!(output.status.success());
}
