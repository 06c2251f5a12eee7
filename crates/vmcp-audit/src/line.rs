//! Records as lines of JSON.

use std::time::{Duration, SystemTime};

use ring::rand::SecureRandom as _;
use serde::Serialize;
use serde_json::value::RawValue;
use vmcp_model::{Kind, Method, trail::Via};

use crate::{
    EventType, Settings,
    event::{Beginning, Event, Text},
    subjects::{self, Delegation, Subjects},
    text,
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
    /// What ids are made from: random, and how many there were.
    seed: [u8; 32],
    count: u64,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    time: &'a str,
    level: &'static str,
    msg: &'static str,
    audit_id: String,
    r#type: &'static str,
    logged_at: &'a str,
    outcome: &'static str,
    component: &'a str,
    source: Source<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subjects: Option<Subjects<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delegation: Option<Delegation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Target<'a>>,
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

#[derive(Debug, Serialize)]
struct Source<'a> {
    r#type: &'static str,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<SourceExtra<'a>>,
}

#[derive(Debug, Serialize)]
struct SourceExtra<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Target<'a> {
    endpoint: &'a str,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Metadata<'a> {
    extra: Extra<'a>,
}

#[derive(Debug, Default, Serialize)]
struct Extra<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_size_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jsonrpc_error_code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jsonrpc_error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    /// How many records are missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Data {
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
}

impl Lines {
    /// Fails if the system has no randomness.
    pub(crate) fn new(settings: &Settings) -> Result<Self, ring::error::Unspecified> {
        let mut seed = [0; 32];
        ring::rand::SystemRandom::new().fill(&mut seed)?;
        Ok(Self {
            component: settings.component.clone(),
            endpoint: settings.endpoint.clone(),
            depth: settings.max_delegation_depth,
            data_size: settings.data_size(),
            seed,
            count: 0,
        })
    }

    /// Appends the line of an event.
    pub(crate) fn push(&mut self, event: &Event, lines: &mut Vec<u8>) -> serde_json::Result<()> {
        let at = stamp(event.at).to_string();
        let claims = subjects::claims(event);
        let backend = event.backend.as_ref().map(|backend| backend.as_str());
        let source = SourceExtra {
            user_agent: event.text(Text::UserAgent),
            request_id: event.text(Text::RequestId),
        };
        let has_extra = source.user_agent.is_some() || source.request_id.is_some();
        let line = Line {
            time: &at,
            level: "AUDIT",
            msg: "audit_event",
            audit_id: self.next_id(),
            r#type: event.event_type.name(),
            logged_at: &at,
            outcome: event.outcome.name(),
            component: &self.component,
            source: Source {
                r#type: "network",
                value: event.address.to_canonical().to_string(),
                extra: has_extra.then_some(source),
            },
            subjects: Some(Subjects::new(event, &claims)),
            delegation: Delegation::new(&claims, self.depth),
            target: Some(Target {
                endpoint: &self.endpoint,
                method: method(event),
                r#type: kind(event),
                name: event.text(Text::Name),
                backend,
            }),
            metadata: Metadata { extra: extra(event, backend) },
            data: self.data(event),
        };
        write(&line, lines)
    }

    /// Appends a line that says how many records are missing.
    pub(crate) fn push_gap(&mut self, dropped: u64, lines: &mut Vec<u8>) -> serde_json::Result<()> {
        let at = stamp(SystemTime::now()).to_string();
        let line = Line {
            time: &at,
            level: "AUDIT",
            msg: "audit_event",
            audit_id: self.next_id(),
            r#type: GAP,
            logged_at: &at,
            outcome: "failure",
            component: &self.component,
            source: Source { r#type: "local", value: self.component.clone(), extra: None },
            subjects: None,
            delegation: None,
            target: None,
            metadata: Metadata { extra: Extra { dropped: Some(dropped), ..Extra::default() } },
            data: None,
        };
        write(&line, lines)
    }

    /// A UUID of version 4 (RFC 9562) that nobody can guess.
    fn next_id(&mut self) -> String {
        self.count += 1;
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(&self.seed);
        context.update(&self.count.to_be_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&context.finish().as_ref()[..16]);
        id[6] = id[6] & 0x0f | 0x40;
        id[8] = id[8] & 0x3f | 0x80;
        let digits = text::hex(&id);
        let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
        parts.join("-")
    }

    fn data(&self, event: &Event) -> Option<Data> {
        let mut truncated = false;
        let mut shown = |data: &Option<Beginning>| {
            let data = data.as_ref()?;
            let json = data.is_whole.then(|| text::on_one_line(&data.bytes)).flatten();
            let json = json.map_or_else(
                || {
                    let (text, is_all) = text::readable(&data.bytes, self.data_size);
                    truncated |= !data.is_whole || !is_all;
                    serde_json::to_string(&text)
                },
                Ok,
            );
            RawValue::from_string(json.ok()?).ok()
        };
        let (request, response) = (shown(&event.request), shown(&event.response));
        let is_shown = request.is_some() || response.is_some();
        is_shown.then_some(Data { request, response, truncated: truncated.then_some(true) })
    }
}

fn extra<'a>(event: &'a Event, backend: Option<&'a str>) -> Extra<'a> {
    // In whole microseconds: more digits tell nothing.
    let duration = (event.took.as_secs_f64() * 1e6).round() / 1e3;
    let session = |id: &str| {
        let digest = ring::digest::digest(&ring::digest::SHA256, id.as_bytes());
        text::hex(&digest.as_ref()[..8])
    };
    Extra {
        duration_ms: Some(duration),
        transport: Some(if event.is_streamed || event.via == Via::Get { "sse" } else { "http" }),
        response_size_bytes: Some(event.bytes),
        backend_name: backend,
        jsonrpc_error_code: event.code,
        jsonrpc_error_message: event.text(Text::Message),
        reason: event.reason,
        http_status: event.status,
        trace_id: event.trace.map(|(trace, _)| text::hex(&trace)),
        session: event.text(Text::Session).map(session),
        dropped: None,
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

fn write(line: &Line<'_>, lines: &mut Vec<u8>) -> serde_json::Result<()> {
    let start = lines.len();
    let written = serde_json::to_writer(&mut *lines, line);
    if written.is_err() {
        lines.truncate(start);
        return written;
    }
    if lines[start..].iter().any(|byte| *byte >= 0x7f) {
        let line = lines.split_off(start);
        text::escape_controls(&line, lines);
    }
    lines.push(b'\n');
    written
}

/// A time as records have it. Before 1970 and after 9999 there is none.
fn stamp(at: SystemTime) -> humantime::Rfc3339Timestamp {
    let last = SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_millis(at.clamp(SystemTime::UNIX_EPOCH, last))
}
