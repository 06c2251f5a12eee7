//! What records, backend sessions and the like are in Redis.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use vmcp_model::{BackendId, Digest, Era, LogLevel, ProtocolVersion};

use crate::{
    KeyRing,
    record::{BackendRecord, ClientProfile, Handed, Place, Record, SessionKey, Timestamp},
};

/// The first byte of what is encoded here. Another one is of another version of vmcp.
const FORM: u8 = 1;

/// The field that holds what backends have handed out.
pub(super) const HANDED: &[u8] = b"h";

/// The fields of a live record, but for state and deadline.
pub(super) fn fields(ring: &KeyRing, key: SessionKey, record: &Record) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut head = Writer::default();
    head.number(record.created.0);
    head.digest(record.owner);
    head.text(record.client.version.name().as_bytes());
    head.text(&record.client.capabilities);
    head.text(&record.client.info);
    let mut fields = vec![
        (b"r".to_vec(), sealed(ring, key, b"r", &head.0)),
        (b"c".to_vec(), record.catalog.as_bytes().to_vec()),
    ];
    if let Some(level) = record.log_level {
        fields.push((b"l".to_vec(), level.to_string().into_bytes()));
    }
    if record.stream_epoch > 0 {
        fields.push((b"e".to_vec(), record.stream_epoch.to_string().into_bytes()));
    }
    if !record.subscriptions.is_empty() {
        fields.push((b"u".to_vec(), subscriptions(ring, key, &record.subscriptions)));
    }
    if !record.handed.is_empty() {
        fields.push((HANDED.to_vec(), handed(ring, key, &record.handed)));
    }
    for (id, session) in &record.backends {
        fields.push((backend_field(id), backend(ring, key, id, session)));
    }
    for (id, digest) in &record.own_offers {
        fields.push((own_offer_field(id), digest.as_bytes().to_vec()));
    }
    fields
}

/// A live record from its fields; `None` if it is not live. The error says what cannot be read.
pub(super) fn record(
    ring: &KeyRing,
    key: SessionKey,
    mut fields: HashMap<Vec<u8>, Vec<u8>>,
) -> Result<Option<Record>, &'static str> {
    if fields.get(&b"s"[..]).map(Vec::as_slice) != Some(b"l") {
        return Ok(None);
    }
    let mut take = |field: &[u8]| fields.remove(field);
    let deadline = take(b"d").and_then(|deadline| number(&deadline)).ok_or("a deadline")?;
    let catalog = take(b"c").and_then(|catalog| catalog.try_into().ok()).ok_or("a catalog")?;
    let head = take(b"r").and_then(|head| opened(ring, key, b"r", &head)).ok_or("its head")?;
    let (level, epoch, uris) = (take(b"l"), take(b"e"), take(b"u"));
    let handed = take(HANDED);
    let mut head = Reader::of(&head).ok_or("its head")?;
    let read_head = |head: &mut Reader<'_>| {
        let created = Timestamp(head.number()?);
        let owner = head.digest()?;
        let version = head.string().and_then(ProtocolVersion::from_name)?;
        let capabilities = Bytes::copy_from_slice(head.text()?);
        let info = Bytes::copy_from_slice(head.text()?);
        Some((created, owner, ClientProfile { version, capabilities, info }))
    };
    let (created, owner, client) = read_head(&mut head).ok_or("its head")?;
    let (mut backends, mut own_offers) = (Vec::new(), Vec::new());
    for (field, value) in &fields {
        match field.split_first() {
            Some((b'b', name)) => {
                let name = backend_name(name)?;
                let session = read_backend(ring, key, &name, value).ok_or("a backend session")?;
                backends.push((name, session));
            }
            Some((b'o', name)) => {
                let digest = <[u8; 32]>::try_from(&value[..]).map_err(|_other| "an own offer")?;
                own_offers.push((backend_name(name)?, Digest::from_bytes(digest)));
            }
            // What a newer version adds is left as it is.
            Some(_) | None => {}
        }
    }
    backends.sort_by(|(one, _), (other, _)| one.cmp(other));
    own_offers.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(Some(Record {
        created,
        deadline: Timestamp(deadline),
        client: Arc::new(client),
        owner,
        catalog: Digest::from_bytes(catalog),
        log_level: level.map(|level| log_level(&level).ok_or("a log level")).transpose()?,
        subscriptions: match uris {
            Some(uris) => read_subscriptions(ring, key, &uris).ok_or("subscriptions")?,
            None => Vec::new(),
        },
        stream_epoch: epoch.map_or(Some(0), |epoch| number(&epoch)).ok_or("a stream epoch")?,
        backends,
        own_offers,
        handed: match handed {
            Some(handed) => read_handed(ring, key, &handed).ok_or("what was handed out")?,
            None => Handed::default(),
        },
    }))
}

fn backend_name(name: &[u8]) -> Result<BackendId, &'static str> {
    let name = std::str::from_utf8(name).ok().and_then(|name| BackendId::new(name).ok());
    name.ok_or("the name of a backend")
}

