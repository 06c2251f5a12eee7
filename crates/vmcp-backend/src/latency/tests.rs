//! Times in, their middle and their end out.

use std::time::Duration;

use tokio::time::Instant;

use super::{Latency, slot, upper};

#[test]
fn every_time_falls_below_the_bound_of_its_slot_and_not_far() {
    for micros in (1..5000).chain([1 << 20, 123_456_789, u64::from(u32::MAX)]) {
        let (took, bound) =
            (Duration::from_micros(micros), upper(slot(Duration::from_micros(micros))));
        assert!(took <= bound.max(Duration::from_micros(1)), "{took:?} {bound:?}");
        assert!(bound <= took.mul_f64(1.26) + Duration::from_micros(1), "{took:?} {bound:?}");
    }
    assert_eq!(
        slot(Duration::from_secs(100_000)),
        slot(Duration::from_micros(u64::from(u32::MAX)))
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_long_ago_is_forgotten() {
    let latency = Latency::new();
    assert_eq!(latency.snapshot(), None);
    for millis in 1..=100 {
        latency.note(Instant::now(), Duration::from_millis(millis));
    }
    let near = |found: Duration, millis: u64| {
        let wanted = Duration::from_millis(millis);
        assert!(found >= wanted && found < wanted.mul_f64(1.27), "{found:?} for {wanted:?}");
    };
    let all = latency.snapshot().unwrap();
    assert_eq!(all.calls, 100);
    near(all.p50, 50);
    near(all.p99, 99);
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(latency.snapshot().unwrap().calls, 100);
    latency.note(Instant::now(), Duration::from_millis(1));
    assert_eq!(latency.snapshot().unwrap().calls, 101);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(latency.snapshot().unwrap().calls, 1);
    tokio::time::advance(Duration::from_secs(600)).await;
    assert_eq!(latency.snapshot(), None);
}
