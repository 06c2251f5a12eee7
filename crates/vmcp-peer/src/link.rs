//! A connection to a peer that was dialled: what is open on it, and the task that drives it.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping, PingPong,
    client::{Connection, SendRequest},
};
use tokio::{
    sync::{Notify, Semaphore},
    time::Instant,
};
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::{
    alive::{Alive, Next},
    error::{Error, Unreachable},
    goaway::{LastStream, Watched},
    names::Peer,
    peers::Shared,
    settings::{CLOSING, PING, SILENCE},
    socket::{Heard, Socket},
    traffic::Counters,
};

pub(crate) type H2 = Connection<Watched<TlsStream<Socket>>, Bytes>;

/// A connection that stands.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: Peer,
    limit: usize,
    frame_bytes: usize,
    assembly: Arc<Semaphore>,
    counters: Arc<Counters>,
    heard: Arc<Heard>,
    last: LastStream,
    uses: Mutex<Uses>,
    /// Wakes the driver: something was opened while it rested, or the last was closed while it waits for that.
    wake: Notify,
    /// Cancelled when the connection has ended.
    ended: CancellationToken,
    /// Why it has ended, where HTTP/2 does not know.
    why: OnceLock<&'static str>,
}

#[derive(Debug)]
struct Uses {
    /// Taken away when nothing may be sent any more.
    send: Option<SendRequest<Bytes>>,
    open: usize,
    /// When the last was closed.
    idle_since: Instant,
    /// The driver looks at nothing but the connection until it is woken.
    is_resting: bool,
    is_ending: bool,
}

/// A stream that is open on a connection, counted until dropped.
#[derive(Debug)]
pub(crate) struct InUse(Arc<Link>);

/// What stands in the way of a stream.
pub(crate) enum NoStream {
    /// The connection takes no more.
    Closing,
    Full,
}

impl Link {
    pub(crate) fn new(
        peer: Peer,
        send: SendRequest<Bytes>,
        heard: Arc<Heard>,
        last: LastStream,
        shared: &Shared,
    ) -> Arc<Self> {
        let begun = Instant::now();
        let settings = &shared.settings;
        Arc::new(Self {
            peer,
            limit: settings.streams as usize,
            frame_bytes: settings.frame_bytes,
            assembly: Arc::new(Semaphore::new(settings.assembly_bytes())),
            counters: Arc::clone(&shared.counters),
            heard,
            last,
            uses: Mutex::new(Uses {
                send: Some(send),
                open: 0,
                idle_since: begun,
                is_resting: true,
                is_ending: false,
            }),
            wake: Notify::new(),
            ended: CancellationToken::new(),
            why: OnceLock::new(),
        })
    }

    /// Opens a place for a stream, with what sends its request.
    pub(crate) fn open(self: &Arc<Self>) -> Result<(InUse, SendRequest<Bytes>), NoStream> {
        let mut uses = self.uses();
        if uses.is_ending || self.is_ended() || !uses.takes_streams() {
            return Err(NoStream::Closing);
        }
        let send = uses.send.clone().ok_or(NoStream::Closing)?;
        if uses.open >= self.limit.min(send.current_max_send_streams()) {
            return Err(NoStream::Full);
        }
        uses.open += 1;
        if std::mem::replace(&mut uses.is_resting, false) {
            self.wake.notify_one();
        }
        Ok((InUse(Arc::clone(self)), send))
    }

