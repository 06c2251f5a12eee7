//! What a request asks for, as a digest: its method and its parameters, however they are written.

use vmcp_model::{
    Digest,
    raw::{self, Members},
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
            write(&asked, DEPTH, &mut written);
        }
        Digest::of_parts([self.method().as_bytes(), &written])
    }
}

/// Writes a value in the same way wherever its members stand and whatever is between them.
fn write(value: &[u8], depth: usize, out: &mut Vec<u8>) {
    match value.first() {
        Some(b'{') if depth > 0 => {
            // What has names that are no text counts as it is written.
            let Some(members) = Members::parse(value) else {
                return out.extend_from_slice(value);
            };
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|one, other| one.name.cmp(&other.name));
            out.push(b'{');
            for member in sorted {
                out.extend_from_slice(&raw::string(&member.name));
                out.push(b':');
                write(&value[member.value.clone()], depth - 1, out);
                out.push(b',');
            }
            out.push(b'}');
        }
        Some(b'[') if depth > 0 => {
            out.push(b'[');
            // Every array of a message has its elements.
            let Some(elements) = raw::elements(value) else {
                return out.extend_from_slice(value);
            };
            for element in elements {
                write(&value[element], depth - 1, out);
                out.push(b',');
            }
            out.push(b']');
        }
        Some(b'"') => match raw::as_string(value) {
            Some(text) => out.extend_from_slice(&raw::string(&text)),
            None => out.extend_from_slice(value),
        },
        _ => out.extend_from_slice(value),
    }
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
        for text in [r#"{"a":{"\ud800":1}}"#, r#"["\ud800",1]"#, r#"{"a":"\ud800"}"#] {
            let mut written = Vec::new();
            write(text.as_bytes(), DEPTH, &mut written);
            let inner = text.split_once(':').map_or("1", |(_, inner)| inner.trim_end_matches('}'));
            assert!(String::from_utf8(written).unwrap().contains(inner), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(salient(&deep), salient(&deep));
    }
}
