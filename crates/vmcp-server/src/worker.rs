//! The workers: one thread a core, each with a runtime and connections of its own.

use std::{
    io,
    net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use http::Request;
use rustix::net::sockopt;
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vmcp_core::Background;

use crate::{
    edge::{Edge, Listens},
    http1, http2,
    request::RequestBody,
    times::Times,
};

/// After how long without a word a client is asked whether it is still there, how often and how many
/// times until it counts as gone. What was sent to it must be acknowledged as soon.
const VANISHED: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

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
    /// The same for the connections that are open by then.
    retire: CancellationToken,
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
    let retire = close.child_token();
    let mut queues = Vec::new();
    let mut threads = Vec::new();
    for index in 0..workers.max(1) {
        let (sender, queue) = mpsc::channel(QUEUE);
        queues.push(sender);
        let (edge, close, retire) = (Arc::clone(edge), close.clone(), retire.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        threads.push(thread.spawn(move || {
            vmcp_backend::worker::enter(index);
            runtime.block_on(work(queue, edge, close, retire));
        })?);
    }
    let connections = Arc::clone(&edge.connections);
    for (listener, listens) in listeners {
        listener.set_nonblocking(true)?;
        notice_vanished(&listener)?;
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
    Ok(Serving { threads, accept, close, retire })
}

impl Serving {
    /// Accepts no more connections. Those that are open go on.
    pub fn stop_accepting(&self) {
        self.accept.cancel();
    }

    /// Closes every connection that is open now when its response has been sent, so that whoever keeps it
    /// for later sends nothing on it in vain.
    pub fn retire(&self) {
        self.retire.cancel();
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

/// Has the system end connections of clients that vanish without a word, as they do with their network
/// or their power. Accepted sockets are set as their listener is.
fn notice_vanished(listener: &StdListener) -> io::Result<()> {
    let (after, every, times) = VANISHED;
    sockopt::set_socket_keepalive(listener, true)?;
    sockopt::set_tcp_keepidle(listener, after)?;
    sockopt::set_tcp_keepintvl(listener, every)?;
    sockopt::set_tcp_keepcnt(listener, times)?;
    // Nothing is asked while something sent waits to be acknowledged.
    #[cfg(target_os = "linux")]
    {
        let patience = (after + every * times).as_millis();
        sockopt::set_tcp_user_timeout(listener, u32::try_from(patience).unwrap_or(u32::MAX))?;
    }
    Ok(())
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
async fn work(
    mut queue: mpsc::Receiver<Accepted>,
    edge: Arc<Edge>,
    close: CancellationToken,
    retire: CancellationToken,
) {
    let connections = TaskTracker::new();
    let mut tick = tokio::time::interval(TICK);
    loop {
        let accepted = tokio::select! {
            accepted = queue.recv() => accepted,
            () = close.cancelled() => None,
            _ = tick.tick() => continue,
        };
        let Some(accepted) = accepted else { break };
        // One that comes later has a request to send.
        let ends = if retire.is_cancelled() { close.clone() } else { retire.clone() };
        connections.spawn(connection(accepted, Arc::clone(&edge), ends));
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
    let times = Times { look: edge.config.keep_alive, ..Times::default() };
    let answer = |request: Request<RequestBody>| Arc::clone(&edge).answer(request, peer, listens);
    let ended = match speaks_http2(&stream, times).await {
        Ok(false) => {
            let answer =
                |request: Request<http1::Incoming>| answer(request.map(RequestBody::Http1));
            http1::serve(stream, answer, times, &close).await
        }
        // Boxed, as it is rare and large.
        Ok(true) => {
            let answer =
                |request: Request<http2::Incoming>| answer(request.map(RequestBody::Http2));
            Box::pin(http2::serve(stream, answer, times, &close)).await
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

/// Whether a connection begins with the preface of HTTP/2. Nothing is taken from it.
async fn speaks_http2(stream: &TcpStream, times: Times) -> io::Result<bool> {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0";
    let mut beginning = [0; PREFACE.len()];
    let peeked = tokio::time::timeout(times.head, stream.peek(&mut beginning)).await??;
    // No method of HTTP/1 begins like this, so the first bytes decide.
    Ok(peeked > 3 && PREFACE.starts_with(&beginning[..peeked]))
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_vanish_are_noticed_on_every_accepted_socket() {
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        notice_vanished(&listener).unwrap();
        let _client = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        let (after, every, times) = VANISHED;
        assert_eq!(sockopt::tcp_keepidle(&accepted).unwrap(), after);
        assert_eq!(sockopt::tcp_keepintvl(&accepted).unwrap(), every);
        assert_eq!(sockopt::tcp_keepcnt(&accepted).unwrap(), times);
        #[cfg(target_os = "linux")]
        assert_eq!(sockopt::tcp_user_timeout(&accepted).unwrap(), 120_000);
    }
}
