//! A session of a raw server: what its client said, its GET stream, its open questions.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{BuildHasher, RandomState},
    io,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::call::notification;

/// How many messages a GET stream can replay.
const REPLAY: usize = 1_000;

/// One client's session. Made by `initialize`, ended by DELETE.
#[derive(Debug)]
pub struct Session {
    id: String,
    version: String,
    initialize: Bytes,
    state: Mutex<State>,
    next_question: AtomicU64,
    /// For handlers that count something in each session.
    pub count: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    level: Option<String>,
    subscriptions: BTreeSet<String>,
    questions: BTreeMap<String, oneshot::Sender<Bytes>>,
    calls: BTreeMap<String, CancellationToken>,
    stream: Option<mpsc::Sender<(u64, Bytes)>>,
    sent: VecDeque<(u64, Bytes)>,
    last_event: u64,
}

impl Session {
    pub(super) fn new(version: String, initialize: Bytes) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Relaxed);
        Self {
            id: format!("raw-{number}-{:016x}", RandomState::new().hash_one(number)),
            version,
            initialize,
            state: Mutex::default(),
            next_question: AtomicU64::new(0),
            count: AtomicU64::new(0),
        }
    }

    /// Its `Mcp-Session-Id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The protocol version agreed on.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The `params` of the `initialize` request, as the client wrote them.
    pub fn initialize(&self) -> &Bytes {
        &self.initialize
    }

    /// The level that the client last set.
    pub fn log_level(&self) -> Option<String> {
        self.lock().level.clone()
    }

    /// The resources that the client is subscribed to.
    pub fn subscriptions(&self) -> Vec<String> {
        self.lock().subscriptions.iter().cloned().collect()
    }

    /// Whether a GET stream is open.
    pub fn listens(&self) -> bool {
        self.lock().stream.as_ref().is_some_and(|stream| !stream.is_closed())
    }

    /// Sends a notification on the GET stream; without one it is only kept for a replay.
    pub async fn notify(&self, method: &str, params: &str) {
        self.push(notification(method, params)).await;
    }

    /// Asks the client something on the GET stream and waits for its answer, which is returned as
    /// the whole message that the client posted.
    pub async fn ask(&self, method: &str, params: &str) -> io::Result<Bytes> {
        let (question, answer) = self.question(method, params);
        self.push(question).await;
        answer.await.map_err(io::Error::other)
    }

    /// Questions are numbered from 0 in every session, so that any two servers use the same ids.
    pub(super) fn question(&self, method: &str, params: &str) -> (Bytes, oneshot::Receiver<Bytes>) {
        let id = self.next_question.fetch_add(1, Relaxed);
        let (answer, answered) = oneshot::channel();
        self.lock().questions.insert(id.to_string(), answer);
        let params =
            if params.is_empty() { String::new() } else { format!(r#","params":{params}"#) };
        let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"{params}}}"#);
        (message.into(), answered)
    }

    /// Takes a client's answer; `false` if nothing with that id was asked.
    pub(super) fn answered(&self, id: &str, message: Bytes) -> bool {
        let question = self.lock().questions.remove(id);
        question.is_some_and(|question| question.send(message).is_ok())
    }

    pub(super) fn set_log_level(&self, level: String) {
        self.lock().level = Some(level);
    }

    pub(super) fn subscribe(&self, uri: String) {
        self.lock().subscriptions.insert(uri);
    }

    pub(super) fn unsubscribe(&self, uri: &str) {
        self.lock().subscriptions.remove(uri);
    }

    pub(super) fn begin_call(&self, id: &str) -> CancellationToken {
        let token = CancellationToken::new();
        self.lock().calls.insert(id.to_owned(), token.clone());
        token
    }

    pub(super) fn end_call(&self, id: &str) {
        self.lock().calls.remove(id);
    }

    pub(super) fn cancel_call(&self, id: &str) {
        if let Some(token) = self.lock().calls.get(id) {
            token.cancel();
        }
    }

    /// Opens a GET stream in place of an earlier one; what came after `last_event` is replayed.
    pub(super) fn listen(&self, last_event: Option<u64>) -> mpsc::Receiver<(u64, Bytes)> {
        let (stream, events) = mpsc::channel(REPLAY + 16);
        let mut state = self.lock();
        if let Some(last_event) = last_event {
            for event in state.sent.iter().filter(|(number, _)| *number > last_event) {
                // The channel holds more than can be replayed.
                let _ = stream.try_send(event.clone());
            }
        }
        state.stream = Some(stream);
        events
    }

    /// Ends the GET stream, as a server does when the session is over.
    pub(super) fn hang_up(&self) {
        self.lock().stream = None;
    }

    async fn push(&self, message: Bytes) {
        let (stream, event) = {
            let mut state = self.lock();
            state.last_event += 1;
            let event = (state.last_event, message);
            if state.sent.len() == REPLAY {
                state.sent.pop_front();
            }
            state.sent.push_back(event.clone());
            (state.stream.clone(), event)
        };
        if let Some(stream) = stream {
            // A client that left will ask for a replay.
            let _ = stream.send(event).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds a session")
    }
}
