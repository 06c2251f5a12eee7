//! The connections to one backend, shared by all sessions, kept apart by worker.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Uri, Version, header};
use http_body_util::Full;
use hyper::{body::Incoming, client::conn};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::connect::Connector;
use crate::{error::Error, worker};

/// How long a connection may be idle if its backend does not say.
const IDLE: Duration = Duration::from_secs(30);

/// Idle connections that one worker keeps to one backend.
const MAX_IDLE: usize = 512;

#[derive(Debug)]
pub(crate) struct Pool {
    connector: Connector,
    connect_timeout: Duration,
    /// Counts the tasks that drive connections.
    tasks: TaskTracker,
    /// One for each worker, and one for everybody else.
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    /// The most recently used last.
    idle: Vec<Idle>,
    /// A connection of HTTP/2 serves any number of requests at once.
    http2: Option<conn::http2::SendRequest<Full<Bytes>>>,
}

#[derive(Debug)]
struct Idle {
    sender: conn::http1::SendRequest<Full<Bytes>>,
    until: Instant,
}

#[derive(Debug)]
pub(super) enum Sender {
    Http1(conn::http1::SendRequest<Full<Bytes>>),
    Http2(conn::http2::SendRequest<Full<Bytes>>),
}

/// A connection in use. Dropped without being given back, it is closed.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Arc<Pool>,
    shard: usize,
    /// `None` for HTTP/2, whose connection never left the pool.
    sender: Option<conn::http1::SendRequest<Full<Bytes>>>,
    keep: Duration,
}

impl Pool {
    pub(super) fn new(connector: Connector, connect_timeout: Duration, tasks: TaskTracker) -> Self {
        let shards = (0..=worker::MAX).map(|_index| Mutex::default()).collect();
        Self { connector, connect_timeout, tasks, shards }
    }

    /// Sends one request over an idle connection or a new one.
    ///
    /// A request that an idle connection handed back unsent, because the backend had closed it
    /// meanwhile, goes out again over another one.
    pub(super) async fn send(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Response<(Incoming, Lease)>, Error> {
        let shard = worker::index();
        while let Some(sender) = self.take(shard) {
            match self.attempt(shard, sender, request).await? {
                Ok(response) => return Ok(response),
                Err(unsent) => request = unsent,
            }
        }
        // Boxed, as it is rare and large: every call would carry room for it.
        let connecting = tokio::time::timeout(
            self.connect_timeout,
            Box::pin(self.connector.connect(&self.tasks)),
        );
        let sender = connecting
            .await
            .map_err(|_elapsed| {
                Error::Unreachable(format!("no connection within {:?}", self.connect_timeout))
            })?
            .map_err(|error| Error::Unreachable(error.to_string()))?;
        if let Sender::Http2(sender) = &sender {
            self.lock(shard).http2 = Some(sender.clone());
        }
        match self.attempt(shard, sender, request).await? {
            Ok(response) => Ok(response),
            Err(_unsent) => Err(Error::Unreachable("closed a new connection at once".to_owned())),
        }
    }

    /// Closes what has been idle for too long.
    pub(super) fn prune(&self) {
        let now = Instant::now();
        for index in 0..self.shards.len() {
            let mut shard = self.lock(index);
            shard.idle.retain(|idle| idle.until > now && !idle.sender.is_closed());
            if shard.http2.as_ref().is_some_and(conn::http2::SendRequest::is_closed) {
                shard.http2 = None;
            }
        }
    }

    /// One attempt on one connection. The inner error gives the request back: it was not sent.
    async fn attempt(
        self: &Arc<Self>,
        shard: usize,
        sender: Sender,
        mut request: Request<Full<Bytes>>,
    ) -> Result<Result<Response<(Incoming, Lease)>, Request<Full<Bytes>>>, Error> {
        let (sent, sender) = match sender {
            Sender::Http1(mut sender) => {
                // The driver may not have seen the end of the last response yet.
                if sender.ready().await.is_err() {
                    return Ok(Err(request));
                }
                let target = std::mem::take(request.uri_mut());
                if let (false, Some(authority)) =
                    (request.headers().contains_key(header::HOST), target.authority())
                    && let Ok(host) = HeaderValue::from_str(authority.as_str())
                {
                    request.headers_mut().insert(header::HOST, host);
                }
                *request.uri_mut() = origin_form(&target);
                let sent = sender.try_send_request(request).await.map_err(|mut error| {
                    let unsent = error.take_message().map(|mut request| {
                        *request.uri_mut() = target;
                        request
                    });
                    (unsent, error.into_error())
                });
                (sent, Some(sender))
            }
            Sender::Http2(mut sender) => {
                *request.version_mut() = Version::HTTP_2;
                request.headers_mut().remove(header::HOST);
                let sent = sender
                    .try_send_request(request)
                    .await
                    .map_err(|mut error| (error.take_message(), error.into_error()));
                if sent.is_err() {
                    self.lock(shard).http2 = None;
                }
                (sent, None)
            }
        };
        match sent {
            Ok(response) => {
                let keep = keep_alive(response.headers());
                let lease = Lease { pool: Arc::clone(self), shard, sender, keep };
                Ok(Ok(response.map(|incoming| (incoming, lease))))
            }
            Err((Some(unsent), _error)) => Ok(Err(unsent)),
            Err((None, error)) => Err(Error::Broken(describe(&error))),
        }
    }

    /// The most recently used connection that is still good.
    fn take(&self, shard: usize) -> Option<Sender> {
        let now = Instant::now();
        let mut shard = self.lock(shard);
        if let Some(sender) = &shard.http2 {
            if !sender.is_closed() {
                return Some(Sender::Http2(sender.clone()));
            }
            shard.http2 = None;
        }
        while let Some(Idle { sender, until }) = shard.idle.pop() {
            if until > now && !sender.is_closed() {
                return Some(Sender::Http1(sender));
            }
        }
        None
    }

    fn lock(&self, shard: usize) -> std::sync::MutexGuard<'_, Shard> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lease {
    /// Gives the connection back: its response has been read to the end.
    pub(super) fn give_back(mut self) {
        let Some(sender) = self.sender.take() else { return };
        if sender.is_closed() {
            return;
        }
        let until = Instant::now() + self.keep;
        let mut shard = self.pool.lock(self.shard);
        if shard.idle.len() < MAX_IDLE {
            shard.idle.push(Idle { sender, until });
        }
    }
}

/// How long the backend keeps an idle connection, a second less than it says (RFC 2068, section
/// 19.7.1.1, as servers still send it), so that it is not used just when the backend closes it.
fn keep_alive(headers: &HeaderMap) -> Duration {
    let hint = headers.get("keep-alive").and_then(|value| value.to_str().ok()).and_then(|value| {
        let timeout = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="));
        timeout.and_then(|timeout| timeout.trim().parse::<u64>().ok())
    });
    hint.map_or(IDLE, |seconds| Duration::from_secs(seconds.saturating_sub(1))).min(IDLE)
}

fn origin_form(uri: &Uri) -> Uri {
    uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| Uri::from(path.clone()))
}

fn describe(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}
