//! Turns one record of a script into one response.

use crate::{
    answers::Asked,
    said::{self, message},
    script::Feed,
};

/// What goes over a connection.
#[derive(Debug, Clone)]
pub enum Part {
    Bytes(Vec<u8>),
    /// Milliseconds.
    Pause(u8),
    Close,
}

/// One response.
#[derive(Debug)]
pub struct Played {
    pub parts: Vec<Part>,
    /// Whether another request may follow.
    pub goes_on: bool,
}

/// Parts of one response.
const PARTS: usize = 40;

/// How many operations there are.
const OPERATIONS: u8 = 20;

const STATUSES: &[u16] = &[
    200, 200, 200, 200, 202, 204, 400, 401, 403, 404, 405, 409, 429, 500, 502, 503, 504, 301, 307,
    308, 304, 206, 101, 999,
];

const TYPES: &[&str] = &[
    "application/json",
    "application/json; charset=utf-8",
    "text/event-stream",
    "text/event-stream;charset=utf-8",
    "TEXT/Event-Stream",
    "text/html",
    "application/json, text/event-stream",
    "multipart/mixed",
    "",
];

const LINES: &[&str] = &[
    "mcp-session-id: other",
    "mcp-session-id: ",
    "location: /mcp",
    "location: http://127.0.0.1:1/",
    "retry-after: 0",
    "retry-after: 99999999999999999999",
    "connection: close",
    "content-encoding: gzip",
    "www-authenticate: Bearer error=\"invalid_token\"",
    "transfer-encoding: gzip, chunked",
    "content-length: 3",
    "mcp-protocol-version: 1",
    "x: \u{e9}",
    " folded",
    "no colon",
];

const LINES_OF_STREAMS: &[&str] = &[
    "id: 1\n",
    "id\n",
    "retry: 0\n",
    "retry: 99999999999\n",
    "event: ping\n",
    "event: endpoint\n",
    ": comment\n",
    "\n",
    "data\n",
    "data: \n\n",
    "\r",
    "\u{feff}",
    "data: {}\n\n",
    "event: message\r\n",
    "event: error\ndata: x\n\n",
    "id: 7\ndata:\n\n",
];

impl Played {
    /// A response without a body.
    pub fn head(status: u16) -> Self {
        let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        Self { parts: vec![Part::Bytes(text.into_bytes())], goes_on: true }
    }

    /// An honest one.
    pub fn json(status: u16, body: &str, session: bool) -> Self {
        let session = if session { "mcp-session-id: s\r\n" } else { "" };
        let text = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\n{session}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        Self { parts: vec![Part::Bytes(text.into_bytes())], goes_on: true }
    }
}

/// A message as an event.
pub fn event(message: &str) -> Vec<u8> {
    format!("data: {message}\n\n").into_bytes()
}

/// What a record makes of an answer. Its first four bytes say how it is framed, its type, its status
/// and its header lines; the rest says what it consists of.
pub fn played(mut feed: Feed, asked: &Asked, honest: &str) -> Played {
    let (framing, kind, status, lines) = (feed.next(), feed.next(), feed.next(), feed.next());
    if framing == 255 {
        let parts = vec![Part::Bytes(feed.take(255)), Part::Close];
        return Played { parts, goes_on: false };
    }
    let kind = TYPES[usize::from(kind) % TYPES.len()];
    let is_stream = kind.eq_ignore_ascii_case("text/event-stream") || kind.contains("stream;");
    let status = STATUSES[usize::from(status) % STATUSES.len()];
    let mut head = String::new();
    if lines & 0x40 != 0 {
        head.push_str("HTTP/1.1 100 Continue\r\n\r\n");
    }
    head.push_str(&format!("HTTP/1.{} {status} X\r\n", u8::from(lines & 0x20 == 0)));
    if !kind.is_empty() {
        head.push_str(&format!("content-type: {kind}\r\n"));
    }
    if lines & 0x10 == 0 && asked.method == "initialize" {
        head.push_str("mcp-session-id: s\r\n");
    }
    for _line in 0..lines & 3 {
        head.push_str(&format!("{}\r\n", feed.pick(LINES)));
    }
    let parts = parts(&mut feed, asked, honest, is_stream);
    framed(framing, head, parts)
}

