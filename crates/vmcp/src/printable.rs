//! Texts of somebody else's as people may be shown them: what would steer a terminal, or turn
//! around what is read, is shown as such.

use std::io;

/// A text that is to stay on its line.
pub(crate) fn line(text: &str) -> String {
    shown(text, is_hidden, |c| c.escape_default().to_string())
}

/// A text of as many lines as it has.
pub(crate) fn text(text: &str) -> String {
    let hidden = |c| is_hidden(c) && !matches!(c, '\n' | '\t');
    shown(text, hidden, |c| c.escape_default().to_string())
}

/// JSON text of the same value. What JSON lets nobody write as it is has been escaped already, but
/// for the space between its values.
pub(crate) fn json(text: &str) -> String {
    let hidden = |c| is_hidden(c) && !matches!(c, '\n' | '\r' | '\t');
    // Each of them has four digits.
    shown(text, hidden, |c| format!("\\u{:04x}", u32::from(c)))
}

/// Passes on the JSON that is written to it, a whole value each time.
pub(crate) struct Json<W>(pub(crate) W);

impl<W: io::Write> io::Write for Json<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(json(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn shown(text: &str, hidden: impl Fn(char) -> bool, escaped: impl Fn(char) -> String) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if hidden(c) { shown.push_str(&escaped(c)) } else { shown.push(c) }
    }
    shown
}

/// Whether a character does something instead of being seen: those that control, that say in which
/// direction to read, and that break lines.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\u{1b}]0;b\u{7}\u{7f}\u{9b}2J\r\u{202e}c\u{2066}\u{200f}\u{2028}\td\né";

    #[test]
    fn what_steers_a_terminal_is_shown() {
        let shown = r"a\u{1b}]0;b\u{7}\u{7f}\u{9b}2J\r\u{202e}c\u{2066}\u{200f}\u{2028}";
        assert_eq!(line(HOSTILE), format!("{shown}\\td\\né"));
        assert_eq!(text(HOSTILE), format!("{shown}\td\né"));
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({HOSTILE: [HOSTILE]});
        let (pretty, plain) = (serde_json::to_string_pretty(&value).unwrap(), value.to_string());
        for before in [pretty, plain] {
            let after = json(&before);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&after).unwrap(), value);
            assert!(!after.contains(|c| is_hidden(c) && c != '\n'), "{after}");
            assert!(after.contains(r"\u009b2J\r\u202e"), "{after}");
        }
    }
}
