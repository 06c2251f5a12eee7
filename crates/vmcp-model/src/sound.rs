//! JSON that every reader can read.
//!
//! RFC 8259 lets readers limit how deep values are nested, how large numbers are and what strings hold
//! (section 9), and says where they differ. A list is read as a whole: one value in it that a client's
//! reader refuses takes all the others away. So what vmcp merges stays within what all readers take.

use std::fmt;

/// How deep one item of a list may be nested. Around it stand a list, a result and a message; the readers
/// that take least, those of .NET, stop at 64.
pub const DEPTH: usize = 60;

/// The longest text of a number, in bytes. Python reads no integer of more than 4,300 digits, and what
/// does not fit a double is shorter than this.
const NUMBER: usize = 400;

/// Why some reader would refuse a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsound {
    /// It is nested deeper than [`DEPTH`].
    TooDeep,
    /// A number is no double (RFC 7493, section 2.2), or very long.
    Number,
    /// A string has half of a surrogate pair (RFC 7493, section 2.1).
    Surrogate,
}

/// Looks for what some reader would refuse. The text must be well-formed JSON.
///
/// # Errors
/// If there is such a thing.
pub fn check(json: &[u8]) -> Result<(), Unsound> {
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(byte) = json.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > DEPTH {
                    return Err(Unsound::TooDeep);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at += string(&json[at..])?,
            b'-' | b'0'..=b'9' => at += number(&json[at - 1..])? - 1,
            _ => {}
        }
    }
    Ok(())
}

/// How long a string is, behind its opening quote.
fn string(text: &[u8]) -> Result<usize, Unsound> {
    let mut at = 0;
    // Whether the first half of a pair has just been.
    let mut is_open = false;
    while let Some(plain) = memchr::memchr2(b'"', b'\\', &text[at..]) {
        if is_open && plain > 0 {
            return Err(Unsound::Surrogate);
        }
        at += plain;
        let escape = if text[at] == b'\\' { unit(&text[at..]) } else { None };
        match escape {
            Some(0xD800..0xDC00) if !is_open => is_open = true,
            Some(0xDC00..0xE000) if is_open => is_open = false,
            Some(0xD800..0xE000) => return Err(Unsound::Surrogate),
            _ if is_open => return Err(Unsound::Surrogate),
            Some(_) | None => {}
        }
        match (text[at], escape) {
            (b'"', _) => return Ok(at + 1),
            (_, Some(_)) => at += 6,
            (_, None) => at += 2,
        }
        at = at.min(text.len());
    }
    Ok(text.len())
}

/// The code unit that an escape like `\u00e9` stands for.
fn unit(escape: &[u8]) -> Option<u32> {
    let digits = escape.strip_prefix(br"\u")?.get(..4)?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// How long a number is.
fn number(text: &[u8]) -> Result<usize, Unsound> {
    let is_part = |byte: &&u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let length = text.iter().take_while(is_part).count();
    let value = std::str::from_utf8(&text[..length]).ok().and_then(|text| text.parse().ok());
    match value {
        Some(value) if f64::is_finite(value) && length <= NUMBER => Ok(length),
        Some(_) | None => Err(Unsound::Number),
    }
}

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep => write!(f, "it is nested deeper than {DEPTH} levels"),
            Self::Number => f.write_str("it has a number that many readers cannot take"),
            Self::Surrogate => f.write_str("it has half of a surrogate pair in a string"),
        }
    }
}

impl std::error::Error for Unsound {}

#[cfg(test)]
mod tests;
