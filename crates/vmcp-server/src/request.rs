//! The body of a request, however it comes.

use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use vmcp_wire::Fault;

use crate::{http1, http2};

/// The body of a request.
pub(crate) enum RequestBody {
    Http1(http1::Incoming),
    Http2(http2::Incoming),
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
            Self::Http2(body) => body.expected(),
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

/// Whether somebody has sent the request on for somebody else.
pub(crate) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| {
        let name = name.as_str();
        name.starts_with("x-forwarded-")
            || matches!(
                name,
                "forwarded"
                    | "via"
                    | "x-real-ip"
                    | "x-client-ip"
                    | "true-client-ip"
                    | "cf-connecting-ip"
                    | "x-envoy-external-address"
            )
    })
}
