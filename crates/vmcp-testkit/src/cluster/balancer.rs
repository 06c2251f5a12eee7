//! A load balancer without affinity: every request goes to the next replica.
//!
//! It asks each replica often whether it is ready, and passes over those that are not. It keeps its
//! connections to them. A request goes to another replica only if nothing of it was sent.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};

use crate::{
    body::{ReplyBody, whole},
    client::Client,
    host::{Host, Life},
};

/// How often a replica is asked whether it is ready, and how long it may take to say so.
const PROBE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

/// A running balancer.
#[derive(Debug)]
pub struct Balancer {
    host: Host,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    targets: Vec<Mutex<Target>>,
    next: AtomicUsize,
    life: Life,
}

/// A place for a replica.
#[derive(Debug, Default)]
struct Target {
    port: Option<u16>,
    ready: bool,
    connections: Vec<SendRequest<Full<Bytes>>>,
}

impl Balancer {
    /// Starts one with places for so many replicas.
    pub(super) async fn start(places: usize) -> Result<Self> {
        let life = Life::default();
        let targets = (0..places).map(|_place| Mutex::default()).collect();
        let shared = Arc::new(Shared { targets, next: AtomicUsize::new(0), life: life.clone() });
        for place in 0..places {
            life.spawn(Arc::clone(&shared).keep_probing(place));
        }
        let serving = Arc::clone(&shared);
        let host = Host::http(0, life, move |request| {
            let shared = Arc::clone(&serving);
            async move { shared.serve(request).await }
        })
        .await?;
        Ok(Self { host, shared })
    }

    /// The MCP endpoint.
    pub fn url(&self) -> String {
        self.host.url()
    }

    /// A replica that is ready is on this port from now on.
    pub(super) fn point(&self, place: usize, port: u16) {
        *self.shared.target(place) =
            Target { port: Some(port), ready: true, connections: Vec::new() };
    }
}

impl Shared {
    fn target(&self, place: usize) -> MutexGuard<'_, Target> {
        self.targets[place].lock().expect("no code panics while it holds a target")
    }

    async fn keep_probing(self: Arc<Self>, place: usize) {
        loop {
            sleep(PROBE.0).await;
            let Some(port) = self.target(place).port else { continue };
            let ready = is_ready(port).await;
            let mut target = self.target(place);
            if target.port == Some(port) {
                target.ready = ready;
            }
        }
    }

    async fn serve(&self, request: Request<Incoming>) -> io::Result<Response<ReplyBody>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
        let what =
            format!("{} {}", head.method, String::from_utf8_lossy(&body[..body.len().min(200)]));
        let mut request = Request::from_parts(head, Full::new(body));
        for place in self.order() {
            // One attempt on a connection that is there, and one on a new one.
            while let Some((sender, port)) = self.kept(place) {
                match self.exchange(place, port, sender, request).await {
                    Ok(response) => return Ok(response),
                    Err(Some(unsent)) => request = unsent,
                    Err(None) => return Ok(lost("the replica broke a kept connection off", &what)),
                }
            }
            let port = self.target(place).port;
            let Some(port) = port else { continue };
            let Ok(sender) = self.connect(port).await else { continue };
            match self.exchange(place, port, sender, request).await {
                Ok(response) => return Ok(response),
                Err(Some(unsent)) => request = unsent,
                Err(None) => return Ok(lost("the replica broke a new connection off", &what)),
            }
        }
        Ok(lost("no replica takes connections", &what))
    }

    /// The places to try, those that are ready first.
    fn order(&self) -> Vec<usize> {
        let (first, count) = (self.next.fetch_add(1, Relaxed), self.targets.len());
        let all = (0..count).map(|place| (first + place) % count);
        let (mut ready, others): (Vec<_>, Vec<_>) =
            all.partition(|place| self.target(*place).ready);
        // Whoever is not ready is asked only if nobody is.
        if ready.is_empty() {
            ready = others;
        }
        ready
    }

    /// A connection that is there and not in use.
    fn kept(&self, place: usize) -> Option<(SendRequest<Full<Bytes>>, u16)> {
        let mut target = self.target(place);
        let port = target.port?;
        target.connections.retain(|connection| !connection.is_closed());
        let free = target.connections.iter().position(SendRequest::is_ready)?;
        Some((target.connections.swap_remove(free), port))
    }

    async fn connect(&self, port: u16) -> Result<SendRequest<Full<Bytes>>> {
        let socket = TcpStream::connect(("127.0.0.1", port)).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        self.life.spawn(async move {
            // What goes wrong on the connection shows where the response is read.
            let _ = connection.await;
        });
        Ok(sender)
    }

    /// The response, whose body is passed on as it comes. An `Err` holds the request if nothing of it
    /// was sent.
    async fn exchange(
        &self,
        place: usize,
        port: u16,
        mut sender: SendRequest<Full<Bytes>>,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<ReplyBody>, Option<Request<Full<Bytes>>>> {
        let sent = sender.try_send_request(request).await;
        let response = sent.map_err(|mut error| error.take_message())?;
        let mut target = self.target(place);
        if target.port == Some(port) {
            target.connections.push(sender);
        }
        Ok(response.map(|body| body.map_err(io::Error::other).boxed()))
    }
}

async fn is_ready(port: u16) -> bool {
    let asking = async {
        let probe = Client::new(&format!("http://127.0.0.1:{port}/readyz"));
        let answer = probe.send(http::Method::GET, &[("accept", "*/*")], Bytes::new()).await?;
        Ok::<_, anyhow::Error>(answer.status() == StatusCode::OK)
    };
    matches!(timeout(PROBE.1, asking).await, Ok(Ok(true)))
}

/// An answer in the place of a replica's. What was lost is said, too, for whoever looks for the reason.
#[expect(clippy::print_stderr, reason = "a client that ends at it says nothing of the reason")]
fn lost(why: &'static str, what: &str) -> Response<ReplyBody> {
    eprintln!("{why}: {what}");
    let mut response = Response::new(whole(why));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
