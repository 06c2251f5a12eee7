//! Gets one backend's offer for one view, and keeps it true.
//!
//! One task for each backend and base, not for each session: it has a backend session of its own, as of
//! a client that can do nothing, whose stream tells it of list changes. What a backend has not said for
//! how long it is true is taken for true for some seconds; when that is over the lists are read again,
//! once somebody is shown them. A program is ended that nobody has been shown for a while: what it
//! offers is known, and read again when it is started the next time.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use vmcp_backend::{Advertised, Backend, ClientView, Error, Events, Session, Unavailable};
use vmcp_model::{BackendId, Era};

use super::{View, fresh::Fresh};
use crate::{background::Background, places::Places};
use following::ReadTerms;

mod beside;
mod caller;
mod following;

/// Changes that come within this time are one change.
const COALESCE: Duration = Duration::from_millis(50);

/// The least time between two readings of one backend's lists.
const PAUSE: Duration = Duration::from_millis(500);

/// The first and the longest wait before a failed backend is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How long the reading of the lists waits for the stream to open.
const BEGIN: Duration = Duration::from_millis(500);

/// Watches one backend for one view.
pub(crate) struct Watch {
    pub(crate) backend: Arc<Backend>,
    pub(crate) view: Weak<View>,
    pub(crate) stop: CancellationToken,
    pub(crate) background: Background,
    /// Bounds the attempts that are made at once.
    pub(crate) places: Places,
    pub(crate) wanted: Arc<Wanted>,
    /// Who is shown the view's lists.
    pub(crate) fresh: Arc<Fresh>,
    pub(crate) max_age: Duration,
}

/// How somebody asks for an offer.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// A client is about to be shown it; an old one will do for now.
    pub(crate) used: Notify,
    /// The backend has changed or restarted.
    pub(crate) fresh: Notify,
    /// What the backend lists is a session's own: an old session lists what was true when it began.
    pub(crate) per_session: AtomicBool,
}

/// A watch session.
struct Watched {
    session: Session,
    opened: Instant,
    /// Its stream, while one is open.
    stream: Option<Events>,
    /// For how long what was read last may be taken for true.
    terms: ReadTerms,
    /// How often in a row some list could not be read.
    unread: u32,
}

impl Watch {
    /// Watches until the view ends.
    pub(crate) async fn run(self) {
        let stop = self.stop.clone();
        let mut current = None;
        stop.run_until_cancelled(self.watch(&mut current)).await;
        if let Some(Watched { session, .. }) = current
            && let Err(error) = self.backend.close(&session).await
        {
            tracing::debug!(backend = %self.id(), %error, "could not end the watch session");
        }
    }

    async fn watch(&self, current: &mut Option<Watched>) {
        let (mut failures, mut broken) = (0_u32, 0_u32);
        loop {
            let began = Instant::now();
            let refreshed = match Box::pin(self.attempt(current)).await {
                Ok(watched) => {
                    let again = self.again(watched);
                    let session = watched.session.clone();
                    let followed = self.follow(watched, &mut broken);
                    let idle = self.idle();
                    tokio::select! {
                        followed = followed => followed,
                        () = tokio::time::sleep(again) => Ok(()),
                        () = self.until_on_wrong_side(&session) => Ok(()),
                        () = idle => {
                            self.sleep(current).await;
                            Ok(())
                        }
                    }
                }
                Err(error) => {
                    self.backend.note_offer(Some(&error));
                    Err(error)
                }
            };
            match refreshed {
                // A backend that always has something new is not asked all the time.
                Ok(()) => tokio::time::sleep_until(began + PAUSE).await,
                Err(_) if self.has_given_way(current.as_ref()) => self.sleep(current).await,
                Err(error) => {
                    if matches!(error, Error::SessionLost) {
                        self.backend.note_watch_lost();
                    }
                    failures = if began.elapsed() > BACKOFF.1 { 1 } else { failures + 1 };
                    // What is left alone was not asked, and what lists too much is asked no more than
                    // before: the session is as good as it was.
                    if !matches!(error, Error::LeftAlone { .. } | Error::Excessive(_))
                        && let Some(lost) = current.take()
                    {
                        let _gone = self.backend.close(&lost.session).await;
                    }
                    self.rest(&error, failures).await;
                }
            }
        }
    }

