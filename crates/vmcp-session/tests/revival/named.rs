//! Programs with a name: what random ones have found once, and what they may miss in a short run.

use super::{
    network::Held::{Answers, Commands},
    steps::{
        Step::{self, Create, Deafen, Delete, Hold, Miss, Rejoin, Release, Restart, Wait},
        Use::{self, Call, Level, List, Subscribe},
    },
};

fn used(on: usize, how: Use) -> Step {
    Step::Use { on, session: 0, how }
}

fn delete(on: usize) -> Step {
    Delete { on, session: 0 }
}

fn hold(on: usize, after: usize) -> Step {
    Hold { on, what: Commands, after }
}

/// What random programs have found.
pub(super) fn found_once() -> Vec<(&'static str, Vec<Step>)> {
    vec![
        (
            "a session that goes on elsewhere late in its life is kept by that",
            vec![
                Create { on: 0 },
                Wait(57_000),
                used(1, Call),
                Wait(7_000),
                used(1, Call),
                Wait(40_000),
                used(2, Call),
            ],
        ),
        (
            "a session is used for the last time that it can be, and then again",
            vec![
                // So that this one's upkeep comes after the others'.
                Wait(1_500),
                Restart { on: 1 },
                Wait(1_100),
                Create { on: 0 },
                Wait(59_300),
                used(1, Call),
                Wait(3_100),
                used(1, Call),
            ],
        ),
        (
            "a record is not there for longer than its catalog",
            vec![
                Create { on: 0 },
                used(1, Call),
                Hold { on: 1, what: Answers, after: 0 },
                Wait(130_000),
                used(0, Call),
            ],
        ),
        (
            "what a replica has forgotten for its age is not unknown while the store is away",
            vec![
                Create { on: 2 },
                Deafen { on: 2 },
                hold(2, 0),
                Wait(58_500),
                used(0, Call),
                used(2, Call),
                Wait(3_100),
            ],
        ),
        (
            "the end is not answered, and told by nobody",
            vec![
                Create { on: 0 },
                used(2, Call),
                Wait(1_100),
                Hold { on: 2, what: Answers, after: 0 },
                delete(2),
                Wait(20_000),
                used(0, List),
            ],
        ),
    ]
}

/// The same, about what a session has at its backend.
pub(super) fn found_of_backends() -> Vec<(&'static str, Vec<Step>)> {
    vec![
        (
            "a backend session is entered, and the answer comes too late",
            vec![
                Create { on: 0 },
                Hold { on: 0, what: Answers, after: 1 },
                used(0, Call),
                Wait(1_100),
                used(1, Call),
                Wait(3_100),
                used(1, Call),
            ],
        ),
        (
            "a session is used at the very end of its life",
            vec![
                Create { on: 0 },
                used(1, Call),
                Wait(61_000),
                used(0, Call),
                used(1, Call),
                Wait(20_000),
                Hold { on: 2, what: Commands, after: 0 },
                Wait(20_000),
                Wait(20_000),
                Create { on: 2 },
                Step::Offer,
                used(1, Call),
            ],
        ),
        (
            "a backend session is entered, and who opened it dies before the answer",
            vec![
                Create { on: 0 },
                Hold { on: 0, what: Answers, after: 1 },
                used(0, Subscribe),
                Restart { on: 0 },
                used(0, Call),
                Wait(3_100),
                used(0, Call),
            ],
        ),
    ]
}

/// A command of each kind that comes when the session is gone, and an end of which not everybody
/// hears.
pub(super) fn late() -> Vec<(&'static str, Vec<Step>)> {
    let first = Create { on: 0 };
    let release = Release { on: 0 };
    vec![
        ("a late filling", vec![Wait(50), hold(0, 2), first, Wait(61_000), Wait(6_000), release]),
        (
            "a late refresh",
            vec![
                first,
                Wait(7_000),
                used(0, List),
                hold(0, 0),
                Wait(3_100),
                // What has ended stands until it is claimed.
                hold(1, 2),
                delete(1),
                release,
            ],
        ),
        (
            "a late refresh of what has expired",
            vec![first, Wait(7_000), used(0, List), hold(0, 0), Wait(61_000), Wait(3_100), release],
        ),
        ("a late backend session", vec![first, hold(0, 1), used(0, Call), delete(1), release]),
        ("a late log level", vec![first, hold(0, 0), used(0, Level), delete(1), release]),
        (
            "a late subscription",
            vec![first, used(0, Call), hold(0, 0), used(0, Subscribe), delete(1), release],
        ),
        ("a late end", vec![first, hold(0, 0), delete(0), hold(1, 2), delete(1), release]),
        (
            "a late answer to who takes it up",
            vec![
                first,
                Hold { on: 1, what: Answers, after: 0 },
                used(1, List),
                delete(0),
                Release { on: 1 },
                used(1, List),
                Wait(1_100),
                used(1, List),
            ],
        ),
        ("the end is told", vec![first, used(1, List), delete(0), Wait(1_100), used(1, List)]),
        (
            "the end is told and lost, and who told it dies",
            vec![
                first,
                used(1, List),
                Miss { from: 0, to: 1 },
                delete(0),
                Restart { on: 0 },
                Wait(1_100),
                used(1, List),
            ],
        ),
        (
            "the end is told and lost",
            vec![
                first,
                used(1, List),
                Miss { from: 0, to: 1 },
                delete(0),
                Wait(1_100),
                used(1, List),
            ],
        ),
        (
            "the end is told and held back",
            vec![first, used(1, List), Deafen { on: 1 }, delete(0), Wait(1_100), used(1, List)],
        ),
        (
            "the end is told while a connection is made anew",
            vec![
                first,
                used(1, List),
                Deafen { on: 1 },
                delete(0),
                Rejoin { on: 1 },
                Wait(1_100),
                used(1, List),
            ],
        ),
        (
            "who has claimed the end dies",
            vec![first, used(0, Call), hold(0, 2), delete(0), Restart { on: 0 }],
        ),
    ]
}
