//! Sessions that nobody uses end by themselves, and take their backend sessions along.

use tokio::time::{Duration, Instant, sleep};
use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    peers,
    process::Process,
    raw::Running,
};

use crate::{connect, serve};

const TTL: Duration = Duration::from_secs(1);

async fn fixture() -> (Running, Process) {
    let backend = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())]).with("sessions: {ttl: 1s}");
    (backend, serve(&gateway).await)
}

async fn count(client: &Client) -> String {
    client.call("1", "a_count", "{}").await.unwrap().text().unwrap()
}

/// How many backend sessions have been called.
fn counted(backend: &Running) -> usize {
    let count = |session: &vmcp_testkit::raw::Session| {
        session.count.load(std::sync::atomic::Ordering::Relaxed)
    };
    backend.sessions().iter().filter(|session| count(session) > 0).count()
}

#[tokio::test]
async fn an_idle_session_expires_and_its_backend_session_with_it() {
    let (backend, process) = fixture().await;
    let began = Instant::now();
    let client = connect(&process).await;
    assert_eq!(count(&client).await, "1");
    assert_eq!(counted(&backend), 1);
    eventually("the backend session is closed", async || (counted(&backend) == 0).then_some(()))
        .await;
    assert!(began.elapsed() >= TTL, "not before its time");
    assert_eq!(client.open("2", "ping", "{}").await.unwrap().status(), 404);
    assert_eq!(client.listen(None).await.unwrap().status(), 404);
    assert_eq!(client.delete().await.unwrap(), 404);
}

#[tokio::test]
async fn sessions_that_are_used_or_listened_to_live_on() {
    let (backend, process) = fixture().await;
    let (used, listening, idle) =
        (connect(&process).await, connect(&process).await, connect(&process).await);
    for client in [&used, &listening, &idle] {
        assert_eq!(count(client).await, "1");
    }
    let mut get = listening.listen(None).await.unwrap();
    let until = Instant::now() + 4 * TTL;
    while Instant::now() < until {
        used.request("1", "ping", "{}").await.unwrap().result().unwrap();
        sleep(TTL / 4).await;
    }
    assert_eq!(counted(&backend), 2, "only the idle one has ended");
    assert_eq!(idle.open("2", "ping", "{}").await.unwrap().status(), 404);
    assert_eq!(count(&used).await, "2");
    assert_eq!(count(&listening).await, "2");
    assert_eq!(listening.delete().await.unwrap(), 200);
    assert!(get.message().await.unwrap().is_none());
}

/// A call that takes longer than a session may idle is no idleness.
#[tokio::test]
async fn a_session_with_a_call_under_way_lives_on() {
    let (_backend, process) = fixture().await;
    let client = connect(&process).await;
    let slow = client.call("1", "a_slow", r#"{"delay_ms":3000}"#).await.unwrap();
    assert_eq!(slow.text().unwrap(), "done");
    assert_eq!(count(&client).await, "1");
}
