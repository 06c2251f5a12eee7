//! A thousand idle listeners of the modern era: what one costs, and that nothing is left of them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};
use vmcp_testkit::{
    client,
    gateway::Gateway,
    modern_client::{Listening, ModernClient},
    peers,
    process::Process,
};

use crate::serve;

const LISTENERS: usize = 1_000;
const ROUNDS: usize = 6;
const WORKERS: usize = 16;
/// Bytes that one may cost in a build without optimization, its connection included, and as many more
/// for each stream that it has at a backend.
const COST: u64 = 64 << 10;
/// Bytes that memory may grow by for each that is gone.
const KEPT: u64 = 1 << 10;
/// How long things may take to be given back.
const PATIENCE: Duration = Duration::from_secs(180);

/// What a process uses.
#[derive(Debug, Clone, Copy)]
struct Usage {
    memory: u64,
    descriptors: usize,
    tasks: u64,
    streams: u64,
}

impl Usage {
    async fn of(vmcp: &Process) -> Self {
        let (_, text) = client::fetch(&vmcp.url_of("/status")).await.unwrap();
        let status: Value = serde_json::from_slice(&text).unwrap();
        let number = |member: &str| status[member].as_u64().unwrap();
        Self {
            memory: vmcp.memory().unwrap(),
            descriptors: vmcp.descriptors().unwrap(),
            tasks: number("tasks"),
            streams: number("get_streams"),
        }
    }

    fn report(&self, before: &Self, what: &str, bound: u64) {
        let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / LISTENERS as f64;
        println!(
            "{what}: {:.0} bytes, {:.2} descriptors, {:.2} tasks each, over {LISTENERS}",
            each(self.memory, before.memory),
            each(self.descriptors as u64, before.descriptors as u64),
            each(self.tasks, before.tasks),
        );
        let each = self.memory.saturating_sub(before.memory) / LISTENERS as u64;
        assert!(each < bound, "{what}: {each} bytes each");
    }
}

async fn listen(vmcp: &Process, filter: &Value) -> Vec<Listening> {
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (client, filter) = (ModernClient::new(&vmcp.url()), filter.clone());
        workers.spawn(async move {
            let mut all = Vec::new();
            for _ in 0..LISTENERS / WORKERS {
                all.push(client.listen(filter.clone()).await.unwrap());
            }
            all
        });
    }
    let mut all: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    let client = ModernClient::new(&vmcp.url());
    while all.len() < LISTENERS {
        all.push(client.listen(filter.clone()).await.unwrap());
    }
    all
}

async fn until_told(all: &mut [Listening]) {
    for listening in all {
        listening.until("notifications/resources/updated").await.unwrap();
    }
}

/// Waits until there is no more of anything than before.
async fn until_left_as(before: &Usage, vmcp: &Process) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = Usage::of(vmcp).await;
        let rest = (now.streams, now.tasks, now.descriptors);
        // A probe's own connection may be open still.
        if now.streams == 0
            && now.tasks <= before.tasks
            && now.descriptors <= before.descriptors + 4
        {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "streams, tasks and descriptors left: {rest:?}, {before:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_listeners_cost_little_and_leave_nothing() {
    let peer = peers::modern().start().await.unwrap();
    let gateway = Gateway::before(&[("a", peer.url())]).with(
        "limits: {streams: 5000, streamsPerBackend: 5000, connections: 10000}\nsessions: {keepAlive: 5s}",
    );
    let vmcp = serve(&gateway).await;
    let lists =
        json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true});
    // The first pays for what all share.
    drop(listen_once(&vmcp, &lists).await);
    let mut peaks = Vec::new();
    for (what, filter, streams_of_backend) in [
        ("to lists", lists.clone(), 0),
        ("to lists and a resource", with_resource(lists), LISTENERS),
    ] {
        for _ in 0..ROUNDS {
            let before = Usage::of(&vmcp).await;
            let others = peer.subscriptions().len();
            let mut all = listen(&vmcp, &filter).await;
            let during = Usage::of(&vmcp).await;
            let streams = 1 + (streams_of_backend / LISTENERS) as u64;
            during.report(&before, what, streams * COST);
            assert_eq!(during.streams, LISTENERS as u64);
            // One connection each, and at most one to the backend besides.
            let more = during.descriptors.saturating_sub(before.descriptors);
            assert!(more <= LISTENERS + streams_of_backend + 50, "{more} descriptors more");
            let tasks = during.tasks.saturating_sub(before.tasks);
            assert!(tasks <= 2 * streams_of_backend as u64 + 50, "{tasks} tasks more");
            assert_eq!(peer.subscriptions().len() - others, streams_of_backend);
            peaks.push(during.memory);
            if streams_of_backend > 0 {
                peer.updated("modern://one");
                until_told(&mut all).await;
            }
            drop(all);
            until_left_as(&before, &vmcp).await;
            peer.until_subscriptions(others).await.unwrap();
        }
        // What is kept is in every later peak; what the machine's other work adds is in some.
        let (early, late) = peaks[peaks.len() - ROUNDS..].split_at(ROUNDS / 2);
        let (early, late) = (early.iter().min().unwrap(), late.iter().min().unwrap());
        let kept = late.saturating_sub(*early) / (ROUNDS / 2 * LISTENERS) as u64;
        println!("{what}: {kept} bytes kept of each that is gone; peaks {peaks:?}");
        assert!(kept < KEPT, "{kept} bytes are kept of each: {peaks:?}");
    }
}

async fn listen_once(vmcp: &Process, filter: &Value) -> Listening {
    ModernClient::new(&vmcp.url()).listen(filter.clone()).await.unwrap()
}

fn with_resource(mut filter: Value) -> Value {
    filter["resourceSubscriptions"] = json!(["modern://one"]);
    filter
}
