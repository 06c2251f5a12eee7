//! An API server that lets objects be watched, and has its moods.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard},
};

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tower::service_fn;

use crate::{
    cluster::{Cluster, WATCH},
    lasting::Lasting,
};

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// The server. Its clones are the same.
#[derive(Clone)]
pub(super) struct Server(Arc<Mutex<State>>);

/// What it holds, and what has been asked of it.
pub(super) struct State {
    /// The MCPServers, by name.
    servers: BTreeMap<String, Value>,
    version: u64,
    watchers: Vec<Watcher>,
    pub(super) mood: Mood,
    /// How many watches and lists were asked for.
    pub(super) asked: usize,
    /// How many of them went on from something that was seen before.
    pub(super) went_on: usize,
    /// The oldest version that a watch can go on from.
    oldest: u64,
}

struct Watcher {
    plural: String,
    events: Sender<Value>,
}

/// How it deals with requests.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mood {
    Answers,
    Refuses(u16),
    /// Each watch ends as soon as it has begun.
    EndsAtOnce,
}

impl Server {
    pub(super) fn new() -> Self {
        let state = State {
            servers: BTreeMap::new(),
            version: 10,
            watchers: Vec::new(),
            mood: Mood::Answers,
            asked: 0,
            went_on: 0,
            oldest: 0,
        };
        Self(Arc::new(Mutex::new(state)))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(super) fn cluster(&self) -> Cluster {
        let server = self.clone();
        let answer = service_fn(move |request: Request<Body>| {
            let answer = server.state().answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        Cluster::answered_by(Client::new(Lasting::new(answer, WATCH), "floor"), "floor")
    }
}

impl State {
    /// Adds a server of the group, or lets it be elsewhere.
    pub(super) fn put(&mut self, name: &str, url: &str) {
        self.version += 1;
        let object = json!({
            "apiVersion": "toolhive.stacklok.dev/v1beta1", "kind": "MCPServer",
            "metadata": {"name": name, "resourceVersion": self.version.to_string()},
            "spec": {"groupRef": {"name": "office"}, "transport": "streamable-http"},
            "status": {"url": url},
        });
        self.servers.insert(name.to_owned(), object.clone());
        let event = json!({"type": "ADDED", "object": object});
        self.watchers.retain(|watcher| {
            watcher.plural != "mcpservers" || watcher.events.try_send(event.clone()).is_ok()
        });
    }

    /// Ends all watches.
    pub(super) fn cut(&mut self) {
        self.watchers.clear();
    }

    /// Ends all watches, and nobody can go on from what was seen.
    pub(super) fn forget(&mut self) {
        self.version += 1;
        self.oldest = self.version;
        let over = json!({"type": "ERROR", "object": status(410)});
        for watcher in self.watchers.drain(..) {
            watcher.events.try_send(over.clone()).unwrap();
        }
    }

    /// Tells no watch anything any more, and ends none.
    pub(super) fn fall_silent(&mut self) {
        for watcher in &mut self.watchers {
            watcher.plural.clear();
        }
    }

    fn answer(&mut self, request: &Request<Body>) -> Answer {
        let query: BTreeMap<_, _> = request
            .uri()
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let plural = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        self.asked += 1;
        if let Mood::Refuses(code) = self.mood {
            return whole(code, &status(code));
        }
        assert_eq!(query.get("watch"), Some(&"true"), "{}", request.uri());
        let from = query.get("resourceVersion").and_then(|version| version.parse::<u64>().ok());
        let (events, coming) = channel(64);
        let mut first = VecDeque::new();
        if query.contains_key("sendInitialEvents") {
            let servers = self.servers.values().filter(|_| plural == "mcpservers");
            first.extend(servers.map(|object| json!({"type": "ADDED", "object": object})));
            first.push_back(self.bookmark());
        } else {
            let from = from.unwrap();
            if from < self.oldest {
                return whole(410, &status(410));
            }
            self.went_on += 1;
            let is_newer = |object: &&Value| {
                let version = object["metadata"]["resourceVersion"].as_str().unwrap();
                plural == "mcpservers" && version.parse::<u64>().unwrap() > from
            };
            let newer = self.servers.values().filter(is_newer);
            first.extend(newer.map(|object| json!({"type": "MODIFIED", "object": object})));
        }
        if self.mood != Mood::EndsAtOnce {
            self.watchers.push(Watcher { plural, events });
        }
        streamed(first, coming)
    }

    /// The end of a list that is streamed.
    fn bookmark(&self) -> Value {
        let metadata = json!({
            "resourceVersion": self.version.to_string(),
            "annotations": {"k8s.io/initial-events-end": "true"},
        });
        json!({"type": "BOOKMARK", "object": {"apiVersion": "v1", "kind": "Any", "metadata": metadata}})
    }
}

fn streamed(first: VecDeque<Value>, coming: Receiver<Value>) -> Answer {
    let coming = stream::unfold(coming, |mut coming| async {
        let event = coming.recv().await?;
        Some((event, coming))
    });
    let frame = |event: Value| Ok(Frame::data(Bytes::from(format!("{event}\n"))));
    let events = stream::iter(first).chain(coming).map(frame);
    Response::new(StreamBody::new(events).boxed_unsync())
}

fn whole(code: u16, body: &Value) -> Answer {
    let body = Full::from(body.to_string()).boxed_unsync();
    // It asks for more patience than anybody has who waits for backends.
    Response::builder().status(code).header("Retry-After", "60").body(body).unwrap()
}

fn status(code: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "message": "no", "reason": "Because",
        "code": code,
    })
}
