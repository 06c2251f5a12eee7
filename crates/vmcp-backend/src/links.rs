//! The links to one backend: opened, found again, bounded, ended.
//!
//! The id of a backend session names its link here. It is never sent to the backend, and no other
//! process knows it: there, and when the link has ended, the session counts as lost.

mod crashes;
mod ending;
mod messages;
mod quiet;
mod room;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::HeaderValue;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vmcp_model::{BackendId, ProtocolVersion};
use vmcp_wire::IdKey;

use crate::{
    backend::Backend,
    conduct::Conduct,
    config::{Config, Isolation, Program},
    error::Error,
    gauge::{Gauge, Permit},
    handshake::{Opening, Purpose, Unopened},
    http::Http,
    link::{Link, ListsChanged, Member, Outbox},
    session::{CLIENT_INFO, ClientView, Facts, Session},
    sse,
    stats::Connections,
    stdio,
    subject::Subject,
};
use crashes::Crashes;
use ending::{Ending, Why};

/// How many links may be open at once only to read lists on them: there is one for each kind of client
/// that is new, for a moment.
const READ: usize = 8;

/// How long all links may take to end at shutdown. A process that resists is ended by force before.
const FAREWELL: Duration = Duration::from_secs(6);

/// The links to one backend.
#[derive(Debug)]
pub(crate) struct Links {
    me: Weak<Self>,
    backend: BackendId,
    opener: Opener,
    kept: Mutex<HashMap<Box<str>, Arc<Link>>>,
    /// The one that all sessions share.
    common: tokio::sync::Mutex<Option<Session>>,
    /// Random, so that an id that another process gave out names no link here.
    nonce: u64,
    numbers: AtomicU64,
    members: AtomicU64,
    calls: Gauge,
    errands: Gauge,
    places: Gauge,
    /// Beside the places, so that no client is refused one for it.
    read: Gauge,
    event_bytes: usize,
    conduct: Arc<Conduct>,
    crashes: Mutex<Crashes>,
    /// Those that were closed and have not ended yet.
    ending: Ending,
    /// The watch's that had to end for a client's, if that is not known to the watch.
    given_way: Mutex<Option<Box<str>>>,
    drivers: TaskTracker,
    closed: AtomicBool,
    /// Leaves programs no time to end by themselves.
    hurry: CancellationToken,
}

/// How a link is opened.
#[derive(Debug)]
enum Opener {
    Process(Program),
    Sse(Arc<Http>),
}

impl Links {
    /// Links to child processes.
    pub(crate) fn to_processes(
        config: &Config,
        nonce: u64,
        program: Program,
        conduct: Arc<Conduct>,
    ) -> Arc<Self> {
        Self::new(config, nonce, Opener::Process(program), conduct)
    }

    /// Links over HTTP+SSE.
    pub(crate) fn over_sse(
        config: &Config,
        nonce: u64,
        http: Http,
        conduct: Arc<Conduct>,
    ) -> Arc<Self> {
        Self::new(config, nonce, Opener::Sse(Arc::new(http)), conduct)
    }

