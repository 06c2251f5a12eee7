//! One stream that a peer has opened: a request is read, its handler begins, and what that produces is sent.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use h2::{RecvStream, server::SendResponse};
use http::{Method, Response, StatusCode};

use crate::{
    ask::{BUSY, ENDING, TOO_LARGE},
    error::Refusal,
    frames::Frames,
    names::{Asker, Request, is_path},
    peers::Shared,
    sending::Sending,
    settings::{HEAD, HEADS_BYTES, SMALL},
};

/// A stream that a peer has opened.
pub(crate) struct Stream {
    pub(crate) respond: SendResponse<Bytes>,
    pub(crate) asker: Asker,
    pub(crate) shared: Arc<Shared>,
}

/// Why a handler has not answered.
enum Unanswered {
    /// It has not begun, and the asker is told why.
    NotBegun(StatusCode),
    /// The asker has gone.
    Gone,
}

impl Stream {
    /// Serves it to its end, or for as long as the asker wants it.
    pub(crate) async fn serve(mut self, request: http::Request<RecvStream>) {
        let in_all = Arc::clone(&self.shared.serving).try_acquire_owned();
        let answered = match &in_all {
            Ok(_in_all) => self.answer(request).await,
            Err(_full) => Err(Unanswered::NotBegun(BUSY)),
        };
        match answered {
            Ok(frames) => self.send(frames).await,
            Err(Unanswered::NotBegun(status)) => self.tell(status),
            Err(Unanswered::Gone) => {}
        }
    }

    /// Reads the request and has the handler answer it.
    async fn answer(&mut self, request: http::Request<RecvStream>) -> Result<Frames, Unanswered> {
        if self.shared.stop.is_cancelled() {
            return Err(Unanswered::NotBegun(ENDING));
        }
        let (head, body) = request.into_parts();
        let path = head.uri.path().strip_prefix('/').filter(|path| is_path(path));
        let (&Method::POST, Some(path)) = (&head.method, path) else {
            return Err(Unanswered::NotBegun(StatusCode::BAD_REQUEST));
        };
        let path = path.to_owned();
        let read = tokio::time::timeout(HEAD, read(body, Arc::clone(&self.shared)));
        let head = match self.unless_reset(read).await? {
            Ok(head) => head?,
            Err(_elapsed) => return Err(Unanswered::NotBegun(StatusCode::REQUEST_TIMEOUT)),
        };
        self.shared.counters.note_served();
        let serving = self.shared.serve.serve(&self.asker, Request { path, head });
        let answered: Result<Frames, Refusal> = self.unless_reset(serving).await?;
        Ok(answered.unwrap_or_else(Frames::refused))
    }

    /// Sends the answer.
    async fn send(&mut self, frames: Frames) {
        match self.respond.send_response(Response::new(()), false) {
            Ok(stream) => {
                Sending::new(stream, frames, self.shared.settings.frame_bytes).finish().await;
            }
            Err(error) => tracing::debug!(%error, "an answer cannot be sent to a peer"),
        }
    }

    /// Answers by a status alone. What the asker still sends is not taken.
    fn tell(&mut self, status: StatusCode) {
        let mut response = Response::new(());
        *response.status_mut() = status;
        if let Err(error) = self.respond.send_response(response, true) {
            tracing::debug!(%error, "a peer cannot be answered");
        }
    }

    /// Waits for something for as long as the asker wants it.
    async fn unless_reset<F: Future>(&mut self, wanted: F) -> Result<F::Output, Unanswered> {
        let mut wanted = pin!(wanted);
        poll_fn(|context: &mut Context<'_>| match wanted.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.respond.poll_reset(context).map(|_why| Err(Unanswered::Gone)),
        })
        .await
    }
}

/// Reads the head of a request. A large one waits for room until it is whole.
async fn read(mut body: RecvStream, shared: Arc<Shared>) -> Result<Bytes, Unanswered> {
    let limit = shared.settings.head_bytes;
    let (mut head, mut room) = (BytesMut::new(), None);
    loop {
        let Some(piece) = poll_fn(|context| body.poll_data(context)).await else {
            return Ok(head.freeze());
        };
        let piece = piece.map_err(|_lost| Unanswered::Gone)?;
        let length = head.len() + piece.len();
        if length > limit {
            return Err(Unanswered::NotBegun(TOO_LARGE));
        }
        if length > SMALL && room.is_none() {
            let most = u32::try_from(limit.min(HEADS_BYTES)).unwrap_or(u32::MAX);
            room = Arc::clone(&shared.heads).acquire_many_owned(most).await.ok();
        }
        // What is released cannot be more than what has come.
        let _released = body.flow_control().release_capacity(piece.len());
        if head.is_empty() && body.is_end_stream() {
            return Ok(piece);
        }
        head.extend_from_slice(&piece);
    }
}
