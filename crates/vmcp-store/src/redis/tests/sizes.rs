//! What a session costs in Redis: the figures of docs/scaling.md.

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;
use vmcp_model::Digest;
use vmcp_testkit::redis::RedisServer;

use super::{for_server, reached};
use crate::{
    BackendRecord, ClientProfile, Record, SessionKey, Store,
    contract::{T0, TTL, id, record, session},
};

const SESSIONS: usize = 10_000;

/// The settings of Redis, and the bytes that a session may cost under them, index included.
const CASES: [(&str, usize); 2] = [("", 1600), ("hash-max-listpack-value 512", 1250)];

#[tokio::test]
async fn a_session_costs_little() {
    for (configuration, most) in CASES {
        let server = RedisServer::with(configuration).await.unwrap();
        let store = reached(for_server(&server)).await;
        let before = used(&server).await;
        for first in (0..SESSIONS).step_by(100) {
            let filling = (first..first + 100).map(|number| fill(Arc::clone(&store), number));
            filling.collect::<JoinSet<()>>().join_all().await;
        }
        let each = (used(&server).await - before) / SESSIONS;
        let names = server.say("SCAN 0 MATCH test:s:* COUNT 50").await.unwrap();
        let name = names.lines().find(|line| line.starts_with("test:s:")).unwrap();
        let alone = server.say(&format!("MEMORY USAGE {name} SAMPLES 0")).await.unwrap();
        println!("{configuration:?}: {each} bytes a session, MEMORY USAGE {alone}");
        assert!(each <= most, "{configuration:?}: {each} bytes a session");
    }
}

/// A session of an everyday client with two backend sessions.
async fn fill(store: Arc<dyn Store>, number: usize) {
    let info = br#"{"name":"example-desktop-client","title":"Example Desktop","version":"1.24.3","websiteUrl":"https://example.com"}"#;
    let capabilities =
        br#"{"roots":{"listChanged":true},"sampling":{"tools":{}},"elicitation":{"form":{},"url":{}}}"#;
    let client = ClientProfile {
        capabilities: Bytes::from_static(capabilities),
        info: Bytes::from_static(info),
        ..ClientProfile::clone(&record().client)
    };
    let key = SessionKey::of(&number.to_string());
    let record = Record { client: Arc::new(client), catalog: Digest::of(b"catalog"), ..record() };
    assert_eq!(store.create(key, T0.after(TTL)).await, Ok(true));
    assert_eq!(store.fill(key, record).await, Ok(true));
    for backend in ["github", "jira"] {
        let of_backend = format!("b7d1f8a4-52c6-4e0f-9c3e-{number:012x}");
        let opened: BackendRecord = session(&of_backend);
        store.swap_backend(key, id(backend), None, opened).await.unwrap();
    }
}

async fn used(server: &RedisServer) -> usize {
    let memory = server.say("INFO memory").await.unwrap();
    let line = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
    line.and_then(|bytes| bytes.trim().parse().ok()).expect("Redis says what it uses")
}
