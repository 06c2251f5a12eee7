//! Which eras a backend speaks: asked once, remembered, and asked again when something speaks against
//! it (specification 2026-07-28, basic/versioning, and basic/transports/streamable-http, "Backward
//! Compatibility").
//!
//! What is known belongs to the server, not to sessions: a backend shares it with those whose place it
//! has taken. What went wrong for a moment decides nothing and is not remembered. What a legacy server
//! makes of `server/discover` may be anything, silence included: then `initialize` decides, which is
//! tried before long.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::{
    sync::{Notify, futures::Notified, watch},
    time::Instant,
};
use vmcp_model::Era;

use crate::{
    backend::{Backend, Wire, within},
    error::Error,
    health::Sign,
    session::{ClientView, Facts, Session},
    subject::Subject,
};
use sides::Sides;

mod asking;
mod sides;

/// A backend may take half of this to say what it speaks.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long whoever opens a session waits for that before it tries `initialize`.
const FIRST: Duration = Duration::from_secs(1);

/// How long a doubt that has turned out to be none is not looked into again: a backend that refuses
/// much must not be asked as much.
const REFUTED: Duration = Duration::from_secs(5);

/// How long that a backend is no modern one is not asked again, whatever is opened on it.
const AGAIN: Duration = Duration::from_secs(60);

/// What is known of a backend's eras.
#[derive(Debug, Default)]
pub(crate) struct Eras {
    /// [`Sides`], as bits. Changed only while `asking` is held.
    sides: AtomicU8,
    /// What a modern backend said about itself last.
    last: ArcSwapOption<Discovered>,
    asking: Mutex<Asking>,
    /// Held while it is found out whether a modern backend answers `initialize`, too.
    pub(crate) finding: tokio::sync::Mutex<()>,
    changed: Notify,
}

/// What a modern backend said about itself, to whom, and when.
#[derive(Debug)]
pub(crate) struct Discovered {
    pub(crate) facts: Arc<Facts>,
    /// What it was told that the client can do.
    capabilities: Bytes,
    at: Instant,
}

#[derive(Debug, Default)]
struct Asking {
    under_way: Option<UnderWay>,
    /// The last `server/discover` brought nothing that a modern server says, or nothing at all.
    unanswered: bool,
    /// It has refused `initialize` and never answered it: what has answered may be something else.
    is_elsewhere: bool,
    /// When `server/discover` was answered last.
    asked: Option<Instant>,
    /// When a doubt turned out to be none.
    refuted: Option<Instant>,
}

/// Somebody asks `server/discover`.
#[derive(Debug, Clone)]
struct UnderWay {
    since: Instant,
    /// What came of it.
    outcome: watch::Receiver<Option<Result<Era, Error>>>,
}

impl Backend {
    /// The newest era that the backend speaks, as far as is known.
    pub fn era(&self) -> Option<Era> {
        match &self.wire {
            Wire::Links(_) => Some(Era::Legacy),
            Wire::Http(_) => self.eras.sides().newest(),
        }
    }

