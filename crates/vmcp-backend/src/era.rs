//! Which era a backend speaks: asked once, remembered, and asked again when something speaks against it
//! (specification 2026-07-28, basic/versioning, and basic/transports/streamable-http, "Backward
//! Compatibility").
//!
//! What is known belongs to the server, not to sessions: a backend shares it with those whose place it
//! has taken. What went wrong for a moment decides nothing and is not remembered.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::{sync::watch, time::Instant};
use vmcp_model::Era;
use vmcp_wire::headers::MediaType;

use crate::{
    backend::{Answer, Backend, REFUSAL_BYTES, Wire, within},
    discovery::{Told, says_nothing},
    error::Error,
    events::Events,
    health::Sign,
    http::{Http, stream::Stream},
    own::OWN_ANSWER_BYTES,
    session::{ClientView, Facts, Session},
};

/// A backend may take half of this to say what it speaks.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a doubt that has turned out to be none is not looked into again: a backend that refuses
/// much must not be asked as much.
const REFUTED: Duration = Duration::from_secs(5);

/// What is known of a backend's era.
#[derive(Debug, Default)]
pub(crate) struct Eras {
    /// 0 while nothing is known, or one of the constants below.
    era: AtomicU8,
    /// What a modern backend said about itself last.
    last: ArcSwapOption<Discovered>,
    asking: Mutex<Asking>,
}

const LEGACY: u8 = 1;
const MODERN: u8 = 2;
/// It speaks with each client in the client's own era, in which nothing has to be translated.
const BOTH: u8 = 3;

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
    /// Somebody is asking; the receiver gets what came of it.
    under_way: Option<watch::Receiver<Option<Result<Era, Error>>>>,
    /// When a doubt turned out to be none.
    refuted: Option<Instant>,
}

impl Backend {
    /// The newest era that the backend speaks, as far as is known.
    pub fn era(&self) -> Option<Era> {
        self.era_for(Era::Modern)
    }

    /// The era that the backend speaks with clients of this one, as far as is known.
    pub fn era_for(&self, client: Era) -> Option<Era> {
        match (&self.wire, self.eras.era.load(Ordering::Acquire)) {
            // These transports are the legacy era's, or have no way to tell.
            (Wire::Links(_), _) | (Wire::Http(_), LEGACY) => Some(Era::Legacy),
            (Wire::Http(_), MODERN) => Some(Era::Modern),
            (Wire::Http(_), BOTH) => Some(client),
            (Wire::Http(_), _) => None,
        }
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
        Some(Session::stateless(view.capabilities_for(Era::Modern).clone(), facts))
    }

    /// Finds out which era the backend speaks, unless that is known. It is asked once however many
    /// want to know.
    ///
    /// # Errors
    /// If the backend cannot be asked, or says something that has nothing to do with its era. That is
    /// not remembered.
    pub async fn detect(self: &Arc<Self>, view: &ClientView) -> Result<Era, Error> {
        let client = view.version().era();
        if let Some(era) = self.era_for(client) {
            return Ok(era);
        }
        let admitted = self.health.admit()?;
        let found = self.find_era(view.capabilities_for(Era::Modern)).await;
        admitted.note(Sign::Opening, found.as_ref().err());
        found.map(|found| self.era_for(client).unwrap_or(found))
    }

    /// The same, whatever the backend's health.
    pub(crate) async fn find_era(self: &Arc<Self>, capabilities: &Bytes) -> Result<Era, Error> {
        match self.era() {
            Some(era) => Ok(era),
            None => self.ask_era(capabilities).await,
        }
    }

    /// Finds out whether a backend that was taken for one of this era is of the other, because it has
    /// refused what it should have understood. `None` if that cannot be said now.
    pub(crate) async fn doubt(self: &Arc<Self>, era: Era, capabilities: &Bytes) -> Option<Era> {
        if let Some(known) = self.era_for(era).filter(|known| *known != era) {
            return Some(known);
        }
        if self.eras.asking().refuted.is_some_and(|at| at.elapsed() < REFUTED) {
            return None;
        }
        let found = self.ask_era(capabilities).await.ok()?;
        let found = self.era_for(era).unwrap_or(found);
        if found == era {
            self.eras.asking().refuted = Some(Instant::now());
        }
        Some(found)
    }

