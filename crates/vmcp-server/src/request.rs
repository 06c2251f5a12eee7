//! The body of a request, however it comes.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use vmcp_core::{Budget, Reserved};
use vmcp_wire::Fault;

use crate::{http1, http2};

/// The body of a request.
pub(crate) enum RequestBody {
    Http1(http1::Incoming),
    Http2(http2::Incoming),
}

/// A body of up to this size is not counted: the bounds on connections and calls do.
const SMALL: usize = 64 << 10;

impl RequestBody {
    /// Reads to the end, which must come within `limit` bytes. What is large is counted for as long as a
    /// piece of it is held.
    pub(crate) async fn collect(
        mut self,
        limit: usize,
        held: &Arc<Budget>,
    ) -> Result<Bytes, Fault> {
        let too_large = || Fault::TooLarge { limit };
        if self.expected() > limit as u64 {
            return Err(too_large());
        }
        let mut room = Room { held, taken: None, bytes: 0 };
        let mut whole = BytesMut::new();
        loop {
            let piece = std::future::poll_fn(|context| {
                let piece = self.poll_piece(limit, context);
                let handed_out = match &piece {
                    Poll::Ready(Some(Ok(piece))) => piece.len(),
                    _ => 0,
                };
                match room.take(whole.len() + handed_out + self.buffered()) {
                    Ok(()) => piece,
                    Err(fault) => Poll::Ready(Some(Err(fault))),
                }
            });
            let Some(piece) = piece.await.transpose()? else {
                return Ok(room.hold(whole.freeze()));
            };
            if whole.len() + piece.len() > limit {
                return Err(too_large());
            }
            let expected = usize::try_from(self.expected()).unwrap_or(limit);
            if whole.is_empty() && self.is_over() {
                return Ok(room.hold(piece));
            }
            whole.reserve(piece.len() + expected.min(limit));
            whole.extend_from_slice(&piece);
        }
    }

    /// How many bytes are to come at least.
    fn expected(&self) -> u64 {
        match self {
            Self::Http1(body) => body.expected(),
            Self::Http2(body) => body.expected(),
        }
    }

    /// How many bytes have come that were not handed out. What HTTP/2 holds is bounded by its windows.
    fn buffered(&self) -> usize {
        match self {
            Self::Http1(body) => body.buffered(),
            Self::Http2(_) => 0,
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_over(),
            Self::Http2(body) => body.is_over(),
        }
    }

    /// Polls for the next piece; `None` at the end.
    fn poll_piece(
        &mut self,
        limit: usize,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Fault>>> {
        let broken = |error: &dyn std::fmt::Display| {
            Fault::InvalidRequest(format!("the body broke off: {error}").into())
        };
        let piece = match self {
            Self::Http1(body) => body.poll_piece(limit, context),
            Self::Http2(body) => body.poll_piece(context),
        };
        piece.map(|piece| piece.map(|piece| piece.map_err(|error| broken(&error))))
    }
}

/// The room that a large body takes as it comes.
struct Room<'a> {
    held: &'a Arc<Budget>,
    taken: Option<Reserved>,
    bytes: usize,
}

impl Room<'_> {
    /// Takes room for so much in all.
    fn take(&mut self, bytes: usize) -> Result<(), Fault> {
        if bytes <= self.bytes.max(SMALL) {
            return Ok(());
        }
        let taken = self.taken.get_or_insert_with(|| self.held.reserve());
        if !taken.grow(bytes - self.bytes) {
            return Err(Fault::Unavailable(
                "there is no room for a request of this size: all that clients send at once is as much as may be held (limits.heldRequestBytes)".into(),
            ));
        }
        self.bytes = bytes;
        Ok(())
    }

    fn hold(self, whole: Bytes) -> Bytes {
        match self.taken {
            Some(taken) => taken.hold(whole),
            None => whole,
        }
    }
}
