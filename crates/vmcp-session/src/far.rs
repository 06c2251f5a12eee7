//! Backend sessions on links that other replicas hold.
//!
//! Everything of a session stays where its client is; only what is asked of such a link goes to the replica that
//! holds it. Whether that replica lives is known by what it says in the store, and by the channel to it. A call that
//! finds it gone is answered with that, once: the next one begins anew what the backend held.

mod asked;
mod holder;

use std::{
    borrow::Cow,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout};
use vmcp_backend::{Backend, Carrier, Error, Later, Session as BackendSession};
use vmcp_core::BackendSessions as _;
use vmcp_model::{BackendId, Digest, Principal};
use vmcp_peer::{Error as PeerError, Frames, Peer, Peers, Request};
use vmcp_store::{BackendRecord, Place, SessionKey};

use crate::{session::Session, sessions::Shared};
use asked::{ENDING, Ending, Errand, GONE, LINK, NOT_HELD};

pub use holder::Holder;

/// How long a call waits, whose client has been told, until it is known whether the holder is gone for good.
const VERDICT: Duration = Duration::from_secs(8);

/// How long nothing must have been heard of a holder that cannot be reached: one that has only not come to say that it
/// lives is not to lose what it holds.
const SILENT: Duration = Duration::from_secs(2);

/// How long it may take to note that a client was told.
const NOTING: Duration = Duration::from_millis(500);

/// How often it is tried to end a link that has no session any more, and the pause between.
const ATTEMPTS: usize = 3;
const AGAIN: Duration = Duration::from_secs(1);

/// How often it is looked meanwhile.
const LOOK: Duration = Duration::from_millis(200);

/// The way to the other replicas.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) peers: Arc<Peers>,
    /// Where this replica listens to them (`host:port`).
    pub(crate) address: Box<str>,
}

/// The way to one link of one session.
pub(crate) struct Far {
    shared: Arc<Shared>,
    key: SessionKey,
    session: Arc<str>,
    principal: Principal,
    backend: BackendId,
    kept: BackendRecord,
    holder: Box<str>,
    address: OnceLock<SocketAddr>,
    /// The client has been told that the holder cannot be reached.
    has_told: Arc<AtomicBool>,
}

/// What is known of the holder.
enum Whereabouts {
    At(SocketAddr),
    /// It lives, and cannot be asked anything.
    Elsewhere,
    Dead,
}

impl Session {
    /// Whether other replicas may use the session's link to a backend, which this one does not hold, or not yet.
    pub(crate) fn may_share_link(&self, backend: &Backend) -> bool {
        self.shared.channel().is_some()
            && backend.identity().is_none()
            && self.open(backend).is_none_or(|open| open.holder().is_some())
    }

    /// A backend session from what was kept of it, wherever its link is.
    pub(crate) fn resumed(
        &self,
        backend: &Backend,
        kept: &BackendRecord,
    ) -> Option<BackendSession> {
        let open = crate::kept::resumed(backend, kept, self.client_view())?;
        Some(self.shared.leading(open, (&self.id, &self.principal), backend, kept))
    }
}

impl Shared {
    /// The way to the other replicas, if there is one.
    pub(crate) fn channel(&self) -> Option<&Channel> {
        self.channel.get()
    }

    /// A backend session with the way to its link, if another replica holds that.
    pub(crate) fn leading(
        self: &Arc<Self>,
        open: BackendSession,
        (session, principal): (&Arc<str>, &Principal),
        backend: &Backend,
        kept: &BackendRecord,
    ) -> BackendSession {
        match &kept.place {
            Place::Replica(holder) if *holder != self.replica => {
                let far = Far {
                    shared: Arc::clone(self),
                    key: SessionKey::of(session),
                    session: Arc::clone(session),
                    principal: principal.clone(),
                    backend: backend.id().clone(),
                    kept: kept.clone(),
                    holder: holder.clone(),
                    address: OnceLock::new(),
                    has_told: Arc::default(),
                };
                open.held_at(Arc::new(far))
            }
            Place::Replica(_) | Place::Address(_) => open,
        }
    }

