//! What was done, counted and timed: metrics and traces, for Prometheus and OpenTelemetry.

pub mod catalogue;
pub mod exposition;
pub mod family;
pub mod metrics;
pub mod otlp;
pub mod points;
pub mod spans;
pub mod text;
