//! An API server that knows one object, and an operator that answers what is written to it as the real one does.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use http::{Method, Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::sleep};
use tower::{BoxError, service_fn};

use crate::cluster::Cluster;

const PATH: &str = "/apis/toolhive.stacklok.dev/v1beta1/namespaces/tools/virtualmcpservers/hub";

/// The server. Its clones are the same.
#[derive(Clone)]
pub(super) struct Server {
    state: Arc<Mutex<State>>,
    written: Arc<Notify>,
}

/// What it holds, and what has been asked of it.
pub(super) struct State {
    pub(super) status: Value,
    version: u64,
    pub(super) mood: Mood,
    pub(super) gets: u64,
    /// Writes that were taken.
    pub(super) writes: u64,
    pub(super) conflicts: u64,
    /// Writes of the operator.
    pub(super) answers: u64,
    /// Each state of the server and its backends that readers could see, one after the other.
    pub(super) history: Vec<Value>,
}

/// How it deals with requests.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mood {
    Answers,
    /// Somebody else is always faster.
    Storm,
    Refuses(u16),
    Hangs,
}

impl Server {
    pub(super) fn new() -> Self {
        let state = State {
            status: json!({"phase": "Pending", "message": "made", "url": "http://hub.test"}),
            version: 1,
            mood: Mood::Answers,
            gets: 0,
            writes: 0,
            conflicts: 0,
            answers: 0,
            history: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)), written: Arc::new(Notify::new()) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn cluster(&self) -> Cluster {
        let server = self.clone();
        let answer = service_fn(move |request| {
            let server = server.clone();
            async move { server.answer(request).await }
        });
        Cluster::answered_by(Client::new(answer, "tools"), "tools")
    }

    /// Answers writes with its own message and reason, for ever.
    pub(super) async fn operate(&self) {
        for delay in [10, 400, 150].into_iter().cycle() {
            self.written.notified().await;
            sleep(Duration::from_millis(delay)).await;
            let mut state = self.state();
            let mut after = state.status.clone();
            let entries = after["discoveredBackends"].as_array().cloned().unwrap_or_default();
            let ready = entries.iter().filter(|entry| entry["status"] == "ready").count();
            // It leaves out what is 0.
            if after["backendCount"] == 0 {
                after.as_object_mut().map(|status| status.remove("backendCount"));
            }
            after["message"] = format!("{ready} of {} are up", entries.len()).into();
            if ready < entries.len() {
                after["phase"] = "Degraded".into();
            }
            for condition in after["conditions"].as_array_mut().into_iter().flatten() {
                if condition["type"] == "Ready" {
                    condition["reason"] = "DeploymentReady".into();
                }
            }
            if after != state.status {
                state.answers += 1;
                state.put(after);
            }
        }
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let mood = self.state().mood;
        match mood {
            Mood::Hangs => return std::future::pending().await,
            Mood::Refuses(code) => return Ok(failure(code)),
            Mood::Answers | Mood::Storm => {}
        }
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if head.method == Method::GET && path == PATH {
            let mut state = self.state();
            state.gets += 1;
            return Ok(answer(200, &state.object()));
        }
        assert_eq!((&head.method, path), (&Method::PATCH, format!("{PATH}/status").as_str()));
        assert_eq!(head.headers["content-type"], "application/merge-patch+json");
        let patch: Value = serde_json::from_slice(&body.collect_bytes().await?)?;
        let mut state = self.state();
        if mood == Mood::Storm {
            state.version += 1;
        }
        if patch["metadata"]["resourceVersion"] != *state.version.to_string() {
            state.conflicts += 1;
            return Ok(failure(409));
        }
        let mut status = state.status.clone();
        merge_patch(&mut status, patch["status"].clone());
        state.writes += 1;
        state.put(status);
        let object = state.object();
        drop(state);
        self.written.notify_one();
        Ok(answer(200, &object))
    }
}

impl State {
    fn put(&mut self, status: Value) {
        self.status = status;
        self.version += 1;
        let entries = self.status["discoveredBackends"].as_array().cloned().unwrap_or_default();
        let states: Vec<_> = entries.iter().map(|entry| &entry["status"]).collect();
        // A count that is left out is 0.
        let count = self.status["backendCount"].as_u64().unwrap_or_default();
        let seen = json!([self.status["phase"], states, count]);
        if self.history.last() != Some(&seen) {
            self.history.push(seen);
        }
    }

    fn object(&self) -> Value {
        json!({
            "apiVersion": "toolhive.stacklok.dev/v1beta1",
            "kind": "VirtualMCPServer",
            "metadata": {
                "name": "hub", "namespace": "tools", "generation": 1,
                "resourceVersion": self.version.to_string(),
            },
            "spec": {"groupRef": {"name": "tools"}},
            "status": self.status,
        })
    }
}

/// As RFC 7396 has it.
fn merge_patch(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(&key);
        } else {
            merge_patch(&mut target[key], value);
        }
    }
}

fn answer(code: u16, body: &Value) -> Response<Body> {
    let body = Body::from(serde_json::to_vec(body).unwrap());
    Response::builder().status(code).body(body).unwrap()
}

fn failure(code: u16) -> Response<Body> {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "message": "no",
        "reason": "Because", "code": code,
    });
    answer(code, &status)
}