    /// Asks the backend, or waits for what it answers to whoever has asked already. Goes on when
    /// those who wait for it go away.
    async fn ask_era(self: &Arc<Self>, capabilities: &Bytes) -> Result<Era, Error> {
        let mut outcome = {
            let mut asking = self.eras.asking();
            let under_way = asking.under_way.as_ref();
            // One whose runtime has ended brings nothing any more.
            match under_way.filter(|outcome| outcome.has_changed().is_ok()) {
                Some(outcome) => outcome.clone(),
                None => {
                    let (sender, outcome) = watch::channel(None);
                    asking.under_way = Some(outcome.clone());
                    let (me, capabilities) = (Arc::clone(self), capabilities.clone());
                    self.tasks.spawn(async move {
                        let found = me.discover(&capabilities).await;
                        me.eras.asking().under_way = None;
                        // Nobody may be left to hear of it.
                        sender.send_replace(Some(found.map(|(era, _facts)| era)));
                    });
                    outcome
                }
            }
        };
        let found = outcome.wait_for(Option::is_some).await.ok().and_then(|found| found.clone());
        found.unwrap_or_else(|| Err(Error::Broken("the question for its era".to_owned())))
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
        let refreshed = self.discovered(&session.capabilities, Instant::now()).await;
        admitted.note(Sign::Check, refreshed.as_ref().err());
        refreshed
    }

    /// What a modern backend says about itself to clients that can do this, not longer ago than
    /// `since`.
    pub(crate) async fn discovered(
        self: &Arc<Self>,
        capabilities: &Bytes,
        since: Instant,
    ) -> Result<Session, Error> {
        let last = self.eras.last.load_full();
        let is_good =
            |last: &Arc<Discovered>| last.at >= since && last.capabilities == *capabilities;
        let facts = match last.filter(is_good) {
            Some(last) => Some(Arc::clone(&last.facts)),
            None => match self.discover(capabilities).await? {
                (Era::Modern, facts) => facts,
                (Era::Legacy, _) => return Err(Error::SessionLost),
            },
        };
        let refused = || Error::Protocol("refused server/discover".to_owned());
        Ok(Session::stateless(capabilities.clone(), facts.ok_or_else(refused)?))
    }

    /// Asks `server/discover`, within the time for opening a session, and remembers what that says.
    pub(crate) async fn discover(
        self: &Arc<Self>,
        capabilities: &Bytes,
    ) -> Result<(Era, Option<Arc<Facts>>), Error> {
        let Some(http) = self.http() else { return Ok((Era::Legacy, None)) };
        self.stats.requests.fetch_add(1, Ordering::Relaxed);
        let asking = self.ask_to_discover(http, capabilities);
        // Less than the time for opening a session: one that never answers this may be a legacy one.
        let told = within(self.timeouts.initialize.min(PATIENCE).div_f64(2.0), asking).await;
        let told = told.inspect_err(|_error| {
            self.stats.failures.fetch_add(1, Ordering::Relaxed);
        })?;
        let number = match &told {
            Told::Legacy => LEGACY,
            Told::Modern { also_legacy: true, .. } => BOTH,
            Told::Modern { also_legacy: false, .. } => MODERN,
        };
        let (era, facts) = match told {
            Told::Legacy => (Era::Legacy, None),
            Told::Modern { facts: None, .. } => (Era::Modern, None),
            Told::Modern { facts: Some(facts), .. } => {
                let facts = self.share(facts);
                let discovered = Discovered {
                    facts: Arc::clone(&facts),
                    capabilities: capabilities.clone(),
                    at: Instant::now(),
                };
                self.eras.last.store(Some(Arc::new(discovered)));
                (Era::Modern, Some(facts))
            }
        };
        if self.eras.era.swap(number, Ordering::AcqRel) != number {
            self.eras.asking().refuted = None;
            let speaks = ["", "legacy", "modern", "both"][usize::from(number)];
            tracing::info!(backend = %self.id(), speaks, "knows which era the backend speaks");
        }
        Ok((era, facts))
    }

    async fn ask_to_discover(
        self: &Arc<Self>,
        http: &Http,
        capabilities: &Bytes,
    ) -> Result<Told, Error> {
        let session = Session::stateless(capabilities.clone(), Arc::default());
        let request = self.own_request_on(&session, "server/discover", None);
        let response =
            http.post(Some(&session), request.text, false, request.lines.as_ref()).await?;
        let status = response.status();
        if says_nothing(status.as_u16()) {
            let _ended = response.into_body().collect(REFUSAL_BYTES).await;
            return Err(Error::Refused { status: status.as_u16() });
        }
        let text = match MediaType::of(response.headers()) {
            MediaType::EventStream if status.is_success() => {
                let stream = Stream::new(self, &session, response.into_body());
                let answer = Answer::Events(Events::of_stream(Box::new(stream)));
                match self.own_answer(&session, answer, &request.id).await {
                    Ok(answer) => answer.into_text(),
                    Err(Error::Protocol(_)) => return Ok(Told::Legacy),
                    Err(error) => return Err(error),
                }
            }
            MediaType::Json | MediaType::EventStream | MediaType::Other => {
                let limit = if status.is_success() { OWN_ANSWER_BYTES } else { REFUSAL_BYTES };
                match response.into_body().collect(limit).await {
                    // However much it has to say, it is nothing that a modern server says.
                    Err(Error::TooLarge { .. }) => return Ok(Told::Legacy),
                    text => text?,
                }
            }
        };
        Told::by(&text, &request.id)
    }
}

impl Eras {
    fn asking(&self) -> MutexGuard<'_, Asking> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
