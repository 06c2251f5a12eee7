//! What a raw server's connections share.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::{
    call::Handler,
    counters::Counters,
    offer::{Kind, Offer},
    session::Session,
};
use crate::host::Life;

/// How many requests are remembered.
const REMEMBERED: usize = 1_024;

/// How answers travel when nothing was sent before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON body.
    Json,
    /// A stream of one event.
    Sse,
}

/// How a request with an unknown session is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// HTTP 404, as the specification says.
    NotFound,
    /// HTTP 400 with a JSON-RPC error, as widely used servers do.
    BadRequest,
    /// HTTP 200 with an error that answers the request, as some servers do.
    Answered,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// GET, POST or DELETE.
    pub verb: Method,
    /// All HTTP headers.
    pub headers: HeaderMap,
    /// The JSON-RPC method; empty for answers, GET and DELETE.
    pub method: String,
    /// The body, byte for byte.
    pub body: Bytes,
}

/// What can be changed while the server runs.
#[derive(Clone)]
pub(super) struct Knobs {
    pub(super) form: Form,
    pub(super) lost: Lost,
    pub(super) page_size: usize,
    pub(super) one_stream: bool,
    pub(super) flooded_streams: bool,
    pub(super) refused_answers: Option<&'static str>,
    pub(super) scripts: BTreeMap<String, Handler>,
    pub(super) offer: Offer<Handler>,
}

/// What stays as it was built.
#[derive(Clone)]
pub(super) struct Identity {
    pub(super) server_info: String,
    pub(super) capabilities: Option<String>,
    pub(super) instructions: Option<String>,
    pub(super) versions: Vec<String>,
    pub(super) sessionless: bool,
}

pub(crate) struct Shared {
    pub(super) identity: Identity,
    pub(super) counters: Arc<Counters>,
    pub(super) life: Life,
    knobs: Mutex<Knobs>,
    sessions: Mutex<BTreeMap<String, Arc<Session>>>,
    seen: Mutex<VecDeque<Seen>>,
}

impl Shared {
    pub(super) fn new(identity: Identity, knobs: Knobs, life: Life) -> Self {
        Self {
            identity,
            counters: Arc::default(),
            life,
            knobs: Mutex::new(knobs),
            sessions: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    pub(super) fn knobs(&self) -> MutexGuard<'_, Knobs> {
        self.knobs.lock().expect("no code panics while it turns a knob")
    }

    pub(super) fn sessions(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Session>>> {
        self.sessions.lock().expect("no code panics while it holds the sessions")
    }

    /// The script for a request: one for the capability it names goes before one for its method.
    pub(super) fn script(&self, method: &str, key: Option<&str>) -> Option<Handler> {
        let knobs = self.knobs();
        let named = key.and_then(|key| knobs.scripts.get(&format!("{method} {key}")));
        named.or_else(|| knobs.scripts.get(method)).cloned()
    }

    pub(super) fn remember(&self, seen: Seen) {
        let mut all = self.seen.lock().expect("no code panics while it remembers");
        if all.len() == REMEMBERED {
            all.pop_front();
        }
        all.push_back(seen);
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("no code panics while it remembers").iter().cloned().collect()
    }

    /// The capabilities declared at `initialize`, unless the test wrote its own.
    pub(super) fn capabilities(&self) -> String {
        if let Some(capabilities) = &self.identity.capabilities {
            return capabilities.clone();
        }
        let knobs = self.knobs();
        let mut members = vec![r#""logging":{},"completions":{}"#];
        if knobs.offer.has(Kind::Tools) {
            members.push(r#""tools":{"listChanged":true}"#);
        }
        if knobs.offer.has(Kind::Resources) || knobs.offer.has(Kind::Templates) {
            members.push(r#""resources":{"subscribe":true,"listChanged":true}"#);
        }
        if knobs.offer.has(Kind::Prompts) {
            members.push(r#""prompts":{"listChanged":true}"#);
        }
        format!("{{{}}}", members.join(","))
    }
}
