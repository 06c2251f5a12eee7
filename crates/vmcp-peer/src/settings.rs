//! What a deployment may choose, and the bounds that it may not.

use std::time::Duration;

/// Bytes that all heads of requests together may take that are larger than [`SMALL`] and not whole yet.
pub(crate) const HEADS_BYTES: usize = 64 << 20;

/// Bytes of the name of what is asked.
pub(crate) const PATH_BYTES: usize = 64;

/// Bytes of the name of a replica.
pub(crate) const NAME_BYTES: usize = 128;

/// Bytes of a refusal's text. What is longer is cut.
pub(crate) const TEXT_BYTES: usize = 4 << 10;

/// How long a peer may be silent while something is open, before it counts as gone.
pub const SILENCE: Duration = Duration::from_millis(750);

/// How often a peer is asked for a sign of life while something is open.
pub(crate) const PING: Duration = Duration::from_millis(250);

/// How long it may take to get a request on its way: to dial, to shake hands, to find out that a standing
/// connection is dead.
pub const REACH: Duration = Duration::from_millis(900);

/// How long a dialler has until it has shaken hands and said its name.
pub const HANDSHAKE: Duration = Duration::from_secs(2);

/// How long an asker has to send the head of a request.
pub(crate) const HEAD: Duration = Duration::from_secs(10);

/// How long the last words on a connection may take.
pub(crate) const CLOSING: Duration = Duration::from_secs(1);

/// How long a frame waits for room when its peer has sent too much that nobody reads.
pub(crate) const ROOM: Duration = Duration::from_secs(10);

/// Connections of which nothing is known yet but their address. Each has a socket and a small task; the TLS
/// library has read at most the beginning of a message.
pub(crate) const WAITING: usize = 64;

/// Handshakes at work at once.
pub(crate) const HANDSHAKES: usize = 16;

/// Connections that one replica may have here at once: a new one, and the one that it replaces.
pub(crate) const CONNECTIONS_EACH: usize = 2;

/// Bytes that may be on their way on one stream.
pub(crate) const STREAM_WINDOW: u32 = 128 << 10;

/// Bytes of one piece of a stream (HTTP/2's DATA).
pub(crate) const PIECE: u32 = 64 << 10;

/// Bytes of a frame that is put together without asking for room: those are bounded by the streams' windows.
pub(crate) const SMALL: usize = 64 << 10;

/// Bytes that a producer may have waiting on one stream, if it is more than one frame.
pub(crate) const QUEUE_BYTES: usize = 256 << 10;

/// Frames that a producer may have waiting on one stream.
pub(crate) const QUEUE_FRAMES: usize = 64;

/// What one replica is, and the bounds that it keeps.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this replica, of at most 128 bytes.
    pub name: String,
    /// Tells this process from an earlier one of the same name.
    pub epoch: u64,
    /// What tells this deployment from others with the same keys: the number of the database, the prefix of
    /// its keys.
    pub scope: Vec<Vec<u8>>,
    /// Connections from peers at once, and to them.
    pub connections: usize,
    /// Streams at once on one connection.
    pub streams: u32,
    /// Streams at once on all connections from peers together, and on those to them.
    pub streams_in_all: usize,
    /// Bytes of a request's head.
    pub head_bytes: usize,
    /// Bytes of one frame.
    pub frame_bytes: usize,
    /// How long a connection is kept that nobody uses.
    pub idle: Duration,
}

impl Settings {
    /// The usual bounds: 64 connections, 1,000 streams on each and 4,000 in all, heads of 256 KiB, frames of
    /// 32 MiB, 60 seconds.
    pub fn new(name: impl Into<String>, epoch: u64, scope: Vec<Vec<u8>>) -> Self {
        Self {
            name: name.into(),
            epoch,
            scope,
            connections: 64,
            streams: 1_000,
            streams_in_all: 4_000,
            head_bytes: 256 << 10,
            frame_bytes: 32 << 20,
            idle: Duration::from_secs(60),
        }
    }

    /// Bytes of large frames that may be put together at once on one connection.
    pub(crate) fn assembly_bytes(&self) -> usize {
        (64 << 20).max(self.frame_bytes.saturating_mul(2))
    }

    /// What may have been sent on one connection and not been read: the windows of all its streams, so that
    /// one that nobody reads takes nothing from the others.
    pub(crate) fn connection_window(&self) -> u32 {
        const MAX: u32 = (1 << 31) - 1;
        STREAM_WINDOW.saturating_mul(self.streams).clamp(STREAM_WINDOW, MAX)
    }
}
