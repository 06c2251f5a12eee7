//! What must happen without anybody asking: deadlines, closing, and catalogs that change.

use std::{
    sync::{Arc, Weak, atomic::Ordering},
    time::Duration,
};

use tokio::time::Instant;
use vmcp_backend::ClientView;
use vmcp_core::View;
use vmcp_store::{Error, News, Place, SessionKey, Timestamp, Tombstone};
use vmcp_wire::Fault;

use crate::{
    kept::resumed,
    replicas::close_unused,
    session::Session,
    sessions::{Sessions, unavailable},
};

/// Records that are looked at in one go.
const CHUNK: usize = 1000;

/// Sessions whose backend sessions are closed at once.
const CLOSING: usize = 32;

/// How often at most, and at least, it is looked what nobody uses.
const LEAST_IDLE: Duration = Duration::from_millis(50);
const MOST_IDLE: Duration = Duration::from_secs(30);

/// How often it is looked whether all backends can be used.
const WHOLE: Duration = Duration::from_millis(500);

/// For so many times as long as it took to look at all sessions, and at most so long, they are left alone.
const RESTS: u32 = 9;
const LONGEST_REST: Duration = Duration::from_millis(250);

/// In so many of the last periods of a session's life its use is told at once.
const LATE: u32 = 3;

const CLEARED_LATER: &str = "a session that has ended will be cleared away later";

/// How long a claim lasts before another replica may take it.
const CLAIM: Duration = Duration::from_secs(60);

