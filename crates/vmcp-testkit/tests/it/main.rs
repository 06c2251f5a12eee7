//! The peers do what their descriptions say. Whoever builds a test on one may rely on that.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails them just as they fail themselves"
)]

mod conformance;
mod habits;
mod lying;
mod modern;
mod modern_rmcp;
mod process;
mod raw;
mod streams;
mod tasks;
mod volume;
