//! All metrics that exist, and what is told about them.

pub mod backends;
pub mod process;
pub mod requests;
pub mod server;

use std::fmt::Write;

use crate::{
    exposition,
    family::{Metric, MetricKind},
};

/// Defines metrics, and `ALL` of them.
macro_rules! metrics {
    ($($(#[$doc:meta])* $place:ident: $kind:ident $name:literal [$unit:literal] {$($attribute:literal),*}
        $help:literal;)*) => {
        $(
            #[doc = $help]
            $(#[$doc])*
            pub static $place: crate::family::Metric = crate::family::Metric {
                name: $name,
                kind: crate::family::MetricKind::$kind,
                unit: $unit,
                help: $help,
                attributes: &[$($attribute),*],
            };
        )*
        /// All that are defined here.
        pub static ALL: &[&crate::family::Metric] = &[$(&$place),*];
    };
}
use metrics;

const COUNT: usize =
    requests::ALL.len() + server::ALL.len() + backends::ALL.len() + process::ALL.len();

static ALL: [&Metric; COUNT] = all(&[requests::ALL, server::ALL, backends::ALL, process::ALL]);

/// Every metric that exists.
pub static METRICS: &[&Metric] = &ALL;

const fn all(parts: &[&[&'static Metric]]) -> [&'static Metric; COUNT] {
    let mut all = [parts[0][0]; COUNT];
    let (mut count, mut part) = (0, 0);
    while part < parts.len() {
        let mut place = 0;
        while place < parts[part].len() {
            all[count] = parts[part][place];
            (count, place) = (count + 1, place + 1);
        }
        part += 1;
    }
    all
}

/// All metrics as a table for readers (Markdown).
pub fn reference() -> String {
    let mut text = "| in Prometheus | in OpenTelemetry | kind | unit | attributes | what it is |\n\
                    |---|---|---|---|---|---|\n"
        .to_owned();
    for metric in METRICS {
        let kind = match metric.kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        let attributes: Vec<_> = metric.attributes.iter().map(|name| format!("`{name}`")).collect();
        let (name, attributes) = (exposition::name(metric), attributes.join(", "));
        let _ = writeln!(
            text,
            "| `{name}` | `{}` | {kind} | `{}` | {attributes} | {} |",
            metric.name, metric.unit, metric.help
        );
    }
    text
}

#[cfg(test)]
mod tests;