impl Sessions {
    /// Moves the deadlines of sessions that are used, for ever. Waits for no backend.
    pub(crate) async fn keep_deadlines(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.period()).await;
            if let Err(error) = self.refresh().await {
                complain(&error, "deadlines could not be refreshed; tried again soon");
            }
            self.drop_expired();
            self.prune_profiles();
        }
    }

    /// Ends what the core keeps and nobody uses, for ever.
    pub(crate) async fn keep_pruned(self: Arc<Self>) {
        loop {
            let backends = self.shared.vmcp.backends();
            let idle = backends.iter().filter_map(|backend| backend.process_idle()).min();
            // What is to end soon is looked after more often.
            let look = idle.map_or(MOST_IDLE, |idle| (idle / 8).clamp(LEAST_IDLE, MOST_IDLE));
            tokio::time::sleep(look.min(self.period())).await;
            self.shared.vmcp.prune();
        }
    }

    /// Ends sessions whose deadline has passed, for ever.
    pub(crate) async fn keep_ending(self: Arc<Self>) {
        loop {
            tokio::time::sleep(self.period()).await;
            if let Err(error) = self.expire().await {
                complain(&error, "expired sessions could not be ended; tried again soon");
            }
        }
    }

    /// How often upkeep looks.
    fn period(&self) -> Duration {
        (self.shared.config.ttl / 20).clamp(Duration::from_millis(50), Duration::from_secs(30))
    }

    /// Keeps the sessions' catalogs as their views' are, for ever.
    pub(crate) async fn keep_catalogs(self: Arc<Self>) {
        let mut changes = self.shared.vmcp.catalog_changes();
        while changes.changed().await.is_ok() {
            let began = Instant::now();
            for session in self.all() {
                self.shared.update(&session).await;
            }
            self.read_kinds_again();
            // Where callers have lists of their own, each that comes brings changes, and none of them is about
            // the others: looking at all sessions for each would take ever longer.
            tokio::time::sleep((began.elapsed() * RESTS).min(LONGEST_REST)).await;
        }
    }

    /// Tells clients when lists begin to be refused because backends are out, and when that ends,
    /// for ever.
    pub(crate) async fn keep_whole(self: Arc<Self>) {
        let mut refused: Vec<Weak<View>> = Vec::new();
        loop {
            tokio::time::sleep(WHOLE).await;
            refused.retain(|view| view.strong_count() > 0);
            if refused.is_empty() && !self.shared.vmcp.is_whole_only() {
                continue;
            }
            for view in self.shared.vmcp.views() {
                let weak = Arc::downgrade(&view);
                let before = refused.iter().position(|known| known.ptr_eq(&weak));
                let whole = self.shared.vmcp.check_whole(&view).is_ok();
                match (before, whole) {
                    (None, true) | (Some(_), false) => continue,
                    (None, false) => refused.push(weak),
                    (Some(index), true) => drop(refused.swap_remove(index)),
                }
                let all = self.all();
                let shown = all.iter().filter(|session| Arc::ptr_eq(&session.view, &view));
                shown.for_each(|session| session.announce_everything());
            }
        }
    }

    /// Moves the deadlines of sessions that were used.
    async fn refresh(&self) -> Result<(), Error> {
        let (now, ttl) = (self.shared.clock.now(), self.shared.config.ttl);
        let pause = u64::try_from((ttl / 10).as_millis()).unwrap_or(u64::MAX);
        let mut used = Vec::new();
        for session in self.all() {
            session.forget_old();
            if session.is_busy() {
                session.touch();
            }
            let refreshed = session.refreshed.load(Ordering::Relaxed);
            if session.last_used().0 > refreshed && now.0.saturating_sub(refreshed) >= pause {
                used.push(session);
            }
        }
        for chunk in used.chunks(CHUNK) {
            self.prolong(chunk, now).await?;
        }
        Ok(())
    }

    /// Whether a session is used so late in its life that other replicas may end it before this one
    /// tells the store of its use by itself.
    pub(crate) fn is_late(&self, session: &Session, now: Timestamp) -> bool {
        now >= self.ends(session).before(self.period() * LATE)
    }

    /// Tells the store of a session's use at once.
    pub(crate) async fn save(&self, session: &Arc<Session>, now: Timestamp) -> Result<(), Fault> {
        match self.prolong(std::slice::from_ref(session), now).await {
            Ok(()) => Ok(()),
            // An outage is not a loss.
            Err(error) if now < self.ends(session) => {
                complain(&error, "a session's deadline could not be refreshed; tried again soon");
                Ok(())
            }
            Err(error) => Err(unavailable(error)),
        }
    }

    /// When a session ends, as far as the store knows.
    fn ends(&self, session: &Session) -> Timestamp {
        let refreshed = Timestamp(session.refreshed.load(Ordering::Relaxed));
        refreshed.after(self.shared.config.ttl)
    }

    /// Moves the deadlines of sessions. Those that have ended elsewhere go.
    async fn prolong(&self, sessions: &[Arc<Session>], now: Timestamp) -> Result<(), Error> {
        // First the catalogs: a record must not be there for longer than its catalog.
        for session in sessions {
            self.shared.put_shown(session).await?;
        }
        let keys: Vec<SessionKey> = sessions.iter().map(|session| session.key).collect();
        let deadline = now.after(self.shared.config.ttl);
        let stand = self.shared.store.refresh(keys, deadline).await?;
        for (session, stands) in sessions.iter().zip(stand) {
            session.refreshed.store(now.0, Ordering::Relaxed);
            if !stands {
                self.lose(session);
            }
        }
        Ok(())
    }

    /// Ends what is due, and closes its backend sessions.
    async fn expire(self: &Arc<Self>) -> Result<(), Error> {
        loop {
            // A session that was used a moment ago is not due, though the store does not know yet.
            self.refresh().await?;
            let due = self.shared.store.due(self.shared.clock.now(), CHUNK).await?;
            if due.is_empty() {
                return Ok(());
            }
            let mut closing = tokio::task::JoinSet::new();
            for key in due {
                if closing.len() >= CLOSING {
                    closing.join_next().await;
                }
                let sessions = Arc::clone(self);
                closing.spawn(async move { sessions.close(key).await });
            }
            while closing.join_next().await.is_some() {}
        }
    }

    /// Takes sessions out of service whose deadline has passed.
    fn drop_expired(&self) {
        let (now, ttl) = (self.shared.clock.now(), self.shared.config.ttl);
        for session in self.all() {
            let refreshed = Timestamp(session.refreshed.load(Ordering::Relaxed));
            if !session.is_busy() && refreshed.after(ttl) <= now && session.last_used() <= refreshed
            {
                self.drop_live(&session);
            }
        }
    }

    /// Closes a session that has ended, when what is in flight has had its time.
    pub(crate) fn close_soon(&self, key: SessionKey, live: Option<Arc<Session>>) {
        let shared = Arc::clone(&self.shared);
        self.shared.background.spawn(async move {
            if let Err(error) = shared.close(key, live).await {
                complain(&error, CLEARED_LATER);
            }
        });
    }

    /// Closes what is due. Nobody may have told of its end: its time was over, or whoever has ended it
    /// did not get the store's answer.
    async fn close(&self, key: SessionKey) {
        let close = async {
            let Some(tombstone) = self.shared.claim(key).await? else { return Ok(()) };
            self.note_ending();
            let live = self.by_name(key);
            if let Some(session) = &live {
                self.drop_live(session);
            }
            self.shared.tell(News::Ended(key)).await;
            self.shared.clear(key, tombstone, live).await
        };
        if let Err(error) = close.await {
            complain(&error, CLEARED_LATER);
        }
    }
}

