//! Checks a response while it streams past.
//!
//! A large result is relayed as it arrives, before its end is known. What must still hold is that
//! the bytes are one JSON-RPC response to the request that was asked, so that a backend can answer
//! nothing but its own call, and that they are JSON. This scanner follows the text at the speed of a
//! string search and keeps nothing but the id and what is open. That strings are UTF-8 is left to their
//! reader.

mod number;

use vmcp_model::raw::{has_control, same_name};

use crate::id::{Id, IdKey, unquote};
use number::Number;

/// The longest member name and id that are looked at, in bytes.
const MAX_TOKEN: usize = 1024;

/// How deep a response may be nested.
const MAX_DEPTH: usize = 1 << 20;

/// Follows one response. Feed it every chunk, then call [`ResponseScan::finish`].
#[derive(Debug)]
pub struct ResponseScan {
    expected: IdKey,
    at: At,
    /// What closes the containers that are open.
    open: Vec<u8>,
    token: Vec<u8>,
    /// `None` until a member's name has been read.
    member: Member,
    id_seen: bool,
    version_seen: bool,
    /// Which of `result` and `error` stand there, `null` included.
    named: [bool; 2],
    outcome_seen: bool,
    says: Said,
    /// How much of [`FLAG`] a name in the result has been so far; `None` if it is another name.
    flag: Option<usize>,
}

/// What a response says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    Result,
    /// A result by which a tool says that it has failed.
    ToolError,
    /// An error of JSON-RPC.
    Error,
}

/// The member of a result by which a tool says that it has failed (specification 2025-11-25, server/tools).
pub(crate) const FLAG: &[u8] = b"\"isError\"";

/// What is wrong with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    #[error("answered with something that is not one JSON object")]
    NotAnObject,
    #[error("answered with something that is not valid JSON")]
    NotJson,
    #[error("answered in another protocol than JSON-RPC 2.0")]
    OtherProtocol,
    #[error("answered with a member \"id\", \"result\" or \"error\" that stands twice")]
    Ambiguous,
    #[error("answered another request than the one it was asked")]
    WrongId,
    #[error("ended its answer in the middle")]
    Truncated,
    #[error("answered with neither a result nor an error that is an object")]
    NoOutcome,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Only a value.
    Value,
    /// A value, or the end of the array that has just begun.
    FirstValue,
    /// Only a name.
    Name,
    /// A name, or the end of the object that has just begun.
    FirstName,
    Colon,
    /// A comma, or the end of what is open.
    Behind,
    /// Nothing but space.
    Over,
    /// More of a string, which may be a member's name.
    String {
        is_name: bool,
    },
    /// What stands behind a backslash in a string.
    Escape {
        is_name: bool,
    },
    /// So many more hexadecimal digits of an escape.
    Hex {
        is_name: bool,
        left: u8,
    },
    /// More of a number.
    Number(Number),
    /// More of `true`, `false` or `null`.
    Word(&'static [u8]),
}

/// Which member of the response the scanner stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Id,
    Version,
    Result,
    Error,
    Other,
}

impl Member {
    fn is_outcome(self) -> bool {
        matches!(self, Self::Result | Self::Error)
    }
}

impl ResponseScan {
    /// Begins to follow the response to the request of this id.
    pub fn new(expected: IdKey) -> Self {
        Self {
            expected,
            at: At::Value,
            open: Vec::new(),
            token: Vec::new(),
            member: Member::Other,
            id_seen: false,
            version_seen: false,
            named: [false; 2],
            outcome_seen: false,
            says: Said::Result,
            flag: None,
        }
    }

    /// What the response says, as far as it has been followed.
    pub fn says(&self) -> Said {
        self.says
    }

