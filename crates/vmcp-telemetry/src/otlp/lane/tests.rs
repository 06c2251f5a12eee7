//! What answers mean, and how long it is worth trying.

use super::*;

fn answer(status: u16, retry_after: Option<&str>, body: &[u8]) -> Attempt {
    let mut answer = Response::builder().status(status);
    if let Some(after) = retry_after {
        answer = answer.header(header::RETRY_AFTER, after);
    }
    judged(&answer.body(Bytes::copy_from_slice(body)).unwrap())
}

fn later(why: &str, seconds: Option<u64>) -> Attempt {
    Attempt::Later { why: why.to_owned(), after: seconds.map(Duration::from_secs) }
}

#[test]
fn four_statuses_may_be_better_later() {
    let unavailable = "it answers 503 Service Unavailable";
    assert_eq!(answer(503, Some("7"), b""), later(unavailable, Some(7)));
    assert_eq!(answer(503, None, b"\x12\x04busy"), later(&format!("{unavailable} busy"), None));
    // A date that is over, and what is none.
    let over = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(answer(503, Some(over), b""), later(unavailable, Some(0)));
    assert_eq!(answer(503, Some("soon"), b"<html>"), later(unavailable, None));
    for status in [429, 502, 504] {
        assert!(matches!(answer(status, None, b""), Attempt::Later { .. }), "{status}");
    }
    for status in [301, 307, 400, 401, 403, 404, 413, 500, 501] {
        assert!(matches!(answer(status, None, b""), Attempt::Refused(_)), "{status}");
    }
}

#[test]
fn a_date_to_come_is_waited_for() {
    let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
    let after = retry_after("Sun, 06 Nov 1994 08:50:00 GMT", now);
    assert_eq!(after, Some(Duration::from_secs(23)));
}

#[test]
fn what_was_not_taken_is_told() {
    let taken = |rejected, why: &str| Attempt::Taken {
        rejected,
        why: format!("it does not take all: {why}"),
    };
    assert_eq!(answer(200, None, b""), taken(0, ""));
    assert_eq!(answer(202, None, b"{}"), taken(0, ""));
    // partial_success { rejected: 5, error_message: "a\nb" }
    assert_eq!(answer(200, None, b"\x0a\x07\x08\x05\x12\x03a\nb"), taken(5, "a b"));
    // No number of items is negative.
    let negative = b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    assert_eq!(answer(200, None, negative), taken(0, ""));
    let long = "é".repeat(300);
    assert_eq!(readable(&long).len(), MAX_REASON);
}

#[tokio::test(start_paused = true)]
async fn pauses_grow_and_end_after_a_minute() {
    let mut patience = Patience::new(PATIENCE);
    let begun = Instant::now();
    let mut pauses = Vec::new();
    while let Some(pause) = patience.pause(None) {
        pauses.push(pause.as_secs_f64());
        sleep(pause).await;
    }
    for (pause, about) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 16.0]) {
        assert!((0.5 * about..=1.5 * about).contains(pause), "{pauses:?}");
    }
    assert!(pauses.len() > 4 && begun.elapsed() < PATIENCE, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn the_receiver_may_want_more_but_not_too_much() {
    let mut patience = Patience::new(PATIENCE);
    assert_eq!(patience.pause(Some(Duration::from_secs(30))), Some(Duration::from_secs(30)));
    assert_eq!(patience.pause(Some(Duration::from_secs(3600))), None);
    assert!(patience.pause(Some(Duration::ZERO)).is_some_and(|pause| !pause.is_zero()));
    // Seconds beyond what a clock can hold.
    assert_eq!(patience.pause(Some(Duration::from_secs(u64::MAX))), None);
}
