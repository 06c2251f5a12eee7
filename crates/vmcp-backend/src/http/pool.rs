//! The connections to one backend, shared by all sessions, kept apart by worker.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response};
use http_body_util::Full;
use hyper::client::conn::http2::SendRequest;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::{
    body::Source,
    connect::Connector,
    connection::{Connection, Failure},
    received::Received,
    request::Request,
};
use crate::{error::Error, gauge::Permit, stats::Connections as Counts, worker};

/// How long a connection may be idle if its backend does not say.
const IDLE: Duration = Duration::from_secs(30);

/// Idle connections that one worker keeps to one backend.
const MAX_IDLE: usize = 512;

/// Streams that are opened on one connection of HTTP/2. Servers mostly allow 100: one more than
/// allowed would wait, and so would everything behind it on the same connection.
pub(super) const MAX_STREAMS: u32 = 64;

/// Requests on one connection of HTTP/2 that are given up one after the other without an answer to any
/// in between, each after so long, before no more are sent over it. It may be the connection that does
/// not go on: its peer may give it no room for what is sent (RFC 9113, section 5.2).
const UNANSWERED: u32 = 4;
const LONG: Duration = Duration::from_secs(1);

/// How often all connections may be left: of a server that is gone, each session is found lost by itself, and some
/// servers end sessions all the time.
const ONCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Pool {
    connector: Connector,
    connect_timeout: Duration,
    /// Counts the tasks that drive connections of HTTP/2.
    tasks: TaskTracker,
    /// One for each worker, and one for everybody else.
    shards: Box<[Shard]>,
    /// Whether the last connection speaks HTTP/2, so that the next is shared too.
    shares: AtomicBool,
    /// When all connections were left last.
    left: Mutex<Option<Instant>>,
}

#[derive(Debug, Default)]
struct Shard {
    connections: Mutex<Connections>,
    /// Held to open a connection that others wait to share.
    connecting: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Connections {
    /// The most recently used last.
    idle: Vec<Idle>,
    /// The oldest first.
    shared: Vec<Shared>,
    /// How often all were left.
    generation: u64,
}

/// A connection of HTTP/1.1 that nobody uses.
#[derive(Debug)]
struct Idle {
    connection: Connection,
    until: Instant,
}

/// A connection of HTTP/2, which many requests use at once.
#[derive(Debug)]
struct Shared {
    sender: SendRequest<Full<Bytes>>,
    streams: Arc<Mutex<Streams>>,
}

/// The streams of a connection.
#[derive(Debug)]
struct Streams {
    open: usize,
    /// When the last of them ended.
    idle_since: Instant,
    /// How many were given up since one was answered.
    unanswered: u32,
    /// Counts the connection for as long as it or one of them is there.
    _counted: Permit,
}

/// One open stream; given back when dropped.
#[derive(Debug)]
pub(super) struct Stream {
    all: Arc<Mutex<Streams>>,
    opened: Instant,
    answered: bool,
}

/// A new connection.
#[derive(Debug)]
pub(super) enum Sender {
    Http1(Connection),
    Http2(SendRequest<Full<Bytes>>, Permit),
}

/// A connection that one request may use.
#[derive(Debug)]
enum Taken {
    Http1(Connection),
    Http2(SendRequest<Full<Bytes>>, Stream),
}

/// The place of a connection of HTTP/1.1 that is in use. A connection that is not given back is
/// closed.
#[derive(Debug)]
pub(super) struct Lease {
    pool: Arc<Pool>,
    shard: usize,
    generation: u64,
    /// `None` if it cannot take another request.
    until: Option<Instant>,
}

impl Pool {
    pub(super) fn new(connector: Connector, connect_timeout: Duration, tasks: TaskTracker) -> Self {
        let shards = (0..=worker::MAX).map(|_index| Shard::default()).collect();
        Self {
            connector,
            connect_timeout,
            tasks,
            shards,
            shares: AtomicBool::new(false),
            left: Mutex::default(),
        }
    }

