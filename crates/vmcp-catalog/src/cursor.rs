//! The cursors of paged lists.
//!
//! A cursor says where to go on in which list of which catalog, so every replica that holds that
//! catalog can read it and nothing need be remembered. It proves nothing and hides nothing: who
//! makes one up gets a page that its maker could have listed anyway.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use vmcp_model::{Digest, Kind};

/// A cursor that vmcp did not give out for this list of this catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidCursor;

/// The kind, the first 8 bytes of the catalog's digest, the offset of the first item.
const LENGTH: usize = 1 + 8 + 8;
/// The length in base64 without padding.
const TEXT_LENGTH: usize = LENGTH.div_ceil(3) * 4 - 1;

/// The cursor for the page that begins with the item at `offset`.
pub(crate) fn encode(kind: Kind, catalog: &Digest, offset: usize) -> String {
    let mut bytes = [0; LENGTH];
    bytes[0] = tag(kind);
    bytes[1..9].copy_from_slice(&catalog.as_bytes()[..8]);
    bytes[9..].copy_from_slice(&(offset as u64).to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The offset that a cursor of this list holds.
pub(crate) fn decode(kind: Kind, catalog: &Digest, text: &str) -> Result<usize, InvalidCursor> {
    let mut bytes = [0; TEXT_LENGTH];
    if text.len() != TEXT_LENGTH {
        return Err(InvalidCursor);
    }
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).unwrap_or_default();
    let ours = length == LENGTH && bytes[0] == tag(kind) && bytes[1..9] == catalog.as_bytes()[..8];
    if !ours {
        return Err(InvalidCursor);
    }
    let offset = bytes[9..LENGTH].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    usize::try_from(offset).ok().ok_or(InvalidCursor)
}

/// The letter of a kind. It travels between replicas, so it never changes.
const fn tag(kind: Kind) -> u8 {
    match kind {
        Kind::Tool => b't',
        Kind::Resource => b'r',
        Kind::ResourceTemplate => b'u',
        Kind::Prompt => b'p',
    }
}

impl fmt::Display for InvalidCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the cursor does not belong to this list as it is now; list from the start")
    }
}

impl std::error::Error for InvalidCursor {}
