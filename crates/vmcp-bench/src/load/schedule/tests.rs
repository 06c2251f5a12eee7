//! Calls that are due at even distances, whichever connection has them.

use super::{Duration, Instant, Schedule};

/// Microseconds from the beginning at which the first calls of each connection are due.
fn due(rate: f64, connections: usize, calls: usize) -> Vec<Vec<u128>> {
    let began = Instant::now();
    let of = |number| Schedule::new(began, rate, number, connections).take(calls);
    let micros = |due: Instant| (due - began + Duration::from_nanos(1)).as_micros();
    (0..connections).map(|number| of(number).map(micros).collect()).collect()
}

#[test]
fn each_connection_has_every_so_manieth_call() {
    let expected = [[0, 3000, 6000], [1000, 4000, 7000], [2000, 5000, 8000]];
    assert_eq!(due(1000.0, 3, 3), expected);
}

#[test]
fn all_connections_together_are_evenly_spaced() {
    let mut all = due(12_500.0, 16, 1000).concat();
    all.sort_unstable();
    assert!(all.windows(2).all(|pair| pair[1] - pair[0] == 80));
}

#[test]
fn a_schedule_does_not_drift() {
    let began = Instant::now();
    let last = Schedule::new(began, 30_000.0, 0, 1).nth(300_000);
    let error = last.map(|last| (last - began).abs_diff(Duration::from_secs(10)));
    assert!(error < Some(Duration::from_nanos(10)), "{error:?}");
}

#[test]
fn no_call_is_due_at_no_rate() {
    assert_eq!(Schedule::new(Instant::now(), 0.0, 1, 2).next(), None);
}
