//! What becomes of a status, step by step.

use std::time::Duration;

use super::*;
use crate::report::{BackendHealth, BackendReport, Breaker};

/// A time whose seconds are these.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// A report that has a letter for each of the backends `b0`, `b1`, …
pub(in crate::report) fn report(letters: &str) -> Report {
    let backend = |(index, letter): (usize, char)| {
        let state = match letter {
            'r' => BackendHealth::Ready,
            'd' => BackendHealth::Degraded,
            'u' => BackendHealth::Unavailable,
            'n' => BackendHealth::Unknown,
            'a' => BackendHealth::Unauthenticated,
            _ => return None,
        };
        Some(BackendReport {
            name: format!("b{index}"),
            url: format!("http://b{index}.test/mcp"),
            state,
            message: format!("it is {}", state.name()),
            last_check: None,
            breaker: Breaker::Closed,
            breaker_changed: None,
            failures: 0,
            revision: None,
            auth: None,
        })
    };
    let backends = letters.chars().enumerate().filter_map(backend).collect();
    Report { backends, waiting: None }
}

/// An object's status, and who writes it.
pub(super) struct Object {
    pub(super) status: Value,
    pub(super) generation: i64,
}

impl Object {
    pub(super) fn new(status: Value) -> Self {
        Self { status, generation: 1 }
    }

    /// Lets a replica write. Returns whether it did.
    pub(super) fn write(&mut self, replica: &str, report: Option<&Report>) -> bool {
        self.write_at(replica, report, &[], false, 0)
    }

    fn write_at(
        &mut self,
        replica: &str,
        report: Option<&Report>,
        gone: &[&str],
        is_due: bool,
        seconds: u64,
    ) -> bool {
        let told = Told::read(&self.status, Some(self.generation));
        let own = Own { replica, report, is_due, is_anew: false };
        let replicas = gone.iter().map(|&replica| replica.to_owned()).collect();
        let gone = Gone { replicas, ..Gone::default() };
        let Some(written) = merge(&told, &own, &gone, at(seconds)).status else { return false };
        if !self.status.is_object() {
            self.status = json!({});
        }
        written.into_iter().for_each(|(key, value)| self.status[key] = value);
        true
    }

    pub(super) fn condition(&self, kind: &str) -> Value {
        let conditions = self.status["conditions"].as_array().cloned().unwrap_or_default();
        conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default()
    }

    fn lines(&self) -> String {
        let message = self.condition(REPLICAS)["message"].as_str().unwrap_or_default().to_owned();
        message.split_once("; ").map(|(_, lines)| lines.to_owned()).unwrap_or_default()
    }

    fn states(&self) -> Vec<(&str, &str)> {
        fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
            entry[key].as_str().unwrap_or_default()
        }
        let entries = self.status["discoveredBackends"].as_array().unwrap().iter();
        entries.map(|entry| (text(entry, "status"), text(entry, "message"))).collect()
    }
}

#[test]
fn the_first_report_fills_an_empty_status() {
    let mut object = Object::new(Value::Null);
    let mut report = report("ru");
    report.backends[1].auth = Some(("vault".to_owned(), "tokenExchange".to_owned()));
    report.backends[1].breaker = Breaker::HalfOpen;
    report.backends[1].breaker_changed = Some(at(60));
    report.backends[1].failures = 7;
    report.backends[0].revision = Some("2025-11-25".to_owned());
    report.backends[0].last_check = Some(at(90));
    report.backends.reverse();
    assert!(object.write_at("hub-1", Some(&report), &[], false, 120));
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "observedGeneration": 1, "lastTransitionTime": "1970-01-01T00:02:00Z",
        })
    };
    let message = "1 of 2 backends ready, 1 unavailable";
    let lines = object.condition(REPLICAS)["message"].as_str().unwrap().to_owned();
    assert!(lines.ends_with("; hub-1 1 rU"), "{lines}");
    let status = json!({
        "phase": "Degraded",
        "message": message,
        "backendCount": 1,
        "observedGeneration": 1,
        "discoveredBackends": [
            {
                "name": "b0", "url": "http://b0.test/mcp", "status": "ready",
                "message": "it is ready", "lastHealthCheck": "1970-01-01T00:01:30Z",
                "circuitBreakerState": "closed", "consecutiveFailures": 0,
                "mcpRevision": "2025-11-25",
            },
            {
                "name": "b1", "url": "http://b1.test/mcp", "status": "unavailable",
                "message": "it is unavailable", "circuitBreakerState": "half-open",
                "circuitLastChanged": "1970-01-01T00:01:00Z", "consecutiveFailures": 7,
                "authConfigRef": "vault", "authType": "tokenExchange",
            },
        ],
        "conditions": [
            condition(REPLICAS, "True", "Degraded", &lines),
            condition("Ready", "False", "SomeBackendsUnhealthy", message),
            condition("BackendsDiscovered", "True", "BackendsDiscovered", "2 backends discovered"),
        ],
    });
    assert_eq!(object.status, status);
}

