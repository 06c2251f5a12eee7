//! What is written is read again, and nothing that is read can do harm.

use std::{collections::HashMap, sync::Arc};

use proptest::{collection::vec, option, prelude::*};
use vmcp_model::{BackendId, Digest, Era, LogLevel, ProtocolVersion};

use super::{
    super::{
        codec,
        message::{Content, Message},
    },
    ring,
};
use crate::{
    BackendRecord, ClientProfile, Handed, News, Place, Record, SessionKey, Timestamp,
    contract::{self, id},
};

const CHANNEL: &str = "a:0:bus";

/// The names of backends.
const NAME: &str = "[a-z][a-z0-9._-]{0,20}[a-z]";

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..most)
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

fn version() -> impl Strategy<Value = ProtocolVersion> {
    prop::sample::select(vec![
        ProtocolVersion::V2024_11_05,
        ProtocolVersion::V2025_03_26,
        ProtocolVersion::V2025_06_18,
        ProtocolVersion::V2025_11_25,
    ])
}

fn level() -> impl Strategy<Value = LogLevel> {
    let names = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    let levels = names.map(|name| LogLevel::from_name(name).expect("it is a level"));
    prop::sample::select(levels.to_vec())
}

fn backend() -> impl Strategy<Value = BackendRecord> {
    let place = prop_oneof![
        digest().prop_map(Place::Address),
        ".{0,20}".prop_map(|name| Place::Replica(name.into())),
    ];
    let era = prop_oneof![Just(Era::Legacy), Just(Era::Modern)];
    (option::of(".{0,60}"), version(), era, place).prop_map(|(session_id, version, era, place)| {
        BackendRecord { session_id: session_id.map(Into::into), version, era, place }
    })
}

prop_compose! {
    fn client()(version in version(), capabilities in bytes(200), info in bytes(200)) -> ClientProfile {
        ClientProfile { version, capabilities: capabilities.into(), info: info.into() }
    }
}

prop_compose! {
    fn record()(
        created in any::<u64>(),
        deadline in any::<u64>(),
        client in client(),
        owner in digest(),
        catalog in digest(),
        log_level in option::of(level()),
        subscriptions in vec(".{0,30}", 0..4),
        stream_epoch in any::<u64>(),
        backends in prop::collection::btree_map(NAME, backend(), 0..4),
        own_offers in prop::collection::btree_map(NAME, digest(), 0..4),
        uris in vec((digest(), NAME), 0..4),
    ) -> Record {
        let mut handed = Handed::default();
        for (uri, backend) in uris {
            handed.note(&BackendId::new(&backend).unwrap(), &[uri]);
        }
        let backends = backends.into_iter();
        Record {
            created: Timestamp(created),
            deadline: Timestamp(deadline),
            client: Arc::new(client),
            owner,
            catalog,
            log_level,
            subscriptions: subscriptions.into_iter().map(Into::into).collect(),
            stream_epoch,
            backends: backends.map(|(name, session)| (BackendId::new(&name).unwrap(), session)).collect(),
            own_offers: own_offers.into_iter().map(|(name, digest)| (BackendId::new(&name).unwrap(), digest)).collect(),
            handed,
        }
    }
}

fn news() -> impl Strategy<Value = News> {
    let key = || any::<[u8; 32]>().prop_map(SessionKey::from_bytes);
    prop_oneof![
        key().prop_map(News::Ended),
        key().prop_map(News::Changed),
        (key(), bytes(200)).prop_map(|(key, text)| News::Cancelled { key, text: text.into() }),
        (key(), digest()).prop_map(|(key, question)| News::Answered { key, question }),
    ]
}

