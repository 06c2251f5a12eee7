//! The configuration changes while a session on a backend is being opened.

use rustix::process::Signal;
use tokio::{
    sync::watch,
    time::{Duration, timeout},
};
use vmcp_testkit::{
    gateway::{Gateway, eventually},
    raw::{Answer, Handler, handler},
};

use super::{named, reloaded, text};
use crate::{connect, serve};

const INITIALIZED: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"raw","version":"1"}}"#;

/// Answers `initialize` when it is not held any more.
fn holding(held: watch::Receiver<bool>) -> Handler {
    handler(move |_| {
        let mut held = held.clone();
        async move {
            held.wait_for(|held| !held).await.unwrap();
            Answer::from(INITIALIZED)
        }
    })
}

/// Two exchanges of the backend, each while the session on the one before is being opened: none of
/// the three may wait for another.
#[tokio::test]
async fn two_reloads_during_an_opening_leave_the_session_usable() {
    let (hold, held) = watch::channel(false);
    let backend = named("one").script("initialize", holding(held)).start().await.unwrap();
    let gateway = |header: &str| {
        let url = backend.url();
        Gateway::before(&[]).backend(&format!("name: a, url: '{url}', headers: {{{header}: x}}"))
    };
    let mut process = serve(&gateway("X-One")).await;
    let client = connect(&process).await;
    hold.send_replace(true);
    let initializes = || backend.counters().initializes();
    let begun = async |before: u64| {
        eventually("it is being opened", async || (initializes() > before).then_some(())).await;
    };
    let call = async |id: &str| client.call(id, "a_one", "{}").await.unwrap().text().unwrap();
    let (stage, stages) = watch::channel(0);
    let changes = async {
        begun(1).await;
        for (number, header) in [(1, "X-Two"), (2, "X-Three")] {
            let before = initializes();
            reloaded(&process, &gateway(header)).await;
            stage.send_replace(number);
            // The new one's watch; the opening for the call comes at about the same time.
            begun(before).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        hold.send_replace(false);
    };
    let later = async |number: i32, id: &str| {
        stages.clone().wait_for(|stage| *stage >= number).await.unwrap();
        call(id).await
    };
    let calls =
        async { tokio::join!(call("11"), later(1, "12"), later(2, "13"), later(2, "14"), changes) };
    let (one, two, three, four, ()) =
        timeout(Duration::from_secs(60), calls).await.expect("no call waits for ever");
    assert_eq!([one, two, three, four], ["one"; 4]);
    assert_eq!(text(&client, "a_one").await, "one");
    process.signal(Signal::TERM).unwrap();
    let ended = timeout(Duration::from_secs(60), process.wait()).await.expect("it stops");
    assert!(ended.unwrap().success());
}

/// A session that waits for its turn to be opened is opened on what there is then.
#[tokio::test]
async fn an_opening_that_waits_for_a_place_is_not_on_the_backend_of_before() {
    let (hold, held) = watch::channel(false);
    let first = named("one").script("initialize", holding(held)).start().await.unwrap();
    let (old, new) = (named("two").start().await.unwrap(), named("two").start().await.unwrap());
    let gateway = |second: &str| {
        Gateway::before(&[("a", first.url()), ("b", second.to_owned())])
            .with("sessions: {backendInit: eager, maxBackendInitConcurrency: 1}")
    };
    let process = serve(&gateway(&old.url())).await;
    let _first = connect(&process).await;
    hold.send_replace(true);
    let before = first.counters().initializes();
    let changes = async {
        eventually("one is being opened", async || {
            (first.counters().initializes() > before).then_some(())
        })
        .await;
        let opened = old.counters().initializes();
        reloaded(&process, &gateway(&new.url())).await;
        hold.send_replace(false);
        opened
    };
    let (client, opened) = tokio::join!(connect(&process), changes);
    assert_eq!(text(&client, "b_two").await, "two");
    assert_eq!(old.counters().initializes(), opened);
}

/// What is opened for a last call on a backend is closed, whether its session is there still or not.
#[tokio::test]
async fn an_opening_on_a_backend_that_goes_leaves_nothing_behind() {
    let (hold, held) = watch::channel(false);
    let old = named("one").script("initialize", holding(held)).start().await.unwrap();
    let new = named("one").start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", old.url())])).await;
    // The first of its kind opens its session at once.
    let _first = connect(&process).await;
    let client = connect(&process).await;
    hold.send_replace(true);
    let initializes = old.counters().initializes();
    let changes = async {
        eventually("it is being opened", async || {
            (old.counters().initializes() > initializes).then_some(())
        })
        .await;
        client.delete().await.unwrap();
        reloaded(&process, &Gateway::before(&[("a", new.url())])).await;
        hold.send_replace(false);
    };
    let (_cut, ()) = tokio::join!(client.call("1", "a_one", "{}"), changes);
    eventually("it is closed", async || old.sessions().is_empty().then_some(())).await;
}
