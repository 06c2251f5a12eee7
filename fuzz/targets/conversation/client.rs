//! The client: whatever comes back is held to what a client can rely on.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::BytesMut;
use serde_json::{Value, json, value::RawValue};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use vmcp_http1::{Decoder, HeadScan, Piece, ResponseHead};
use vmcp_wire::sse;

use crate::script::Setup;

/// A client of either era.
pub struct Client {
    server: SocketAddr,
    setup: Setup,
    session: Option<String>,
    next: AtomicU64,
}

/// The members of the response to a request, as JSON.
pub type Answer = BTreeMap<String, String>;

impl Client {
    /// A client; a legacy one has opened its session.
    pub async fn open(server: SocketAddr, setup: Setup) -> Self {
        let mut client = Self { server, setup, session: None, next: AtomicU64::new(1) };
        if setup.client_is_modern() {
            return client;
        }
        let params = json!({
            "protocolVersion": "2025-11-25", "capabilities": client.capabilities(),
            "clientInfo": {"name": "fuzz", "version": "1"},
        });
        let mut connection = client.send("initialize", Some("0"), params).await;
        let (head, mut buffer) = head(&mut connection).await;
        let session = head.response.headers().get("mcp-session-id");
        let session = session.expect("a session is opened, whatever backends do");
        client.session = Some(session.to_str().expect("plain text").to_owned());
        let answer = client.answer(&mut connection, &head, &mut buffer, "0").await;
        assert!(answer.is_some_and(|answer| answer.contains_key("result")), "it cannot be opened");
        client.tell("notifications/initialized", json!({})).await;
        client
    }