    /// Sends one request over an idle connection or a new one.
    ///
    /// A request that an idle connection handed back unsent, because the backend had closed it
    /// meanwhile, goes out again over another one.
    pub(super) async fn send(
        self: &Arc<Self>,
        request: &Request<'_>,
    ) -> Result<Response<Source>, Error> {
        let shard = worker::index();
        loop {
            let now = Instant::now();
            let (taken, generation) = self.take(shard, now);
            let (taken, new) = match taken {
                Some(taken) => (taken, false),
                None => self.connect_in_time(shard).await?,
            };
            let sent = match taken {
                Taken::Http1(connection) => {
                    self.send_over_http1((shard, generation), connection, now, request).await
                }
                Taken::Http2(sender, stream) => {
                    self.send_over_http2(shard, sender, stream, request).await
                }
            };
            match sent {
                Ok(response) => return Ok(response),
                Err(Failure::Unsent) if new => {
                    return Err(Error::Unreachable("closed a new connection at once".to_owned()));
                }
                Err(Failure::Unsent) => {}
                Err(Failure::Failed(error)) => return Err(error),
            }
        }
    }

    /// Closes what has been idle for too long, and what the backend has closed.
    pub(super) fn prune(&self) {
        let now = Instant::now();
        for index in 0..self.shards.len() {
            let mut connections = self.lock(index);
            connections.idle.retain_mut(|idle| idle.until > now && idle.connection.is_quiet());
            connections.shared.retain(|shared| shared.is_good(now));
        }
    }

    /// Sends nothing more over the connections that there are, as a session is lost: another server may be behind the
    /// same name now, and they lead to the one before.
    pub(super) fn leave_all(&self) {
        let now = Instant::now();
        // Held until all are left: whoever comes meanwhile goes on when they are.
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.is_some_and(|left| left + ONCE > now) {
            return;
        }
        *left = Some(now);
        for index in 0..self.shards.len() {
            let mut connections = self.lock(index);
            connections.idle.clear();
            connections.shared.clear();
            connections.generation += 1;
        }
    }

    /// How many connections are used, and how many are idle. They go on meanwhile.
    pub(super) fn counts(&self) -> Counts {
        let idle = (0..self.shards.len()).map(|index| self.lock(index).idle()).sum();
        Counts { used: self.connector.open().saturating_sub(idle), idle }
    }

    async fn connect_in_time(&self, shard: usize) -> Result<(Taken, bool), Error> {
        // Boxed, as it is rare and large: every call would carry room for it.
        let connecting = tokio::time::timeout(self.connect_timeout, Box::pin(self.connect(shard)));
        connecting
            .await
            .map_err(|_elapsed| {
                Error::Unreachable(format!("no connection within {:?}", self.connect_timeout))
            })?
            .map_err(Error::Unreachable)
    }

    /// Opens a connection, or finds that another call has opened one meanwhile that has room. Also
    /// says whether it is new.
    async fn connect(&self, shard: usize) -> Result<(Taken, bool), String> {
        let _turn = if self.shares.load(Ordering::Relaxed) {
            let turn = self.shards[shard].connecting.lock().await;
            if let Some(taken) = self.take(shard, Instant::now()).0 {
                return Ok((taken, false));
            }
            Some(turn)
        } else {
            None
        };
        let generation = self.lock(shard).generation;
        let sender = self.connector.connect(&self.tasks).await?;
        self.shares.store(matches!(sender, Sender::Http2(..)), Ordering::Relaxed);
        let (sender, counted) = match sender {
            Sender::Http1(connection) => return Ok((Taken::Http1(connection), true)),
            Sender::Http2(sender, counted) => (sender, counted),
        };
        let mut connections = self.lock(shard);
        // The first calls do not know that they could share, and each opens a connection.
        if let Some(taken) = connections.take_shared(Instant::now()) {
            return Ok((taken, false));
        }
        let shared = Shared { sender, streams: Arc::new(Mutex::new(Streams::new(counted))) };
        let taken = shared.open();
        // Nobody else is to use one that leads to the server before.
        if connections.generation == generation {
            connections.shared.push(shared);
        }
        Ok((taken, true))
    }

    /// One attempt on a connection that was taken, or asked for, at this time.
    async fn send_over_http1(
        self: &Arc<Self>,
        (shard, generation): (usize, u64),
        mut connection: Connection,
        taken_at: Instant,
        request: &Request<'_>,
    ) -> Result<Response<Source>, Failure> {
        let answered = connection.exchange(request.to_http1()).await?;
        let head = answered.head;
        // Counted from now, it would be a little longer, and the clock would be read once more.
        let until = answered.can_go_on.then(|| taken_at + keep_alive(head.response.headers()));
        let lease = Lease { pool: Arc::clone(self), shard, generation, until };
        let received = Received::new(connection, lease, head.length);
        Ok(head.response.map(|()| Source::Http1(received)))
    }

