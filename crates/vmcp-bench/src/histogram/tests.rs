//! Buckets without gaps, and quantiles that are right to half a percent.

use super::{Duration, Histogram, bucket, middle};

#[test]
fn every_bucket_begins_where_the_one_before_ends() {
    let mut last = 0;
    for value in 0..1_000_000 {
        let this = bucket(value);
        assert!(this == last || this == last + 1, "{value} falls in {this}, after {last}");
        last = this;
    }
}

#[test]
fn a_bucket_tells_its_values_to_half_a_percent() {
    for exponent in 7..40 {
        for value in [1_u64 << exponent, (1 << exponent) + 12_345, (2 << exponent) - 1] {
            #[expect(clippy::cast_precision_loss, reason = "half a percent is asked for")]
            let exact = value as f64;
            let error = (middle(bucket(value)) - exact).abs() / exact;
            assert!(error < 0.005, "{value}: {error}");
        }
    }
}

#[test]
fn quantiles_are_ranks() {
    let mut histogram = Histogram::default();
    for micros in 1..=1000 {
        histogram.record(Duration::from_micros(micros));
    }
    assert_eq!(histogram.count(), 1000);
    for (share, expected) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0), (0.0, 1.0)] {
        let found = histogram.quantile(share);
        assert!((found - expected).abs() / expected < 0.005, "{share}: {found}");
    }
}

#[test]
fn adding_joins_two_distributions() {
    let (mut all, mut slow) = (Histogram::default(), Histogram::default());
    all.record(Duration::from_micros(1));
    slow.record(Duration::from_secs(1));
    all.add(&slow);
    assert_eq!(all.count(), 2);
    assert!(all.quantile(1.0) > 900_000.0);
}

#[test]
fn extremes_have_a_place() {
    let mut histogram = Histogram::default();
    assert!(histogram.quantile(0.5).abs() < f64::EPSILON);
    histogram.record(Duration::ZERO);
    histogram.record(Duration::MAX);
    assert_eq!(histogram.count(), 2);
    assert!(histogram.quantile(0.1) < 1.0);
}
