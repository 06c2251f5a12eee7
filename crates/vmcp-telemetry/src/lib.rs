//! What was done, counted and timed: metrics and traces, for Prometheus and OpenTelemetry.

pub mod family;