    /// Waits before the next attempt. A session that was lost once needs no wait to speak of.
    async fn rest(&self, error: &Error, failures: u32) {
        if matches!(error, Error::SessionLost) && failures == 1 {
            tokio::time::sleep(COALESCE).await;
            return;
        }
        self.report(error, failures);
        if let Error::LeftAlone { again_in } = error {
            // The next attempt may be the one that decides whether it goes on.
            let _sooner = tokio::time::timeout(*again_in, self.backend.recovered()).await;
            return;
        }
        // However many ask for it.
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            () = tokio::time::sleep(self.backoff(failures).saturating_sub(PAUSE)) => {}
            () = self.backend.recovered() => {}
            () = self.wanted.fresh.notified() => {}
            () = self.wanted.used.notified() => {}
        }
    }

    /// Opens a session if there is none, begins to listen, and gets the offer.
    async fn attempt<'w>(
        &self,
        current: &'w mut Option<Watched>,
    ) -> Result<&'w mut Watched, Error> {
        let Some(client) = self.view.upgrade().map(|view| view.client().clone()) else {
            return std::future::pending().await;
        };
        if let Some(old) = current.take_if(|watched| self.begins_anew(watched)) {
            let _gone = self.backend.close(&old.session).await;
        }
        let work = async {
            let watched = match current {
                Some(watched) => {
                    self.refresh(watched).await?;
                    watched
                }
                None => {
                    let session = self.open(client).await?;
                    let (stream, terms) = (None, ReadTerms::none());
                    let opened = Instant::now();
                    current.insert(Watched { session, opened, stream, terms, unread: 0 })
                }
            };
            // Before the lists are read, so that no change comes between.
            self.begin_to_listen(watched).await;
            let early = |some: Advertised| {
                let view = self.view.upgrade().filter(|view| view.offer(self.id()).is_none());
                if let Some(view) = view {
                    view.enter(self.id(), Ok(some));
                }
            };
            let offer = self.backend.offer_early(&watched.session, early).await;
            let offer = offer.inspect_err(|error| {
                // What offers more than vmcp takes has answered.
                if !matches!(error, Error::Excessive(_)) {
                    self.backend.note_failed_check(error);
                }
            })?;
            self.backend.note_offer(None);
            self.note_problem(watched, offer.problem());
            watched.terms = ReadTerms::of(&offer);
            if let Some(view) = self.view.upgrade() {
                view.enter(self.id(), Ok(offer));
            }
            self.backend.let_give_way(&watched.session);
            Ok(watched)
        };
        self.places.within(work, self.backend.until_quiet()).await
    }

    /// Whether a backend is watched on its modern side for clients of the legacy era, who are served by
    /// the other one.
    fn is_on_wrong_side(&self, session: &Session) -> bool {
        let legacy =
            self.view.upgrade().is_some_and(|view| view.client().version().era() == Era::Legacy);
        legacy && session.is_stateless() && self.backend.era_for(Era::Legacy) == Some(Era::Legacy)
    }

    /// Waits until that is so.
    async fn until_on_wrong_side(&self, session: &Session) {
        loop {
            let changed = self.backend.sides_changed();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_on_wrong_side(session) {
                return;
            }
            changed.await;
        }
    }

    /// Whether the lists are to be read on a new session.
    fn begins_anew(&self, watched: &Watched) -> bool {
        if self.is_on_wrong_side(&watched.session) {
            return true;
        }
        self.wanted.per_session.load(Ordering::Relaxed)
            && !watched.session.is_stateless()
            && !self.backend.is_program()
            && watched.opened.elapsed() >= self.max_age
    }

    /// Notes which lists could not be read, and says so once.
    fn note_problem(&self, watched: &mut Watched, problem: Option<String>) {
        match problem {
            None => watched.unread = 0,
            Some(why) => {
                watched.unread += 1;
                if watched.unread == 1 {
                    tracing::warn!(backend = %self.id(), why, "some lists of the backend could not be read; they are as they were, and tried again");
                }
            }
        }
    }

    /// How long the lists may stay as they were read: of those that could not be, another attempt is
    /// made before long.
    fn again(&self, watched: &Watched) -> Duration {
        match watched.unread {
            0 => Duration::MAX,
            times => self.backoff(times),
        }
    }

    /// Opens a session. If the watching ends meanwhile, the opening is gone through with all the same
    /// and the session ended: the backend may have made it, and only its answer says which it is.
    async fn open(&self, client: ClientView) -> Result<Session, Error> {
        let (sender, opened) = oneshot::channel();
        let backend = Arc::clone(&self.backend);
        // Not ended with the watching, but with the process.
        self.background.spawn_until_stop(async move {
            let opening = backend.open_to_watch(&client).await;
            if let Err(Ok(unwanted)) = sender.send(opening)
                && let Err(error) = backend.close(&unwanted).await
            {
                tracing::debug!(backend = %backend.id(), %error, "could not end the watch session");
            }
        });
        let opened = async {
            let gave_up = || Err(Error::Broken("the opening was given up".to_owned()));
            opened.await.unwrap_or_else(|_closed| gave_up())
        };
        tokio::pin!(opened);
        if self.backend.is_program() {
            // It is started, and may take its time.
            return opened.await;
        }
        // One that takes for ever counts each time that another would have been made.
        let interval = self.backend.health_settings().check_interval;
        loop {
            match tokio::time::timeout(interval, &mut opened).await {
                Ok(opened) => return opened,
                Err(_elapsed) => self.backend.note_failed_check(&Error::Timeout(interval)),
            }
        }
    }

    /// Asks a modern backend what it says about itself now, which decides what is listened to.
    async fn refresh(&self, watched: &mut Watched) -> Result<(), Error> {
        let refreshed = self.backend.refreshed(&watched.session).await?;
        if refreshed.facts().capabilities != watched.session.facts().capabilities {
            watched.stream = None;
        }
        watched.session = refreshed;
        Ok(())
    }

    /// Opens the stream, if the backend does not take long over it.
    async fn begin_to_listen(&self, watched: &mut Watched) {
        if watched.stream.is_some() || !watched.session.facts().has.list_changes {
            return;
        }
        let opening = self.backend.listen(&watched.session);
        if let Ok(Ok(stream)) = tokio::time::timeout(BEGIN, opening).await {
            watched.stream = stream;
        }
    }

    /// Ends the watch session of a program that nobody is shown. What it offers from now on is known by
    /// those who start it.
    async fn sleep(&self, current: &mut Option<Watched>) {
        if let Some(Watched { session, .. }) = current.take() {
            let _gone = self.backend.close(&session).await;
        }
        std::future::pending().await
    }

    fn has_given_way(&self, current: Option<&Watched>) -> bool {
        current.is_some_and(|watched| self.backend.has_given_way(&watched.session))
    }

    fn report(&self, error: &Error, failures: u32) {
        // What is missing has been told, and trying again does not bring it.
        let is_missing = matches!(error, Error::NoCredential(Unavailable::Missing(_)));
        if failures == 1 && !is_missing {
            tracing::warn!(backend = %self.id(), %error, "the backend's offer could not be read; it is tried again");
        }
        if let Some(view) = self.view.upgrade() {
            view.enter(self.id(), Err(error.to_string()));
        }
    }

    /// How long to wait before the next attempt: longer each time, and not the same for all
    /// backends.
    fn backoff(&self, failures: u32) -> Duration {
        let (first, longest) = BACKOFF;
        let longest = longest.min(self.backend.health_settings().check_interval);
        let wait = first.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(longest);
        let add = |sum: u32, byte: u8| sum.wrapping_mul(31).wrapping_add(u32::from(byte));
        let spread = self.id().as_str().bytes().fold(failures, add);
        wait.mul_f64(0.75 + f64::from(spread % 256) / 512.0)
    }

    fn id(&self) -> &BackendId {
        self.backend.id()
    }
}
