//! Signs of life, with a clock that is made up.

use std::time::Duration;

use tokio::time::Instant;

use super::{Alive, Next};

#[test]
fn an_idle_peer_is_left_alone() {
    let now = Instant::now();
    let mut alive = Alive::default();
    assert_eq!(alive.next(now, false, now), Next::Rest);
    let later = now + Duration::from_secs(3600);
    assert_eq!(alive.next(later, false, now), Next::Rest, "however long it was silent");
    assert_eq!(
        alive.next(later, true, now),
        Next::Ask(later + ms(250)),
        "silence counts from here"
    );
}

#[test]
fn a_silent_peer_is_asked_thrice_and_is_gone() {
    let now = Instant::now();
    let mut alive = Alive::default();
    assert_eq!(alive.next(now, true, now), Next::Ask(now + ms(250)));
    assert_eq!(alive.next(now + ms(250), true, now), Next::Ask(now + ms(500)));
    assert_eq!(alive.next(now + ms(500), true, now), Next::Ask(now + ms(750)));
    assert_eq!(alive.next(now + ms(749), true, now), Next::Wait(now + ms(750)));
    assert_eq!(alive.next(now + ms(750), true, now), Next::Gone);
}

#[test]
fn whatever_is_heard_is_a_sign_of_life() {
    let now = Instant::now();
    let mut alive = Alive::default();
    for step in 0..100 {
        let at = now + ms(250) * step;
        assert!(matches!(alive.next(at, true, at - ms(200)), Next::Ask(_)), "step {step}");
    }
    let last = now + ms(250) * 99;
    let heard = last - ms(200);
    assert_eq!(alive.next(heard + ms(450), true, heard), Next::Ask(heard + ms(700)));
    assert_eq!(alive.next(heard + ms(700), true, heard), Next::Ask(heard + ms(750)));
    assert_eq!(alive.next(heard + ms(750), true, heard), Next::Gone, "to the moment");
}

#[test]
fn what_was_sent_while_this_process_stood_still_is_read_first() {
    let now = Instant::now();
    let mut alive = Alive::default();
    assert_eq!(alive.next(now, true, now), Next::Ask(now + ms(250)));
    let woken = now + Duration::from_secs(3);
    assert_eq!(alive.next(woken, true, now), Next::Ask(woken + ms(250)), "it gets another chance");
    assert_eq!(alive.next(woken + ms(250), true, now), Next::Ask(woken + ms(500)));
    assert_eq!(alive.next(woken + ms(500), true, now), Next::Ask(woken + ms(750)));
    assert_eq!(alive.next(woken + ms(750), true, now), Next::Gone, "but one only");
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}
