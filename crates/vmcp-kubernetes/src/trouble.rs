//! What can be wrong with the answers of the API server, and why.

use std::error::Error;

use kube::{client::AuthError, runtime::watcher};

/// How much is told of what a server says, in characters.
const MAX_TEXT: usize = 300;

/// What went wrong with a watch, as far as it decides what to do and what to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The cluster does not know the kind.
    Unknown,
    /// The server refuses what was asked: lists as streams, it may be.
    Refused(String),
    /// The server does not know who asks.
    Unproven(String),
    /// The account may not.
    Forbidden(String),
    /// What was seen last is too old to go on from.
    Over,
    /// The server cannot be reached, or does not answer as it should.
    Away(String),
}

impl Trouble {
    pub(crate) fn of(error: &watcher::Error) -> Self {
        let (code, why) = match error {
            watcher::Error::WatchError(status) => (status.code, told(&status.message, status.code)),
            watcher::Error::InitialListFailed(error)
            | watcher::Error::WatchStartFailed(error)
            | watcher::Error::WatchFailed(error) => (code(error), cause(error)),
            watcher::Error::NoResourceVersion => (0, "its lists have no version".to_owned()),
        };
        match code {
            404 => Self::Unknown,
            400 | 422 => Self::Refused(why),
            401 => Self::Unproven(why),
            // Who shows no token at all is called so, and is refused as somebody without rights.
            403 if why.contains("\"system:anonymous\"") => Self::Unproven(why),
            403 => Self::Forbidden(why),
            410 => Self::Over,
            _ => Self::Away(why),
        }
    }
}

/// The status of an answer; 0 if there was none.
pub(crate) fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        _ => 0,
    }
}

/// Why something failed: what is at the bottom of it, on one line. Nothing in it was read.
pub(crate) fn cause(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => told(&status.message, status.code),
        kube::Error::SerdeError(_) => "its answer cannot be used".to_owned(),
        other => innermost(other),
    }
}

/// What is at the bottom of an error.
pub(crate) fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut inner = error;
    while !inner.is::<AuthError>()
        && let Some(source) = inner.source()
    {
        inner = source;
    }
    on_one_line(&inner.to_string())
}

fn told(message: &str, code: u16) -> String {
    let message = on_one_line(message);
    if message.is_empty() { format!("status {code}") } else { format!("{message} ({code})") }
}

fn on_one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_is_told_is_what_is_at_the_bottom() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let text = refused.to_string();
        let wrapped = kube::Error::ReadEvents(io::Error::other(kube::Error::ReadEvents(refused)));
        assert_eq!(cause(&wrapped), text);
        let status = |code: u16, message: &str| {
            kube::Error::Api(
                kube::core::Status::failure(message, "Because").with_code(code).boxed(),
            )
        };
        assert_eq!(cause(&status(503, "not\n ready  yet")), "not ready yet (503)");
        assert_eq!(cause(&status(429, "")), "status 429");
        assert_eq!(cause(&status(500, &"long ".repeat(1000))).chars().count(), MAX_TEXT + 6);
    }

    #[test]
    fn who_shows_no_token_is_not_somebody_without_rights() {
        let of = |code: u16, message: &str| {
            let status = kube::core::Status::failure(message, "Because").with_code(code);
            Trouble::of(&watcher::Error::WatchError(status.boxed()))
        };
        assert!(matches!(of(401, "Unauthorized"), Trouble::Unproven(_)));
        let anonymous = "secrets is forbidden: User \"system:anonymous\" cannot watch";
        assert!(matches!(of(403, anonymous), Trouble::Unproven(_)));
        assert!(matches!(of(403, "User \"desk\" cannot watch"), Trouble::Forbidden(_)));
    }
}
