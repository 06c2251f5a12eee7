//! Replicas for tests: each with a listener of its own and a handler that does what it is asked.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vmcp_keys::KeyRing;
use vmcp_peer::{
    Asker, Error, Frames, Peer, Peers, Refusal, Request, Serve, Served, Settings, Traffic,
    Unreachable,
};

/// How long is waited for what must come: the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A ring that can be changed while it is in use.
pub(crate) type Ring = Arc<Mutex<Option<Arc<KeyRing>>>>;

pub(crate) fn ring(secrets: &[u8]) -> Ring {
    let ring = KeyRing::of(secrets.iter().map(|secret| [*secret; 32]));
    Arc::new(Mutex::new(ring.map(Arc::new)))
}

/// A replica at work. Everything of it ends with it.
pub(crate) struct Node {
    pub(crate) peers: Arc<Peers>,
    pub(crate) handler: Arc<Handler>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    name: String,
    epoch: u64,
}

/// What the handler has done.
#[derive(Debug, Default)]
pub(crate) struct Handler {
    /// Requests that it has begun with.
    pub(crate) begun: AtomicUsize,
    /// Those that were taken back, or lost, before they had been answered to the end.
    pub(crate) dropped: Arc<AtomicUsize>,
    /// Frames that found room.
    pub(crate) sent: Arc<AtomicUsize>,
    pub(crate) askers: Mutex<Vec<Asker>>,
    /// What goes on when an answer has begun. It ends with its runtime.
    producing: TaskTracker,
    /// What it has begun with that was asked for by a name of its own.
    pub(crate) named: Mutex<Vec<String>>,
}

impl Node {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, &ring(&[1]), |_settings| {})
    }

    pub(crate) fn with(name: &str, ring: &Ring, change: impl FnOnce(&mut Settings)) -> Self {
        Self::on(Ipv4Addr::LOCALHOST, name, ring, change)
    }

    pub(crate) fn on(
        address: Ipv4Addr,
        name: &str,
        ring: &Ring,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = Settings::new(name, 1, vec![b"0".to_vec(), b"vmcp:".to_vec()]);
        change(&mut settings);
        let listener = TcpListener::bind((address, 0)).unwrap();
        let (name, epoch) = (settings.name.clone(), settings.epoch);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let handler: Arc<Handler> = Arc::default();
        let serve: Arc<dyn Serve> = Arc::<Handler>::clone(&handler);
        let ring = Arc::clone(ring);
        let keys = Arc::new(move || ring.lock().unwrap().clone());
        let peers = Peers::start(settings, listener, keys, serve, &tasks, &stop).unwrap();
        Self { peers, handler, tasks, stop, name, epoch }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.peers.address()
    }

    /// How others ask it.
    pub(crate) fn peer(&self) -> Peer {
        self.at(self.address())
    }

    /// How others ask it by way of another address.
    pub(crate) fn at(&self, address: SocketAddr) -> Peer {
        Peer { name: self.name.clone(), address, epoch: self.epoch }
    }

    /// Asks, again if the machine is too busy for the time in which a peer must be reached.
    pub(crate) async fn reach(&self, peer: &Peer, request: Request) -> Result<Frames, Error> {
        loop {
            match self.peers.ask(peer, request.clone()).await {
                Err(Error::Unreachable(Unreachable::Slow(_))) => {}
                asked => return asked,
            }
        }
    }

    pub(crate) async fn ask(
        &self,
        other: &Self,
        path: &str,
        head: impl Into<Bytes>,
    ) -> Result<Frames, Error> {
        self.reach(&other.peer(), request(path, head)).await
    }

    /// Asks for one frame.
    pub(crate) async fn echo(&self, other: &Peer) -> Result<Bytes, Error> {
        self.reach(other, request("echo", "hello")).await?.only().await
    }

    /// The same, once.
    pub(crate) async fn try_echo(&self, other: &Peer) -> Result<Bytes, Error> {
        self.peers.ask(other, request("echo", "hello")).await?.only().await
    }

    pub(crate) fn begun(&self) -> usize {
        self.handler.begun.load(Ordering::SeqCst)
    }

    pub(crate) fn dropped(&self) -> usize {
        self.handler.dropped.load(Ordering::SeqCst)
    }

    pub(crate) fn sent(&self) -> usize {
        self.handler.sent.load(Ordering::SeqCst)
    }

    pub(crate) fn traffic(&self) -> Traffic {
        self.peers.traffic()
    }

    /// How many connections were not taken for a reason.
    pub(crate) fn refused(&self, reason: &str) -> u64 {
        count(&self.traffic().refused, reason)
    }

    /// Waits until so many connections were not taken for one of these reasons. Whoever dialled knows it a moment
    /// earlier.
    #[track_caller]
    pub(crate) fn until_refused(
        &self,
        reasons: &[&str],
        expected: u64,
    ) -> impl Future<Output = ()> {
        eventually("so many were refused", move || {
            reasons.iter().map(|reason| self.refused(reason)).sum::<u64>() == expected
        })
    }

    pub(crate) fn failed(&self, reason: &str) -> u64 {
        count(&self.traffic().failed, reason)
    }
}

