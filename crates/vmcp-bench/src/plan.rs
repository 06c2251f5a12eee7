//! How often and how long everything is driven.

use std::time::Duration;

use crate::load::Pace;

/// How two or three parties are driven in turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turns {
    pub(crate) rounds: usize,
    pub(crate) pace: Pace,
}

/// A whole run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// At the peak, for calls per second and CPU time.
    pub(crate) peak: Turns,
    /// At a fixed rate, for latency.
    pub(crate) paced: Turns,
    /// Short and many: what differs little is found by the median of many differences.
    pub(crate) short: Turns,
}

impl Plan {
    /// `threads` carry the load.
    pub(crate) fn new(quick: bool, threads: usize) -> Self {
        let turns = |rounds, warm_up, measured| Turns {
            rounds,
            pace: Pace {
                warm_up: Duration::from_millis(warm_up),
                measured: Duration::from_millis(measured),
                threads,
            },
        };
        if quick {
            Self { peak: turns(5, 50, 300), paced: turns(3, 100, 400), short: turns(7, 50, 250) }
        } else {
            Self { peak: turns(7, 100, 450), paced: turns(5, 100, 500), short: turns(15, 100, 400) }
        }
    }
}