#[test]
fn replicas_that_differ_are_counted() {
    let mut object = Object::new(json!({}));
    object.write("hub-1", Some(&report("rr")));
    assert_eq!(object.status["phase"], "Ready");
    assert!(object.write("hub-2", Some(&report("ru"))));
    assert_eq!(object.lines(), "hub-1 1 2r; hub-2 1 ru");
    let split = [("ready", "it is ready"), ("degraded", "ready on 1 of 2 replicas")];
    assert_eq!(object.states(), split);
    assert_eq!(object.status["phase"], "Degraded");
    assert_eq!(object.condition("Degraded")["status"], "True");
    assert_eq!(object.condition("Ready")["status"], "False");
    assert!(!object.write("hub-1", Some(&report("rr"))));
    assert!(!object.write("hub-2", Some(&report("ru"))));

    assert!(object.write("hub-2", Some(&report("rr"))));
    assert_eq!(object.states(), [("ready", "it is ready"); 2]);
    assert_eq!(object.condition("Degraded"), Value::Null);
    assert_eq!(object.condition("Ready")["status"], "True");
}

#[test]
fn a_backend_that_one_replica_does_not_know_yet_is_what_the_others_say() {
    let mut object = Object::new(json!({}));
    object.write("hub-1", Some(&report("r")));
    object.write("hub-2", Some(&report("rr")));
    assert_eq!(object.lines(), "hub-1 1 r-; hub-2 1 2r");
    assert_eq!(object.states(), [("ready", "it is ready"); 2]);
    assert!(!object.write("hub-1", Some(&report("r"))));
    assert!(object.write("hub-1", Some(&report("rr"))));
    assert_eq!(object.lines(), "hub-1 2 2r; hub-2 1 2r");
}

#[test]
fn a_backend_goes_when_the_last_replica_has_let_go_of_it() {
    let mut object = Object::new(json!({}));
    object.write("hub-1", Some(&report("rr")));
    object.write("hub-2", Some(&report("rr")));
    object.write("hub-1", Some(&report("-r")));
    assert_eq!(object.states().len(), 2);
    object.write("hub-2", Some(&report("-r")));
    assert_eq!(object.states().len(), 1);
    assert_eq!(object.status["backendCount"], 1);
    assert_eq!(object.lines(), "hub-1 2 r; hub-2 2 r");
}

#[test]
fn the_line_of_a_replica_that_is_gone_goes() {
    let mut object = Object::new(json!({}));
    object.write("hub-1", Some(&report("u")));
    object.write("hub-2", Some(&report("r")));
    assert_eq!(object.status["phase"], "Degraded");
    assert!(object.write_at("hub-2", Some(&report("r")), &["hub-1"], false, 0));
    assert_eq!(object.lines(), "hub-2 2 r");
    assert_eq!(object.states(), [("ready", "it is ready")]);
    assert_eq!(object.status["phase"], "Ready");
}

