//! What other replicas do to the sessions that are live here too.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use vmcp_backend::Session as BackendSession;
use vmcp_store::{Change, Error, News, Record, SessionKey, Timestamp};
use vmcp_wire::{Fault, Message};

use crate::{
    session::Session,
    sessions::{Sessions, Shared, unavailable},
};

/// How often a replica says that it lives, and how long that holds.
const ALIVE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(12));

/// The same for one that others reach by the channel, who are not to wait for long when it is gone.
const REACHED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(4));

/// Attempts to take the GET stream over while others do.
const ATTEMPTS: usize = 4;

impl Sessions {
    /// Whether what is known of a session's record is certain.
    pub(crate) fn is_certain(&self, session: &Session) -> bool {
        let checked = session.checked.load(Ordering::Relaxed);
        self.shared.confidence.generation() == Some(checked)
    }

    /// Asks the store whether a live session still stands, and takes up what others have changed.
    /// While the store is out of reach, it stands as long as its time allows.
    pub(crate) async fn confirm(&self, session: &Arc<Session>) -> Result<(), Fault> {
        let (mark, now) = (self.shared.confidence.mark(), self.shared.clock.now());
        match self.shared.store.load(session.key, now).await {
            Ok(Some(record)) => {
                if self.take_up(session, record).await {
                    session.checked.store(mark, Ordering::Relaxed);
                }
                Ok(())
            }
            Ok(None) => {
                self.lose(session);
                Err(Fault::SessionUnknown)
            }
            Err(error) => {
                let refreshed = Timestamp(session.refreshed.load(Ordering::Relaxed));
                let stands = refreshed.after(self.shared.config.ttl) > now;
                if stands { Ok(()) } else { Err(unavailable(error)) }
            }
        }
    }

    /// What somebody is told who asks for a session of another principal: what he would be told if
    /// there were none.
    pub(crate) async fn refuse_stranger(&self, key: SessionKey) -> Fault {
        match self.shared.store.load(key, self.shared.clock.now()).await {
            Ok(_) => Fault::SessionUnknown,
            Err(error) => unavailable(error),
        }
    }

    /// Takes a session out of service whose record is gone. Its backend sessions are ended: if the
    /// store has lost the record, nobody else knows them. If only its time is over, the record names
    /// them still: another replica may prolong it until somebody claims it, and whoever does ends them.
    pub(crate) fn lose(&self, session: &Arc<Session>) {
        if session.is_ended() {
            return;
        }
        self.drop_live(session);
        let session = Arc::clone(session);
        self.shared.background.clone().spawn(async move {
            session.calm(session.shared.config.drain).await;
            session.close_open(|held_here| held_here).await;
            for (backend, open) in session.open_backends() {
                if backend.identity().is_some() {
                    session.close_unless_kept(&backend, open);
                }
            }
        });
    }

    /// Hears what other replicas tell, for ever.
    pub(crate) async fn keep_hearing(self: Arc<Self>) {
        let mut news = self.shared.store.subscribe();
        while let Some(piece) = news.next().await {
            let key = match &piece {
                News::Ended(key) | News::Changed(key) => *key,
                News::Cancelled { key, .. } | News::Answered { key, .. } => *key,
            };
            if matches!(piece, News::Ended(_)) {
                // One that is being restored may be this one.
                self.note_ending();
            }
            if let Some(session) = self.by_name(key) {
                self.hear(session, piece);
            }
        }
    }

    /// Hears what another replica tells of a session that is live here.
    fn hear(self: &Arc<Self>, session: Arc<Session>, news: News) {
        let background = &self.shared.background;
        match news {
            News::Ended(_) => {
                self.drop_live(&session);
                // What the record names is closed by whoever has ended the session.
                background.spawn(async move {
                    session.calm(session.shared.config.drain).await;
                    session.close_open(|held_here| held_here).await;
                });
            }
            News::Changed(_) => {
                // Until it has been looked at, or if it cannot be, it is looked at on use.
                session.checked.store(u64::MAX, Ordering::Relaxed);
                let sessions = Arc::clone(self);
                background.spawn(async move {
                    if let Err(fault) = sessions.confirm(&session).await {
                        tracing::debug!(%fault, "a session that another replica has changed does not stand");
                    }
                });
            }
            News::Cancelled { text, .. } => {
                let Ok(message) = Message::parse(text) else { return };
                background.spawn(async move {
                    if let Err(fault) = session.cancel_here(&message).await {
                        tracing::debug!(%fault, "could not pass on what was cancelled elsewhere");
                    }
                });
            }
            News::Answered { question, .. } => session.note_answered(question),
        }
    }

    /// Says that this replica lives, for ever.
    pub(crate) async fn keep_announcing(self: Arc<Self>) {
        loop {
            let pause = self.shared.announce().await;
            let joined = self.shared.joined.notified();
            let _joined = tokio::time::timeout(pause, joined).await;
        }
    }

    /// Says that this replica goes: what it holds of sessions goes with it.
    pub(crate) async fn part(&self) {
        self.shared.is_parting.store(true, Ordering::Relaxed);
        let name = self.shared.replica.to_string();
        let gone = self.shared.store.announce_replica(name, None, self.shared.clock.now());
        if let Err(error) = gone.await {
            tracing::debug!(%error, "could not say that this replica goes");
        }
    }

