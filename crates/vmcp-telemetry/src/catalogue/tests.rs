//! The catalogue says of each metric what readers need, and nothing twice.

use std::collections::BTreeSet;

use super::*;

#[test]
fn each_metric_is_described_and_stands_once() {
    let names: BTreeSet<_> = METRICS.iter().map(|metric| exposition::name(metric)).collect();
    assert_eq!(names.len(), METRICS.len(), "two metrics have the same name");
    for metric in METRICS {
        let Metric { name, unit, help, attributes, .. } = metric;
        assert!(help.len() > 8 && !help.ends_with('.') && !help.contains('|'), "{name}: {help:?}");
        assert!(help.starts_with(|first: char| !first.is_lowercase()), "{name}: {help:?}");
        assert!(matches!(*unit, "s" | "By") || unit.starts_with('{'), "{name} is in {unit:?}");
        let unique: BTreeSet<_> = attributes.iter().collect();
        assert_eq!(unique.len(), attributes.len(), "{name} has an attribute twice");
    }
}

#[test]
fn the_reference_has_a_line_for_each() {
    let text = reference();
    assert_eq!(text.lines().count(), METRICS.len() + 2);
    for (line, metric) in text.lines().skip(2).zip(METRICS) {
        assert!(line.starts_with(&format!("| `{}` |", exposition::name(metric))), "{line}");
        assert_eq!(line.matches('|').count(), 7, "{line}");
    }
}
