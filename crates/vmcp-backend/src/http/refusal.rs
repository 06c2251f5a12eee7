//! What a refusal says in words, and whether it is about the session. Pure.

use vmcp_model::raw::{self, Members};
use vmcp_wire::{IdKey, Message, Shape, is_sound_error};

use crate::{
    discovery::{METHOD_NOT_FOUND, Refusal},
    secrets::Secrets,
};

/// Characters of what is passed on.
const LENGTH: usize = 200;

/// The first line of what a body says about why it refuses: the message of a JSON-RPC error, a member
/// `message` or `error` of another object, or the text itself unless it is a page. `None` if it says
/// nothing that is worth passing on.
pub(super) fn said(body: &[u8], secrets: &Secrets) -> Option<Box<str>> {
    let text = String::from_utf8_lossy(body);
    let from_json = || {
        let members = Members::parse(body)?;
        let inner = members.value(body, "error").filter(|error| error.starts_with(b"{"));
        let of = |object: &[u8], name: &str| {
            Members::parse(object)?.value(object, name).and_then(raw::as_string)
        };
        inner
            .and_then(|error| of(error, "message"))
            .or_else(|| ["message", "error", "detail"].into_iter().find_map(|name| of(body, name)))
    };
    let said = match body.trim_ascii().first()? {
        b'{' => from_json()?,
        b'<' | b'[' => return None,
        _ => text.into_owned(),
    };
    let line = said.lines().map(str::trim).find(|line| !line.is_empty())?;
    let line: String = line.chars().filter(|char| !char.is_control()).collect();
    Some(secrets.told(line.as_bytes(), LENGTH).into())
}

/// Whether a refused request has been answered all the same: the body is a JSON-RPC response to it.
pub(super) fn answers(text: &[u8], id: &IdKey) -> bool {
    let message = Message::parse(bytes::Bytes::copy_from_slice(text));
    message.is_ok_and(|message| {
        message.shape() == Shape::Response && message.id().is_some_and(|answered| answered.is(id))
    })
}

/// Whether a client could read the answer that a refused request has got.
pub(super) fn is_readable(text: &[u8]) -> bool {
    let members = Members::parse(text);
    members.is_some_and(|members| members.value(text, "error").is_none_or(is_sound_error))
}

/// Whether a refusal may mean that the session is gone: servers say so with many statuses, and some
/// answer an ordinary error of the very request with such a one.
pub(super) fn may_be_of_session(status: u16, text: &[u8]) -> bool {
    match status {
        400 | 404 | 410 | 503 => true,
        // Of these, a caller that may not do it, or a service that is out of order, is far more likely.
        401 | 403 | 409 | 500 | 502 | 504 => speaks_of_session(text),
        _ => false,
    }
}

/// Whether what a `ping` is answered with one of these statuses says that its session is gone. A server
/// that does not know the method, and says so, knows the session.
pub(super) fn ping_says_lost(status: u16, text: &[u8], id: &IdKey) -> bool {
    let refusal = Refusal::read(text, id);
    let is_unknown = refusal.answers && refusal.code == Some(METHOD_NOT_FOUND);
    matches!(status, 400 | 404 | 410) && !is_unknown
}

fn speaks_of_session(text: &[u8]) -> bool {
    text.to_ascii_lowercase().windows(7).any(|word| word == b"session")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<&str>) {
        assert_eq!(said(body.as_bytes(), &Secrets::default()).as_deref(), expected, "{body}");
    }

    #[test]
    fn the_first_line_is_passed_on() {
        check("Missing session ID", Some("Missing session ID"));
        check("\n\n  not here  \nbut there\n", Some("not here"));
        check(
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"no\nreally"}}"#,
            Some("no"),
        );
        check(r#"{"error":"invalid_token","detail":"x"}"#, Some("invalid_token"));
        check(r#"{"detail":"Not Found"}"#, Some("Not Found"));
        check("a\u{1b}[31mb", Some("a[31mb"));
        check(&"x".repeat(500), Some(&("x".repeat(200) + "…")));
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        check("", None);
        check("  \n ", None);
        check("<html><body>404</body></html>", None);
        check("[1]", None);
        check(r#"{"status":404}"#, None);
    }

    #[test]
    fn a_ping_that_is_not_known_is_no_lost_session() {
        let id = vmcp_wire::Id::parse(b"7").expect("a number").key();
        let body = |id: &str, code: i64| {
            format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":{code},"message":"m"}}}}"#)
        };
        for status in [400, 404, 410] {
            assert!(!ping_says_lost(status, body("7", -32601).as_bytes(), &id));
            for (answered, code) in [("7", -32001), ("7", -32602), ("null", -32601)] {
                assert!(ping_says_lost(status, body(answered, code).as_bytes(), &id));
            }
            assert!(ping_says_lost(status, b"", &id));
        }
        for status in [200, 401, 500, 503] {
            assert!(!ping_says_lost(status, b"", &id));
        }
    }

    #[test]
    fn what_may_be_about_the_session_is_looked_into() {
        for status in [400, 404, 410, 503] {
            assert!(may_be_of_session(status, b""));
        }
        for status in [401, 500] {
            assert!(may_be_of_session(status, b"unknown Session"));
            assert!(!may_be_of_session(status, b"out of order"));
        }
        assert!(!may_be_of_session(422, b"session"));
    }
}
