//! What a modern server's connections share.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::{Value, value::RawValue};

use super::{call::Handler, counters::Counters, subscriptions::Subscriptions};
use crate::{
    host::Life,
    raw::{self, Answer, Form, Kind, Offer, member},
};

/// How many requests are remembered.
const REMEMBERED: usize = 4_096;

/// Which eras a server speaks at the moment.
#[derive(Clone, Debug)]
pub enum Speaks {
    /// The modern era alone: what is of the legacy era is refused as the specification says.
    Modern,
    /// The legacy era alone, as the server built with [`super::ModernServer::legacy`] does. What is
    /// of the modern era gets this answer; [`super::legacy_refusals`] has those of the field.
    Legacy(Answer),
    /// Whatever a request is of.
    Both,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The HTTP method.
    pub verb: Method,
    /// All HTTP headers.
    pub headers: HeaderMap,
    /// The JSON-RPC method; empty if there is none.
    pub method: String,
    /// The id, as the client wrote it.
    pub id: Option<String>,
    /// `params`, as the client wrote them.
    pub params: Option<Box<RawValue>>,
    /// The body, byte for byte.
    pub body: Bytes,
}

/// What can be changed while the server runs.
#[derive(Clone)]
pub(super) struct Knobs {
    pub(super) speaks: Speaks,
    pub(super) form: Form,
    pub(super) page_size: usize,
    pub(super) supported: Vec<String>,
    pub(super) capabilities: Option<String>,
    pub(super) instructions: Option<String>,
    /// `ttlMs` and `cacheScope` by method; what has none of its own has that of the empty method.
    pub(super) cache: BTreeMap<String, (u64, String)>,
    pub(super) scripts: BTreeMap<String, Handler>,
    pub(super) next: VecDeque<(String, Answer)>,
    pub(super) offer: Offer<Handler>,
    /// The kinds that were ever offered.
    pub(super) declared: BTreeSet<Kind>,
    pub(super) deaf_to_updates: bool,
}

pub(super) struct Shared {
    pub(super) life: Life,
    pub(super) counters: Counters,
    pub(super) subscriptions: Subscriptions,
    pub(super) legacy: Arc<raw::Shared>,
    knobs: Mutex<Knobs>,
    seen: Mutex<VecDeque<Seen>>,
    refusals: Mutex<Vec<String>>,
}

impl Seen {
    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A member of `params`, as the client wrote it.
    pub fn param(&self, name: &str) -> Option<Box<RawValue>> {
        member(self.params.as_ref()?.get().as_bytes(), name)
    }

    /// A member of `params._meta`; null if it is not there.
    pub fn meta(&self, key: &str) -> Value {
        let meta = self.param("_meta");
        meta.and_then(|meta| member(meta.get().as_bytes(), key)).unwrap_or_default()
    }
}

impl Shared {
    pub(super) fn new(knobs: Knobs, life: Life, legacy: Arc<raw::Shared>) -> Self {
        Self {
            life,
            counters: Counters::default(),
            subscriptions: Subscriptions::default(),
            legacy,
            knobs: Mutex::new(knobs),
            seen: Mutex::default(),
            refusals: Mutex::default(),
        }
    }

    pub(super) fn knobs(&self) -> MutexGuard<'_, Knobs> {
        lock(&self.knobs)
    }

    /// The answer that the test has put in place of the next request of this method.
    pub(super) fn take_next(&self, method: &str) -> Option<Answer> {
        let next = &mut self.knobs().next;
        let index = next.iter().position(|(on, _)| on == method || on == "*")?;
        next.remove(index).map(|(_, answer)| answer)
    }

    pub(super) fn remember(&self, seen: Seen) {
        let mut all = lock(&self.seen);
        if all.len() == REMEMBERED {
            all.pop_front();
        }
        all.push_back(seen);
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).iter().cloned().collect()
    }

    pub(super) fn refused(&self, why: String) {
        lock(&self.refusals).push(why);
    }

    pub(super) fn refusals(&self) -> Vec<String> {
        lock(&self.refusals).clone()
    }
}

impl Knobs {
    pub(super) fn add(&mut self, kind: Kind, definition: &str, handler: Handler) {
        self.declared.insert(kind);
        self.offer.add(kind, definition, handler);
    }

    /// The script for a request: one for the capability it names goes before one for its method.
    pub(super) fn script(&self, method: &str, key: Option<&str>) -> Option<Handler> {
        let named = key.and_then(|key| self.scripts.get(&format!("{method} {key}")));
        named.or_else(|| self.scripts.get(method)).cloned()
    }

    /// What a result that may be kept says about that, as literal members.
    pub(super) fn cache_of(&self, method: &str) -> String {
        let kept = self.cache.get(method).or_else(|| self.cache.get(""));
        kept.map(|(ttl, scope)| format!(r#","ttlMs":{ttl},"cacheScope":"{scope}""#))
            .unwrap_or_default()
    }

    /// What is declared, unless the test wrote its own.
    pub(super) fn capabilities(&self) -> String {
        if let Some(capabilities) = &self.capabilities {
            return capabilities.clone();
        }
        let mut members = vec![r#""logging":{},"completions":{}"#];
        if self.declared.contains(&Kind::Tools) {
            members.push(r#""tools":{"listChanged":true}"#);
        }
        if self.offers_resources() {
            members.push(if self.deaf_to_updates {
                r#""resources":{"listChanged":true}"#
            } else {
                r#""resources":{"subscribe":true,"listChanged":true}"#
            });
        }
        if self.declared.contains(&Kind::Prompts) {
            members.push(r#""prompts":{"listChanged":true}"#);
        }
        format!("{{{}}}", members.join(","))
    }

    pub(super) fn offers_resources(&self) -> bool {
        self.declared.contains(&Kind::Resources) || self.declared.contains(&Kind::Templates)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no code panics while it holds the server's state")
}
