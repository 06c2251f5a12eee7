//! Goes through JSON text once, from value to value, and keeps nothing of it.
//!
//! It takes what a strict reader takes (RFC 8259), and tells where each value stands. Strings, of
//! which large texts consist, are passed over many bytes at a time.

use std::{borrow::Cow, ops::Range};

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// A place in a JSON text.
#[derive(Debug)]
pub struct Cursor<'a> {
    text: &'a str,
    at: usize,
    has_nameless: bool,
}

/// Whether a part of a string holds a control character, which must be written as an escape there.
#[inline]
pub fn has_control(plain: &[u8]) -> bool {
    if plain.len() < LONG { least(plain) < b' ' } else { has_control_somewhere(plain) }
}

/// A string of so many bytes is looked at in lanes.
const LONG: usize = 1 << 10;

/// Bytes that are compared at once: as many as the registers of every x86-64 hold, with some to spare.
const LANES: usize = 14 * 16;

/// The same for a long string.
fn has_control_somewhere(plain: &[u8]) -> bool {
    let (blocks, rest) = plain.as_chunks::<LANES>();
    let mut lanes = [u8::MAX; LANES];
    for block in blocks {
        for (lane, byte) in lanes.iter_mut().zip(block) {
            *lane = (*lane).min(*byte);
        }
    }
    least(&lanes).min(least(rest)) < b' '
}

/// The least byte. Without a branch, so that many bytes are looked at at once.
fn least(bytes: &[u8]) -> u8 {
    bytes.iter().fold(u8::MAX, |least, byte| least.min(*byte))
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, has_nameless: false }
    }

    /// Whether a member was passed over whose name is no text: it has half of a surrogate pair. The grammar
    /// allows it, and readers differ in what they find there (RFC 8259, section 8.2).
    pub fn has_nameless(&self) -> bool {
        self.has_nameless
    }

    /// The byte that the next value begins with, behind whatever space stands before it. `None` at
    /// the end of the text.
    pub fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Passes over the object that comes next. `each` is told where each member's name stands, quotes
    /// included, and must pass over its value.
    pub fn object<E: From<NotJson>>(
        &mut self,
        mut each: impl FnMut(&mut Self, Range<usize>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{')?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let name = self.name()?;
            each(self, name)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break self.at += 1,
                Some(_) | None => return Err(NotJson.into()),
            }
        }
        Ok(())
    }

    /// Passes over the array that comes next. `each` must pass over the element that it is called at.
    pub fn array<E: From<NotJson>>(
        &mut self,
        mut each: impl FnMut(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'[')?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            each(self)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break self.at += 1,
                Some(_) | None => return Err(NotJson.into()),
            }
        }
        Ok(())
    }

    /// Passes over the value that comes next, whatever it is, and tells where it stands.
    pub fn value(&mut self) -> Result<Range<usize>, NotJson> {
        // What closes the containers that are open.
        let mut open = Vec::new();
        self.peek();
        let begin = self.at;
        loop {
            self.innermost(&mut open)?;
            if !self.another(&mut open)? {
                return Ok(begin..self.at);
            }
        }
    }

    /// Makes sure that nothing follows.
    pub fn end(&mut self) -> Result<(), NotJson> {
        if self.peek().is_none() { Ok(()) } else { Err(NotJson) }
    }

    /// The text of the string that stands here, copied only if it has escapes.
    pub fn unquoted(&self, span: Range<usize>) -> Result<Cow<'a, str>, NotJson> {
        let quoted = &self.text[span];
        let inner = &quoted[1..quoted.len() - 1];
        if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
            return Ok(Cow::Borrowed(inner));
        }
        serde_json::from_str(quoted).map(Cow::Owned).map_err(|_error| NotJson)
    }

    /// Passes over a value that holds no other, behind the beginnings of those that it stands in.
    fn innermost(&mut self, open: &mut Vec<u8>) -> Result<(), NotJson> {
        loop {
            let closing = match self.peek().ok_or(NotJson)? {
                b'{' => b'}',
                b'[' => b']',
                b'"' => return self.string().map(drop),
                b't' => return self.word("true"),
                b'f' => return self.word("false"),
                b'n' => return self.word("null"),
                _ => return self.number(),
            };
            self.at += 1;
            if self.peek() == Some(closing) {
                self.at += 1;
                return Ok(());
            }
            self.name_in(closing)?;
            open.push(closing);
        }
    }

    /// Passes over what stands behind a value, and tells whether another one follows in what is open.
    fn another(&mut self, open: &mut Vec<u8>) -> Result<bool, NotJson> {
        while let Some(closing) = open.last().copied() {
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    self.name_in(closing)?;
                    return Ok(true);
                }
                Some(byte) if byte == closing => {
                    self.at += 1;
                    open.pop();
                }
                Some(_) | None => return Err(NotJson),
            }
        }
        Ok(false)
    }

    /// Passes over a name, if values have one in what is closed like this.
    fn name_in(&mut self, closing: u8) -> Result<(), NotJson> {
        if closing == b'}' {
            self.name()?;
        }
        Ok(())
    }

    /// Passes over a member's name and the colon behind it, and tells where the name stands.
    fn name(&mut self) -> Result<Range<usize>, NotJson> {
        if self.peek() != Some(b'"') {
            return Err(NotJson);
        }
        let begin = self.at;
        let has_escapes = self.string()?;
        let name = begin..self.at;
        if has_escapes && self.unquoted(name.clone()).is_err() {
            self.has_nameless = true;
        }
        self.expect(b':')?;
        Ok(name)
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotJson> {
        if self.peek() != Some(byte) {
            return Err(NotJson);
        }
        self.at += 1;
        Ok(())
    }

    /// Passes over a string, at whose opening quote this is, and tells whether it has escapes.
    fn string(&mut self) -> Result<bool, NotJson> {
        let bytes = self.text.as_bytes();
        self.at += 1;
        let mut has_escapes = false;
        loop {
            let rest = &bytes[self.at..];
            let plain = memchr::memchr2(b'"', b'\\', rest).ok_or(NotJson)?;
            if has_control(&rest[..plain]) {
                return Err(NotJson);
            }
            self.at += plain + 1;
            if rest[plain] == b'"' {
                return Ok(has_escapes);
            }
            has_escapes = true;
            self.at += match &rest[plain + 1..] {
                [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => 1,
                [b'u', digits @ ..]
                    if digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit) =>
                {
                    5
                }
                _ => return Err(NotJson),
            };
        }
    }

    fn word(&mut self, word: &str) -> Result<(), NotJson> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(NotJson);
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), NotJson> {
        self.skip_one(b"-");
        if !self.skip_one(b"0") {
            self.digits()?;
        }
        if self.skip_one(b".") {
            self.digits()?;
        }
        if self.skip_one(b"eE") {
            self.skip_one(b"+-");
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        let rest = &self.text.as_bytes()[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        if digits > 0 { Ok(()) } else { Err(NotJson) }
    }

    /// Passes over one of these bytes, if one stands here.
    fn skip_one(&mut self, bytes: &[u8]) -> bool {
        let found = self.text.as_bytes().get(self.at).is_some_and(|byte| bytes.contains(byte));
        self.at += usize::from(found);
        found
    }
}

#[cfg(test)]
mod tests;
