//! Response bodies that are fed while they are sent, can break off, and know when they are gone.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use tokio::sync::mpsc;

/// The body of everything that the peers answer.
pub(crate) type ReplyBody = BoxBody<Bytes, io::Error>;

/// Feeds a body made by [`fed`]. An `Err` breaks the connection off in mid-body.
pub(crate) type Feed = mpsc::Sender<io::Result<Bytes>>;

/// A body of known bytes.
pub(crate) fn whole(bytes: impl Into<Bytes>) -> ReplyBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

/// A body that sends what its feed is given. `guard` is dropped when the body is sent or abandoned.
pub(crate) fn fed<G: Send + Sync + Unpin + 'static>(guard: G) -> (Feed, ReplyBody) {
    let (feed, chunks) = mpsc::channel(16);
    (feed, FedBody { chunks, _guard: guard }.boxed())
}

/// The error that makes the HTTP server drop a connection.
pub(crate) fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the peer breaks off, as it was told to")
}

struct FedBody<G> {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    _guard: G,
}

impl<G: Unpin> Body for FedBody<G> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.chunks.poll_recv(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}
