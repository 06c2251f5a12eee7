//! What replicas ask each other, as it is written: a JSON object, its length before it, and behind it the bytes that
//! are for the backend. Members that are unknown are ignored, so replicas of neighbouring versions read each other's.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::{Value, json};
use vmcp_model::{BackendId, Principal, ProtocolVersion};
use vmcp_store::SessionKey;

/// The name of an errand on a link.
pub(super) const LINK: &str = "link";

/// The name of the end of a link.
pub(super) const END: &str = "end";

/// The link is not held, or not any more: nothing was carried out.
pub(super) const NOT_HELD: u16 = 1;

/// There is no such session of this caller: nothing was carried out.
pub(super) const GONE: u16 = 2;

/// It cannot be carried out now; nothing was.
pub(super) const NOT_NOW: u16 = 3;

/// What was asked makes no sense here.
pub(super) const NONSENSE: u16 = 4;

/// The holder is about to end, and what it holds with it: nothing was carried out.
pub(super) const ENDING: u16 = 5;

/// Something to do on a link, on behalf of a caller. Whether it is his is looked at by who holds the link.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Errand {
    pub(super) session: Arc<str>,
    pub(super) principal: Principal,
    pub(super) backend: BackendId,
    pub(super) version: ProtocolVersion,
    pub(super) link: Box<str>,
    pub(super) request: Bytes,
}

/// The end of a link of a session that has ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    pub(super) key: SessionKey,
    pub(super) backend: BackendId,
    pub(super) link: Box<str>,
}

impl Errand {
    pub(super) fn written(&self) -> Bytes {
        let principal = match &self.principal {
            Principal::Anonymous => Value::Null,
            Principal::Subject { issuer, subject } => json!({"issuer": issuer, "subject": subject}),
        };
        let head = json!({
            "session": self.session,
            "principal": principal,
            "backend": self.backend.as_str(),
            "version": self.version.name(),
            "link": self.link,
        });
        let head = head.to_string();
        let mut written = BytesMut::with_capacity(4 + head.len() + self.request.len());
        written.put_u32(u32::try_from(head.len()).unwrap_or(u32::MAX));
        written.extend_from_slice(head.as_bytes());
        written.extend_from_slice(&self.request);
        written.freeze()
    }

    /// `None` if it is none.
    pub(super) fn read(mut written: Bytes) -> Option<Self> {
        let length: [u8; 4] = written.get(..4)?.try_into().ok()?;
        let end = usize::try_from(u32::from_be_bytes(length)).ok()?.checked_add(4)?;
        let head: Value = serde_json::from_slice(written.get(4..end)?).ok()?;
        let request = written.split_off(end);
        let principal = match &head["principal"] {
            Value::Null => Principal::Anonymous,
            subject => Principal::Subject {
                issuer: subject["issuer"].as_str()?.into(),
                subject: subject["subject"].as_str()?.into(),
            },
        };
        Some(Self {
            session: head["session"].as_str()?.into(),
            principal,
            backend: BackendId::new(head["backend"].as_str()?).ok()?,
            version: ProtocolVersion::from_name(head["version"].as_str()?)?,
            link: head["link"].as_str()?.into(),
            request,
        })
    }
}

impl Ending {
    pub(super) fn written(&self) -> Bytes {
        let key = BASE64_URL_SAFE_NO_PAD.encode(self.key.as_bytes());
        let head = json!({"key": key, "backend": self.backend.as_str(), "link": self.link});
        head.to_string().into()
    }

    /// `None` if it is none.
    pub(super) fn read(written: &[u8]) -> Option<Self> {
        let head: Value = serde_json::from_slice(written).ok()?;
        let key = BASE64_URL_SAFE_NO_PAD.decode(head["key"].as_str()?).ok()?;
        Some(Self {
            key: SessionKey::from_bytes(key.try_into().ok()?),
            backend: BackendId::new(head["backend"].as_str()?).ok()?,
            link: head["link"].as_str()?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errand(principal: Principal) -> Errand {
        Errand {
            session: "a-session".into(),
            principal,
            backend: BackendId::new("notes").unwrap(),
            version: ProtocolVersion::LATEST_LEGACY,
            link: "link-1.2".into(),
            request: Bytes::from_static(b"c{\"x\":1}"),
        }
    }

    #[test]
    fn errands_are_read_as_they_were_written() {
        let subject = Principal::Subject { issuer: "https://a.test".into(), subject: "ann".into() };
        for errand in [errand(Principal::Anonymous), errand(subject)] {
            assert_eq!(Errand::read(errand.written()), Some(errand));
        }
        let ending = Ending {
            key: SessionKey::of("a-session"),
            backend: BackendId::new("notes").unwrap(),
            link: "link-1".into(),
        };
        assert_eq!(Ending::read(&ending.written()), Some(ending));
    }

    /// Of another version, or of nobody.
    #[test]
    fn what_is_none_is_refused_and_what_is_more_is_ignored() {
        let whole = errand(Principal::Anonymous).written();
        for length in 0..whole.len() - 8 {
            assert_eq!(Errand::read(whole.slice(..length)), None, "{length}");
        }
        for text in [&b""[..], b"\xff\xff\xff\xff", b"\0\0\0\x02{}", b"{}"] {
            assert_eq!(Errand::read(Bytes::from_static(text)), None);
            assert_eq!(Ending::read(text), None);
        }
        let more = json!({
            "session": "a-session", "principal": null, "backend": "notes", "version": "2025-11-25",
            "link": "link-1.2", "newer": [1],
        });
        let more = more.to_string();
        let length = u32::try_from(more.len()).unwrap().to_be_bytes();
        let more = Bytes::from([&length[..], more.as_bytes(), b"c{\"x\":1}"].concat());
        assert_eq!(Errand::read(more), Some(errand(Principal::Anonymous)));
    }
}
