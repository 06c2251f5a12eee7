//! Clocks that are wrong, and a Redis that has lost what it held: nobody's session ends by that.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::{Duration, sleep};
use vmcp_testkit::{
    clock::TestClock,
    cluster::{Caller, Cluster, Load, Outcome},
    gateway::{Gateway, eventually},
    peers,
    process::Program,
    raw::Running,
    redis::RedisServer,
};

use super::{Fixture, assert_right, load_of, over};

const MINUTES_40: i64 = 40 * 60;
const DAYS_2: i64 = 2 * 24 * 3600;

/// What looks for sessions that are over does so once a second.
const TTL: &str = "sessions: {ttl: 20s}";

fn gateway(backend: &Running, redis: &RedisServer) -> Gateway {
    over(Gateway::before(&[("a", backend.url())]).with(TTL), &redis.address(), "")
}

/// Sessions that call on all replicas in turn and one that does not, while something is done.
async fn survives(cluster: &Cluster, disturb: impl AsyncFnOnce()) {
    let mut idle = Caller::connect(&cluster.url_of(0)).await.unwrap();
    idle.call("a_count").await.unwrap().count().unwrap();
    let load = Load::start(&cluster.url(), &load_of(12)).await.unwrap();
    load.more(100).await;
    disturb().await;
    // Longer than it takes to look for what is over, on every replica.
    sleep(Duration::from_secs(4)).await;
    load.more(200).await;
    let tally = load.stop().await;
    println!("{tally}");
    assert_right(&tally);
    assert_eq!(tally.failed(), 0, "{tally}\n{:#?}", tally.examples);
    for number in 0..3 {
        let counted = idle.at(&cluster.url_of(number)).call("a_count").await.unwrap();
        counted.count().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_whose_clocks_are_wrong_end_nobodys_sessions() {
    let backend = peers::stateful().start().await.unwrap();
    let redis = RedisServer::start().await.unwrap();
    for shifts in [[0, MINUTES_40, -MINUTES_40], [0, DAYS_2, -DAYS_2]] {
        let clocks = shifts.map(|seconds| TestClock::ahead(seconds).unwrap());
        let yaml = gateway(&backend, &redis).yaml();
        let program =
            |clock: &TestClock| clock.over(Program::vmcp(env!("CARGO_BIN_EXE_vmcp"), &yaml));
        let cluster = Cluster::of(clocks.iter().map(program)).await.unwrap();
        survives(&cluster, async || {}).await;
        for number in [1, 2] {
            cluster.replica(number).logged("set this machine's clock right").await;
        }
        // A session that begins on one whose clock is wrong is everybody's, too.
        survives(&cluster, async || {
            for number in 0..3 {
                let mut begun = Caller::connect(&cluster.url_of(number)).await.unwrap();
                begun.call("a_count").await.unwrap().count().unwrap();
                let mut elsewhere = begun.at(&cluster.url_of((number + 1) % 3));
                elsewhere.call("a_count").await.unwrap().count().unwrap();
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_of_redis_that_jumps_ends_nobodys_sessions() {
    let backend = peers::stateful().start().await.unwrap();
    let clock = TestClock::ahead(0).unwrap();
    let redis = RedisServer::by(&clock).await.unwrap();
    let yaml = gateway(&backend, &redis).yaml();
    let mut cluster =
        Cluster::start(env!("CARGO_BIN_EXE_vmcp"), [yaml.clone(), yaml.clone(), yaml])
            .await
            .unwrap();
    for seconds in [MINUTES_40, DAYS_2, -MINUTES_40, 0] {
        survives(&cluster, async || {
            clock.set_ahead(seconds).unwrap();
            let time = redis.say("TIME").await.unwrap();
            let shown: i64 = time.lines().nth(2).unwrap().trim().parse().unwrap();
            let right = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
            let difference = shown - i64::try_from(right).unwrap() - seconds;
            assert!(difference.abs() < 60, "{time:?}");
        })
        .await;
    }
    // Whoever comes when it has jumped goes by the same time.
    clock.set_ahead(DAYS_2).unwrap();
    cluster.terminate(2).await.unwrap();
    cluster.restart(2).await.unwrap();
    survives(&cluster, async || {}).await;
}

/// Redis has lost everything, or the keys alone, and a new replica comes and makes keys of its own.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_agree_again_about_keys_that_redis_has_lost() {
    let Fixture { backend: _backend, redis, mut cluster } = Fixture::start(3, "").await;
    for lost in ["FLUSHALL", "DEL thv:vmcp:session:keys"] {
        let load = Load::start(&cluster.url(), &load_of(12)).await.unwrap();
        load.more(50).await;
        cluster.terminate(2).await.unwrap();
        redis.say(lost).await.unwrap();
        cluster.restart(2).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        load.more(200).await;
        let tally = load.stop().await;
        println!("{lost}: {tally}");
        assert_right(&tally);
        for outcome in tally.calls.iter().map(|call| call.outcome) {
            // What was lost is unknown from then on; while replicas agree, some are told to come again.
            let lost_it = matches!(outcome, Outcome::Refused { status: 404, .. });
            let later = matches!(outcome, Outcome::Refused { status: 503, says_when: true });
            let fine = matches!(outcome, Outcome::Counted | Outcome::Cut) || later;
            assert!(fine || (lost == "FLUSHALL" && lost_it), "{outcome:?}: {tally}");
        }
        for number in 0..3 {
            let served = async || is_served_by_all(&cluster, number).await;
            eventually("a session is served by every replica", served).await;
        }
    }
}

/// Whether a session that begins on one replica is served by all.
async fn is_served_by_all(cluster: &Cluster, number: usize) -> Option<()> {
    let mut begun = Caller::connect(&cluster.url_of(number)).await.ok()?;
    begun.call("a_count").await.ok()?.count().ok()?;
    for other in 0..3 {
        begun.at(&cluster.url_of(other)).call("a_count").await.ok()?.count().ok()?;
    }
    Some(())
}
