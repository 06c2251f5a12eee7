//! HTTP/1.1 as a server (RFC 9112): one connection, request after request.
//!
//! Everything of a connection goes on in its one task. While it waits, a connection holds no buffer;
//! while a request is answered, it is watched, so that a client that goes away ends what was done for
//! it. How messages are framed is `vmcp-http1`'s matter, what they mean the edge's.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Method, Request, Response, Version};
use tokio::{
    net::TcpStream,
    time::{Instant, Sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use vmcp_http1::{Decoder, RequestHead};

pub(crate) use reading::Incoming;
use reading::{Arrivals, Head};
use writing::{Framing, Writing};

use crate::{body::Body, silent::Looking, times::Times};

mod reading;
mod writing;

/// How long a body that nobody reads is waited for, so that the connection can be used again; and how
/// long a client may go on sending once it has its last answer, so that it can read that before the
/// connection is reset (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// Serves a connection until it ends. Once `close` is cancelled it ends with the answer under way.
pub(crate) async fn serve<F>(
    stream: TcpStream,
    answer: impl Fn(Request<Incoming>) -> F,
    times: Times,
    close: &CancellationToken,
) -> io::Result<()>
where
    F: Future<Output = Response<Body>>,
{
    let (reading, writing) = stream.into_split();
    let arrivals = Arc::new(Arrivals::new(reading));
    let mut writing = Writing::new(writing, times.stalled);
    let mut waiting = Waiting::new(times.head, close);
    let mut looking = Looking::new(times.look);
    loop {
        let RequestHead { request, length, keeps_alive, awaits_continue } =
            match waiting.head(&arrivals).await? {
                Head::Complete(head) => *head,
                Head::Bad(bad) => {
                    writing.refuse(bad.status()).await?;
                    return linger(&arrivals, writing).await;
                }
                Head::Closed => return Ok(()),
            };
        let is_head = *request.method() == Method::HEAD;
        let knows_chunks = request.version() == Version::HTTP_11;
        arrivals.expect(Decoder::new(length), awaits_continue);
        let request = request.map(|()| Incoming::new(Arc::clone(&arrivals)));
        // Boxed, so that a connection that waits or streams does not carry room for it.
        let Some(response) = unless_gone(Box::pin(answer(request)), &arrivals, &mut looking).await
        else {
            return Ok(());
        };
        // Decided before the client is told: it must not send another request in vain.
        let keeps_alive = keeps_alive && skip_body(&arrivals).await;
        let framing = Framing { is_head, knows_chunks, keeps_alive };
        if !writing.send(response, framing, &arrivals).await? {
            return linger(&arrivals, writing).await;
        }
    }
}

/// Waits for an answer as long as the client does.
async fn unless_gone<F: Future>(
    mut answer: Pin<Box<F>>,
    arrivals: &Arrivals,
    looking: &mut Looking,
) -> Option<F::Output> {
    let since = Instant::now();
    std::future::poll_fn(|context| match answer.as_mut().poll(context) {
        Poll::Ready(answer) => Poll::Ready(Some(answer)),
        Poll::Pending => {
            looking.poll(since, context);
            arrivals.poll_gone(context).map(|()| None)
        }
    })
    .await
}

/// Passes over a body that was not read, as far as it comes soon; gives whether it did.
async fn skip_body(arrivals: &Arrivals) -> bool {
    if arrivals.is_read() {
        return true;
    }
    let mut skipped = 0;
    let skipping = std::future::poll_fn(|context| arrivals.poll_skip(&mut skipped, context));
    tokio::time::timeout(LINGER, skipping).await.unwrap_or(false)
}

/// Lets the client read what it was answered, though it still sends.
async fn linger(arrivals: &Arrivals, mut writing: Writing) -> io::Result<()> {
    writing.shutdown().await?;
    let ended = tokio::time::timeout(LINGER, std::future::poll_fn(|cx| arrivals.poll_discard(cx)));
    // Whether the client has stopped or time is up: the connection ends now.
    ended.await.unwrap_or(Ok(()))
}

/// The wait for the head of a request.
struct Waiting<'a> {
    patience: Duration,
    /// Set anew only when it has fired: most requests come long before.
    alarm: Pin<Box<Sleep>>,
    closed: Pin<Box<WaitForCancellationFuture<'a>>>,
}

impl<'a> Waiting<'a> {
    fn new(patience: Duration, close: &'a CancellationToken) -> Self {
        let alarm = Box::pin(tokio::time::sleep(patience));
        Self { patience, alarm, closed: Box::pin(close.cancelled()) }
    }

    /// Waits for the next head, until time is up or nothing of it has come when connections are to
    /// be closed.
    async fn head(&mut self, arrivals: &Arrivals) -> io::Result<Head> {
        let since = Instant::now();
        std::future::poll_fn(|context| {
            if let Poll::Ready(head) = arrivals.poll_head(context) {
                return Poll::Ready(head);
            }
            let is_over = self.poll_alarm(since, context).is_ready()
                || (arrivals.is_empty() && self.closed.as_mut().poll(context).is_ready());
            if is_over { Poll::Ready(Ok(Head::Closed)) } else { Poll::Pending }
        })
        .await
    }

    fn poll_alarm(&mut self, since: Instant, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.alarm.as_mut().poll(context));
            let until = since + self.patience;
            if Instant::now() >= until {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(until);
        }
    }
}

#[cfg(test)]
mod tests;
