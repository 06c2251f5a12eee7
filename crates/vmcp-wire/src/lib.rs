//! JSON-RPC and SSE as MCP uses them, over raw bytes.
//!
//! A message is read once, for what routing needs; everything else stays a slice of the bytes it
//! arrived in, and rewriting splices those bytes. Nothing here does I/O, and nothing here knows
//! which capability or backend a name belongs to.

pub mod error;
pub mod headers;
mod id;
mod initialize;
pub mod lines;
mod message;
pub mod meta;
mod outcome;
pub mod reply;
mod response;
mod salient;
mod scan;
pub mod sse;
pub mod task;
mod traced;

pub use error::{Fault, RETRY_AFTER_SECONDS};
pub use id::{Id, IdKey, question_id, split_question_id};
pub use initialize::{ClientHello, ServerHello};
pub use lines::Lines;
pub use message::{Incoming, MAX_BATCH, Malformed, Message, Meta, Params, Shape};
pub use meta::Introduction;
pub use outcome::{Kind as OutcomeKind, Outcome, Unreadable};
pub use response::{is_plain_response, is_sound_error, says_tool_failed};
pub use scan::{ResponseScan, Said, ScanError};
pub use traced::{TRACE_PARENT, TRACE_STATE, traced};

/// A text without the byte order mark with which some begin what is UTF-8 anyway (RFC 8259, section 8.1).
pub fn unmarked(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text)
}
