//! The workers: one thread a core, each with a runtime and connections of its own.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use hyper::{
    body::Incoming,
    server::conn::http2,
    service::{Service, service_fn},
};

use http::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vmcp_core::Background;
use vmcp_http1::MAX_HEAD;

use crate::{
    body::Body,
    edge::{Edge, Listens},
    http1,
    request::RequestBody,
    stall::EndStalled,
};

/// How long a connection may wait for its next request, or take to send the head of one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(75);

/// Accepted sockets that wait for a worker.
const QUEUE: usize = 1024;

/// How long to wait when no socket can be accepted, which mostly means that there are no more
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often a worker wakes up though nothing happens.
///
/// A timer that becomes the first to fire makes tokio wake the thread that waits for timers: this one,
/// which is awake, by a system call. The deadline of every call would be such a timer while there are
/// few connections. With this one there is always an earlier one.
const TICK: Duration = Duration::from_secs(1);

/// How long connections have to send what is left when they are to close.
const CLOSING: Duration = Duration::from_secs(1);

/// What a client is told when there are too many connections.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Listeners and workers at work.
pub struct Serving {
    threads: Vec<JoinHandle<()>>,
    accept: CancellationToken,
    close: CancellationToken,
}

struct Accepted {
    stream: StdStream,
    peer: SocketAddr,
    listens: Listens,
    _permit: ConnectionPermit,
}

/// One open connection; given back when dropped.
struct ConnectionPermit(Arc<AtomicUsize>);

/// Serves listeners with so many workers. Accepting runs as background work.
pub fn serve(
    listeners: Vec<(StdListener, Listens)>,
    edge: &Arc<Edge>,
    workers: usize,
    background: &Background,
) -> io::Result<Serving> {
    let (accept, close) = (CancellationToken::new(), CancellationToken::new());
    let mut queues = Vec::new();
    let mut threads = Vec::new();
    for index in 0..workers.max(1) {
        let (sender, queue) = mpsc::channel(QUEUE);
        queues.push(sender);
        let (edge, close) = (Arc::clone(edge), close.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        threads.push(thread.spawn(move || {
            vmcp_backend::worker::enter(index);
            runtime.block_on(work(queue, edge, close));
        })?);
    }
    let connections: Arc<AtomicUsize> = Arc::default();
    for (listener, listens) in listeners {
        listener.set_nonblocking(true)?;
        let acceptor = Acceptor {
            listens,
            queues: queues.clone(),
            connections: Arc::clone(&connections),
            limit: edge.config.connections,
        };
        let accept = accept.clone();
        background.spawn(async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => {
                    accept.run_until_cancelled(acceptor.run(listener)).await;
                }
                Err(error) => tracing::error!(%error, "a listener cannot be used"),
            }
        });
    }
    Ok(Serving { threads, accept, close })
}

impl Serving {
    /// Accepts no more connections. Those that are open go on.
    pub fn stop_accepting(&self) {
        self.accept.cancel();
    }

    /// Closes every connection when its response has been sent, and ends the workers. Blocks for
    /// a moment.
    pub fn close(self) {
        self.close.cancel();
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker ended by a panic");
            }
        }
    }
}

/// Accepts sockets and hands them out evenly.
struct Acceptor {
    listens: Listens,
    queues: Vec<mpsc::Sender<Accepted>>,
    connections: Arc<AtomicUsize>,
    limit: usize,
}

impl Acceptor {
    async fn run(self, listener: TcpListener) {
        let mut turn = 0;
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let permit = ConnectionPermit(Arc::clone(&self.connections));
            if self.connections.fetch_add(1, Ordering::Relaxed) >= self.limit {
                refuse(stream).await;
                continue;
            }
            let handed = stream.set_nodelay(true).and_then(|()| stream.into_std());
            let stream = match handed {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::debug!(%error, "a connection ended before it began");
                    continue;
                }
            };
            turn = (turn + 1) % self.queues.len();
            let accepted = Accepted { stream, peer, listens: self.listens, _permit: permit };
            if self.queues[turn].send(accepted).await.is_err() {
                return;
            }
        }
    }
}

async fn refuse(mut stream: TcpStream) {
    if let Err(error) = stream.write_all(FULL).await {
        tracing::debug!(%error, "a connection over the bound ended by itself");
    }
}

/// The life of one worker.
async fn work(mut queue: mpsc::Receiver<Accepted>, edge: Arc<Edge>, close: CancellationToken) {
    let connections = TaskTracker::new();
    let mut tick = tokio::time::interval(TICK);
    loop {
        let accepted = tokio::select! {
            accepted = queue.recv() => accepted,
            () = close.cancelled() => None,
            _ = tick.tick() => continue,
        };
        let Some(accepted) = accepted else { break };
        connections.spawn(connection(accepted, Arc::clone(&edge), close.clone()));
    }
    connections.close();
    close.cancelled().await;
    if tokio::time::timeout(CLOSING, connections.wait()).await.is_err() {
        tracing::debug!(
            connections = connections.len(),
            "connections were closed before they had sent everything"
        );
    }
}

/// The life of one connection.
async fn connection(accepted: Accepted, edge: Arc<Edge>, close: CancellationToken) {
    let Accepted { stream, peer, listens, _permit } = accepted;
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => {
            tracing::debug!(%error, "a connection cannot be used");
            return;
        }
    };
    let answer = |request: Request<RequestBody>| Arc::clone(&edge).answer(request, peer, listens);
    let ended = match speaks_http2(&stream).await {
        Ok(false) => {
            let answer =
                |request: Request<http1::Incoming>| answer(request.map(RequestBody::Http1));
            http1::serve(stream, answer, HEAD_TIMEOUT, &close).await
        }
        // Boxed, as it is rare and large.
        Ok(true) => {
            let service = service_fn(|request: Request<Incoming>| {
                let answered = answer(request.map(RequestBody::Http2));
                async { Ok::<_, Infallible>(answered.await) }
            });
            Box::pin(serve_http2(stream, service, &close)).await.map_err(io::Error::other)
        }
        Err(error) => {
            tracing::debug!(%error, %peer, "a connection ended before its first request");
            return;
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended");
    }
}

/// Serves a connection that speaks HTTP/2 from its first byte (RFC 9113, section 3.3).
async fn serve_http2<S>(
    stream: TcpStream,
    service: S,
    close: &CancellationToken,
) -> hyper::Result<()>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).max_header_list_size(MAX_HEAD as u32);
    let mut serving =
        pin!(builder.serve_connection(EndStalled::new(TokioIo::new(stream)), service));
    tokio::select! {
        biased;
        ended = serving.as_mut() => ended,
        () = close.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    }
}

/// Whether a connection begins with the preface of HTTP/2. Nothing is taken from it.
async fn speaks_http2(stream: &TcpStream) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    let mut beginning = [0; PREFACE.len()];
    let peeked = tokio::time::timeout(HEAD_TIMEOUT, stream.peek(&mut beginning)).await??;
    // No method of HTTP/1 begins like this, so the first bytes decide.
    Ok(peeked > 3 && PREFACE.starts_with(&beginning[..peeked]))
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