/// The field that holds a backend's session.
pub(super) fn backend_field(id: &BackendId) -> Vec<u8> {
    [b"b", id.as_str().as_bytes()].concat()
}

/// The field that holds the digest of the session's own offer of a backend.
pub(super) fn own_offer_field(id: &BackendId) -> Vec<u8> {
    [b"o", id.as_str().as_bytes()].concat()
}

/// The field that holds an open question.
pub(super) fn question_field(question: Digest) -> Vec<u8> {
    [b"q", &question.as_bytes()[..16]].concat()
}

/// A backend session, sealed.
pub(super) fn backend(
    ring: &KeyRing,
    key: SessionKey,
    id: &BackendId,
    session: &BackendRecord,
) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.0.push(match session.era {
        Era::Legacy => 0,
        Era::Modern => 1,
    });
    writer.text(session.version.name().as_bytes());
    match &session.session_id {
        None => writer.0.push(0),
        Some(id) => {
            writer.0.push(1);
            writer.text(id.as_bytes());
        }
    }
    match &session.place {
        Place::Address(digest) => {
            writer.0.push(0);
            writer.digest(*digest);
        }
        Place::Replica(name) => {
            writer.0.push(1);
            writer.text(name.as_bytes());
        }
    }
    sealed(ring, key, &backend_field(id), &writer.0)
}

/// Opens and reads a backend session.
pub(super) fn read_backend(
    ring: &KeyRing,
    key: SessionKey,
    id: &BackendId,
    text: &[u8],
) -> Option<BackendRecord> {
    let text = opened(ring, key, &backend_field(id), text)?;
    let mut reader = Reader::of(&text)?;
    let era = match reader.byte()? {
        0 => Era::Legacy,
        1 => Era::Modern,
        _ => return None,
    };
    let version = ProtocolVersion::from_name(reader.string()?)?;
    let session_id = match reader.byte()? {
        0 => None,
        _ => Some(reader.string()?.into()),
    };
    let place = match reader.byte()? {
        0 => Place::Address(reader.digest()?),
        _ => Place::Replica(reader.string()?.into()),
    };
    Some(BackendRecord { session_id, version, era, place })
}

/// Subscriptions, sealed.
pub(super) fn subscriptions(ring: &KeyRing, key: SessionKey, uris: &[Box<str>]) -> Vec<u8> {
    let mut writer = Writer::default();
    uris.iter().for_each(|uri| writer.text(uri.as_bytes()));
    sealed(ring, key, b"u", &writer.0)
}

/// Opens and reads subscriptions.
pub(super) fn read_subscriptions(
    ring: &KeyRing,
    key: SessionKey,
    text: &[u8],
) -> Option<Vec<Box<str>>> {
    let text = opened(ring, key, b"u", text)?;
    let mut reader = Reader::of(&text)?;
    let mut uris = Vec::new();
    while !reader.0.is_empty() {
        uris.push(reader.string()?.into());
    }
    Some(uris)
}

/// What backends have handed out, sealed.
pub(super) fn handed(ring: &KeyRing, key: SessionKey, handed: &Handed) -> Vec<u8> {
    let mut writer = Writer::default();
    for (uri, backend) in handed.iter() {
        writer.digest(*uri);
        writer.text(backend.as_str().as_bytes());
    }
    sealed(ring, key, HANDED, &writer.0)
}

/// Opens and reads it.
pub(super) fn read_handed(ring: &KeyRing, key: SessionKey, text: &[u8]) -> Option<Handed> {
    let text = opened(ring, key, HANDED, text)?;
    let mut reader = Reader::of(&text)?;
    let mut handed = Handed::default();
    while !reader.0.is_empty() {
        let uri = reader.digest()?;
        handed.note(&BackendId::new(reader.string()?).ok()?, &[uri]);
    }
    Some(handed)
}

fn sealed(ring: &KeyRing, key: SessionKey, field: &[u8], text: &[u8]) -> Vec<u8> {
    vmcp_keys::seal(ring, &[b"session", key.as_bytes(), field], &[&[FORM], text].concat())
}

fn opened(ring: &KeyRing, key: SessionKey, field: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    vmcp_keys::open(ring, &[b"session", key.as_bytes(), field], sealed)
}

/// A number in decimal digits.
pub(super) fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn log_level(text: &[u8]) -> Option<LogLevel> {
    LogLevel::from_name(std::str::from_utf8(text).ok()?)
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn digest(&mut self, digest: Digest) {
        self.0.extend_from_slice(digest.as_bytes());
    }

    /// A text with its length.
    fn text(&mut self, text: &[u8]) {
        let length = u32::try_from(text.len()).expect("no text of a record is over 4 GiB");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(text);
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads what begins with the form's byte.
    fn of(text: &'a [u8]) -> Option<Self> {
        text.split_first().filter(|(form, _)| **form == FORM).map(|(_, rest)| Self(rest))
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn number(&mut self) -> Option<u64> {
        self.take().map(u64::from_be_bytes)
    }

    fn digest(&mut self) -> Option<Digest> {
        self.take().map(Digest::from_bytes)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(u32::from_be_bytes(self.take()?)).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn string(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.text()?).ok()
    }
}
