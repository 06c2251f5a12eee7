//! How requests to links of another replica, and what comes of them, are written: one byte for the kind, and behind it
//! what belongs to it. Replicas of neighbouring versions read each other's: what is unknown is refused, not guessed.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{errors, nonsense};
use crate::error::Error;

/// What is asked of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// Send a request, and bring what is answered. `is_own` says that it is vmcp's, and no client's.
    Call { text: Bytes, is_own: bool },
    /// Send a message that has no answer.
    Tell(Bytes),
    /// Bring what belongs to no call. `overhears` says that the link may end all the same when nobody uses it.
    Listen { overhears: bool },
}

/// What comes of it.
#[derive(Debug)]
pub(super) enum Frame {
    /// It was taken, and nothing more is to come.
    Accepted,
    /// The answer, which is all.
    Ready(Bytes),
    /// Messages are to come. `has_begun` says that the first has come already.
    Stream {
        has_begun: bool,
    },
    Message(Bytes),
    /// The client has been asked something on the link and has not answered, or has by now.
    HasAsked(bool),
    /// It went wrong, and nothing more is to come.
    Failed(Error),
}

const CALL: u8 = b'c';
const OWN_CALL: u8 = b'o';
const TELL: u8 = b't';
const LISTEN: u8 = b'l';
const OVERHEAR: u8 = b'h';

const ACCEPTED: u8 = b'A';
const READY: u8 = b'R';
const STREAM: u8 = b'S';
const MESSAGE: u8 = b'M';
const HAS_ASKED: u8 = b'Q';
const FAILED: u8 = b'F';

impl Asked {
    pub(super) fn written(&self) -> Bytes {
        match self {
            Self::Call { text, is_own: false } => tagged(CALL, text),
            Self::Call { text, is_own: true } => tagged(OWN_CALL, text),
            Self::Tell(text) => tagged(TELL, text),
            Self::Listen { overhears: false } => tagged(LISTEN, b""),
            Self::Listen { overhears: true } => tagged(OVERHEAR, b""),
        }
    }

    /// Whether what is written is a request of a client's.
    pub(super) fn is_call(written: &[u8]) -> bool {
        written.first() == Some(&CALL)
    }

    pub(super) fn read(mut written: Bytes) -> Result<Self, Error> {
        if written.is_empty() {
            return Err(nonsense("an empty request"));
        }
        let text = written.split_off(1);
        match written[0] {
            CALL => Ok(Self::Call { text, is_own: false }),
            OWN_CALL => Ok(Self::Call { text, is_own: true }),
            TELL => Ok(Self::Tell(text)),
            LISTEN => Ok(Self::Listen { overhears: false }),
            OVERHEAR => Ok(Self::Listen { overhears: true }),
            _ => Err(nonsense("a request of an unknown kind")),
        }
    }
}

impl Frame {
    pub(super) fn written(&self) -> Bytes {
        match self {
            Self::Accepted => tagged(ACCEPTED, b""),
            Self::Ready(text) => tagged(READY, text),
            Self::Stream { has_begun } => tagged(STREAM, &[u8::from(*has_begun)]),
            Self::Message(text) => tagged(MESSAGE, text),
            Self::HasAsked(has_asked) => tagged(HAS_ASKED, &[u8::from(*has_asked)]),
            Self::Failed(error) => tagged(FAILED, &errors::written(error)),
        }
    }

    pub(super) fn read(mut written: Bytes) -> Result<Self, Error> {
        if written.is_empty() {
            return Err(nonsense("an empty frame"));
        }
        let rest = written.split_off(1);
        let is_set = rest.first().is_some_and(|flag| *flag != 0);
        match written[0] {
            ACCEPTED => Ok(Self::Accepted),
            READY => Ok(Self::Ready(rest)),
            STREAM => Ok(Self::Stream { has_begun: is_set }),
            MESSAGE => Ok(Self::Message(rest)),
            HAS_ASKED => Ok(Self::HasAsked(is_set)),
            FAILED => Ok(Self::Failed(errors::read(&rest))),
            _ => Err(nonsense("a frame of an unknown kind")),
        }
    }
}

fn tagged(tag: u8, rest: &[u8]) -> Bytes {
    let mut written = BytesMut::with_capacity(1 + rest.len());
    written.put_u8(tag);
    written.extend_from_slice(rest);
    written.freeze()
}
