//! What is logged, which operators can see and change while vmcp runs.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use tracing::Level;
use vmcp_wire::{Fault, headers};

use crate::{body::Body, edge::Edge, request::RequestBody, respond};

/// Where the levels are.
pub(crate) const LOG: &str = "/log";

/// Bytes of what an operator sends, and how many parts of the program it may name.
const LIMIT: usize = 16 << 10;
const MAX_TARGETS: usize = 64;

/// From which level on is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevels {
    /// Of all parts that are not named.
    pub level: Level,
    /// Of modules of the program, and of what is in them.
    pub targets: BTreeMap<String, Level>,
}

/// Whoever logs.
pub struct LogControl {
    pub levels: Box<dyn Fn() -> LogLevels + Send + Sync>,
    /// As the configuration says it again, with nothing.
    pub set: Box<dyn Fn(Option<LogLevels>) + Send + Sync>,
}

/// What an operator asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    level: Option<String>,
    #[serde(default)]
    targets: BTreeMap<String, String>,
}

impl Edge {
    /// Shows what is logged (GET), changes it (PUT), or lets the configuration say it again (DELETE).
    pub(crate) async fn log_levels(&self, request: Request<RequestBody>) -> Response<Body> {
        let Some(log) = &self.log else { return respond::empty(StatusCode::NOT_FOUND) };
        match *request.method() {
            Method::GET | Method::HEAD => {}
            Method::DELETE => (log.set)(None),
            _ => {
                let wanted = self.read_at_most(request.into_body(), LIMIT).await;
                match wanted.and_then(|body| wanted_levels(&body, &(log.levels)())) {
                    Ok(levels) => (log.set)(Some(levels)),
                    Err(fault) => return respond::failed(None, &fault),
                }
            }
        }
        let LogLevels { level, targets } = (log.levels)();
        let targets: BTreeMap<_, _> =
            targets.into_iter().map(|(target, level)| (target, name(level))).collect();
        let body = format!("{}\n", json!({"level": name(level), "targets": targets}));
        let mut response = respond::typed(StatusCode::OK, headers::JSON, Body::whole(body));
        let fresh = HeaderValue::from_static("no-store");
        response.headers_mut().insert(header::CACHE_CONTROL, fresh);
        response
    }
}

/// Whether a method changes what is logged.
pub(crate) fn changes(method: &Method) -> bool {
    matches!(*method, Method::PUT | Method::DELETE)
}

fn wanted_levels(body: &Bytes, now: &LogLevels) -> Result<LogLevels, Fault> {
    let wrong = |why: String| Fault::InvalidRequest(why.into());
    let wanted: Wanted = serde_json::from_slice(body).map_err(|error| {
        wrong(format!(
            "send {{\"level\":\"info\",\"targets\":{{\"vmcp_backend\":\"debug\"}}}}: {error}"
        ))
    })?;
    if wanted.targets.len() > MAX_TARGETS {
        return Err(wrong(format!("name at most {MAX_TARGETS} targets")));
    }
    let read = |text: &str| {
        read(text).ok_or_else(|| {
            wrong(format!("{text:?} is not a level; there are error, warn, info, debug, trace"))
        })
    };
    let level = wanted.level.as_deref().map_or(Ok(now.level), read)?;
    let is_target = |target: &str| {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
        !target.is_empty() && target.len() <= 128 && target.bytes().all(is_of_name)
    };
    let targets = wanted.targets.into_iter().map(|(target, text)| {
        if !is_target(&target) {
            let why = "is not a module, such as vmcp_backend or vmcp_session::pump";
            return Err(wrong(format!("{target:?} {why}")));
        }
        Ok((target, read(&text)?))
    });
    Ok(LogLevels { level, targets: targets.collect::<Result<_, _>>()? })
}

fn read(text: &str) -> Option<Level> {
    [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE]
        .into_iter()
        .find(|level| name(*level) == text)
}

fn name(level: Level) -> String {
    level.to_string().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read_or_refused_with_what_to_send() {
        let now = LogLevels { level: Level::WARN, targets: BTreeMap::new() };
        let wanted = |text: &'static str| {
            let levels = wanted_levels(&Bytes::from(text), &now);
            levels.map_err(|fault| fault.to_string())
        };
        let levels = wanted(r#"{"targets":{"vmcp_backend::http":"debug"}}"#).unwrap();
        let targets = [("vmcp_backend::http".to_owned(), Level::DEBUG)].into();
        assert_eq!(levels, LogLevels { level: Level::WARN, targets });
        assert_eq!(wanted(r#"{"level":"trace"}"#).unwrap().level, Level::TRACE);
        for (text, why) in [
            ("", "send {\"level\""),
            (r#"{"levle":"info"}"#, "unknown field"),
            (r#"{"level":"INFO"}"#, "\"INFO\" is not a level"),
            (r#"{"targets":{"a b":"info"}}"#, "\"a b\" is not a module"),
            (r#"{"targets":{"":"info"}}"#, "\"\" is not a module"),
        ] {
            let refused = wanted(text).unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
        let many: Vec<_> = (0..=MAX_TARGETS).map(|n| format!("\"a{n}\":\"info\"")).collect();
        let text = format!("{{\"targets\":{{{}}}}}", many.join(","));
        assert!(wanted_levels(&text.into(), &now).is_err());
    }
}
