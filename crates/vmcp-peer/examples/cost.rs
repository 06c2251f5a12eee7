//! What asking costs over a standing connection: microseconds of this process for both ends together.
//!
//!     cargo run --release -p vmcp-peer --example cost

#![expect(clippy::unwrap_used, reason = "a failure is the message")]
#![expect(clippy::print_stdout, reason = "the figures are the result")]

use std::{
    net::{Ipv4Addr, TcpListener},
    sync::Arc,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vmcp_keys::KeyRing;
use vmcp_peer::{Asker, Frames, Peer, Peers, Request, Serve, Served, Settings};

struct Echo;

impl Serve for Echo {
    fn serve(&self, _asker: &Asker, request: Request) -> Served {
        Box::pin(async move {
            match &*request.path {
                "echo" => Ok(Frames::one(request.head)),
                _ => Ok(Frames::one(vec![7; request.path.parse().unwrap_or(0)])),
            }
        })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let ring = Arc::new(KeyRing::generate());
    let start = |name: &str| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let ring = Arc::clone(&ring);
        let keys = Arc::new(move || Some(Arc::clone(&ring)));
        let settings = Settings::new(name, 1, Vec::new());
        Peers::start(settings, listener, keys, Arc::new(Echo), &tasks, &stop).unwrap()
    };
    let (one, other) = (start("one"), start("other"));
    let peer = Peer { name: "other".to_owned(), address: other.address(), epoch: 1 };
    measure("64 bytes, one after the other", &one, &peer, "echo", 64, 1, 20_000).await;
    measure("64 bytes, 32 at once", &one, &peer, "echo", 64, 32, 100_000).await;
    measure("a frame of 1 MiB, one after the other", &one, &peer, "1048576", 0, 1, 1_000).await;
    measure("a frame of 16 MiB, one after the other", &one, &peer, "16777216", 0, 1, 50).await;
}

async fn measure(
    what: &str,
    one: &Arc<Peers>,
    peer: &Peer,
    path: &str,
    head: usize,
    at_once: usize,
    count: usize,
) {
    let request = Request { path: path.to_owned(), head: vec![1; head].into() };
    one.ask(peer, request.clone()).await.unwrap().only().await.unwrap();
    let (begun, cpu) = (Instant::now(), cpu());
    let mut asking = JoinSet::new();
    for _ in 0..at_once {
        let (one, peer, request) = (Arc::clone(one), peer.clone(), request.clone());
        asking.spawn(async move {
            for _ in 0..count / at_once {
                one.ask(&peer, request.clone()).await.unwrap().only().await.unwrap();
            }
        });
    }
    asking.join_all().await;
    let each = |time: Duration| time.as_secs_f64() * 1e6 / (count as f64);
    println!("{what}: {:.1} us of CPU, {:.1} us", each(self::cpu() - cpu), each(begun.elapsed()));
}

/// What this process has used.
fn cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(used.tv_sec).unwrap(), u32::try_from(used.tv_nsec).unwrap())
}
