//! Calls under way: counted to the end of their answers, waited for, cut off.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use vmcp_model::Era;
use vmcp_testkit::{
    modern,
    raw::{self, Answer},
};
use vmcp_wire::Fault;

use crate::{
    client::{Client, all_of, end_of, is_over, next_piece},
    world::{BOTH, Legacy, Modern, Setup, World, idle, legacy, modern as modern_server},
};

pub(crate) const MOMENT: Duration = Duration::from_secs(1);

/// A tool that says something, and answers after two seconds.
pub(crate) fn talking() -> Legacy {
    let talking = raw::handler(|call: raw::Call| async move {
        call.notify("notifications/message", r#"{"level":"error","data":1}"#).await.unwrap();
        tokio::time::sleep(2 * MOMENT).await;
        Answer::text("")
    });
    legacy("t", talking)
}

/// The same on a modern server.
fn talking_modern() -> Modern {
    let talking = modern::handler(|call: modern::Call| async move {
        call.notify("notifications/message", r#"{"level":"error","data":1}"#).await.unwrap();
        tokio::time::sleep(2 * MOMENT).await;
        modern::text("")
    });
    modern_server("t", talking)
}

pub(crate) fn silent() -> Legacy {
    legacy("t", raw::fixed(Answer::Hang))
}

pub(crate) fn large() -> Legacy {
    legacy("t", raw::fixed(Answer::Huge(8 << 20)))
}

pub(crate) async fn before(server: &Legacy, era: Era) -> (World, Client) {
    Setup::new().with("a", server).settled(era).await
}

fn cut() -> Fault {
    Fault::Unavailable("it ends".into())
}

#[tokio::test(start_paused = true)]
async fn a_call_is_under_way_before_it_is_sent_and_until_its_whole_answer_is_there() {
    for era in BOTH {
        let server = legacy("t", raw::fixed(Answer::text("")));
        let (world, client) = before(&server, era).await;
        let message = client.tool_call("a_t", "{}");
        let (ticket, _) = client.begin(&message);
        assert_eq!(world.under_way(), 1);
        client.send_with(ticket, &message).await.json();
        assert_eq!(world.under_way(), 0, "{era:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_streamed_call_is_under_way_until_the_end_of_the_stream() {
    for era in BOTH {
        for server in [Ok(talking()), Err(talking_modern())] {
            let setup = Setup::new();
            let setup = match &server {
                Ok(legacy) => setup.with("a", legacy),
                Err(modern) => setup.with("a", modern),
            };
            let (world, client) = setup.settled(era).await;
            let (mut stream, lent) = client.call("a_t").await.stream();
            assert_eq!(world.under_way(), 1, "the first byte is no end");
            end_of(&mut stream).await.unwrap();
            assert_eq!(world.under_way(), 1, "its reader still has it");
            drop((stream, lent));
            assert_eq!(world.under_way(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_holds_the_ticket_of_an_answer_that_it_is_still_sent() {
    let server = talking();
    let (world, client) = before(&server, Era::Legacy).await;
    let (mut stream, _) = client.call("a_t").await.stream();
    end_of(&mut stream).await.unwrap();
    let ticket = stream.into_ticket();
    assert_eq!((world.under_way(), world.tool_calls("a")), (1, (0, 0, 0)));
    drop(ticket);
    assert_eq!((world.under_way(), world.tool_calls("a")), (0, (1, 0, 0)));
}

#[tokio::test(start_paused = true)]
async fn none_begins_any_more_once_they_are_closed() {
    for era in BOTH {
        let server = legacy("t", raw::fixed(Answer::text("")));
        let (world, client) = before(&server, era).await;
        world.vmcp.calls().close();
        let fault = client.call("a_t").await.fault();
        assert_eq!(fault, Fault::Unavailable("vmcp is shutting down".into()), "{era:?}");
        assert_eq!(server.counters().calls("t"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_ends_with_the_last_stream() {
    let server = talking();
    let (world, client) = before(&server, Era::Legacy).await;
    let other = world.client(Era::Modern).await;
    let (mut one, _) = client.call("a_t").await.stream();
    let (mut last, lent) = other.call("a_t").await.stream();
    let calls = world.vmcp.calls();
    calls.close();
    end_of(&mut one).await.unwrap();
    drop(one);
    assert!(timeout(MOMENT, calls.wait()).await.is_err(), "one is under way");
    end_of(&mut last).await.unwrap();
    drop(last);
    timeout(MOMENT, calls.wait()).await.unwrap();
    drop(lent);
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_woken_by_the_end_of_a_call() {
    let server = talking();
    let (world, client) = before(&server, Era::Legacy).await;
    let (mut stream, _) = client.call("a_t").await.stream();
    world.vmcp.calls().close();
    let begun = Instant::now();
    let reading = async {
        end_of(&mut stream).await.unwrap();
        drop(stream);
    };
    tokio::join!(reading, world.vmcp.calls().wait());
    assert_eq!(begun.elapsed().as_secs(), 2, "what was under way has come to its end");
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_for_the_first_byte_are_cut_off() {
    for era in BOTH {
        let server = silent();
        let (world, client) = before(&server, era).await;
        let cutting = async {
            idle().await;
            assert_eq!(world.under_way(), 1);
            world.vmcp.calls().cut("it ends");
        };
        let (called, ()) = tokio::join!(client.call("a_t"), cutting);
        assert_eq!(called.fault(), cut(), "{era:?}");
        assert_eq!((world.under_way(), world.tool_calls("a")), (0, (1, 1, 0)));
    }
}

#[tokio::test(start_paused = true)]
async fn calls_of_modern_backends_are_cut_off_too() {
    let server = modern_server("t", modern::fixed(Answer::Hang));
    for era in BOTH {
        let (world, client) = Setup::new().with("a", &server).settled(era).await;
        let cutting = async {
            idle().await;
            world.vmcp.calls().cut("it ends");
        };
        let (called, ()) = tokio::join!(client.call("a_t"), cutting);
        assert_eq!(called.fault(), cut(), "{era:?}");
    }
    // Both are told by the end of the connection.
    server.counters().until_abandoned(2).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_cut_off_though_its_reader_takes_nothing() {
    let server = large();
    let (world, client) = before(&server, Era::Legacy).await;
    let mut relay = client.call("a_t").await.relay();
    assert_eq!(is_over(&mut relay).await, None);
    world.vmcp.calls().cut("it ends");
    assert_eq!(is_over(&mut relay).await, Some(cut()));
    drop(relay);
    assert_eq!(world.tool_calls("a"), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_cut_off_whose_backend_brings_nothing_for_a_while() {
    // It takes 20 milliseconds to break off.
    let server = legacy("t", raw::fixed(Answer::CutOff(300 << 10)));
    let (world, client) = before(&server, Era::Legacy).await;
    let mut relay = client.call("a_t").await.relay();
    let cutting = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        world.vmcp.calls().cut("it ends");
    };
    let begun = Instant::now();
    let (read, ()) = tokio::join!(all_of(&mut relay), cutting);
    assert_eq!((read, begun.elapsed().as_millis()), (Err(cut()), 10));
    drop(relay);
    assert_eq!(world.tool_calls("a"), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_cut_off_whose_reader_takes_all_there_is() {
    let server = large();
    let (world, client) = before(&server, Era::Legacy).await;
    let mut relay = client.call("a_t").await.relay();
    next_piece(&mut relay).await.unwrap().unwrap();
    world.vmcp.calls().cut("it ends");
    assert_eq!(all_of(&mut relay).await, Err(cut()));
    drop(relay);
    assert_eq!(world.tool_calls("a"), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_has_been_read_to_its_end_is_not_cut_off() {
    let server = legacy("t", raw::fixed(Answer::Huge(300 << 10)));
    let (world, client) = before(&server, Era::Legacy).await;
    let size = all_of(&mut client.call("a_t").await.relay()).await.unwrap();
    let mut relay = client.call("a_t").await.relay();
    let mut read = 0;
    while read < size {
        read += next_piece(&mut relay).await.unwrap().unwrap().len();
    }
    world.vmcp.calls().cut("it ends");
    assert!(next_piece(&mut relay).await.is_none());
    drop(relay);
    assert_eq!(world.tool_calls("a"), (2, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn streams_are_cut_off_in_both_eras() {
    for era in BOTH {
        let server = talking();
        let (world, client) = before(&server, era).await;
        let (mut stream, lent) = client.call("a_t").await.stream();
        stream.next().await.unwrap();
        world.vmcp.calls().cut("it ends");
        assert_eq!(stream.next().await.unwrap_err(), cut(), "{era:?}");
        drop((stream, lent));
        assert_eq!((world.under_way(), world.tool_calls("a")), (0, (1, 1, 0)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_is_over_when_it_is_cut_off() {
    let server = talking();
    let (world, client) = before(&server, Era::Legacy).await;
    let (stream, _) = client.call("a_t").await.stream();
    let over = stream.over();
    world.vmcp.calls().cut("it ends");
    assert_eq!(over.await, cut());
}

#[tokio::test(start_paused = true)]
async fn one_cut_ends_the_calls_of_all_clients() {
    let server = silent();
    let (world, client) = before(&server, Era::Legacy).await;
    let other = world.client(Era::Modern).await;
    let cutting = async {
        idle().await;
        assert_eq!(world.under_way(), 3);
        world.vmcp.calls().cut("it ends");
    };
    let another = client.another();
    let (one, two, three, ()) =
        tokio::join!(client.call("a_t"), another.call("a_t"), other.call("a_t"), cutting);
    assert!([one, two, three].into_iter().all(|called| called.fault() == cut()));
}