/// What a record makes of an answer where there is one stream for all of them.
pub fn events(mut feed: Feed, asked: &Asked, honest: &str) -> Vec<Part> {
    parts(&mut feed, asked, honest, true)
}

fn framed(framing: u8, mut head: String, parts: Vec<Part>) -> Played {
    let closes = parts.iter().any(|part| matches!(part, Part::Close));
    let mut all = Vec::new();
    let goes_on = match framing % 8 {
        // All at once.
        0..=2 => {
            let whole = parts.iter().filter_map(|part| match part {
                Part::Bytes(bytes) => Some(&bytes[..]),
                Part::Pause(_) | Part::Close => None,
            });
            let whole = whole.collect::<Vec<_>>().concat();
            head.push_str(&format!("content-length: {}\r\n\r\n", whole.len()));
            all.push(Part::Bytes([head.as_bytes(), &whole].concat()));
            !closes
        }
        // In chunks.
        3..=5 => {
            head.push_str("transfer-encoding: chunked\r\n\r\n");
            all.push(Part::Bytes(head.into_bytes()));
            all.extend(parts.into_iter().map(|part| match part {
                Part::Bytes(bytes) => {
                    let size = format!("{:x}\r\n", bytes.len()).into_bytes();
                    Part::Bytes([&size[..], &bytes, b"\r\n"].concat())
                }
                other @ (Part::Pause(_) | Part::Close) => other,
            }));
            all.push(Part::Bytes(b"0\r\n\r\n".to_vec()));
            true
        }
        // Until the end of the connection.
        6 => {
            head.push_str("\r\n");
            all.push(Part::Bytes(head.into_bytes()));
            all.extend(parts);
            false
        }
        // Another length than it has.
        _ => {
            head.push_str(&format!("content-length: {}\r\n\r\n", framing));
            all.push(Part::Bytes(head.into_bytes()));
            all.extend(parts);
            !closes
        }
    };
    Played { parts: all, goes_on }
}

/// What the operations of a script come to.
fn parts(feed: &mut Feed, asked: &Asked, honest: &str, is_stream: bool) -> Vec<Part> {
    let mut parts = Vec::new();
    let write = |text: String| if is_stream { event(&text) } else { text.into_bytes() };
    while !feed.is_over() && parts.len() < PARTS {
        let operation = feed.next() % OPERATIONS;
        if let Some(text) = said::said(operation, feed, asked, honest) {
            parts.push(Part::Bytes(write(text)));
            continue;
        }
        let part = match operation {
            2 => Part::Bytes(spoilt(feed, write(message(asked.id(), honest)))),
            10 => Part::Pause(feed.next() % 8),
            11 => Part::Close,
            // Cut what was last.
            12 => {
                let Some(Part::Bytes(last)) = parts.last_mut() else { continue };
                Part::Bytes(last.split_off(usize::from(feed.next()) % last.len().max(1)))
            }
            13 => Part::Bytes(feed.pick(LINES_OF_STREAMS).as_bytes().to_vec()),
            14 => Part::Bytes(vec![b' '; usize::from(feed.next()) * 512]),
            _ => Part::Bytes(feed.some()),
        };
        let closes = matches!(part, Part::Close);
        parts.push(part);
        if closes {
            break;
        }
    }
    // An empty chunk would be the last.
    parts.retain(|part| !matches!(part, Part::Bytes(bytes) if bytes.is_empty()));
    parts
}

/// Some bytes are exchanged.
fn spoilt(feed: &mut Feed, mut text: Vec<u8>) -> Vec<u8> {
    for _mutation in 0..feed.next() % 4 + 1 {
        let at = usize::from(feed.next()) << 2 | usize::from(feed.next() & 3);
        let at = at % text.len();
        text[at] = feed.next();
    }
    text
}
