//! What may come of what clients do, by what has happened to their sessions.

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::time::Instant;
use vmcp_store::SessionKey;

use super::{network::Gone, steps::Use};

/// How long an unused session lives.
pub(super) const TTL: Duration = Duration::from_secs(60);

/// For how long replicas rely on what they know, if they do.
pub(super) const MAX_STALENESS: Duration = Duration::from_secs(1);

/// What a few steps between programs may add.
const SLACK: Duration = Duration::from_millis(200);

/// What came of something that a client did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was done; what the tool counted.
    Served(Option<u64>),
    /// There is no such session.
    Unknown,
    /// The store cannot be reached.
    Unavailable(String),
    /// Something else.
    Failed(String),
}

/// How something was done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Manner {
    pub(super) began: Instant,
    /// The replica reached the store all the while.
    pub(super) reached: bool,
    /// And nothing of it was late.
    pub(super) quiet: bool,
    /// Since when the replica reaches the store.
    pub(super) reaches_since: Instant,
}

/// A session.
pub(super) struct Known {
    pub(super) id: Arc<str>,
    pub(super) key: SessionKey,
    /// When DELETE was answered.
    deleted: Option<Instant>,
    /// Its deadline has passed before somebody refreshed it, or ended it.
    lapsed: bool,
    begun_calls: u64,
    counted: HashSet<u64>,
    /// When it was used last on a replica that could tell the store.
    pub(super) used: Option<Instant>,
}

impl Known {
    pub(super) fn new(id: Arc<str>) -> Self {
        Self {
            key: SessionKey::of(&id),
            id,
            deleted: None,
            lapsed: false,
            begun_calls: 0,
            counted: HashSet::new(),
            used: None,
        }
    }

    /// Notes that a client begins something.
    pub(super) fn begin(&mut self, how: Use) {
        self.begun_calls += u64::from(how == Use::Call);
    }

    /// Notes that the record's deadline has passed.
    pub(super) fn lapse(&mut self) {
        self.lapsed = true;
    }

    /// What is wrong about what came of a use.
    pub(super) fn used(
        &mut self,
        outcome: &Outcome,
        manner: Manner,
        gone: Option<Gone>,
        per_request: bool,
    ) -> Option<String> {
        match outcome {
            Outcome::Served(count) => {
                if let Some(count) = *count
                    && (count == 0 || count > self.begun_calls || !self.counted.insert(count))
                {
                    return Some(format!(
                        "counted {count}, after {:?} in {} calls",
                        self.counted, self.begun_calls
                    ));
                }
                self.served_too_late(manner, gone, per_request)
            }
            Outcome::Unknown => self.is_refused_rightly(gone),
            Outcome::Unavailable(why) | Outcome::Failed(why) => {
                let known = self.is_refused_rightly(gone);
                known.filter(|_| manner.quiet).map(|_| why.clone())
            }
        }
    }

    fn served_too_late(
        &self,
        manner: Manner,
        gone: Option<Gone>,
        per_request: bool,
    ) -> Option<String> {
        if !manner.reached {
            return None;
        }
        let too_late = match self.deleted {
            Some(deleted) if per_request => manner.began >= deleted,
            Some(deleted) => manner.began > deleted + MAX_STALENESS,
            None => false,
        };
        if let (true, Some(deleted)) = (too_late, self.deleted) {
            return Some(format!("served {:?} after DELETE was answered", manner.began - deleted));
        }
        // Whoever claims a session tells of it.
        let claimed = gone?.claimed?.max(manner.reaches_since);
        (manner.began > claimed + super::network::COMMAND + MAX_STALENESS)
            .then(|| format!("served {:?} after it was claimed", manner.began - claimed))
    }

    /// What is wrong if the session is refused.
    fn is_refused_rightly(&self, gone: Option<Gone>) -> Option<String> {
        (gone.is_none() && !self.lapsed).then(|| "refused, though it is there".to_owned())
    }

    /// What is wrong about what came of a DELETE.
    pub(super) fn deleted(
        &mut self,
        outcome: &Outcome,
        manner: Manner,
        gone: Option<Gone>,
    ) -> Option<String> {
        match outcome {
            Outcome::Served(_) => {
                let again = self.deleted.is_some();
                self.deleted.get_or_insert_with(Instant::now);
                if gone.is_none() {
                    return Some("DELETE was answered, and the record stands".to_owned());
                }
                again.then(|| "ended twice".to_owned())
            }
            Outcome::Unknown => self.is_refused_rightly(gone),
            Outcome::Unavailable(why) | Outcome::Failed(why) => manner.quiet.then(|| why.clone()),
        }
    }

    /// What is wrong about its expiry, if it was used on a replica that could tell the store since.
    pub(super) fn expired(&self, gone: Gone) -> Option<String> {
        let used = self.used?;
        (gone.expired && gone.at + SLACK < used + TTL)
            .then(|| format!("expired {:?} after it was used", gone.at - used))
    }
}