/// What Redis holds of a live record.
fn held(key: SessionKey, record: &Record) -> HashMap<Vec<u8>, Vec<u8>> {
    let mut fields: HashMap<_, _> = codec::fields(&ring(&[1]), key, record).into_iter().collect();
    fields.insert(b"s".to_vec(), b"l".to_vec());
    fields.insert(b"d".to_vec(), record.deadline.0.to_string().into_bytes());
    fields
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written(record in record()) {
        let key = SessionKey::of("a");
        let mut record = record;
        record.backends.sort_by(|(one, _), (other, _)| one.cmp(other));
        let fields = held(key, &record);
        prop_assert_eq!(codec::record(&ring(&[1]), key, fields.clone()), Ok(Some(record.clone())));
        // A question that is open is no part of it.
        let mut asked = fields.clone();
        asked.insert(codec::question_field(Digest::of(b"q")), Vec::new());
        prop_assert_eq!(codec::record(&ring(&[1]), key, asked), Ok(Some(record)));
        // Nor can it be moved to another session.
        prop_assert!(codec::record(&ring(&[1]), SessionKey::of("b"), fields).is_err());
    }

    #[test]
    fn a_record_that_was_damaged_is_not_read_as_another(
        record in record(), at in any::<prop::sample::Index>(), bit in 0..8_u8,
    ) {
        let key = SessionKey::of("a");
        let fields = held(key, &record);
        // What is not sealed may be changed by whoever can write: the epoch, the level, the catalog.
        let sealed = |name: &&Vec<u8>| matches!(name[0], b'r' | b'u' | b'b' | b'h');
        let mut names: Vec<_> = fields.keys().filter(sealed).collect();
        names.sort();
        let name = at.get(&names).to_vec();
        let mut damaged = fields.clone();
        let value = damaged.get_mut(&name).unwrap();
        let byte = at.index(value.len());
        value[byte] ^= 1 << bit;
        prop_assert!(codec::record(&ring(&[1]), key, damaged).is_err());
    }

    #[test]
    fn a_backend_session_is_read_as_it_was_written(session in backend()) {
        let key = SessionKey::of("a");
        let text = codec::backend(&ring(&[1]), key, &id("b"), &session);
        let read = |name: &str| codec::read_backend(&ring(&[1]), key, &id(name), &text);
        prop_assert_eq!(read("b"), Some(session));
        prop_assert_eq!(read("c"), None);
    }

    #[test]
    fn a_message_is_read_as_it_was_written(
        sender in any::<[u8; 16]>(), number in any::<u64>(), news in option::of(news()),
    ) {
        let content = news.map_or(Content::Beat, Content::News);
        let message = Message { sender, number, content };
        let sealed = message.sealed(&ring(&[1]), CHANNEL);
        prop_assert_eq!(Message::opened(&ring(&[1]), "a:1:bus", &sealed), None);
        prop_assert_eq!(Message::opened(&ring(&[2]), CHANNEL, &sealed), None);
        prop_assert_eq!(Message::opened(&ring(&[2, 1]), CHANNEL, &sealed), Some(message));
    }

    /// Whatever stands in Redis: an answer, and no panic. Once as it is, and once well sealed.
    #[test]
    fn nothing_that_is_read_does_harm(
        fields in prop::collection::hash_map("[sdrcleubqh].{0,3}|[sdrcleuh]", bytes(80), 0..8),
        text in bytes(120),
    ) {
        let (ring, key) = (ring(&[1]), SessionKey::of("a"));
        let mut fields: HashMap<Vec<u8>, Vec<u8>> =
            fields.into_iter().map(|(name, value)| (name.into_bytes(), value)).collect();
        let _any = codec::record(&ring, key, fields.clone());
        fields.extend([(b"s".to_vec(), b"l".to_vec()), (b"d".to_vec(), b"1".to_vec())]);
        fields.insert(b"c".to_vec(), vec![0; 32]);
        let _any = codec::record(&ring, key, fields.clone());
        for form in [text.clone(), [&[1], &text[..]].concat()] {
            let sealed = |place: &[u8]| vmcp_keys::seal(&ring, &[b"session", key.as_bytes(), place], &form);
            for place in [&b"r"[..], b"u", b"bb", b"h"] {
                fields.insert(place.to_vec(), sealed(place));
            }
            let _any = codec::record(&ring, key, fields.clone());
            let _any = codec::read_backend(&ring, key, &id("b"), &sealed(b"bb"));
            let _any = codec::read_subscriptions(&ring, key, &sealed(b"u"));
            let _any = codec::read_handed(&ring, key, &sealed(b"h"));
            let message = vmcp_keys::seal(&ring, &[b"bus", CHANNEL.as_bytes()], &form);
            let _any = Message::opened(&ring, CHANNEL, &message);
        }
        let _any = codec::read_backend(&ring, key, &id("b"), &text);
        let _any = codec::read_subscriptions(&ring, key, &text);
        let _any = vmcp_keys::open(&ring, &[], &text);
        let _any = Message::opened(&ring, CHANNEL, &text);
        let _any = codec::number(&text);
    }
}

