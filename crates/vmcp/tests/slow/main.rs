//! Tests that take longer than a save should: `./test` runs them, `./test quick` does not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod idle;