    /// Makes sure that the peer was heard a moment ago. The connection ends if it is not heard now.
    pub(crate) async fn confirm(&self) -> Result<(), Unreachable> {
        let now = Instant::now();
        if self.heard.last() + PING > now && !self.ended.is_cancelled() {
            return Ok(());
        }
        tokio::select! {
            () = self.heard.after(now) => Ok(()),
            () = self.ended.cancelled() => Err(Unreachable::Lost(self.told("it was closed"))),
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    /// Whether streams may be opened.
    pub(crate) fn is_open(&self) -> bool {
        let mut uses = self.uses();
        !self.is_ended() && !uses.is_ending && uses.takes_streams()
    }

    pub(crate) fn streams(&self) -> usize {
        self.uses().open
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    pub(crate) fn assembly(&self) -> Arc<Semaphore> {
        Arc::clone(&self.assembly)
    }

    /// Whether the other end has said that it has not looked at a stream.
    pub(crate) fn has_passed_over(&self, stream: u32) -> bool {
        self.last.is_before(stream)
    }

    /// What the loss of a stream is to who has sent its request.
    pub(crate) fn gone(&self, error: &h2::Error) -> Error {
        Error::Gone(self.told(&error.to_string()))
    }

    /// Why the connection has ended, if it has, or else what its user knows.
    pub(crate) fn told(&self, otherwise: &str) -> String {
        self.why.get().map_or_else(|| otherwise.to_owned(), |why| (*why).to_owned())
    }

    /// Opens no more streams; the connection ends with those that are open.
    pub(crate) fn retire(&self) {
        self.uses().is_ending = true;
        self.wake.notify_one();
    }

    /// When the driver is to look again, if nobody has opened anything by then. `None`: it is to end now.
    fn rest(&self, idle: Duration) -> Option<Instant> {
        let mut uses = self.uses();
        if uses.open > 0 {
            return Some(Instant::now());
        }
        let until = uses.idle_since + idle;
        if uses.is_ending || until <= Instant::now() {
            uses.send = None;
            return None;
        }
        uses.is_resting = true;
        Some(until)
    }

    fn uses(&self) -> MutexGuard<'_, Uses> {
        self.uses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Uses {
    /// Whether the other end takes streams, as far as is known; once it does not, it never will.
    fn takes_streams(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let is_closed = |send: &mut SendRequest<Bytes>| {
            matches!(send.poll_ready(&mut context), Poll::Ready(Err(_)))
        };
        if self.send.as_mut().is_some_and(is_closed) {
            self.send = None;
        }
        self.send.is_some()
    }
}

impl InUse {
    pub(crate) fn link(&self) -> &Link {
        &self.0
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let mut uses = self.0.uses();
        uses.open -= 1;
        if uses.open == 0 {
            uses.idle_since = Instant::now();
            if uses.is_ending {
                self.0.wake.notify_one();
            }
        }
    }
}

/// Drives a connection until it ends.
pub(crate) async fn drive(link: &Link, mut h2: H2, idle: Duration, stop: &CancellationToken) {
    // However this ends, also if it is dropped with its runtime.
    let _ended = link.ended.clone().drop_guard();
    let Some(mut pings) = h2.ping_pong() else { return };
    let mut alive = Alive::default();
    let mut alarm = pin!(tokio::time::sleep(Duration::ZERO));
    let mut is_stopping = false;
    loop {
        tokio::select! {
            ended = &mut h2 => {
                tracing::debug!(peer = %link.peer, ?ended, "a connection to a peer has ended");
                return;
            }
            () = link.wake.notified() => {}
            () = &mut alarm => {}
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                link.retire();
            }
        }
        let now = Instant::now();
        match alive.next(now, link.streams() > 0, link.heard.last()) {
            Next::Rest => match link.rest(idle) {
                Some(until) => alarm.as_mut().reset(until),
                None => break,
            },
            Next::Ask(until) => {
                ask(&mut pings);
                alarm.as_mut().reset(until);
            }
            Next::Wait(until) => alarm.as_mut().reset(until),
            Next::Gone => {
                let _known = link.why.set(SILENT);
                tracing::debug!(peer = %link.peer, "a peer gives no sign of life");
                return;
            }
        }
    }
    // Nothing is open and nothing can be: it says goodbye.
    if tokio::time::timeout(CLOSING, h2).await.is_err() {
        tracing::debug!(peer = %link.peer, "a peer takes no goodbye");
    }
}

/// What is said of a peer that is silent while something is open.
pub(crate) const SILENT: &str = "it gave no sign of life for 750 ms";
const _: () = assert!(SILENCE.as_millis() == 750, "the text says how long");

/// Asks for a sign of life, unless an answer is still to come.
pub(crate) fn ask(pings: &mut PingPong) {
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(Ok(_pong)) = pings.poll_pong(&mut context) {}
    let _is_under_way = pings.send_ping(Ping::opaque());
}
