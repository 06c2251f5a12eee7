//! Errors as they travel between replicas: as JSON objects with a `kind`. Whoever reads one can do the same about it as
//! where it happened.

use std::time::Duration;

use serde_json::{Value, json};

use crate::error::Error;

/// What bounds are of, and the keys that set them, of errors that name them.
const KNOWN: &[&str] = &[
    "a bound of vmcp's own",
    "answered with a body",
    "answered with a line",
    "connections open",
    "errands under way",
    "eventBytes",
    "limits.callsPerBackend",
    "limits.linksPerBackend",
    "processes running",
    "requests under way",
    "responseBytes",
    "sent an event",
];

pub(super) fn written(error: &Error) -> Vec<u8> {
    let value = match error {
        Error::SessionLost => json!({"kind": "lost"}),
        Error::SessionGone { status } => json!({"kind": "gone", "status": status}),
        Error::Unreachable(why) => json!({"kind": "unreachable", "why": why}),
        Error::Broken(why) => json!({"kind": "broken", "why": why}),
        Error::LinkEnded { why, in_call, said } => {
            json!({"kind": "ended", "why": why, "inCall": in_call, "said": said})
        }
        Error::NotReady { after, said } => {
            json!({"kind": "notReady", "after": millis(*after), "said": said})
        }
        Error::Timeout(after) => json!({"kind": "timeout", "after": millis(*after)}),
        // What its credential lacks is told by whoever opened the link.
        Error::Refused { status, said, denial: _ } => {
            json!({"kind": "refused", "status": status, "said": said})
        }
        Error::Protocol(why) => json!({"kind": "protocol", "why": why}),
        Error::TooLarge { what, limit, key } => {
            json!({"kind": "tooLarge", "what": what, "limit": limit, "key": key})
        }
        Error::Excessive(why) => json!({"kind": "excessive", "why": why}),
        Error::Busy { what, key, limit } => {
            json!({"kind": "busy", "what": what, "key": key, "limit": limit})
        }
        Error::Ended => json!({"kind": "sessionEnded"}),
        Error::LeftAlone { .. }
        | Error::Unavailable(_)
        | Error::NoCredential(_)
        | Error::Held { in_call: false, .. } => {
            json!({"kind": "unavailable", "why": error.to_string()})
        }
        Error::Held { in_call: true, .. } => json!({"kind": "broken", "why": error.to_string()}),
    };
    value.to_string().into_bytes()
}

/// An error that is unknown here says that whether something was done is unknown.
pub(super) fn read(written: &[u8]) -> Error {
    let value: Value = serde_json::from_slice(written).unwrap_or_default();
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let said = || value["said"].as_str().map(Box::from);
    let number = |key: &str| value[key].as_u64().unwrap_or_default();
    let status = || u16::try_from(number("status")).unwrap_or_default();
    let after = || Duration::from_millis(number("after"));
    let limit = || usize::try_from(number("limit")).unwrap_or(usize::MAX);
    let known = |key: &str| {
        KNOWN
            .iter()
            .copied()
            .find(|known| value[key] == **known)
            .unwrap_or("a bound of another replica's")
    };
    match value["kind"].as_str().unwrap_or_default() {
        "lost" => Error::SessionLost,
        "gone" => Error::SessionGone { status: status() },
        "unreachable" => Error::Unreachable(text("why")),
        "broken" => Error::Broken(text("why")),
        "ended" => {
            Error::LinkEnded { why: text("why"), in_call: value["inCall"] == true, said: said() }
        }
        "notReady" => Error::NotReady { after: after(), said: said().unwrap_or_default() },
        "timeout" => Error::Timeout(after()),
        "refused" => Error::Refused { status: status(), said: said(), denial: None },
        "protocol" => Error::Protocol(text("why")),
        "tooLarge" => Error::TooLarge { what: known("what"), limit: limit(), key: known("key") },
        "excessive" => Error::Excessive(text("why")),
        "busy" => Error::Busy { what: known("what"), key: known("key"), limit: limit() },
        "sessionEnded" => Error::Ended,
        "unavailable" => Error::Unavailable(text("why")),
        _ => Error::Broken("failed in a way that this version of vmcp does not know".to_owned()),
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
