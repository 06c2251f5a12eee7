//! What a backend needs to know about itself.

use std::{sync::Arc, time::Duration};

use http::Uri;
use vmcp_model::BackendId;

use crate::outgoing::Outgoing;

/// One backend, ready to use.
#[derive(Debug, Clone)]
pub struct Config {
    pub id: BackendId,
    /// Where its Streamable HTTP endpoint is: `http` or `https`, with a host.
    pub url: Uri,
    /// What vmcp shows it about itself.
    pub outgoing: Outgoing,
    /// A PEM bundle of the authorities that may vouch for it, instead of the system's.
    pub ca_bundle: Option<Arc<[u8]>>,
    pub timeouts: Timeouts,
    pub limits: Limits,
}

/// How long one backend may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// To accept a connection, TLS included.
    pub connect: Duration,
    /// To open a session.
    pub initialize: Duration,
    /// Without a sign of life during a call; progress starts it again.
    pub idle: Duration,
    /// For a call as a whole, whatever its progress.
    pub absolute: Duration,
}

/// How much one backend may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one response.
    pub response_bytes: usize,
    /// Bytes of one event of a stream.
    pub event_bytes: usize,
    /// Requests under way at once, streams not counted.
    pub in_flight: usize,
    /// GET streams open at once.
    pub streams: usize,
    /// Pages of one list that are followed.
    pub list_pages: usize,
    /// Items of one list that are kept.
    pub list_items: usize,
}

/// Why a backend cannot be used as configured.
#[derive(Debug, thiserror::Error)]
pub enum InvalidConfig {
    #[error("the URL needs the scheme http or https and a host")]
    Url,
    #[error("the CA bundle cannot be used: {0}")]
    CaBundle(String),
    #[error("the system has no usable CA certificates: {0}")]
    SystemRoots(String),
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            initialize: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            absolute: Duration::from_secs(3600),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            response_bytes: 100 << 20,
            event_bytes: 16 << 20,
            in_flight: 1024,
            streams: 10_000,
            list_pages: 1000,
            list_items: 100_000,
        }
    }
}
