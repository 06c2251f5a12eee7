//! Sessions whose loss a backend tells in an answer: an error of JSON-RPC with HTTP status 200 that says
//! that the session is not known. Some published servers do.

use std::sync::{Arc, LazyLock};

use memchr::memmem::Finder;
use vmcp_backend::{Backend, Error, Session};
use vmcp_model::raw::{self, Members};
use vmcp_wire::{Fault, IdKey};

use crate::{
    caller::Caller,
    route::Routed,
    vmcp::{Reply, Vmcp},
};

/// Bytes of an answer that says no more than that.
const SHORT: usize = 1 << 10;

/// Finds what every error has. Made once: it costs more than the search.
static ERROR: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(b"\"error\""));

/// Whether a reply may say that the session is not known.
pub(crate) fn may_be_lost(reply: &Reply, session: &Session) -> bool {
    let (Reply::Ready(text) | Reply::Refused { text, .. }) = reply else { return false };
    text.len() <= SHORT && session.id().is_some() && speaks_of_lost_session(text)
}

fn speaks_of_lost_session(text: &[u8]) -> bool {
    // Nearly all answers have none.
    if ERROR.find(text).is_none() {
        return false;
    }
    let error = Members::parse(text).and_then(|members| members.value(text, "error"));
    let Some(error) = error else { return false };
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
        let session = renewed.map_err(|error| error.fault(backend.id()))?;
        self.refresh(backend.id());
        self.send_once(caller, routed, &session, id).await.map(Some)
    }
}

/// Whether a backend knows a session, as far as it says so.
async fn knows(backend: &Arc<Backend>, session: &Session) -> bool {
    match backend.ask(session, "ping", None).await {
        Ok(answer) => !speaks_of_lost_session(answer.text()),
        Err(Error::SessionLost) => false,
        // Nothing has been learnt.
        Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::speaks_of_lost_session;

    #[track_caller]
    fn check(error: &str, expected: bool) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{error}}}"#);
        assert_eq!(speaks_of_lost_session(text.as_bytes()), expected, "{error}");
    }

    #[test]
    fn what_says_that_the_session_is_not_known_is_looked_into() {
        check(r#"{"code":-32001,"message":"Session not found"}"#, true);
        check(r#"{"code":-32000,"message":"Bad Request: No valid session ID provided"}"#, true);
        check(r#"{"code":-32602,"message":"no such session"}"#, false);
        check(r#"{"code":-32001,"message":"Request timed out"}"#, false);
        let result =
            br#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"\"error\" in a session"}]}}"#;
        assert!(!speaks_of_lost_session(result));
    }
}
