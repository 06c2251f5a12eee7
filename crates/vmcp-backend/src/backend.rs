//! One backend as the layers above see it.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderName, Uri};
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;
use vmcp_credentials::Credential;
use vmcp_model::{BackendId, Digest, Method};
use vmcp_wire::{IdKey, Lines};

use crate::{
    callers::credential,
    conduct::Conduct,
    config::{Config, InvalidConfig, Limits, Timeouts, Transport},
    era::Eras,
    error::Error,
    events::Events,
    excess::Excess,
    health::{Health, Sign},
    http::{Http, body::Body},
    links::Links,
    own::OwnIds,
    secrets::Secrets,
    session::{Facts, Session},
    stats::Stats,
    uses::Use,
};

/// How long a backend may take to end a session: whoever ends many must not wait for it.
const FAREWELL: Duration = Duration::from_secs(5);

/// Large events of one backend that are put together at once.
const LARGE_EVENTS: usize = 4;

/// Bytes of an answer that refuses something.
pub(crate) const REFUSAL_BYTES: usize = 64 << 10;

/// A backend. Shared by all sessions; keeps connections, never sessions.
#[derive(Debug)]
pub struct Backend {
    id: BackendId,
    lineage: Lineage,
    pub(crate) timeouts: Timeouts,
    limits: Limits,
    pub(crate) wire: Wire,
    /// Counts the tasks that outlive who asked for something.
    pub(crate) tasks: TaskTracker,
    /// What it said about itself last, so that sessions share one copy.
    facts: Mutex<Arc<Facts>>,
    pub(crate) own_ids: Arc<OwnIds>,
    identity: Option<Digest>,
    /// Where it is, unless it is a program.
    pub(crate) url: Option<Uri>,
    /// What it is shown. Shared with those whose place it has taken.
    pub(crate) credential: Arc<Credential>,
    pub(crate) passthrough: Arc<[HeaderName]>,
    /// Shared with those whose place it has taken, as is its health.
    pub(crate) eras: Arc<Eras>,
    pub(crate) stats: Stats,
    /// Shared with those whose place it has taken: it is the same server.
    pub(crate) health: Arc<Health>,
    pub(crate) excess: Excess,
    /// Lets a few large events at once be put together.
    pub(crate) large_events: Arc<Semaphore>,
    /// Shared with those whose place it has taken.
    pub(crate) conduct: Arc<Conduct>,
}

/// What a backend has in common with those whose place it has taken.
struct Shared {
    lineage: Lineage,
    own_ids: Arc<OwnIds>,
    eras: Arc<Eras>,
    health: Arc<Health>,
    conduct: Arc<Conduct>,
    credential: Arc<Credential>,
}

/// How messages travel.
#[derive(Debug)]
pub(crate) enum Wire {
    /// Each on a request of its own.
    Http(Box<Http>),
    /// All of a session on one link.
    Links(Arc<Links>),
}

/// Whose sessions are good on a backend: those that were opened on one of the same lineage. A newer
/// one is greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lineage(u64);

/// What a backend does with a message.
#[derive(Debug)]
pub enum Answer {
    /// It took it, and there is nothing more to come.
    Accepted,
    /// It answers with one JSON body, which has not been looked at.
    Whole(Body),
    /// It answers with one JSON message that has been read already.
    Ready(Bytes),
    /// It answers with a stream of messages.
    Events(Events),
}

impl Backend {
    /// Makes a backend ready; nothing is sent yet. `tasks` counts the tasks of its connections.
    pub fn new(config: &Config, tasks: TaskTracker) -> Result<Arc<Self>, InvalidConfig> {
        let nonce = RandomState::new().build_hasher().finish();
        let credential = credential(config, &tasks);
        let conduct = Arc::new(Conduct::of(Secrets::of(&config.transport, &credential)));
        let to =
            |endpoint| Http::new(endpoint, config, tasks.clone(), conduct.secrets(), &credential);
        let wire = match &config.transport {
            Transport::Http(endpoint) => Wire::Http(Box::new(to(endpoint)?)),
            Transport::Sse(endpoint) => {
                let http = to(endpoint)?;
                Wire::Links(Links::over_sse(config, nonce, http, Arc::clone(&conduct)))
            }
            Transport::Stdio(program) => Wire::Links(Links::to_processes(
                config,
                nonce,
                program.clone(),
                Arc::clone(&conduct),
            )),
        };
        let health = Health::new(config.id.clone(), credential.is_personal());
        if let Some(missing) = credential.missing() {
            health.lacks(&Error::NoCredential(missing));
        }
        let shared = Shared {
            lineage: Lineage::begin(),
            own_ids: Arc::new(OwnIds::new(nonce)),
            eras: Arc::default(),
            health: Arc::new(health),
            conduct,
            credential,
        };
        Ok(Self::sharing(shared, config, tasks, wire))
    }

