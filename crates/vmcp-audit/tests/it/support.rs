//! Trails to record, and records as they are read.

use std::{fs, net::Ipv4Addr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use serde_json::Value;
use vmcp_audit::{Auditor, Output, Settings};
use vmcp_model::{
    Claims, Era, Identity, Method, Principal, Proof,
    trace::{Parent, Trace},
    trail::{Asked, Details, End, Observer, Trail, Via, Wants},
};

/// What must be in no record.
pub(crate) const TOKEN: &str = "MARKED-TOKEN";
pub(crate) const SESSION: &str = "MARKED-SESSION";

/// Looks at trails that are recorded by hand.
#[derive(Debug)]
struct Nobody(Wants);

impl Observer for Nobody {
    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn wants(&self) -> Wants {
        self.0
    }

    fn trace(&self, _parent: Option<Parent>, _state: Option<&str>) -> Option<Trace> {
        None
    }

    fn take(&self, _trail: &Trail, _took: Duration) {}
}

/// A trail of which an auditor can note everything.
pub(crate) fn trail(auditor: &Auditor, asked: Asked) -> Arc<Trail> {
    Trail::new(Arc::new(Nobody(auditor.wants())), asked)
}

/// A message of a method, of nobody.
pub(crate) fn asked(method: Method) -> Asked {
    Asked {
        via: Via::Post,
        method: Some(method),
        era: Era::Legacy,
        identity: None,
        address: Ipv4Addr::new(192, 0, 2, 7).into(),
        trace: None,
        details: None,
    }
}

/// A caller with a token that says this.
pub(crate) fn caller(claims: &str) -> Identity {
    let principal =
        Principal::Subject { issuer: "https://idp.example".into(), subject: "alice".into() };
    let claims = Claims::new(Bytes::copy_from_slice(claims.as_bytes()));
    Identity::proved(principal, Arc::new(Proof::new(claims, TOKEN, 10)))
}

/// A call of a tool, with all that can be known of it.
pub(crate) fn full_call() -> Asked {
    let details = Details {
        method_name: None,
        id: Some("7".into()),
        user_agent: Some("agent/1.0".into()),
        request_id: Some("request-1".into()),
        session: Some(SESSION.into()),
        name: Some("jira_search".into()),
        params: Some(Bytes::from_static(
            b"{ \"name\": \"jira_search\",\n \"big\": 12345678901234567890123 }",
        )),
    };
    let trace = Trace {
        trace: [0x4b; 16],
        span: [1; 8],
        onward: [2; 8],
        parent: None,
        sampled: true,
        state: None,
    };
    Asked {
        identity: Some(caller(
            r#"{"sub":"u-1","name":"Alice","act":{"sub":"agent","iss":"https://a","client_id":"c","act":{"sub":"relay","act":{"sub":"first"}}}}"#,
        )),
        trace: Some(trace),
        details: Some(Box::new(details)),
        ..asked(Method::ToolsCall)
    }
}

/// Settings for a file.
pub(crate) fn to(path: &Path) -> Settings {
    Settings { output: Output::File(path.to_owned()), ..Settings::default() }
}

/// The records of a file.
pub(crate) fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    assert!(text.is_empty() || text.ends_with('\n'), "the last line has an end");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Records an answered call of this name.
pub(crate) fn record(auditor: &Auditor, name: &str) {
    let details = Details { name: Some(name.into()), ..Details::default() };
    let trail =
        trail(auditor, Asked { details: Some(Box::new(details)), ..asked(Method::ToolsCall) });
    trail.note_end(|| End::Answered);
    trail.note_status(200);
    auditor.record(&trail, Duration::from_millis(2));
}

/// The names of what was called, and the lines that tell of gaps left out.
pub(crate) fn names(records: &[Value]) -> Vec<String> {
    let names = records.iter().filter_map(|record| record["target"]["name"].as_str());
    names.map(str::to_owned).collect()
}

/// How many records the lines about gaps say are missing.
pub(crate) fn told_missing(records: &[Value]) -> u64 {
    let gaps = records.iter().filter(|record| record["type"] == "audit_gap");
    gaps.map(|gap| gap["metadata"]["extra"]["dropped"].as_u64().unwrap()).sum()
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = tokio::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what} does not come");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Runs one test of this binary alone, after these commands of a shell, and returns what it prints.
#[track_caller]
pub(crate) fn alone(test: &str, before: &str) -> String {
    let itself = std::env::current_exe().unwrap();
    let script = format!("{before}; exec \"$0\" --exact {test} --nocapture");
    let output =
        std::process::Command::new("sh").arg("-c").arg(script).arg(itself).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A pipe with a name, and its end for reading, so that it can be written to.
pub(crate) fn pipe(path: &Path) -> fs::File {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    // With both ways open, neither waits for the other.
    fs::File::options().read(true).write(true).open(path).unwrap()
}
