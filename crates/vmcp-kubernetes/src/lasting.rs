//! Sees to it that a watch lasts as long as it should: neither for ever on a connection that is dead, nor for a
//! moment only, again and again.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, future, stream};
use http::{Request, Response};
use http_body_util::{BodyExt as _, BodyStream, StreamBody, combinators::UnsyncBoxBody};
use kube::client::Body;
use tokio::time::{Instant, sleep_until, timeout};
use tower::{BoxError, Service};

/// How long an answer may be awaited.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);

/// How long a watch lasts at least. What ends sooner is begun again at once by whoever watches.
const SHORTEST: Duration = Duration::from_secs(1);

/// How much longer than the API server was asked for a watch may last.
const LATE: Duration = Duration::from_secs(10);

/// A connection to an API server.
#[derive(Clone)]
pub(crate) struct Lasting<S> {
    inner: S,
    longest: Duration,
}

impl<S> Lasting<S> {
    /// One on which watches are asked to last so long.
    pub(crate) fn new(inner: S, watch: Duration) -> Self {
        Self { inner, longest: watch + LATE }
    }
}

impl<S, B> Service<Request<Body>> for Lasting<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<UnsyncBoxBody<bytes::Bytes, BoxError>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let start = Instant::now();
        let longest = self.longest;
        let is_watch = is_watch(&request);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer =
                timeout(ANSWER, answer).await.map_err(|_late| "the API server does not answer")?;
            let (head, body) = answer.map_err(Into::into)?.into_parts();
            let body = body.map_err(Into::into);
            if !is_watch || !head.status.is_success() {
                return Ok(Response::from_parts(head, body.boxed_unsync()));
            }
            // An end is nothing special to whoever watches: all goes on from what was seen last.
            let frames = BodyStream::new(body).take_until(Box::pin(sleep_until(start + longest)));
            let pause = sleep_until(start + SHORTEST).map(|()| None);
            let frames = frames.map(Some).chain(stream::once(pause)).filter_map(future::ready);
            Ok(Response::from_parts(head, StreamBody::new(frames).boxed_unsync()))
        })
    }
}

fn is_watch(request: &Request<Body>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query.split('&').any(|pair| pair == "watch=true")
}
