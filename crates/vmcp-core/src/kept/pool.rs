//! The kept sessions of one backend: found, bounded, ended.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::{sync::Notify, time::Instant};
use vmcp_backend::{ClientView, Error};
use vmcp_model::Digest;

use super::{Shared, session::KeptSession, using::Member};

/// How often it is looked whether the calls on a backend have ended.
const LOOK: Duration = Duration::from_millis(100);

type Sessions = HashMap<Digest, Arc<KeptSession>>;

#[derive(Debug)]
pub(super) struct Pool {
    me: Weak<Self>,
    shared: Arc<Shared>,
    /// Exchanged as a whole: a call finds its session without a lock.
    sessions: ArcSwap<Sessions>,
    /// Held while others take the place of those there are.
    changing: Mutex<()>,
    /// Tells those who wait for a place that there may be one.
    freed: Notify,
    /// Calls under way that have a session for themselves.
    singles: AtomicUsize,
}

impl Pool {
    pub(super) fn new(shared: Arc<Shared>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            shared,
            sessions: ArcSwap::default(),
            changing: Mutex::default(),
            freed: Notify::new(),
            singles: AtomicUsize::new(0),
        })
    }

    pub(super) fn find(&self, key: &Digest) -> Option<Arc<KeptSession>> {
        self.sessions.load().get(key).cloned()
    }

    pub(super) fn count(&self) -> usize {
        self.sessions.load().len()
    }

    /// Whether nobody needs it.
    pub(super) fn is_unused(self: &Arc<Self>) -> bool {
        self.count() == 0 && self.singles() == 0 && Arc::strong_count(self) == 1
    }

    /// A use of a session that is there for one call, and for nobody else.
    pub(super) fn single(&self, client: &ClientView) -> Member {
        self.singles.fetch_add(1, Ordering::Relaxed);
        KeptSession::for_one_call(client, &self.shared, self.me.clone())
    }

    /// Notes that a call has ended that had a session for itself.
    pub(super) fn note_single_ended(&self) {
        self.singles.fetch_sub(1, Ordering::Relaxed);
    }

    fn singles(&self) -> usize {
        self.singles.load(Ordering::Relaxed)
    }

    /// A use of the session of this key, which is made if there is none and room for it.
    pub(super) async fn member(
        &self,
        key: Digest,
        client: &ClientView,
        until: Instant,
    ) -> Result<Member, Error> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(member) = self.join(key, client) {
                return Ok(member);
            }
            if tokio::time::timeout_at(until, freed).await.is_err() {
                let limit = self.shared.bridge.sessions;
                return Err(Error::Busy {
                    what: "kept sessions in use",
                    key: "limits.keptSessionsPerBackend",
                    limit,
                });
            }
        }
    }

    fn join(&self, key: Digest, client: &ClientView) -> Option<Member> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.sessions.load();
        if let Some(member) = before.get(&key).and_then(KeptSession::join) {
            return Some(member);
        }
        let mut sessions = Sessions::clone(&before);
        // One that is leaving gives its place away.
        sessions.remove(&key);
        if sessions.len() >= self.shared.bridge.sessions {
            let unused = sessions.iter().filter_map(|(key, kept)| Some((kept.unused()?, *key)));
            let mut unused: Vec<_> = unused.collect();
            unused.sort_unstable_by_key(|(unused, _)| std::cmp::Reverse(*unused));
            // Somebody may have begun to use one of them meanwhile.
            let leaves = |key: &Digest| sessions[key].leave_if_unused(Duration::ZERO);
            let longest = unused.into_iter().map(|(_, key)| key).find(leaves)?;
            sessions.remove(&longest);
        }
        let made = KeptSession::new(key, client, &self.shared, self.me.clone());
        let member = made.join();
        sessions.insert(key, made);
        self.sessions.store(Arc::new(sessions));
        member
    }

    /// Forgets a session that is not to be used any more.
    pub(super) fn forget(&self, kept: &KeptSession, key: &Digest) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.sessions.load();
        // Another may have taken its place.
        if before.get(key).is_some_and(|found| std::ptr::eq(&raw const **found, kept)) {
            let mut sessions = Sessions::clone(&before);
            sessions.remove(key);
            self.sessions.store(Arc::new(sessions));
        }
        self.freed.notify_waiters();
    }

    /// Notes that a session is not used at the moment, which may have to make room.
    pub(super) fn note_unused(&self) {
        if self.count() >= self.shared.bridge.sessions {
            self.freed.notify_waiters();
        }
    }

    /// Ends all of them, each when the calls on it have ended, or at `deadline`.
    pub(super) async fn part_with_all(&self, deadline: Instant) {
        let sessions = self.sessions.load_full();
        sessions.values().for_each(|kept| kept.leave());
        let is_used = || self.singles() > 0 || sessions.values().any(|kept| kept.uses() > 0);
        while is_used() && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
        sessions.values().for_each(|kept| kept.cut_off());
    }
}
