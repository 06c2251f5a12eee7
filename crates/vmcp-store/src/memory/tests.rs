//! The contract, kept by memory.

use bytes::Bytes;
use vmcp_model::Digest;

use super::{LOOKS, Memory, UNNAMED};
use crate::{
    SessionKey, Store as _, contract,
    record::{Record, Timestamp},
};

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract::check(&mut || std::sync::Arc::new(Memory::new())).await;
}

#[tokio::test]
async fn catalogs_that_nobody_asks_for_go_when_they_are_over() {
    let store = Memory::new();
    for number in 0..100_u64 {
        let digest = Digest::of(&number.to_be_bytes());
        store.put_catalog(digest, Bytes::from_static(b"{}"), Timestamp(number)).await.unwrap();
    }
    store.due(Timestamp(49), 10).await.unwrap();
    assert_eq!(store.held_catalogs(), Some(50));
    store.due(Timestamp(100), 10).await.unwrap();
    assert_eq!(store.held_catalogs(), Some(0));
    assert_eq!(store.state().catalogs.capacity(), 0);
}

/// Where lists change all the time, each change is a catalog of its own.
#[tokio::test]
async fn catalogs_that_no_record_names_go_soon() {
    let store = Memory::new();
    let [named, own, free, again] =
        ["named", "own", "free", "again"].map(|text| Digest::of(text.as_bytes()));
    let far = Timestamp(u64::MAX);
    let mut now = Timestamp(1_000_000);
    for digest in [named, own, free, again] {
        store.put_catalog(digest, Bytes::from_static(b"{}"), far).await.unwrap();
    }
    let backend = vmcp_model::BackendId::new("a").unwrap();
    let record = Record {
        catalog: named,
        own_offers: vec![(backend, own)],
        deadline: far,
        ..contract::record()
    };
    let key = SessionKey::of("session");
    assert!(store.create(key, far).await.unwrap());
    assert!(store.fill(key, record).await.unwrap());
    store.due(now, 10).await.unwrap();
    assert_eq!(store.held_catalogs(), Some(4), "a record may be on its way");
    for _ in 0..3 {
        now = now.after(UNNAMED / 2).after(LOOKS);
        assert!(store.still_holds(again), "who is about to name it keeps it");
        store.due(now, 10).await.unwrap();
    }
    assert!(!store.still_holds(free));
    for digest in [named, own, again] {
        assert!(store.catalog(digest, now).await.unwrap().is_some());
    }
    assert!(store.end(key, now).await.unwrap());
    for _ in 0..2 {
        now = now.after(UNNAMED).after(LOOKS);
        store.due(now, 10).await.unwrap();
    }
    assert_eq!(store.held_catalogs(), Some(0));
}