#[test]
fn a_replica_that_ends_takes_its_line_along() {
    let mut object = Object::new(json!({}));
    object.write("hub-1", Some(&report("u")));
    object.write("hub-2", Some(&report("r")));
    assert!(object.write("hub-1", None));
    assert_eq!((object.lines().as_str(), &object.status["phase"]), ("hub-2 1 r", &json!("Ready")));
    let before = object.status.clone();
    assert!(object.write("hub-2", None));
    assert_eq!(object.condition(REPLICAS), Value::Null);
    assert_eq!(object.states(), [("unknown", "")]);
    let url = |status: &Value| status["discoveredBackends"][0]["url"].clone();
    assert_eq!(url(&object.status), url(&before));
    let said = [&object.status["phase"], &object.status["message"], &object.status["backendCount"]];
    assert_eq!(said, [&json!("Pending"), &json!("no replica is running"), &json!(0)]);
    let ready = object.condition("Ready");
    assert_eq!((&ready["status"], &ready["reason"]), (&json!("False"), &json!("BackendsPending")));
    assert!(!object.write("hub-2", None));
    // Whoever comes says how it is.
    assert!(object.write("hub-3", Some(&report("r"))));
    assert_eq!(object.states(), [("ready", "it is ready")]);
    assert_eq!(object.status["phase"], "Ready");
}

#[test]
fn a_server_whose_backends_nobody_knows_is_not_ready() {
    let waits = |why: &str| Report { waiting: Some(why.to_owned()), ..Report::default() };
    let mut object = Object::new(json!({}));
    object.write("hub-1", Some(&waits("the MCPGroup tools does not exist")));
    assert_eq!(object.lines(), "hub-1 1  ?");
    let said = |object: &Object| {
        let ready = object.condition("Ready");
        json!([object.status["phase"], object.status["message"], ready["status"], ready["reason"]])
    };
    let pending =
        json!(["Pending", "the MCPGroup tools does not exist", "False", "BackendsPending"]);
    assert_eq!(said(&object), pending);
    // One that words it otherwise says so once.
    assert!(object.write("hub-2", Some(&waits("something else"))));
    assert_eq!(said(&object)[1], "something else");
    assert!(!object.write("hub-1", Some(&waits("the MCPGroup tools does not exist"))));
    assert!(!object.write("hub-2", Some(&waits("something else"))));
    assert!(object.write("hub-2", Some(&report("r"))));
    assert_eq!(
        said(&object),
        json!(["Ready", "1 of 1 backend ready", "True", "AllBackendsRoutable"])
    );
}

#[test]
fn what_changes_at_each_check_is_written_along_but_does_not_cause_a_write() {
    let mut object = Object::new(json!({}));
    let mut down = report("ru");
    down.backends[1].breaker = Breaker::Open;
    object.write("hub-1", Some(&down));
    down.backends[0].last_check = Some(at(30));
    down.backends[1].failures = 9;
    down.backends[1].breaker = Breaker::HalfOpen;
    down.backends[1].breaker_changed = Some(at(29));
    assert!(!object.write("hub-1", Some(&down)));
    assert!(object.write_at("hub-1", Some(&down), &[], true, 300));
    let entries = &object.status["discoveredBackends"];
    assert_eq!(entries[0]["lastHealthCheck"], "1970-01-01T00:00:30Z");
    assert_eq!(entries[1]["consecutiveFailures"], 9);
    assert_eq!(entries[1]["circuitBreakerState"], "half-open");
    assert_eq!(entries[1]["circuitLastChanged"], "1970-01-01T00:00:29Z");
    down.backends[1].breaker = Breaker::Closed;
    assert!(object.write("hub-1", Some(&down)));
}

#[test]
fn a_breaker_that_is_open_on_one_replica_is_shown() {
    let mut object = Object::new(json!({}));
    let mut open = report("u");
    (open.backends[0].breaker, open.backends[0].failures) = (Breaker::Open, 5);
    object.write("hub-1", Some(&report("r")));
    object.write("hub-2", Some(&open));
    assert!(!object.write("hub-1", Some(&report("r"))));
    assert!(object.write_at("hub-1", Some(&report("r")), &[], true, 0));
    let entry = &object.status["discoveredBackends"][0];
    assert_eq!(
        (&entry["circuitBreakerState"], &entry["consecutiveFailures"]),
        (&json!("open"), &json!(5))
    );
    object.write("hub-2", None);
    object.write("hub-1", Some(&report("r")));
    let entry = &object.status["discoveredBackends"][0];
    assert_eq!(entry["circuitBreakerState"], "closed");
}

