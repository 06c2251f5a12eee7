//! Turns what a handler does into an HTTP response: JSON, a stream, or something deliberately wrong.

use std::{
    io,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{Response, header};
use tokio::sync::mpsc;

use super::{
    call::{Answer, Emit, notification},
    counters::Counters,
    session::Session,
    state::{Form, Shared},
};
use crate::{
    body::{Feed, ReplyBody, broken_off, fed, whole},
    host::Life,
};

pub(crate) type Reply = Response<ReplyBody>;

pub(crate) const JSON: &str = "application/json";
pub(crate) const STREAM: &str = "text/event-stream";
const CHUNK: usize = 64 * 1024;

/// The response to a request whose handler emitted `first` and will emit `rest`. `guard` is dropped
/// when a stream is sent or abandoned.
pub(crate) async fn response<G: Send + Sync + Unpin + 'static>(
    life: &Life,
    form: Form,
    id: String,
    first: Option<Emit>,
    rest: mpsc::Receiver<Emit>,
    guard: G,
) -> io::Result<Reply> {
    match first {
        None | Some(Emit::Answer(Answer::Close)) => Err(broken_off()),
        Some(Emit::Answer(Answer::Hang)) => std::future::pending().await,
        Some(Emit::Answer(Answer::Http { status, content_type, body })) => {
            let mut response = Response::builder().status(status);
            if let Some(content_type) = content_type {
                response = response.header(header::CONTENT_TYPE, content_type);
            }
            response.body(whole(with_id(&body, &id))).map_err(io::Error::other)
        }
        Some(Emit::Answer(answer)) if form == Form::Json && !matches!(answer, Answer::Flood) => {
            Ok(json(life, id, answer))
        }
        Some(first) => {
            let (feed, body) = fed(guard);
            life.spawn(async move {
                // The client has left; the handler learns that from its next notification.
                let _ = events(&feed, &id, first, rest).await;
            });
            Ok(with_type(STREAM, body))
        }
    }
}

/// A GET stream of `session`.
pub(super) fn stream(shared: &Arc<Shared>, session: &Arc<Session>, last: Option<u64>) -> Reply {
    shared.counters.streams.fetch_add(1, Relaxed);
    shared.counters.open_streams.fetch_add(1, Relaxed);
    let mut messages = session.listen(last);
    let (feed, body) = fed(OpenStream(Arc::clone(&shared.counters)));
    let flooded = shared.knobs().flooded_streams;
    shared.life.spawn(async move {
        if flooded {
            let _ = flood(&feed).await;
            return;
        }
        loop {
            let (number, message) = tokio::select! {
                // Lets go of the session as soon as the client is gone, not at the next message.
                () = feed.closed() => return,
                next = messages.recv() => match next {
                    Some(next) => next,
                    None => return,
                },
            };
            if feed.send(Ok(event(Some(number), &message))).await.is_err() {
                return;
            }
        }
    });
    with_type(STREAM, body)
}

fn json(life: &Life, id: String, answer: Answer) -> Reply {
    let body = match answer {
        Answer::Huge(_) | Answer::CutOff(_) => {
            let (feed, body) = fed(());
            life.spawn(async move {
                let _ = grown(&feed, &id, "", "", &answer).await;
            });
            body
        }
        Answer::Messages(messages) => {
            whole(messages.first().map(|first| with_id(first, &id)).unwrap_or_default())
        }
        whole_answer => whole(message(&id, &whole_answer)),
    };
    with_type(JSON, body)
}

async fn events(
    feed: &Feed,
    id: &str,
    first: Emit,
    mut rest: mpsc::Receiver<Emit>,
) -> Result<(), mpsc::error::SendError<io::Result<Bytes>>> {
    let mut next = Some(first);
    while let Some(emit) = next {
        match emit {
            Emit::Message(message) => feed.send(Ok(event(None, &message))).await?,
            Emit::Answer(Answer::Hang) => feed.closed().await,
            Emit::Answer(Answer::Close) => break_off(feed).await?,
            Emit::Answer(Answer::Flood) => flood(feed).await?,
            Emit::Answer(answer @ (Answer::Huge(_) | Answer::CutOff(_))) => {
                grown(feed, id, "event: message\ndata: ", "\n\n", &answer).await?;
            }
            Emit::Answer(Answer::Messages(messages)) => {
                for message in messages {
                    feed.send(Ok(event(None, &with_id(&message, id)))).await?;
                }
            }
            Emit::Answer(answer) => feed.send(Ok(event(None, &message(id, &answer)))).await?,
        }
        next = rest.recv().await;
    }
    Ok(())
}

