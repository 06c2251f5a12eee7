//! HTTP/2 as a server (RFC 9113), framed by the `h2` crate.
//!
//! A connection is one task and each of its streams another, which watches over its call whether or
//! not there is room to send what the call brings. A connection that nobody uses, whose client has
//! gone, takes nothing of what it is sent or sends frames that carry nothing ends, as one of HTTP/1.1
//! does.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{PingPong, Reason, RecvStream, server::SendResponse};
use http::{Request, Response};
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, Sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use vmcp_http1::MAX_HEAD;

pub(crate) use incoming::Incoming;
use metered::{Metered, Traffic};
use stream::{Ended, Stream};

use crate::{body::Body, stall::EndStalled, times::Times};

mod incoming;
mod metered;
mod stream;

/// Streams that one connection may have open at once.
const MAX_STREAMS: u32 = 200;

/// What a client may send before it is read, of one stream and of all.
const WINDOW: u32 = 1 << 20;

/// What one stream may have waiting to be sent.
const MAX_QUEUED: usize = 128 << 10;

type Io = Metered<EndStalled<TcpStream>>;

/// Serves a connection until it ends. Once `close` is cancelled it takes no more requests and ends
/// with the answers under way.
pub(crate) async fn serve<F>(
    stream: TcpStream,
    answer: impl Fn(Request<Incoming>) -> F,
    times: Times,
    close: &CancellationToken,
) -> io::Result<()>
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let begun = Instant::now();
    let traffic: Arc<Traffic> = Arc::default();
    let io = Metered::new(EndStalled::new(stream, times.stalled), Arc::clone(&traffic));
    let handshake = h2::server::Builder::new()
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD as u32)
        .max_send_buffer_size(MAX_QUEUED)
        .handshake(io);
    let mut h2 = tokio::time::timeout(times.head, handshake).await?.map_err(io::Error::other)?;
    let pings = h2.ping_pong().ok_or_else(|| io::Error::other("the connection has no pings"))?;
    let mut connection = Connection {
        h2,
        streams: JoinSet::new(),
        alive: Alive::new(pings, times),
        idle: Idle::new(begun, times),
        closed: Box::pin(close.cancelled()),
        is_closing: false,
        ending: None,
        traffic,
        times,
    };
    std::future::poll_fn(|context| connection.poll(&answer, context)).await
}

/// One connection. Its streams end with it.
struct Connection<'a> {
    h2: h2::server::Connection<Io, Bytes>,
    streams: JoinSet<Ended>,
    alive: Alive,
    idle: Idle,
    closed: Pin<Box<WaitForCancellationFuture<'a>>>,
    /// No more requests are taken.
    is_closing: bool,
    /// Set once it must end now: how long that may take, and why it must.
    ending: Option<(Pin<Box<Sleep>>, Why)>,
    traffic: Arc<Traffic>,
    times: Times,
}

/// Why a connection ends that its client has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("there was no request for too long")]
    Idle,
    #[error("the client has not answered a ping")]
    Gone,
    #[error("the client takes nothing of what is sent to it")]
    Stalled,
    #[error("the client sends too many frames that carry nothing")]
    Flooded,
}

