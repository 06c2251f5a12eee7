//! Sends responses.

use std::{
    collections::VecDeque,
    error::Error,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tokio::{
    io::{AsyncWrite as _, AsyncWriteExt as _},
    net::tcp::OwnedWriteHalf,
};
use vmcp_http1::{is_bodiless, write};
use vmcp_wire::Fault;

use super::reading::Arrivals;
use crate::{body::Body, stall::Patience};

/// Pieces up to this size are copied together, so that they go out as one.
const COPIED: usize = 4 << 10;

/// Nothing more is taken from a body while so many bytes wait to be sent.
const MAX_QUEUED: usize = 64 << 10;

/// Room for the head of a response.
const HEAD: usize = 256;

/// What is taken from a body at its end though enough waits to be sent.
const LITTLE: u64 = COPIED as u64;

/// Pieces that are sent by one call to the system.
const SLICES: usize = 16;

/// The sending half of a connection.
#[derive(Debug)]
pub(super) struct Writing {
    half: OwnedWriteHalf,
    queue: Queue,
    patience: Patience,
}

/// What is to be known of a request to frame its response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Framing {
    pub(super) is_head: bool,
    /// It came by HTTP/1.1.
    pub(super) knows_chunks: bool,
    pub(super) keeps_alive: bool,
}

/// A body that can be sent.
pub(super) trait Sent:
    http_body::Body<Data = Bytes, Error: Error + Send + Sync + 'static> + Unpin
{
    /// Ready when it must not be waited for any more that all of it is taken.
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<Self::Error>;
}

impl Sent for Body {
    fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<Fault> {
        Self::poll_over(self, context)
    }
}

/// How the end of a response is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// After so many more bytes.
    After(u64),
    Chunked,
    Close,
}

/// What waits to be sent: large pieces as they are, and behind them what was copied together.
#[derive(Debug, Default)]
struct Queue {
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    bytes: usize,
}

impl Writing {
    /// A client that takes nothing for `limit` loses its connection.
    pub(super) fn new(half: OwnedWriteHalf, limit: Duration) -> Self {
        Self { half, queue: Queue::default(), patience: Patience::new(limit) }
    }

    /// Sends a response while the client is there. Gives whether the connection can be used again.
    pub(super) async fn send<B: Sent>(
        &mut self,
        response: Response<B>,
        framing: Framing,
        arrivals: &Arrivals,
    ) -> io::Result<bool> {
        let (head, mut body) = response.into_parts();
        let mut end = match body.size_hint().exact() {
            Some(bytes) => End::After(bytes),
            None if framing.knows_chunks => End::Chunked,
            None => End::Close,
        };
        let ends = head.headers.get(header::CONNECTION).is_some_and(|value| value == "close");
        let keeps_alive = framing.keeps_alive && !ends && end != End::Close;
        let mut out = BytesMut::with_capacity(HEAD);
        write_head(&mut out, head.status, &head.headers, end);
        if !keeps_alive && !ends {
            write::header(&mut out, &header::CONNECTION, &HeaderValue::from_static("close"));
        } else if keeps_alive && !framing.knows_chunks {
            write::header(&mut out, &header::CONNECTION, &HeaderValue::from_static("keep-alive"));
        }
        write::head_end(&mut out);
        self.queue.put(out);

        if framing.is_head || is_bodiless(head.status) {
            end = End::After(0);
        }
        let sent =
            std::future::poll_fn(|context| self.poll_send(&mut body, &mut end, arrivals, context));
        sent.await.map(|()| keeps_alive)
    }

    /// Answers a head that cannot be read.
    pub(super) async fn refuse(&mut self, status: StatusCode) -> io::Result<()> {
        let mut out = BytesMut::with_capacity(HEAD);
        write_head(&mut out, status, &HeaderMap::new(), End::After(0));
        write::header(&mut out, &header::CONNECTION, &HeaderValue::from_static("close"));
        write::head_end(&mut out);
        self.queue.put(out);
        std::future::poll_fn(|context| self.poll_flush(context)).await
    }

    /// Sends nothing more.
    pub(super) async fn shutdown(&mut self) -> io::Result<()> {
        self.half.shutdown().await
    }

    fn poll_send<B: Sent>(
        &mut self,
        body: &mut B,
        end: &mut End,
        arrivals: &Arrivals,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let taken = self.take(body, end, context);
            // What is there goes out, whatever else there will be.
            let is_sent = self.poll_flush(context)?.is_ready();
            match taken {
                Taken::All if is_sent => return Poll::Ready(Ok(())),
                // Not asked again, whatever has gone out: what comes behind an error is no answer.
                Taken::Broken(error) => return Poll::Ready(Err(error)),
                Taken::Enough if is_sent => {}
                Taken::Enough if let Poll::Ready(fault) = body.poll_over(context) => {
                    return Poll::Ready(Err(io::Error::other(fault)));
                }
                Taken::All | Taken::Enough | Taken::Available => {
                    ready!(arrivals.poll_gone(context));
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
            }
        }
    }