fn count(counts: &[(&str, u64)], reason: &str) -> u64 {
    counts.iter().find(|(name, _)| *name == reason).expect("it is one of the reasons").1
}

pub(crate) fn request(path: &str, head: impl Into<Bytes>) -> Request {
    Request { path: path.to_owned(), head: head.into() }
}

/// Waits until something is so.
#[track_caller]
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let wait = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{caller}: {what}");
    }
}

/// Counts that it was dropped, unless its work was done.
struct Working(Option<Arc<AtomicUsize>>);

impl Working {
    /// It is done, or goes on elsewhere.
    fn end(&mut self) {
        self.0 = None;
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        if let Some(dropped) = &self.0 {
            dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl Serve for Handler {
    fn serve(&self, asker: &Asker, request: Request) -> Served {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.askers.lock().unwrap().push(asker.clone());
        if request.path.starts_with("named/") {
            self.named.lock().unwrap().push(request.path.clone());
        }
        let mut working = Working(Some(Arc::clone(&self.dropped)));
        let (sent, tasks) = (Arc::clone(&self.sent), self.producing.clone());
        Box::pin(async move {
            let number = || std::str::from_utf8(&request.head).unwrap().parse::<usize>().unwrap();
            let answered = match &*request.path {
                "waits" => Ok(waits(&tasks, &mut working)),
                "endless" => Ok(endless(number(), sent, &tasks, &mut working)),
                "lengths" => Ok(lengths(&tasks)),
                "counts" => Ok(counts(number(), &tasks)),
                "bytes" => Ok(Frames::one(vec![7; number()])),
                "never" => std::future::pending().await,
                "panic" => panic!("as it was asked"),
                _ => small(request).await,
            };
            working.end();
            answered
        })
    }
}

/// Short answers of each kind.
async fn small(request: Request) -> Result<Frames, Refusal> {
    let (sender, frames) = Frames::channel();
    match &*request.path {
        "echo" => return Ok(Frames::one(request.head)),
        "refuse" => return Err(Refusal::new(404, "there is nothing like it")),
        "late" => {
            sender.send("first").await.unwrap();
            sender.refuse(Refusal::new(409, "not the rest"));
        }
        "cut" => {
            sender.send("first").await.unwrap();
            drop(sender);
        }
        path if path.starts_with("named/") => return Ok(Frames::one(request.head)),
        path => return Err(Refusal::new(400, format!("{path} is not known"))),
    }
    Ok(frames)
}

/// The lengths of the frames that `lengths` answers.
pub(crate) const LENGTHS: [usize; 9] =
    [0, 1, 1023, 1024, 1025, 16 << 10, (16 << 10) + 1, 200_000, 3 << 20];

/// Frames of many lengths, each full of the byte that its number is.
fn lengths(tasks: &TaskTracker) -> Frames {
    let (sender, frames) = Frames::channel();
    tasks.spawn(async move {
        for (byte, length) in (0..).zip(LENGTHS) {
            sender.send(vec![byte; length]).await.unwrap();
        }
        sender.finish();
    });
    frames
}

/// So many frames, which say their numbers.
fn counts(count: usize, tasks: &TaskTracker) -> Frames {
    let (sender, frames) = Frames::channel();
    tasks.spawn(async move {
        for number in 0..count {
            sender.send(number.to_string()).await.unwrap();
        }
        sender.finish();
    });
    frames
}

/// A first frame, and nothing until the reader has gone.
fn waits(tasks: &TaskTracker, working: &mut Working) -> Frames {
    let (sender, frames) = Frames::channel();
    let working = Working(working.0.take());
    tasks.spawn(async move {
        let _working = working;
        sender.send("first").await.unwrap();
        sender.closed().await;
    });
    frames
}

/// Frames of so many bytes, for as long as they are read.
fn endless(
    bytes: usize,
    sent: Arc<AtomicUsize>,
    tasks: &TaskTracker,
    working: &mut Working,
) -> Frames {
    let (sender, frames) = Frames::channel();
    let working = Working(working.0.take());
    let frame = Bytes::from(vec![5; bytes]);
    tasks.spawn(async move {
        let _working = working;
        while sender.send(frame.clone()).await.is_ok() {
            sent.fetch_add(1, Ordering::SeqCst);
        }
    });
    frames
}
