//! What a call is answered with.

use bytes::Bytes;
use vmcp_model::{
    raw::{self, Members},
    trail::End,
};
use vmcp_wire::says_tool_failed;

use crate::{call_stream::CallStream, relay::Relay};

/// The answer to a call. What is not there as a whole belongs to a call that is still under way: it ends
/// when the answer has been read to its end, or is dropped.
pub enum Answering {
    Whole(Whole),
    /// A large response under way, which passes as it is.
    Relay(Relay),
    /// A stream of events, the response at its end.
    Stream(CallStream),
}

/// A whole response.
#[derive(Debug)]
pub struct Whole {
    pub text: Bytes,
    /// Its code, if it is an error.
    pub error: Option<i64>,
}

impl Whole {
    /// How a request has ended that is answered so.
    pub(crate) fn end(&self) -> End {
        match self.error {
            Some(code) => End::Error { code, message: self.message() },
            None if says_tool_failed(&self.text) => End::ToolError,
            None => End::Answered,
        }
    }

    /// What an error says, as far as it is kept.
    fn message(&self) -> Box<str> {
        let error =
            Members::parse(&self.text).and_then(|members| members.value(&self.text, "error"));
        let message = error.and_then(|error| Members::parse(error)?.value(error, "message"));
        let message = message.and_then(raw::as_string).unwrap_or_default();
        message[..message.floor_char_boundary(MAX_MESSAGE)].into()
    }
}

/// Bytes that are kept of what an error says.
const MAX_MESSAGE: usize = 256;
