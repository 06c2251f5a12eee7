//! What every store promises, whatever it is made of. Each implementation runs this suite.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use vmcp_model::{BackendId, Digest, Era, LogLevel, ProtocolVersion};

use crate::{
    Announced, BackendRecord, Change, ClientProfile, Handed, News, Place, Record, SessionKey,
    Store, Swap, Timestamp,
};

/// In the future of every clock, which lets nothing expire that is to be there.
pub(crate) const T0: Timestamp = Timestamp(10_000_000_000_000);
pub(crate) const TTL: Duration = Duration::from_secs(60);

/// Runs the whole suite. `make` gives an empty store.
pub(crate) async fn check(make: &mut dyn FnMut() -> Arc<dyn Store>) {
    a_session_is_created_filled_and_loaded(&*make()).await;
    creation_has_one_winner(make()).await;
    what_has_ended_never_comes_back(&*make()).await;
    changes_are_conditional(&*make()).await;
    one_backend_session_wins(&*make()).await;
    a_question_is_answered_once(make()).await;
    deadlines_slide(&*make()).await;
    one_claim_wins(&*make()).await;
    catalogs_are_kept_while_somebody_needs_them(&*make()).await;
    keys_and_names_are_shared(&*make()).await;
    news_are_told(&*make()).await;
}

async fn a_session_is_created_filled_and_loaded(store: &dyn Store) {
    let key = SessionKey::of("a");
    assert_eq!(store.load(key, T0).await, Ok(None), "unknown");
    assert_eq!(store.fill(key, record()).await, Ok(false), "no placeholder to fill");
    assert_eq!(store.create(key, T0.after(TTL)).await, Ok(true));
    assert_eq!(store.load(key, T0).await, Ok(None), "a placeholder is not servable");
    assert_eq!(store.fill(key, record()).await, Ok(true));
    assert_eq!(store.load(key, T0).await, Ok(Some(record())));
    assert_eq!(store.fill(key, record()).await, Ok(false), "it is filled once");
    assert_eq!(store.load(key, T0.after(TTL)).await, Ok(None), "its deadline has passed");
}

async fn creation_has_one_winner(store: Arc<dyn Store>) {
    let mut tasks = tokio::task::JoinSet::new();
    for _caller in 0..16 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.create(SessionKey::of("a"), T0.after(TTL)).await });
    }
    let winners = tasks.join_all().await.into_iter().filter(|won| *won == Ok(true)).count();
    assert_eq!(winners, 1);
}

async fn what_has_ended_never_comes_back(store: &dyn Store) {
    let placeholder = SessionKey::of("placeholder");
    store.create(placeholder, T0.after(TTL)).await.unwrap();
    assert_eq!(store.end(placeholder, T0).await, Ok(true));
    assert_eq!(store.fill(placeholder, record()).await, Ok(false), "it ended while it was filled");

    let ended = live(store, "ended").await;
    store.swap_backend(ended, id("a"), None, session("1")).await.unwrap();
    assert_eq!(store.end(ended, T0).await, Ok(true));
    assert_eq!(store.end(ended, T0).await, Ok(false), "it ends once");
    nothing_brings_it_back(store, ended).await;

    let expired = live(store, "expired").await;
    store.swap_backend(expired, id("a"), None, session("1")).await.unwrap();
    let claimed = store.claim(expired, T0.after(TTL), T0.after(TTL * 2)).await.unwrap();
    assert!(claimed.is_some(), "its time is over");
    nothing_brings_it_back(store, expired).await;

    for key in [ended, expired, placeholder] {
        store.remove(key).await.unwrap();
        assert_eq!(store.end(key, T0).await, Ok(false), "it is gone");
        assert_eq!(store.claim(key, T0.after(TTL * 4), T0.after(TTL * 5)).await, Ok(None));
        nothing_changes_it(store, key).await;
    }
    assert_eq!(store.end(SessionKey::of("never was"), T0).await, Ok(false));
    assert_eq!(store.records().await, Ok(0), "nothing was left, and nothing was made");
}

/// Every command that comes late, from a replica that does not know yet.
async fn nothing_brings_it_back(store: &dyn Store, key: SessionKey) {
    assert_eq!(store.create(key, T0.after(TTL)).await, Ok(false));
    nothing_changes_it(store, key).await;
}

async fn nothing_changes_it(store: &dyn Store, key: SessionKey) {
    let changes = [
        Change::LogLevel(LogLevel::Error),
        Change::Subscribe("u:1".into()),
        Change::Unsubscribe("u:1".into()),
        Change::Catalog { from: record().catalog, to: Digest::of(b"1") },
        own_offer("a", None, Some("1")),
        own_offer("a", Some("1"), None),
        Change::StreamEpoch(7),
        hand_out("a", &["u:1"]),
    ];
    for change in changes {
        assert_eq!(store.change(key, change.clone()).await, Ok(false), "{change:?}");
    }
    assert_eq!(store.fill(key, record()).await, Ok(false));
    for (backend, expected) in [("a", Some(session("1"))), ("b", None)] {
        let swapped = store.swap_backend(key, id(backend), expected, session("2")).await;
        assert_eq!(swapped, Ok(Swap::Gone));
        assert_eq!(store.backend(key, id(backend)).await, Ok(None));
    }
    assert_eq!(store.refresh(vec![key], T0.after(TTL)).await, Ok(vec![false]));
    assert_eq!(store.ask(key, Digest::of(b"question")).await, Ok(false));
    assert_eq!(store.answer(key, Digest::of(b"question")).await, Ok(false));
    assert_eq!(store.load(key, T0).await, Ok(None));
}

