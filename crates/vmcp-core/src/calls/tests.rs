//! Calls are counted while they are under way, and told when they must end.

use std::time::Duration;

use super::*;

/// Whether a wait is over now.
async fn is_over(waiting: impl Future<Output = ()>) -> bool {
    tokio::time::timeout(Duration::from_millis(1), waiting).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn a_call_is_under_way_until_its_ticket_is_gone() {
    let calls = Calls::new();
    let first = calls.begin(Method::ToolsCall, None).unwrap();
    let second = calls.begin(Method::ToolsCall, None).unwrap();
    assert_eq!(calls.count(), 2);
    calls.close();
    assert!(calls.begin(Method::ToolsCall, None).is_err(), "no more begin");
    assert!(!is_over(calls.wait()).await);
    drop(first);
    assert!(!is_over(calls.wait()).await);
    drop(second);
    assert!(is_over(calls.wait()).await);
    assert_eq!(calls.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_the_last_call_is_woken() {
    let calls = Calls::new();
    let last = calls.begin(Method::PromptsGet, None).unwrap();
    calls.close();
    let ending = async {
        tokio::task::yield_now().await;
        drop(last);
    };
    tokio::join!(calls.wait(), ending);
}

#[tokio::test(start_paused = true)]
async fn all_calls_are_cut_off_at_once_on_whatever_thread() {
    let calls = Calls::new();
    let begun = std::thread::scope(|scope| {
        let begin = |_thread| scope.spawn(|| calls.begin(Method::ToolsCall, None).unwrap());
        let threads: Vec<_> = (0..2 * SHARDS).map(begin).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(calls.count(), begun.len());
    calls.cut("the end");
    for ticket in &begun {
        assert_eq!(ticket.call().fired().await, Fault::Unavailable("the end".into()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_calls_leaves_no_room_behind() {
    let calls = Calls::new();
    let flood: Vec<_> =
        (0..10 * ROOM).map(|_call| calls.begin(Method::ToolsCall, None).unwrap()).collect();
    let (first, last) = (flood[0].call.shard, flood.len() - 1);
    assert!(calls.shard(first).calls.capacity() > last);
    drop(flood);
    assert_eq!(calls.shard(first).calls.capacity(), 0);
    // A few keep theirs, so that the next ones need no more.
    drop(calls.begin(Method::ToolsCall, None).unwrap());
    assert!(calls.shard(first).calls.capacity() > 0);
}

#[tokio::test(start_paused = true)]
async fn a_place_is_taken_again_by_others_only_when_it_is_free() {
    let calls = Calls::new();
    let mut held = Vec::new();
    for round in 0..200_usize {
        held.push(calls.begin(Method::ToolsCall, None).unwrap());
        if round % 3 == 0 {
            held.remove(round % held.len());
        }
        let mut slots: Vec<_> =
            held.iter().map(|ticket| (ticket.call.shard, ticket.call.slot)).collect();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!((slots.len(), calls.count()), (held.len(), held.len()));
    }
    held[0].call().cancel();
    let cancelled = held.iter().filter(|ticket| ticket.call().is_cancelled()).count();
    assert_eq!(cancelled, 1, "each has a signal of its own");
}

#[tokio::test(start_paused = true)]
async fn what_a_call_was_told_first_counts_unless_it_must_end() {
    let signal = Signal::default();
    signal.cancel();
    assert!(signal.is_cancelled());
    signal.cut("now");
    signal.cancel();
    assert_eq!(signal.fired().await, Fault::Unavailable("now".into()));
    signal.fail(Fault::NotHeld);
    assert_eq!(signal.fired().await, Fault::NotHeld);
}
