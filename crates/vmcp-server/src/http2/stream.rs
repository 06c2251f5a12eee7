//! One stream: a request, and the response to it.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header, response::Parts};
use http_body::Body as _;
use tokio::time::{Instant, Sleep};
use vmcp_http1::{is_bodiless, write};

use super::metered::Traffic;
use crate::{body::Body, silent::Looking};

/// How much room on its connection a stream claims at once. The streams of a connection take turns, so a
/// client with a slow line and many streams must not wait for each as long as for one that is stalled.
const TURN: usize = 16 << 10;

/// A request that is being answered.
pub(super) struct Stream {
    pub(super) respond: SendResponse<Bytes>,
    pub(super) method: Method,
    pub(super) patience: Duration,
    /// How long the answer is waited for before it is looked at again.
    pub(super) look: Duration,
    pub(super) traffic: Arc<Traffic>,
}

/// How a stream has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    /// It was the last that its connection was to serve.
    Last,
    /// The client has taken nothing of it for too long; if `all`, of the other streams neither.
    Stalled {
        all: bool,
    },
}

impl Stream {
    /// Answers the request, for as long as the client wants it answered.
    pub(super) async fn run(mut self, answering: impl Future<Output = Response<Body>>) -> Ended {
        let Some(response) = self.unless_reset(answering).await else { return Ended::Done };
        let (mut head, body) = response.into_parts();
        let is_last = complete(&mut head, &body);
        let is_whole =
            self.method == Method::HEAD || is_bodiless(head.status) || body.is_end_stream();
        let sent = match self.respond.send_response(Response::from_parts(head, ()), is_whole) {
            Ok(_stream) if is_whole => Ended::Done,
            Ok(stream) => Sending::new(stream, body, &self).finish().await,
            Err(error) => {
                tracing::debug!(%error, "a response cannot be sent");
                self.respond.send_reset(Reason::INTERNAL_ERROR);
                Ended::Done
            }
        };
        if is_last && sent == Ended::Done { Ended::Last } else { sent }
    }

    /// Waits for the answer until the client takes its request back.
    async fn unless_reset<F: Future>(&mut self, answering: F) -> Option<F::Output> {
        let mut answering = pin!(answering);
        let (since, mut looking) = (Instant::now(), Looking::new(self.look));
        std::future::poll_fn(|context| match answering.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => {
                looking.poll(since, context);
                self.respond.poll_reset(context).map(|_why| None)
            }
        })
        .await
    }
}

/// Gives a head what every response has, and takes from it what only connections of HTTP/1.1 have
/// (RFC 9113, section 8.2.2). Gives whether it was to be the last one of its connection.
fn complete(head: &mut Parts, body: &Body) -> bool {
    let is_last = head.headers.remove(header::CONNECTION).is_some_and(|value| value == "close");
    insert(&mut head.headers, header::DATE, write::date_value());
    if let Some(length) = body.size_hint().exact().filter(|_| !is_bodiless(head.status)) {
        insert(&mut head.headers, header::CONTENT_LENGTH, length.into());
    }
    is_last
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: HeaderValue) {
    headers.entry(name).or_insert(value);
}

/// A body that is being sent.
struct Sending<'a> {
    stream: SendStream<Bytes>,
    body: Body,
    /// What was taken from the body and not sent.
    piece: Bytes,
    waiting: Option<Waiting<'a>>,
    patience: Duration,
    traffic: &'a Traffic,
}

/// The client is waited for; counted until dropped.
struct Waiting<'a> {
    until: Pin<Box<Sleep>>,
    /// How often something of any stream had been taken when it began.
    moves: u64,
    traffic: &'a Traffic,
}

impl<'a> Sending<'a> {
    fn new(stream: SendStream<Bytes>, body: Body, of: &'a Stream) -> Self {
        let (patience, traffic) = (of.patience, &*of.traffic);
        Self { stream, body, piece: Bytes::new(), waiting: None, patience, traffic }
    }

    async fn finish(mut self) -> Ended {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        loop {
            if self.stream.poll_reset(context).is_ready() {
                return Poll::Ready(Ended::Done);
            }
            if !self.piece.is_empty() {
                match self.poll_piece(context) {
                    Poll::Ready(None) => continue,
                    Poll::Ready(Some(ended)) => return Poll::Ready(ended),
                    Poll::Pending => return Poll::Pending,
                }
            }
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => {
                    self.piece = frame.into_data().unwrap_or_default();
                }
                Poll::Ready(Some(Err(fault))) => {
                    tracing::debug!(%fault, "a response broke off");
                    self.stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(Ended::Done);
                }
                Poll::Ready(None) => return Poll::Ready(self.send(Bytes::new(), true)),
            }
        }
    }

    /// Sends as much of a piece as the client has room for. While it has none, the call is watched: its
    /// body is not asked for more, so nothing else would end it.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Ended>> {
        self.stream.reserve_capacity(self.piece.len().min(TURN));
        let room = match self.stream.capacity() {
            0 => match self.stream.poll_capacity(context) {
                Poll::Ready(Some(Ok(room))) => room,
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(Some(Ended::Done)),
                Poll::Pending => return self.poll_wait(context).map(Some),
            },
            room => room,
        };
        if room == 0 {
            return Poll::Ready(None);
        }
        self.waiting = None;
        let part = self.piece.split_to(room.min(self.piece.len()));
        self.traffic.note_sent(part.len());
        let is_end = self.piece.is_empty() && self.body.is_end_stream();
        let ended = self.send(part, is_end);
        Poll::Ready(is_end.then_some(ended))
    }

    /// Ready when the client has had enough time, or the call is over.
    fn poll_wait(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        let (traffic, patience) = (self.traffic, self.patience);
        let waiting = self.waiting.get_or_insert_with(|| Waiting::new(traffic, patience));
        let ended = if waiting.until.as_mut().poll(context).is_ready() {
            Ended::Stalled { all: waiting.moves == traffic.moves() }
        } else if let Poll::Ready(fault) = self.body.poll_over(context) {
            tracing::debug!(%fault, "a call ended though its client has not read its answer");
            Ended::Done
        } else {
            return Poll::Pending;
        };
        // What waits to be sent is forgotten with it.
        self.stream.send_reset(Reason::CANCEL);
        Poll::Ready(ended)
    }

    fn send(&mut self, data: Bytes, is_end: bool) -> Ended {
        if let Err(error) = self.stream.send_data(data, is_end) {
            // The stream has ended, which is seen next.
            tracing::debug!(%error, "a part of a response cannot be sent");
        }
        Ended::Done
    }
}

impl<'a> Waiting<'a> {
    fn new(traffic: &'a Traffic, patience: Duration) -> Self {
        traffic.begin_wait();
        let until = Box::pin(tokio::time::sleep(patience));
        Self { until, moves: traffic.moves(), traffic }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.traffic.end_wait();
    }
}
