//! A response while it is read: one JSON body, or events as they arrive.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, response::Parts as Head};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::value::RawValue;
use tokio::{task::JoinSet, time::timeout};

use super::{
    PATIENCE, parts,
    sse::{Decoder, Event},
};

type Object<'a> = std::collections::BTreeMap<String, &'a RawValue>;

/// A response whose head has arrived. Dropping it closes its connection.
#[derive(Debug)]
pub struct Response {
    head: Head,
    body: Incoming,
    decoder: Decoder,
    _driver: JoinSet<()>,
}

/// One JSON-RPC message, with the messages that came before it on the same response.
#[derive(Clone, Debug)]
pub struct Message {
    /// The message, byte for byte.
    pub bytes: Bytes,
    /// The id of the event that it came in.
    pub event_id: Option<String>,
    /// What came before it: notifications, and questions that nobody answered.
    pub before: Vec<Message>,
}

impl Response {
    pub(super) fn new(head: Head, body: Incoming, driver: JoinSet<()>) -> Self {
        Self { head, body, decoder: Decoder::default(), _driver: driver }
    }

    pub fn status(&self) -> StatusCode {
        self.head.status
    }

    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }

    /// Whether the response is a stream of events.
    pub fn is_stream(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// The body's next piece, as it arrived.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let frame = timeout(PATIENCE, self.body.frame()).await.context("no bytes in time")?;
            match frame {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body.
    pub async fn bytes(mut self) -> Result<Bytes> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.into())
    }

    /// The stream's next event, or `None` at its orderly end.
    pub async fn event(&mut self) -> Result<Option<Event>> {
        ensure!(self.is_stream(), "not a stream: {:?}", self.head);
        loop {
            if let Some(event) = self.decoder.next()? {
                return Ok(Some(event));
            }
            let Some(chunk) = self.chunk().await? else {
                ensure!(self.decoder.is_clean(), "the stream ended in mid-event");
                return Ok(None);
            };
            self.decoder.feed(&chunk);
        }
    }

    /// The stream's next message; events without data are passed over.
    pub async fn message(&mut self) -> Result<Option<Message>> {
        while let Some(event) = self.event().await? {
            if !event.data.is_empty() {
                return Message::new(event.data, event.id).map(Some);
            }
        }
        Ok(None)
    }

    /// Reads to the answer to the request `id`, and insists that nothing follows it.
    pub async fn answer(&mut self, id: &str) -> Result<Message> {
        let answer = self.answer_so_far(id).await?;
        if self.is_stream() {
            let rest = self.message().await?;
            ensure!(rest.is_none(), "a message follows the answer: {rest:?}");
        }
        Ok(answer)
    }

    /// Reads to the answer to the request `id` and not beyond.
    pub async fn answer_so_far(&mut self, id: &str) -> Result<Message> {
        if !self.is_stream() {
            let answer = self.json().await?;
            ensure!(answer.id().as_deref() == Some(id), "the answer to {id} is {answer:?}");
            return Ok(answer);
        }
        ensure!(self.status() == StatusCode::OK, "a stream with status {}", self.status());
        let mut before = Vec::new();
        while let Some(message) = self.message().await? {
            if message.method().is_none() {
                ensure!(message.id().as_deref() == Some(id), "not the answer to {id}: {message:?}");
                return Ok(Message { before, ..message });
            }
            before.push(message);
        }
        bail!("the stream ended without an answer, after {before:?}")
    }

    async fn json(&mut self) -> Result<Message> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        let shown = || format!("{}: {:?}", self.head.status, Bytes::copy_from_slice(&all));
        ensure!(
            self.header("content-type").is_some_and(|kind| kind.starts_with("application/json")),
            "neither JSON nor a stream: {}",
            shown()
        );
        Message::new(Bytes::copy_from_slice(&all), None).with_context(shown)
    }
}

impl Message {
    fn new(bytes: Bytes, event_id: Option<String>) -> Result<Self> {
        parts(&bytes).with_context(|| format!("not a message: {bytes:?}"))?;
        Ok(Self { bytes, event_id, before: Vec::new() })
    }

    /// The id, byte for byte.
    pub fn id(&self) -> Option<String> {
        self.parts().id.map(|id| id.get().to_owned())
    }

    /// The method of a request or notification.
    pub fn method(&self) -> Option<String> {
        self.parts().method.map(std::borrow::Cow::into_owned)
    }

    /// The parameters of a request or notification, byte for byte.
    pub fn params(&self) -> Option<&str> {
        self.parts().params.map(RawValue::get)
    }

    /// The result, byte for byte.
    pub fn result(&self) -> Result<&str> {
        let parts = self.parts();
        parts.result.map(RawValue::get).with_context(|| format!("{self:?}"))
    }

    /// The error, byte for byte.
    pub fn error(&self) -> Result<&str> {
        let parts = self.parts();
        parts.error.map(RawValue::get).with_context(|| format!("{self:?}"))
    }

    /// The first text of a tool's result.
    pub fn text(&self) -> Result<String> {
        let message = self.json();
        let text = message["result"]["content"][0]["text"].as_str().map(str::to_owned);
        text.with_context(|| format!("no text: {:?}", self.bytes))
    }

    /// The entries of the list `member` of a result, byte for byte.
    pub fn items(&self, member: &str) -> Result<Vec<String>> {
        let result: Object<'_> = serde_json::from_str(self.result()?)?;
        let list = result.get(member).with_context(|| format!("no {member}: {:?}", self.bytes))?;
        let items: Vec<&RawValue> = serde_json::from_str(list.get())?;
        Ok(items.into_iter().map(|item| item.get().to_owned()).collect())
    }

    /// The text that each entry of the list `member` has under `key`, in the list's order.
    pub fn keys(&self, member: &str, key: &str) -> Result<Vec<String>> {
        let key_of = |item: &String| -> Result<String> {
            let item: Object<'_> = serde_json::from_str(item)?;
            let value = item.get(key).with_context(|| format!("no {key}: {item:?}"))?;
            Ok(serde_json::from_str(value.get())?)
        };
        self.items(member)?.iter().map(key_of).collect()
    }

    /// The code of an error.
    pub fn error_code(&self) -> Result<i64> {
        self.json()["error"]["code"].as_i64().with_context(|| format!("no error: {:?}", self.bytes))
    }

    /// The whole message as a value, for looking around in it.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes).expect("it was checked when it was received")
    }

    fn parts(&self) -> super::Parts<'_> {
        parts(&self.bytes).expect("it was checked when it was received")
    }
}
