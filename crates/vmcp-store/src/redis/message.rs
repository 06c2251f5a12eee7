//! What goes over the bus: sealed, so that nobody else can read or write it.

use bytes::Bytes;
use vmcp_model::Digest;

use crate::{KeyRing, bus::News, hearing::Sender, record::SessionKey};

/// The first byte of a message. Another one is of another version of vmcp.
const FORM: u8 = 1;

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) sender: Sender,
    /// Each is one more than the one before.
    pub(super) number: u64,
    pub(super) content: Content,
}

/// What a message says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// That the sender lives.
    Beat,
    News(News),
    /// Something that a newer version says.
    Unknown,
}

impl Content {
    pub(super) fn of(news: &News) -> Self {
        Self::News(news.clone())
    }

    pub(super) fn into_news(self) -> Option<News> {
        match self {
            Self::News(news) => Some(news),
            Self::Beat | Self::Unknown => None,
        }
    }
}

impl Message {
    pub(super) fn sealed(&self, ring: &KeyRing, channel: &str) -> Vec<u8> {
        let mut text = vec![FORM];
        text.extend_from_slice(&self.sender);
        text.extend_from_slice(&self.number.to_be_bytes());
        let (kind, key, rest): (u8, Option<&SessionKey>, &[u8]) = match &self.content {
            Content::Beat | Content::Unknown => (0, None, &[]),
            Content::News(News::Ended(key)) => (1, Some(key), &[]),
            Content::News(News::Changed(key)) => (2, Some(key), &[]),
            Content::News(News::Cancelled { key, text }) => (3, Some(key), text),
            Content::News(News::Answered { key, question }) => (4, Some(key), question.as_bytes()),
        };
        text.push(kind);
        if let Some(key) = key {
            text.extend_from_slice(key.as_bytes());
        }
        text.extend_from_slice(rest);
        vmcp_keys::seal(ring, &[b"bus", channel.as_bytes()], &text)
    }

    /// Reads a message; `None` if it is not one of this deployment.
    pub(super) fn opened(ring: &KeyRing, channel: &str, text: &[u8]) -> Option<Self> {
        let text = vmcp_keys::open(ring, &[b"bus", channel.as_bytes()], text)?;
        let rest = text.strip_prefix(&[FORM])?;
        let (sender, rest) = rest.split_first_chunk::<16>()?;
        let (number, rest) = rest.split_first_chunk::<8>()?;
        let (kind, rest) = rest.split_first()?;
        let key = || {
            let (key, rest) = rest.split_first_chunk::<32>()?;
            Some((SessionKey::from_bytes(*key), rest))
        };
        let content = match kind {
            0 => Content::Beat,
            1 => Content::News(News::Ended(key()?.0)),
            2 => Content::News(News::Changed(key()?.0)),
            3 => {
                let (key, text) = key()?;
                Content::News(News::Cancelled { key, text: Bytes::copy_from_slice(text) })
            }
            4 => {
                let (key, question) = key()?;
                let question = Digest::from_bytes(question.try_into().ok()?);
                Content::News(News::Answered { key, question })
            }
            _ => Content::Unknown,
        };
        Some(Self { sender: *sender, number: u64::from_be_bytes(*number), content })
    }
}
