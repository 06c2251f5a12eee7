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
use http::{Response, StatusCode};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use vmcp_model::{BackendId, raw};
use vmcp_wire::{Fault, Id, IdKey, Message, Shape, headers::MediaType, reply};

use crate::{
    config::{Config, InvalidConfig, Limits, Timeouts, Transport},
    error::Error,
    events::Events,
    health::{Health, Sign},
    http::{Http, body::Body},
    latency::{Latency, LatencySnapshot},
    session::{Facts, Session},
};

/// Bytes of an answer that vmcp reads whole for itself.
const OWN_ANSWER_BYTES: usize = 16 << 20;

/// How long a backend may take to end a session: whoever ends many must not wait for it.
const FAREWELL: Duration = Duration::from_secs(5);

/// Bytes of an answer that refuses something.
pub(crate) const REFUSAL_BYTES: usize = 64 << 10;

/// A backend. Shared by all sessions; keeps connections, never sessions.
#[derive(Debug)]
pub struct Backend {
    id: BackendId,
    lineage: Lineage,
    pub(crate) timeouts: Timeouts,
    limits: Limits,
    pub(crate) http: Http,
    /// Counts the tasks that outlive who asked for something.
    pub(crate) tasks: TaskTracker,
    /// What it said about itself last, so that sessions share one copy.
    facts: Mutex<Arc<Facts>>,
    next_id: AtomicU64,
    /// Random, so that the id of a request of vmcp's own is never that of a client's, which travels
    /// on the same session. A client may well be another vmcp.
    nonce: u64,
    pub(crate) stats: Stats,
    pub(crate) health: Health,
}

/// Whose sessions are good on a backend: those that were opened on one of the same lineage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    Events(Box<Events>),
}

/// Counts since the start.
#[derive(Debug)]
pub(crate) struct Stats {
    pub(crate) sessions_opened: AtomicU64,
    requests: AtomicU64,
    pub(crate) failures: AtomicU64,
    latency: Latency,
}

/// Counts since the start, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatsSnapshot {
    pub sessions_opened: u64,
    pub requests: u64,
    pub failures: u64,
    /// Requests under way.
    pub in_flight: usize,
    /// GET streams open.
    pub streams: usize,
    /// How long the beginning of an answer took lately.
    pub latency: Option<LatencySnapshot>,
}

impl Backend {
    /// Makes a backend ready; nothing is sent yet. `tasks` counts the tasks of its connections.
    pub fn new(config: &Config, tasks: TaskTracker) -> Result<Arc<Self>, InvalidConfig> {
        Self::of_lineage(Lineage::begin(), config, tasks)
    }

    /// Makes a backend ready that takes the place of this one: sessions that were opened on this
    /// one are good on it. Only where [`Config::keeps_sessions_of`] says so.
    pub fn successor(
        &self,
        config: &Config,
        tasks: TaskTracker,
    ) -> Result<Arc<Self>, InvalidConfig> {
        Self::of_lineage(self.lineage, config, tasks)
    }

    fn of_lineage(
        lineage: Lineage,
        config: &Config,
        tasks: TaskTracker,
    ) -> Result<Arc<Self>, InvalidConfig> {
        let endpoint = match &config.transport {
            Transport::Http(endpoint) => endpoint,
            Transport::Sse(_) | Transport::Stdio(_) => return Err(InvalidConfig::Url),
        };
        Ok(Arc::new(Self {
            id: config.id.clone(),
            lineage,
            timeouts: config.timeouts,
            limits: config.limits,
            http: Http::new(endpoint, config, tasks.clone())?,
            tasks,
            facts: Mutex::default(),
            next_id: AtomicU64::new(0),
            nonce: RandomState::new().build_hasher().finish(),
            stats: Stats {
                sessions_opened: AtomicU64::new(0),
                requests: AtomicU64::new(0),
                failures: AtomicU64::new(0),
                latency: Latency::new(),
            },
            health: Health::new(config.id.clone()),
        }))
    }

