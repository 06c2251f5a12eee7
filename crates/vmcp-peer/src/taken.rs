//! Connections that peers have opened.

use std::{
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{task::JoinSet, time::Instant};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::{
    alive::{Alive, Next},
    link,
    names::Asker,
    peers::Shared,
    served::Stream,
    settings::{CLOSING, CONNECTIONS_EACH, PIECE, QUEUE_BYTES, STREAM_WINDOW},
    socket::{Heard, Socket},
    traffic::{ConnectionStatus, Direction, State},
};

type H2 = h2::server::Connection<TlsStream<Socket>, Bytes>;

/// The connections that were taken, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct AllTaken(Mutex<Vec<Arc<Taken>>>);

/// A connection whose dialler has said its name.
#[derive(Debug)]
pub(crate) struct Taken {
    asker: Asker,
    address: SocketAddr,
    since: Instant,
    streams: AtomicUsize,
    /// Cancelled when another one takes its place.
    replaced: CancellationToken,
}

/// A connection in the table, until dropped.
#[derive(Debug)]
pub(crate) struct Entered {
    all: Arc<AllTaken>,
    taken: Arc<Taken>,
}

impl AllTaken {
    /// Enters a connection; `None` if there are as many as there may be. Of one peer the oldest makes room.
    pub(crate) fn enter(
        self: &Arc<Self>,
        asker: Asker,
        address: SocketAddr,
        connections: usize,
    ) -> Option<Entered> {
        let mut all = self.all();
        let of_peer: Vec<usize> =
            (0..all.len()).filter(|at| all[*at].asker.name == asker.name).collect();
        if of_peer.len() >= CONNECTIONS_EACH {
            all.remove(of_peer[0]).replaced.cancel();
        } else if all.len() >= connections {
            return None;
        }
        let taken = Arc::new(Taken {
            asker,
            address,
            since: Instant::now(),
            streams: AtomicUsize::new(0),
            replaced: CancellationToken::new(),
        });
        all.push(Arc::clone(&taken));
        Some(Entered { all: Arc::clone(self), taken })
    }

    pub(crate) fn count(&self) -> usize {
        self.all().len()
    }

    /// What stands.
    pub(crate) fn status(&self) -> Vec<ConnectionStatus> {
        self.all().iter().map(|taken| taken.status()).collect()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Taken>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.all.all().retain(|other| !Arc::ptr_eq(other, &self.taken));
    }
}

impl Taken {
    fn status(&self) -> ConnectionStatus {
        ConnectionStatus {
            name: self.asker.name.to_string(),
            epoch: self.asker.epoch,
            address: self.address,
            direction: Direction::Taken,
            state: State::Open,
            streams: self.streams.load(Ordering::Relaxed),
            age: self.since.elapsed(),
        }
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    tls: TlsStream<Socket>,
    heard: Arc<Heard>,
    entered: &Entered,
    shared: &Arc<Shared>,
) {
    let taken = &*entered.taken;
    let ended = taken.replaced.run_until_cancelled(run(tls, &heard, taken, shared)).await;
    match ended {
        Some(Ok(())) => {
            tracing::debug!(peer = %taken.asker.name, "a peer has ended its connection")
        }
        Some(Err(why)) => {
            tracing::debug!(peer = %taken.asker.name, why, "a peer's connection ended")
        }
        None => tracing::debug!(peer = %taken.asker.name, "a peer has dialled anew"),
    }
}

async fn run(
    tls: TlsStream<Socket>,
    heard: &Heard,
    taken: &Taken,
    shared: &Arc<Shared>,
) -> Result<(), String> {
    let settings = &shared.settings;
    let handshake = h2::server::Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(settings.connection_window())
        .max_concurrent_streams(settings.streams)
        .max_frame_size(PIECE)
        .max_send_buffer_size(QUEUE_BYTES)
        // Askers may take back all that they have asked, at once.
        .max_concurrent_reset_streams(settings.streams as usize)
        .max_pending_accept_reset_streams(settings.streams as usize)
        .max_local_error_reset_streams(None)
        .handshake(tls);
    let h2 = tokio::time::timeout(CLOSING, handshake).await.map_err(|error| error.to_string())?;
    let mut connection = Connection {
        h2: h2.map_err(|error| error.to_string())?,
        streams: JoinSet::new(),
        is_closing: false,
        taken,
        shared,
    };
    connection.run(heard).await
}

/// A connection at work. Its streams end with it.
struct Connection<'a> {
    h2: H2,
    streams: JoinSet<()>,
    /// No more streams are taken.
    is_closing: bool,
    taken: &'a Taken,
    shared: &'a Arc<Shared>,
}

impl Connection<'_> {
    async fn run(&mut self, heard: &Heard) -> Result<(), String> {
        let mut pings = self.h2.ping_pong().ok_or("the connection has no pings")?;
        let mut alive = Alive::default();
        let mut alarm = pin!(tokio::time::sleep(Duration::ZERO));
        // Whoever dials closes it first, in order.
        let idle = self.shared.settings.idle * 2;
        let (mut idle_since, mut is_resting) = (Instant::now(), false);
        loop {
            tokio::select! {
                accepted = poll_fn(|context| self.h2.poll_accept(context)) => match accepted {
                    None => return Ok(()),
                    Some(Err(error)) => return Err(error.to_string()),
                    Some(Ok((request, respond))) => {
                        self.begin(request, respond);
                        if !is_resting {
                            continue;
                        }
                    }
                },
                Some(ended) = self.streams.join_next() => {
                    self.note(&ended);
                    idle_since = Instant::now();
                    continue;
                }
                () = &mut alarm => {}
                () = self.shared.stop.cancelled(), if !self.is_closing => self.close(),
            }
            let is_in_use = self.is_closing || !self.streams.is_empty();
            is_resting = false;
            match alive.next(Instant::now(), is_in_use, heard.last()) {
                Next::Rest => {
                    is_resting = true;
                    if idle_since.elapsed() >= idle {
                        self.close();
                    }
                    alarm.as_mut().reset(idle_since + idle);
                }
                Next::Ask(until) => {
                    link::ask(&mut pings);
                    alarm.as_mut().reset(until);
                }
                Next::Wait(until) => alarm.as_mut().reset(until),
                Next::Gone => return Err(link::SILENT.to_owned()),
            }
        }
    }

    /// Begins to answer a request.
    fn begin(
        &mut self,
        request: http::Request<h2::RecvStream>,
        respond: h2::server::SendResponse<Bytes>,
    ) {
        let (asker, shared) = (self.taken.asker.clone(), Arc::clone(self.shared));
        self.streams.spawn(Stream { respond, asker, shared }.serve(request));
        self.taken.streams.store(self.streams.len(), Ordering::Relaxed);
    }

    fn note(&self, ended: &Result<(), tokio::task::JoinError>) {
        self.taken.streams.store(self.streams.len(), Ordering::Relaxed);
        if let Err(error) = ended
            && error.is_panic()
        {
            let peer = &self.taken.asker.name;
            tracing::error!(%peer, %error, "what answers a peer ended by a panic");
        }
    }

    /// Takes no more streams.
    fn close(&mut self) {
        if !std::mem::replace(&mut self.is_closing, true) {
            self.h2.graceful_shutdown();
        }
    }
}
