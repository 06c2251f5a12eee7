//! What a virtual server reports in the status of its VirtualMCPServer object.
//!
//! Several replicas write one object, and none of them leads: the Role of their pods grants no lease. So each keeps
//! one [line](lines) in a condition of the object, which says what it sees of each backend. The status is what
//! these lines [come to](verdict), and every replica [merges](merge) the same from them. The [`Reporter`] reads the
//! object, merges and writes.

use std::time::SystemTime;

mod alive;
mod conditions;
mod entry;
mod lines;
mod merge;
mod register;
mod reporter;
#[cfg(test)]
mod simulation;
mod verdict;

pub use register::{Answer, Register};
pub use reporter::Reporter;

/// What one replica sees of its backends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// In any order, each name once.
    pub backends: Vec<BackendReport>,
    /// Why there may be backends of which it does not know: `the MCPGroup tools does not exist`. Counts while no replica
    /// knows one.
    pub waiting: Option<String>,
}

/// What one replica sees of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendReport {
    /// Its name.
    pub name: String,
    /// Where it is called.
    pub url: String,
    /// How it is.
    pub state: BackendHealth,
    /// Says the same to people, and why. A message that is worded anew without need costs a write each time.
    pub message: String,
    /// When it was last asked, or called.
    pub last_check: Option<SystemTime>,
    /// Whether calls reach it.
    pub breaker: Breaker,
    /// Since when the breaker is as it is.
    pub breaker_changed: Option<SystemTime>,
    /// How many checks or calls have failed one after the other.
    pub failures: u64,
    /// The revision of MCP that is spoken with it, if any has been agreed on.
    pub revision: Option<String>,
    /// The name of its MCPExternalAuthConfig, and the type that this one has.
    pub auth: Option<(String, String)>,
}

/// How a backend is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendHealth {
    /// It answers.
    Ready,
    /// It answers, but late, or not always.
    Degraded,
    /// It does not answer, or must not be called.
    Unavailable,
    /// It has not been asked yet. Such a replica has no say about it.
    Unknown,
    /// It refuses the credential that it is shown.
    Unauthenticated,
}

/// Whether the circuit breaker of a backend lets calls through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breaker {
    /// It does.
    Closed,
    /// It does not.
    Open,
    /// It lets one through, to see what becomes of it.
    HalfOpen,
}

impl Report {
    /// Whether nothing that this says has to be told before the next interval to somebody who knows the other.
    fn is_as_urgent_as(&self, other: &Self) -> bool {
        let is_same = |(one, other): (&BackendReport, &BackendReport)| {
            let tripped = (one.breaker.is_tripped(), other.breaker.is_tripped());
            (&one.name, &one.url, one.state) == (&other.name, &other.url, other.state)
                && tripped.0 == tripped.1
                && (&one.revision, &one.auth) == (&other.revision, &other.auth)
        };
        self.waiting == other.waiting
            && self.backends.len() == other.backends.len()
            && self.backends.iter().zip(&other.backends).all(is_same)
    }
}

impl BackendHealth {
    /// Its name in the status.
    fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Degraded => "degraded",
            Self::Unavailable => "unavailable",
            Self::Unknown => "unknown",
            Self::Unauthenticated => "unauthenticated",
        }
    }

    /// Whether calls can be answered.
    fn is_usable(self) -> bool {
        matches!(self, Self::Ready | Self::Degraded)
    }
}

impl Breaker {
    /// Its name in the status.
    fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }

    /// Whether calls are kept away. A backend that is down has its breaker half open every minute for a moment,
    /// which is nothing that a status has to follow.
    fn is_tripped(self) -> bool {
        match self {
            Self::Closed => false,
            Self::Open | Self::HalfOpen => true,
        }
    }
}