#[test]
fn what_the_operator_says_after_it_is_left_to_it() {
    let mut object = Object::new(json!({}));
    object.write("hub-1", Some(&report("ru")));
    object.status["message"] = "the operator's".into();
    object.status["phase"] = "Pending".into();
    for condition in object.status["conditions"].as_array_mut().unwrap() {
        if condition["type"] == "Ready" {
            condition["reason"] = "DeploymentReady".into();
            condition["status"] = "True".into();
        }
    }
    assert!(!object.write("hub-1", Some(&report("ru"))));
    assert!(object.write_at("hub-1", Some(&report("ru")), &[], true, 0));
    assert_eq!(object.status["message"], "the operator's");
    assert_eq!(object.condition("Ready")["reason"], "DeploymentReady");
    assert!(object.write("hub-1", Some(&report("uu"))));
    assert_eq!(object.status["phase"], "Failed");
    assert_eq!(object.condition("Ready")["reason"], "NoRoutableBackends");
}

#[test]
fn a_new_generation_is_said_anew() {
    let mut object = Object::new(json!({}));
    object.write("hub-1", Some(&report("r")));
    object.status["phase"] = "Pending".into();
    object.generation = 2;
    assert!(object.write("hub-1", Some(&report("r"))));
    assert_eq!(object.status["phase"], "Ready");
    assert_eq!(object.status["observedGeneration"], 2);
    assert!(!object.write("hub-1", Some(&report("r"))));
}

#[test]
fn the_time_of_a_transition_is_that_of_the_status_alone() {
    let mut object = Object::new(json!({}));
    object.write_at("hub-1", Some(&report("ur")), &[], false, 10);
    object.write_at("hub-1", Some(&report("uu")), &[], false, 20);
    let ready = object.condition("Ready");
    assert_eq!(ready["lastTransitionTime"], "1970-01-01T00:00:10Z");
    assert_eq!(ready["reason"], "NoRoutableBackends");
    object.write_at("hub-1", Some(&report("rr")), &[], false, 30);
    assert_eq!(object.condition("Ready")["lastTransitionTime"], "1970-01-01T00:00:30Z");
}

#[test]
fn replicas_that_were_told_other_addresses_do_not_write_over_one_another() {
    let mut object = Object::new(json!({}));
    let mut moved = report("r");
    moved.backends[0].url = "http://moved.test/mcp".to_owned();
    moved.backends[0].revision = Some("2026-07-28".to_owned());
    object.write("hub-2", Some(&moved));
    assert!(object.write("hub-1", Some(&report("r"))));
    for _ in 0..3 {
        assert!(!object.write("hub-2", Some(&moved)));
        assert!(!object.write("hub-1", Some(&report("r"))));
    }
    let entry = &object.status["discoveredBackends"][0];
    assert_eq!(entry["url"], "http://b0.test/mcp");
    assert_eq!(entry["mcpRevision"], "2026-07-28");
    object.write("hub-1", Some(&moved));
    assert_eq!(object.status["discoveredBackends"][0]["url"], "http://moved.test/mcp");
}

#[test]
fn what_is_too_much_is_left_out_and_the_rest_holds() {
    let letters: String = "ru".repeat(3_000);
    let crowd = 5;
    let mut object = Object::new(json!({}));
    for replica in 1..=crowd {
        object.write(&format!("hub-{replica}"), Some(&report(&letters)));
    }
    let told = Told::read(&object.status, Some(1));
    let own =
        Own { replica: "hub-6", report: Some(&report(&letters)), is_due: true, is_anew: false };
    let merged = merge(&told, &own, &Gone::default(), at(0));
    assert_eq!(merged, Merged { status: None, is_left_out: true });
    // The first by name have it, so that all agree on who is left out.
    assert!(object.write("hub-0", Some(&report(&letters))));
    assert!(object.lines().starts_with("hub-0 1 ru"));
    assert!(!object.lines().contains("hub-5"));
    assert!(!object.write("hub-5", Some(&report(&letters))));
}
