//! What is missed is noticed, or nothing is relied upon for longer than it may be.

use std::time::Duration;

use tokio::time::advance;
use vmcp_model::Digest;

use super::Hearing;
use crate::{BusTraffic, News, SessionKey};

const ME: [u8; 16] = [1; 16];
const OTHER: [u8; 16] = [2; 16];
const MAX: Duration = Duration::from_secs(1);

/// A replica that has heard the first message of itself and of another.
fn hearing() -> Hearing {
    let hearing = Hearing::new(ME, Some(MAX));
    hearing.begin();
    hearing.hear(OTHER, 1, None);
    beat(&hearing, 1);
    hearing
}

/// Sends a heartbeat, which comes back at once.
fn beat(hearing: &Hearing, number: u64) {
    hearing.note_sent(number);
    hearing.hear(ME, number, None);
}

#[tokio::test(start_paused = true)]
async fn what_is_heard_in_order_is_certain() {
    let hearing = hearing();
    let mut news = hearing.subscribe();
    let known = hearing.confidence().generation();
    assert!(known.is_some());
    let told = News::Ended(SessionKey::of("a"));
    hearing.hear(OTHER, 2, Some(told.clone()));
    hearing.hear(OTHER, 3, None);
    assert_eq!(news.next().await, Some(told));
    assert_eq!(hearing.confidence().generation(), known);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_noticed_and_what_comes_twice_is_not_told_twice() {
    let hearing = hearing();
    let mut news = hearing.subscribe();
    let known = hearing.confidence().generation();
    let answered =
        |text: &[u8]| News::Answered { key: SessionKey::of("a"), question: Digest::of(text) };
    hearing.hear(OTHER, 3, Some(answered(b"third")));
    assert_ne!(hearing.confidence().generation(), known);
    hearing.hear(OTHER, 3, Some(answered(b"again")));
    hearing.hear(OTHER, 4, Some(answered(b"fourth")));
    assert_eq!(news.next().await, Some(answered(b"third")));
    assert_eq!(news.next().await, Some(answered(b"fourth")));
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_counted() {
    let hearing = hearing();
    let begun = BusTraffic { sent: 1, received: 1, gaps: 0, generations: 1 };
    assert_eq!(hearing.traffic(), begun);
    beat(&hearing, 2);
    hearing.hear(OTHER, 4, Some(News::Ended(SessionKey::of("a"))));
    hearing.hear(OTHER, 4, None);
    hearing.hear(OTHER, 5, None);
    let gap = BusTraffic { sent: 2, received: 3, gaps: 1, generations: 2 };
    assert_eq!(hearing.traffic(), gap, "what comes twice is heard once");
    // A subscription that begins anew has missed what was said before.
    hearing.begin();
    assert_eq!(hearing.traffic(), BusTraffic { generations: 3, ..gap });
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_falls_silent_is_noticed() {
    let hearing = hearing();
    let known = hearing.confidence().generation();
    advance(MAX / 2).await;
    hearing.forget_silent(MAX);
    assert_eq!(hearing.confidence().generation(), known);
    advance(MAX / 2).await;
    beat(&hearing, 2);
    hearing.forget_silent(MAX);
    assert_ne!(hearing.confidence().generation(), known);
}

/// Nothing shows that a message was lost until its sender says something more. If that does not come,
/// the replica's own heartbeats prove nothing about what was lost before them.
#[tokio::test(start_paused = true)]
async fn what_was_lost_before_the_silence_is_not_relied_upon_for_longer() {
    let hearing = hearing();
    // The other one says something, which is lost.
    advance(MAX / 4).await;
    beat(&hearing, 2);
    // From here on nothing comes.
    advance(MAX * 3 / 4).await;
    assert_eq!(hearing.confidence().generation(), None);
}
