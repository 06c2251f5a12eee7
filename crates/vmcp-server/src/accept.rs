//! Answers in the form that a client takes, for one that does not take both.
//!
//! The specification wants clients to take JSON and streams of events. Some name one of them, and most
//! of what they ask for can be told in either.

use std::pin::Pin;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Response, StatusCode, header};
use http_body::Body as _;
use vmcp_wire::{Fault, Id, Message, Shape, headers, headers::Accepts, sse};

use crate::{body::Body, respond};

/// What is to be known of the messages that are answered.
pub(crate) struct Asked {
    accepts: Accepts,
    /// The id of the request, as JSON; `None` if there is none, or more than one.
    id: Option<Bytes>,
    is_batch: bool,
}

impl Asked {
    /// `None` if the client takes both forms, as nearly all do.
    #[inline]
    pub(crate) fn of(accepts: Accepts, incoming: &vmcp_wire::Incoming) -> Option<Self> {
        if accepts.json && accepts.events {
            return None;
        }
        let (id, is_batch) = match incoming {
            vmcp_wire::Incoming::Single(message) => {
                (message.id().map(|id| message.text().slice_ref(id.text())), false)
            }
            vmcp_wire::Incoming::Batch(_) => (None, true),
        };
        Some(Self { accepts, id, is_batch })
    }

    /// Puts an answer into the form that the client takes. What tells by its status that it is none to
    /// the request stays as it is.
    pub(crate) async fn fit(&self, response: Response<Body>) -> Response<Body> {
        let form = response.headers().get(header::CONTENT_TYPE);
        let (is_json, is_stream) =
            (form == Some(&headers::JSON), form == Some(&headers::EVENT_STREAM));
        if response.status() != StatusCode::OK {
            return response;
        }
        if is_json && !self.accepts.json {
            let (head, body) = response.into_parts();
            return respond::as_events(Response::from_parts(head, body.into_event()));
        }
        if is_stream && !self.accepts.events {
            let read = if self.is_batch {
                all_responses(response.into_body()).await
            } else {
                only_response(response.into_body()).await
            };
            let id = self.id.as_deref().and_then(Id::parse);
            return read.map_or_else(|fault| respond::failed(id, &fault), respond::json);
        }
        response
    }
}

/// The response out of a stream of events. Notifications before it are not told: they need not be.
async fn only_response(mut stream: Body) -> Result<Bytes, Fault> {
    let mut events = Events::new();
    // The specification wants no response to a cancelled request.
    events.next_response(&mut stream).await?.ok_or(Fault::Cancelled)
}

/// All responses out of a stream of events, as a batch.
async fn all_responses(mut stream: Body) -> Result<Bytes, Fault> {
    let (mut events, mut batch) = (Events::new(), BytesMut::new());
    while let Some(response) = events.next_response(&mut stream).await? {
        batch.put_u8(if batch.is_empty() { b'[' } else { b',' });
        batch.extend_from_slice(&response);
    }
    if batch.is_empty() {
        return Err(Fault::Cancelled);
    }
    batch.put_u8(b']');
    Ok(batch.freeze())
}

/// The events of a stream.
struct Events {
    decoder: sse::Decoder,
    decoded: Vec<sse::Event>,
}

impl Events {
    fn new() -> Self {
        // They are vmcp's own, and were bounded when they came.
        Self { decoder: sse::Decoder::new(usize::MAX), decoded: Vec::new() }
    }

    /// The next response; `None` at the end.
    async fn next_response(&mut self, stream: &mut Body) -> Result<Option<Bytes>, Fault> {
        loop {
            for event in self.decoded.drain(..) {
                match Message::parse(event.data.clone()).map(|message| message.shape()) {
                    Ok(Shape::Response) => return Ok(Some(event.data)),
                    Ok(Shape::Request) => {
                        return Err(Fault::NotAcceptable(
                            "text/event-stream, as the backend asks for something before it answers",
                        ));
                    }
                    Ok(Shape::Notification) | Err(_) => {}
                }
            }
            let frame =
                std::future::poll_fn(|context| Pin::new(&mut *stream).poll_frame(context)).await;
            let Some(frame) = frame.transpose()? else { return Ok(None) };
            let data = frame.into_data().unwrap_or_default();
            self.decoder
                .feed(&data, &mut self.decoded)
                .map_err(|error| Fault::Internal(error.to_string().into()))?;
        }
    }
}
