//! Servers with one habit, mostly bad.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use tokio::time::sleep;

use super::tool;
use crate::raw::{Answer, Call, Form, Kind, Lost, RawServer, fixed, handler};

/// Tool `count`: 1, 2, 3, ... in each session. Tool `slow`: waits `delay_ms`, then says `done`.
pub fn stateful() -> RawServer {
    slow().offer(
        Kind::Tools,
        &tool("count"),
        handler(|call: Call| async move {
            Answer::text((call.session.count.fetch_add(1, Relaxed) + 1).to_string())
        }),
    )
}

/// Tool `slow`: waits `delay_ms`, then says `done`; reports progress on its stream if asked to,
/// and gives up when it is cancelled.
pub fn slow() -> RawServer {
    RawServer::builder().offer(
        Kind::Tools,
        &tool("slow"),
        handler(|call: Call| async move {
            let delay = Duration::from_millis(call.argument("delay_ms").unwrap_or(1_000));
            if let Some(token) = call.progress_token() {
                let params = format!(r#"{{"progressToken":{token},"progress":1,"total":2}}"#);
                // A client that went away is no reason to stop working.
                let _ = call.notify("notifications/progress", &params).await;
            }
            tokio::select! {
                () = sleep(delay) => Answer::text("done"),
                () = call.cancelled.cancelled() => Answer::error(-32000, "cancelled"),
            }
        }),
    )
}

/// [`stateful`], with a tool `forget` that makes it forget every session, its own included, and
/// refuse them in this manner from then on. [`crate::raw::Server::forget_sessions`] does the same.
pub fn forgetting(lost: Lost) -> RawServer {
    stateful().offer(
        Kind::Tools,
        &tool("forget"),
        handler(move |call: Call| async move {
            call.server.forget_sessions(lost);
            Answer::text("forgotten")
        }),
    )
}

/// Takes `initialize` and never answers it.
pub fn hanging_at_initialize() -> RawServer {
    hanging_at_calls().script("initialize", fixed(Answer::Hang))
}

/// Lists its tool, and never answers a call of it. With SSE, not even the headers come.
pub fn hanging_at_calls() -> RawServer {
    RawServer::builder().tool(&tool("hang"), Answer::Hang)
}

/// Tool `cut_off`: the connection closes after `bytes` of the answer. Tool `close`: no answer.
/// Tool `close_after_event`: a notification on a stream, and then the connection closes.
pub fn dying() -> RawServer {
    RawServer::builder()
        .offer(
            Kind::Tools,
            &tool("cut_off"),
            handler(|call: Call| async move {
                Answer::CutOff(call.argument("bytes").unwrap_or(10_000))
            }),
        )
        .tool(&tool("close"), Answer::Close)
        .offer(
            Kind::Tools,
            &tool("close_after_event"),
            handler(|call: Call| async move {
                let note = r#"{"level":"info","data":"the last words"}"#;
                let _ = call.notify("notifications/message", note).await;
                Answer::Close
            }),
        )
}

/// Tool `flood`: notifications without end on the call's stream. GET streams are flooded as well.
pub fn flooding() -> RawServer {
    RawServer::builder()
        .form(Form::Sse)
        .flooded_streams()
        .tool(&tool("flood"), Answer::Flood)
        .tool(&tool("quiet"), Answer::text("quiet"))
}

/// Tool `huge`: a result with `bytes` of text (100 MiB), made while it is sent.
pub fn huge() -> RawServer {
    RawServer::builder().offer(
        Kind::Tools,
        &tool("huge"),
        handler(|call: Call| async move {
            Answer::Huge(call.argument("bytes").unwrap_or(100 * 1024 * 1024))
        }),
    )
}
