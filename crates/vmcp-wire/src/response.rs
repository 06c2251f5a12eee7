//! Checks a response that has been read whole.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use vmcp_model::raw::{Cursor, Members, NotJson};

use crate::{
    id::{Id, IdKey},
    scan::FLAG,
};

/// Whether a text is the response to the request of this id, and nothing about it is odd: JSON, with a
/// version, this id and a result or an error that is an object, each once. What is odd may still be one,
/// and is read as a message.
pub fn is_plain_response(text: &[u8], expected: &IdKey) -> bool {
    let Ok(text) = simdutf8::basic::from_utf8(text) else { return false };
    let mut plain = Plain::default();
    let mut cursor = Cursor::new(text);
    let read = cursor.object(|cursor, name| {
        let begin = cursor.peek();
        let value = cursor.value()?;
        let is_good = match &text[name] {
            "\"jsonrpc\"" => plain.version.replace(&text[value] == "\"2.0\"").is_none(),
            "\"id\"" => {
                let is_it = Id::parse(text[value].as_bytes()).is_some_and(|id| id.is(expected));
                plain.id.replace(is_it).is_none()
            }
            "\"result\"" => plain.outcome.replace(begin == Some(b'{')).is_none(),
            "\"error\"" => {
                let is_sound = is_sound_error(text[value].as_bytes());
                plain.outcome.replace(is_sound).is_none()
            }
            _ => false,
        };
        if is_good { Ok(()) } else { Err(NotJson) }
    });
    let whole = read.and_then(|()| cursor.end());
    whole.is_ok() && [plain.version, plain.id, plain.outcome] == [Some(true); 3]
}

/// Finds what a tool says of itself. Made once: it costs more than the search.
static FAILED: LazyLock<Finder<'_>> = LazyLock::new(|| Finder::new(FLAG));

/// Whether a response is a result by which a tool says that it has failed (specification 2025-11-25,
/// server/tools).
pub fn says_tool_failed(text: &[u8]) -> bool {
    // Nearly all results say nothing of it, or that it has not.
    let may_say = |at: usize| {
        let value = text[at + FLAG.len()..].trim_ascii_start().strip_prefix(b":");
        value.is_some_and(|value| value.trim_ascii_start().starts_with(b"t"))
    };
    FAILED.find_iter(text).any(may_say) && {
        let result = Members::parse(text).and_then(|members| members.value(text, "result"));
        let flag = result.and_then(|result| Members::parse(result)?.value(result, "isError"));
        flag == Some(b"true")
    }
}

/// Whether the error of a response is one that clients can read: an object with a whole number as its
/// `code`, however it is written, and a text as its `message` (JSON-RPC 2.0, section 5.1).
pub fn is_sound_error(error: &[u8]) -> bool {
    let Some(members) = Members::parse(error) else { return false };
    let code = members.value(error, "code").and_then(|code| std::str::from_utf8(code).ok());
    let message = members.value(error, "message");
    let code = code.and_then(|code| code.parse::<f64>().ok());
    code.is_some_and(|code| code.fract() == 0.0)
        && message.is_some_and(|message| message.starts_with(b"\""))
}

/// What has been found of a response, and whether it is as it should be.
#[derive(Default)]
struct Plain {
    version: Option<bool>,
    id: Option<bool>,
    outcome: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::is_plain_response;
    use crate::{Id, Message};

    #[track_caller]
    fn check(text: &str, expected: bool) {
        let id = Id::parse(b"7").unwrap().key();
        assert_eq!(is_plain_response(text.as_bytes(), &id), expected, "{text}");
    }

    #[test]
    fn what_is_as_it_should_be_is_plain() {
        check(r#"{"jsonrpc":"2.0","id":7,"result":{"a":[1,"}\""]}}"#, true);
        check(" { \"result\" : {} , \"id\":7,\n\"jsonrpc\":\"2.0\"}\n", true);
        check(r#"{"error":{"code":-1,"message":"x"},"id":7,"jsonrpc":"2.0"}"#, true);
        check(r#"{"error":{"message":"","code":-32099.0},"id":7,"jsonrpc":"2.0"}"#, true);
    }

    #[test]
    fn what_is_odd_is_not() {
        for text in [
            "",
            "[]",
            r#"{"jsonrpc":"2.0","id":7}"#,
            r#"{"id":7,"result":{}}"#,
            r#"{"jsonrpc":"1.0","id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":"7","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":8,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"id":7,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":[]}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":"x"}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"message":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":1}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":5}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000.5,"message":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"error":{"code":"1","message":"x"}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{},"error":null}"#,
            r#"{"jsonrpc":"2.0","id":7,"Result":{}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{},"more":1}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{"a":[}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{"a":01}}"#,
            r#"{"jsonrpc":"2.0","id":7,"result":{}} x"#,
        ] {
            check(text, false);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_plain_is_a_message(text in r#"\{("(jsonrpc|id|result|error)":("2.0"|7|\{\}|null|"x"),?){0,5}\}"#) {
            if is_plain_response(text.as_bytes(), &Id::parse(b"7").unwrap().key()) {
                proptest::prop_assert!(Message::parse(text.into()).is_ok());
            }
        }
    }
}
