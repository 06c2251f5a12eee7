//! Redis out of reach, under load: the outage table of the design, and the way back.

mod moved;
mod questions;

use std::sync::Arc;

use http::StatusCode;
use tokio::time::{Duration, Instant, sleep};
use vmcp_testkit::{
    client::fetch,
    cluster::{Answer, Call, Caller, Cluster, Load, Outcome, Tally},
    gateway::{Gateway, eventually},
    identity::{AUDIENCE, IdentityProvider},
    peers,
    redis::RedisServer,
};

use super::{COMMAND, Fixture, assert_right, assert_within, load_of, over, replicated};

const UNKNOWN: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// How long an outage lasts; `VMCP_TEST_OUTAGE` seconds, for runs by hand.
fn outage() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
    let seconds = std::env::var("VMCP_TEST_OUTAGE").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(4))
}

/// Sessions of two replicas, in known places.
struct Places {
    /// Live on the first replica only.
    known: Caller,
    /// The same session, at the second one.
    elsewhere: Caller,
    /// One that is to be ended in vain.
    to_end: Caller,
}

impl Places {
    async fn open(cluster: &Cluster) -> Self {
        let mut known = Caller::connect(&cluster.url_of(0)).await.unwrap();
        known.call("a_count").await.unwrap().count().unwrap();
        let elsewhere = known.at(&cluster.url_of(1));
        let mut to_end = Caller::connect(&cluster.url_of(0)).await.unwrap();
        to_end.call("a_count").await.unwrap().count().unwrap();
        Self { known, elsewhere, to_end }
    }

    /// Looks at each cell of the table once, and says how long each answer took.
    async fn look(&mut self) -> Vec<Duration> {
        let (took, count) = timed(self.known.call("a_count")).await;
        count.count().expect("a session that is known is served");
        let mut unknown = self.known.of(UNKNOWN);
        let mut times = vec![took];
        for (what, (took, answer)) in [
            ("initialize", timed(Caller::try_initialize(&mut self.known.of(UNKNOWN))).await),
            ("known elsewhere", timed(self.elsewhere.call("a_count")).await),
            ("unknown", timed(unknown.call("a_count")).await),
            ("DELETE", timed(self.to_end.delete()).await),
            ("DELETE of one known elsewhere", timed(self.elsewhere.delete()).await),
        ] {
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{what}: {answer:?}");
            assert!(answer.says_when(), "{what}: {answer:?}");
            assert!(!answer.headers.contains_key("mcp-session-id"), "{what}: {answer:?}");
            times.push(took);
        }
        times
    }
}

async fn timed(asking: impl Future<Output = anyhow::Result<Answer>>) -> (Duration, Answer) {
    let began = Instant::now();
    let answer = asking.await.unwrap();
    (began.elapsed(), answer)
}

/// Looks until the outage has lasted its time. No request may take longer than a command's deadline.
async fn look_on(cluster: &Cluster, places: &mut Places) {
    let (until, mut looks, mut times) = (Instant::now() + outage(), 0, Vec::new());
    while Instant::now() < until || looks <= 5 {
        times.extend(places.look().await);
        looks += 1;
        sleep(Duration::from_millis(50)).await;
    }
    for replica in 0..2 {
        let ready = fetch(&cluster.replica(replica).url_of("/readyz")).await.unwrap();
        assert_eq!(ready.0, StatusCode::OK, "replicas stay ready");
        assert!(String::from_utf8_lossy(&ready.1).contains("degraded"), "{ready:?}");
    }
    let slowest = times.iter().max();
    println!("  the table was looked at {looks} times, the slowest answer took {slowest:?}");
    assert_within("while the store is out", times, COMMAND);
}

/// Waits until new sessions can be opened on both replicas, and says how long it took.
async fn recovery(cluster: &Cluster) -> Duration {
    let began = Instant::now();
    for replica in 0..2 {
        let mut caller = Caller::new(&cluster.url_of(replica));
        eventually("sessions can be opened again", async || {
            let answer = caller.try_initialize().await.unwrap();
            (answer.status == StatusCode::OK).then_some(())
        })
        .await;
    }
    began.elapsed()
}