impl Connection<'_> {
    fn poll<F>(
        &mut self,
        answer: &impl Fn(Request<Incoming>) -> F,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>>
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        loop {
            match self.h2.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.begin(answer, request, respond);
                    continue;
                }
                Poll::Ready(ended) => {
                    let (failed, why) = (ended.transpose().err(), self.ending.take());
                    return Poll::Ready(match (why, failed) {
                        (Some((_, why)), _) => Err(io::Error::other(why)),
                        (None, Some(error)) => Err(io::Error::other(error)),
                        (None, None) => Ok(()),
                    });
                }
                Poll::Pending => {}
            }
            if let Some((until, why)) = &mut self.ending {
                ready!(until.as_mut().poll(context));
                return Poll::Ready(Err(io::Error::other(*why)));
            }
            let why = ready!(self.poll_why(context));
            self.h2.abrupt_shutdown(why.reason());
            self.ending = Some((Box::pin(tokio::time::sleep(self.times.closing)), why));
        }
    }

    /// Begins to answer a request.
    fn begin<F>(
        &mut self,
        answer: &impl Fn(Request<Incoming>) -> F,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
    ) where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let method = request.method().clone();
        let (head, body) = request.into_parts();
        let body = Incoming::new(body, &head.headers);
        let answering = answer(Request::from_parts(head, body));
        let traffic = Arc::clone(&self.traffic);
        let Times { stalled: patience, look, .. } = self.times;
        let stream = Stream { respond, method, patience, look, traffic };
        self.streams.spawn(stream.run(answering));
    }

    /// Ready when the connection must end now.
    fn poll_why(&mut self, context: &mut Context<'_>) -> Poll<Why> {
        if self.traffic.is_flooded() {
            return Poll::Ready(Why::Flooded);
        }
        while let Poll::Ready(Some(ended)) = self.streams.poll_join_next(context) {
            match ended {
                Ok(Ended::Stalled { all }) if all && self.all_wait() => {
                    return Poll::Ready(Why::Stalled);
                }
                Ok(Ended::Last) => self.close(),
                Ok(Ended::Done | Ended::Stalled { .. }) => {}
                Err(error) => tracing::error!(%error, "the task of a stream ended by a panic"),
            }
        }
        if !self.is_closing && self.closed.as_mut().poll(context).is_ready() {
            self.close();
        }
        if self.alive.poll_gone(&self.traffic, context).is_ready() {
            return Poll::Ready(Why::Gone);
        }
        self.idle.poll_over(self.streams.is_empty(), context).map(|()| Why::Idle)
    }

    /// Whether every stream waits for its client to take something.
    fn all_wait(&self) -> bool {
        self.traffic.waiting() >= self.streams.len()
    }

    /// Takes no more requests.
    fn close(&mut self) {
        if !std::mem::replace(&mut self.is_closing, true) {
            self.h2.graceful_shutdown();
        }
    }
}

impl Why {
    /// What the client is told.
    fn reason(self) -> Reason {
        match self {
            Self::Idle | Self::Gone => Reason::NO_ERROR,
            Self::Stalled | Self::Flooded => Reason::ENHANCE_YOUR_CALM,
        }
    }
}

/// Finds out whether a silent client is still there.
struct Alive {
    pings: PingPong,
    alarm: Pin<Box<Sleep>>,
    /// What had been read when this was looked at last.
    read: u64,
    is_asked: bool,
    times: Times,
}

impl Alive {
    fn new(pings: PingPong, times: Times) -> Self {
        let alarm = Box::pin(tokio::time::sleep(times.silent));
        Self { pings, alarm, read: 0, is_asked: false, times }
    }

    fn poll_gone(&mut self, traffic: &Traffic, context: &mut Context<'_>) -> Poll<()> {
        // Taken, so that another ping can be sent. Whatever is read is a sign of life.
        while let Poll::Ready(Ok(_pong)) = self.pings.poll_pong(context) {}
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let read = traffic.read();
            let wait = if self.read != read {
                (self.read, self.is_asked) = (read, false);
                self.times.silent
            } else if self.is_asked || self.pings.send_ping(h2::Ping::opaque()).is_err() {
                return Poll::Ready(());
            } else {
                self.is_asked = true;
                self.times.pong
            };
            self.alarm.as_mut().reset(Instant::now() + wait);
        }
    }
}

/// How long a connection has been without a stream.
struct Idle {
    /// Set anew only when it has fired: most requests come long before.
    alarm: Pin<Box<Sleep>>,
    since: Option<Instant>,
    times: Times,
}

impl Idle {
    fn new(begun: Instant, times: Times) -> Self {
        let alarm = Box::pin(tokio::time::sleep_until(begun + times.head));
        Self { alarm, since: Some(begun), times }
    }

    fn poll_over(&mut self, is_idle: bool, context: &mut Context<'_>) -> Poll<()> {
        if !is_idle {
            self.since = None;
            return Poll::Pending;
        }
        let until = *self.since.get_or_insert_with(Instant::now) + self.times.head;
        loop {
            ready!(self.alarm.as_mut().poll(context));
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(until);
        }
    }
}

#[cfg(test)]
mod tests;
