//! Records as lines of JSON.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use ring::rand::SecureRandom as _;
use serde_json::{Map, Value};
use vmcp_model::{Digest, Kind, Method, trail::Via};

use crate::{
    EventType, Settings,
    event::{Beginning, Event, Text},
    json::{Object, object, string},
    memo::Memo,
    subjects, text,
};

/// The type of a line that says how many records are missing before it.
pub(crate) const GAP: &str = "audit_gap";

/// Makes lines.
#[derive(Debug)]
pub(crate) struct Lines {
    component: String,
    endpoint: String,
    depth: usize,
    data_size: usize,
    ids: Ids,
    stamp: Stamp,
    /// What records show of the claims of callers.
    callers: Memo<Digest, Arc<Map<String, Value>>>,
    /// What stands for the ids of sessions.
    sessions: Memo<String, [u8; SESSION]>,
}

/// Bytes of the digest of a session's id that records show.
const SESSION: usize = 8;

/// Makes UUIDs of version 4 (RFC 9562) that nobody can guess.
#[derive(Debug)]
struct Ids {
    /// What they are made from: random, and how often something was made.
    seed: [u8; 32],
    count: u64,
    /// What was made with the last one.
    next: Option<[u8; 16]>,
}

/// Shows times. Of those in the same second only the end differs.
#[derive(Debug, Default)]
struct Stamp {
    second: u64,
    text: String,
}

impl Lines {
    /// Fails if the system has no randomness.
    pub(crate) fn new(settings: &Settings) -> Result<Self, ring::error::Unspecified> {
        Ok(Self {
            component: settings.component.clone(),
            endpoint: settings.endpoint.clone(),
            depth: settings.max_delegation_depth,
            data_size: settings.data_size(),
            ids: Ids::new()?,
            stamp: Stamp::default(),
            callers: Memo::new(),
            sessions: Memo::new(),
        })
    }

    /// Appends the line of an event.
    pub(crate) fn push(&mut self, event: &Event, lines: &mut Vec<u8>) {
        let claims = event
            .claims
            .as_ref()
            .map(|claims| self.callers.get(&claims.digest(), || Arc::new(subjects::read(claims))));
        let claims = claims.unwrap_or_default();
        let session = event.text(Text::Session).map(|id| {
            self.sessions.get(id, || {
                let digest = ring::digest::digest(&ring::digest::SHA256, id.as_bytes());
                digest.as_ref().first_chunk().copied().unwrap_or_default()
            })
        });
        let backend = event.backend.as_ref().map(|backend| backend.as_str());
        self.line(event.at, event.event_type.name(), event.outcome.name(), lines, |lines, line| {
            line.text("component", &lines.component);
            line.object("source", |source| write_source(source, event));
            line.object("subjects", |subjects| subjects::write(subjects, event, &claims));
            subjects::write_delegation(line, &claims, lines.depth);
            line.object("target", |target| {
                target.text("endpoint", &lines.endpoint);
                target.text("method", method(event));
                target.any("type", kind(event));
                target.any("name", event.text(Text::Name));
                target.any("backend", backend);
            });
            line.object("metadata", |metadata| {
                metadata.object("extra", |extra| write_extra(extra, event, backend, session));
            });
            lines.data(event, line);
        });
    }

    /// Appends a line that says how many records are missing.
    pub(crate) fn push_gap(&mut self, dropped: u64, out: &mut Vec<u8>) {
        self.line(SystemTime::now(), GAP, "failure", out, |lines, line| {
            line.text("component", &lines.component);
            line.object("source", |source| {
                source.text("type", "local");
                source.text("value", &lines.component);
            });
            line.object("metadata", |metadata| {
                metadata.object("extra", |extra| extra.integer("dropped", dropped));
            });
        });
    }

