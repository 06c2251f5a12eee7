//! No revival (promise P4): a record that is gone is never written back to life, and once DELETE is
//! answered no replica that reaches the store serves the session for longer than `maxStaleness`.
//!
//! Programs of steps are run on three replicas, with all the session layer and the store of the
//! product; only the network between them and the store, and between each other, is a fake, which
//! delays, turns round and loses what it is told to. Time is paused: it passes where nothing else can.

mod bus;
mod model;
mod network;
mod steps;
mod world;

use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use steps::{Program, program};

/// Programs that are run. `PROPTEST_CASES` says otherwise.
const CASES: u32 = 64;

fn check(program: Program) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .map_err(|error| TestCaseError::fail(error.to_string()))?;
    let wrong = runtime.block_on(world::run(program));
    if wrong.is_empty() { Ok(()) } else { Err(TestCaseError::fail(wrong.join("\n"))) }
}

#[test]
fn what_is_gone_is_never_served_again() {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let config = Config {
        cases: cases.unwrap_or(CASES),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    if let Err(failure) = TestRunner::new(config).run(&program(), check) {
        panic!("{failure}");
    }
}

/// Programs that have found something once.
#[test]
fn what_was_found_once_is_right() {
    use network::Held::{Answers, Commands};
    use steps::Step::{Create, Deafen, Delete, Hold, Miss, Restart, Use, Wait};
    use steps::Use::{Call, List};
    let call = |on| Use { on, session: 0, how: Call };
    let list = |on| Use { on, session: 0, how: List };
    let found = [
        (
            "a session that goes on elsewhere late in its life is kept by that",
            vec![
                Create { on: 0 },
                Wait(9_500),
                call(1),
                Wait(1_100),
                call(1),
                Wait(6_000),
                call(2),
            ],
        ),
        (
            "a record is not there for longer than its catalog",
            vec![
                Create { on: 0 },
                call(1),
                Hold { on: 1, what: Answers, after: 0 },
                Wait(22_000),
                call(0),
            ],
        ),
        (
            "a message is lost, and then nothing comes for a while",
            vec![
                Wait(100),
                Restart { on: 1 },
                Create { on: 0 },
                list(1),
                Wait(120),
                Miss { from: 0, to: 1 },
                Delete { on: 0, session: 0 },
                Wait(100),
                Deafen { on: 1 },
                Wait(930),
                list(1),
            ],
        ),
        (
            "what a replica has forgotten for its age is not unknown while the store is away",
            vec![
                Create { on: 2 },
                Deafen { on: 2 },
                Hold { on: 2, what: Commands, after: 0 },
                Wait(9_100),
                call(0),
                call(2),
                Wait(3_100),
            ],
        ),
        (
            "a backend session is entered, and the answer comes too late",
            vec![
                Create { on: 0 },
                Hold { on: 0, what: Answers, after: 1 },
                call(0),
                Wait(1_100),
                call(1),
                Wait(3_100),
                call(1),
            ],
        ),
    ];
    for (what, steps) in found {
        check(Program { per_request: false, steps }).unwrap_or_else(|why| panic!("{what}: {why}"));
    }
}
