//! Metrics as text that Prometheus reads (text format 0.0.4).
//!
//! Names are those that OpenTelemetry's compatibility specification makes out of its own: with underscores, the
//! unit, and `_total`. The same families give the same text, in whatever order they and their points come.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt::{self, Write},
};

use crate::family::{Family, Histogram, Metric, MetricKind, Value};

/// What the text is, as the header `Content-Type` says it.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Labels of a line, in the order in which they are written, without braces.
type Labels = String;

/// The families as text, and what they are of as `target_info`.
pub fn text(families: &[Family], resource: &[(&str, &str)]) -> String {
    let mut sorted: BTreeMap<String, (&Metric, BTreeMap<Labels, &Value>)> = BTreeMap::new();
    for family in families {
        let (_, points) =
            sorted.entry(name(family.metric)).or_insert_with(|| (family.metric, BTreeMap::new()));
        for point in &family.points {
            let attributes = point.attributes.iter().map(|(name, value)| (*name, &**value));
            // Whoever reads the text would refuse it all if the same line stood there twice.
            points.entry(labels(attributes)).or_insert(&point.value);
        }
    }
    let mut text = String::new();
    for (name, (metric, points)) in &sorted {
        head(&mut text, name, metric.kind, metric.help);
        for (labels, value) in points {
            match value {
                Value::Number(number) => line(&mut text, name, "", labels, number),
                Value::Fraction(fraction) => line(&mut text, name, "", labels, Float(*fraction)),
                Value::Histogram(histogram) => write_histogram(&mut text, name, labels, histogram),
            }
        }
    }
    if !resource.is_empty() {
        head(&mut text, "target_info", MetricKind::Gauge, "What all metrics are of");
        line(&mut text, "target_info", "", &labels(resource.iter().copied()), 1);
    }
    text
}

/// The name that Prometheus has for a metric.
pub fn name(metric: &Metric) -> String {
    let mut name = plain(metric.name, true);
    let suffixes = [unit(metric), if metric.kind == MetricKind::Counter { "total" } else { "" }];
    for suffix in suffixes {
        if !suffix.is_empty() && !name.ends_with(&format!("_{suffix}")) {
            name.push('_');
            name.push_str(suffix);
        }
    }
    name
}

/// What Prometheus calls a unit. Notes in braces are none.
fn unit(metric: &Metric) -> &'static str {
    match metric.unit {
        "s" => "seconds",
        "ms" => "milliseconds",
        "By" => "bytes",
        "1" if metric.kind == MetricKind::Gauge => "ratio",
        _ => "",
    }
}

/// A name of letters, digits and single underscores, in metrics also colons.
fn plain(name: &str, with_colons: bool) -> String {
    let mut plain = String::with_capacity(name.len());
    for character in name.chars() {
        let is_allowed = character.is_ascii_alphanumeric() || with_colons && character == ':';
        let character = if is_allowed { character } else { '_' };
        if plain.is_empty() && character.is_ascii_digit() {
            plain.push_str(if with_colons { "_" } else { "key_" });
        }
        if character != '_' || !plain.ends_with('_') {
            plain.push(character);
        }
    }
    plain
}

fn labels<'a>(attributes: impl Iterator<Item = (&'a str, &'a str)>) -> Labels {
    let mut named: BTreeMap<String, Vec<(&str, &str)>> = BTreeMap::new();
    for (name, value) in attributes {
        named.entry(plain(name, false)).or_default().push((name, value));
    }
    let mut text = String::new();
    for (name, mut values) in named {
        // Several whose names have become the same: their values in the order of the names.
        values.sort_unstable();
        let values: Vec<_> = values.into_iter().map(|(_, value)| value).collect();
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(text, "{comma}{name}=\"{}\"", escaped(&values.join(";"), true));
    }
    text
}

fn head(text: &mut String, name: &str, kind: MetricKind, help: &str) {
    let kind = match kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
        MetricKind::Histogram => "histogram",
    };
    let help = escaped(help, false);
    let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn line(text: &mut String, name: &str, suffix: &str, labels: &str, value: impl fmt::Display) {
    let _ = match labels {
        "" => writeln!(text, "{name}{suffix} {value}"),
        _ => writeln!(text, "{name}{suffix}{{{labels}}} {value}"),
    };
}

fn write_histogram(text: &mut String, name: &str, labels: &str, histogram: &Histogram) {
    let comma = if labels.is_empty() { "" } else { "," };
    let bounds = histogram.bounds.iter().copied().chain([f64::INFINITY]);
    let mut count = 0_u64;
    for (bound, more) in bounds.zip(&histogram.counts) {
        count += more;
        let bound = Float(bound);
        let _ = writeln!(text, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {count}");
    }
    line(text, name, "_sum", labels, Float(histogram.sum));
    line(text, name, "_count", labels, count);
}

/// A number as the format writes it, which calls infinity otherwise than Rust.
struct Float(f64);

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

fn escaped(text: &str, is_quoted: bool) -> Cow<'_, str> {
    if !text.contains(['\\', '\n', '"']) {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '"' if is_quoted => escaped.push_str("\\\""),
            _ => escaped.push(character),
        }
    }
    escaped.into()
}
