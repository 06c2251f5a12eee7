//! Texts of clients, cut to a bound and fit for a line.

/// The beginning of a text, of so many bytes at most, in whole characters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Appends bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// JSON text on one line, its numbers and the order of its members untouched. `None` if some reader of the line
/// could not read it: it is no JSON, nested too deeply, or has numbers or characters that do not exist.
pub(crate) fn on_one_line(json: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(json).ok()?;
    serde_json::from_str::<serde_json::Value>(text).ok()?;
    let mut kept = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    for character in text.chars() {
        if quoted || !character.is_ascii_whitespace() {
            kept.push(character);
        }
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    Some(kept)
}

/// Bytes as text of so many bytes at most, in whole characters, and whether that is all of it.
pub(crate) fn readable(bytes: &[u8], most: usize) -> (String, bool) {
    // The last character may be cut in two; what else is no character is shown as a replacement.
    let whole = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    };
    let text = String::from_utf8_lossy(whole);
    let shown = cut(&text, most);
    (shown.to_owned(), shown.len() == text.len() && whole.len() == bytes.len())
}

/// Copies JSON text with escapes for characters that a terminal or a reader of lines would take for more than text:
/// DEL, the second set of control characters, line and paragraph separators, and what turns the direction of
/// writing. They stand in strings only.
pub(crate) fn escape_controls(json: &[u8], out: &mut Vec<u8>) {
    let mut rest = json;
    while let [first, more @ ..] = rest {
        let (code, length) = match (first, more) {
            (0x7f, _) => (0x7f, 1),
            (0xc2, [second @ 0x80..=0x9f, ..]) => (u32::from(*second), 2),
            (0xe2, [0x80, third @ 0xa8..=0xae, ..]) => (0x2000 + u32::from(*third) - 0x80, 3),
            (0xe2, [0x81, third @ 0xa6..=0xa9, ..]) => (0x2040 + u32::from(*third) - 0x80, 3),
            _ => {
                out.push(*first);
                rest = more;
                continue;
            }
        };
        out.extend_from_slice(format!("\\u{code:04x}").as_bytes());
        rest = &rest[length..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_escaped_and_nothing_else() {
        let text = "{\"a\":\"x\u{7f}\u{9b}2J\u{85}\u{2028}\u{2029}\u{202e}\u{2066}\u{2069} é € \u{2070}\u{a0} 😀\"}";
        let mut out = Vec::new();
        escape_controls(text.as_bytes(), &mut out);
        let out = String::from_utf8(out).unwrap();
        let shown = "{\"a\":\"x\\u007f\\u009b2J\\u0085\\u2028\\u2029\\u202e\\u2066\\u2069 é € \u{2070}\u{a0} 😀\"}";
        assert_eq!(out, shown);
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&out), read(text));
    }
}
