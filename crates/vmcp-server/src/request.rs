//! The body of a request, however it comes.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use vmcp_wire::Fault;

use crate::http1;

/// The body of a request.
pub(crate) enum RequestBody {
    Http1(http1::Incoming),
    Http2(hyper::body::Incoming),
}

impl RequestBody {
    /// Reads to the end, which must come within `limit` bytes.
    pub(crate) async fn collect(mut self, limit: usize) -> Result<Bytes, Fault> {
        let too_large = || Fault::TooLarge { limit };
        if self.expected() > limit as u64 {
            return Err(too_large());
        }
        let mut whole = BytesMut::new();
        while let Some(piece) =
            std::future::poll_fn(|context| self.poll_piece(limit, context)).await.transpose()?
        {
            if whole.len() + piece.len() > limit {
                return Err(too_large());
            }
            let expected = usize::try_from(self.expected()).unwrap_or(limit);
            if whole.is_empty() && self.is_over() {
                return Ok(piece);
            }
            whole.reserve(piece.len() + expected.min(limit));
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// How many bytes are to come at least.
    fn expected(&self) -> u64 {
        match self {
            Self::Http1(body) => body.expected(),
            Self::Http2(body) => body.size_hint().lower(),
        }
    }

    fn is_over(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_over(),
            Self::Http2(body) => body.is_end_stream(),
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
        match self {
            Self::Http1(body) => body
                .poll_piece(limit, context)
                .map(|piece| piece.map(|piece| piece.map_err(|error| broken(&error)))),
            Self::Http2(body) => loop {
                let frame = match ready!(Pin::new(&mut *body).poll_frame(context)) {
                    None => return Poll::Ready(None),
                    Some(frame) => frame.map_err(|error| broken(&error)),
                };
                match frame.map(http_body::Frame::into_data) {
                    Ok(Ok(data)) => return Poll::Ready(Some(Ok(data))),
                    // Trailers mean nothing here.
                    Ok(Err(_trailers)) => {}
                    Err(fault) => return Poll::Ready(Some(Err(fault))),
                }
            },
        }
    }
}
