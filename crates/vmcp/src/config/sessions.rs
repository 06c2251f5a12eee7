//! How sessions are kept and how much of everything there may be: `sessions`, `bridge`, `limits`.

use std::time::Duration;

use vmcp_core::{Bridge, Reuse};

use super::{
    BackendInit, Limits, Sessions, keys,
    reader::Reader,
    schema::{self, Shape},
    units,
};

pub(super) fn read(reader: &Reader<'_>) -> Sessions {
    let backend_init = reader.choice("backendInit", &[BackendInit::Lazy, BackendInit::Eager]);
    Sessions {
        ttl: reader.time("ttl"),
        initialize_wait: reader.time("initializeWait"),
        backend_init: backend_init.unwrap_or(BackendInit::Lazy),
        max_backend_init_concurrency: reader.count("maxBackendInitConcurrency"),
        keep_alive: reader.time("keepAlive"),
        event_log_bytes: reader.size("eventLogBytes"),
        drain_timeout: reader.time("drainTimeout"),
        offer_max_age: reader.time("offerMaxAge"),
    }
}

/// How clients without sessions use backend sessions. How many are kept is among the `limits`.
pub(super) fn bridge(reader: &Reader<'_>, limits: &Reader<'_>) -> Bridge {
    let reuse = reader.choice("reuse", &[Reuse::Principal, Reuse::All, Reuse::Never]);
    let reuse = reuse.unwrap_or(Reuse::Principal);
    let (useless, why): (&[&str], _) = match reuse {
        Reuse::Principal => (&[], ""),
        Reuse::All => (&["concurrency"], "has no effect: with reuse: all, calls run one at a time"),
        Reuse::Never => (
            &["concurrency", "idle", "wait"],
            "has no effect: with reuse: never, no backend session is kept",
        ),
    };
    for value in useless.iter().filter_map(|key| reader.value(key)) {
        value.problem(why);
    }
    if reuse == Reuse::Never
        && let Some(value) = limits.value("keptSessionsPerBackend")
    {
        value.problem("has no effect: with bridge.reuse: never, no backend session is kept");
    }
    Bridge {
        reuse,
        concurrency: Some(reader.count("concurrency")).filter(|count| *count > 0),
        idle: reader.time("idle"),
        wait: reader.time("wait"),
        sessions: limits.count("keptSessionsPerBackend"),
    }
}

/// The limits of the server as a whole. An event of a backend's may be as large as its limits say.
pub(super) fn limits(reader: &Reader<'_>, backends: &vmcp_backend::Limits) -> Limits {
    Limits {
        event_bytes: backends.event_bytes,
        request_bytes: reader.size("requestBytes"),
        held_request_bytes: reader.size("heldRequestBytes"),
        held_bytes: reader.size("heldBytes"),
        connections: reader.count("connections"),
        sessions: reader.count("sessions"),
        sessions_per_client: reader.count("sessionsPerClient"),
        calls_per_session: reader.count("callsPerSession"),
        streams: reader.count("streams"),
        views: reader.count("views"),
        caller_views: reader.count("callerViews"),
    }
}

/// The limits of each backend.
pub(super) fn backend_limits(reader: &Reader<'_>) -> vmcp_backend::Limits {
    vmcp_backend::Limits {
        response_bytes: reader.size("responseBytes"),
        event_bytes: reader.size("eventBytes"),
        in_flight: reader.count("callsPerBackend"),
        streams: reader.count("streamsPerBackend"),
        links: reader.count("linksPerBackend"),
        list_pages: reader.count("listPages"),
        list_items: reader.count("listItems"),
        list_bytes: reader.size("listBytes"),
    }
}

/// `sessions.ttl` as the command line has it.
pub(crate) fn parse_session_ttl(text: &str) -> Result<Duration, String> {
    parse_session_time("ttl", text)
}

/// The same for programs and `sessions.backendInitTimeout`.
pub(crate) fn parse_start_timeout(text: &str) -> Result<Duration, String> {
    parse_session_time("backendInitTimeout", text)
}

/// A duration of the command line, which may be what that of `sessions` may be in the file.
fn parse_session_time(name: &str, text: &str) -> Result<Duration, String> {
    let key = keys::SESSIONS.iter().find(|key| key.name == name);
    let Some(Shape::Time { most, .. }) = key.map(|key| key.shape) else {
        unreachable!("sessions.{name} is a duration")
    };
    let bounds = schema::LEAST_TIME..=most;
    units::duration(text).filter(|time| bounds.contains(time)).ok_or_else(|| {
        let (least, most) = (units::show_duration(schema::LEAST_TIME), units::show_duration(most));
        format!("write a duration between {least} and {most}, such as 90s or 1h30m")
    })
}
