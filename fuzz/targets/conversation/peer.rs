//! The two backends: an honest one, and one that answers as the script has it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::BytesMut;
use http::{Method, Uri};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Mutex, mpsc},
};
use vmcp_http1::{Decoder, HeadScan, Piece};

use crate::{
    answers::{self, Asked},
    play::{self, Part, Played},
    said,
    script::{Category, Feed, Script, Setup},
};

/// A backend.
pub struct Peer {
    /// The scheme of its resources.
    name: &'static str,
    tool: &'static str,
    script: Option<Arc<Script>>,
    /// Where HTTP+SSE's answers go: one stream for each session, by number.
    streams: Mutex<Vec<mpsc::Sender<Part>>>,
}

impl Peer {
    pub fn neighbour() -> Arc<Self> {
        Arc::new(Self { name: "good", tool: "echo", script: None, streams: Mutex::default() })
    }

    pub fn hostile(script: Arc<Script>) -> Arc<Self> {
        Arc::new(Self { name: "evil", tool: "t", script: Some(script), streams: Mutex::default() })
    }

    /// Takes connections until the runtime ends.
    pub async fn serve(self: Arc<Self>, at: SocketAddr) -> SocketAddr {
        let listener = TcpListener::bind(at).await.expect("an address on loopback");
        let address = listener.local_addr().expect("it listens");
        tokio::spawn(async move {
            while let Ok((connection, _from)) = listener.accept().await {
                tokio::spawn(Arc::clone(&self).converse(connection));
            }
        });
        address
    }

    /// One connection, until either side has had enough.
    async fn converse(self: Arc<Self>, mut connection: TcpStream) {
        connection.set_nodelay(true).expect("a connection");
        let mut buffer = BytesMut::new();
        while let Some((method, target, body)) = read(&mut connection, &mut buffer).await {
            let asked = Asked::read(&body);
            if !self.answer(&mut connection, (&method, &target), &asked).await {
                return;
            }
        }
    }

    /// Whether the connection goes on.
    async fn answer(
        &self,
        connection: &mut TcpStream,
        (method, target): (&Method, &Uri),
        asked: &Asked,
    ) -> bool {
        let category = category(method, asked);
        let setup = self.script.as_ref().map(|script| script.setup);
        let scripted = self.script.as_ref().and_then(|script| script.next(category));
        if setup.is_some_and(Setup::is_sse) {
            return self.answer_by_stream(connection, target, category, asked, scripted).await;
        }
        let played = match scripted {
            Some(feed) => play::played(feed, asked, &self.honest(asked)),
            None => self.honestly(category, asked, setup),
        };
        send(connection, played).await
    }

    fn honest(&self, asked: &Asked) -> String {
        let modern = self.script.as_ref().is_some_and(|script| script.setup.peer_is_modern());
        let name = if asked.method == "tools/list" { self.tool } else { self.name };
        answers::honest(asked, modern, name)
    }

    fn honestly(&self, category: Category, asked: &Asked, setup: Option<Setup>) -> Played {
        match category {
            Category::Stream | Category::Delete => return Played::head(405),
            Category::Other => return Played::head(202),
            _ => {}
        }
        let answer = self.honest(asked);
        let status = setup.map_or(200, |setup| answers::status(asked, &answer, setup));
        let message = said::message(asked.id(), &answer);
        let session = setup.is_none_or(Setup::has_session) && asked.method == "initialize";
        Played::json(status, &message, session)
    }

    /// The same over HTTP+SSE, where whatever a script says goes onto the stream.
    async fn answer_by_stream(
        &self,
        connection: &mut TcpStream,
        target: &Uri,
        category: Category,
        asked: &Asked,
        scripted: Option<Feed>,
    ) -> bool {
        let parts = match (scripted, category) {
            (Some(feed), _) => play::events(feed, asked, &self.honest(asked)),
            (None, Category::Stream | Category::Delete | Category::Other) => Vec::new(),
            (None, _) => {
                vec![Part::Bytes(play::event(&said::message(asked.id(), &self.honest(asked))))]
            }
        };
        if category == Category::Stream {
            let (sender, mut coming) = mpsc::channel(64);
            let mut streams = self.streams.lock().await;
            let endpoint = format!("event: endpoint\ndata: /messages?{}\n\n", streams.len());
            streams.push(sender);
            drop(streams);
            let head =
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
            let begun = [Part::Bytes(head.to_vec())].into_iter();
            let begun = begun.chain(parts).chain([Part::Bytes(endpoint.into_bytes())]);
            for part in begun {
                if !send_part(connection, part).await {
                    return false;
                }
            }
            while let Some(part) = coming.recv().await {
                if !send_part(connection, part).await {
                    return false;
                }
            }
            return false;
        }
        if !send(connection, Played::head(202)).await {
            return false;
        }
        let number = target.query().and_then(|query| query.parse::<usize>().ok());
        let stream = self.streams.lock().await.get(number.unwrap_or_default()).cloned();
        if let Some(stream) = stream {
            for part in parts {
                if stream.send(part).await.is_err() {
                    break;
                }
            }
        }
        true
    }
}

fn category(method: &Method, asked: &Asked) -> Category {
    if method == Method::GET {
        return Category::Stream;
    }
    if method == Method::DELETE {
        return Category::Delete;
    }
    if asked.is_told() {
        return Category::Other;
    }
    match asked.method.as_str() {
        "server/discover" => Category::Discover,
        "initialize" => Category::Initialize,
        "tools/list" => Category::Tools,
        "subscriptions/listen" => Category::Stream,
        method if method.ends_with("/list") => Category::Lists,
        _ => Category::Call,
    }
}

/// The next request.
async fn read(connection: &mut TcpStream, buffer: &mut BytesMut) -> Option<(Method, Uri, Vec<u8>)> {
    let mut scan = HeadScan::default();
    let head = loop {
        if let Some(head) = scan.request(buffer).expect("vmcp writes good heads") {
            break head;
        }
        more(connection, buffer).await?;
    };
    let (mut decoder, mut body) = (Decoder::new(head.length), Vec::new());
    loop {
        match decoder.decode(buffer).expect("vmcp writes good bodies") {
            Piece::Data(data) => body.extend_from_slice(&data),
            Piece::End => {
                let (parts, ()) = head.request.into_parts();
                return Some((parts.method, parts.uri, body));
            }
            Piece::Starved => more(connection, buffer).await?,
        }
    }
}

async fn more(connection: &mut TcpStream, buffer: &mut BytesMut) -> Option<()> {
    connection.read_buf(buffer).await.ok().filter(|read| *read > 0).map(|_read| ())
}

/// Sends what is played. Whether the connection goes on.
async fn send(connection: &mut TcpStream, played: Played) -> bool {
    for part in played.parts {
        if !send_part(connection, part).await {
            return false;
        }
    }
    played.goes_on
}

async fn send_part(connection: &mut TcpStream, part: Part) -> bool {
    match part {
        Part::Bytes(bytes) => connection.write_all(&bytes).await.is_ok(),
        Part::Pause(milliseconds) => {
            tokio::time::sleep(Duration::from_millis(milliseconds.into())).await;
            true
        }
        Part::Close => false,
    }
}
