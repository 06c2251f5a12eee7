//! No revival (promise P4): a record that is gone is never written back to life, and once DELETE is
//! answered no replica that reaches the store serves the session for longer than `maxStaleness`.
//!
//! Programs of steps are run on three replicas, with all the session layer and the store of the
//! product; only the network between them and the store, and between each other, is a fake, which
//! delays, turns round and loses what it is told to. Time is paused: it passes where nothing else can.

mod bus;
mod model;
mod named;
mod network;
mod steps;
mod world;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use steps::{Program, program};

/// Runs so many random programs. `PROPTEST_CASES` says otherwise.
#[expect(clippy::disallowed_methods, reason = "whoever looks for more runs more")]
pub(crate) fn run_programs(cases: u32) {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: wanted.unwrap_or(cases),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    if let Err(failure) = TestRunner::new(config).run(&program(), check) {
        panic!("{failure}");
    }
}

/// Runs those that have a name, with and without a bus that is relied upon.
pub(crate) fn run_named() {
    let named = [named::found_once(), named::found_of_backends(), named::late()].concat();
    for (what, steps) in named {
        for per_request in [false, true] {
            let program = Program { per_request, steps: steps.clone() };
            check(program).unwrap_or_else(|why| panic!("{what}: {why}"));
        }
    }
}

fn check(program: Program) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let wrong = runtime.block_on(world::run(program));
    if wrong.is_empty() { Ok(()) } else { Err(TestCaseError::fail(wrong.join("\n"))) }
}

/// Does something by itself.
#[expect(clippy::disallowed_methods, reason = "it ends with the runtime of its program")]
fn start(work: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(work);
}
