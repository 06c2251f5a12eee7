//! The configuration changes while a session on a backend is being opened.

use rustix::process::Signal;
use tokio::{
    sync::watch,
    time::{Duration, timeout},
};
use vmcp_testkit::{
    gateway::{Gateway, eventually},
    raw::{Answer, handler},
};

use super::{named, reloaded, text};
use crate::{connect, serve};

const INITIALIZED: &str = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"raw","version":"1"}}"#;

/// Two exchanges of the backend, each while the session on the one before is being opened: none of
/// the three may wait for another.
#[tokio::test]
async fn two_reloads_during_an_opening_leave_the_session_usable() {
    let (hold, held) = watch::channel(false);
    let initialize = handler(move |_| {
        let mut held = held.clone();
        async move {
            held.wait_for(|held| !held).await.unwrap();
            Answer::from(INITIALIZED)
        }
    });
    let backend = named("one").script("initialize", initialize).start().await.unwrap();
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
        timeout(Duration::from_secs(10), calls).await.expect("no call waits for ever");
    assert_eq!([one, two, three, four], ["one"; 4]);
    assert_eq!(text(&client, "a_one").await, "one");
    process.signal(Signal::TERM).unwrap();
    let ended = timeout(Duration::from_secs(5), process.wait()).await.expect("it stops at once");
    assert!(ended.unwrap().success());
}