/// Says what the store could not do. That it is out of reach it says itself, once.
pub(crate) fn complain(error: &Error, what: &str) {
    match error {
        Error::Unavailable(_) => tracing::debug!(%error, "{what}"),
        Error::Corrupt(_) => tracing::warn!(%error, "{what}"),
    }
}

impl crate::sessions::Shared {
    /// Claims a session that has ended, closes its backend sessions, and removes it.
    ///
    /// Calls that are in flight here on the live session have their time first.
    pub(crate) async fn close(
        self: &Arc<Self>,
        key: SessionKey,
        live: Option<Arc<Session>>,
    ) -> Result<(), Error> {
        let Some(tombstone) = self.claim(key).await? else { return Ok(()) };
        self.clear(key, tombstone, live).await
    }

    async fn claim(&self, key: SessionKey) -> Result<Option<Tombstone>, Error> {
        let now = self.clock.now();
        self.store.claim(key, now, now.after(CLAIM + self.config.drain)).await
    }

    async fn clear(
        self: &Arc<Self>,
        key: SessionKey,
        tombstone: Tombstone,
        live: Option<Arc<Session>>,
    ) -> Result<(), Error> {
        if let Some(session) = &live {
            session.calm(self.config.drain).await;
        }
        // Where nobody knows the caller any more, a backend is shown nothing but what everybody is.
        let view = live.map_or_else(ClientView::nobody, |live| live.client_view().clone());
        self.close_backends(key, tombstone, &view).await;
        self.store.remove(key).await
    }

    /// Closes backend sessions: all of them, even when some fail.
    async fn close_backends(
        self: &Arc<Self>,
        key: SessionKey,
        tombstone: Tombstone,
        view: &ClientView,
    ) {
        let mut closing = tokio::task::JoinSet::new();
        for (id, kept) in tombstone.backends {
            let Some(backend) = self.vmcp.backend(id.as_str()) else { continue };
            if !self.is_ready(&backend, &kept) {
                continue;
            }
            if matches!(&kept.place, Place::Replica(holder) if *holder != self.replica) {
                let shared = Arc::clone(self);
                closing.spawn(async move { shared.end_elsewhere(key, id, &kept).await });
                continue;
            }
            let Some(session) = resumed(&backend, &kept, view) else { continue };
            let drain = self.config.drain;
            closing.spawn(async move { close_unused(&backend, &session, drain).await });
        }
        while closing.join_next().await.is_some() {}
    }
}