async fn changes_are_conditional(store: &dyn Store) {
    let key = live(store, "a").await;
    let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
    let changes = [
        (Change::LogLevel(LogLevel::Alert), true),
        (Change::Subscribe("u:1".into()), true),
        (Change::Subscribe("u:1".into()), true),
        (Change::Subscribe("u:2".into()), true),
        (Change::Unsubscribe("u:1".into()), true),
        (Change::Catalog { from: record().catalog, to: one }, true),
        (Change::Catalog { from: record().catalog, to: two }, false),
        (own_offer("b", None, Some("1")), true),
        (own_offer("b", None, Some("2")), false),
        (own_offer("b", Some("2"), None), false),
        (own_offer("b", Some("1"), Some("2")), true),
        (own_offer("a", None, Some("3")), true),
        (own_offer("c", None, Some("4")), true),
        (own_offer("c", Some("4"), None), true),
        (own_offer("d", None, None), true),
        (Change::StreamEpoch(2), true),
        (Change::StreamEpoch(2), false),
        (Change::StreamEpoch(1), false),
        (hand_out("a", &["u:1", "u:2"]), true),
        (hand_out("b", &["u:1"]), true),
    ];
    for (change, expected) in changes {
        assert_eq!(store.change(key, change.clone()).await, Ok(expected), "{change:?}");
    }
    let mut handed = Handed::default();
    handed.note(&id("a"), &[Digest::of(b"u:2")]);
    handed.note(&id("b"), &[Digest::of(b"u:1")]);
    let changed = Record {
        handed,
        log_level: Some(LogLevel::Alert),
        subscriptions: vec!["u:2".into()],
        catalog: one,
        stream_epoch: 2,
        own_offers: vec![(id("a"), Digest::of(b"3")), (id("b"), Digest::of(b"2"))],
        ..record()
    };
    assert_eq!(store.load(key, T0).await, Ok(Some(changed)));
}

async fn one_backend_session_wins(store: &dyn Store) {
    let key = live(store, "a").await;
    let swap =
        |expected: Option<BackendRecord>, new| store.swap_backend(key, id("b"), expected, new);
    assert_eq!(swap(None, session("1")).await, Ok(Swap::Done));
    assert_eq!(swap(None, session("2")).await, Ok(Swap::Lost(session("1"))), "the second opener");
    assert_eq!(swap(Some(session("1")), session("3")).await, Ok(Swap::Done), "healed");
    assert_eq!(swap(Some(session("1")), session("4")).await, Ok(Swap::Lost(session("3"))));
    store.swap_backend(key, id("a"), None, session("5")).await.unwrap();
    let loaded = store.load(key, T0).await.unwrap().unwrap();
    assert_eq!(loaded.backends, [(id("a"), session("5")), (id("b"), session("3"))]);
    assert_eq!(store.backend(key, id("b")).await, Ok(Some(Some(session("3")))));
    assert_eq!(store.backend(key, id("c")).await, Ok(Some(None)));
    assert_eq!(store.backend(SessionKey::of("unknown"), id("b")).await, Ok(None));
}

async fn a_question_is_answered_once(store: Arc<dyn Store>) {
    let key = live(&*store, "a").await;
    let question = Digest::of(b"question");
    assert_eq!(store.answer(key, question).await, Ok(false), "nobody has asked");
    assert_eq!(store.ask(key, question).await, Ok(true));
    assert_eq!(store.answer(key, Digest::of(b"another")).await, Ok(false));
    let mut tasks = tokio::task::JoinSet::new();
    for _replica in 0..16 {
        let store = Arc::clone(&store);
        tasks.spawn(async move { store.answer(key, question).await });
    }
    let taken = tasks.join_all().await.into_iter().filter(|taken| *taken == Ok(true)).count();
    assert_eq!(taken, 1);
    store.ask(key, question).await.unwrap();
    store.end(key, T0).await.unwrap();
    assert_eq!(store.answer(key, question).await, Ok(false), "the session has ended");
    assert_eq!(store.ask(key, question).await, Ok(false));
}

