//! The end of a session, as the other replicas notice it.

use http::StatusCode;
use tokio::{
    sync::watch,
    time::{Duration, Instant},
};
use vmcp_testkit::{
    cluster::{Caller, Cluster, Relay, Silent},
    gateway::{Gateway, eventually},
    peers,
    raw::Running,
    redis::RedisServer,
};

use super::{of_each, over};

const ROUNDS: usize = 30;

/// How long a replica may serve a session that has ended elsewhere, and what measuring adds.
const MOST: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_millis(150);
/// After this long it is for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three replicas, each with a relay between it and Redis.
struct Relayed {
    backend: Running,
    cluster: Cluster,
    relays: Vec<Relay>,
    _redis: RedisServer,
}

impl Relayed {
    async fn start(keys: &str) -> Self {
        let backend = peers::stateful().start().await.unwrap();
        let redis = RedisServer::start().await.unwrap();
        let mut relays = Vec::new();
        for _replica in 0..3 {
            relays.push(Relay::to(redis.port()).await.unwrap());
        }
        let gateway = || Gateway::before(&[("a", backend.url())]);
        let all = relays.iter().map(|relay| over(gateway(), &relay.address(), keys).yaml());
        let cluster = of_each(all.collect::<Vec<_>>()).await;
        Self { backend, cluster, relays, _redis: redis }
    }

    /// Opens a session, uses it on all replicas, ends it on the first while the others are called
    /// without pause, and says how long after the end's answer each of them still took a call that
    /// it then served. `None`: none.
    async fn end_one(&self, just_before: impl FnOnce()) -> [Option<Duration>; 2] {
        let mut first = Caller::connect(&self.cluster.url_of(0)).await.unwrap();
        first.call("a_count").await.unwrap().count().unwrap();
        let [mut second, mut third] = [1, 2].map(|replica| first.at(&self.cluster.url_of(replica)));
        for other in [&mut second, &mut third] {
            other.call("a_count").await.unwrap().count().unwrap();
        }
        just_before();
        let (ended, told) = watch::channel(None);
        let ending = async {
            assert_eq!(first.delete().await.unwrap().status, StatusCode::OK);
            ended.send_replace(Some(Instant::now()));
        };
        let others = (serve_on(second, told.clone()), serve_on(third, told));
        let (second, third, ()) = tokio::join!(others.0, others.1, ending);
        [second, third]
    }
}

/// Asks for the tools, which needs no backend, until the session is refused, and says how long after
/// the end the last request that was served began.
async fn serve_on(mut caller: Caller, ended: watch::Receiver<Option<Instant>>) -> Option<Duration> {
    let mut last = None;
    loop {
        let end = *ended.borrow();
        let began = Instant::now();
        let answer = caller.list().await.unwrap();
        match answer.status {
            StatusCode::OK => last = end.map(|end| began - end).or(last),
            StatusCode::NOT_FOUND => return last,
            status => panic!("{status}: {answer:?}"),
        }
        let so_far = end.map(|end| end.elapsed()).unwrap_or_default();
        assert!(so_far < PATIENCE, "it is served for ever: {answer:?}");
    }
}

/// The middle and the most of them.
fn report(what: &str, mut served: Vec<Option<Duration>>) -> (Duration, Duration) {
    served.sort_unstable();
    let at = |part: usize| served[(served.len() - 1) * part / 100].unwrap_or_default();
    let none = served.iter().filter(|served| served.is_none()).count();
    let (p50, p90, most) = (at(50), at(90), at(100));
    println!(
        "{what}: served on after DELETE by {} replicas: not at all {none}, p50 {p50:?}, p90 {p90:?}, max {most:?}",
        served.len()
    );
    (at(50), most)
}

#[tokio::test]
async fn others_hear_of_the_end_at_once() {
    let relayed = Relayed::start("maxStaleness: 1s").await;
    let mut served = Vec::new();
    for _round in 0..ROUNDS {
        served.extend(relayed.end_one(|| {}).await);
    }
    // A machine that has other work to do delays some of the news, not most of them.
    let (middle, most) = report("bus", served);
    assert!(middle < MOST / 4 && most <= MOST + SLACK, "{middle:?}, {most:?}");
    // What belonged to the sessions is given back.
    eventually("their backend sessions are closed", async || {
        (relayed.backend.counters().deletes() == ROUNDS as u64).then_some(())
    })
    .await;
}

/// The bus falls silent for one replica, which nobody tells.
#[tokio::test]
async fn the_end_is_noticed_in_time_when_the_bus_is_cut_off() {
    let relayed = Relayed::start("maxStaleness: 1s").await;
    let mut served = Vec::new();
    for _round in 0..6 {
        let cut_off = || relayed.relays[1].silence(Silent::Subscriptions);
        let [second, _] = relayed.end_one(cut_off).await;
        served.push(second);
        relayed.relays[1].silence(Silent::Nothing);
        // It is relied upon again, and hears of ends at once.
        eventually("the bus is back", async || {
            let [second, _] = relayed.end_one(|| {}).await;
            (second.unwrap_or_default() < MOST / 4).then_some(())
        })
        .await;
    }
    assert!(report("bus cut off", served).1 <= MOST + SLACK);
}

#[tokio::test]
async fn nobody_serves_on_if_every_request_is_checked() {
    let relayed = Relayed::start("validation: perRequest").await;
    let mut served = Vec::new();
    for round in 0..ROUNDS {
        let silent = if round % 2 == 0 { Silent::Nothing } else { Silent::Subscriptions };
        served.extend(relayed.end_one(|| relayed.relays[1].silence(silent)).await);
    }
    let most = report("perRequest", served.clone());
    assert!(served.iter().all(Option::is_none), "{most:?}");
}

/// A call that finds its backend session closed learns why: the session is over, not the backend.
#[tokio::test]
async fn a_call_on_a_session_that_has_ended_unheard_says_that_it_has_ended() {
    let relayed = Relayed::start("maxStaleness: 3s").await;
    let mut first = Caller::connect(&relayed.cluster.url_of(0)).await.unwrap();
    let mut second = first.at(&relayed.cluster.url_of(1));
    for caller in [&mut first, &mut second] {
        caller.call("a_count").await.unwrap().count().unwrap();
    }
    relayed.relays[1].silence(Silent::Subscriptions);
    assert_eq!(first.delete().await.unwrap().status, StatusCode::OK);
    eventually("its backend session is closed", async || {
        (relayed.backend.counters().deletes() == 1).then_some(())
    })
    .await;
    let answer = second.call("a_count").await.unwrap();
    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{answer:?}");
}