    /// Follows the next bytes. After an error nothing more of the response may be relayed.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), ScanError> {
        let mut rest = chunk;
        while let Some((byte, behind)) = rest.split_first() {
            rest = match self.at {
                At::String { is_name } => self.string(rest, is_name)?,
                At::Escape { is_name } => self.escape(*byte, behind, is_name)?,
                At::Hex { is_name, left } => self.hex(*byte, behind, is_name, left)?,
                At::Number(number) => self.number(rest, number)?,
                At::Word(word) => self.word(rest, word)?,
                _ if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') => behind,
                _ => {
                    self.structure(*byte)?;
                    behind
                }
            };
        }
        Ok(())
    }

    /// Checks that the response is complete.
    pub fn finish(&self) -> Result<(), ScanError> {
        match self.at {
            At::Over if !self.id_seen => Err(ScanError::WrongId),
            At::Over if !self.version_seen => Err(ScanError::OtherProtocol),
            At::Over if !self.outcome_seen => Err(ScanError::NoOutcome),
            At::Over => Ok(()),
            _ => Err(ScanError::Truncated),
        }
    }

    fn structure(&mut self, byte: u8) -> Result<(), ScanError> {
        match (self.at, byte) {
            (At::Value | At::FirstValue, b'{' | b'[') => self.begin(byte),
            (At::Value | At::FirstValue, _) if self.open.is_empty() => Err(ScanError::NotAnObject),
            (At::FirstName, b'}') | (At::FirstValue, b']') => self.end(byte),
            (At::Behind, b'}' | b']') => self.end(byte),
            (At::Behind, b',') => {
                self.at = if self.open.last() == Some(&b'}') { At::Name } else { At::Value };
                Ok(())
            }
            (At::Colon, b':') => {
                self.at = At::Value;
                Ok(())
            }
            (At::Name | At::FirstName, b'"') => {
                self.at = At::String { is_name: true };
                self.flag = Some(0);
                self.keep(b"\"")
            }
            (At::Value | At::FirstValue, _) => self.scalar(byte),
            (At::Over, _) => Err(ScanError::NotAnObject),
            (_, _) => Err(ScanError::NotJson),
        }
    }

    /// A value begins that holds no other.
    fn scalar(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.is_top() && self.member.is_outcome() && byte != b'n' {
            return Err(ScanError::NoOutcome);
        }
        let is_flag = self.flag.take() == Some(FLAG.len());
        if is_flag && byte == b't' && self.says == Said::Result {
            self.says = Said::ToolError;
        }
        self.at = match byte {
            b'"' => At::String { is_name: false },
            b't' => At::Word(b"rue"),
            b'f' => At::Word(b"alse"),
            b'n' => At::Word(b"ull"),
            _ => At::Number(Number::begin(byte).ok_or(ScanError::NotJson)?),
        };
        self.keep(&[byte])
    }

    fn begin(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.open.is_empty() && byte != b'{' {
            return Err(ScanError::NotAnObject);
        }
        if self.is_top() {
            match self.member {
                Member::Id => return Err(ScanError::WrongId),
                Member::Version => return Err(ScanError::OtherProtocol),
                Member::Result | Member::Error if byte != b'{' => {
                    return Err(ScanError::NoOutcome);
                }
                Member::Result | Member::Error
                    if std::mem::replace(&mut self.outcome_seen, true) =>
                {
                    return Err(ScanError::Ambiguous);
                }
                Member::Error => self.says = Said::Error,
                Member::Result | Member::Other => {}
            }
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(ScanError::NotJson);
        }
        self.flag = None;
        let (closing, at) = match byte {
            b'{' => (b'}', At::FirstName),
            _ => (b']', At::FirstValue),
        };
        self.open.push(closing);
        self.at = at;
        Ok(())
    }

    fn end(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.open.pop() != Some(byte) {
            return Err(ScanError::NotJson);
        }
        self.value()
    }

    /// A value is complete.
    fn value(&mut self) -> Result<(), ScanError> {
        self.at = if self.open.is_empty() { At::Over } else { At::Behind };
        if !self.is_top() {
            return Ok(());
        }
        match self.member {
            Member::Id if !Id::parse(&self.token).is_some_and(|id| id.is(&self.expected)) => {
                return Err(ScanError::WrongId);
            }
            Member::Version if self.token != br#""2.0""# => return Err(ScanError::OtherProtocol),
            _ => {}
        }
        self.token.clear();
        Ok(())
    }

    /// A member's name is complete.
    fn name(&mut self) -> Result<(), ScanError> {
        self.at = At::Colon;
        if !self.is_top() {
            return Ok(());
        }
        let name = unquote(&self.token).ok_or(ScanError::NotJson)?;
        self.member = Member::Other;
        if same_name(&name, "id") {
            if std::mem::replace(&mut self.id_seen, true) || name != "id" {
                return Err(ScanError::Ambiguous);
            }
            self.member = Member::Id;
        } else if same_name(&name, "jsonrpc") {
            if std::mem::replace(&mut self.version_seen, true) || name != "jsonrpc" {
                return Err(ScanError::OtherProtocol);
            }
            self.member = Member::Version;
        } else if let Some(which) = ["result", "error"].iter().position(|it| same_name(&name, it)) {
            if std::mem::replace(&mut self.named[which], true) {
                return Err(ScanError::Ambiguous);
            }
            if name != ["result", "error"][which] {
                return Err(ScanError::NoOutcome);
            }
            self.member = if which == 0 { Member::Result } else { Member::Error };
        } else if same_name(&name, "method") {
            return Err(ScanError::NoOutcome);
        }
        drop(name);
        self.token.clear();
        Ok(())
    }

    /// Follows a string to its end or the chunk's, and gives what is behind it.
    fn string<'a>(&mut self, bytes: &'a [u8], is_name: bool) -> Result<&'a [u8], ScanError> {
        let at = memchr::memchr2(b'"', b'\\', bytes);
        let plain = &bytes[..at.unwrap_or(bytes.len())];
        if has_control(plain) {
            return Err(ScanError::NotJson);
        }
        let Some(at) = at else {
            self.keep(bytes)?;
            return Ok(&[]);
        };
        self.keep(&bytes[..=at])?;
        match (bytes[at], is_name) {
            (b'\\', _) => self.at = At::Escape { is_name },
            (_, true) => self.name()?,
            (_, false) => self.value()?,
        }
        Ok(&bytes[at + 1..])
    }

    fn escape<'a>(
        &mut self,
        byte: u8,
        behind: &'a [u8],
        is_name: bool,
    ) -> Result<&'a [u8], ScanError> {
        self.at = match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => At::String { is_name },
            b'u' => At::Hex { is_name, left: 4 },
            _ => return Err(ScanError::NotJson),
        };
        self.keep(&[byte])?;
        Ok(behind)
    }

    fn hex<'a>(
        &mut self,
        byte: u8,
        behind: &'a [u8],
        is_name: bool,
        left: u8,
    ) -> Result<&'a [u8], ScanError> {
        if !byte.is_ascii_hexdigit() {
            return Err(ScanError::NotJson);
        }
        self.at = match left {
            1 => At::String { is_name },
            _ => At::Hex { is_name, left: left - 1 },
        };
        self.keep(&[byte])?;
        Ok(behind)
    }

    fn number<'a>(&mut self, bytes: &'a [u8], mut number: Number) -> Result<&'a [u8], ScanError> {
        for (at, byte) in bytes.iter().enumerate() {
            let Some(next) = number.next(*byte) else {
                self.keep(&bytes[..at])?;
                if !number.is_whole() {
                    return Err(ScanError::NotJson);
                }
                self.value()?;
                return Ok(&bytes[at..]);
            };
            number = next;
        }
        self.at = At::Number(number);
        self.keep(bytes)?;
        Ok(&[])
    }

    fn word<'a>(&mut self, bytes: &'a [u8], word: &'static [u8]) -> Result<&'a [u8], ScanError> {
        let length = word.len().min(bytes.len());
        if bytes[..length] != word[..length] {
            return Err(ScanError::NotJson);
        }
        self.keep(&bytes[..length])?;
        match &word[length..] {
            [] => self.value()?,
            left => self.at = At::Word(left),
        }
        Ok(&bytes[length..])
    }

    /// Whether it stands in the response itself, and not in what one of its members holds.
    fn is_top(&self) -> bool {
        self.open.len() == 1
    }

    /// Whether it stands in the result itself, or in the error.
    fn is_in_outcome(&self) -> bool {
        self.open.len() == 2 && self.member.is_outcome()
    }

    /// Keeps bytes of a name, of the id or of the version; those of other values are let go.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), ScanError> {
        let is_name = matches!(
            self.at,
            At::String { is_name: true }
                | At::Escape { is_name: true }
                | At::Hex { is_name: true, .. }
        );
        if is_name && self.is_in_outcome() {
            let next = self.flag.filter(|at| FLAG[*at..].starts_with(bytes));
            self.flag = next.map(|at| at + bytes.len());
        }
        if !self.is_top() || !(is_name || matches!(self.member, Member::Id | Member::Version)) {
            return Ok(());
        }
        if self.token.len() + bytes.len() > MAX_TOKEN {
            return Err(ScanError::NotAnObject);
        }
        self.token.extend_from_slice(bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
