//! Figures of rounds that are made up.

use std::time::Duration;

use super::{Figure, Rounds, Spread};
use crate::{histogram::Histogram, load::Round};

/// A round of two seconds whose calls took a microsecond, two, three and so on.
fn round(calls: u64, cpu: f64) -> Round {
    let mut histogram = Histogram::default();
    for micros in 1..=calls {
        histogram.record(Duration::from_micros(micros));
    }
    let elapsed = Duration::from_secs(2);
    let late = Histogram::default();
    Round { calls: histogram, late, elapsed, cpu, errors: 1, first_error: None }
}

#[track_caller]
fn check(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!((found - expected).abs() <= expected * 0.005, "{found} instead of {expected}");
}

#[test]
fn figures_are_medians_over_rounds() {
    let mut rounds = Rounds::of("vmcp");
    rounds.peak = vec![round(100, 0.01), round(300, 0.03), round(200, 0.04)];
    check(rounds.median(Figure::CallsPerSecond), 100.0);
    check(rounds.median(Figure::Cpu), 100.0);
    check(rounds.median(Figure::P50), 100.0);
    assert_eq!(rounds.median(Figure::Resident), None);
    assert_eq!(rounds.errors(), 3);
}

#[test]
fn latency_is_that_at_a_fixed_rate_if_there_is_one() {
    let mut rounds = Rounds::of("vmcp");
    rounds.peak = vec![round(100, 0.01)];
    rounds.paced = vec![round(2000, 0.03)];
    check(rounds.median(Figure::P50), 1000.0);
    check(rounds.median(Figure::P999), 1998.0);
    check(rounds.median(Figure::CallsPerSecond), 50.0);
    check(rounds.paced_cpu(), 15.0);
}

#[test]
fn a_quantile_needs_enough_calls() {
    let mut rounds = Rounds::of("vmcp");
    rounds.paced = vec![round(2000, 0.01), round(980, 0.01)];
    check(rounds.median(Figure::P99), 1475.6);
    assert_eq!(rounds.median(Figure::P999), None);
}

#[test]
fn ratios_are_those_of_neighbours() {
    let (mut base, mut subject) = (Rounds::of("nginx"), Rounds::of("vmcp"));
    // The machine got three times as slow after the first round.
    base.peak = vec![round(100, 0.01), round(100, 0.03), round(100, 0.03)];
    subject.peak = vec![round(100, 0.02), round(100, 0.06), round(100, 0.09)];
    check(Spread::of_ratios(Figure::Cpu, &base, &subject).map(|spread| spread.median), 2.0);
    check(Spread::of_differences(Figure::Cpu, &base, &subject).map(|spread| spread.median), 300.0);
}

#[test]
fn a_spread_has_a_quarter_below_and_a_quarter_above() {
    let spread = |low, median, high| Some(Spread { low, median, high });
    for (figures, expected) in [
        (vec![], None),
        (vec![3.0], spread(3.0, 3.0, 3.0)),
        (vec![4.0, 2.0], spread(2.5, 3.0, 3.5)),
        (vec![9.0, 1.0, 5.0], spread(3.0, 5.0, 7.0)),
        (vec![5.0, 1.0, 4.0, 2.0, 3.0], spread(2.0, 3.0, 4.0)),
    ] {
        assert_eq!(Spread::of(figures), expected);
    }
}