async fn deadlines_slide(store: &dyn Store) {
    let (kept, idle) = (live(store, "kept").await, live(store, "idle").await);
    let later = T0.after(TTL);
    let unknown = SessionKey::of("unknown");
    let stands = store.refresh(vec![kept, unknown], later.after(TTL)).await;
    assert_eq!(stands, Ok(vec![true, false]));
    assert_eq!(store.refresh(vec![kept], T0).await, Ok(vec![true]), "never backwards");
    assert!(store.due(later, 10).await.unwrap().contains(&idle));
    assert_eq!(store.claim(kept, later, later.after(TTL)).await, Ok(None), "it has been used");
    assert_eq!(store.due(later, 10).await, Ok(vec![idle]), "which is known from then on");
    assert!(store.load(kept, later).await.unwrap().is_some());
}

async fn one_claim_wins(store: &dyn Store) {
    let key = live(store, "a").await;
    store.swap_backend(key, id("b"), None, session("1")).await.unwrap();
    let (now, until) = (T0.after(TTL), T0.after(TTL * 2));
    assert_eq!(store.claim(key, T0, until).await, Ok(None), "it is not due");
    let tombstone = store.claim(key, now, until).await.unwrap().expect("it is due");
    assert_eq!(tombstone.backends, [(id("b"), session("1"))]);
    assert_eq!(store.claim(key, now, until).await, Ok(None), "it is claimed");
    assert_eq!(store.load(key, T0).await, Ok(None), "a claim ends it");
    assert_eq!(store.due(now, 10).await, Ok(vec![]));
    assert_eq!(store.due(until, 10).await, Ok(vec![key]), "the claimer died");
    assert!(store.claim(key, until, until.after(TTL)).await.unwrap().is_some());
    store.remove(key).await.unwrap();
    assert_eq!(store.records().await, Ok(0));
    let alive = live(store, "b").await;
    store.remove(alive).await.unwrap();
    assert!(store.load(alive, T0).await.unwrap().is_some(), "only a tombstone is removed");
}

async fn catalogs_are_kept_while_somebody_needs_them(store: &dyn Store) {
    let digest = Digest::of(b"catalog");
    let bytes = Bytes::from_static(b"{}");
    assert_eq!(store.catalog(digest, T0).await, Ok(None));
    store.put_catalog(digest, bytes.clone(), T0.after(TTL)).await.unwrap();
    store.put_catalog(digest, bytes.clone(), T0).await.unwrap();
    assert_eq!(store.catalog(digest, T0).await, Ok(Some(bytes)));
    assert_eq!(store.catalog(digest, T0.after(TTL)).await, Ok(None));
}

async fn keys_and_names_are_shared(store: &dyn Store) {
    assert_eq!(store.keys(), store.keys());
    let name = || "replica".to_owned();
    assert_eq!(store.replica(name(), T0).await, Ok(None));
    for address in [None, Some("10.1.2.3:4484"), Some("[2001:db8::1]:4484")] {
        let announced = Announced { address: address.map(Box::from) };
        store.announce_replica(name(), announced.address.clone(), T0.after(TTL)).await.unwrap();
        assert_eq!(store.replica(name(), T0).await, Ok(Some(announced)));
        assert_eq!(store.replica(name(), T0.after(TTL)).await, Ok(None));
    }
    assert_eq!(store.replica("other".to_owned(), T0).await, Ok(None));
}

/// News of this very process need not come back.
async fn news_are_told(store: &dyn Store) {
    let told = store.publish(News::Ended(SessionKey::of("a"))).await;
    assert_eq!(told, Ok(()));
}

pub(crate) async fn live(store: &dyn Store, name: &str) -> SessionKey {
    let key = SessionKey::of(name);
    assert_eq!(store.create(key, T0.after(TTL)).await, Ok(true));
    assert_eq!(store.fill(key, record()).await, Ok(true));
    key
}

pub(crate) fn record() -> Record {
    Record {
        created: T0,
        deadline: T0.after(TTL),
        client: Arc::new(ClientProfile {
            version: ProtocolVersion::LATEST_LEGACY,
            capabilities: Bytes::from_static(b"{}"),
            info: Bytes::from_static(b"{}"),
        }),
        owner: Digest::of(b"owner"),
        catalog: Digest::of(b"0"),
        log_level: None,
        subscriptions: vec![],
        stream_epoch: 0,
        backends: vec![],
        own_offers: vec![],
        handed: Handed::default(),
    }
}

fn hand_out(backend: &str, uris: &[&str]) -> Change {
    let uris = uris.iter().map(|uri| Digest::of(uri.as_bytes())).collect();
    Change::HandOut { backend: id(backend), uris }
}

fn own_offer(backend: &str, from: Option<&str>, to: Option<&str>) -> Change {
    let digest = |text: &str| Digest::of(text.as_bytes());
    Change::OwnOffer { backend: id(backend), from: from.map(digest), to: to.map(digest) }
}

pub(crate) fn session(session_id: &str) -> BackendRecord {
    BackendRecord {
        session_id: Some(session_id.into()),
        version: ProtocolVersion::LATEST_LEGACY,
        era: Era::Legacy,
        place: Place::Address(Digest::of(b"url")),
    }
}

pub(crate) fn id(name: &str) -> BackendId {
    BackendId::new(name).unwrap()
}
