//! Tests that take longer than a save should: `./test` runs them, `./test quick` does not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures are a result of the tests")]

mod idle;
mod neighbours;
mod support;
