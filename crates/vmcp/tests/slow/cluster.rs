//! Several replicas over one real Redis, behind a balancer without affinity: what their clients can
//! rely on whatever happens to replicas and to Redis.

mod clocks;
mod cold;
mod ending;
mod far;
mod handed;
mod kinds;
mod lifetimes;
mod openings;
mod outage;
mod own;
mod replaced;
mod rights;
mod rolling;
mod secrets;
mod shared;
mod strangers;

use std::time::Duration;

use tokio::time::Instant;
use vmcp_testkit::{
    cluster::{Cluster, Outcome, Settings, Tally},
    gateway::{Gateway, eventually},
    peers,
    raw::Running,
    redis::RedisServer,
};

/// How long a command to Redis may take in these tests.
const COMMAND: Duration = Duration::from_secs(1);

/// What a busy machine may add to nine of ten requests.
const SLACK: Duration = Duration::from_millis(700);

/// Replicas before a backend that counts, `a`, over a Redis of their own.
struct Fixture {
    backend: Running,
    redis: RedisServer,
    cluster: Cluster,
}

impl Fixture {
    /// With so many replicas that all watch the backend. `keys` are more keys of `sessionStorage`.
    async fn start(replicas: usize, keys: &str) -> Self {
        let backend = peers::stateful().start().await.unwrap();
        let redis = RedisServer::start().await.unwrap();
        let gateway = Gateway::before(&[("a", backend.url())]);
        let cluster = replicated(replicas, &over(gateway, &redis.address(), keys)).await;
        watched(&backend, replicas).await;
        Self { backend, redis, cluster }
    }
}

/// Waits until this backend has one session with each of so many replicas, by which they watch it.
///
/// A replica that finds the backend's lists in the store is ready before it has that session.
async fn watched(backend: &Running, replicas: usize) {
    eventually("each replica watches the backend", async || {
        (backend.sessions().len() == replicas).then_some(())
    })
    .await;
}

/// A gateway that keeps its sessions in the Redis at this address.
fn over(gateway: Gateway, address: &str, keys: &str) -> Gateway {
    stored(gateway, &format!("address: '{address}', {keys}"))
}

/// A gateway that keeps its sessions in the Redis that these keys name.
fn stored(gateway: Gateway, keys: &str) -> Gateway {
    let timeout = COMMAND.as_millis();
    gateway.with(&format!(
        "sessionStorage: {{provider: redis, dialTimeout: {timeout}ms, commandTimeout: {timeout}ms, {keys}}}"
    ))
}

/// So many replicas of one configuration.
async fn replicated(replicas: usize, gateway: &Gateway) -> Cluster {
    of_each((0..replicas).map(|_replica| gateway.yaml())).await
}

/// A replica of each configuration.
async fn of_each(configurations: impl IntoIterator<Item = String>) -> Cluster {
    Cluster::start(env!("CARGO_BIN_EXE_vmcp"), configurations).await.unwrap()
}

/// Sessions that call the backend `a`.
fn load_of(sessions: usize) -> Settings {
    Settings { sessions, tool: "a_count".to_owned(), pause: Duration::from_millis(20) }
}

/// Something that was done to the cluster, from when to when.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Instant,
    to: Instant,
}

impl Span {
    async fn of<T>(doing: impl Future<Output = T>) -> (Self, T) {
        let from = Instant::now();
        let done = doing.await;
        (Self { from, to: Instant::now() }, done)
    }
}

/// Insists that nine of ten requests were answered within so long, give and take what a busy machine
/// adds, and each at all. What waits for one thing too many does so each time; a machine that has other
/// work holds up some.
#[track_caller]
fn assert_within(what: &str, mut times: Vec<Duration>, most: Duration) {
    times.sort_unstable();
    let Some(slowest) = times.last() else { return };
    assert!(times[(times.len() - 1) * 9 / 10] < most + SLACK, "{what}: {times:?}");
    assert!(*slowest < 20 * COMMAND, "{what}: {times:?}");
}

/// Insists that every count was right.
#[track_caller]
fn assert_right(tally: &Tally) {
    assert!(tally.wrong.is_empty(), "{tally}\n{:#?}\n{:#?}", tally.wrong, tally.examples);
}

/// Insists that calls failed only if they were under way while something was done, without an
/// answer.
#[track_caller]
fn assert_cut_only_in(tally: &Tally, spans: &[Span]) {
    for call in tally.calls.iter().filter(|call| call.outcome != Outcome::Counted) {
        let hit =
            spans.iter().any(|span| call.began <= span.to && call.began + call.took >= span.from);
        let examples = &tally.examples;
        assert!(hit && call.outcome == Outcome::Cut, "{call:?}\n{tally}\n{examples:#?}");
    }
}