    /// One attempt on a connection that is shared.
    async fn send_over_http2(
        &self,
        shard: usize,
        mut sender: SendRequest<Full<Bytes>>,
        mut stream: Stream,
        request: &Request<'_>,
    ) -> Result<Response<Source>, Failure> {
        let mut error = match sender.try_send_request(request.to_http2()).await {
            Ok(response) => {
                stream.note_answered();
                return Ok(response.map(|incoming| Source::of_stream(incoming, stream)));
            }
            Err(error) => error,
        };
        // It may be about to close, as far as one can tell from here.
        let failed = |shared: &Shared| Arc::ptr_eq(&shared.streams, &stream.all);
        self.lock(shard).shared.retain(|shared| !failed(shared));
        match error.take_message() {
            Some(_unsent) => Err(Failure::Unsent),
            None => Err(Failure::Failed(Error::Broken(describe(&error.into_error())))),
        }
    }

    /// A connection that is still good and has room, if there is one, and its generation. One that is opened now is of
    /// the same.
    fn take(&self, shard: usize, now: Instant) -> (Option<Taken>, u64) {
        let mut connections = self.lock(shard);
        let taken = connections.take_shared(now).or_else(|| connections.take_idle(now));
        (taken, connections.generation)
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Connections> {
        self.shards[shard].connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connections {
    /// The oldest that has room, so that those that are not needed any more become idle.
    fn take_shared(&mut self, now: Instant) -> Option<Taken> {
        self.shared.retain(|shared| shared.is_good(now));
        self.shared
            .iter()
            .find(|shared| shared.streams().open < MAX_STREAMS as usize)
            .map(Shared::open)
    }

    /// How many nobody uses.
    fn idle(&self) -> usize {
        let idle = self.shared.iter().filter(|shared| shared.streams().open == 0);
        self.idle.len() + idle.count()
    }

    /// The most recently used.
    fn take_idle(&mut self, now: Instant) -> Option<Taken> {
        while let Some(Idle { mut connection, until }) = self.idle.pop() {
            if until > now && connection.is_quiet() {
                return Some(Taken::Http1(connection));
            }
        }
        None
    }
}

impl Shared {
    fn open(&self) -> Taken {
        self.streams().open += 1;
        let (all, opened) = (Arc::clone(&self.streams), Instant::now());
        Taken::Http2(self.sender.clone(), Stream { all, opened, answered: false })
    }

    fn is_good(&self, now: Instant) -> bool {
        let streams = self.streams();
        !self.sender.is_closed()
            && streams.unanswered < UNANSWERED
            && (streams.open > 0 || streams.idle_since + IDLE > now)
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Streams {
    fn new(counted: Permit) -> Self {
        Self { open: 0, idle_since: Instant::now(), unanswered: 0, _counted: counted }
    }
}

impl Stream {
    /// Notes that the backend has begun to answer.
    fn note_answered(&mut self) {
        self.answered = true;
        self.all().unanswered = 0;
    }

    fn all(&self) -> MutexGuard<'_, Streams> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let now = Instant::now();
        let given_up = !self.answered && self.opened + LONG <= now;
        let mut streams = self.all();
        streams.open -= 1;
        streams.idle_since = now;
        streams.unanswered += u32::from(given_up);
    }
}

impl Lease {
    /// Gives the connection back: its response has been read to the end.
    pub(super) fn give_back(self, mut connection: Connection) {
        // What has arrived behind the end answers nothing that was asked.
        let (Some(until), true) = (self.until, connection.arrived.is_empty()) else { return };
        connection.arrived = BytesMut::new();
        let mut connections = self.pool.lock(self.shard);
        if connections.generation == self.generation && connections.idle.len() < MAX_IDLE {
            connections.idle.push(Idle { connection, until });
        }
    }
}

/// How long the backend keeps an idle connection, a second less than it says (RFC 2068, section
/// 19.7.1.1, as servers still send it), so that it is not used just when the backend closes it.
fn keep_alive(headers: &HeaderMap) -> Duration {
    let hint = headers.get("keep-alive").and_then(|value| value.to_str().ok()).and_then(|value| {
        let timeout = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="));
        timeout.and_then(|timeout| timeout.trim().parse::<u64>().ok())
    });
    hint.map_or(IDLE, |seconds| Duration::from_secs(seconds.saturating_sub(1))).min(IDLE)
}

fn describe(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}
