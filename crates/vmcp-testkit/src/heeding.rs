//! A server over TLS that takes whatever it is sent, and remembers with which headers that came.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use http::{HeaderMap, Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::{
    body::{ReplyBody, whole},
    host::Host,
    tls,
};

/// A server on a loopback port. It ends when this value is dropped.
pub struct Heeding {
    host: Host,
    authority: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// A request.
#[derive(Clone, Debug)]
pub struct Heard {
    pub uri: Uri,
    pub headers: HeaderMap,
}

impl Heeding {
    /// Starts one that answers everything with 200 and nothing more.
    pub async fn start() -> io::Result<Self> {
        let heard = Arc::<Mutex<Vec<Heard>>>::default();
        let hearing = Arc::clone(&heard);
        let (host, authority) = tls::host(move |request: Request<Incoming>| {
            let heard = Arc::clone(&hearing);
            async move {
                let (head, body) = request.into_parts();
                body.collect().await.map_err(io::Error::other)?;
                let one = Heard { uri: head.uri, headers: head.headers };
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                Ok::<Response<ReplyBody>, io::Error>(Response::new(whole("")))
            }
        })
        .await?;
        Ok(Self { host, authority, heard })
    }

    /// The certificate of the authority that vouches for it, in PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Its address and port.
    pub fn address(&self) -> String {
        self.host.address().to_string()
    }

    /// What it was asked so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
