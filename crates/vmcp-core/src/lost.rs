//! Errors that say more than that a request has failed. Some published servers tell the loss of a session
//! in one, with HTTP status 200.

use std::sync::{Arc, LazyLock};

use memchr::memmem::Finder;
use vmcp_backend::{Backend, Error, Session};
use vmcp_model::{
    Method,
    raw::{self, Members},
};
use vmcp_wire::{Fault, IdKey};

use crate::{call::Reply, caller::Caller, resolve::Routed, vmcp::Vmcp};

/// Bytes of an answer that says no more than that.
const SHORT: usize = 1 << 10;

/// In so many of its first bytes a longer answer says whether it is an error.
const HEAD: usize = 128;

/// Finds what every error has. Made once: it costs more than the search.
static ERROR: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\"error\""));

/// The error object of a response, if it is one that begins like an error.
pub(crate) fn error_in(text: &[u8]) -> Option<&[u8]> {
    let head = if text.len() <= SHORT { text } else { &text[..HEAD] };
    // Nearly all answers have none.
    ERROR.find(head)?;
    Members::parse(text)?.value(text, "error")
}

/// The code of a response that is an error; 0 if it names none.
pub(crate) fn code_of(text: &[u8]) -> i64 {
    let error = Members::parse(text).and_then(|members| members.value(text, "error"));
    error.map_or(0, code_in)
}

/// The code of an error object.
pub(crate) fn code_in(error: &[u8]) -> i64 {
    let code = Members::parse(error).and_then(|members| members.value(error, "code"));
    let code = code.and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
    code.unwrap_or_default()
}

/// Whether an error may say that the session is not known.
pub(crate) fn may_be_lost(error: &[u8]) -> bool {
    let Some(members) = Members::parse(error) else { return false };
    let is_of_transport = matches!(members.value(error, "code"), Some(b"-32001" | b"-32000"));
    let message = members.value(error, "message").and_then(raw::as_string).unwrap_or_default();
    is_of_transport && message.to_ascii_lowercase().contains("session")
}

impl Vmcp {
    /// Looks into it, and sends the request again on a new session if the backend does not know this
    /// one: then what it has refused did not run. `None` if it does.
    pub(crate) async fn heal(
        &self,
        caller: &Caller<'_>,
        routed: &Routed<'_>,
        session: &Session,
        id: &IdKey,
    ) -> Result<Option<Reply>, Fault> {
        let backend = &routed.backend;
        if knows(backend, session).await {
            return Ok(None);
        }
        let renewed = caller.sessions.renew(backend, session).await;
        let told = |error: Error| error.fault(backend.id());
        let session =
            renewed.map_err(told)?.on_behalf_of(backend, caller.identity).map_err(told)?;
        self.refresh(backend.id(), session.subject());
        self.send_once(caller, routed, &session, id).await.map(Some)
    }
}

/// Whether a backend knows a session, as far as it says so.
async fn knows(backend: &Arc<Backend>, session: &Session) -> bool {
    match backend.ask(session, Method::Ping, None).await {
        Ok(answer) => !error_in(answer.text()).is_some_and(may_be_lost),
        Err(Error::SessionLost) => false,
        // Nothing has been learnt.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use vmcp_wire::error::URL_REQUIRED;

    use super::*;

    #[track_caller]
    fn check(error: &str, expected: bool) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#);
        assert_eq!(error_in(text.as_bytes()).is_some_and(may_be_lost), expected, "{error}");
    }

    #[test]
    fn an_error_of_any_length_that_asks_for_a_url_is_known() {
        for length in [1, SHORT * 2] {
            let url = "x".repeat(length);
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":-32042,"message":"","data":"{url}"}}}}"#
            );
            assert_eq!(error_in(text.as_bytes()).map(code_in), Some(URL_REQUIRED));
        }
    }

    #[test]
    fn what_says_that_the_session_is_not_known_is_looked_into() {
        check(r#"{"code":-32001,"message":"Session not found"}"#, true);
        check(r#"{"code":-32000,"message":"Bad Request: No valid session ID provided"}"#, true);
        check(r#"{"code":-32602,"message":"no such session"}"#, false);
        check(r#"{"code":-32001,"message":"Request timed out"}"#, false);
        let result =
            br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"\"error\" in a session"}]}}"#;
        assert!(!error_in(result).is_some_and(may_be_lost));
    }
}
