//! The rules of HTTP for servers, each as what a client sends and what it must get.
//!
//! Every rule has a connection of its own. Over HTTP/1.1 a harmless request follows at once what the rule
//! is about: it is answered if, and only if, the connection is still in step.

use std::{fmt, time::Duration};

use anyhow::{Context, Result};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, ToSocketAddrs},
    time::timeout,
};

use super::http2::{Connection, kind};

mod http1;
mod http2;

pub use http1::http1;
pub use http2::http2;

/// How long a rule may take before it counts as broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// The request that follows.
const PROBE: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Where it stands, and what it is about.
    pub says: String,
    /// What the client sends.
    pub sent: Vec<u8>,
    pub gets: Gets,
}

/// What a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gets {
    /// This status, and the connection is in step.
    Then(u16),
    /// This status, and the connection ends: what follows is not looked at. Over HTTP/2, this status.
    Last(u16),
    /// HTTP/2: the stream is reset.
    Reset,
    /// HTTP/2: the connection is closed.
    Gone,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {:?}",
            self.says,
            String::from_utf8_lossy(&self.sent[..self.sent.len().min(400)])
        )
    }
}

/// Sends what each of these rules is about to a server of HTTP/1.1; gives those that it breaks.
pub async fn broken_http1(server: impl ToSocketAddrs + Copy, rules: Vec<Rule>) -> Vec<String> {
    let mut broken = Vec::new();
    for rule in rules {
        let expected = match rule.gets {
            Gets::Then(status) => vec![status, 200],
            Gets::Last(status) => vec![status],
            Gets::Reset | Gets::Gone => vec![],
        };
        let got = timeout(PATIENCE, statuses(server, &rule.sent)).await;
        match got.context("nothing came").and_then(|got| got) {
            Ok(got) if got == expected => {}
            Ok(got) => broken.push(format!("{rule}\n  gets {got:?}, not {expected:?}")),
            Err(error) => broken.push(format!("{rule}\n  gets {error:#}, not {expected:?}")),
        }
    }
    broken
}

/// The same for HTTP/2.
pub async fn broken_http2(server: impl ToSocketAddrs + Copy, rules: Vec<Rule>) -> Vec<String> {
    let mut broken = Vec::new();
    for rule in rules {
        let got = timeout(PATIENCE, gets(server, &rule.sent)).await;
        match got.context("nothing came").and_then(|got| got) {
            Ok(got) if got == rule.gets => {}
            Ok(got) => broken.push(format!("{rule}\n  gets {got:?}, not {:?}", rule.gets)),
            Err(error) => broken.push(format!("{rule}\n  gets {error:#}, not {:?}", rule.gets)),
        }
    }
    broken
}

/// The statuses of all final responses until the server closes the connection.
async fn statuses(server: impl ToSocketAddrs, sent: &[u8]) -> Result<Vec<u16>> {
    let mut socket = TcpStream::connect(server).await?;
    let (mut reading, mut writing) = socket.split();
    let sending = async {
        // A server that has had enough need not read to the end.
        let _whole = writing.write_all(&[sent, PROBE.as_bytes()].concat()).await;
    };
    let mut text = Vec::new();
    let reading = async {
        // What was read before a reset counts.
        let _end = reading.read_to_end(&mut text).await;
    };
    tokio::join!(sending, reading);
    let mut rest = &*text;
    let mut statuses = Vec::new();
    while !rest.is_empty() {
        let end = find(rest, b"\r\n\r\n").context("a head has no end")?;
        let head = std::str::from_utf8(&rest[..end])?.to_ascii_lowercase();
        rest = &rest[end + 4..];
        let status = head.split(' ').nth(1).context("a head has no status")?.parse()?;
        if status < 200 {
            continue;
        }
        statuses.push(status);
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let has_body = statuses.len() > 1 || !sent.starts_with(b"HEAD ");
        let length: usize = length.filter(|_| has_body).map_or(Ok(0), str::parse)?;
        rest = rest.get(length..).context("a body is too short")?;
    }
    Ok(statuses)
}

/// What a client gets on its first stream.
async fn gets(server: impl ToSocketAddrs, sent: &[u8]) -> Result<Gets> {
    let mut connection = Connection::open(server, &[]).await?;
    // A server that has had enough need not read to the end.
    let _whole = connection.send(sent).await;
    while let Some(frame) = connection.next().await? {
        match frame.kind {
            kind::GOAWAY => return Ok(Gets::Gone),
            kind::RST_STREAM => return Ok(Gets::Reset),
            kind::HEADERS => {
                return Ok(Gets::Last(frame.status().context("a response has no status")?));
            }
            _ => {}
        }
    }
    Ok(Gets::Gone)
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
