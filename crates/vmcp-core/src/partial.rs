//! What clients are shown while some of the backends cannot be used.

use std::sync::atomic::Ordering;

use vmcp_model::BackendId;
use vmcp_wire::Fault;

use crate::{view::View, vmcp::Vmcp};

/// What happens when some of the backends cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartialFailure {
    /// Nobody is shown anything until all are back.
    Fail,
    /// The rest goes on, and what the others have offered last is shown still.
    BestEffort,
}

impl Vmcp {
    /// Decides what happens when some of the backends cannot be used.
    pub fn set_partial_failure(&self, mode: PartialFailure) {
        self.whole_only.store(mode == PartialFailure::Fail, Ordering::Relaxed);
    }

    /// Whether nobody is shown a part.
    pub fn is_whole_only(&self) -> bool {
        self.whole_only.load(Ordering::Relaxed)
    }

    /// Refuses to show a catalog in which something is missing, if that is how it is to be.
    pub fn check_whole(&self, view: &View) -> Result<(), Fault> {
        if !self.is_whole_only() {
            return Ok(());
        }
        let out: Vec<_> = self.out(view).iter().map(ToString::to_string).collect();
        if out.is_empty() {
            return Ok(());
        }
        let why = format!(
            "these backends cannot be used: {}; operational.failureHandling.partialFailureMode is \
             fail, so nothing is shown without them (with best_effort the rest would be)",
            out.join(", ")
        );
        Err(Fault::Unavailable(why.into()))
    }

    /// The backends that cannot be used, or have had their time to say what they offer.
    fn out(&self, view: &View) -> Vec<BackendId> {
        let mut out = view.missing(self.initialize_wait);
        for backend in self.backends().iter().filter(|backend| backend.is_out()) {
            if !out.contains(backend.id()) {
                out.push(backend.id().clone());
            }
        }
        out
    }
}
