//! One server for every transport that says literally what a call tells it: whole classes of lies and
//! floods are tables of texts before it.
//!
//! Its tool `say` takes `{"before": TEXT, "fill": TEXT, "times": N, "after": TEXT}` and writes the first,
//! the second so often, and the last, with the id of the call for `$id`; without `times`, the second for
//! as long as somebody reads. `count` counts its calls in a session.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::{
    CHILD,
    body::{self, Feed, ReplyBody},
    host::{Host, Life},
};

/// Where a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// As the body of an answer of type `application/json`.
    Json,
    /// As the body of an answer of type `text/event-stream`.
    Sse,
    /// On the GET stream of the session, before the call is answered properly.
    Get,
    /// On the stream of HTTP+SSE.
    HttpSse,
    /// On standard output of a program.
    Stdio,
}

/// A server that runs. It ends when this value is dropped.
pub struct Literal {
    way: Way,
    host: Option<Host>,
    state: Arc<State>,
}

/// Bytes that a flood writes at once.
const PIECE: usize = 64 << 10;

/// What has been opened, by session.
#[derive(Default)]
struct State {
    sessions: Mutex<HashMap<String, Session>>,
    begun: AtomicUsize,
    answers: AtomicUsize,
}

#[derive(Default)]
struct Session {
    count: u32,
    stream: Option<Feed>,
}

impl Way {
    pub const ALL: [Self; 5] = [Self::Json, Self::Sse, Self::Get, Self::HttpSse, Self::Stdio];

    /// A message as it stands there.
    pub fn framed(self, message: &str) -> String {
        match self {
            Self::Json => message.to_owned(),
            Self::Sse | Self::Get | Self::HttpSse => format!("data: {message}\n\n"),
            Self::Stdio => format!("{message}\n"),
        }
    }

    /// Whether there can be more than one message.
    pub fn is_stream(self) -> bool {
        self != Self::Json
    }
}

impl Literal {
    /// Starts a server that writes there.
    pub async fn start(way: Way) -> io::Result<Self> {
        if way == Way::Stdio {
            return Ok(Self { way, host: None, state: Arc::default() });
        }
        let (life, state): (Life, Arc<State>) = Default::default();
        let (tasks, kept) = (life.clone(), Arc::clone(&state));
        let host = Host::http(0, life, move |request| {
            let (state, life) = (Arc::clone(&kept), tasks.clone());
            async move { respond(way, &state, &life, request).await }
        });
        Ok(Self { way, host: Some(host.await?), state })
    }

    /// How many sessions have a stream open.
    pub fn streams(&self) -> usize {
        let sessions = self.state.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let is_open =
            |session: &&Session| session.stream.as_ref().is_some_and(|it| !it.is_closed());
        sessions.values().filter(is_open).count()
    }

    /// How often something that it has asked was answered.
    pub fn answers(&self) -> usize {
        self.state.answers.load(Ordering::Relaxed)
    }

