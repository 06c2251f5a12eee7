//! Records that move to another server: by Sentinels, and within a cluster.

use std::collections::BTreeMap;

use http::StatusCode;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep},
};
use vmcp_testkit::{
    cluster::{Caller, Cluster, Load},
    gateway::{Gateway, eventually},
    peers,
    raw::Running,
    redis::{MASTER, RedisSentinels, RedisServer, redis_cluster},
};

use super::{Places, assert_outage_only, recovery, timed};
use crate::cluster::{COMMAND, assert_right, assert_within, load_of, replicated, stored};

const PREFIX: &str = "thv:vmcp:session:s:";

#[tokio::test]
async fn a_failover_by_sentinels_loses_nothing() {
    let mut servers = RedisSentinels::start().await.unwrap();
    let backend = peers::stateful().start().await.unwrap();
    let addresses: Vec<_> =
        servers.sentinels.iter().map(|sentinel| format!("'{}'", sentinel.address())).collect();
    let keys = format!("sentinel: {{addresses: [{}], master: {MASTER}}}", addresses.join(", "));
    let cluster = replicated(2, &stored(Gateway::before(&[("a", backend.url())]), &keys)).await;
    let load = Load::start(&cluster.url(), &load_of(50)).await.unwrap();
    load.more(200).await;
    let mut places = Places::open(&cluster).await;
    // What is copied is copied a moment later.
    sleep(Duration::from_millis(200)).await;
    servers.master.kill().await.unwrap();
    let killed = Instant::now();
    recovery(&cluster).await;
    let took = killed.elapsed();
    assert_eq!(places.elsewhere.call("a_count").await.unwrap().count().unwrap(), 2);
    assert_eq!(places.known.call("a_count").await.unwrap().count().unwrap(), 3);
    assert_eq!(places.to_end.delete().await.unwrap().status, StatusCode::OK);
    load.more(300).await;
    let tally = load.stop().await;
    println!("failed over by Sentinels in {took:?}: {tally}");
    assert_outage_only(&tally, None);
}

/// Replicas before a backend, over a Redis Cluster.
struct Parted {
    nodes: Vec<RedisServer>,
    backend: Running,
    cluster: Cluster,
}

impl Parted {
    async fn start(keys: &str) -> Self {
        let nodes = redis_cluster().await.unwrap();
        let backend = peers::stateful().start().await.unwrap();
        let addresses: Vec<_> = nodes.iter().map(|node| format!("'{}'", node.address())).collect();
        let keys = format!("cluster: {{addresses: [{}]}}, {keys}", addresses.join(", "));
        let gateway = stored(Gateway::before(&[("a", backend.url())]), &keys);
        let cluster = replicated(2, &gateway).await;
        Self { nodes, backend, cluster }
    }

    /// The records on a node.
    async fn records(&self, node: usize) -> Vec<String> {
        let keys = self.nodes[node].say(&format!("KEYS {PREFIX}*")).await.unwrap();
        keys.lines()
            .filter(|line| line.starts_with(PREFIX))
            .map(|line| line.trim().to_owned())
            .collect()
    }

    /// Opens sessions, live on the first replica, and says on which node the record of each is.
    async fn sessions(&self, count: usize) -> BTreeMap<usize, Vec<Caller>> {
        let mut by_node: BTreeMap<usize, Vec<Caller>> = BTreeMap::new();
        let mut before = [0; 3];
        for _session in 0..count {
            let mut caller = Caller::connect(&self.cluster.url_of(0)).await.unwrap();
            caller.call("a_count").await.unwrap().count().unwrap();
            for (node, before) in before.iter_mut().enumerate() {
                let now = self.records(node).await.len();
                if now > *before {
                    by_node.entry(node).or_default().push(caller.at(&self.cluster.url_of(0)));
                }
                *before = now;
            }
        }
        by_node
    }
}

