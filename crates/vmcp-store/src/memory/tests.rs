//! The contract, kept by memory.

use bytes::Bytes;
use vmcp_model::Digest;

use super::Memory;
use crate::{Store as _, contract, record::Timestamp};

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
