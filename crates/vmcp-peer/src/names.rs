//! Who asks, who is asked, for what, and who answers.

use std::{fmt, net::SocketAddr, pin::Pin, sync::Arc};

use bytes::Bytes;

use crate::{
    error::Refusal,
    frames::Frames,
    settings::{NAME_BYTES, PATH_BYTES},
};

/// A replica to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Peer {
    pub name: String,
    /// Where it listens for its peers.
    pub address: SocketAddr,
    /// Which process of that name is meant.
    pub epoch: u64,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// What kind of request it is: up to 64 letters, digits and `-_./`.
    pub path: String,
    /// All that it says, up to [`Settings::head_bytes`](crate::Settings::head_bytes).
    pub head: Bytes,
}

/// The replica that asks, as it has said itself. That it belongs to this deployment is proven; which one it is
/// is its word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    pub name: Arc<str>,
    pub epoch: u64,
}

/// An answer that is being made.
pub type Served = Pin<Box<dyn Future<Output = Result<Frames, Refusal>> + Send>>;

/// Answers what other replicas ask.
pub trait Serve: Send + Sync + 'static {
    /// Answers one request. The future is dropped when the asker takes its request back, or is gone; later,
    /// the [`Sender`](crate::Sender) of the frames says so.
    fn serve(&self, asker: &Asker, request: Request) -> Served;
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.address)
    }
}

/// Whether this can name what is asked.
pub(crate) fn is_path(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    (1..=PATH_BYTES).contains(&text.len()) && text.bytes().all(is_fine)
}

/// Whether this can name a replica: it is written into logs.
pub(crate) fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
