//! A large response that is sent as one event.

use std::task::{Context, Poll, ready};

use bytes::{BufMut as _, Bytes, BytesMut};
use vmcp_session::Relaying;
use vmcp_wire::Fault;

/// What stands before the message, and before each of its lines.
const FIRST: &[u8] = b"event: message\ndata: ";
const NEXT: &[u8] = b"\ndata: ";

/// What stands behind it.
const END: &[u8] = b"\n\n";

/// A response under way, and what makes it an event.
pub(crate) struct AsEvent {
    relaying: Relaying,
    lines: Lines,
    has_ended: bool,
}

impl AsEvent {
    pub(super) fn new(relaying: Relaying) -> Self {
        Self { relaying, lines: Lines::default(), has_ended: false }
    }

    pub(super) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Fault>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.relaying.poll_next(context)) {
            Some(Ok(piece)) => Some(Ok(self.lines.of(&piece))),
            Some(Err(fault)) => Some(Err(fault)),
            None => {
                self.has_ended = true;
                Some(Ok(Bytes::from_static(END)))
            }
        })
    }

    pub(super) fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<Fault> {
        self.relaying.poll_over(context)
    }
}

/// Gives line breaks, which JSON has between its tokens only, as an event has them.
#[derive(Default)]
struct Lines {
    has_begun: bool,
    /// The last piece ended with a carriage return: a line feed that follows belongs to it.
    after_return: bool,
}

impl Lines {
    fn of(&mut self, mut piece: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(FIRST.len() + piece.len() + NEXT.len());
        if !std::mem::replace(&mut self.has_begun, true) {
            out.put_slice(FIRST);
        }
        while !piece.is_empty() {
            if std::mem::take(&mut self.after_return) && piece[0] == b'\n' {
                piece = &piece[1..];
                continue;
            }
            let Some(at) = piece.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
                out.put_slice(piece);
                break;
            };
            out.put_slice(&piece[..at]);
            out.put_slice(NEXT);
            self.after_return = piece[at] == b'\r';
            piece = &piece[at + 1..];
        }
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use vmcp_wire::sse;

    use super::*;

    #[test]
    fn an_event_is_the_same_however_its_message_arrives() {
        for text in ["{}", "{\n \"a\":\r\n1\r}\n", "\n\n", "\r\n\r\n{}\r"] {
            let whole = sse::encode(None, text.as_bytes());
            for size in 1..=text.len() {
                let mut lines = Lines::default();
                let mut event = BytesMut::new();
                for piece in text.as_bytes().chunks(size) {
                    event.put_slice(&lines.of(piece));
                }
                event.put_slice(END);
                assert_eq!(event, whole, "{text:?} in pieces of {size}");
            }
        }
    }
}
