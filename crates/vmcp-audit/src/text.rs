//! Texts of clients, cut to a bound and fit for a line.

/// The beginning of a text, of so many bytes at most, in whole characters.
pub(crate) fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = bytes
        .iter()
        .flat_map(|byte| [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    digits.map(char::from).collect()
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
