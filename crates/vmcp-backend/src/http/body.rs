//! The body of a backend's answer, read as it arrives.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use hyper::body::Incoming;

use super::pool::Lease;
use crate::{error::Error, gauge::Permit};

/// A body that is being received. Dropping it before its end closes the connection.
#[derive(Debug)]
pub struct Body {
    incoming: Incoming,
    /// The connection, to be given back at the end.
    lease: Option<Lease>,
    _permit: Permit,
    /// How many more bytes may come.
    left: usize,
    limit: usize,
}

impl Body {
    pub(super) fn new(incoming: Incoming, lease: Lease, permit: Permit, limit: usize) -> Self {
        let mut body = Self { incoming, lease: Some(lease), _permit: permit, left: limit, limit };
        body.give_back_at_end();
        body
    }

    /// The next piece; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        std::future::poll_fn(|context| self.poll_chunk(context)).await
    }

    /// Polls for the next piece.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            let frame = match ready!(Pin::new(&mut self.incoming).poll_frame(context)) {
                None => {
                    self.give_back();
                    return Poll::Ready(None);
                }
                Some(Err(error)) => {
                    return Poll::Ready(Some(Err(Error::Broken(error.to_string()))));
                }
                Some(Ok(frame)) => frame,
            };
            let Ok(data) = frame.into_data() else { continue };
            let Some(left) = self.left.checked_sub(data.len()) else {
                let error = Error::TooLarge { what: "answered with a body", limit: self.limit };
                return Poll::Ready(Some(Err(error)));
            };
            self.left = left;
            self.give_back_at_end();
            return Poll::Ready(Some(Ok(data)));
        }
    }

    /// Whether everything has been read.
    pub fn is_end(&self) -> bool {
        self.incoming.is_end_stream()
    }

    /// Reads to the end, which must come within `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, Error> {
        self.left = self.left.min(limit);
        self.limit = self.limit.min(limit);
        let Some(first) = self.chunk().await.transpose()? else { return Ok(Bytes::new()) };
        if self.is_end() {
            return Ok(first);
        }
        let mut whole = BytesMut::from(&first[..]);
        while let Some(chunk) = self.chunk().await.transpose()? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }

    fn give_back_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}
