//! Answers that are long in coming: they become streams with comments, so that nobody on the way takes
//! the connection for dead.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, header};
use http_body::Body as _;
use tokio::time::{Instant, Sleep};
use vmcp_wire::{headers, sse};

use crate::{body::Body, respond};

/// How often within the time after which it is looked at first an answer is looked at later.
const LOOKS: u32 = 16;

/// What makes an answer.
pub(crate) type Work = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

tokio::task_local! {
    /// Whether the answer that is being made may become a stream.
    static MAY_STREAM: Cell<bool>;
    /// There while an answer is made that has become one.
    static IS_STREAM: ();
}

/// Says of the answer that is being made that it may become a stream: what the status must tell has been
/// checked, and the client takes streams. Without anybody who makes one this does nothing.
pub(crate) fn may_stream() {
    let _nobody_asks = MAY_STREAM.try_with(|may| may.set(true));
}

/// Whether the answer that is being made has become a stream, and so has its status, whatever comes.
pub(crate) fn is_stream() -> bool {
    IS_STREAM.try_with(|()| ()).is_ok()
}

/// An answer that becomes a stream if it is not there in time. It has no timer of its own: whoever waits
/// for it looks at it again when that time is over.
pub(crate) struct Silent {
    /// `None` once it is done, or goes on in the stream.
    work: Option<Work>,
    may_stream: bool,
    since: Instant,
    keep_alive: Duration,
}

impl Silent {
    pub(crate) fn new(work: Work, keep_alive: Duration) -> Self {
        Self { work: Some(work), may_stream: false, since: Instant::now(), keep_alive }
    }
}

impl Future for Silent {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response<Body>> {
        let may = Cell::new(self.may_stream);
        let Some(work) = &mut self.work else { return Poll::Pending };
        let (polled, may_stream) = MAY_STREAM.sync_scope(may, || {
            let polled = work.as_mut().poll(context);
            (polled, MAY_STREAM.with(Cell::get))
        });
        self.may_stream = may_stream;
        if polled.is_ready() {
            self.work = None;
            return polled;
        }
        if may_stream
            && self.since.elapsed() >= self.keep_alive
            && let Some(work) = self.work.take()
        {
            let later = Later { work, keep_alive: self.keep_alive, idle: None };
            return Poll::Ready(respond::events(Body::Later(Box::new(later))));
        }
        Poll::Pending
    }
}

/// Looks again at answers that are waited for, one after the other. The timer is set anew only when it has
/// fired: most answers come long before.
#[derive(Debug)]
pub(crate) struct Looking {
    after: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Looking {
    /// What is waited for is looked at when it has taken so long, and often from then on.
    pub(crate) fn new(after: Duration) -> Self {
        Self { after, alarm: None }
    }

    /// Sees to it that the task which waits since then wakes in time.
    pub(crate) fn poll(&mut self, since: Instant, context: &mut Context<'_>) {
        let first = since + self.after;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(first)));
        while alarm.as_mut().poll(context).is_ready() {
            let soon = Instant::now() + self.after / LOOKS;
            alarm.as_mut().reset(first.max(soon));
        }
    }
}

/// The stream that an answer became before it was there.
pub(crate) struct Later {
    work: Work,
    keep_alive: Duration,
    /// `None` before the first comment, which is sent at once.
    idle: Option<Pin<Box<Sleep>>>,
}

/// What such a stream brings next.
pub(crate) enum Next {
    Comment(Bytes),
    /// Everything else.
    Rest(Body),
}

impl Later {
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Next> {
        if let Poll::Ready(rest) = self.poll_rest(context) {
            return Poll::Ready(Next::Rest(rest));
        }
        if let Some(idle) = &mut self.idle
            && idle.as_mut().poll(context).is_pending()
        {
            return Poll::Pending;
        }
        let next = Instant::now() + self.keep_alive;
        match &mut self.idle {
            Some(idle) => idle.as_mut().reset(next),
            idle => *idle = Some(Box::pin(tokio::time::sleep_until(next))),
        }
        // The timer must be polled once more to wake this task when it fires next.
        context.waker().wake_by_ref();
        Poll::Ready(Next::Comment(Bytes::from_static(sse::KEEP_ALIVE)))
    }

    /// Ready with the answer, as a stream has it.
    pub(crate) fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<Body> {
        let work = self.work.as_mut();
        IS_STREAM.sync_scope((), || work.poll(context)).map(|response| {
            let form = response.headers().get(header::CONTENT_TYPE);
            let is_stream = form == Some(&headers::EVENT_STREAM);
            let body = response.into_body();
            if is_stream || body.is_end_stream() { body } else { body.into_event() }
        })
    }
}

#[cfg(test)]
mod tests {
    use vmcp_wire::headers::JSON;

    use super::*;

    const KEEP_ALIVE: Duration = Duration::from_secs(5);

    /// An answer that is there after so many seconds.
    fn work(seconds: u64, may: bool) -> Work {
        Box::pin(async move {
            if may {
                may_stream();
            }
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            respond::json("{}".into())
        })
    }

    /// Waits for an answer as a connection does.
    async fn answered(mut silent: Silent) -> Response<Body> {
        let (since, mut looking) = (Instant::now(), Looking::new(KEEP_ALIVE));
        std::future::poll_fn(|context| {
            let polled = Pin::new(&mut silent).poll(context);
            if polled.is_pending() {
                looking.poll(since, context);
            }
            polled
        })
        .await
    }

    async fn text(mut body: Body) -> String {
        let mut text = String::new();
        while let Some(frame) =
            std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
        {
            text += &String::from_utf8_lossy(&frame.unwrap().into_data().unwrap());
        }
        text
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_longer_becomes_a_stream() {
        let begun = Instant::now();
        let response = answered(Silent::new(work(18, true), KEEP_ALIVE)).await;
        assert_eq!(begun.elapsed().as_secs(), 5);
        assert_eq!(response.headers()[header::CONTENT_TYPE], headers::EVENT_STREAM);
        let comments = ": keep-alive\n\n".repeat(3);
        assert_eq!(
            text(response.into_body()).await,
            format!("{comments}event: message\ndata: {{}}\n\n")
        );
        assert_eq!(begun.elapsed().as_secs(), 18);
    }

    #[tokio::test(start_paused = true)]
    async fn one_whose_status_may_have_to_tell_something_is_waited_for() {
        let response = answered(Silent::new(work(18, false), KEEP_ALIVE)).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], JSON);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quick_one_stays_as_it_is() {
        let response = answered(Silent::new(work(4, true), KEEP_ALIVE)).await;
        assert_eq!(response.headers()[header::CONTENT_TYPE], JSON);
        assert_eq!(text(response.into_body()).await, "{}");
    }
}
