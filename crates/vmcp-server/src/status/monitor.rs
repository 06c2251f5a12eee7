//! The health of all backends as the reference system tells it at `/api/backends/health`, member names
//! included, for monitors that are built for it.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use vmcp_backend::{Backend, HealthSnapshot, State};

/// The answer's body. Health is always watched here.
pub(super) fn report<'a>(backends: impl Iterator<Item = &'a Backend>) -> Value {
    let now = SystemTime::now();
    let (mut all, mut states) = (Map::new(), Vec::new());
    for backend in backends {
        let health = backend.health();
        states.push(health.state);
        all.insert(backend.id().to_string(), of_one(&health, now));
    }
    let count = |state| states.iter().filter(|one| **one == state).count();
    json!({
        "monitoring_enabled": true,
        "summary": {
            "Total": states.len(),
            "Healthy": count(State::Healthy),
            "Degraded": count(State::Degraded),
            "Unhealthy": count(State::Unhealthy),
            "Unknown": count(State::Unknown),
            "Unauthenticated": count(State::Unauthenticated),
        },
        "backends": all,
    })
}

/// What stands at `/status` there, as far as it is for anybody: `healthy` says that one backend is.
pub(super) fn states<'a>(
    backends: impl Iterator<Item = &'a Backend>,
    version: &str,
    group: &Value,
) -> Value {
    let states: Vec<_> =
        backends.map(|backend| (backend.id().as_str(), backend.health().state)).collect();
    let backends = states.iter().map(|(name, state)| json!({"name": name, "health": state.name()}));
    json!({
        "backends": backends.collect::<Vec<_>>(),
        "healthy": states.iter().any(|(_, state)| *state == State::Healthy),
        "version": version,
        "group_ref": group,
    })
}

fn of_one(health: &HealthSnapshot, now: SystemTime) -> Value {
    let ago = |age: Duration| {
        let at = now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH);
        humantime::format_rfc3339_seconds(at).to_string()
    };
    let mut told = json!({
        "Status": health.state.name(),
        "ConsecutiveFailures": health.consecutive_failures,
        "LastCheckTime": health.last_sign_age.map(ago),
        "LastTransitionTime": ago(health.state_age),
        "LastErrorCategory": category(health.state),
    });
    if let Some((phase, age)) = health.breaker {
        told["CircuitState"] = json!(phase.name());
        told["CircuitLastChanged"] = json!(ago(age));
    }
    told
}

/// What the last error was about, as far as it still matters.
fn category(state: State) -> &'static str {
    match state {
        State::Unauthenticated => "authentication",
        State::Unhealthy | State::Degraded => "unavailable",
        State::Healthy | State::Unknown => "",
    }
}
