//! A backend that ends the sessions to which nobody listens, as servers do that ask on a session's stream
//! whether somebody is there.

use vmcp_testkit::{
    gateway::{Gateway, eventually},
    peers,
    raw::Running,
};

use crate::{connect, serve};

fn listening(backend: &Running) -> usize {
    backend.sessions().iter().filter(|session| session.listens()).count()
}

/// The client holds no stream, and its session is not to be lost again and again for that.
#[tokio::test]
async fn a_session_that_is_ended_unheard_is_listened_to_from_then_on() {
    let backend = peers::stateful().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    let count = async || client.call("1", "a_count", "{}").await.unwrap().text().unwrap();
    eventually("it is watched", async || (listening(&backend) == 1).then_some(())).await;
    assert_eq!(count().await, "1");
    eventually("it is listened to", async || {
        backend.forget_unheard();
        count().await;
        (listening(&backend) == 2).then_some(())
    })
    .await;
    let before: u64 = count().await.parse().unwrap();
    backend.forget_unheard();
    assert_eq!(count().await, (before + 1).to_string());
}
