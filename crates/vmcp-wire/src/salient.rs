//! What a request asks for, as a digest: its method and its parameters, however they are written.

use std::{borrow::Cow, ops::Range};

use vmcp_model::{
    Digest,
    raw::{self, Cursor, Members, NotJson},
};

use crate::message::Message;

/// How deep parameters are looked into. What lies deeper counts as it is written.
const DEPTH: usize = 64;

impl Message {
    /// The digest of the method and the parameters, without what differs between a request and its
    /// retry with input (specification 2026-07-28, basic/patterns/mrtr).
    pub fn salient(&self) -> Digest {
        let text = self.text();
        let params = Members::parse(text).and_then(|members| members.span("params"));
        let mut written = Vec::new();
        if let Some(params) = params {
            let asked = raw::without(&text[params], |name| {
                matches!(name, "_meta" | "inputResponses" | "requestState")
            });
            written = normal(&asked);
        }
        Digest::of_parts([self.method_name().as_bytes(), &written])
    }
}

/// A value as it is compared. One that cannot be taken apart, for it has names that are no text, counts as
/// it is written.
fn normal(json: &[u8]) -> Vec<u8> {
    let mut written = Vec::with_capacity(json.len());
    let read = std::str::from_utf8(json)
        .map_err(|_error| NotJson)
        .and_then(|text| write(&mut Cursor::new(text), text, DEPTH, &mut written));
    read.map_or_else(|NotJson| json.to_vec(), |()| written)
}

/// Writes the value that comes next in the same way wherever its members stand and whatever is between
/// them. Goes through it once, as whoever sends it decides how large and how deep it is.
fn write(
    cursor: &mut Cursor<'_>,
    text: &str,
    depth: usize,
    out: &mut Vec<u8>,
) -> Result<(), NotJson> {
    match cursor.peek() {
        Some(b'{') if depth > 0 => {
            out.push(b'{');
            let begin = out.len();
            let mut members: Vec<(Cow<'_, str>, Range<usize>)> = Vec::new();
            cursor.object(|cursor, name| {
                let name = cursor.unquoted(name)?;
                let start = out.len() - begin;
                out.extend_from_slice(&raw::string(&name));
                out.push(b':');
                write(cursor, text, depth - 1, out)?;
                out.push(b',');
                members.push((name, start..out.len() - begin));
                Ok::<_, NotJson>(())
            })?;
            if !members.is_sorted_by(|(one, _), (other, _)| one <= other) {
                members.sort_by(|(one, _), (other, _)| one.cmp(other));
                let unsorted = out.split_off(begin);
                for (_, member) in members {
                    out.extend_from_slice(&unsorted[member]);
                }
            }
            out.push(b'}');
        }
        Some(b'[') if depth > 0 => {
            out.push(b'[');
            cursor.array(|cursor| {
                write(cursor, text, depth - 1, out)?;
                out.push(b',');
                Ok::<_, NotJson>(())
            })?;
            out.push(b']');
        }
        Some(b'"') => {
            let value = text[cursor.value()?].as_bytes();
            match raw::as_string(value) {
                Some(text) => out.extend_from_slice(&raw::string(&text)),
                None => out.extend_from_slice(value),
            }
        }
        _ => out.extend_from_slice(text[cursor.value()?].as_bytes()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn salient(params: &str) -> Digest {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}"#);
        Message::parse(Bytes::from(text)).unwrap().salient()
    }

    #[test]
    fn a_retry_asks_for_the_same() {
        let first = salient(r#"{"name":"t","arguments":{"a":1,"b":["x",{}]},"_meta":{"m":1}}"#);
        let retry = r#"{"requestState":"s","arguments":{"b":[ "\u0078", { } ],"a" : 1},"name":"t","inputResponses":{}}"#;
        assert_eq!(first, salient(retry));
    }

    #[test]
    fn something_else_is_something_else() {
        let first = salient(r#"{"name":"t","arguments":{"a":1}}"#);
        for other in [
            r#"{"name":"t","arguments":{"a":2}}"#,
            r#"{"name":"u","arguments":{"a":1}}"#,
            r#"{"name":"t","arguments":{"a":"1"}}"#,
            r#"{"name":"t","arguments":{"a":1,"b":null}}"#,
            r#"{"name":"t"}"#,
        ] {
            assert_ne!(first, salient(other), "{other}");
        }
    }

    #[test]
    fn what_cannot_be_taken_apart_counts_as_it_is_written() {
        for text in [r#"{"b":1,"a":{"\ud800":1}}"#, r#"[{"\udfff":"x"},1]"#, r#"["\ud800",1,]"#] {
            let written = normal(text.trim_end_matches(",]").as_bytes());
            assert_eq!(String::from_utf8(written).unwrap(), text.trim_end_matches(",]"));
        }
        assert_eq!(normal(br#"{"b":"\ud800","a":1}"#), br#"{"a":1,"b":"\ud800",}"#);
    }

    #[test]
    fn members_may_stand_anywhere_at_every_depth() {
        let (mut one, mut other) = ("[1 ]".to_owned(), "[1]".to_owned());
        for _ in 0..20 {
            one = format!(r#"{{"c":{one},"a":[{{"z":1,"y":"x"}}],"b":{{}}}}"#);
            other = format!(r#"{{ "b":{{ }},"a":[{{"y":"\u0078","z":1}}] ,"c":{other}}}"#);
        }
        assert_eq!(normal(one.as_bytes()), normal(other.as_bytes()));
        assert_ne!(normal(one.as_bytes()), normal(one.replace("[1 ]", "[2]").as_bytes()));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(salient(&deep), salient(&deep));
    }
}
