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

/// Whether the text is a value as it is.
fn is_fit(text: &str) -> bool {
    text.len() <= MAX_VALUE && (is_plain(text.as_bytes()) || !text.contains(char::is_control))
}

/// Whether there is nothing but ASCII without control characters. Looks at eight bytes at once.
fn is_plain(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The last eight are looked at as one word, though some stand in the one before too.
    let (words, last) = match bytes.last_chunk() {
        Some(last) => (bytes.as_chunks().0, *last),
        None => (&[][..], std::array::from_fn(|place| *bytes.get(place).unwrap_or(&b' '))),
    };
    let odd = words.iter().chain([&last]).fold(0, |odd, word| {
        let word = u64::from_le_bytes(*word);
        // The highest bit of a byte is set where it is not ASCII, below a space, or DEL. What is carried to the next
        // byte comes from one of these.
        odd | word | word.wrapping_sub(ONES * 0x20) | word.wrapping_add(ONES)
    });
    odd & (ONES * 0x80) == 0
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
        for length in 0..20 {
            for place in 0..length {
                for odd in ['\0', '\n', '\u{1f}', '\u{7f}', '\u{80}', '\u{9f}'] {
                    let mut text: Vec<_> = "ab~ \u{ff}".chars().cycle().take(length).collect();
                    text[place] = odd;
                    let mut expected = text.clone();
                    expected[place] = REPLACEMENT;
                    let [text, expected] = [text, expected].map(String::from_iter);
                    assert!(!is_fit(&text), "{text:?}");
                    assert_eq!(value(&text), expected);
                    assert!(is_fit(&expected), "{expected:?}");
                }
            }
        }
        let long = "é".repeat(100);
        assert_eq!(value(&long), "é".repeat(64));
        let odd = format!("x{long}");
        assert_eq!(value(&odd), format!("x{}", "é".repeat(63)));
        assert_eq!(with_value(&odd, str::len), 127);
        assert_eq!(value(&"\0".repeat(200)), "\u{fffd}".repeat(42));
    }
}
