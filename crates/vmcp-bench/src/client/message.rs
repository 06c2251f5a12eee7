//! The messages a client sends, and the check of what comes back; pure.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http::header;
use memchr::memmem;
use serde_json::Value;

use super::{Answer, brief};

pub(crate) const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":1000000000,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"vmcp-bench","version":"1"}}}"#;
pub(crate) const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// What a client of the modern era says of itself with each request.
const META: &str = r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"vmcp-bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;

/// The first id of a call. All ids have as many digits, so all answers have the same length.
const FIRST_ID: u64 = 1_000_000_001;
/// One answer in so many is read in full, and of long ones fewer: one in as many as they have times
/// as many bytes. The rest is held against its length, for reading everything would make the load
/// dearer than what is measured, and calls wait for the load.
const READ_IN_FULL: usize = 64;
/// How far from either end of an answer its id is looked for.
const NEAR: usize = 96;

/// A tool of one of many backends, in the middle of them.
const OF_MANY: &str = "b10_tool_0";

/// What is asked for, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// `tools/call` of `echo` with a text of so many bytes.
    Echo(usize),
    /// The same, answered as an event stream.
    Stream(usize),
    /// A short `tools/call` with a result of so many bytes.
    Fill(usize),
    /// The same as `Echo`, of a tool that one of many backends has.
    OfMany(usize),
    /// `tools/list`; all under one id, so that a file can answer it too.
    List,
}

/// Makes one connection's requests and judges their answers.
#[derive(Debug)]
pub(crate) struct Conversation {
    request: Request,
    /// The message before and behind its id.
    parts: (String, String),
    id: u64,
    asked: u64,
    /// Length of the first answer, which was read in full.
    length: Option<usize>,
    /// How many answers are not read in full before the next one is.
    unread: usize,
}

impl Conversation {
    pub(crate) fn new(request: Request) -> Self {
        Self::with(request, "")
    }

    /// The same of a client of the modern era.
    pub(crate) fn modern(request: Request) -> Self {
        Self::with(request, META)
    }

    /// `meta` is a member of the parameters, or nothing.
    fn with(request: Request, meta: &str) -> Self {
        let params = match request {
            Request::Echo(size) => tool("echo", &format!(r#""text":"{}""#, "x".repeat(size)), meta),
            Request::Stream(size) => {
                tool("stream", &format!(r#""text":"{}""#, "x".repeat(size)), meta)
            }
            Request::OfMany(size) => {
                tool(OF_MANY, &format!(r#""text":"{}""#, "x".repeat(size)), meta)
            }
            Request::Fill(size) => tool("fill", &format!(r#""size":{size}"#), meta),
            Request::List if meta.is_empty() => r#","method":"tools/list"}"#.to_owned(),
            Request::List => format!(r#","method":"tools/list","params":{{{}}}}}"#, &meta[1..]),
        };
        let parts = (r#"{"jsonrpc":"2.0","id":"#.to_owned(), params);
        Self { request, parts, id: FIRST_ID, asked: 0, length: None, unread: 0 }
    }

    /// The method, and the tool if one is called.
    pub(crate) fn target(&self) -> (&'static str, Option<&'static str>) {
        match self.request {
            Request::Echo(_) => ("tools/call", Some("echo")),
            Request::Stream(_) => ("tools/call", Some("stream")),
            Request::Fill(_) => ("tools/call", Some("fill")),
            Request::OfMany(_) => ("tools/call", Some(OF_MANY)),
            Request::List => ("tools/list", None),
        }
    }

    /// The next request.
    pub(crate) fn ask(&mut self) -> Bytes {
        if self.asked > 0 && self.request != Request::List {
            self.id += 1;
        }
        self.asked += 1;
        let (before, behind) = &self.parts;
        let mut text = Vec::with_capacity(before.len() + behind.len() + 10);
        text.extend_from_slice(before.as_bytes());
        text.extend_from_slice(self.id.to_string().as_bytes());
        text.extend_from_slice(behind.as_bytes());
        text.into()
    }

    /// Judges the answer to the last request: its id, and its length or all of it.
    pub(crate) fn check(&mut self, answer: &Answer) -> Result<()> {
        let message = payload(answer)?;
        if let Some(unread) = self.unread.checked_sub(1) {
            self.unread = unread;
        } else {
            self.read(answer)?;
            self.unread = READ_IN_FULL.max(message.len() / READ_IN_FULL) - 1;
        }
        let length = *self.length.get_or_insert(message.len());
        ensure!(
            message.len() == length,
            "an answer has {} bytes, the first had {length}",
            message.len()
        );
        ensure!(bears(message, self.id), "an answer bears another id: {}", brief(answer));
        Ok(())
    }

    fn read(&self, answer: &Answer) -> Result<()> {
        let message = whole(answer)?;
        ensure!(message["id"] == self.id, "an answer bears another id: {}", brief(answer));
        let result = &message["result"];
        match self.request {
            Request::Echo(size)
            | Request::Stream(size)
            | Request::Fill(size)
            | Request::OfMany(size) => {
                let text = result.pointer("/content/0/text").and_then(Value::as_str);
                let text = text.with_context(|| format!("no text: {}", brief(answer)))?;
                ensure!(
                    text.len() == size && text.bytes().all(|byte| byte == b'x'),
                    "a text of {size} bytes came back as another of {}",
                    text.len()
                );
            }
            Request::List => {
                let tools = result["tools"].as_array().map_or(0, Vec::len);
                ensure!(tools > 0, "no tools: {}", brief(answer));
            }
        }
        Ok(())
    }
}

/// A whole call of a tool.
pub(crate) fn call(name: &str, arguments: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{FIRST_ID}{}"#, tool(name, arguments, ""))
}

fn tool(name: &str, arguments: &str, meta: &str) -> String {
    format!(
        r#","method":"tools/call","params":{{"name":"{name}","arguments":{{{arguments}}}{meta}}}}}"#
    )
}

/// The answer's JSON-RPC message, parsed.
pub(crate) fn whole(answer: &Answer) -> Result<Value> {
    serde_json::from_slice(payload(answer)?).with_context(|| format!("no JSON: {}", brief(answer)))
}

/// The bytes of the answer's JSON-RPC message; of a stream, the last event's.
fn payload(answer: &Answer) -> Result<&[u8]> {
    let kind = answer.headers.get(header::CONTENT_TYPE);
    let kind = kind.map(|kind| kind.as_bytes()).unwrap_or_default();
    if kind.starts_with(b"application/json") {
        return Ok(&answer.body);
    }
    if !kind.starts_with(b"text/event-stream") {
        bail!("an answer is neither JSON nor a stream: {}", brief(answer));
    }
    let start = memmem::rfind(&answer.body, b"data:");
    let start = start.with_context(|| format!("a stream without data: {}", brief(answer)))?;
    let data = &answer.body[start + b"data:".len()..];
    let end = memchr::memchr(b'\n', data).context("an event that breaks off")?;
    Ok(data[..end].trim_ascii())
}

/// Whether a message bears this id, at its beginning or its end.
fn bears(message: &[u8], id: u64) -> bool {
    let needle = format!("\"id\":{id}");
    let near = message.len().min(NEAR);
    memmem::find(&message[..near], needle.as_bytes()).is_some()
        || memmem::find(&message[message.len() - near..], needle.as_bytes()).is_some()
}

#[cfg(test)]
mod tests;