    /// Makes a backend ready that takes the place of this one, and its processes over: sessions that
    /// were opened on this one are good on it, it speaks the same era, and it is as healthy. Only where
    /// [`Config::keeps_sessions_of`] says so.
    pub fn successor(
        &self,
        config: &Config,
        tasks: TaskTracker,
    ) -> Result<Arc<Self>, InvalidConfig> {
        let wire = match (&config.transport, &self.wire) {
            (_, Wire::Links(links)) => Wire::Links(Arc::clone(links)),
            (Transport::Http(endpoint) | Transport::Sse(endpoint), Wire::Http(_)) => {
                let secrets = self.conduct.secrets();
                let http = Http::new(endpoint, config, tasks.clone(), secrets, &self.credential)?;
                Wire::Http(Box::new(http))
            }
            (Transport::Stdio(_), Wire::Http(_)) => return Err(InvalidConfig::Url),
        };
        let shared = Shared {
            lineage: self.lineage,
            own_ids: Arc::clone(&self.own_ids),
            eras: Arc::clone(&self.eras),
            health: Arc::clone(&self.health),
            conduct: Arc::clone(&self.conduct),
            credential: Arc::clone(&self.credential),
        };
        Ok(Self::sharing(shared, config, tasks, wire))
    }

    fn sharing(shared: Shared, config: &Config, tasks: TaskTracker, wire: Wire) -> Arc<Self> {
        let Shared { lineage, own_ids, eras, health, conduct, credential } = shared;
        Arc::new(Self {
            id: config.id.clone(),
            lineage,
            timeouts: config.timeouts,
            limits: config.limits,
            wire,
            tasks,
            facts: Mutex::default(),
            own_ids,
            identity: match &config.transport {
                Transport::Http(endpoint) => Some(endpoint.identity()),
                Transport::Sse(_) | Transport::Stdio(_) => None,
            },
            url: config.transport.url().cloned(),
            credential,
            passthrough: match &config.transport {
                Transport::Http(endpoint) | Transport::Sse(endpoint) => {
                    Arc::clone(&endpoint.passthrough)
                }
                Transport::Stdio(_) => Arc::default(),
            },
            eras,
            stats: Stats::new(),
            health,
            excess: Excess::default(),
            large_events: Arc::new(Semaphore::new(LARGE_EVENTS)),
            conduct,
        })
    }

    pub fn id(&self) -> &BackendId {
        &self.id
    }

    /// What a session must have been opened on to be good on this backend, as a digest that is the
    /// same in every process. `None`: sessions are held by this process.
    pub fn identity(&self) -> Option<Digest> {
        self.identity
    }

