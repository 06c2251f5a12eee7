//! Gets one backend's offer for one view, and keeps it true.
//!
//! One task for each backend and view, not for each session: it has a backend session of its own,
//! whose stream tells it of list changes. A modern backend says besides for how long its lists may be
//! taken for true; when that is over they are read again, once somebody is shown them.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use vmcp_backend::{Advertised, Backend, ClientView, Declined, Due, Error, Events, Session};
use vmcp_model::{BackendId, Era};
use vmcp_wire::Shape;

use super::{
    View,
    fresh::{Fresh, Terms},
    unreadable::Unreadable,
};
use crate::{background::Background, inbound::Inbound};

/// Changes that come within this time are one change.
const COALESCE: Duration = Duration::from_millis(50);

/// The least time between two readings of one backend's lists.
const PAUSE: Duration = Duration::from_millis(500);

/// The first and the longest wait before a failed backend is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How long the reading of the lists waits for the stream to open.
const BEGIN: Duration = Duration::from_millis(500);

/// How long an attempt may hold its place in the queue: a slow backend must not keep others from
/// being asked.
const PLACE: Duration = Duration::from_secs(1);

/// Watches one backend for one view.
pub(crate) struct Watch {
    pub(crate) backend: Arc<Backend>,
    pub(crate) view: Weak<View>,
    pub(crate) stop: CancellationToken,
    pub(crate) background: Background,
    /// Bounds the attempts that are made at once.
    pub(crate) places: Arc<Semaphore>,
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
}

/// A watch session.
struct Watched {
    session: Session,
    /// Its stream, while one is open.
    stream: Option<Events>,
    /// What a modern backend has said about the lists when they were read.
    terms: Option<ReadTerms>,
    /// How often in a row some list could not be read.
    unread: u32,
    /// What clients of this view cannot read and are not shown.
    unreadable: Unreadable,
}

/// For how long the lists of a modern backend may be taken for true.
#[derive(Debug, Clone, Copy)]
struct ReadTerms {
    read: Instant,
    /// When the first list is over that promises anything.
    over: Option<Instant>,
    /// Some list promises nothing, which says nothing about when to read it again.
    any_without: bool,
}

