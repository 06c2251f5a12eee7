//! How long the edge waits for a client, over either version of HTTP.

use std::time::Duration;

/// What a client is given time for. Tests give less.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// For its next request, and for sending the head of one.
    pub(crate) head: Duration,
    /// For taking something of what is sent to it.
    pub(crate) stalled: Duration,
    /// How long it may send nothing over HTTP/2 before it is asked whether it is still there.
    pub(crate) silent: Duration,
    /// For answering that.
    pub(crate) pong: Duration,
    /// How long an answer may be waited for before it is looked at whether it is to become a stream.
    pub(crate) look: Duration,
    /// For taking the last words on a connection of HTTP/2 that is to close.
    pub(crate) closing: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(75),
            stalled: Duration::from_secs(30),
            silent: Duration::from_secs(30),
            pong: Duration::from_secs(20),
            look: Duration::from_secs(5),
            closing: Duration::from_secs(1),
        }
    }
}
