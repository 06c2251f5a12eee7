//! The body of a request over HTTP/2.

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::RecvStream;
use http::{HeaderMap, HeaderValue, header};

/// The body of a request.
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: RecvStream,
    /// How many bytes are to come, as far as the client has said so.
    expected: u64,
}

impl Incoming {
    pub(super) fn new(stream: RecvStream, headers: &HeaderMap) -> Self {
        let length = headers.get(header::CONTENT_LENGTH).map(HeaderValue::to_str);
        let expected = length.and_then(|length| length.ok()?.parse().ok()).unwrap_or(0);
        Self { stream, expected }
    }

    /// How many bytes are to come at least.
    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    /// Whether all of it has been read.
    pub(crate) fn is_over(&self) -> bool {
        self.stream.is_end_stream()
    }

    /// Polls for the next piece; `None` at the end. What stands behind the data means nothing here.
    pub(crate) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        let Some(data) = ready!(self.stream.poll_data(context)) else { return Poll::Ready(None) };
        let taken = data.and_then(|data| {
            self.stream.flow_control().release_capacity(data.len())?;
            self.expected = self.expected.saturating_sub(data.len() as u64);
            Ok(data)
        });
        Poll::Ready(Some(taken.map_err(io::Error::other)))
    }
}
