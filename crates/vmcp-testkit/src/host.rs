//! Accepts connections on a loopback port, or in memory, and ends with the value that owns it.
//!
//! Every peer of this crate stands on a [`Host`] or is [`InMemory`]; what is said over a connection is the
//! peer's affair.

use std::{future::Future, io, net::SocketAddr, ops::Deref, sync::Arc};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::body::ReplyBody;

/// A listening socket, its connections and whatever tasks they started. Dropping it ends them all.
#[derive(Debug)]
pub(crate) struct Host {
    address: SocketAddr,
    life: Life,
}

/// A peer without a socket, for tests whose clock stands still. It ends when this value is dropped, and
/// refuses connections from then on.
pub struct InMemory<S> {
    server: S,
    dial: mpsc::Sender<DuplexStream>,
    life: Life,
}

/// What a peer's tasks are started on, and how they learn that it is over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    over: CancellationToken,
    tasks: TaskTracker,
}

impl Host {
    /// Serves HTTP/1. An `Err` from `respond` closes the connection without an answer.
    pub(crate) async fn http<R, F>(port: u16, life: Life, respond: R) -> io::Result<Self>
    where
        R: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = io::Result<Response<ReplyBody>>> + Send + 'static,
    {
        let respond = Arc::new(respond);
        Self::sockets(port, life, move |socket| speak(socket, Arc::clone(&respond))).await
    }

    /// Hands every accepted socket to `serve`, for peers that do not speak proper HTTP.
    pub(crate) async fn sockets<S, F>(port: u16, life: Life, serve: S) -> io::Result<Self>
    where
        S: Fn(TcpStream) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let address = listener.local_addr()?;
        let connections = life.clone();
        life.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                // Small answers must not wait for the client's delayed acknowledgement.
                let _ = socket.set_nodelay(true);
                connections.spawn(serve(socket));
            }
        });
        Ok(Self { address, life })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }
}

impl<S> InMemory<S> {
    /// Serves HTTP/1 over the pipes whose ends come in. An `Err` from `respond` closes the connection
    /// without an answer.
    pub(crate) fn http<R, F>(server: S, life: Life, respond: R) -> Self
    where
        R: Fn(Request<Incoming>) -> F + Send + Sync + 'static,
        F: Future<Output = io::Result<Response<ReplyBody>>> + Send + 'static,
    {
        let respond = Arc::new(respond);
        let (dial, mut connections) = mpsc::channel::<DuplexStream>(16);
        let serving = life.clone();
        life.spawn(async move {
            while let Some(connection) = connections.recv().await {
                serving.spawn(speak(connection, Arc::clone(&respond)));
            }
        });
        Self { server, dial, life }
    }

    /// Where connections are made: the server's end of each goes in here.
    pub fn dial(&self) -> mpsc::Sender<DuplexStream> {
        self.dial.clone()
    }
}

impl<S> Deref for InMemory<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.server
    }
}

impl<S> Drop for InMemory<S> {
    fn drop(&mut self) {
        self.life.end();
    }
}

async fn speak<R, F>(connection: impl AsyncRead + AsyncWrite + Send + Unpin, respond: Arc<R>)
where
    R: Fn(Request<Incoming>) -> F,
    F: Future<Output = io::Result<Response<ReplyBody>>>,
{
    let service = service_fn(move |request| respond(request));
    // A peer that goes away in mid-request is an everyday event in these tests.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(connection), service).await;
}

impl Drop for Host {
    fn drop(&mut self) {
        self.life.over.cancel();
    }
}

impl Life {
    /// Ends the tasks.
    pub(crate) fn end(&self) {
        self.over.cancel();
    }

    /// Runs `work` until it ends or the peer does.
    pub(crate) fn spawn<F>(&self, work: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let over = self.over.clone();
        self.tasks.spawn(async move {
            over.run_until_cancelled(work).await;
        });
    }
}
