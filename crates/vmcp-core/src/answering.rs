//! What a call is answered with.

use bytes::Bytes;

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
