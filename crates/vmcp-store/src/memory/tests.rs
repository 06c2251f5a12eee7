//! The contract, kept by memory.

use super::Memory;
use crate::contract;

#[tokio::test]
async fn memory_keeps_the_contract() {
    contract::check(&mut || std::sync::Arc::new(Memory::new())).await;
}
