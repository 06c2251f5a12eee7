//! A name of a backend that leads to another server from now on, as a Service of Kubernetes that is pointed at other
//! pods: new connections lead there, and those that stand to the one before.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};
use vmcp_testkit::{client::Client, gateway::Gateway, peers, raw::Running};

use crate::{connect, serve};

const CLIENTS: usize = 8;

const MOVES: usize = 3;

const PAUSE: Duration = Duration::from_millis(2500);

/// Calls of each client between two moves, at least.
const BETWEEN: usize = 20;

/// One address in front of two servers.
struct Service {
    address: SocketAddr,
    leads_to: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

impl Service {
    async fn before(servers: [&Running; 2]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let servers = servers.map(Running::address);
        let leads_to = Arc::new(AtomicUsize::new(0));
        let chosen = Arc::clone(&leads_to);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let server = servers[chosen.load(Ordering::Relaxed)];
                connections.spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    // Either side may break off.
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self { address, leads_to, _tasks: tasks }
    }
}

/// Calls of all clients.
#[derive(Default)]
struct Calls {
    /// Of each client.
    made: Mutex<Vec<Arc<AtomicUsize>>>,
    stop: AtomicBool,
}

impl Calls {
    /// How many each client has made.
    fn made(&self) -> Vec<usize> {
        let made = self.made.lock().unwrap();
        made.iter().map(|made| made.load(Ordering::Relaxed)).collect()
    }

    /// Waits until each client has made so many more.
    async fn go_on(&self, more: usize) {
        let before = self.made();
        let goes_on = |(now, before): (&usize, &usize)| *now >= before + more;
        while !self.made().iter().zip(&before).all(goes_on) {
            sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Calls until told to stop, and says what went wrong.
async fn calling(client: Client, calls: Arc<Calls>) -> Vec<String> {
    let (mut wrong, made) = (Vec::new(), Arc::<AtomicUsize>::default());
    calls.made.lock().unwrap().push(Arc::clone(&made));
    while !calls.stop.load(Ordering::Relaxed) {
        made.fetch_add(1, Ordering::Relaxed);
        let answer = client.call("1", "a_count", "{}").await.unwrap();
        if let Ok(why) = answer.error() {
            wrong.push(why.to_owned());
        }
    }
    wrong
}

#[tokio::test]
async fn no_call_fails_when_a_backends_name_leads_elsewhere() {
    let [one, other] = [peers::stateful(), peers::stateful()].map(|peer| peer.start());
    let (one, other) = tokio::join!(one, other);
    let (one, other) = (one.unwrap(), other.unwrap());
    let service = Service::before([&one, &other]).await;
    let url = format!("http://{}/mcp", service.address);
    let process = serve(&Gateway::before(&[("a", url)])).await;
    let calls = Arc::new(Calls::default());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(calling(connect(&process).await, Arc::clone(&calls)));
    }
    for turn in 1..=MOVES {
        // No call is to meet two moves, and vmcp leaves its connections once a second at most.
        tokio::join!(calls.go_on(BETWEEN), sleep(PAUSE));
        service.leads_to.store(turn % 2, Ordering::Relaxed);
        // More calls at once need more connections.
        for _ in 0..2 {
            clients.spawn(calling(connect(&process).await, Arc::clone(&calls)));
        }
    }
    calls.go_on(BETWEEN).await;
    calls.stop.store(true, Ordering::Relaxed);
    let wrong = clients.join_all().await.concat();
    let made: usize = calls.made().iter().sum();
    assert!(wrong.is_empty(), "{} of {made}: {wrong:?}", wrong.len());
    assert!(other.counters().calls("count") > 0, "nothing has moved");
}