    /// The answer to a request; `None` if a long one was cut off.
    pub async fn request(&self, method: &str, params: Value) -> Option<Answer> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let id = if number & 1 == 0 { number.to_string() } else { format!("\"c{number}\"") };
        let mut connection = self.send(method, Some(&id), params).await;
        let (head, mut buffer) = head(&mut connection).await;
        self.answer(&mut connection, &head, &mut buffer, &id).await
    }

    /// Sends a request and goes away.
    pub async fn abandon(&self, method: &str, params: Value) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        drop(self.send(method, Some(&number.to_string()), params).await);
    }

    pub async fn tell(&self, method: &str, params: Value) {
        let mut connection = self.send(method, None, params).await;
        let (head, _buffer) = head(&mut connection).await;
        assert!(head.response.status().is_success(), "{:?}", head.response);
    }

    /// Reads the stream of changes, and answers what is asked there.
    pub async fn listen(&self) {
        let mut connection = match &self.session {
            None => {
                let wanted = json!({
                    "toolsListChanged": true, "resourcesListChanged": true,
                    "promptsListChanged": true, "resourceSubscriptions": ["evil://r"],
                });
                let params = json!({"notifications": wanted});
                self.send("subscriptions/listen", Some("\"listen\""), params).await
            }
            Some(session) => {
                let text = format!(
                    "GET /mcp HTTP/1.1\r\nhost: localhost\r\naccept: text/event-stream\r\nmcp-session-id: {session}\r\nmcp-protocol-version: 2025-11-25\r\n\r\n"
                );
                self.write(text.as_bytes()).await
            }
        };
        let (head, mut buffer) = head(&mut connection).await;
        let mut decoder = Decoder::new(head.length);
        let (mut events, mut read) = (sse::Decoder::new(1 << 20), Vec::new());
        loop {
            match decoder.decode(&mut buffer).expect("vmcp writes good bodies") {
                Piece::Data(data) => events.feed(&data, &mut read).expect("no event is too long"),
                Piece::End => return,
                Piece::Starved => match connection.read_buf(&mut buffer).await {
                    Ok(count) if count > 0 => {}
                    // The session may have ended meanwhile.
                    Ok(_) | Err(_) => return,
                },
            }
            for event in read.drain(..).filter(|event| !event.data.is_empty()) {
                self.hear(&message(&event.data)).await;
            }
        }
    }

    /// Ends the session.
    pub async fn close(&self) {
        let Some(session) = &self.session else { return };
        let text = format!(
            "DELETE /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nmcp-session-id: {session}\r\n\r\n"
        );
        let mut connection = self.write(text.as_bytes()).await;
        let (head, _buffer) = head(&mut connection).await;
        assert!(head.response.status().is_success(), "{:?}", head.response);
    }

    fn capabilities(&self) -> Value {
        if self.setup.is_capable() {
            json!({"sampling": {}, "roots": {"listChanged": true}, "elicitation": {"form": {}, "url": {}}})
        } else {
            json!({})
        }
    }

    async fn send(&self, method: &str, id: Option<&str>, mut params: Value) -> TcpStream {
        let mut lines = String::new();
        if self.setup.client_is_modern() {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "fuzz", "version": "1"},
                "io.modelcontextprotocol/clientCapabilities": self.capabilities(),
            });
            lines
                .push_str(&format!("mcp-protocol-version: 2026-07-28\r\nmcp-method: {method}\r\n"));
            if let Some(name) = params["name"].as_str().or_else(|| params["uri"].as_str()) {
                lines.push_str(&format!("mcp-name: {name}\r\n"));
            }
        } else {
            params["_meta"] = json!({"progressToken": id.unwrap_or("none")});
            if let Some(session) = &self.session {
                lines.push_str(&format!(
                    "mcp-session-id: {session}\r\nmcp-protocol-version: 2025-11-25\r\n"
                ));
            }
        }
        let id = id.map(|id| format!(r#""id":{id},"#)).unwrap_or_default();
        self.post(
            &lines,
            &format!(r#"{{"jsonrpc":"2.0",{id}"method":"{method}","params":{params}}}"#),
        )
        .await
    }

    async fn post(&self, lines: &str, body: &str) -> TcpStream {
        let text = format!(
            "POST /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\naccept: application/json, text/event-stream\r\ncontent-type: application/json\r\n{lines}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        self.write(text.as_bytes()).await
    }

    async fn write(&self, text: &[u8]) -> TcpStream {
        let mut connection = TcpStream::connect(self.server).await.expect("vmcp listens");
        connection.write_all(text).await.expect("vmcp reads");
        connection
    }

    /// Reads the answer, and answers what is asked before it comes.
    async fn answer(
        &self,
        connection: &mut TcpStream,
        head: &ResponseHead,
        buffer: &mut BytesMut,
        id: &str,
    ) -> Option<Answer> {
        let kind = head.response.headers().get("content-type");
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default().to_owned();
        let mut decoder = Decoder::new(head.length);
        let mut events = kind.starts_with("text/event-stream").then(|| sse::Decoder::new(1 << 20));
        let (mut whole, mut answer, mut read) = (Vec::new(), None, Vec::new());
        loop {
            match decoder.decode(buffer).expect("vmcp writes good bodies") {
                Piece::Data(data) => match &mut events {
                    None => whole.extend_from_slice(&data),
                    Some(events) => events.feed(&data, &mut read).expect("no event is too long"),
                },
                Piece::End => break,
                Piece::Starved => {
                    let count = connection.read_buf(buffer).await.unwrap_or(0);
                    if count == 0 && decoder.closed().is_err() {
                        // What was begun cannot be taken back.
                        let cut = events.is_none() && whole.len() > 16 << 10;
                        assert!(
                            cut,
                            "the answer is cut off: {:?}",
                            String::from_utf8_lossy(&whole)
                        );
                        return None;
                    }
                }
            }
            for event in read.drain(..).filter(|event| !event.data.is_empty()) {
                assert!(answer.is_none(), "something comes behind the answer");
                let message = message(&event.data);
                if message.contains_key("method") {
                    self.hear(&message).await;
                } else {
                    answer = Some(message);
                }
            }
        }
        let answer = match events {
            None => message(&whole),
            Some(_) => answer.expect("a stream ends with its answer"),
        };
        assert_eq!(answer.get("id").map(String::as_str), Some(id), "{answer:?}");
        assert!(answer.contains_key("result") != answer.contains_key("error"), "{answer:?}");
        Some(answer)
    }

    /// Answers a question: a call rests while one is open, so it must not stay so.
    async fn hear(&self, message: &Answer) {
        let Some(id) = message.get("id") else { return };
        let session = self.session.as_deref().expect("modern clients are not asked");
        let lines = format!("mcp-session-id: {session}\r\nmcp-protocol-version: 2025-11-25\r\n");
        let answer = match self.setup.declines() {
            true => r#""error":{"code":-1,"message":"no"}"#,
            false => r#""result":{"action":"decline"}"#,
        };
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},{answer}}}"#);
        let mut connection = self.post(&lines, &body).await;
        let (_head, _buffer) = head(&mut connection).await;
    }
}

/// A message as its reader has it: JSON-RPC, each member once.
fn message(text: &[u8]) -> Answer {
    let shown = || String::from_utf8_lossy(&text[..text.len().min(2000)]).into_owned();
    let read = serde_json::from_slice::<BTreeMap<String, &RawValue>>(text);
    let read = read.unwrap_or_else(|error| panic!("no message: {error}: {}", shown()));
    let members = read.into_iter().map(|(name, value)| (name, value.get().to_owned()));
    let members: Answer = members.collect();
    assert_eq!(members.get("jsonrpc").map(String::as_str), Some("\"2.0\""), "{}", shown());
    members
}

async fn head(connection: &mut TcpStream) -> (ResponseHead, BytesMut) {
    let (mut scan, mut buffer) = (HeadScan::default(), BytesMut::new());
    loop {
        if let Some(head) = scan.response(&mut buffer).expect("vmcp writes good heads") {
            return (head, buffer);
        }
        let read = connection.read_buf(&mut buffer).await.expect("vmcp answers");
        assert!(read > 0, "vmcp closes a connection without an answer");
    }
}
