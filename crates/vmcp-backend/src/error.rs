//! What can go wrong with a backend, by what the caller can do about it.

use std::{borrow::Cow, time::Duration};

use vmcp_credentials::Unavailable;
use vmcp_model::BackendId;
use vmcp_wire::{Fault, RETRY_AFTER_SECONDS};

use crate::http::challenge::Denial;

/// What the reason is about, if it does not say so itself.
fn of_credential(reason: &Unavailable) -> &'static str {
    match reason {
        Unavailable::Source(_) | Unavailable::Caller(_) => "its credential ",
        Unavailable::Missing(_) => "",
    }
}

/// A failure of one exchange with a backend.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The backend does not know the session any more. What was sent did not run: opening a new
    /// session and sending it again is safe.
    #[error("lost the session")]
    SessionLost,
    /// The backend does not know the session any more, and whether what was sent ran is unknown.
    #[error("lost the session, and refused the request with HTTP status {status}; try again")]
    SessionGone { status: u16 },
    /// Nothing was sent.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The exchange broke off; whether the request ran is unknown.
    #[error("broke off: {0}")]
    Broken(String),
    /// The program, or the connection, has ended on which the answer was to come. `why` completes
    /// "the backend ...". `in_call` says that a client's request was sent before, and may have run. `said` is
    /// what a program has said about it, in one line.
    #[error("{why}{}{}", doubt(*.in_call), quoted(.said.as_deref()))]
    LinkEnded { why: String, in_call: bool, said: Option<Box<str>> },
    /// The program, or the connection, is held by another replica of vmcp, with which something is wrong: `why`
    /// completes "another replica of vmcp, which ...". `in_call` says that a client's request was sent before, and may
    /// have run.
    #[error("is spoken to by another replica of vmcp, which {why}{}", held(*.in_call))]
    Held { why: Cow<'static, str>, in_call: bool },
    /// The program did not get ready in time. `said` is what it has said meanwhile, in one line.
    #[error("did not get ready within {} s of its start; it said: {said}", .after.as_secs())]
    NotReady { after: Duration, said: Box<str> },
    /// No answer in time; whether the request ran is unknown.
    #[error("did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The backend answered with an HTTP status that refuses the request. `said` is what it says
    /// about that, in one line; `denial` is what its credential lacks.
    #[error("refused the request with HTTP status {status}{}{}{}", quoted(.said.as_deref()), hint(*.status), lacks(.denial.as_deref()))]
    Refused { status: u16, said: Option<Box<str>>, denial: Option<Box<Denial>> },
    /// The backend answered with something that the protocol does not allow.
    #[error("{0}")]
    Protocol(String),
    /// The backend sends more than vmcp takes, by a bound of vmcp's own.
    #[error("{what} of more than {limit} bytes (limits.{key})")]
    TooLarge { what: &'static str, limit: usize, key: &'static str },
    /// The backend offers more than vmcp takes, by a bound of vmcp's own.
    #[error("{0}")]
    Excessive(String),
    /// The backend has as many of these as it may have.
    #[error("has {limit} {what} already ({key}); try again later")]
    Busy { what: &'static str, key: &'static str, limit: usize },
    /// Nothing was sent: the backend has failed too often.
    #[error("has failed too often lately and is left alone: its circuit breaker is open; tried again in {} s", .again_in.as_millis().div_ceil(1000))]
    LeftAlone { again_in: Duration },
    /// Nothing was sent: vmcp has no use of the session from here at the moment.
    #[error("cannot be used: {0}")]
    Unavailable(String),
    /// Nothing was sent: there is no credential to show it.
    #[error("was not asked: {}{}", of_credential(.0), .0)]
    NoCredential(Unavailable),
    /// Nothing was sent: the client's session has ended.
    #[error("is not used any more: the session has ended")]
    Ended,
}

impl Error {
    /// A refusal of which nothing but its status is known.
    pub(crate) fn refused(status: u16) -> Self {
        Self::Refused { status, said: None, denial: None }
    }