/// Insists that no session was said to be unknown before `lost`, if anything was lost, that nothing
/// took too long, and that whatever was refused was refused as it should be.
#[track_caller]
fn assert_outage_only(tally: &Tally, lost: Option<Instant>) {
    assert_right(tally);
    for call in &tally.calls {
        let good = match call.outcome {
            Outcome::Counted => true,
            Outcome::Refused { status: 503, says_when } => says_when,
            Outcome::Refused { status: 404, .. } => {
                lost.is_some_and(|lost| call.began + call.took > lost)
            }
            Outcome::Refused { .. } | Outcome::Error | Outcome::Cut => false,
        };
        assert!(good, "{call:?}\n{tally}\n{:#?}", tally.examples);
    }
    let (answered, refused): (Vec<&Call>, Vec<&Call>) =
        tally.calls.iter().partition(|call| call.outcome == Outcome::Counted);
    for (what, calls) in [("answered", answered), ("refused", refused)] {
        assert_within(what, calls.iter().map(|call| call.took).collect(), COMMAND);
    }
}

/// What a log says once, though it happens to every request.
#[track_caller]
fn assert_said_once(cluster: &Cluster, replica: usize) {
    let log = cluster.replica(replica).log();
    for line in ["is out of reach", "can be reached again"] {
        assert_eq!(log.matches(line).count(), 1, "{line}\n{log}");
    }
}

#[tokio::test]
async fn a_redis_that_says_nothing_is_no_loss() {
    pause_redis("").await;
}

/// What cannot be checked is served all the same.
#[tokio::test]
async fn a_redis_that_says_nothing_is_no_loss_if_every_request_is_checked() {
    pause_redis("validation: perRequest").await;
}

async fn pause_redis(keys: &str) {
    let fixture = Fixture::start(2, keys).await;
    let cluster = &fixture.cluster;
    let load = Load::start(&cluster.url(), &load_of(50)).await.unwrap();
    load.more(200).await;
    let mut places = Places::open(cluster).await;
    fixture.redis.pause().unwrap();
    look_on(cluster, &mut places).await;
    fixture.redis.resume().unwrap();
    let took = recovery(cluster).await;
    // Nothing was lost: what was refused is served, where it was refused.
    places.elsewhere.call("a_count").await.unwrap().count().unwrap();
    load.more(300).await;
    let tally = load.stop().await;
    println!("Redis paused for {:?}, back after {took:?}: {tally}", outage());
    assert_outage_only(&tally, None);
    // The command that ends a session may have run when Redis went on: repeating it is safe.
    let status = places.to_end.delete().await.unwrap().status;
    assert!([StatusCode::OK, StatusCode::NOT_FOUND].contains(&status), "{status}");
    assert_eq!(places.to_end.call("a_count").await.unwrap().status, StatusCode::NOT_FOUND);
    for replica in 0..2 {
        assert_said_once(cluster, replica);
    }
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_a_correct_loss() {
    let mut fixture = Fixture::start(2, "").await;
    let load = Load::start(&fixture.cluster.url(), &load_of(50)).await.unwrap();
    load.more(200).await;
    let mut places = Places::open(&fixture.cluster).await;
    fixture.redis.kill().await.unwrap();
    look_on(&fixture.cluster, &mut places).await;
    let lost = Instant::now();
    fixture.redis.restart().await.unwrap();
    let took = recovery(&fixture.cluster).await;
    // What is known is looked up again, and is not there.
    for (what, caller) in [("known", &mut places.known), ("elsewhere", &mut places.elsewhere)] {
        eventually(what, async || {
            let answer = caller.call("a_count").await.unwrap();
            (answer.status == StatusCode::NOT_FOUND).then_some(())
        })
        .await;
    }
    load.more(300).await;
    let tally = load.stop().await;
    println!("Redis killed for {:?} and empty, back after {took:?}: {tally}", outage());
    assert_outage_only(&tally, Some(lost));
    // New sessions work, on every replica.
    let mut new = Caller::connect(&fixture.cluster.url_of(0)).await.unwrap();
    for (count, replica) in [(1, 0), (2, 1), (3, 0)] {
        let mut there = new.at(&fixture.cluster.url_of(replica));
        assert_eq!(there.call("a_count").await.unwrap().count().unwrap(), count);
    }
    assert_eq!(new.delete().await.unwrap().status, StatusCode::OK);
    for replica in 0..2 {
        assert_said_once(&fixture.cluster, replica);
    }
}

/// Replicas that start while Redis is away wait for it, and say so.
#[tokio::test]
async fn a_replica_that_starts_without_redis_becomes_ready_with_it() {
    let mut redis = RedisServer::start().await.unwrap();
    redis.kill().await.unwrap();
    let backend = peers::stateful().start().await.unwrap();
    let gateway = over(Gateway::before(&[("a", backend.url())]), &redis.address(), "");
    let process = gateway.program(env!("CARGO_BIN_EXE_vmcp")).spawn().unwrap();
    let ready = process.url_of("/readyz");
    let status = eventually("it listens", async || fetch(&ready).await.ok()).await.0;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let refused = Caller::new(&process.url()).try_initialize().await.unwrap();
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.says_when());
    redis.restart().await.unwrap();
    eventually("it is ready", async || {
        (fetch(&ready).await.unwrap().0 == StatusCode::OK).then_some(())
    })
    .await;
    let mut caller = Caller::connect(&process.url()).await.unwrap();
    assert_eq!(caller.call("a_count").await.unwrap().count().unwrap(), 1);
}