    /// What the backend speaks, as far as is known: `legacy`, `modern`, `both` or `unknown`.
    pub fn speaks(&self) -> &'static str {
        match &self.wire {
            Wire::Links(_) => "legacy",
            Wire::Http(_) => self.eras.sides().name(),
        }
    }

    /// The era that the backend speaks with clients of this one, as far as is known.
    pub fn era_for(&self, client: Era) -> Option<Era> {
        match &self.wire {
            // These transports are the legacy era's, or have no way to tell.
            Wire::Links(_) => Some(Era::Legacy),
            Wire::Http(_) => self.eras.sides().era_for(client),
        }
    }

    /// Whether the backend is known to serve clients of each era in their own.
    pub fn has_both_sides(&self) -> bool {
        let served = |client| self.era_for(client) == Some(client);
        served(Era::Legacy) && served(Era::Modern)
    }

    /// Completes when something else is known of the backend's eras than when it was enabled.
    pub fn sides_changed(&self) -> Notified<'_> {
        self.eras.changed.notified()
    }

    /// What takes the place of a session, if the backend is known to need none.
    pub fn stateless(&self, view: &ClientView) -> Option<Session> {
        if self.era_for(view.version().era()) != Some(Era::Modern) {
            return None;
        }
        let facts = match &*self.eras.last.load() {
            Some(last) => Arc::clone(&last.facts),
            None => Arc::default(),
        };
        Some(Session::stateless(view, facts))
    }

    /// Finds out in which era the backend speaks with modern clients, unless that is known. It is asked
    /// once however many want to know.
    ///
    /// # Errors
    /// If the backend cannot be asked, or says something that has nothing to do with its era. That is
    /// not remembered.
    pub async fn detect(self: &Arc<Self>, view: &ClientView) -> Result<Era, Error> {
        if let Some(era) = self.era_for(Era::Modern) {
            return Ok(era);
        }
        let admitted = self.health.admit()?;
        let found = self.ask_to_discover_within(&asker(view), PATIENCE).await;
        admitted.note(Sign::Opening, found.as_ref().err());
        found
    }

    /// Whether the backend is taken for one of the legacy era alone because it has answered
    /// `server/discover` with nothing, or nothing that means anything.
    pub fn is_legacy_by_silence(&self) -> bool {
        self.eras.asking().unanswered
    }

    /// Asks such a backend again whether it speaks the modern era. It is what it was meanwhile.
    pub async fn ask_again(self: &Arc<Self>, view: &ClientView) {
        let _as_before = self.ask_to_discover_within(&asker(view), PATIENCE).await;
    }

    /// Before a session is opened for a client of the modern era: finds out whether the backend
    /// needs one, as far as that is found out before long.
    ///
    /// # Errors
    /// If it cannot be asked anything.
    pub async fn find_modern_side(self: &Arc<Self>, view: &ClientView) -> Result<(), Error> {
        if self.era_for(Era::Modern).is_some() && !self.may_have_become_modern() {
            return Ok(());
        }
        match self.ask_to_discover_within(&asker(view), FIRST).await {
            Err(error) if error.sent_nothing() => Err(error),
            // Whatever it is, `initialize` shows whether it is a legacy one.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether the backend has said so long ago that it is no modern one that it is asked again when a
    /// session is opened: it may have been replaced. One that says nothing would be waited for.
    fn may_have_become_modern(&self) -> bool {
        let asking = self.eras.asking();
        self.eras.sides().modern == Some(false)
            && !asking.unanswered
            && asking.asked.is_none_or(|asked| asked.elapsed() >= AGAIN)
    }

    /// Notes that the backend has not answered `initialize`. One that has never done so and is no modern
    /// one either has shown nothing: it may not be there yet, behind something that is.
    pub(crate) fn note_no_legacy_side(&self) {
        if self.eras.sides().legacy == Some(true) {
            return;
        }
        self.eras.change(self, |sides, asking| {
            asking.is_elsewhere = true;
            if sides.modern == Some(false) {
                (sides.modern, asking.unanswered) = (None, false);
            }
        });
    }

    /// Notes that the backend has answered `initialize`.
    pub(crate) fn note_legacy_side(&self) {
        if self.eras.sides().legacy == Some(true) {
            return;
        }
        self.eras.change(self, |sides, asking| {
            sides.legacy = Some(true);
            if std::mem::take(&mut asking.is_elsewhere) && sides.modern == Some(false) {
                // It was not this one that has said so.
                (sides.modern, asking.unanswered) = (None, false);
            }
            // One of both it must be.
            if asking.unanswered && sides.modern.is_none() {
                sides.modern = Some(false);
            }
        });
    }

    /// Looks into it when the backend has refused `initialize`: it may be one of the modern era alone,
    /// or have become one.
    pub(crate) async fn look_for_modern_side(self: &Arc<Self>, view: &ClientView) {
        if self.eras.sides().modern != Some(true) {
            if self.is_refuted() {
                return;
            }
            match self.ask_to_discover_within(&asker(view), PATIENCE).await {
                Ok(Era::Modern) => {}
                Ok(Era::Legacy) => {
                    self.eras.asking().refuted = Some(Instant::now());
                    return;
                }
                // That decides nothing.
                Err(_moment) => return,
            }
        }
        // One that has given sessions may refuse this client alone, or for now.
        if self.eras.sides().legacy == Some(true)
            && (self.is_refuted() || self.answers_initialize(view.subject()).await != Some(false))
        {
            self.eras.asking().refuted = Some(Instant::now());
            return;
        }
        self.eras.change(self, |sides, _asking| sides.legacy = Some(false));
    }

    /// Finds out whether a backend that was taken for one of this era is of the other, because it has
    /// refused what it should have understood. `None` if that cannot be said now.
    ///
    /// Boxed: to find that out, what doubts is asked again.
    pub(crate) fn doubt<'a>(
        self: &'a Arc<Self>,
        era: Era,
        session: &'a Session,
    ) -> Pin<Box<dyn Future<Output = Option<Era>> + Send + 'a>> {
        Box::pin(self.doubted(era, session))
    }

    async fn doubted(self: &Arc<Self>, era: Era, session: &Session) -> Option<Era> {
        if let Some(known) = self.era_for(era).filter(|known| *known != era) {
            return Some(known);
        }
        if self.is_refuted() {
            return None;
        }
        let mut found = self.ask_to_discover_within(&session.asker(), PATIENCE).await.ok()?;
        if (era, found) == (Era::Legacy, Era::Modern)
            && self.answers_initialize(session.subject()).await?
        {
            found = Era::Legacy;
        }
        if found == era {
            self.eras.asking().refuted = Some(Instant::now());
        }
        Some(found)
    }

    /// Asks a modern backend whether it answers `initialize`, too. `None` if that cannot be said now.
    async fn answers_initialize(self: &Arc<Self>, subject: Option<&Subject>) -> Option<bool> {
        // What its client can do does not matter for this.
        let nobody = ClientView::nobody().shown(subject.cloned());
        let opened = within(self.timeouts.initialize, self.try_handshake(&nobody)).await.ok()?;
        self.eras.change(self, |sides, _asking| sides.legacy = Some(opened));
        Some(opened)
    }

    fn is_refuted(&self) -> bool {
        self.eras.asking().refuted.is_some_and(|at| at.elapsed() < REFUTED)
    }

    /// The session with what the backend says about itself now, if it is a modern one: in place of a
    /// session it has what was said some time.
    ///
    /// # Errors
    /// If it cannot be asked, refuses to say, or is not modern any more.
    pub async fn refreshed(self: &Arc<Self>, session: &Session) -> Result<Session, Error> {
        if !session.is_stateless() {
            return Ok(session.clone());
        }
        let admitted = self.health.admit()?;
        let refreshed = self.discovered(session, Instant::now()).await;
        admitted.note(Sign::Check, refreshed.as_ref().err());
        refreshed
    }

    /// What a modern backend says about itself to clients that can do this, not longer ago than
    /// `since`.
    pub(crate) async fn discovered(
        self: &Arc<Self>,
        session: &Session,
        since: Instant,
    ) -> Result<Session, Error> {
        let asker = session.asker();
        let last = self.eras.last.load_full();
        let is_good =
            |last: &Arc<Discovered>| last.at >= since && last.capabilities == asker.capabilities;
        let facts = match last.filter(is_good) {
            Some(last) => Some(Arc::clone(&last.facts)),
            None => match self.discover(&asker).await? {
                (Era::Modern, facts) => facts,
                (Era::Legacy, _) => return Err(Error::SessionLost),
            },
        };
        let refused = || Error::Protocol("refused server/discover".to_owned());
        Ok(Session { facts: facts.ok_or_else(refused)?, ..asker })
    }
}

/// Who asks a modern backend about itself for clients of a view.
fn asker(view: &ClientView) -> Session {
    Session::stateless(view, Arc::default())
}

impl Eras {
    fn sides(&self) -> Sides {
        Sides::from_bits(self.sides.load(Ordering::Acquire))
    }

    fn change(&self, backend: &Backend, change: impl FnOnce(&mut Sides, &mut Asking)) {
        let mut asking = self.asking();
        let before = self.sides();
        let mut sides = before;
        change(&mut sides, &mut asking);
        self.sides.store(sides.to_bits(), Ordering::Release);
        drop(asking);
        if sides != before {
            self.changed.notify_waiters();
        }
        if sides.name() != before.name() {
            let speaks = sides.name();
            tracing::info!(backend = %backend.id(), speaks, "knows which era the backend speaks");
        }
    }

    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
