//! The body of a backend's answer, read as it arrives.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use hyper::body::Incoming;

use super::{pool::Stream, received::Received};
use crate::{error::Error, gauge::Permit};

/// A body that is being received. Dropping it before its end closes the connection, or the stream of
/// one that is shared.
#[derive(Debug)]
pub struct Body {
    source: Source,
    _permit: Permit,
    /// How many more bytes may come.
    left: usize,
    limit: usize,
}

/// Where a body comes from.
#[derive(Debug)]
pub(super) enum Source {
    Http1(Received),
    /// With the stream's place on its connection, which is given up at the end.
    Http2(Incoming, Option<Stream>),
}

impl Body {
    pub(super) fn new(source: Source, permit: Permit, limit: usize) -> Self {
        Self { source, _permit: permit, left: limit, limit }
    }

    /// The next piece; `None` at the end.
    pub async fn chunk(&mut self) -> Option<Result<Bytes, Error>> {
        std::future::poll_fn(|context| self.poll_chunk(context)).await
    }

    /// Polls for the next piece.
    pub fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(data) = ready!(self.source.poll_data(context)?) else { return Poll::Ready(None) };
        let Some(left) = self.left.checked_sub(data.len()) else {
            return Poll::Ready(Some(Err(self.too_large())));
        };
        self.left = left;
        Poll::Ready(Some(Ok(data)))
    }

    /// Whether the backend has said that more comes than may.
    pub(super) fn is_announced_too_large(&self) -> bool {
        self.source.expected() > self.left as u64
    }

    /// What is wrong with a body that has more.
    pub(super) fn too_large(&self) -> Error {
        Error::TooLarge { what: "answered with a body", limit: self.limit, key: "responseBytes" }
    }

    /// Whether everything has been read.
    pub fn is_end(&self) -> bool {
        match &self.source {
            Source::Http1(received) => received.is_over(),
            Source::Http2(incoming, _stream) => incoming.is_end_stream(),
        }
    }

    /// Reads to the end, which must come within `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, Error> {
        self.left = self.left.min(limit);
        self.limit = self.limit.min(limit);
        let Some(first) = self.chunk().await.transpose()? else { return Ok(Bytes::new()) };
        if self.is_end() {
            return Ok(first);
        }
        let mut whole = BytesMut::from(first);
        while let Some(chunk) = self.chunk().await.transpose()? {
            whole.extend_from_slice(&chunk);
        }
        Ok(whole.freeze())
    }
}

impl Source {
    pub(super) fn of_stream(incoming: Incoming, stream: Stream) -> Self {
        let stream = Some(stream).filter(|_stream| !incoming.is_end_stream());
        Self::Http2(incoming, stream)
    }

    /// How many bytes are to come at least.
    fn expected(&self) -> u64 {
        match self {
            Self::Http1(received) => received.expected(),
            Self::Http2(incoming, _stream) => incoming.size_hint().lower(),
        }
    }

    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let (incoming, stream) = match self {
            Self::Http1(received) => return received.poll_piece(context),
            Self::Http2(incoming, stream) => (incoming, stream),
        };
        loop {
            let frame = ready!(Pin::new(&mut *incoming).poll_frame(context));
            if frame.is_none() || incoming.is_end_stream() {
                *stream = None;
            }
            let Some(frame) = frame else { return Poll::Ready(None) };
            let frame = frame.map_err(|error| Error::Broken(error.to_string()))?;
            if let Ok(data) = frame.into_data() {
                return Poll::Ready(Some(Ok(data)));
            }
        }
    }
}