    /// What nobody else may see of what it says.
    pub(crate) fn secrets(&self) -> &Secrets {
        self.conduct.secrets()
    }

    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What the backend does that no server should, and that is made the best of.
    pub fn remarks(&self) -> Vec<&'static str> {
        self.conduct.remarks()
    }

    /// Whether sessions of the backend are to be listened to for as long as they live: it asks on
    /// their streams whether somebody is there, and may end those where nobody is; or it has been seen
    /// to end these.
    pub fn is_to_be_heard(&self) -> bool {
        self.conduct.pings() || self.conduct.loses_unheard()
    }

    /// Tells of a client's session that the backend has lost. `is_heard` says that somebody listened to
    /// it.
    pub fn note_session_lost(&self, session: &Session, is_heard: bool) {
        // It went with another replica, as far as is known here.
        let None = &session.far else { return };
        self.conduct.tell_lost(&self.id);
        match session.opened {
            _ if is_heard => self.conduct.note_lost_heard(),
            Some(opened) => self.conduct.note_lost_unheard(opened),
            None => {}
        }
    }

    /// Notes that the backend has lost a session of vmcp's own, to which it listens.
    pub fn note_watch_lost(&self) {
        self.conduct.note_lost_heard();
    }

    /// Counts a call of a client that has ended.
    pub fn note_use(&self, method: Method, how: Use) {
        self.stats.uses.note(method, how);
    }

    /// Counts a notification of progress that nobody had asked for.
    pub fn note_stray_progress(&self) {
        self.stats.stray_progress.fetch_add(1, Ordering::Relaxed);
    }

    /// What this backend said about itself last, or nothing yet.
    pub fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.facts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How long a process may live that nobody uses, if the backend is a program.
    pub fn process_idle(&self) -> Option<Duration> {
        match &self.wire {
            Wire::Http(_) => None,
            Wire::Links(links) => links.process_idle(),
        }
    }

    /// Whether the backend is a program that is started.
    pub fn is_program(&self) -> bool {
        self.process_idle().is_some()
    }

    /// Completes when a program that starts needs the processor no more. For ever if it is none.
    pub async fn until_quiet(&self) {
        match &self.wire {
            Wire::Links(links) if links.process_idle().is_some() => links.until_quiet().await,
            Wire::Http(_) | Wire::Links(_) => std::future::pending().await,
        }
    }

    /// Lets the process of a watch end as soon as a client needs its place.
    pub fn let_give_way(&self, watch: &Session) {
        if let Wire::Links(links) = &self.wire {
            links.let_give_way(watch);
        }
    }

    /// Whether the process of a watch has ended because a client needed its place.
    pub fn has_given_way(&self, watch: &Session) -> bool {
        match &self.wire {
            Wire::Http(_) => false,
            Wire::Links(links) => links.has_given_way(watch),
        }
    }

    /// Whether the backend is a program that all sessions share, which is told of no client.
    pub fn is_shared(&self) -> bool {
        match &self.wire {
            Wire::Http(_) => false,
            Wire::Links(links) => links.is_shared(),
        }
    }

    /// Closes connections, ends processes and forgets callers' credentials that have been idle for too
    /// long. To be called now and then.
    pub fn prune(&self) {
        self.credential.prune();
        match &self.wire {
            Wire::Http(http) => http.prune(),
            Wire::Links(links) => links.prune(),
        }
    }

    /// Ends what cannot outlive this process, and waits until it has ended: child processes and
    /// connections of HTTP+SSE. No new one begins.
    pub async fn shutdown(&self) {
        match &self.wire {
            Wire::Links(links) => links.shutdown().await,
            Wire::Http(_) => {}
        }
    }

    /// Leaves child processes no time to end by themselves once they are to end.
    pub fn hurry(&self) {
        match &self.wire {
            Wire::Links(links) => links.hurry(),
            Wire::Http(_) => {}
        }
    }

    /// Sends a message of a client and gives what the backend does with it. `id` is that of a
    /// request, and absent for everything else, of which a modern backend is sent nothing. `lines` are
    /// what it is told in headers.
    ///
    /// Dropping the answer before its end closes the connection, or the stream of one that is shared;
    /// to a modern backend that is the cancellation.
    ///
    /// No deadline applies here: the caller knows whether a question to the client is open.
    pub async fn post(
        self: &Arc<Self>,
        session: &Session,
        text: Bytes,
        id: Option<&IdKey>,
        lines: Option<&Lines>,
    ) -> Result<Answer, Error> {
        if id.is_none() && session.is_stateless() {
            // The modern era has nothing to say that is not asked (specification 2026-07-28,
            // basic/transports/streamable-http, "Sending Messages").
            return Ok(Answer::Accepted);
        }
        let admitted = self.health.admit()?;
        let answer = self.exchange(session, text, id, lines).await;
        let sign = if id.is_some() { Sign::Call } else { Sign::Own };
        admitted.note(sign, answer.as_ref().err());
        answer
    }

    /// The same, whatever the backend's health.
    pub(crate) async fn exchange(
        self: &Arc<Self>,
        session: &Session,
        text: Bytes,
        id: Option<&IdKey>,
        lines: Option<&Lines>,
    ) -> Result<Answer, Error> {
        self.stats.requests.fetch_add(1, Ordering::Relaxed);
        let answer = match &self.wire {
            Wire::Http(http) => self.exchange_over_http(http, session, text, id, lines).await,
            // Boxed, so that an exchange over HTTP does not carry room for it.
            Wire::Links(links) => Box::pin(links.exchange(session, text, id)).await,
        };
        if answer.is_err() {
            self.stats.failures.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// Ends a session. A backend that does not allow it, or has forgotten it, is none the worse.
    pub async fn close(&self, session: &Session) -> Result<(), Error> {
        if session.id.is_none() {
            return Ok(());
        }
        match &self.wire {
            Wire::Http(http) => {
                let deleted = within(FAREWELL.min(self.timeouts.idle), http.delete(session)).await;
                deleted.map(|_status| ())
            }
            Wire::Links(links) => {
                links.close(session);
                Ok(())
            }
        }
    }

    pub(crate) fn http(&self) -> Option<&Http> {
        match &self.wire {
            Wire::Http(http) => Some(http),
            Wire::Links(_) => None,
        }
    }

    pub(crate) fn share(&self, facts: Facts) -> Arc<Facts> {
        let mut last = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if **last != facts {
            *last = Arc::new(facts);
        }
        Arc::clone(&last)
    }
}

impl Lineage {
    fn begin() -> Self {
        static BEGUN: AtomicU64 = AtomicU64::new(0);
        Self(BEGUN.fetch_add(1, Ordering::Relaxed))
    }
}

/// Waits for at most this long.
pub(crate) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(Error::Timeout(limit)))
}
