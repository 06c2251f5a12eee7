//! Reads what backends send: the message in an event, a line or a body, made the best of.

use bytes::Bytes;
use vmcp_model::{BackendId, raw::Members};
use vmcp_wire::{IdKey, Message, Shape, is_plain_response, is_sound_error, reply, unmarked};

use crate::{backend::Backend, error::Error, secrets::Secrets};

impl Backend {
    /// The response to the request of this id, which has come whole as the answer to it.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn response(&self, text: Bytes, id: &IdKey) -> Result<Bytes, Error> {
        if is_plain_response(&text, id) {
            return Ok(text);
        }
        self.odd_response(text, id)
    }

    /// The same of what is not as it should be.
    #[cold]
    fn odd_response(&self, text: Bytes, id: &IdKey) -> Result<Bytes, Error> {
        let refused = |why: &str| Error::Protocol(format!("answered badly: {why}"));
        let message = Message::parse(text.slice_ref(unmarked(&text)))
            .map_err(|why| refused(&why.to_string()))?;
        if message.shape() != Shape::Response {
            return Err(refused("with something else than a response"));
        }
        let message = self.conduct.retyped(self.id(), message, id);
        if !message.id().is_some_and(|answered| answered.is(id)) {
            return Err(Error::Protocol(
                "answered another request than the one it was asked".to_owned(),
            ));
        }
        match shapeless(self.secrets(), &message) {
            Some(why) => Err(refused(&why)),
            None => Ok(message.into_text()),
        }
    }
}

/// The message that an event or a line holds. Of a response that holds nothing which could be passed
/// on, an error in its place. The error says why there is none, and shows it.
pub(crate) fn message(
    backend: &BackendId,
    secrets: &Secrets,
    text: Bytes,
) -> Result<Message, String> {
    let text = text.slice_ref(unmarked(&text));
    let parsed = Message::parse(text.clone());
    let message = parsed.map_err(|why| format!("{why}: {}", secrets.excerpt(&text)))?;
    let why = if message.shape() == Shape::Response { shapeless(secrets, &message) } else { None };
    let Some(why) = why else { return Ok(message) };
    let fault = Error::Protocol(format!("answered badly: {why}")).fault(backend);
    Message::parse(reply::error(message.id(), &fault)).map_err(|why| why.to_string())
}

/// Why neither the result nor the error of a response could be read by a client.
fn shapeless(secrets: &Secrets, response: &Message) -> Option<String> {
    match response.result() {
        Some(result) => (!result.starts_with(b"{")).then(|| "its result is no object".to_owned()),
        None => {
            let error = error_of(response);
            (!is_sound_error(error)).then(|| {
                format!(
                    "its error has no whole `code` or no text as its `message`: {}",
                    secrets.excerpt(error)
                )
            })
        }
    }
}

/// The error of a response.
fn error_of(response: &Message) -> &[u8] {
    let text = response.text();
    Members::parse(text).and_then(|members| members.value(text, "error")).unwrap_or_default()
}