    /// Forgets its sessions.
    pub fn forget_sessions(&self) {
        self.state.sessions.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The configuration of a backend of this name.
    pub fn backend(&self, name: &str) -> String {
        match &self.host {
            None => format!("name: {name}, command: python3, args: ['{CHILD}']"),
            Some(host) if self.way == Way::HttpSse => {
                format!("name: {name}, url: '{}', transport: sse", host.url())
            }
            Some(host) => format!("name: {name}, url: '{}'", host.url()),
        }
    }
}

async fn respond(
    way: Way,
    state: &Arc<State>,
    life: &Life,
    request: Request<Incoming>,
) -> io::Result<Response<ReplyBody>> {
    let session = match request.headers().get("mcp-session-id") {
        Some(id) => id.to_str().unwrap_or_default().to_owned(),
        None => request.uri().query().unwrap_or_default().to_owned(),
    };
    if request.method() == Method::GET {
        return Ok(open(way, state, session).await);
    }
    if request.method() != Method::POST {
        return Ok(reply(StatusCode::OK, None, body::whole("")));
    }
    let body = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    let asked: Value = serde_json::from_slice(&body)?;
    state.answers.fetch_add(usize::from(asked.get("result").is_some()), Ordering::Relaxed);
    let Some(id) = asked.get("id").filter(|_| asked.get("method").is_some()) else {
        return Ok(reply(StatusCode::ACCEPTED, None, body::whole("")));
    };
    if asked["method"] != "initialize" && way != Way::HttpSse && !state.knows(&session) {
        return Ok(reply(StatusCode::NOT_FOUND, None, body::whole("")));
    }
    if asked["params"]["name"] == "say" {
        let text = Text::of(&asked["params"]["arguments"], id);
        return Ok(say(way, state, life, &session, text, id).await);
    }
    let answer = json!({"jsonrpc": "2.0", "id": id, "result": state.result(&session, &asked)});
    if way == Way::HttpSse {
        state.tell(&session, Way::HttpSse.framed(&answer.to_string())).await;
        return Ok(reply(StatusCode::ACCEPTED, None, body::whole("")));
    }
    let mut reply = whole(&answer);
    if asked["method"] == "initialize" {
        let session = state.begin();
        reply.headers_mut().insert("mcp-session-id", session.parse().map_err(io::Error::other)?);
    }
    Ok(reply)
}

async fn open(way: Way, state: &State, mut session: String) -> Response<ReplyBody> {
    let (feed, stream) = body::fed(());
    if way == Way::HttpSse {
        session = state.begin();
        let endpoint = format!("event: endpoint\ndata: /mcp?{session}\n\n");
        let _taken = feed.send(Ok(endpoint.into())).await;
    }
    state.with(&session, |session| session.stream = Some(feed));
    reply(StatusCode::OK, Some("text/event-stream"), stream)
}

async fn say(
    way: Way,
    state: &Arc<State>,
    life: &Life,
    session: &str,
    text: Text,
    id: &Value,
) -> Response<ReplyBody> {
    match way {
        Way::Json | Way::Sse => {
            let (feed, stream) = body::fed(());
            life.spawn(async move { text.write(&feed).await });
            let kind = if way == Way::Json { "application/json" } else { "text/event-stream" };
            reply(StatusCode::OK, Some(kind), stream)
        }
        Way::Get | Way::HttpSse | Way::Stdio => {
            // Opened beside the calls.
            let mut stream = state.with(session, |session| session.stream.clone());
            for _look in 0..200 {
                if stream.is_some() {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                stream = state.with(session, |session| session.stream.clone());
            }
            if let Some(stream) = stream {
                if way == Way::Get && text.times.is_some() {
                    text.write(&stream).await;
                } else {
                    life.spawn(async move { text.write(&stream).await });
                }
            }
            if way == Way::HttpSse {
                return reply(StatusCode::ACCEPTED, None, body::whole(""));
            }
            let said = json!({"content": [{"type": "text", "text": "said"}]});
            whole(&json!({"jsonrpc": "2.0", "id": id, "result": said}))
        }
    }
}

/// What is written.
struct Text {
    before: String,
    fill: String,
    times: Option<u64>,
    after: String,
}

impl Text {
    fn of(arguments: &Value, id: &Value) -> Self {
        let part = |name: &str| {
            let text = arguments[name].as_str().unwrap_or_default();
            text.replace("$id", &id.to_string())
        };
        let times = arguments["times"].as_u64();
        Self { before: part("before"), fill: part("fill"), times, after: part("after") }
    }

    async fn write(self, feed: &Feed) {
        let _gone = self.put(feed).await;
    }

    async fn put(self, feed: &Feed) -> Option<()> {
        let send = async |text: Bytes| feed.send(Ok(text)).await.ok();
        send(self.before.into()).await?;
        let at_once = (PIECE / self.fill.len().max(1)).max(1) as u64;
        let piece = Bytes::from(self.fill.repeat(usize::try_from(at_once).unwrap_or(1)));
        let mut left = self.times.unwrap_or(u64::MAX);
        while left > 0 && !self.fill.is_empty() {
            let now = left.min(at_once);
            let length = self.fill.len() * usize::try_from(now).unwrap_or(1);
            send(piece.slice(..length)).await?;
            left -= now;
        }
        send(self.after.into()).await
    }
}

impl State {
    fn begin(&self) -> String {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let id = format!("session-{}", self.begun.fetch_add(1, Ordering::Relaxed));
        sessions.insert(id.clone(), Session::default());
        id
    }

    fn knows(&self, session: &str) -> bool {
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.contains_key(session)
    }

    fn with<T>(&self, session: &str, work: impl FnOnce(&mut Session) -> T) -> T {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        work(sessions.entry(session.to_owned()).or_default())
    }

    async fn tell(&self, session: &str, text: String) {
        if let Some(stream) = self.with(session, |session| session.stream.clone()) {
            let _gone = stream.send(Ok(text.into())).await;
        }
    }

    fn result(&self, session: &str, asked: &Value) -> Value {
        let tool = |name: &str| json!({"name": name, "inputSchema": {"type": "object"}});
        match asked["method"].as_str().unwrap_or_default() {
            "initialize" => json!({
                "protocolVersion": asked["params"]["protocolVersion"],
                "capabilities": {"tools": {"listChanged": true}, "logging": {}},
                "serverInfo": {"name": "literal", "version": "1"},
            }),
            "tools/list" => json!({"tools": [tool("say"), tool("count")]}),
            "tools/call" => {
                let count = self.with(session, |session| {
                    session.count += 1;
                    session.count
                });
                json!({"content": [{"type": "text", "text": count.to_string()}]})
            }
            _ => json!({}),
        }
    }
}

fn whole(answer: &Value) -> Response<ReplyBody> {
    reply(StatusCode::OK, Some("application/json"), body::whole(answer.to_string()))
}

fn reply(status: StatusCode, kind: Option<&'static str>, body: ReplyBody) -> Response<ReplyBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    }
    response
}