/// Replicas of the version before wrote no own offers, and leave alone what they do not know.
#[test]
fn own_offers_are_fields_of_their_own_that_may_be_missing() {
    let (ring, key) = (ring(&[1]), SessionKey::of("a"));
    let without = contract::record();
    let with = Record { own_offers: vec![(id("b"), Digest::of(b"1"))], ..without.clone() };
    let mut fields = held(key, &with);
    let field = fields.remove(&b"ob"[..]).expect("the field of the backend's name");
    assert_eq!(field, Digest::of(b"1").as_bytes(), "the digest as it is");
    let names = |fields: &HashMap<Vec<u8>, Vec<u8>>| {
        fields.keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(&fields), names(&held(key, &without)), "the rest is as before");
    let read = codec::record(&ring, key, fields.clone());
    assert_eq!(read, Ok(Some(without.clone())), "a record of the version before");
    // What a version after this one adds.
    fields.insert(b"x1".to_vec(), b"?".to_vec());
    assert_eq!(codec::record(&ring, key, fields.clone()), Ok(Some(without)));
    fields.insert(b"ob".to_vec(), b"?".to_vec());
    assert_eq!(codec::record(&ring, key, fields), Err("an own offer"));
}

/// The same of what backends have handed out.
#[test]
fn what_was_handed_out_is_a_field_of_its_own_that_may_be_missing() {
    let (ring, key) = (ring(&[1]), SessionKey::of("a"));
    let without = contract::record();
    let mut handed = Handed::default();
    handed.note(&id("b"), &[Digest::of(b"ui://x")]);
    let mut fields = held(key, &Record { handed, ..without.clone() });
    fields.remove(&b"h"[..]).expect("the field");
    let names = |fields: &HashMap<Vec<u8>, Vec<u8>>| {
        fields.keys().cloned().collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(names(&fields), names(&held(key, &without)), "the rest is as before");
    let read = codec::record(&ring, key, fields.clone());
    assert_eq!(read, Ok(Some(without)), "a record of the version before");
    fields.insert(b"h".to_vec(), b"?".to_vec());
    assert_eq!(codec::record(&ring, key, fields), Err("what was handed out"));
}

#[test]
fn what_was_handed_out_is_bounded() {
    let mut handed = Handed::default();
    let digest = |number: usize| Digest::of(number.to_string().as_bytes());
    for number in 0..=Handed::MOST {
        handed.note(&id("a"), &[digest(number)]);
    }
    assert_eq!(handed.iter().count(), Handed::MOST);
    assert_eq!(handed.owner(&digest(0)), None, "the oldest has gone");
    assert_eq!(handed.owner(&digest(1)), Some(&id("a")));
}

/// Another version's form is told apart from damage by nobody, and read by nobody.
#[test]
fn another_form_is_not_read() {
    let (ring, key) = (ring(&[1]), SessionKey::of("a"));
    let sealed = vmcp_keys::seal(&ring, &[b"session", key.as_bytes(), b"u"], &[2]);
    assert_eq!(codec::read_subscriptions(&ring, key, &sealed), None);
    let text = [&[2; 25][..], &[0]].concat();
    let sealed = vmcp_keys::seal(&ring, &[b"bus", CHANNEL.as_bytes()], &text);
    assert_eq!(Message::opened(&ring, CHANNEL, &sealed), None);
    let text = [&[1; 25][..], &[200]].concat();
    let sealed = vmcp_keys::seal(&ring, &[b"bus", CHANNEL.as_bytes()], &text);
    let unknown = Message::opened(&ring, CHANNEL, &sealed).map(|message| message.content);
    assert_eq!(unknown, Some(Content::Unknown), "a kind that a newer version adds");
}