    pub fn id(&self) -> &BackendId {
        &self.id
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

    pub fn stats(&self) -> StatsSnapshot {
        let (in_flight, streams) = self.http.under_way();
        StatsSnapshot {
            sessions_opened: self.stats.sessions_opened.load(Ordering::Relaxed),
            requests: self.stats.requests.load(Ordering::Relaxed),
            failures: self.stats.failures.load(Ordering::Relaxed),
            in_flight,
            streams,
            latency: self.stats.latency.snapshot(),
        }
    }

    /// What this backend said about itself last, or nothing yet.
    pub fn facts(&self) -> Arc<Facts> {
        Arc::clone(&self.facts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Closes connections that have been idle for too long. To be called now and then.
    pub fn prune(&self) {
        self.http.prune();
    }

    /// Sends a message of a client and gives what the backend does with it. `id` is that of a
    /// request, and absent for everything else.
    ///
    /// No deadline applies here: the caller knows whether a question to the client is open.
    pub async fn post(
        self: &Arc<Self>,
        session: &Session,
        text: Bytes,
        id: Option<&IdKey>,
    ) -> Result<Answer, Error> {
        let admitted = self.health.admit()?;
        let answer = self.exchange(session, text, id).await;
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
    ) -> Result<Answer, Error> {
        self.stats.requests.fetch_add(1, Ordering::Relaxed);
        let began = Instant::now();
        let answer = match self.http.post(Some(session), text, id.is_some()).await {
            Ok(response) => self.judge(session, response, id).await,
            Err(error) => Err(error),
        };
        if answer.is_err() {
            self.stats.failures.fetch_add(1, Ordering::Relaxed);
        } else if id.is_some() {
            self.stats.latency.note(began.elapsed());
        }
        answer
    }

    /// Sends a request of vmcp's own and waits for the response. Questions that the backend asks
    /// meanwhile are declined. `params` is JSON text.
    pub async fn ask(
        self: &Arc<Self>,
        session: &Session,
        method: &str,
        params: Option<&[u8]>,
    ) -> Result<Message, Error> {
        let (id, text) = self.own_request(method, params);
        let admitted = self.health.admit()?;
        let answer = within(self.timeouts.idle, async {
            let answer = self.exchange(session, text, Some(&id)).await?;
            self.own_answer(session, answer, &id).await
        });
        let answer = answer.await;
        admitted.note(Sign::Own, answer.as_ref().err());
        answer
    }

    /// Sends a message that has no answer.
    pub async fn tell(self: &Arc<Self>, session: &Session, text: Bytes) -> Result<(), Error> {
        within(self.timeouts.idle, async {
            match self.post(session, text, None).await? {
                Answer::Accepted | Answer::Ready(_) | Answer::Events(_) => Ok(()),
                // Read to its end, so that the connection can be used again.
                Answer::Whole(body) => body.collect(REFUSAL_BYTES).await.map(|_body| ()),
            }
        })
        .await
    }

    /// Opens the session's GET stream, or goes on behind the event of this id. `None` if the
    /// backend has none to offer.
    pub async fn listen(
        self: &Arc<Self>,
        session: &Session,
        last_event_id: Option<&str>,
    ) -> Result<Option<Events>, Error> {
        let admitted = self.health.admit()?;
        let response = within(self.timeouts.idle, self.http.listen(session, last_event_id)).await;
        admitted.note(Sign::Own, response.as_ref().err());
        let response = response?;
        match response.status() {
            StatusCode::OK if MediaType::of(response.headers()) == MediaType::EventStream => {
                Ok(Some(Events::new(self, session, response.into_body())))
            }
            StatusCode::METHOD_NOT_ALLOWED => Ok(None),
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST if session.id.is_some() => {
                Box::pin(self.confirm_lost(session)).await.map(|()| None)
            }
            StatusCode::OK => Err(Error::Protocol("offers a stream of an unknown type".to_owned())),
            status => Err(Error::Refused { status: status.as_u16() }),
        }
    }

    /// Ends a session. A backend that does not allow it, or has forgotten it, is none the worse.
    pub async fn close(&self, session: &Session) -> Result<(), Error> {
        if session.id.is_none() {
            return Ok(());
        }
        within(FAREWELL.min(self.timeouts.idle), self.http.delete(session)).await.map(|_status| ())
    }

    /// Decides what an answer is.
    pub(crate) async fn judge(
        self: &Arc<Self>,
        session: &Session,
        response: Response<Body>,
        id: Option<&IdKey>,
    ) -> Result<Answer, Error> {
        let status = response.status();
        let media_type = MediaType::of(response.headers());
        let body = response.into_body();
        if status.is_success() {
            return match media_type {
                _ if id.is_none() => {
                    body.collect(REFUSAL_BYTES).await?;
                    Ok(Answer::Accepted)
                }
                MediaType::Json => Ok(Answer::Whole(body)),
                MediaType::EventStream => {
                    Ok(Answer::Events(Box::new(Events::new(self, session, body))))
                }
                MediaType::Other => Err(Error::Protocol(format!(
                    "answered a request with HTTP status {status} and neither JSON nor a stream"
                ))),
            };
        }
        if status == StatusCode::NOT_FOUND && session.id.is_some() {
            // Read to its end, so that the connection can be used again.
            let _ended = body.collect(REFUSAL_BYTES).await;
            return Err(Error::SessionLost);
        }
        let text = body.collect(REFUSAL_BYTES).await?;
        if status == StatusCode::BAD_REQUEST && session.id.is_some() {
            Box::pin(self.confirm_lost(session)).await?;
        }
        // A refusal may still be a proper answer to this very request.
        let answers = |message: &Message| {
            message.shape() == Shape::Response
                && message.id().zip(id).is_some_and(|(answered, asked)| answered.is(asked))
        };
        match Message::parse(text.clone()) {
            Ok(message) if answers(&message) => Ok(Answer::Ready(text)),
            Ok(_) | Err(_) => Err(Error::Refused { status: status.as_u16() }),
        }
    }

    /// Finds out by a ping whether a refusal means that the session is gone: some published servers
    /// say so with 400. The error says that it is.
    async fn confirm_lost(&self, session: &Session) -> Result<(), Error> {
        let (_id, text) = self.own_request("ping", None);
        let status = within(self.timeouts.idle, async {
            let response = self.http.post(Some(session), text, false).await?;
            let status = response.status();
            let _ended = response.into_body().collect(REFUSAL_BYTES).await;
            Ok(status)
        });
        let status = status.await?;
        if matches!(status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND) {
            return Err(Error::SessionLost);
        }
        Ok(())
    }

    /// Waits for the response to a request of vmcp's own.
    pub(crate) async fn own_answer(
        self: &Arc<Self>,
        session: &Session,
        answer: Answer,
        id: &IdKey,
    ) -> Result<Message, Error> {
        let text = match answer {
            Answer::Ready(text) => text,
            Answer::Whole(body) => body.collect(OWN_ANSWER_BYTES).await?,
            Answer::Accepted => return Err(Error::Protocol("did not answer a request".to_owned())),
            Answer::Events(mut events) => loop {
                let Some(message) = events.next().await? else {
                    return Err(Error::Broken("the stream ended before the answer".to_owned()));
                };
                match message.shape() {
                    Shape::Response if message.id().is_some_and(|found| found.is(id)) => {
                        break message.into_text();
                    }
                    Shape::Request => Box::pin(self.decline(session, &message)).await?,
                    Shape::Response | Shape::Notification => {}
                }
            },
        };
        let message = Message::parse(text)
            .map_err(|why| Error::Protocol(format!("answered badly: {why}")))?;
        if message.shape() != Shape::Response || !message.id().is_some_and(|found| found.is(id)) {
            return Err(Error::Protocol(
                "answered another request than the one it was asked".to_owned(),
            ));
        }
        Ok(message)
    }

    /// Answers a backend's request that nobody is there to answer.
    pub async fn decline(
        self: &Arc<Self>,
        session: &Session,
        request: &Message,
    ) -> Result<(), Error> {
        let text = if request.method() == "ping" {
            let Some(id) = request.id() else { return Ok(()) };
            reply::result(id, b"{}")
        } else {
            let fault =
                Fault::MethodNotFound(format!("{} (no client is attached)", request.method()));
            reply::error(request.id(), &fault)
        };
        within(self.timeouts.idle, async {
            let response = self.http.post(Some(session), text, false).await?;
            response.into_body().collect(REFUSAL_BYTES).await.map(|_body| ())
        })
        .await
    }

    pub(crate) fn own_request(&self, method: &str, params: Option<&[u8]>) -> (IdKey, Bytes) {
        let number = self.next_id.fetch_add(1, Ordering::Relaxed);
        let id = format!("vmcp-{:016x}-{number}", self.nonce);
        let text = reply::request(&id, method, params);
        let quoted = raw::string(&id);
        (Id::parse(&quoted).expect("a short string is an id").key(), text)
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

/// The beginning of a text, for an error message.
pub(crate) fn excerpt(text: &[u8]) -> String {
    const LENGTH: usize = 200;
    let end = text.len().min(LENGTH);
    let more = if text.len() > LENGTH { "…" } else { "" };
    format!("{}{more}", String::from_utf8_lossy(&text[..end]))
}
