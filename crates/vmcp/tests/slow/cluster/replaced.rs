//! Replicas come and go under load: killed, ended, replaced.

use std::time::Duration;

use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use vmcp_testkit::{
    client::Client,
    cluster::{Caller, Load},
    gateway::eventually,
};

use super::{Fixture, Span, assert_cut_only_in, assert_right, load_of};

const SESSIONS: usize = 200;

/// Insists that no backend session was opened beyond one for each session. Each replica has one
/// more, by which it watches the backend.
#[track_caller]
fn assert_opened_once(fixture: &Fixture, sessions: usize) {
    let opened = fixture.backend.counters().initializes();
    let most = sessions + fixture.cluster.started();
    assert!(opened <= most as u64, "{opened} backend sessions instead of {most}");
}

#[tokio::test]
async fn sessions_go_on_when_replicas_are_killed() {
    let mut fixture = Fixture::start(3, "").await;
    let load = Load::start(&fixture.cluster.url(), &load_of(SESSIONS)).await.unwrap();
    load.all_begun().await;
    load.more(5 * SESSIONS).await;
    let mut kills = Vec::new();
    for replica in 0..3 {
        let (kill, killed) = Span::of(fixture.cluster.kill(replica)).await;
        killed.unwrap();
        kills.push(kill);
        load.more(2 * SESSIONS).await;
        fixture.cluster.restart(replica).await.unwrap();
        load.more(2 * SESSIONS).await;
    }
    let tally = load.stop().await;
    println!("three replicas killed in turn and replaced: {tally}");
    assert_right(&tally);
    assert_cut_only_in(&tally, &kills);
    assert!(tally.failed() <= SESSIONS, "{tally}");
    assert_opened_once(&fixture, SESSIONS);
}

/// Nobody who has seen the sessions before is left, not even for a moment.
#[tokio::test]
async fn sessions_go_on_when_all_replicas_are_replaced_at_once() {
    let mut fixture = Fixture::start(3, "").await;
    let load = Load::start(&fixture.cluster.url(), &load_of(SESSIONS)).await.unwrap();
    load.all_begun().await;
    load.more(2 * SESSIONS).await;
    let (gap, ()) = Span::of(async {
        for replica in 0..3 {
            fixture.cluster.kill(replica).await.unwrap();
        }
        for replica in 0..3 {
            fixture.cluster.restart(replica).await.unwrap();
        }
        // The balancer may not know it yet.
        sleep(Duration::from_millis(100)).await;
    })
    .await;
    load.more(3 * SESSIONS).await;
    let tally = load.stop().await;
    println!("all replicas gone for {:?}: {tally}", gap.to - gap.from);
    assert_right(&tally);
    assert_cut_only_in(&tally, &[gap]);
    assert_opened_once(&fixture, SESSIONS);
}

#[tokio::test]
async fn no_call_fails_when_a_replica_ends_in_order() {
    let mut fixture = Fixture::start(3, "").await;
    let load = Load::start(&fixture.cluster.url(), &load_of(SESSIONS)).await.unwrap();
    load.all_begun().await;
    load.more(2 * SESSIONS).await;
    for replica in 0..3 {
        let status = fixture.cluster.terminate(replica).await.unwrap();
        assert!(status.success(), "{status}");
        load.more(SESSIONS).await;
        fixture.cluster.restart(replica).await.unwrap();
        load.more(SESSIONS).await;
    }
    let tally = load.stop().await;
    println!("three replicas ended in turn: {tally}");
    assert_right(&tally);
    assert_eq!(tally.failed(), 0, "{tally}\n{:#?}", tally.examples);
    assert_opened_once(&fixture, SESSIONS);
}

/// Opens sessions, calls once in each and ends it, until told to stop; says how many.
async fn come_and_go(url: String, stop: CancellationToken) -> usize {
    let mut sessions = 0;
    while !stop.is_cancelled() {
        let mut caller = Caller::connect(&url).await.unwrap();
        assert_eq!(caller.call("a_count").await.unwrap().count().unwrap(), 1);
        assert_eq!(caller.delete().await.unwrap().status, 200);
        sessions += 1;
        sleep(Duration::from_millis(10)).await;
    }
    sessions
}

#[tokio::test]
async fn sessions_can_be_opened_and_ended_while_replicas_end_in_order() {
    let mut fixture = Fixture::start(3, "").await;
    let (stop, mut clients) = (CancellationToken::new(), JoinSet::new());
    for _client in 0..20 {
        clients.spawn(come_and_go(fixture.cluster.url(), stop.clone()));
    }
    let listening = Client::connect(&fixture.cluster.url()).await.unwrap();
    for replica in 0..3 {
        sleep(Duration::from_millis(500)).await;
        let mut stream = listening.at(&fixture.cluster.url_of(replica)).listen(None).await.unwrap();
        assert!(fixture.cluster.terminate(replica).await.unwrap().success());
        // Its end is orderly, and it can be opened elsewhere at once.
        while stream.message().await.unwrap().is_some() {}
        assert_eq!(listening.listen(None).await.unwrap().status(), 200);
        fixture.cluster.restart(replica).await.unwrap();
    }
    stop.cancel();
    let sessions: usize = clients.join_all().await.into_iter().sum();
    println!("{sessions} sessions opened and ended while three replicas ended in turn");
    assert!(sessions > 200, "{sessions}");
    eventually("their backend sessions are closed", async || {
        (fixture.backend.sessions().len() <= fixture.cluster.started()).then_some(())
    })
    .await;
}

/// It has slept through the end of a session, and serves not one request of it.
#[tokio::test]
async fn a_replica_that_was_paused_notices_what_has_ended() {
    let fixture = Fixture::start(2, "").await;
    for _round in 0..3 {
        let mut first = Caller::connect(&fixture.cluster.url_of(0)).await.unwrap();
        let mut second = first.at(&fixture.cluster.url_of(1));
        for caller in [&mut first, &mut second] {
            caller.call("a_count").await.unwrap().count().unwrap();
        }
        fixture.cluster.pause(0).unwrap();
        assert_eq!(second.delete().await.unwrap().status, 200);
        sleep(Duration::from_millis(1200)).await;
        // It lies ready when the replica wakes.
        let (answer, ()) = tokio::join!(first.list(), async {
            sleep(Duration::from_millis(100)).await;
            fixture.cluster.resume(0).unwrap();
        });
        assert_eq!(answer.unwrap().status, 404);
    }
}

/// One that stands still does not hold up the others' sessions, and goes on where it was.
#[tokio::test]
async fn a_replica_that_was_paused_goes_on() {
    let fixture = Fixture::start(2, "").await;
    let load = Load::start(&fixture.cluster.url(), &load_of(50)).await.unwrap();
    load.all_begun().await;
    load.more(200).await;
    fixture.cluster.pause(0).unwrap();
    // Longer than anything that it knows may be relied upon.
    sleep(Duration::from_secs(3)).await;
    fixture.cluster.resume(0).unwrap();
    load.more(500).await;
    let tally = load.stop().await;
    println!("a replica paused for 3 s: {tally}");
    assert_right(&tally);
    assert_eq!(tally.failed(), 0, "{tally}\n{:#?}", tally.examples);
    assert_opened_once(&fixture, 50);
}
