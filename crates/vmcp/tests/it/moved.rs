//! A name of a backend that leads to another server from now on, as a Service of Kubernetes that is pointed at other
//! pods: new connections lead there, and those that stand to the one before.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
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

const MOVES: usize = 10;

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

/// Calls until told to stop, and says what went wrong.
async fn calling(client: Client, stop: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let (mut calls, mut wrong) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        calls += 1;
        let answer = client.call("1", "a_count", "{}").await.unwrap();
        if let Ok(why) = answer.error() {
            wrong.push(why.to_owned());
        }
    }
    (calls, wrong)
}

#[tokio::test]
async fn no_call_fails_when_a_backends_name_leads_elsewhere() {
    let [one, other] = [peers::stateful(), peers::stateful()].map(|peer| peer.start());
    let (one, other) = tokio::join!(one, other);
    let (one, other) = (one.unwrap(), other.unwrap());
    let service = Service::before([&one, &other]).await;
    let url = format!("http://{}/mcp", service.address);
    let process = serve(&Gateway::before(&[("a", url)])).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(calling(connect(&process).await, Arc::clone(&stop)));
    }
    for turn in 1..=MOVES {
        sleep(Duration::from_millis(300)).await;
        service.leads_to.store(turn % 2, Ordering::Relaxed);
        // More calls at once need more connections.
        for _ in 0..2 {
            clients.spawn(calling(connect(&process).await, Arc::clone(&stop)));
        }
    }
    sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::Relaxed);
    let (calls, wrong): (Vec<_>, Vec<_>) = clients.join_all().await.into_iter().unzip();
    let (calls, wrong) = (calls.iter().sum::<usize>(), wrong.concat());
    assert!(wrong.is_empty(), "{} of {calls}: {wrong:?}", wrong.len());
    assert!(other.counters().calls("count") > 0 && calls > CLIENTS * MOVES, "{calls}");
}