    /// Has the replica that holds a link of a session end it that has ended. If it cannot be reached, it ends it in its
    /// own time.
    pub(crate) async fn end_elsewhere(
        &self,
        key: SessionKey,
        backend: BackendId,
        kept: &BackendRecord,
    ) {
        let (Some(channel), Place::Replica(holder)) = (self.channel(), &kept.place) else { return };
        let Some(link) = &kept.session_id else { return };
        let Ok(Whereabouts::At(address)) = self.whereabouts(holder).await else { return };
        let ending = Ending { key, backend, link: link.clone() };
        let peer = Peer { name: holder.to_string(), address, epoch: 0 };
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                sleep(AGAIN).await;
            }
            let request = Request { path: asked::END.to_owned(), head: ending.written() };
            let ended = match channel.peers.ask(&peer, request).await {
                Ok(frames) => frames.only().await.map(|_empty| ()),
                Err(error) => Err(error),
            };
            match ended {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(%error, holder, "a link that another replica holds could not be ended");
                }
            }
        }
    }

    async fn whereabouts(&self, holder: &str) -> Result<Whereabouts, Error> {
        let announced = self.store.replica(holder.to_owned(), self.clock.now()).await;
        let announced = announced.map_err(|error| Error::Unavailable(error.to_string()))?;
        let Some(announced) = announced else { return Ok(Whereabouts::Dead) };
        let address = announced.address.and_then(|address| address.parse().ok());
        Ok(address.map_or(Whereabouts::Elsewhere, Whereabouts::At))
    }
}

impl Far {
    async fn carried(
        &self,
        request: Bytes,
        is_call: bool,
    ) -> Result<Box<dyn vmcp_backend::Frames>, Error> {
        let Some(channel) = self.shared.channel() else { return Err(elsewhere()) };
        let head = Errand {
            session: Arc::clone(&self.session),
            principal: self.principal.clone(),
            backend: self.backend.clone(),
            version: self.kept.version,
            link: self.kept.session_id.clone().unwrap_or_default(),
            request,
        }
        .written();
        let mut verdict = Verdict::default();
        loop {
            let asked = match self.peer().await? {
                Some(peer) => {
                    let request = Request { path: LINK.to_owned(), head: head.clone() };
                    first_of(channel.peers.ask(&peer, request).await).await.map_err(Some)
                }
                None => Err(None),
            };
            let error = match asked {
                Ok((first, frames)) => {
                    self.is_back().await;
                    let (frames, told) = (Mutex::new(frames), self.told(is_call));
                    return Ok(Box::new(FarFrames { first, frames, told }));
                }
                Err(error) => error,
            };
            match error {
                None | Some(PeerError::Unreachable(_)) if is_call => {
                    self.wait(&mut verdict).await?;
                }
                None => return Err(held(UNREACHABLE, false)),
                Some(PeerError::Refused(refusal)) if is_call && refusal.code == ENDING => {
                    // What it holds ends with it, whatever is waited for.
                    if self.was_told().await {
                        return Err(Error::SessionLost);
                    }
                    return Err(held("is about to end", false));
                }
                Some(PeerError::Gone(_)) => {
                    if let Some(told) = self.told(is_call) {
                        told.note().await;
                    }
                    return Err(held(GONE_AWAY, true));
                }
                Some(error) => return Err(failed(error)),
            }
        }
    }

    /// The holder, as it can be asked. `None` if it is dead.
    async fn peer(&self) -> Result<Option<Peer>, Error> {
        let address = match self.address.get() {
            Some(address) => *address,
            None => match self.shared.whereabouts(&self.holder).await? {
                Whereabouts::At(address) => *self.address.get_or_init(|| address),
                Whereabouts::Elsewhere => return Err(elsewhere()),
                Whereabouts::Dead => return Ok(None),
            },
        };
        Ok(Some(Peer { name: self.holder.to_string(), address, epoch: 0 }))
    }

    /// Decides what becomes of a call that cannot be sent. The first is answered with that, on whichever replica; the
    /// next ones wait until it is known whether the holder is gone for good. `Ok` says that it may be tried again.
    async fn wait(&self, verdict: &mut Verdict) -> Result<(), Error> {
        let began = match verdict.began {
            Some(began) => began,
            None if self.was_told().await => *verdict.began.insert(Instant::now()),
            None => return Err(held(UNREACHABLE, false)),
        };
        // Somebody else may have begun it anew by now.
        if matches!(self.shared.whereabouts(&self.holder).await?, Whereabouts::Dead) {
            if verdict.silent.get_or_insert_with(Instant::now).elapsed() >= SILENT {
                return Err(Error::SessionLost);
            }
        } else {
            verdict.silent = None;
        }
        if began.elapsed() >= VERDICT {
            return Err(held(UNREACHABLE, false));
        }
        sleep(LOOK).await;
        Ok(())
    }

    /// Whether the client was told before that something is wrong with the holder. From now on it was.
    async fn was_told(&self) -> bool {
        let told = Told::of(self);
        let was_told = timeout(NOTING, self.shared.store.answer(self.key, told.mark)).await;
        told.note().await;
        matches!(was_told, Ok(Ok(true)))
    }