#[tokio::test]
async fn a_node_that_dies_harms_no_session_of_the_others() {
    let mut parted = Parted::start("").await;
    let sessions = parted.sessions(24).await;
    let load = Load::start(&parted.cluster.url(), &load_of(30)).await.unwrap();
    load.more(150).await;
    parted.nodes[1].kill().await.unwrap();
    let until = Instant::now() + super::outage();
    let mut looking = JoinSet::new();
    for (node, callers) in sessions {
        let urls = [0, 1].map(|replica| parted.cluster.url_of(replica));
        looking.spawn(async move { look_at(node, &callers, &urls, until).await });
    }
    looking.join_all().await;
    let tally = load.stop().await;
    println!("one of three nodes killed: {tally}");
    assert_outage_only(&tally, None);
}

/// Calls in sessions of one node, on the replica that knows them and on one that has to ask.
async fn look_at(node: usize, callers: &[Caller], urls: &[String; 2], until: Instant) {
    let (mut looks, mut times) = (0, Vec::new());
    while Instant::now() < until || looks < callers.len() {
        let caller = &callers[looks % callers.len()];
        let count = caller.at(&urls[0]).call("a_count").await.unwrap().count();
        count.expect("a session that is known is served");
        let (took, answer) = timed(caller.at(&urls[1]).list()).await;
        let expected = if node == 1 { 503 } else { 200 };
        assert_eq!(answer.status, expected, "a session of node {node}: {answer:?}");
        times.push(took);
        looks += 1;
        sleep(Duration::from_millis(20)).await;
    }
    let slowest = times.iter().max();
    println!("  looked at sessions of node {node} {looks} times, which took {slowest:?} at most");
    // The first look at each session is where the other replica asks the store.
    let first = times[..callers.len()].to_vec();
    let most = if node == 1 { COMMAND } else { Duration::ZERO };
    assert_within(&format!("the first looks at node {node}"), first, most);
    assert_within(&format!("the looks at node {node}"), times, most);
}

/// Every request asks the store, while the slots of its records move to another node and back.
#[tokio::test]
async fn no_call_fails_while_slots_move() {
    let parted = Parted::start("validation: perRequest").await;
    let load = Load::start(&parted.cluster.url(), &load_of(60)).await.unwrap();
    load.more(200).await;
    let mut moved = 0;
    for record in parted.records(0).await.into_iter().take(10) {
        let slot = parted.nodes[0].say(&format!("CLUSTER KEYSLOT {record}")).await.unwrap();
        let slot: u16 = slot.trim_start_matches(':').parse().unwrap();
        move_slot(&parted.nodes, slot, 0, 1).await;
        load.more(30).await;
        if moved % 2 == 0 {
            move_slot(&parted.nodes, slot, 1, 0).await;
        }
        moved += 1;
    }
    load.more(300).await;
    let tally = load.stop().await;
    println!("{moved} slots moved: {tally}");
    assert_right(&tally);
    assert_eq!(tally.failed(), 0, "{tally}\n{:#?}", tally.examples);
    assert!(moved > 3, "{moved}");
    let opened = parted.backend.counters().initializes();
    assert!(opened <= 60 + 2, "{opened}");
}

/// Moves a slot as `redis-cli --cluster reshard` does, slowly enough for requests to come between.
async fn move_slot(nodes: &[RedisServer], slot: u16, from: usize, to: usize) {
    let mut ids = Vec::new();
    for node in nodes {
        let id = node.say("CLUSTER MYID").await.unwrap();
        ids.push(id.lines().last().unwrap().trim().to_owned());
    }
    let say = async |node: usize, command: String| {
        let answer = nodes[node].say(&command).await.unwrap();
        assert!(!answer.starts_with('-'), "{command}: {answer}");
        answer
    };
    say(to, format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids[from])).await;
    say(from, format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids[to])).await;
    sleep(Duration::from_millis(50)).await;
    let keys = say(from, format!("CLUSTER GETKEYSINSLOT {slot} 100")).await;
    for key in keys.lines().map(str::trim).filter(|line| line.starts_with("thv:")) {
        let port = nodes[to].port();
        say(from, format!("MIGRATE 127.0.0.1 {port} {key} 0 1000")).await;
    }
    sleep(Duration::from_millis(50)).await;
    for node in [to, from, 2] {
        say(node, format!("CLUSTER SETSLOT {slot} NODE {}", ids[to])).await;
    }
    eventually("the slot has moved", async || {
        let there = say(to, format!("CLUSTER COUNTKEYSINSLOT {slot}")).await;
        (there != ":0").then_some(())
    })
    .await;
}