    /// Takes up what another replica has changed in a record. `false` if not all of it could be: it is
    /// looked at again on use.
    async fn take_up(&self, session: &Arc<Session>, record: Record) -> bool {
        if let Some(level) = record.log_level {
            session.set_log_level(level);
        }
        session.adopt(&record.backends);
        let shown = self.shared.take_up_shown(session, &record).await;
        let epoch = session.stream_epoch.fetch_max(record.stream_epoch, Ordering::Relaxed);
        if epoch < record.stream_epoch {
            // The client has opened its stream elsewhere.
            session.end_streams();
            session.stop_listening();
        }
        session.adopt_handed(&record.handed);
        *session.subscriptions() = record.subscriptions;
        // Another replica may have opened a session anew that is listened to here.
        session.look_after_streams();
        shown
    }
}

impl Session {
    /// Looks at the record, if others may have changed it.
    pub(crate) async fn catch_up(&self) {
        if !self.shared.store.outlives_process() {
            return;
        }
        let loaded = self.shared.store.load(self.key, self.shared.clock.now()).await;
        if let Ok(Some(record)) = loaded {
            self.adopt(&record.backends);
        }
    }

    /// Changes the record. A session whose record is gone has ended.
    pub(crate) async fn keep(&self, change: Change) -> Result<(), Fault> {
        match self.shared.store.change(self.key, change).await {
            Ok(true) => {
                self.shared.tell(News::Changed(self.key)).await;
                Ok(())
            }
            Ok(false) => Err(Fault::SessionUnknown),
            Err(error) => Err(unavailable(error)),
        }
    }

    /// Makes the GET stream that is about to be opened the one that counts, and gives its epoch. While
    /// the store is out of reach, it counts here.
    pub(crate) async fn take_stream(&self) -> Result<u64, Fault> {
        if !self.shared.store.outlives_process() {
            return Ok(0);
        }
        let mut epoch = self.stream_epoch.load(Ordering::Relaxed) + 1;
        for _attempt in 0..ATTEMPTS {
            match self.shared.store.change(self.key, Change::StreamEpoch(epoch)).await {
                Ok(true) => {
                    self.own_stream_epoch.fetch_max(epoch, Ordering::Relaxed);
                    self.stream_epoch.fetch_max(epoch, Ordering::Relaxed);
                    self.shared.tell(News::Changed(self.key)).await;
                    return Ok(epoch);
                }
                Ok(false) => {
                    let loaded = self.shared.store.load(self.key, self.shared.clock.now()).await;
                    let Some(record) = loaded.map_err(unavailable)? else {
                        return Err(Fault::SessionUnknown);
                    };
                    self.adopt(&record.backends);
                    epoch = record.stream_epoch + 1;
                }
                Err(Error::Unavailable(_) | Error::Corrupt(_)) => {
                    self.own_stream_epoch.fetch_max(epoch, Ordering::Relaxed);
                    return Ok(epoch);
                }
            }
        }
        Err(Fault::Unavailable("the stream is opened elsewhere at the same time".into()))
    }

    /// Ends the open backend sessions of which `which` says so; it is told whether this process
    /// holds them.
    async fn close_open(&self, which: impl Fn(bool) -> bool) {
        let mut closing = tokio::task::JoinSet::new();
        for (backend, open) in self.open_backends() {
            if which(backend.identity().is_none() && open.holder().is_none()) {
                let drain = self.shared.config.drain;
                closing.spawn(async move { close_unused(&backend, &open, drain).await });
            }
        }
        while closing.join_next().await.is_some() {}
    }
}

/// Ends a backend session that nobody uses any more. A backend that does not end it, ends it in its own time.
pub(crate) async fn close(backend: &vmcp_backend::Backend, open: &BackendSession) {
    if let Err(error) = backend.close(open).await {
        tracing::debug!(backend = %backend.id(), %error, "a backend session could not be ended");
    }
}

/// The same, when the calls that other replicas have on its link have had so much time.
pub(crate) async fn close_unused(
    backend: &vmcp_backend::Backend,
    open: &BackendSession,
    drain: Duration,
) {
    let _cut_off = tokio::time::timeout(drain, backend.until_no_call(open)).await;
    close(backend, open).await;
}

impl Shared {
    /// Says that this replica lives, and where the others reach it. Returns when that is to be said again.
    async fn announce(&self) -> Duration {
        if self.is_parting.load(Ordering::Relaxed) {
            return ALIVE.0;
        }
        let address = self.channel().map(|channel| channel.address.clone());
        let (is_reached, (pause, holds)) =
            if address.is_some() { (true, REACHED) } else { (false, ALIVE) };
        let until = self.clock.now().after(holds);
        let announced = self.store.announce_replica(self.replica.to_string(), address, until);
        match announced.await {
            Ok(()) => self.is_announced.store(is_reached, Ordering::Relaxed),
            Err(error) => tracing::debug!(%error, "could not say that this replica lives"),
        }
        pause
    }

    /// Sees to it that the others know where this replica is, before they can find in a record that it holds
    /// something.
    pub(crate) async fn be_known(&self) {
        if self.channel().is_some() && !self.is_announced.load(Ordering::Relaxed) {
            self.announce().await;
        }
    }

    /// Tells the other replicas. They notice if they miss something.
    pub(crate) async fn tell(&self, news: News) {
        if self.store.outlives_process()
            && let Err(error) = self.store.publish(news).await
        {
            tracing::debug!(%error, "could not tell the other replicas");
        }
    }
}