    fn new(config: &Config, nonce: u64, opener: Opener, conduct: Arc<Conduct>) -> Arc<Self> {
        let what = match &opener {
            Opener::Process(_) => "processes running",
            Opener::Sse(_) => "connections open",
        };
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            backend: config.id.clone(),
            opener,
            kept: Mutex::default(),
            common: tokio::sync::Mutex::default(),
            nonce,
            numbers: AtomicU64::new(0),
            members: AtomicU64::new(0),
            calls: Gauge::calls(config.limits.in_flight),
            errands: Gauge::errands(),
            places: Gauge::new(what, "limits.linksPerBackend", config.limits.links),
            read: Gauge::new(what, "a bound of vmcp's own", READ),
            event_bytes: config.limits.event_bytes,
            conduct,
            crashes: Mutex::default(),
            ending: Ending::default(),
            given_way: Mutex::default(),
            drivers: TaskTracker::new(),
            closed: AtomicBool::new(false),
            hurry: CancellationToken::new(),
        })
    }

    /// Whether all sessions share one link.
    pub(crate) fn is_shared(&self) -> bool {
        match &self.opener {
            Opener::Process(program) => program.isolation == Isolation::Shared,
            Opener::Sse(_) => false,
        }
    }

    /// How long a process may live that nobody uses.
    pub(crate) fn process_idle(&self) -> Option<Duration> {
        match &self.opener {
            Opener::Process(program) => Some(program.idle),
            Opener::Sse(_) => None,
        }
    }

    /// Opens a link, and gives it with the id of its session. The handshake is the caller's.
    pub(crate) async fn connect(
        &self,
        purpose: Purpose,
        subject: Option<&Subject>,
    ) -> Result<(HeaderValue, Arc<Link>), Error> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(Error::Unreachable("it is not in use any more".to_owned()));
        }
        if self.process_idle().is_some() {
            // Two of them at once may be after the same lock, port or folder.
            let _late = tokio::time::timeout(FAREWELL, self.ending.until_none_given_up()).await;
        }
        let place = match purpose {
            Purpose::Use => self.place().await?,
            Purpose::Watch => self.places.enter()?,
            Purpose::Read => self.read.enter()?,
        };
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let id = format!("link-{:016x}-{number}", self.nonce);
        let opened = match &self.opener {
            Opener::Process(program) => {
                self.crashes().check()?;
                self.start(&id, program, place, purpose).await
            }
            Opener::Sse(http) => self.open_sse(&id, (http, subject), place).await,
        };
        opened.map(|link| (HeaderValue::try_from(id).expect("the id is visible ASCII"), link))
    }

    /// A session on the link that all share, which is opened if there is none.
    pub(crate) async fn join(
        &self,
        backend: &Arc<Backend>,
        opening: &mut Opening,
    ) -> Result<Session, Error> {
        let mut common = self.common.lock().await;
        let session = match &*common {
            Some(session) if self.find(session).is_ok() => session.clone(),
            Some(_) | None => {
                // The process is told of no client: it serves them all.
                let capabilities = Bytes::from_static(b"{}");
                let version = ProtocolVersion::LATEST_LEGACY;
                let view = ClientView::new(version, capabilities);
                let opened = backend.handshake(&view, CLIENT_INFO, opening).await;
                let mut session = opened.map_err(Unopened::into_error)?;
                opening.take();
                session.facts = backend.share(Facts::of_many(&session.facts));
                common.insert(session).clone()
            }
        };
        let member = self.members.fetch_add(1, Ordering::Relaxed) + 1;
        let id = format!("{}.{member}", session.id().unwrap_or_default());
        Ok(Session { id: HeaderValue::try_from(id).ok(), ..session })
    }

    /// Waits until those who listen have dealt with all that has come in so far.
    pub(crate) async fn until_heard(&self, session: &Session) {
        if let Ok((link, _member)) = self.find(session) {
            link.until_heard().await;
        }
    }

    /// Keeps what the backend asks on a session before anybody is there to be asked.
    pub(crate) fn hold_early(&self, session: &Session) {
        if let Ok((link, _member)) = self.find(session) {
            link.hold_early();
        }
    }

    /// Declines what was kept: nobody will be there.
    pub(crate) fn decline_early(&self, session: &Session) {
        if let Ok((link, _member)) = self.find(session) {
            link.decline_early();
        }
    }

    /// Tells of changes of a session's lists that nobody else hears of.
    pub(crate) fn tell_of_lists(&self, session: &Session, told: ListsChanged) {
        // One that has ended has nothing to tell.
        if let Ok((link, _member)) = self.find(session) {
            link.tell_of_lists(told);
        }
    }

    /// Whether a call is under way on the link of a session.
    pub(crate) fn has_calls(&self, session: &Session) -> bool {
        session.far.is_none() && self.find(session).is_ok_and(|(link, _member)| link.has_calls())
    }

    /// Ends a session, and its link unless others share it, or another replica holds it.
    pub(crate) fn close(&self, session: &Session) {
        let name = session.id().unwrap_or_default();
        let mut kept = self.kept();
        if let Some(link) = kept.remove(name) {
            let given_up = self.process_idle().is_some() && !link.has_served();
            self.ending.begin(name, if given_up { Why::GivenUp } else { Why::Done });
            link.close();
        }
    }

    /// Ends what nobody has used for as long as configuration says.
    pub(crate) fn prune(&self) {
        let idle = match &self.opener {
            Opener::Process(program) => program.idle,
            Opener::Sse(http) => return http.prune(),
        };
        self.kept().retain(|name, link| {
            let ended = link.close_if_idle(idle);
            if ended {
                self.ending.begin(name, Why::Done);
                tracing::info!(backend = %self.backend, "ends a process that nobody uses");
            }
            !ended
        });
    }

    /// Ends all links and waits for it. No new one is opened.
    pub(crate) async fn shutdown(&self) {
        self.closed.store(true, Ordering::Relaxed);
        for (_, link) in self.kept().drain() {
            link.close();
        }
        self.drivers.close();
        if tokio::time::timeout(FAREWELL, self.drivers.wait()).await.is_err() {
            tracing::warn!(backend = %self.backend, links = self.drivers.len(), "not every process or connection ended in time");
        }
    }

    /// Ends programs by force that are about to end, and those that will be.
    pub(crate) fn hurry(&self) {
        self.hurry.cancel();
    }

    /// Calls, streams and links that are under way.
    pub(crate) fn under_way(&self) -> (usize, usize, usize) {
        let streams = match &self.opener {
            Opener::Process(_) => 0,
            Opener::Sse(http) => http.under_way().1,
        };
        (self.calls.count(), streams, self.places.count() + self.read.count())
    }

    /// Connections of HTTP, if there are such.
    pub(crate) fn connections(&self) -> Option<Connections> {
        match &self.opener {
            Opener::Process(_) => None,
            Opener::Sse(http) => Some(http.connections()),
        }
    }

    fn find(&self, session: &Session) -> Result<(Arc<Link>, Member), Error> {
        let id = session.id().ok_or(Error::SessionLost)?;
        let (name, member) = id.split_once('.').unwrap_or((id, "0"));
        let member = Member(member.parse().unwrap_or_default());
        let link = self.kept().get(name).filter(|link| !link.is_over()).cloned();
        link.map(|link| (link, member)).ok_or(Error::SessionLost)
    }

    /// Whether a request of this id is vmcp's own.
    fn is_own(&self, id: &IdKey) -> bool {
        id.begins_with(&format!("vmcp-{:016x}-", self.nonce))
    }

    async fn start(
        &self,
        id: &str,
        program: &Program,
        place: Permit,
        purpose: Purpose,
    ) -> Result<Arc<Link>, Error> {
        let started = stdio::start(program, &self.backend, self.conduct.secrets()).await;
        let (process, outbox) =
            started.inspect_err(|error| self.crashes().note(Some(error.to_string())))?;
        let shared = program.isolation == Isolation::Shared;
        let link = self.link(shared, outbox);
        let link = Arc::new(link.with_process(&process, purpose == Purpose::Watch));
        self.keep(id, &link);
        let (me, id, event_bytes) = (self.me.clone(), Box::<str>::from(id), self.event_bytes);
        let driven = Arc::clone(&link);
        let hurry = self.hurry.clone();
        self.drivers.spawn(async move {
            let end = process.drive(Arc::clone(&driven), event_bytes, hurry).await;
            drop(place);
            let Some(links) = me.upgrade() else { return };
            links.kept().remove(&id);
            links.ending.end(&id);
            if end.unasked {
                links.crashes().note((!driven.has_served()).then_some(end.why));
            }
        });
        Ok(link)
    }

    async fn open_sse(
        &self,
        id: &str,
        (http, subject): (&Arc<Http>, Option<&Subject>),
        place: Permit,
    ) -> Result<Arc<Link>, Error> {
        let connecting = sse::connect(http, subject, self.event_bytes, &self.conduct);
        let (stream, outbox) = connecting.await?;
        let link = Arc::new(self.link(false, outbox));
        self.keep(id, &link);
        let (me, id) = (self.me.clone(), Box::<str>::from(id));
        let driven = Arc::clone(&link);
        self.drivers.spawn(async move {
            stream.drive(&driven).await;
            drop(place);
            if let Some(links) = me.upgrade() {
                links.kept().remove(&id);
                links.ending.end(&id);
            }
        });
        Ok(link)
    }

    fn link(&self, shared: bool, outbox: Outbox) -> Link {
        let (backend, conduct) = (self.backend.clone(), Arc::clone(&self.conduct));
        Link::new(backend, shared, outbox, self.event_bytes, conduct)
    }

    fn keep(&self, id: &str, link: &Arc<Link>) {
        let mut kept = self.kept();
        kept.insert(id.into(), Arc::clone(link));
        // Whoever shuts down may have been here before.
        if self.closed.load(Ordering::Relaxed) {
            link.close();
        }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Link>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn crashes(&self) -> MutexGuard<'_, Crashes> {
        self.crashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        for (_, link) in self.kept().drain() {
            link.close();
        }
    }
}