/// Why the watching of a session ended.
enum End {
    /// The offer is to be asked for again on the same session.
    Changed,
    /// The session is no good any more.
    Failed(Error),
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
                    let followed = self.follow(watched, &mut broken);
                    tokio::time::timeout(again, followed).await.unwrap_or(Ok(()))
                }
                Err(error) => {
                    self.backend.note_offer(Some(&error));
                    Err(error)
                }
            };
            match refreshed {
                // A backend that always has something new is not asked all the time.
                Ok(()) => tokio::time::sleep_until(began + PAUSE).await,
                Err(error) => {
                    failures = if began.elapsed() > BACKOFF.1 { 1 } else { failures + 1 };
                    // What is left alone was not asked, and its session is as good as it was.
                    if !matches!(error, Error::LeftAlone { .. })
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
        tokio::select! {
            () = tokio::time::sleep(self.backoff(failures)) => {}
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
        let work = async {
            let watched = match current {
                Some(watched) => {
                    self.refresh(watched).await?;
                    watched
                }
                None => {
                    let session = self.open(client).await?;
                    current.insert(Watched {
                        session,
                        stream: None,
                        terms: None,
                        unread: 0,
                        unreadable: Unreadable::default(),
                    })
                }
            };
            // Before the lists are read, so that no change comes between.
            self.begin_to_listen(watched).await;
            let offer = self.backend.offer(&watched.session).await;
            let offer = offer.inspect_err(|error| self.backend.note_failed_check(error))?;
            self.backend.note_offer(None);
            self.note_problem(watched, offer.problem());
            watched.terms = watched.session.is_stateless().then(|| ReadTerms::of(&offer));
            if let Some(view) = self.view.upgrade() {
                let legacy = view.client().version().era() == Era::Legacy;
                let offer = if legacy && watched.session.is_stateless() {
                    watched.unreadable.leave_out(self.id(), offer)
                } else {
                    offer
                };
                view.enter(self.id(), Ok(offer));
            }
            Ok(watched)
        };
        tokio::pin!(work);
        let place = self.places.acquire().await;
        if let Ok(done) = tokio::time::timeout(PLACE, &mut work).await {
            return done;
        }
        drop(place);
        work.await
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

    /// Waits until the offer is to be asked for again. The error says that the session is no good.
    async fn follow(&self, watched: &mut Watched, broken: &mut u32) -> Result<(), Error> {
        if !watched.session.facts().has.list_changes {
            return self.wait_for_demand(watched).await;
        }
        if watched.stream.is_none() {
            match self.backend.listen(&watched.session).await {
                Ok(Some(stream)) => watched.stream = Some(stream),
                // It offers none, whatever it says of list changes.
                Ok(None) | Err(Error::Refused { .. } | Error::Protocol(_)) => {
                    return self.wait_for_demand(watched).await;
                }
                Err(error) => return Err(error),
            }
        }
        let Watched { session, stream: Some(stream), terms, .. } = watched else { return Ok(()) };
        // Changes are announced: what promises nothing is not read for that alone.
        let over = terms.and_then(|terms| terms.over);
        let began = Instant::now();
        match self.listen(session, stream, over).await {
            End::Changed => Ok(()),
            End::Failed(Error::Broken(_)) => {
                // A server may end its streams now and then; one that ends each at once is not
                // asked as often. What has changed while nobody listened is found by asking.
                watched.stream = None;
                *broken = if began.elapsed() > BACKOFF.1 { 1 } else { *broken + 1 };
                tokio::time::sleep(self.backoff(*broken)).await;
                Ok(())
            }
            End::Failed(error) => Err(error),
        }
    }

    /// Listens until a list changes.
    async fn listen(&self, session: &Session, stream: &mut Events, over: Option<Instant>) -> End {
        let checking = self.keep_checking(session);
        let outdated = self.outdated(over);
        tokio::pin!(checking, outdated);
        loop {
            let message = tokio::select! {
                message = stream.next() => message,
                () = self.wanted.fresh.notified() => return End::Changed,
                () = &mut outdated => return End::Changed,
                checked = &mut checking => match checked {
                    Ok(()) => return End::Changed,
                    Err(error) => return End::Failed(error),
                },
            };
            match message {
                Ok(Some(message)) if message.shape() == Shape::Request => {
                    let declined = self.backend.decline(session, &message, Declined::NoClient);
                    if let Err(error) = declined.await {
                        tracing::debug!(backend = %self.id(), %error, "could not decline what the backend asked");
                    }
                }
                Ok(Some(message)) => {
                    if let Some(Inbound::ListChanged) = Inbound::of(message, self.id()) {
                        self.note_changed();
                        tokio::time::sleep(COALESCE).await;
                        return End::Changed;
                    }
                }
                Ok(None) => return End::Failed(Error::Broken("the stream ended".to_owned())),
                Err(error) => return End::Failed(error),
            }
        }
    }

    /// What was read is not to be taken for true any more.
    fn note_changed(&self) {
        if let Some(view) = self.view.upgrade() {
            view.note_changed(self.id());
        }
    }

    /// Waits until somebody is shown lists that are over. For ever if they are never.
    async fn outdated(&self, over: Option<Instant>) {
        match over {
            Some(over) => self.fresh.asked_since(over).await,
            None => std::future::pending().await,
        }
    }

    /// A backend that announces nothing is asked again when somebody needs its offer and it is old.
    async fn wait_for_demand(&self, watched: &Watched) -> Result<(), Error> {
        let Watched { session, terms, .. } = watched;
        let began = Instant::now();
        let checking = self.keep_checking(session);
        let over = terms.and_then(|terms| terms.unannounced(self.max_age));
        let outdated = self.outdated(over);
        tokio::pin!(checking, outdated);
        loop {
            tokio::select! {
                checked = &mut checking => return checked,
                () = self.wanted.fresh.notified() => return Ok(()),
                () = &mut outdated => return Ok(()),
                () = self.wanted.used.notified(), if terms.is_none() => {
                    if began.elapsed() >= self.max_age {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Checks the backend when it has shown no sign of life for long and nobody else does. Ends
    /// when it can be used again after it could not. The error says that the session is no good.
    async fn keep_checking(&self, session: &Session) -> Result<(), Error> {
        loop {
            let was_out = match self.backend.due().await {
                Due::Recovered => return Ok(()),
                Due::Check => self.backend.is_out(),
            };
            match self.backend.check(session).await {
                Ok(()) if was_out => return Ok(()),
                Ok(()) | Err(Error::LeftAlone { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn report(&self, error: &Error, failures: u32) {
        if failures == 1 {
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

impl ReadTerms {
    fn of(advertised: &Advertised) -> Self {
        let (read, terms) = (advertised.read, Terms::of(advertised));
        let over = terms.ends().filter(|end| *end > read).min();
        Self { read, over, any_without: terms.ends().any(|end| end <= read) }
    }

    /// When the first list is over if nobody says when it has changed.
    fn unannounced(self, max_age: Duration) -> Option<Instant> {
        let without = self.any_without.then(|| self.read + max_age);
        self.over.into_iter().chain(without).min()
    }
}