    /// Whether nothing was sent, so that nothing has been learnt.
    pub(crate) fn sent_nothing(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::Busy { .. }
            | Self::LeftAlone { .. }
            | Self::Unavailable(_)
            | Self::NoCredential(_)
            | Self::Held { in_call: false, .. }
            | Self::Ended => true,
            Self::SessionLost
            | Self::SessionGone { .. }
            | Self::Broken(_)
            | Self::LinkEnded { .. }
            | Self::Held { in_call: true, .. }
            | Self::NotReady { .. }
            | Self::Timeout(_)
            | Self::Refused { .. }
            | Self::Protocol(_)
            | Self::TooLarge { .. }
            | Self::Excessive(_) => false,
        }
    }

    /// Whether it was not even tried to send something.
    pub fn tried_nothing(&self) -> bool {
        self.sent_nothing() && !matches!(self, Self::Unreachable(_))
    }

    /// Whether the backend would refuse the same again: it is about what was sent, and not about who has
    /// sent it or the moment.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused { status: 400..=499, .. })
            && !matches!(self, Self::Refused { status: 401 | 403 | 407 | 408 | 425 | 429, .. })
    }

    /// What a client is told.
    pub fn fault(&self, backend: &BackendId) -> Fault {
        match self {
            Self::Timeout(after) => {
                Fault::BackendTimeout { backend: backend.to_string(), seconds: after.as_secs() }
            }
            Self::Unavailable(_) => Fault::Unavailable(format!("backend {backend} {self}").into()),
            Self::Busy { .. } | Self::LeftAlone { .. } => Fault::BackendUnavailable {
                backend: backend.to_string(),
                reason: self.to_string().into(),
                again_in: match self {
                    Self::LeftAlone { again_in } => *again_in,
                    _ => Duration::from_secs(RETRY_AFTER_SECONDS),
                },
            },
            Self::Ended => Fault::SessionUnknown,
            // What exactly is for operators.
            Self::NoCredential(Unavailable::Missing(_)) => Fault::Backend {
                backend: backend.to_string(),
                reason: "was not asked: something is not there that it is configured to be given"
                    .into(),
            },
            Self::Refused { denial: Some(denial), .. } => Fault::BackendDenied {
                backend: backend.to_string(),
                reason: self.to_string().into(),
                error: denial.error.to_string(),
                scope: denial.scope.as_ref().map(ToString::to_string),
            },
            Self::SessionLost
            | Self::SessionGone { .. }
            | Self::Unreachable(_)
            | Self::Broken(_)
            | Self::LinkEnded { .. }
            | Self::Held { .. }
            | Self::NotReady { .. }
            | Self::Refused { .. }
            | Self::Protocol(_)
            | Self::TooLarge { .. }
            | Self::NoCredential(_)
            | Self::Excessive(_) => {
                Fault::Backend { backend: backend.to_string(), reason: self.to_string().into() }
            }
        }
    }
}

fn doubt(in_call: bool) -> &'static str {
    if in_call { " before the answer, and whether the call ran is unknown" } else { "" }
}

fn held(in_call: bool) -> &'static str {
    if in_call {
        ": whether the call ran is unknown, and what the backend held for this session may be lost"
    } else {
        ": nothing was sent, and what the backend held for this session may be lost"
    }
}

fn quoted(said: Option<&str>) -> String {
    said.map_or_else(String::new, |said| format!(": {said}"))
}

fn lacks(denial: Option<&Denial>) -> String {
    match denial {
        None => String::new(),
        Some(Denial { error, scope: None }) => format!(" ({error})"),
        Some(Denial { error, scope: Some(scope) }) => {
            format!(" ({error}; it needs the scope {scope})")
        }
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 => "; check its credential under outgoingAuth",
        403 => "; its credential is not allowed to do this",
        404 => "; check its URL",
        405 => "; check its URL, and whether it speaks HTTP+SSE (transport: sse)",
        _ => "",
    }
}