    /// Appends a line: what each begins with, and these members.
    fn line(
        &mut self,
        at: SystemTime,
        r#type: &'static str,
        outcome: &'static str,
        out: &mut Vec<u8>,
        members: impl FnOnce(&Self, &mut Object<'_>),
    ) {
        self.stamp.set(at);
        let id = self.ids.next();
        object(out, |line| {
            line.text("time", &self.stamp.text);
            line.text("level", "AUDIT");
            line.text("msg", "audit_event");
            write_id(id, line.member("audit_id"));
            line.text("type", r#type);
            line.text("logged_at", &self.stamp.text);
            line.text("outcome", outcome);
            members(self, line);
        });
        out.push(b'\n');
    }

    /// What the request and its answer say, if that is to be shown.
    fn data(&self, event: &Event, line: &mut Object<'_>) {
        let both = [("request", &event.request), ("response", &event.response)];
        if both.iter().all(|(_, data)| data.is_none()) {
            return;
        }
        line.object("data", |object| {
            let mut truncated = false;
            for (name, data) in both {
                if let Some(data) = data {
                    truncated |= self.write_beginning(data, object.member(name));
                }
            }
            if truncated {
                object.member("truncated").extend_from_slice(b"true");
            }
        });
    }

    /// Writes data as it is if it is whole and JSON, else as a text, and gives whether something is missing.
    fn write_beginning(&self, data: &Beginning, out: &mut Vec<u8>) -> bool {
        if let Some(json) = data.is_whole.then(|| text::on_one_line(&data.bytes)).flatten() {
            text::escape_controls(json.as_bytes(), out);
            return false;
        }
        let (shown, is_all) = text::readable(&data.bytes, self.data_size);
        string(&shown, out);
        !data.is_whole || !is_all
    }
}

impl Ids {
    fn new() -> Result<Self, ring::error::Unspecified> {
        let mut seed = [0; 32];
        ring::rand::SystemRandom::new().fill(&mut seed)?;
        Ok(Self { seed, count: 0, next: None })
    }

    fn next(&mut self) -> [u8; 16] {
        let mut id = self.next.take().unwrap_or_else(|| {
            self.count += 1;
            let mut context = ring::digest::Context::new(&ring::digest::SHA256);
            context.update(&self.seed);
            context.update(&self.count.to_be_bytes());
            let made = context.finish();
            let (halves, _) = made.as_ref().as_chunks();
            self.next = Some(halves[1]);
            halves[0]
        });
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        id
    }
}

impl Stamp {
    /// Takes a time as records have it. Before 1970 and after 9999 there is none.
    fn set(&mut self, at: SystemTime) {
        const LAST: Duration = Duration::from_secs(253_402_300_799);
        let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().min(LAST);
        if self.text.is_empty() || self.second != since.as_secs() {
            self.second = since.as_secs();
            let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(self.second);
            self.text = humantime::format_rfc3339_seconds(whole).to_string();
        }
        // `2026-01-31T23:59:59.123Z`: from the 20th byte on.
        const SECONDS: usize = 19;
        self.text.truncate(SECONDS);
        let milliseconds = since.subsec_millis();
        self.text.push('.');
        for digit in [milliseconds / 100, milliseconds / 10 % 10, milliseconds % 10] {
            self.text.push(char::from_digit(digit, 10).unwrap_or_default());
        }
        self.text.push('Z');
    }
}

/// Writes a UUID as a JSON string.
fn write_id(id: [u8; 16], out: &mut Vec<u8>) {
    out.push(b'"');
    for (place, part) in
        [&id[..4], &id[4..6], &id[6..8], &id[8..10], &id[10..]].into_iter().enumerate()
    {
        if place > 0 {
            out.push(b'-');
        }
        text::hex(part, out);
    }
    out.push(b'"');
}

fn write_source(source: &mut Object<'_>, event: &Event) {
    source.text("type", "network");
    source.shown("value", event.address.to_canonical());
    let [agent, request] = [Text::UserAgent, Text::RequestId].map(|text| event.text(text));
    if agent.is_some() || request.is_some() {
        source.object("extra", |extra| {
            extra.any("user_agent", agent);
            extra.any("request_id", request);
        });
    }
}

fn write_extra(
    extra: &mut Object<'_>,
    event: &Event,
    backend: Option<&str>,
    session: Option<[u8; SESSION]>,
) {
    // In whole microseconds: more digits tell nothing.
    let duration = (event.took.as_secs_f64() * 1e6).round() / 1e3;
    serde_json::to_writer(extra.member("duration_ms"), &duration).expect("it is a number");
    let is_stream = event.is_streamed || event.via == Via::Get;
    extra.text("transport", if is_stream { "sse" } else { "http" });
    extra.integer("response_size_bytes", event.bytes);
    extra.any("backend_name", backend);
    if let Some(code) = event.code {
        extra.integer("jsonrpc_error_code", code);
    }
    extra.any("jsonrpc_error_message", event.text(Text::Message));
    extra.any("reason", event.reason);
    if let Some(status) = event.status {
        extra.integer("http_status", status);
    }
    if let Some((trace, _)) = event.trace {
        extra.hex("trace_id", &trace);
    }
    if let Some(session) = session {
        extra.hex("session", &session);
    }
}

/// The method of MCP, or of HTTP where there is none.
fn method(event: &Event) -> &str {
    match event.method {
        Some(Method::Other) => event.text(Text::MethodName).unwrap_or(Method::Other.name()),
        Some(method) => method.name(),
        None => match event.via {
            Via::Post => "POST",
            Via::Get => "GET",
            Via::Delete => "DELETE",
        },
    }
}

/// What kind of thing is used.
fn kind(event: &Event) -> Option<&'static str> {
    match event.event_type {
        EventType::ToolCall | EventType::ToolsList => Some("tool"),
        EventType::ResourceRead | EventType::ResourcesList => Some("resource"),
        EventType::PromptGet | EventType::PromptsList => Some("prompt"),
        _ => Some(match event.kind? {
            Kind::Tool => "tool",
            Kind::Resource | Kind::ResourceTemplate => "resource",
            Kind::Prompt => "prompt",
        }),
    }
}
