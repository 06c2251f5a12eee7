//! The contract, kept by a real Redis of every kind; and what only Redis can get wrong.

mod access;
mod codec;
mod keys;
mod news;
mod outage;
mod sizes;

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vmcp_testkit::redis::{MASTER, RedisSentinels, RedisServer, redis_cluster};

use super::{Address, Redis, Servers, Settings, Validation};
use crate::{KeyRing, Reach, SessionKey, Store, Timestamp, contract};

#[tokio::test]
async fn one_server_keeps_the_contract() {
    let server = RedisServer::start().await.unwrap();
    keeps_the_contract(Servers::Single(address(&server))).await;
}

#[tokio::test]
async fn a_master_behind_sentinels_keeps_the_contract() {
    let servers = RedisSentinels::start().await.unwrap();
    keeps_the_contract(behind(&servers)).await;
}

#[tokio::test]
async fn a_cluster_keeps_the_contract() {
    let nodes = redis_cluster().await.unwrap();
    keeps_the_contract(Servers::Cluster(vec![address(&nodes[0])])).await;
}

/// What somebody else has put into the index keeps nothing from being cleared away.
#[tokio::test]
async fn what_is_foreign_is_taken_out_of_the_index() {
    let server = RedisServer::start().await.unwrap();
    let store = reached(for_server(&server)).await;
    let key = SessionKey::of("one");
    store.create(key, Timestamp(1)).await.unwrap();
    server.say("ZADD test:due 0 junk 0 more").await.unwrap();
    let due = store.due(Timestamp(u64::MAX >> 12), 10).await.unwrap();
    assert_eq!(due, [key]);
    assert_eq!(server.say("ZCARD test:due").await.unwrap(), ":1");
}

async fn keeps_the_contract(servers: Servers) {
    let mut deployments = 0;
    let mut stores = Vec::new();
    for _test in 0..32 {
        deployments += 1;
        let prefix = format!("test{deployments}:");
        stores.push(reached(Settings { prefix, ..settings(servers.clone()) }).await);
    }
    contract::check(&mut || stores.pop().expect("there are enough")).await;
}

/// A store that need not be reached.
fn started(settings: Settings) -> Arc<dyn Store> {
    Arc::new(Redis::start(settings, &TaskTracker::new(), &CancellationToken::new()))
}

/// A store that has been reached.
async fn reached(settings: Settings) -> Arc<dyn Store> {
    let store = started(settings);
    until("it is reached", || store.reach() == Reach::Good).await;
    store
}

/// Waits until something is so.
async fn until(what: &str, is: impl Fn() -> bool) {
    let waiting = async {
        while !is() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waiting).await.expect(what);
}

/// Settings for one server.
fn for_server(server: &RedisServer) -> Settings {
    settings(Servers::Single(address(server)))
}

/// A ring of such keys.
fn ring(secrets: &[u8]) -> KeyRing {
    KeyRing::of(secrets.iter().map(|secret| [*secret; 32])).expect("there is one")
}

fn settings(servers: Servers) -> Settings {
    Settings {
        servers,
        db: 0,
        username: None,
        password: None,
        tls: None,
        prefix: "test:".to_owned(),
        dial_timeout: Duration::from_secs(5),
        command_timeout: Duration::from_secs(3),
        validation: Validation::Bus { max_staleness: Duration::from_secs(1) },
        keys: None,
    }
}

fn address(server: &RedisServer) -> Address {
    Address { host: "127.0.0.1".to_owned(), port: server.port() }
}

fn behind(servers: &RedisSentinels) -> Servers {
    Servers::Sentinel {
        sentinels: servers.sentinels.iter().map(address).collect(),
        master: MASTER.to_owned(),
        username: None,
        password: None,
    }
}
