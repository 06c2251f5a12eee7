//! The logs of all streams of this process, which share one budget.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;
use vmcp_core::Budget;

use crate::log::{Freed, StreamLog};

/// How long nothing more is looked for after nothing could be freed.
const REST: Duration = Duration::from_millis(100);

/// The logs that there are, the oldest first, and what they may hold together.
#[derive(Debug)]
pub(crate) struct Logs {
    budget: Arc<Budget>,
    all: Mutex<BTreeMap<u64, Weak<StreamLog>>>,
    next: AtomicU64,
    /// When nothing could be freed last.
    in_vain: Mutex<Option<Instant>>,
}

impl Logs {
    pub(crate) fn new(budget: &Arc<Budget>) -> Arc<Self> {
        Arc::new(Self {
            budget: Arc::clone(budget),
            all: Mutex::default(),
            next: AtomicU64::new(0),
            in_vain: Mutex::default(),
        })
    }

    /// A name for a log that is being made.
    pub(crate) fn name(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn enter(&self, name: u64, log: &Arc<StreamLog>) {
        self.all().insert(name, Arc::downgrade(log));
    }

    pub(crate) fn leave(&self, name: u64) {
        self.all().remove(&name);
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Empties logs, those that are needed least first and of these the oldest, until a quarter of the
    /// budget is free and room for so much.
    pub(crate) fn free(&self, length: usize) {
        let lately = |at: &Instant| at.elapsed() < REST;
        if self.in_vain().as_ref().is_some_and(lately) {
            return;
        }
        let aim = self.budget.limit().saturating_sub(length.max(self.budget.limit() / 4));
        let logs: Vec<_> = self.all().values().filter_map(Weak::upgrade).collect();
        // What is held may grow meanwhile, so it does not say whether this was in vain.
        let mut is_in_vain = true;
        for which in Freed::ALL {
            for log in &logs {
                if self.budget.used() <= aim {
                    return;
                }
                is_in_vain &= !log.empty(which);
            }
        }
        if is_in_vain {
            *self.in_vain() = Some(Instant::now());
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<u64, Weak<StreamLog>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_vain(&self) -> MutexGuard<'_, Option<Instant>> {
        self.in_vain.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
