//! The contract, kept by a real Redis of every kind; and what only Redis can get wrong.

use std::{sync::Arc, time::Duration};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vmcp_testkit::redis::{MASTER, RedisSentinels, RedisServer, redis_cluster};

use super::{Address, Redis, Servers, Settings, Validation};
use crate::{Reach, Store, contract};

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

/// A store that has been reached.
async fn reached(settings: Settings) -> Arc<dyn Store> {
    let store = Redis::start(settings, &TaskTracker::new(), &CancellationToken::new());
    let reached = async {
        while store.reach() != Reach::Good {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reached).await.expect("it is reached");
    Arc::new(store)
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