async fn flood(feed: &Feed) -> Result<(), mpsc::error::SendError<io::Result<Bytes>>> {
    let note = notification("notifications/message", r#"{"level":"info","data":"flood"}"#);
    let note = event(None, &note);
    let mut many = BytesMut::with_capacity(note.len() * 100);
    (0..100).for_each(|_| many.put_slice(&note));
    let many = many.freeze();
    loop {
        feed.send(Ok(many.clone())).await?;
    }
}

/// The HTTP library drops what it has not written yet when a body fails, so what came before is
/// given the time to leave.
async fn break_off(feed: &Feed) -> Result<(), mpsc::error::SendError<io::Result<Bytes>>> {
    tokio::time::sleep(Duration::from_millis(20)).await;
    feed.send(Err(broken_off())).await
}

/// A result whose text is made chunk by chunk, so that its size costs this process nothing.
async fn grown(
    feed: &Feed,
    id: &str,
    prefix: &str,
    suffix: &str,
    answer: &Answer,
) -> Result<(), mpsc::error::SendError<io::Result<Bytes>>> {
    let head = format!(
        r#"{prefix}{{"jsonrpc":"2.0","id":{id},"result":{{"content":[{{"type":"text","text":""#
    );
    feed.send(Ok(head.into())).await?;
    let text = Bytes::from(vec![b'a'; CHUNK]);
    let (Answer::Huge(size) | Answer::CutOff(size)) = answer else { return Ok(()) };
    let mut left = *size;
    while left > 0 {
        let length = left.min(CHUNK as u64);
        feed.send(Ok(text.slice(..usize::try_from(length).unwrap_or(CHUNK)))).await?;
        left -= length;
    }
    match answer {
        Answer::CutOff(_) => break_off(feed).await,
        _ => feed.send(Ok(format!(r#""}}]}}}}{suffix}"#).into())).await,
    }
}

pub(crate) fn message(id: &str, answer: &Answer) -> Bytes {
    let (member, value): (&[u8], &[u8]) = match answer {
        Answer::Result(result) => (b"result", result),
        Answer::Error(error) => (b"error", error),
        // A whole HTTP response is no longer possible once a stream has begun.
        _ => (b"error", br#"{"code":-32603,"message":"this answer does not fit a stream"}"#),
    };
    let mut message = BytesMut::with_capacity(value.len() + id.len() + 40);
    message.put_slice(b"{\"jsonrpc\":\"2.0\",\"id\":");
    message.put_slice(id.as_bytes());
    message.put_slice(b",\"");
    message.put_slice(member);
    message.put_slice(b"\":");
    message.put_slice(value);
    message.put_slice(b"}");
    message.freeze()
}

pub(crate) fn event(number: Option<u64>, message: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(message.len() + 40);
    if let Some(number) = number {
        event.put_slice(format!("id: get-{number}\n").as_bytes());
    }
    event.put_slice(b"event: message\n");
    for line in message.split(|byte| *byte == b'\n') {
        event.put_slice(b"data: ");
        event.put_slice(line);
        event.put_slice(b"\n");
    }
    event.put_slice(b"\n");
    event.freeze()
}

fn with_id(body: &[u8], id: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + id.len());
    let mut rest = body;
    while let Some(at) = rest.windows(3).position(|window| window == b"$id") {
        out.put_slice(&rest[..at]);
        out.put_slice(id.as_bytes());
        rest = &rest[at + 3..];
    }
    out.put_slice(rest);
    out.freeze()
}

pub(crate) fn with_type(content_type: &'static str, body: ReplyBody) -> Reply {
    Response::builder()
        .header(header::CONTENT_TYPE, content_type)
        .header(header::CACHE_CONTROL, "no-cache")
        .body(body)
        .expect("the parts are valid")
}

/// Counts a GET stream as open for as long as its body lives.
struct OpenStream(Arc<Counters>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open_streams.fetch_sub(1, Relaxed);
    }
}
