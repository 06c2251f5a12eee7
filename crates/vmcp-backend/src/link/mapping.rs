//! Ids and progress tokens on a link that several sessions share: there they are vmcp's own numbers,
//! so that those of two sessions never meet.

use std::ops::Range;

use bytes::Bytes;
use vmcp_model::raw::{self, Edit};
use vmcp_wire::{Id, IdKey, Message};

use super::Member;

/// A request as the backend gets it.
pub(super) struct Mapped {
    pub(super) text: Bytes,
    pub(super) id: IdKey,
    pub(super) token: Option<IdKey>,
    pub(super) origin: Origin,
}

/// What a caller knows its request by.
#[derive(Debug)]
pub(super) struct Origin {
    member: Member,
    /// JSON text.
    id: Bytes,
    /// JSON text.
    token: Option<Bytes>,
}

/// Gives a request a number for its id, and for its progress token if it has one. `None` if it is no
/// request.
pub(super) fn outward(message: &Message, member: Member, number: u64) -> Option<Mapped> {
    let id = message.id()?;
    let mapped = Bytes::from(number.to_string());
    let mut edits =
        vec![Edit { span: raw::span_in(message.text(), id.text()), with: mapped.clone() }];
    let token = message.params().meta.progress_token.clone();
    let origin = Origin {
        member,
        id: Bytes::copy_from_slice(id.text()),
        token: token.clone().map(|span| Bytes::copy_from_slice(&message.text()[span])),
    };
    edits.extend(token.clone().map(|span| Edit { span, with: mapped.clone() }));
    let text = raw::splice(message.text(), edits);
    let id = Id::parse(&mapped)?.key();
    Some(Mapped { text, token: token.map(|_| id.clone()), id, origin })
}

/// The message with other JSON text at this place.
pub(super) fn replaced(message: &Message, span: Range<usize>, with: &[u8]) -> Bytes {
    raw::splice(message.text(), vec![Edit { span, with: Bytes::copy_from_slice(with) }])
}

impl Origin {
    /// Whether this is the request that a member knows by this id.
    pub(super) fn is(&self, member: Member, id: Id<'_>) -> bool {
        self.member == member && Id::parse(&self.id).is_some_and(|own| id.is(&own.key()))
    }

    /// The response with the caller's id.
    pub(super) fn of_response(&self, message: &Message) -> Option<Message> {
        Message::parse(message.with_id(&self.id)).ok()
    }

    /// The progress with the caller's token, which stands at `span`.
    pub(super) fn of_progress(&self, message: &Message, span: Range<usize>) -> Option<Message> {
        let token = self.token.as_ref()?;
        Message::parse(replaced(message, span, token)).ok()
    }
}