    /// Takes from a body what it has.
    fn take<B: Sent>(&mut self, body: &mut B, end: &mut End, context: &mut Context<'_>) -> Taken {
        // A little that ends it goes out with what is before it.
        while self.queue.bytes < MAX_QUEUED || matches!(end, End::After(..=LITTLE)) {
            if *end == End::After(0) {
                return Taken::All;
            }
            let data = match Pin::new(&mut *body).poll_frame(context) {
                Poll::Pending => return Taken::Available,
                Poll::Ready(Some(Err(fault))) => return Taken::Broken(io::Error::other(fault)),
                Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Poll::Ready(None) => return self.take_end(end),
            };
            match end {
                _ if data.is_empty() => {}
                End::After(left) => match left.checked_sub(data.len() as u64) {
                    Some(behind) => {
                        *left = behind;
                        self.queue.push(data);
                    }
                    None => return Taken::Broken(io::Error::other("a body is too long")),
                },
                End::Chunked => self.queue.push_chunk(data),
                End::Close => self.queue.push(data),
            }
        }
        Taken::Enough
    }

    fn take_end(&mut self, end: &mut End) -> Taken {
        match std::mem::replace(end, End::After(0)) {
            End::After(_) => return Taken::Broken(io::Error::other("a body is too short")),
            End::Chunked => self.queue.copy(write::LAST_CHUNK),
            End::Close => {}
        }
        Taken::All
    }

    /// Sends everything that waits.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.queue.bytes > 0 {
            let half = Pin::new(&mut self.half);
            let written = if self.queue.pieces.is_empty() {
                half.poll_write(context, &self.queue.tail)
            } else {
                let mut slices = [IoSlice::new(&[]); SLICES];
                let count = self.queue.slices(&mut slices);
                half.poll_write_vectored(context, &slices[..count])
            };
            match ready!(self.patience.judge(written, context))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                bytes => self.queue.advance(bytes),
            }
        }
        // While nothing is sent, nothing is held.
        self.queue = Queue::default();
        Poll::Ready(Ok(()))
    }
}

/// What was taken from a body to be sent.
enum Taken {
    /// Everything.
    All,
    /// All that it has yet.
    Available,
    /// As much as may wait.
    Enough,
    /// What came before it broke off.
    Broken(io::Error),
}

impl Queue {
    /// The head of a response.
    fn put(&mut self, head: BytesMut) {
        self.bytes += head.len();
        self.tail = head;
    }

    fn push(&mut self, piece: Bytes) {
        if piece.len() <= COPIED {
            self.copy(&piece);
            return;
        }
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
        self.bytes += piece.len();
        self.pieces.push_back(piece);
    }

    fn push_chunk(&mut self, chunk: Bytes) {
        let before = self.tail.len();
        write::chunk_size(&mut self.tail, chunk.len());
        self.bytes += self.tail.len() - before;
        self.push(chunk);
        self.copy(write::CHUNK_END);
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.tail.extend_from_slice(bytes);
    }

    /// Lists what comes first. Gives how many slices that is.
    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; SLICES]) -> usize {
        let tail: Option<&[u8]> = (!self.tail.is_empty()).then_some(&self.tail);
        let pieces = self.pieces.iter().map(|piece| &**piece).chain(tail);
        let listed =
            slices.iter_mut().zip(pieces).map(|(slice, piece)| *slice = IoSlice::new(piece));
        listed.count()
    }

    /// Forgets what was sent.
    fn advance(&mut self, mut bytes: usize) {
        self.bytes -= bytes;
        while let Some(first) = self.pieces.front_mut() {
            if bytes < first.len() {
                first.advance(bytes);
                return;
            }
            bytes -= first.len();
            self.pieces.pop_front();
        }
        self.tail.advance(bytes);
    }
}

/// All of a head but what the connection has to say, and the end.
fn write_head(out: &mut BytesMut, status: StatusCode, headers: &HeaderMap, end: End) {
    write::status_line(out, status);
    for (name, value) in headers {
        write::header(out, name, value);
    }
    match end {
        _ if is_bodiless(status) => {}
        End::After(bytes) => write::content_length(out, bytes),
        End::Chunked => write::chunked(out),
        End::Close => {}
    }
    write::date(out);
}
