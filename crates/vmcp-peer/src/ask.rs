//! Asks a peer.
//!
//! A handler begins when all of a request has come. So a request that was lost before its last byte was
//! handed to the connection was certainly not carried out, and one that was lost later may have been.

use std::{
    pin::pin,
    sync::Arc,
    task::{Poll, ready},
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    client::{ResponseFuture, SendRequest},
};
use http::{Method, Response, StatusCode};
use tokio::time::Instant;

use crate::{
    error::{Error, Unreachable, What},
    frames::Frames,
    link::{InUse, Link, NoStream},
    links::Links,
    names::{Peer, Request, is_path},
    peers::Shared,
    received::Received,
    settings::REACH,
};

/// Statuses by which the other end says that the handler did not begin.
pub(crate) const ENDING: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
pub(crate) const BUSY: StatusCode = StatusCode::TOO_MANY_REQUESTS;
pub(crate) const TOO_LARGE: StatusCode = StatusCode::PAYLOAD_TOO_LARGE;

/// Asks a peer, and waits for the beginning of its answer.
pub(crate) async fn ask(
    peer: &Peer,
    request: Request,
    shared: &Arc<Shared>,
) -> Result<Frames, Error> {
    check(&request, shared.settings.head_bytes)?;
    if shared.stop.is_cancelled() {
        return Err(Unreachable::EndingHere.into());
    }
    let in_all = Arc::clone(&shared.asking).try_acquire_owned();
    let in_all = in_all.map_err(|_full| Error::Busy("this replica asks too much at once"))?;
    let begun = Instant::now();
    loop {
        let until = Instant::now() + REACH;
        let reached = tokio::time::timeout_at(until, reach(peer, shared)).await;
        let (open, send) = reached.map_err(|_elapsed| Unreachable::Slow(REACH))??;
        match send_on(send, &request, &open).await {
            Ok(body) => return Ok(Frames::received(Received::new(body, open, in_all))),
            Err(Failed::Finally(error)) => return Err(error),
            // The peer closes the connection, as it was idle or as it is about to end. A new one tells.
            Err(Failed::PassedOver) if begun.elapsed() < REACH => {}
            Err(Failed::PassedOver) => return Err(Unreachable::Ending.into()),
        }
    }
}

/// Why a request was not answered on a connection.
enum Failed {
    Finally(Error),
    /// The other end has closed the connection without looking at the request.
    PassedOver,
}

/// Sends a request, and waits for the beginning of its answer.
async fn send_on(
    mut send: SendRequest<Bytes>,
    request: &Request,
    open: &InUse,
) -> Result<RecvStream, Failed> {
    let asked = shape(request)?;
    let Ok((mut response, stream)) = send.send_request(asked, false) else {
        return Err(Failed::PassedOver);
    };
    // It would keep the connection open.
    drop(send);
    let number = stream.stream_id().as_u32();
    let sent = send_head(request.head.clone(), stream, &mut response).await;
    let (response, is_sent) = match sent {
        Sent::All => (response.await, true),
        Sent::Answered(response) => (response, false),
    };
    let response = response.map_err(|error| lost(&error, is_sent, number, open.link()))?;
    answer(response.status(), request.head.len() as u64)?;
    Ok(response.into_body())
}

/// Checks what is known before anything is sent.
fn check(request: &Request, limit: usize) -> Result<(), Error> {
    let bytes = request.head.len();
    if bytes > limit {
        let (bytes, limit) = (bytes as u64, limit as u64);
        return Err(Error::TooLarge { what: What::Head, bytes, limit });
    }
    if !is_path(&request.path) {
        return Err(Error::Protocol(format!("{:?} cannot be asked for", request.path)));
    }
    Ok(())
}

/// The head of a request as HTTP/2 has it.
fn shape(request: &Request) -> Result<http::Request<()>, Error> {
    http::Request::builder()
        .method(Method::POST)
        .uri(format!("https://vmcp-peer/{}", request.path))
        .body(())
        .map_err(|error| Error::Protocol(error.to_string()))
}

/// Opens a stream on a connection whose other end is there.
async fn reach(peer: &Peer, shared: &Arc<Shared>) -> Result<(InUse, SendRequest<Bytes>), Error> {
    loop {
        let link = Links::to(peer, shared).await?;
        match link.open() {
            Ok((open, send)) => {
                // One that is lost now has carried nothing: another one is dialled, while there is time.
                if link.confirm().await.is_ok() {
                    return Ok((open, send));
                }
            }
            Err(NoStream::Closing) => {}
            Err(NoStream::Full) => {
                return Err(Error::Busy("there are too many streams on the connection"));
            }
        }
    }
}

/// How sending a request's head has ended.
enum Sent {
    All,
    /// The other end did not wait for all of it, or is gone.
    Answered(Result<Response<RecvStream>, h2::Error>),
}

async fn send_head(
    mut head: Bytes,
    mut stream: SendStream<Bytes>,
    response: &mut ResponseFuture,
) -> Sent {
    let mut response = pin!(response);
    std::future::poll_fn(|context| {
        loop {
            if let Poll::Ready(answered) = response.as_mut().poll(context) {
                return Poll::Ready(Sent::Answered(answered));
            }
            stream.reserve_capacity(head.len());
            let room = stream.capacity().min(head.len());
            let is_all = room == head.len();
            if is_all || room > 0 {
                let sent = stream.send_data(head.split_to(room), is_all);
                match sent {
                    Ok(()) if is_all => return Poll::Ready(Sent::All),
                    Ok(()) => continue,
                    // It was reset, or is lost: the response says so.
                    Err(_error) => return response.as_mut().poll(context).map(Sent::Answered),
                }
            }
            match ready!(stream.poll_capacity(context)) {
                Some(Ok(_room)) => {}
                Some(Err(_)) | None => {
                    return response.as_mut().poll(context).map(Sent::Answered);
                }
            }
        }
    })
    .await
}

/// What it means that a request was lost.
fn lost(error: &h2::Error, is_sent: bool, stream: u32, link: &Link) -> Failed {
    if link.has_passed_over(stream) {
        return Failed::PassedOver;
    }
    let lost = || Unreachable::Lost(link.told(&error.to_string())).into();
    let lost = || if is_sent { link.gone(error) } else { lost() };
    Failed::Finally(refused(error).unwrap_or_else(lost))
}

/// The other end has refused a stream: by the meaning of that, nothing of it was looked at (RFC 9113, section 8.7).
fn refused(error: &h2::Error) -> Option<Error> {
    let is_refused =
        error.is_reset() && error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM);
    is_refused.then_some(Error::Busy("the replica has too many streams"))
}

/// What a status says that does not begin an answer.
fn answer(status: StatusCode, bytes: u64) -> Result<(), Error> {
    match status {
        StatusCode::OK => Ok(()),
        ENDING => Err(Unreachable::Ending.into()),
        BUSY | StatusCode::REQUEST_TIMEOUT => {
            Err(Error::Busy("the replica is asked too much at once"))
        }
        // Its bound is another than that of this one, and not known.
        TOO_LARGE => Err(Error::TooLarge { what: What::Head, bytes, limit: bytes - 1 }),
        status => Err(Error::Protocol(format!("it answers with status {status}"))),
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Finally(error)
    }
}
