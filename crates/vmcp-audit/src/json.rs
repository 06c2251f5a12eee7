//! Writes JSON objects member by member into a buffer. Nearly all texts of a record need no escapes, and nothing is
//! allocated for them.

use std::{fmt::Display, io::Write as _};

use crate::text;

/// An object that is being written.
#[derive(Debug)]
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    is_empty: bool,
}

/// Writes an object that has these members.
pub(crate) fn object(out: &mut Vec<u8>, members: impl FnOnce(&mut Object<'_>)) {
    out.push(b'{');
    members(&mut Object { out, is_empty: true });
    out.push(b'}');
}

/// Writes a text as a JSON string that no terminal and no reader of lines takes for more than text.
pub(crate) fn string(value: &str, out: &mut Vec<u8>) {
    // All bytes are looked at, as the processor looks at many at once if none ends it.
    let is_plain = value.bytes().fold(true, |plain, byte| {
        plain & matches!(byte, b' '..=b'~') & (byte != b'"') & (byte != b'\\')
    });
    if is_plain {
        out.push(b'"');
        out.extend_from_slice(value.as_bytes());
        out.push(b'"');
    } else {
        text::escape_controls(serde_json::Value::from(value).to_string().as_bytes(), out);
    }
}

impl Object<'_> {
    /// A member of which the value is yet to be written. Its name needs no escapes.
    pub(crate) fn member(&mut self, name: &'static str) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    pub(crate) fn object(&mut self, name: &'static str, members: impl FnOnce(&mut Object<'_>)) {
        object(self.member(name), members);
    }

    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        string(value, self.member(name));
    }

    /// A text, if there is one.
    pub(crate) fn any(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub(crate) fn integer(&mut self, name: &'static str, value: impl itoa::Integer) {
        let mut digits = itoa::Buffer::new();
        self.member(name).extend_from_slice(digits.format(value).as_bytes());
    }

    /// A text that is how this is shown, and needs no escapes.
    pub(crate) fn shown(&mut self, name: &'static str, value: impl Display) {
        let out = self.member(name);
        write!(out, "\"{value}\"").expect("memory takes all that is written");
    }

    /// A text of hexadecimal digits.
    pub(crate) fn hex(&mut self, name: &'static str, bytes: &[u8]) {
        let out = self.member(name);
        out.push(b'"');
        text::hex(bytes, out);
        out.push(b'"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_were() {
        let every = (0..0x300).filter_map(char::from_u32).collect::<String>();
        let around = every.chars().map(|odd| format!("a {odd} z"));
        for text in around.chain([every.clone(), String::new(), "\u{202e}é €".to_owned()]) {
            let mut out = Vec::new();
            string(&text, &mut out);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
            assert!(!out.iter().any(|byte| *byte < b' ' || *byte == 0x7f), "{text:?}");
        }
    }

    #[test]
    fn objects_have_their_members_in_order() {
        let mut out = Vec::new();
        object(&mut out, |outer| {
            outer.object("empty", |_| ());
            outer.object("inner", |inner| inner.integer("a", -1_i64));
            outer.any("none", None);
            outer.any("text", Some("\""));
            outer.shown("shown", std::net::Ipv4Addr::LOCALHOST);
            outer.hex("hex", &[0, 0xaf]);
        });
        let text = r#"{"empty":{},"inner":{"a":-1},"text":"\"","shown":"127.0.0.1","hex":"00af"}"#;
        assert_eq!(String::from_utf8(out).unwrap(), text);
    }
}
