//! What a stream's log keeps, and what a reader gets out of it.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

use vmcp_core::Budget;
use vmcp_wire::Fault;

use super::{Reader, StreamLog, parse_event_id};
use crate::logs::Logs;

/// Everything that can be read now, one event a line; `.` at the end of the stream.
fn read(reader: &mut Reader) -> String {
    let mut context = Context::from_waker(Waker::noop());
    let mut lines = Vec::new();
    loop {
        match reader.poll_next(&mut context) {
            Poll::Ready(Some(event)) => {
                let text = String::from_utf8_lossy(&event).replace("event: message\n", "");
                lines.push(text.trim_end().replace('\n', " "));
            }
            Poll::Ready(None) => {
                lines.push(".".to_owned());
                break;
            }
            Poll::Pending => break,
        }
    }
    lines.join("; ")
}

fn log(limit: usize, events: &[&str]) -> Arc<StreamLog> {
    log_among(&Logs::new(&Budget::new(1 << 20)), limit, events)
}

fn log_among(logs: &Arc<Logs>, limit: usize, events: &[&str]) -> Arc<StreamLog> {
    let log = StreamLog::new(10, limit, logs);
    events.iter().for_each(|event| assert!(log.append(event.as_bytes())));
    log
}

#[test]
fn a_reader_gets_every_event_once() {
    let log = log(1000, &["a"]);
    let mut reader = log.attach(None, false);
    assert_eq!(read(&mut reader), "id: a-1 data: a");
    log.append(b"b");
    log.finish();
    assert_eq!(read(&mut reader), "id: a-2 data: b; .");
    drop(reader);
    let now = Instant::now();
    assert!(log.is_over(now) && !log.is_over(now.checked_sub(Duration::from_secs(1)).unwrap()));
}

#[test]
fn nothing_is_told_behind_the_last_answer() {
    let log = log(1000, &["a"]);
    assert!(!log.takes_more());
    let reader = log.attach(None, false);
    assert!(log.takes_more());
    log.finish();
    // Somebody reads still, but nobody looks for more.
    assert!(log.is_attached() && !log.takes_more());
    drop(reader);
}

#[test]
fn a_stream_resumes_behind_the_last_event_that_arrived() {
    let log = log(1000, &["a", "b", "c"]);
    let mut first = log.attach(None, true);
    assert_eq!(
        read(&mut first),
        "id: a-0 retry: 1000 data:; id: a-1 data: a; id: a-2 data: b; id: a-3 data: c"
    );
    let mut second = log.attach(Some(1), false);
    assert_eq!(read(&mut second), "id: a-2 data: b; id: a-3 data: c");
    assert_eq!(read(&mut first), ".", "the newer reader took over");
}

#[test]
fn a_new_reader_gets_what_nobody_was_given() {
    let log = log(1000, &["a"]);
    drop(log.attach(None, false));
    log.append(b"b");
    assert_eq!(read(&mut log.attach(None, false)), "id: a-1 data: a; id: a-2 data: b");
    log.append(b"c");
    assert_eq!(read(&mut log.attach(None, false)), "id: a-3 data: c");
}

#[test]
fn the_log_is_bounded_but_keeps_the_newest_event() {
    let event = "x".repeat(100);
    let log = log(300, &[&event, &event, &event]);
    let kept = read(&mut log.attach(Some(0), false));
    assert_eq!(kept.matches("data").count(), 2, "{kept}");
    log.append("y".repeat(1000).as_bytes());
    let kept = read(&mut log.attach(Some(0), false));
    assert!(kept.starts_with("id: a-4") && kept.matches("data").count() == 1, "{kept}");
}

#[test]
fn what_a_reader_waits_for_is_not_dropped() {
    let event = "x".repeat(100);
    let log = log(150, &[]);
    let mut reader = log.attach(None, false);
    (0..3).for_each(|_event| assert!(log.append(event.as_bytes())));
    assert_eq!(read(&mut reader).matches("data").count(), 3);
}

#[test]
fn no_event_id_is_too_large() {
    let log = log(1000, &["a"]);
    assert_eq!(read(&mut log.attach(Some(u64::MAX), false)), "");
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_long_ago_is_forgotten() {
    let log = log(1000, &["a"]);
    read(&mut log.attach(None, false));
    log.forget_sent(Duration::from_secs(1));
    assert!(read(&mut log.attach(Some(0), false)).contains("data: a"));
    tokio::time::advance(Duration::from_secs(2)).await;
    log.forget_sent(Duration::from_secs(1));
    assert_eq!(read(&mut log.attach(Some(0), false)), "");
}

#[tokio::test(start_paused = true)]
async fn a_writer_waits_for_a_reader_but_not_for_ever() {
    let log = log(10, &[]);
    log.wait_for_room().await;
    let reader = log.attach(None, false);
    log.append(b"more than ten bytes");
    let began = Instant::now();
    log.wait_for_room().await;
    assert_eq!(began.elapsed(), super::STALL);
    assert!(!reader.is_newest(), "the reader that takes nothing was let go");
}

#[test]
fn event_ids_that_are_none_are_refused() {
    assert_eq!(parse_event_id("a-1"), Some((10, 1)));
    for id in ["", "a", "a-", "-1", "a-1-2", "x-1", "a- 1"] {
        assert_eq!(parse_event_id(id), None, "{id}");
    }
}

/// A log with one event of so many bytes.
fn filled(logs: &Arc<Logs>, bytes: usize) -> Arc<StreamLog> {
    log_among(logs, 1 << 20, &[&"x".repeat(bytes)])
}

/// When there is no room, what was delivered goes first, then what nobody reads, the oldest first; what a
/// reader is about to take stays.
#[tokio::test(start_paused = true)]
async fn what_is_needed_least_makes_room() {
    let budget = Budget::new(1000);
    let logs = Logs::new(&budget);
    let read_by_now = filled(&logs, 200);
    let mut reader = read_by_now.attach(None, false);
    assert!(read(&mut reader).starts_with("id: a-1"));
    let left = [filled(&logs, 200), filled(&logs, 200)];
    for log in [&read_by_now, &left[0], &left[1]] {
        log.finish();
    }
    let waiting = filled(&logs, 100);
    let mut wanted = waiting.attach(None, false);
    let next = filled(&logs, 200);
    assert!(!read_by_now.has_behind(0) && left.iter().all(|log| log.has_behind(0)));
    let _more = [filled(&logs, 200), next];
    assert!(!left[0].has_behind(0) && left[1].has_behind(0));
    assert!(read(&mut wanted).starts_with("id: a-1"));
    assert!(budget.used() <= budget.limit());
}

/// Who takes nothing for a while gives way; who has just begun does not.
#[tokio::test(start_paused = true)]
async fn clients_that_do_not_read_keep_nothing_from_others() {
    let logs = Logs::new(&Budget::new(1000));
    let log = filled(&logs, 800);
    let mut stalled = log.attach(None, false);
    let other = log_among(&logs, 1 << 20, &[]);
    let id = vmcp_wire::Id::parse(b"7");
    assert!(!other.append(&[b'x'; 500]));
    other.answer(id, &[b'x'; 500]);
    let mut reader = other.attach(None, false);
    let told = read(&mut reader);
    assert!(told.contains(&Fault::NotHeld.to_string()) && told.contains("\"id\":7"), "{told}");
    tokio::time::advance(Duration::from_secs(3)).await;
    assert!(other.append(&[b'x'; 500]));
    assert_eq!(
        read(&mut stalled),
        ".",
        "it is ended, and can see that what it had not read is gone"
    );
    assert!(!log.has_behind(0));
}
