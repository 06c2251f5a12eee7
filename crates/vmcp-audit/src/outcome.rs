//! How a request has ended, in the words of a record.

use vmcp_model::trail::{End, Trail, Via, Why};

/// How it has ended, for whoever reads records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was answered well.
    Success,
    /// The client has asked for what cannot be, or has gone away.
    Failure,
    /// vmcp or the backend could not do it.
    Error,
    /// The caller may not do it, or has not shown who it is.
    Denied,
    /// The tool has failed, or the backend has answered with an error.
    ApplicationError,
}

/// The reason of a record whose client did not wait for the answer.
pub(crate) const ABANDONED: &str = "abandoned";

impl Outcome {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
            Self::Denied => "denied",
            Self::ApplicationError => "application_error",
        }
    }

    /// The outcome of a trail, and the reason if there is one to tell.
    pub(crate) fn of(trail: &Trail, detects: bool) -> (Self, Option<&'static str>) {
        let (outcome, reason) = match trail.end() {
            Some(End::Answered) => (Self::of_answer(trail.status()), None),
            Some(End::ToolError | End::Error { .. }) if detects => (Self::ApplicationError, None),
            Some(End::ToolError | End::Error { .. }) => (Self::Success, None),
            Some(End::Failed { why, .. }) => (Self::by_reason(*why), Some(why.name())),
            None => Self::by_status(trail),
        };
        match trail.status() {
            Some(401 | 403) => (Self::Denied, reason),
            _ => (outcome, reason),
        }
    }

    const fn by_reason(why: Why) -> Self {
        match why {
            Why::Unauthenticated | Why::Denied => Self::Denied,
            Why::Invalid | Why::OverBound | Why::Cancelled => Self::Failure,
            Why::Unavailable | Why::Backend | Why::Timeout | Why::Internal => Self::Error,
        }
    }

    /// Of what was answered, the status tells whether that is what was asked for.
    const fn of_answer(status: Option<u16>) -> Self {
        match status {
            Some(500..) => Self::Error,
            Some(400..) => Self::Failure,
            _ => Self::Success,
        }
    }

    /// Where nobody has noted an end. A stream that a client opens ends when it goes away, and what is
    /// accepted has no answer to wait for.
    fn by_status(trail: &Trail) -> (Self, Option<&'static str>) {
        match trail.status() {
            status @ Some(400..) => (Self::of_answer(status), None),
            Some(202 | 204) => (Self::Success, None),
            Some(200..) if trail.asked().via != Via::Post => (Self::Success, None),
            _ => (Self::Failure, Some(ABANDONED)),
        }
    }
}
