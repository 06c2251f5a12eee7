//! Why a request was not answered, by what the asker can do about it.

use std::time::Duration;

/// Why there is no answer, or no more of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request was not carried out: its handler has not begun. It may be sent elsewhere.
    #[error("the replica cannot be reached: {0}")]
    Unreachable(#[source] Unreachable),
    /// The peer went away after the request was sent: it may have been carried out.
    #[error("the replica is gone: {0}")]
    Gone(String),
    /// The handler there says no.
    #[error("{0}")]
    Refused(Refusal),
    /// There is too much under way: the request was not carried out.
    #[error("too much is under way between these replicas: {0}")]
    Busy(&'static str),
    /// The keys that replicas share are not known yet: the request was not carried out.
    #[error("the keys that replicas share are not known yet")]
    NotReady,
    /// More than may be sent at once. Of a request's head it is known beforehand: nothing was carried out.
    #[error("{what} of {bytes} bytes is over the bound of {limit}")]
    TooLarge { what: What, bytes: u64, limit: u64 },
    /// What the other end has sent makes no sense. The request may have been carried out.
    #[error("the replica does not keep to the protocol: {0}")]
    Protocol(String),
}

/// What is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Head,
    Frame,
}

/// Why a replica cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    #[error("no connection to its address: {0}")]
    Connect(String),
    #[error("it did not answer within {} ms", .0.as_millis())]
    Slow(Duration),
    #[error("the TLS handshake failed: {0}")]
    Handshake(String),
    #[error("it speaks protocol {theirs} between replicas, and this one {ours}")]
    OtherProtocol { ours: u32, theirs: u32 },
    #[error("{name} (epoch {epoch}) answers at its address")]
    NotIt { name: String, epoch: u64 },
    #[error("the connection was lost before the request was sent: {0}")]
    Lost(String),
    #[error("it takes no more requests, as it is about to end")]
    Ending,
    #[error("this replica asks no more, as it is about to end")]
    EndingHere,
}

/// What a handler says instead of an answer. The numbers are those of who asks and who answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Refusal {
    pub code: u16,
    /// Up to 4 KiB; what is longer is cut.
    pub text: String,
}

impl Error {
    /// Whether it is certain that the request was not carried out, so that it may be sent elsewhere.
    pub fn is_not_carried_out(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Busy(_) | Self::NotReady => true,
            Self::TooLarge { what, .. } => *what == What::Head,
            Self::Gone(_) | Self::Refused(_) | Self::Protocol(_) => false,
        }
    }

    /// Its name in metrics.
    pub(crate) fn reason(&self) -> Failure {
        match self {
            Self::Unreachable(_) => Failure::Unreachable,
            Self::Gone(_) => Failure::Gone,
            Self::Refused(_) => Failure::Refused,
            Self::Busy(_) => Failure::Busy,
            Self::NotReady => Failure::NotReady,
            Self::TooLarge { .. } => Failure::TooLarge,
            Self::Protocol(_) => Failure::Protocol,
        }
    }
}

/// The kinds of errors, as they are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Unreachable,
    Gone,
    Refused,
    Busy,
    NotReady,
    TooLarge,
    Protocol,
}

impl Failure {
    /// All of them with their names, in the order of the enum.
    pub(crate) const NAMES: [&str; 7] =
        ["unreachable", "gone", "refused", "busy", "not_ready", "too_large", "protocol"];
}

impl From<Unreachable> for Error {
    fn from(why: Unreachable) -> Self {
        Self::Unreachable(why)
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Head => "a request",
            Self::Frame => "a frame",
        })
    }
}

impl Refusal {
    pub fn new(code: u16, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}
