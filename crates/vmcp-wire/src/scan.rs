//! Checks a response while it streams past.
//!
//! A large result is relayed as it arrives, before its end is known. What must still hold is that
//! the bytes are one JSON-RPC response to the request that was asked, so that a backend can answer
//! nothing but its own call. This scanner follows the structure of the text at the speed of a
//! string search, keeps nothing but the id, and leaves the validity of the result to its reader.

use vmcp_model::raw::same_name;

use crate::id::{Id, IdKey, unquote};

/// The longest member name and id that are looked at, in bytes.
const MAX_TOKEN: usize = 1024;

/// Follows one response. Feed it every chunk, then call [`ResponseScan::finish`].
#[derive(Debug)]
pub struct ResponseScan {
    expected: IdKey,
    state: State,
    depth: u32,
    text: Text,
    token: Vec<u8>,
    /// `None` until a member's name has been read.
    member: Member,
    id_seen: bool,
    outcome_seen: bool,
}

/// What is wrong with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    #[error("answered with something that is not one JSON object")]
    NotAnObject,
    #[error("answered in another protocol than JSON-RPC 2.0")]
    OtherProtocol,
    #[error("answered with a member \"id\", \"result\" or \"error\" that stands twice")]
    Ambiguous,
    #[error("answered another request than the one it was asked")]
    WrongId,
    #[error("ended its answer in the middle")]
    Truncated,
    #[error("answered with neither a result nor an error")]
    NoOutcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the opening brace.
    Before,
    /// Inside the object.
    Inside,
    /// Behind the closing brace.
    After,
}

/// Whether the next byte is structure, or part of a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Text {
    Structure,
    String,
    /// In a string, behind a backslash.
    Escape,
}

/// Which member of the response the scanner stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    /// Between a comma or brace and the colon: a name is being read.
    Name,
    Id,
    Version,
    Other,
}

impl ResponseScan {
    /// Begins to follow the response to the request of this id.
    pub fn new(expected: IdKey) -> Self {
        Self {
            expected,
            state: State::Before,
            depth: 0,
            text: Text::Structure,
            token: Vec::new(),
            member: Member::Name,
            id_seen: false,
            outcome_seen: false,
        }
    }

    /// Follows the next bytes. After an error nothing more of the response may be relayed.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), ScanError> {
        let mut rest = chunk;
        while !rest.is_empty() {
            if self.text != Text::Structure {
                rest = self.string(rest)?;
                continue;
            }
            // In a result, nothing matters but strings and brackets.
            let deep = self.state == State::Inside && self.depth > 1;
            let (byte, behind) = (rest[0], &rest[1..]);
            match (deep, byte) {
                (_, b'"') if self.state == State::Inside => {
                    self.text = Text::String;
                    self.keep(b'"')?;
                }
                (_, b'{' | b'[') => self.open(byte)?,
                (_, b'}' | b']') => self.close()?,
                (true, _) => {}
                (false, b' ' | b'\t' | b'\r' | b'\n') => {}
                (false, b':') if self.member == Member::Name => self.name()?,
                (false, b',') if self.state == State::Inside => self.value()?,
                (false, _) if self.state == State::Inside => self.keep(byte)?,
                (false, _) => return Err(ScanError::NotAnObject),
            }
            rest = behind;
        }
        Ok(())
    }

    /// Checks that the response is complete.
    pub fn finish(&self) -> Result<(), ScanError> {
        if self.state != State::After {
            return Err(ScanError::Truncated);
        }
        if !self.id_seen {
            return Err(ScanError::WrongId);
        }
        if self.outcome_seen { Ok(()) } else { Err(ScanError::NoOutcome) }
    }

    /// Follows a string to its end or the chunk's, and gives what is behind it.
    fn string<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], ScanError> {
        if self.text == Text::Escape {
            self.text = Text::String;
            self.keep(bytes[0])?;
            return Ok(&bytes[1..]);
        }
        let Some(at) = memchr::memchr2(b'"', b'\\', bytes) else {
            self.keep_all(bytes)?;
            return Ok(&[]);
        };
        self.keep_all(&bytes[..=at])?;
        self.text = if bytes[at] == b'\\' { Text::Escape } else { Text::Structure };
        Ok(&bytes[at + 1..])
    }

    fn open(&mut self, byte: u8) -> Result<(), ScanError> {
        match self.state {
            State::Before if byte == b'{' => self.state = State::Inside,
            State::Inside if self.depth > 1 || self.member == Member::Other => {}
            State::Inside => {
                return Err(match self.member {
                    Member::Id => ScanError::WrongId,
                    Member::Version => ScanError::OtherProtocol,
                    Member::Name | Member::Other => ScanError::NotAnObject,
                });
            }
            State::Before | State::After => return Err(ScanError::NotAnObject),
        }
        self.depth = self.depth.checked_add(1).ok_or(ScanError::NotAnObject)?;
        Ok(())
    }

    fn close(&mut self) -> Result<(), ScanError> {
        if self.state != State::Inside {
            return Err(ScanError::NotAnObject);
        }
        self.depth -= 1;
        if self.depth == 0 {
            if self.member != Member::Name || !self.token.is_empty() {
                self.value()?;
            }
            self.state = State::After;
        }
        Ok(())
    }

    /// A member's name is complete: a colon stands behind it.
    fn name(&mut self) -> Result<(), ScanError> {
        let name = unquote(&self.token).ok_or(ScanError::NotAnObject)?;
        self.member = Member::Other;
        if same_name(&name, "id") {
            if std::mem::replace(&mut self.id_seen, true) || name != "id" {
                return Err(ScanError::Ambiguous);
            }
            self.member = Member::Id;
        } else if name == "jsonrpc" {
            self.member = Member::Version;
        } else if same_name(&name, "result") || same_name(&name, "error") {
            if std::mem::replace(&mut self.outcome_seen, true) {
                return Err(ScanError::Ambiguous);
            }
        } else if same_name(&name, "method") {
            return Err(ScanError::NoOutcome);
        }
        drop(name);
        self.token.clear();
        Ok(())
    }

    /// A member's value is complete: a comma or the closing brace stands behind it.
    fn value(&mut self) -> Result<(), ScanError> {
        match self.member {
            Member::Id if !Id::parse(&self.token).is_some_and(|id| id.is(&self.expected)) => {
                return Err(ScanError::WrongId);
            }
            Member::Version if self.token != br#""2.0""# => return Err(ScanError::OtherProtocol),
            Member::Name => return Err(ScanError::NotAnObject),
            Member::Id | Member::Version | Member::Other => {}
        }
        self.token.clear();
        self.member = Member::Name;
        Ok(())
    }

    fn keep(&mut self, byte: u8) -> Result<(), ScanError> {
        self.keep_all(&[byte])
    }

    /// Keeps bytes of a name, of the id or of the version; those of other values are let go.
    fn keep_all(&mut self, bytes: &[u8]) -> Result<(), ScanError> {
        if self.depth > 1 || self.member == Member::Other {
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