    /// The holder answers: whoever finds it gone the next time is to tell again.
    async fn is_back(&self) {
        if self.has_told.swap(false, Ordering::Relaxed) {
            let mark = Told::of(self).mark;
            let _late = timeout(NOTING, self.shared.store.answer(self.key, mark)).await;
        }
    }

    /// Notes that the client was told, where it is one who waits.
    fn told(&self, is_call: bool) -> Option<Told> {
        is_call.then(|| Told::of(self))
    }
}

/// What is known while a call waits for a holder.
#[derive(Debug, Default)]
struct Verdict {
    began: Option<Instant>,
    /// Since when the holder has not said that it lives.
    silent: Option<Instant>,
}

/// What notes in the record of a session that its client was told of the loss of a holder.
struct Told {
    shared: Arc<Shared>,
    key: SessionKey,
    mark: Digest,
    has_told: Arc<AtomicBool>,
}

impl Told {
    fn of(far: &Far) -> Self {
        let link = far.kept.session_id.as_deref().unwrap_or_default();
        let parts = [b"vmcp told".as_slice(), far.backend.as_str().as_bytes(), link.as_bytes()];
        let (mark, has_told) = (Digest::of_parts(parts), Arc::clone(&far.has_told));
        Self { shared: Arc::clone(&far.shared), key: far.key, mark, has_told }
    }

    /// If it cannot be noted, the client is told again.
    async fn note(&self) {
        self.has_told.store(true, Ordering::Relaxed);
        match timeout(NOTING, self.shared.store.ask(self.key, self.mark)).await {
            Ok(Ok(_noted)) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, "could not note that a client was told of a lost replica")
            }
            Err(_elapsed) => {
                tracing::debug!("could not note in time that a client was told of a lost replica")
            }
        }
    }
}

impl Carrier for Far {
    fn carry(&self, request: Bytes, is_call: bool) -> Later<'_, Box<dyn vmcp_backend::Frames>> {
        Box::pin(self.carried(request, is_call))
    }

    fn holder(&self) -> &str {
        &self.holder
    }
}

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Far")
            .field("backend", &self.backend)
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}

/// Frames from another replica.
struct FarFrames {
    /// What has come already.
    first: Option<Bytes>,
    /// Nobody ever waits for it: it is there so that frames can be looked at from several threads.
    frames: Mutex<Frames>,
    /// Of a call of a client.
    told: Option<Told>,
}

impl vmcp_backend::Frames for FarFrames {
    fn next(&mut self) -> Later<'_, Option<Bytes>> {
        Box::pin(async move {
            if let Some(first) = self.first.take() {
                return Ok(Some(first));
            }
            let frames = self.frames.get_mut().unwrap_or_else(PoisonError::into_inner);
            match frames.next().await {
                Ok(frame) => Ok(frame),
                Err(PeerError::Gone(_)) => {
                    if let Some(told) = &self.told {
                        told.note().await;
                    }
                    Err(held(GONE_AWAY, true))
                }
                // It has begun, and was cut off.
                Err(PeerError::Refused(refusal)) if refusal.code == ENDING => {
                    Err(held("ended before the answer", true))
                }
                Err(error) => Err(failed(error)),
            }
        })
    }
}

impl fmt::Debug for FarFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FarFrames")
    }
}

/// The first frame of an answer, and the others. A holder that says no says it in its place.
async fn first_of(asked: Result<Frames, PeerError>) -> Result<(Option<Bytes>, Frames), PeerError> {
    let mut frames = asked?;
    let first = frames.next().await?;
    Ok((first, frames))
}

const UNREACHABLE: &str = "cannot be reached";
const GONE_AWAY: &str = "went away before the answer";

fn held(why: impl Into<Cow<'static, str>>, in_call: bool) -> Error {
    Error::Held { why: why.into(), in_call }
}

/// What is told of a link that cannot be reached from here.
pub(crate) fn elsewhere() -> Error {
    held("this one has no channel to (peer.listen); send the session's requests to that one", false)
}

/// What it says of a link that the channel to its holder failed.
fn failed(error: PeerError) -> Error {
    match error {
        PeerError::Refused(refusal) if refusal.code == NOT_HELD => Error::SessionLost,
        PeerError::Refused(refusal) if refusal.code == GONE => Error::Ended,
        PeerError::Unreachable(_) => held(UNREACHABLE, false),
        PeerError::Gone(_) => held(GONE_AWAY, true),
        error => {
            let in_call = !error.is_not_carried_out() && !matches!(error, PeerError::Refused(_));
            held(format!("could not be asked ({error})"), in_call)
        }
    }
}
