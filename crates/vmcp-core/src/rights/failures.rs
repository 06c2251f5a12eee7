//! Policies that could not be evaluated.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

/// How often each of them could not.
#[derive(Debug, Default)]
pub(super) struct Failures(Mutex<BTreeMap<String, u64>>);

impl Failures {
    /// Notes what was told of each policy that failed, as `policy: why`. Operators are told of the first time.
    pub(super) fn note(&self, errors: &[String]) {
        if errors.is_empty() {
            return;
        }
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for error in errors {
            let policy = error.split(": ").next().unwrap_or_default();
            let count = counts.entry(policy.to_owned()).or_default();
            *count += 1;
            if *count == 1 {
                tracing::warn!(
                    %error,
                    "a policy could not be evaluated, which denies the request whatever other policies say; \
                     told of once, counted in /status; ask with \"has\" for what may be missing"
                );
            }
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
