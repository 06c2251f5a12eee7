//! Calls that nobody waits for any more: cancelled, or left.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use vmcp_model::Era;
use vmcp_testkit::{
    modern,
    raw::{self, Answer},
};
use vmcp_wire::Fault;

use crate::{
    client::{all_of, is_over, next_piece},
    tickets::{MOMENT, before, large, silent, talking},
    world::{BOTH, Setup, idle, legacy, modern as modern_server},
};

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_is_not_answered() {
    for era in BOTH {
        let server = silent();
        let (world, client) = before(&server, era).await;
        let message = client.tool_call("a_t", "{}");
        let (ticket, call) = client.begin(&message);
        let cancelling = async {
            idle().await;
            call.cancel();
        };
        let (called, ()) = tokio::join!(client.send_with(ticket, &message), cancelling);
        assert_eq!(called.fault(), Fault::Cancelled, "{era:?}");
        assert_eq!((world.under_way(), world.tool_calls("a")), (0, (1, 0, 1)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cancelled_as_its_answer_comes_is_not_answered() {
    let server = legacy(
        "t",
        raw::handler(|_call| async {
            tokio::time::sleep(MOMENT).await;
            Answer::text("")
        }),
    );
    let (world, client) = before(&server, Era::Legacy).await;
    let message = client.tool_call("a_t", "{}");
    let (ticket, call) = client.begin(&message);
    let mut sending = std::pin::pin!(client.send_with(ticket, &message));
    assert!(timeout(MOMENT / 2, &mut sending).await.is_err());
    // Nobody looks while the answer comes in; then both are there.
    tokio::time::sleep(MOMENT).await;
    call.cancel();
    assert_eq!(sending.await.fault(), Fault::Cancelled);
    assert_eq!(world.tool_calls("a"), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_relay_brings_nothing_more() {
    let server = large();
    let (world, client) = before(&server, Era::Legacy).await;
    let message = client.tool_call("a_t", "{}");
    let (ticket, call) = client.begin(&message);
    let mut relay = client.send_with(ticket, &message).await.relay();
    next_piece(&mut relay).await.unwrap().unwrap();
    call.cancel();
    assert_eq!(all_of(&mut relay).await, Err(Fault::Cancelled));
    assert_eq!(is_over(&mut relay).await, Some(Fault::Cancelled));
    drop(relay);
    assert_eq!(world.tool_calls("a"), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_cancelled_whose_backend_brings_nothing_for_a_while() {
    let server = legacy("t", raw::fixed(Answer::CutOff(300 << 10)));
    let (world, client) = before(&server, Era::Legacy).await;
    let message = client.tool_call("a_t", "{}");
    let (ticket, call) = client.begin(&message);
    let mut relay = client.send_with(ticket, &message).await.relay();
    let cancelling = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        call.cancel();
    };
    let begun = Instant::now();
    let (read, ()) = tokio::join!(all_of(&mut relay), cancelling);
    assert_eq!((read, begun.elapsed().as_millis()), (Err(Fault::Cancelled), 10));
    drop(relay);
    assert_eq!(world.tool_calls("a"), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_stream_brings_nothing_more() {
    for era in BOTH {
        let server = talking();
        let (world, client) = before(&server, era).await;
        let message = client.tool_call("a_t", "{}");
        let (ticket, call) = client.begin(&message);
        let (mut stream, lent) = client.send_with(ticket, &message).await.stream();
        stream.next().await.unwrap();
        call.cancel();
        // The answer is there by then.
        tokio::time::sleep(3 * MOMENT).await;
        for _time in 0..2 {
            assert_eq!(stream.next().await.unwrap_err(), Fault::Cancelled, "{era:?}");
        }
        drop((stream, lent));
        assert_eq!(world.tool_calls("a"), (1, 0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_left_before_the_first_byte_counts_as_abandoned() {
    for era in BOTH {
        let server = silent();
        let (world, client) = before(&server, era).await;
        assert!(timeout(MOMENT, client.call("a_t")).await.is_err());
        assert_eq!((world.under_way(), world.tool_calls("a")), (0, (1, 0, 1)), "{era:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_that_is_left_counts_as_abandoned() {
    let server = large();
    let (world, client) = before(&server, Era::Legacy).await;
    let mut relay = client.call("a_t").await.relay();
    next_piece(&mut relay).await.unwrap().unwrap();
    drop(relay);
    assert_eq!((world.under_way(), world.tool_calls("a")), (0, (1, 0, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_left_counts_as_abandoned() {
    for era in BOTH {
        let server = talking();
        let (world, client) = before(&server, era).await;
        let (mut stream, lent) = client.call("a_t").await.stream();
        stream.next().await.unwrap();
        drop((stream, lent));
        assert_eq!((world.under_way(), world.tool_calls("a")), (0, (1, 0, 1)), "{era:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_is_told_when_a_modern_client_leaves_its_call() {
    let (heard, mut told) = tokio::sync::mpsc::channel(1);
    let waiting = raw::handler(move |call: raw::Call| {
        let heard = heard.clone();
        async move {
            call.cancelled.cancelled().await;
            heard.send(call.id).await.unwrap();
            Answer::text("")
        }
    });
    let server = legacy("t", waiting);
    let (_world, client) = before(&server, Era::Modern).await;
    assert!(timeout(MOMENT, client.call("a_t")).await.is_err());
    let id = timeout(MOMENT, told.recv()).await.unwrap().unwrap();
    assert_ne!(id, "7", "by the name that the backend knows");
}

#[tokio::test(start_paused = true)]
async fn a_modern_backend_loses_the_connection_of_a_call_that_is_left() {
    let server = modern_server("t", modern::fixed(Answer::Hang));
    for (number, era) in [(1, Era::Legacy), (2, Era::Modern)] {
        let (_world, client) = Setup::new().with("a", &server).settled(era).await;
        assert!(timeout(MOMENT, client.call("a_t")).await.is_err());
        idle().await;
        assert_eq!(server.counters().abandoned(), number);
    }
}
