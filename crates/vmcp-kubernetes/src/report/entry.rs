//! One backend under `discoveredBackends` of the status.
//!
//! Its state is what the replicas agree on. All else comes from one of them, the speaker: replicas that know other
//! URLs or revisions of it for a while would otherwise write over one another for ever.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use super::{BackendHealth, BackendReport, Breaker, lines::View, verdict::Agreed};

/// The longest message of a backend, in bytes.
const MAX_TEXT: usize = 512;

const BREAKER: &str = "circuitBreakerState";
const BREAKER_CHANGED: &str = "circuitLastChanged";
const CHECKED: &str = "lastHealthCheck";
const FAILURES: &str = "consecutiveFailures";

/// An entry, from what stood there before, what the replicas agree on and what this one sees. Members that nobody
/// here knows stay.
pub(super) fn written(
    before: Option<&Map<String, Value>>,
    name: &str,
    agreed: &Agreed<'_>,
    own: Option<&BackendReport>,
    is_speaker: bool,
) -> Map<String, Value> {
    let mut entry = before.cloned().unwrap_or_default();
    let is_new = before.is_none();
    let had_state = entry.get("status").and_then(Value::as_str) == Some(agreed.state.name());
    entry.insert("name".to_owned(), name.into());
    entry.insert("status".to_owned(), agreed.state.name().into());
    match (&agreed.difference, own) {
        (Some(difference), _) => put(&mut entry, "message", Some(difference)),
        // It is of the same mind, unless it has none yet.
        (None, Some(own)) if own.state == agreed.state && (is_speaker || !had_state) => {
            put(&mut entry, "message", Some(clipped(&own.message)));
        }
        (None, _) if !had_state => put(&mut entry, "message", None),
        (None, _) => {}
    }
    if let Some(own) = own {
        if is_speaker || is_new {
            put(&mut entry, "url", Some(&own.url));
            let auth = own.auth.as_ref();
            put(&mut entry, "authConfigRef", auth.map(|(name, _)| name.as_str()));
            put(&mut entry, "authType", auth.map(|(_, of)| of.as_str()));
        }
        if own.revision.is_some() && (is_speaker || !entry.contains_key("mcpRevision")) {
            put(&mut entry, "mcpRevision", own.revision.as_deref());
        }
        if let Some(at) = own.last_check {
            put(&mut entry, CHECKED, Some(&time(at)));
        }
        if own.state == agreed.state || own.failures > 0 || is_new {
            let failures = i32::try_from(own.failures).unwrap_or(i32::MAX);
            entry.insert(FAILURES.to_owned(), failures.into());
        }
    }
    set_breaker(&mut entry, agreed, own);
    entry
}

/// The same of a backend of which nobody can say anything now.
pub(super) fn unknown(before: &Map<String, Value>) -> Map<String, Value> {
    let mut entry = before.clone();
    entry.insert("status".to_owned(), BackendHealth::Unknown.name().into());
    put(&mut entry, "message", None);
    entry
}

/// Whether two entries say the same, but for times and numbers that change at each check.
pub(super) fn is_same(one: &Map<String, Value>, other: &Map<String, Value>) -> bool {
    let passing = [CHECKED, FAILURES, BREAKER, BREAKER_CHANGED];
    let lasting = |entry: &Map<String, Value>| {
        let mut entry = entry.clone();
        entry.retain(|key, _| !passing.contains(&key.as_str()));
        entry
    };
    is_tripped(one) == is_tripped(other) && lasting(one) == lasting(other)
}

/// A time as the API has it, in whole seconds of the years 1970 to 9999.
pub(super) fn time(at: SystemTime) -> String {
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_seconds(at.clamp(SystemTime::UNIX_EPOCH, last)).to_string()
}

/// Shows the breaker of this replica if that is what they agree on.
fn set_breaker(entry: &mut Map<String, Value>, agreed: &Agreed<'_>, own: Option<&BackendReport>) {
    let own = own.filter(|own| View::of(own).is_tripped == agreed.is_tripped);
    if let Some(own) = own {
        put(entry, BREAKER, Some(own.breaker.name()));
        put(entry, BREAKER_CHANGED, own.breaker_changed.map(time).as_deref());
    } else if is_tripped(entry) != Some(agreed.is_tripped) {
        let breaker = if agreed.is_tripped { Breaker::Open } else { Breaker::Closed };
        put(entry, BREAKER, Some(breaker.name()));
        put(entry, BREAKER_CHANGED, None);
    }
}

fn is_tripped(entry: &Map<String, Value>) -> Option<bool> {
    let name = entry.get(BREAKER)?.as_str()?;
    let breakers = [Breaker::Closed, Breaker::Open, Breaker::HalfOpen];
    let breaker = breakers.into_iter().find(|breaker| breaker.name() == name)?;
    Some(breaker.is_tripped())
}

/// Empty is as good as absent.
fn put(entry: &mut Map<String, Value>, key: &str, text: Option<&str>) {
    match text.filter(|text| !text.is_empty()) {
        Some(text) => entry.insert(key.to_owned(), text.into()),
        None => entry.remove(key),
    };
}

fn clipped(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_TEXT)]
}
