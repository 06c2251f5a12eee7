//! The body of an answer over HTTP/1.1, taken off its connection as it arrives.

use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use vmcp_http1::{Decoder, Length, Piece};

use super::{connection::Connection, pool::Lease};
use crate::error::Error;

/// The longest piece that is waited for, and that a long body is cut into.
const PIECE: usize = 64 << 10;

/// Room that is made where it is not known how much comes.
const ROOM: usize = 8 << 10;

/// A body. Dropping it before its end closes the connection.
#[derive(Debug)]
pub(super) struct Received {
    /// `None` once the body is over, or has broken off.
    held: Option<(Connection, Lease)>,
    decoder: Decoder,
    /// It is short enough to be handed out in one piece.
    is_short: bool,
}

impl Received {
    /// The lease of a connection that cannot go on says so.
    pub(super) fn new(connection: Connection, lease: Lease, length: Length) -> Self {
        let is_short = matches!(length, Length::Known(bytes) if bytes <= PIECE as u64);
        let decoder = Decoder::new(length);
        let mut received = Self { held: Some((connection, lease)), decoder, is_short };
        received.settle();
        received
    }

    /// How many bytes are to come at least; exact if the backend has said how many.
    pub(super) fn expected(&self) -> u64 {
        self.decoder.expected()
    }

    /// Whether everything has been handed out.
    pub(super) fn is_over(&self) -> bool {
        self.decoder.is_over()
    }

    /// Polls for the next piece.
    pub(super) fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        let polled = self.poll(context);
        if let Poll::Ready(Some(Err(_))) = polled {
            self.held = None;
        }
        polled
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            let Some((connection, _lease)) = &mut self.held else { return Poll::Ready(None) };
            let expected = usize::try_from(self.decoder.expected()).unwrap_or(usize::MAX);
            let missing = expected.saturating_sub(connection.arrived.len());
            let waits = self.is_short && missing > 0;
            if !waits {
                match self.decoder.decode(&mut connection.arrived).map_err(broken)? {
                    Piece::Data(data) => {
                        self.settle();
                        return Poll::Ready(Some(Ok(data)));
                    }
                    Piece::End => {
                        self.settle();
                        return Poll::Ready(None);
                    }
                    Piece::Starved => {}
                }
            }
            // Some more than is expected, so that a read does not fill its room; see `poll_fill`.
            let (least, room) = if waits {
                (missing + 1, missing + 1)
            } else {
                let room = expected.saturating_add(16).clamp(ROOM, PIECE);
                (room / 4, room)
            };
            let Poll::Ready(read) = connection.poll_fill(context, least, room) else {
                // A stream can be silent for hours.
                if connection.arrived.is_empty() {
                    connection.arrived = BytesMut::new();
                }
                return Poll::Pending;
            };
            if read.map_err(broken)? == 0 {
                self.decoder.closed().map_err(broken)?;
                self.held = None;
            }
        }
    }

    /// Takes what stands behind a piece, and gives the connection back if that was the last.
    fn settle(&mut self) {
        let Some((connection, _lease)) = &mut self.held else { return };
        // What is wrong here is told when the next piece is asked for.
        let _told_later = self.decoder.settle(&mut connection.arrived);
        if !self.decoder.is_over() {
            return;
        }
        if let Some((connection, lease)) = self.held.take() {
            lease.give_back(connection);
        }
    }
}

fn broken(error: impl ToString) -> Error {
    Error::Broken(error.to_string())
}
