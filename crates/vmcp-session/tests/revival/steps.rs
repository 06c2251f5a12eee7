//! What can happen, and programs of it.

use std::fmt;

use proptest::{collection::vec, prelude::*};

use super::network::Held;

/// How many replicas there are.
pub(super) const REPLICAS: usize = 3;

/// What happens, one after the other.
#[derive(Clone)]
pub(super) struct Program {
    /// Whether replicas ask the store every time.
    pub(super) per_request: bool,
    pub(super) steps: Vec<Step>,
}

impl fmt::Debug for Program {
    /// A step a line, however it is asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "per request: {}", self.per_request)?;
        self.steps.iter().try_for_each(|step| write!(f, "\n    {step:?}"))
    }
}

/// Something that happens. Replicas and sessions are numbered; what is about a session that is not
/// there does not happen.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// A client opens a session.
    Create { on: usize },
    /// A client uses its session.
    Use { on: usize, session: usize, how: Use },
    /// A client ends its session.
    Delete { on: usize, session: usize },
    /// Time passes, in milliseconds.
    Wait(u64),
    /// The way from a replica to the store holds back what comes from now on, when so many commands
    /// have passed.
    Hold { on: usize, what: Held, after: usize },
    /// What comes from now on passes; what was held comes late.
    Open { on: usize },
    /// Everything passes.
    Release { on: usize },
    /// What was held is lost.
    Lose { on: usize },
    /// What others tell a replica is held back.
    Deafen { on: usize },
    /// It is let through, the newest first or last.
    Deliver { on: usize, backwards: bool },
    /// It is lost with the replica's connection.
    Rejoin { on: usize },
    /// The next message from one replica to another is lost, and nobody notices.
    Miss { from: usize, to: usize },
    /// A replica dies, and another one is started.
    Restart { on: usize },
    /// The backend offers another tool.
    Offer,
}

/// What a client does with its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Calls a tool that counts its calls.
    Call,
    /// Lists the tools.
    List,
    /// Sets the log level.
    Level,
    /// Subscribes to a resource.
    Subscribe,
}

pub(super) fn program() -> impl Strategy<Value = Program> {
    let steps = vec(step(), 1..40);
    (prop::bool::weighted(0.2), steps).prop_map(|(per_request, mut steps)| {
        // Without a session nothing happens.
        steps.insert(0, Step::Create { on: 0 });
        Program { per_request, steps }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let on = || 0..REPLICAS;
    let session = || prop_oneof![4 => Just(0), 2 => Just(1), 1 => Just(2)];
    let how = || prop_oneof![6 => Just(Use::Call), 2 => Just(Use::List), 1 => Just(Use::Level), 1 => Just(Use::Subscribe)];
    let what = || prop_oneof![Just(Held::Commands), Just(Held::Answers)];
    let wait =
        prop::sample::select(vec![50, 300, 1_100, 1_100, 1_100, 3_100, 3_100, 20_000, 61_000]);
    prop_oneof![
        6 => wait.prop_map(Step::Wait),
        2 => on().prop_map(|on| Step::Create { on }),
        12 => (on(), session(), how()).prop_map(|(on, session, how)| Step::Use { on, session, how }),
        4 => (on(), session()).prop_map(|(on, session)| Step::Delete { on, session }),
        4 => (on(), what(), 0..4_usize)
            .prop_map(|(on, what, after)| Step::Hold { on, what, after }),
        2 => on().prop_map(|on| Step::Open { on }),
        2 => on().prop_map(|on| Step::Release { on }),
        1 => on().prop_map(|on| Step::Lose { on }),
        2 => on().prop_map(|on| Step::Deafen { on }),
        1 => (on(), any::<bool>()).prop_map(|(on, backwards)| Step::Deliver { on, backwards }),
        1 => on().prop_map(|on| Step::Rejoin { on }),
        3 => (on(), on()).prop_map(|(from, to)| Step::Miss { from, to }),
        1 => on().prop_map(|on| Step::Restart { on }),
        1 => Just(Step::Offer),
    ]
}
