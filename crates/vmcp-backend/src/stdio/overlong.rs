//! What a line would have been that is longer than a message may be. The line is not kept, but the call
//! that it answers need not wait for nothing: the id stands at one end of it or at the other.

use vmcp_wire::{Id, IdKey, unmarked};

/// How much is looked at, at either end.
const END: usize = 2 << 10;

/// A line of which only so much is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Overlong {
    /// A response, to the request of this id if that has come already.
    Response(Option<IdKey>),
    Notification,
    /// A question, or something else that cannot be told without what it says.
    Other,
}

impl Overlong {
    /// What a line is that begins like this.
    pub(super) fn of(start: &[u8]) -> Self {
        let Some(mut rest) = object(&start[..start.len().min(END)]) else { return Self::Other };
        let (mut id, mut is_named) = (None, false);
        while let Some((name, value)) = member(rest) {
            match name {
                b"result" | b"error" => return Self::Response(id),
                b"params" if is_named && id.is_none() => return Self::Notification,
                _ => {}
            }
            let Some((scalar, behind)) = scalar(value) else { return Self::Other };
            match name {
                b"id" => id = Id::parse(scalar).map(Id::key),
                b"method" => is_named = true,
                _ => {}
            }
            let Some(behind) = behind.trim_ascii_start().strip_prefix(b",") else { break };
            rest = behind;
        }
        Self::Other
    }

    /// The request that is answered, now that the line's end is known, too.
    pub(super) fn answers(self, end: &[u8]) -> Option<IdKey> {
        match self {
            Self::Response(id) => id.or_else(|| id_at_end(end)),
            Self::Notification | Self::Other => None,
        }
    }
}

/// The last bytes of a line, as far as they are needed.
pub(super) fn end_of(line: &[u8]) -> &[u8] {
    &line[line.len().saturating_sub(END)..]
}

/// What follows the brace with which an object begins.
fn object(text: &[u8]) -> Option<&[u8]> {
    unmarked(text.trim_ascii_start()).trim_ascii_start().strip_prefix(b"{")
}

/// The name of the first member, and what begins with its value.
fn member(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, rest) = scalar(text.trim_ascii_start())?;
    let name = name.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    Some((name, rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start()))
}

/// A value that is no array and no object, and what follows it.
fn scalar(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = match text.first()? {
        b'{' | b'[' => return None,
        b'"' => {
            let mut at = 1;
            loop {
                match text.get(at)? {
                    b'"' => break at + 1,
                    b'\\' => at += 2,
                    _ => at += 1,
                }
            }
        }
        _ => text.iter().position(|byte| matches!(byte, b',' | b'}' | b':'))?,
    };
    let (value, rest) = text.split_at(end);
    Some((value.trim_ascii_end(), rest))
}

/// The id that stands at the end of an object, with nothing behind it but the version.
fn id_at_end(end: &[u8]) -> Option<IdKey> {
    const NAME: &[u8] = b"\"id\"";
    let end = end.trim_ascii_end().strip_suffix(b"}")?;
    let at = memchr::memmem::rfind(end, NAME)?;
    // Else this is in a string, or the end of a name.
    if !matches!(end[..at].trim_ascii_end().last(), Some(b',' | b'{')) {
        return None;
    }
    let value = end[at + NAME.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let (id, behind) = match scalar(value) {
        Some(found) => found,
        None => (value.trim_ascii_end(), &b""[..]),
    };
    let is_last = match behind.trim_ascii() {
        [] => true,
        behind => {
            let (name, version) = member(behind.strip_prefix(b",")?)?;
            name == b"jsonrpc" && version.trim_ascii_end() == b"\"2.0\""
        }
    };
    Id::parse(id).filter(|_| is_last).map(Id::key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a line says of itself whose middle is not known.
    fn read(start: &str, end: &str) -> Option<String> {
        let id = Overlong::of(start.as_bytes()).answers(end.as_bytes())?;
        Some(String::from_utf8(id.to_json()).unwrap())
    }

    #[test]
    fn the_request_is_known_wherever_its_id_stands() {
        for (start, end) in [
            (r#"{"jsonrpc":"2.0","id":7,"result":{"con"#, r#"..."}]}}"#),
            (r#" { "id" : 7 , "jsonrpc":"2.0", "error" : {"#, r#"..."}}"#),
            ("\u{feff}{\"id\":7,\"result\":{", "}}"),
            (r#"{"result":{"content":["#, r#"..."}]},"jsonrpc":"2.0","id":7}"#),
            (r#"{"jsonrpc":"2.0","result":{"a"#, r#"..."}]},"id":7,"jsonrpc":"2.0"}"#),
            (r#"{"result":{"content":["#, "..\"}]} , \"id\" : 7 \r\n}\r\n"),
        ] {
            assert_eq!(read(start, end).as_deref(), Some("7"), "{start} {end}");
        }
        let of_string = read(r#"{"result":{"#, r#""}]},"jsonrpc":"2.0","id":"a,\"}"}"#);
        assert_eq!(of_string.as_deref(), Some(r#""a,\"}""#));
    }

    #[test]
    fn what_answers_nothing_is_nobodys() {
        for (start, end) in [
            (r#"{"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{"#, "}}"),
            (r#"{"method":"m","params":{"#, r#"},"jsonrpc":"2.0","id":7}"#),
            (r#"{"jsonrpc":"2.0","method":"m","params":{"#, "}}"),
            (r#"{"jsonrpc":"2.0","id":7,"name":"x","#, "}"),
            (r#"{"result":{"text":"#, r#"x,\"id\":7}"}}"#),
            (r#"{"result":{"text":"#, r#""x","id":7}}"#),
            (r#"{"result":{"#, r#"},"my\"id":7}"#),
            (r#"[{"id":7,"result":{"#, "}}]"),
            (r#"{"id":null,"result":{"#, "}}"),
            ("{", "}"),
        ] {
            assert_eq!(read(start, end), None, "{start} {end}");
        }
        assert_eq!(Overlong::of(br#"{"method":"m","params":{"#), Overlong::Notification);
    }
}
