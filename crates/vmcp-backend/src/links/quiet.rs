//! Tells when programs that start need the processor no more.

use std::time::Duration;

use super::Links;
use crate::stdio::{Effort, effort};

/// How often it is looked, and how often in a row they must have done nothing.
const LOOK: Duration = Duration::from_millis(100);
const QUIET: u32 = 2;

/// How often it is looked where the system does not say what they do.
const BLIND: u32 = 10;

impl Links {
    /// Completes when the programs that have started and have not served anybody yet only wait: for the
    /// network, or for ever.
    pub(crate) async fn until_quiet(&self) {
        let (mut before, mut quiet, mut blind) = (Effort::default(), 0, 0);
        while quiet < QUIET && blind < BLIND {
            tokio::time::sleep(LOOK).await;
            let starting: Vec<u32> = {
                let kept = self.kept();
                let starting = kept.values().filter(|link| !link.has_served());
                starting.filter_map(|link| link.process()).collect()
            };
            if starting.is_empty() {
                continue;
            }
            let efforts = starting.iter().filter_map(|process| effort(*process));
            let sum = efforts.reduce(|one, other| Effort {
                ticks: one.ticks + other.ticks,
                is_busy: one.is_busy || other.is_busy,
            });
            let Some(now) = sum else {
                blind += 1;
                continue;
            };
            quiet = if now.is_busy || now.ticks != before.ticks { 0 } else { quiet + 1 };
            before = now;
        }
    }
}
