//! A replica's end of the channel: it listens, and asks.

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::Arc,
};

use tokio::{net::TcpListener, runtime::Handle, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    accept::accept,
    ask,
    error::Error,
    frames::Frames,
    hello::Named,
    links::Links,
    names::{Peer, Request, Serve, is_name},
    quiet::Quiet,
    room::Room,
    settings::{HANDSHAKES, HEADS_BYTES, Settings, WAITING},
    taken::AllTaken,
    tls::{Keys, Tls},
    traffic::{Counters, RefusedFor, Traffic},
};

/// A replica among its peers.
#[derive(Debug)]
pub struct Peers {
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// What the parts of one end share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) tls: Tls,
    pub(crate) serve: Arc<dyn Serve>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) links: Links,
    pub(crate) taken: Arc<AllTaken>,
    /// Strangers who have not said what TLS begins with.
    pub(crate) waiting: Arc<Room>,
    /// Those who have, and whose handshake is at work.
    pub(crate) handshakes: Arc<Room>,
    /// Places for streams, of those that are asked here and of those that are asked of others.
    pub(crate) serving: Arc<Semaphore>,
    pub(crate) asking: Arc<Semaphore>,
    /// Room for large heads that are not whole yet.
    pub(crate) heads: Arc<Semaphore>,
    tasks: TaskTracker,
    /// Where its tasks run, whoever asks.
    runtime: Handle,
    pub(crate) stop: CancellationToken,
    refused: Quiet,
}

impl Peers {
    /// Starts to take connections on a listener, on the current runtime. All of it is done there, whoever asks.
    ///
    /// Once `stop` is cancelled no connection and no stream is taken, and nothing is asked; what is open goes on
    /// until it ends by itself. All tasks are counted by `tasks`; whoever waits for them sets the deadline.
    ///
    /// Fails if the listener cannot be used, or if the name of the replica is none.
    pub fn start(
        settings: Settings,
        listener: StdListener,
        keys: Keys,
        serve: Arc<dyn Serve>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> io::Result<Arc<Self>> {
        if !is_name(&settings.name) {
            let told = "the name of a replica is 1 to 128 letters, digits and signs of ASCII";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
        }
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            tls: Tls::new(keys, settings.scope.clone()),
            serve,
            counters: Arc::default(),
            links: Links::default(),
            taken: Arc::default(),
            waiting: Room::new(WAITING),
            handshakes: Room::new(HANDSHAKES),
            serving: Arc::new(Semaphore::new(settings.streams_in_all)),
            asking: Arc::new(Semaphore::new(settings.streams_in_all)),
            heads: Arc::new(Semaphore::new(HEADS_BYTES)),
            tasks: tasks.clone(),
            runtime: Handle::current(),
            stop: stop.clone(),
            refused: Quiet::default(),
            settings,
        });
        shared.spawn(accept(listener, Arc::clone(&shared)));
        Ok(Arc::new(Self { shared, address }))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Asks a peer, and waits for the beginning of its answer: as long as it takes, if the peer is there. Dropping the
    /// future, or the frames, takes the request back.
    pub async fn ask(&self, peer: &Peer, request: Request) -> Result<Frames, Error> {
        self.shared.counters.note_asked();
        let asked = ask::ask(peer, request, &self.shared).await;
        if let Err(error) = &asked {
            self.shared.counters.note_failed(error);
        }
        asked
    }

    /// What has gone over the channel, and what stands.
    pub fn traffic(&self) -> Traffic {
        let mut connections = self.shared.links.status();
        connections.extend(self.shared.taken.status());
        self.shared.counters.traffic(connections)
    }
}

impl Shared {
    pub(crate) fn own_name(&self) -> Named {
        Named { name: self.settings.name.clone(), epoch: self.settings.epoch }
    }

    /// Spawns a task of this replica's own: it outlives whoever asks, and his runtime.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Counts a connection that is not taken, and says so now and then.
    pub(crate) fn refuse(&self, why: RefusedFor, address: SocketAddr, told: &str) {
        self.counters.note_refused(why);
        if let Some(untold) = self.refused.may_say() {
            let reason = why.name();
            tracing::warn!(%address, reason, told, untold, "a connection to the peer listener was refused");
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}
