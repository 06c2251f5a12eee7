//! Texts of others as values of attributes: short, and of nothing that a reader could stumble over.

use std::borrow::Cow;

/// The longest value of an attribute, in bytes.
pub const MAX_VALUE: usize = 128;

/// What stands for a character that has no place in a value.
const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// The text as a value: with U+FFFD for each control character, and cut after a whole character.
pub fn value(text: &str) -> Cow<'_, str> {
    if is_fit(text) { Cow::Borrowed(text) } else { Cow::Owned(fitted(text, str::to_owned)) }
}

/// Calls with the text as a value. Nothing is allocated for it.
pub(crate) fn with_value<Out>(text: &str, then: impl FnOnce(&str) -> Out) -> Out {
    if is_fit(text) { then(text) } else { fitted(text, then) }
}

/// Whether the text is a value as it is. Some that are count as not.
fn is_fit(text: &str) -> bool {
    // Control characters from U+0080 on begin with 0xc2.
    let is_odd = |byte: u8| byte < b' ' || byte == 0x7f || byte == 0xc2;
    text.len() <= MAX_VALUE && !text.bytes().fold(false, |odd, byte| odd | is_odd(byte))
}

#[cold]
fn fitted<Out>(text: &str, then: impl FnOnce(&str) -> Out) -> Out {
    let mut room = [0; MAX_VALUE];
    let mut length = 0;
    for character in text.chars() {
        let character = if character.is_control() { REPLACEMENT } else { character };
        let Some(place) = room.get_mut(length..length + character.len_utf8()) else { break };
        character.encode_utf8(place);
        length += character.len_utf8();
    }
    then(str::from_utf8(&room[..length]).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short_and_without_control_characters() {
        for (text, expected) in [
            ("search", "search"),
            ("§ é \u{a0}", "§ é \u{a0}"),
            ("a\nb\u{1b}[2J\u{7f}\u{85}", "a\u{fffd}b\u{fffd}[2J\u{fffd}\u{fffd}"),
            ("\"quoted\\\"", "\"quoted\\\""),
        ] {
            assert_eq!(value(text), expected);
        }
        let long = "é".repeat(100);
        assert_eq!(value(&long), "é".repeat(64));
        let odd = format!("x{long}");
        assert_eq!(value(&odd), format!("x{}", "é".repeat(63)));
        assert_eq!(with_value(&odd, str::len), 127);
        assert_eq!(value(&"\0".repeat(200)), "\u{fffd}".repeat(42));
    }
}
