//! The conditions of the status: those that a virtual server writes, among those of the operator.

use serde_json::{Map, Value, json};

use super::verdict::{Phase, Verdict};

/// Keeps the lines of the replicas, and as its reason the phase that they come to: so each sees what has been said
/// already, also when the operator said something else after it.
pub(super) const REPLICAS: &str = "VMCPReplicas";

/// What is said when the last replica has ended.
pub(super) const NOBODY: &str = "no replica is running";

const READY: &str = "Ready";
const DISCOVERED: &str = "BackendsDiscovered";
const DEGRADED: &str = "Degraded";

/// The conditions of a status, while they are changed.
pub(super) struct Conditions<'a> {
    pub(super) list: Vec<Value>,
    pub(super) generation: Option<i64>,
    /// The time now, as the API has it.
    pub(super) now: &'a str,
}

impl Conditions<'_> {
    /// Keeps lines, and what they come to.
    pub(super) fn keep_lines(&mut self, message: &str, phase: Phase) {
        self.set(REPLICAS, true, phase.name(), message);
    }

    /// Says how the server is.
    pub(super) fn say(&mut self, verdict: &Verdict<'_>) {
        let phase = verdict.phase();
        self.set(READY, phase == Phase::Ready, phase.reason(), &verdict.message());
        let count = match verdict.backends.len() {
            1 => "1 backend".to_owned(),
            many => format!("{many} backends"),
        };
        self.set(DISCOVERED, true, "BackendsDiscovered", &format!("{count} discovered"));
        if verdict.degraded > 0 {
            let message = format!("{} of {count} degraded", verdict.degraded);
            self.set(DEGRADED, true, "BackendsDegraded", &message);
        } else {
            self.remove(DEGRADED);
        }
    }

    /// Says that nobody is there who could say how the server is.
    pub(super) fn say_nobody_runs(&mut self) {
        self.remove(REPLICAS);
        self.remove(DEGRADED);
        self.set(READY, false, Phase::Pending.reason(), NOBODY);
    }

    fn remove(&mut self, kind: &str) {
        self.list.retain(|condition| condition["type"] != *kind);
    }

    fn set(&mut self, kind: &str, is_true: bool, reason: &str, message: &str) {
        let status = if is_true { "True" } else { "False" };
        let at = self.list.iter().position(|condition| condition["type"] == *kind);
        let at = at.unwrap_or_else(|| {
            self.list.push(json!({"type": kind}));
            self.list.len() - 1
        });
        let condition = &mut self.list[at];
        if condition["status"] != *status || condition["lastTransitionTime"].is_null() {
            condition["lastTransitionTime"] = self.now.into();
        }
        condition["status"] = status.into();
        condition["reason"] = reason.into();
        condition["message"] = message.into();
        if let Some(generation) = self.generation {
            condition["observedGeneration"] = generation.into();
        }
    }
}

/// A condition among others.
pub(super) fn find<'a>(list: &'a [Value], kind: &str) -> Option<&'a Map<String, Value>> {
    list.iter().find(|condition| condition["type"] == *kind)?.as_object()
}
