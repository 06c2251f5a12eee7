//! The fast fake MCP server behind whatever is measured, a process of its own.
//!
//! It must never be what limits a round, so it holds no state and reads of a request only what its
//! answer needs. What it answers is in [`answer`]; this file is sockets and threads.

use std::{convert::Infallible, io::Write, net::SocketAddr, thread};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
};

pub(crate) mod answer;

/// Serves until standard input ends, which is when whoever started this has ended. The address
/// stands on the first line of standard output.
pub(crate) fn run(threads: usize) -> Result<()> {
    let mut workers = Vec::new();
    // This thread serves as well, so that one thread needs no hand-over.
    for _ in 1..threads {
        let (sender, receiver) = mpsc::channel(1024);
        let runtime = runtime()?;
        thread::spawn(move || runtime.block_on(serve(receiver)));
        workers.push(sender);
    }
    runtime()?.block_on(async {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = TcpListener::bind(address).await.context("cannot listen")?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        let (here, receiver) = mpsc::channel(1024);
        workers.push(here);
        let mut end = [0];
        tokio::select! {
            result = accept(listener, &workers) => result,
            () = serve(receiver) => Ok(()),
            _ended = async { tokio::io::stdin().read(&mut end).await } => Ok(()),
        }
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("cannot start a runtime")
}

/// Hands connections out in turn, so that every thread gets as many.
async fn accept(
    listener: TcpListener,
    workers: &[mpsc::Sender<std::net::TcpStream>],
) -> Result<()> {
    for worker in workers.iter().cycle() {
        let (stream, _peer) = listener.accept().await.context("cannot accept")?;
        stream.set_nodelay(true)?;
        // A socket belongs to the runtime that registered it.
        worker.send(stream.into_std()?).await.context("a worker has ended")?;
    }
    Ok(())
}

async fn serve(mut connections: mpsc::Receiver<std::net::TcpStream>) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            Some(stream) = connections.recv() => {
                let Ok(stream) = TcpStream::from_std(stream) else { continue };
                let connection = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(handle));
                tasks.spawn(connection);
            }
            // A peer that hangs up is nothing to tell anybody.
            Some(_ended) = tasks.join_next() => {}
            else => return,
        }
    }
}

async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(answer::refusal(http::StatusCode::BAD_REQUEST));
    };
    Ok(answer::answer(&head, &body.to_bytes()))
}