/// During an outage a stranger learns nothing either: what is there and what is not are the same.
#[tokio::test]
async fn a_stranger_learns_nothing_during_an_outage() {
    let backend = peers::stateful().start().await.unwrap();
    let redis = RedisServer::start().await.unwrap();
    let provider = Arc::new(IdentityProvider::start().await.unwrap());
    let issuer = provider.issuer();
    let gateway = Gateway::before(&[("a", backend.url())]).incoming(&format!(
        "type: oidc, oidc: {{issuer: '{issuer}', audience: {AUDIENCE}, resource: 'https://mcp.example/mcp', insecureAllowHttp: true, jwksAllowPrivateIp: true}}"
    ));
    let cluster = replicated(2, &over(gateway, &redis.address(), "")).await;
    let mut owner = Caller::new(&cluster.url_of(0)).with_token(&provider.token("alice"));
    owner.initialize().await.unwrap();
    assert_eq!(owner.call("a_count").await.unwrap().count().unwrap(), 1);
    let thief = Caller::new(&cluster.url_of(0)).with_token(&provider.token("bob"));
    let told = async |status: StatusCode| {
        for url in [cluster.url_of(0), cluster.url_of(1)] {
            let mut stolen = thief.at(&url).of(owner.session());
            let mut unknown = thief.at(&url).of(UNKNOWN);
            let calls =
                (stolen.call("a_count").await.unwrap(), unknown.call("a_count").await.unwrap());
            assert_eq!((calls.0.status, &calls.0.body), (status, &calls.1.body));
            let ends = (stolen.delete().await.unwrap(), unknown.delete().await.unwrap());
            assert_eq!((ends.0.status, &ends.0.body), (status, &ends.1.body));
        }
    };
    told(StatusCode::NOT_FOUND).await;
    redis.pause().unwrap();
    // Until it is known to be out of reach, the answers need not be alike to the letter.
    sleep(COMMAND).await;
    thief.of(UNKNOWN).call("a_count").await.unwrap();
    told(StatusCode::SERVICE_UNAVAILABLE).await;
    redis.resume().unwrap();
    let mut refreshed = owner.at(&cluster.url_of(1)).with_token(&provider.token("alice"));
    eventually("it is back", async || {
        let answer = thief.of(UNKNOWN).call("a_count").await.unwrap();
        (answer.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    told(StatusCode::NOT_FOUND).await;
    assert_eq!(
        refreshed.call("a_count").await.unwrap().count().unwrap(),
        2,
        "the owner is unharmed"
    );
}
