//! What a backend refuses, and with what: whether its session is gone, and whether the call ran.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use bytes::Bytes;
use serde_json::{Value, json};
use vmcp_backend::{Answer, Backend, Error, Session};
use vmcp_model::{Method, ProtocolVersion};
use vmcp_wire::{Id, Message};

use crate::peer::{Asked, Peer, Say, legacy, view};

const LEGACY: ProtocolVersion = ProtocolVersion::LATEST_LEGACY;

/// How a server speaks that has lost a session, and refuses what it knows in the same words.
type Refusal = fn() -> Say;

fn raw(status: u16, text: &str) -> Say {
    Say::Raw(status, "text/plain", text.to_owned())
}

fn unanswered(status: u16, code: i64, message: &str) -> Say {
    let error = json!({"code": code, "message": message});
    let body = json!({"jsonrpc": "2.0", "id": null, "error": error});
    Say::Raw(status, "application/json", body.to_string())
}

const REFUSALS: [(&str, Refusal); 7] = [
    ("404", || raw(404, "")),
    ("404, as the TypeScript SDK", || unanswered(404, -32001, "Session not found")),
    ("400, as the TypeScript SDK before", || unanswered(400, -32000, "Bad Request: no session")),
    ("410", || raw(410, "gone")),
    ("503", || raw(503, "")),
    ("401 with a word", || raw(401, "unknown session")),
    ("500 with a word", || raw(500, "no such Session")),
];

/// A session that the server knows, on a backend that is it.
async fn session_on(peer: &Peer) -> (Arc<Backend>, Session) {
    let backend = peer.backend();
    backend.open(&view(LEGACY, "{}")).await.unwrap();
    let session = Session::resumed(Some("one"), LEGACY, backend.facts()).unwrap();
    (backend, session)
}

async fn call(backend: &Arc<Backend>, session: &Session) -> Result<Message, Error> {
    let id = Id::parse(b"7").unwrap().key();
    let text = Bytes::from_static(
        br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"count"}}"#,
    );
    let text = match backend.post(session, text, Some(&id), None).await? {
        Answer::Whole(body) => body.collect(1 << 20).await?,
        Answer::Ready(text) => text,
        other => panic!("{other:?}"),
    };
    Ok(Message::parse(text).unwrap())
}

#[tokio::test]
async fn a_session_that_is_gone_is_lost_however_that_is_said() {
    for (name, refusal) in REFUSALS {
        let peer = Peer::start(move |asked| match asked.header("mcp-session-id") {
            Some(_) => refusal(),
            None => legacy(asked),
        });
        let peer = peer.await;
        let (backend, session) = session_on(&peer).await;
        let lost = call(&backend, &session).await;
        let is_lost = match lost {
            Err(Error::SessionLost) => true,
            // It may have run.
            Err(Error::SessionGone { status }) => status >= 500,
            _ => false,
        };
        assert!(is_lost, "{name}: {lost:?}");
        assert_eq!(peer.count("tools/call"), 1, "{name}");
    }
}

#[tokio::test]
async fn a_refusal_on_a_session_that_stands_is_no_loss() {
    for (name, refusal) in &REFUSALS[2..] {
        let refusal = *refusal;
        let peer = Peer::start(move |asked| match asked.method() {
            "tools/call" => refusal(),
            _ => legacy(asked),
        });
        let peer = peer.await;
        let (backend, session) = session_on(&peer).await;
        let refused = call(&backend, &session).await;
        assert!(matches!(refused, Err(Error::Refused { .. })), "{name}: {refused:?}");
        assert_eq!((peer.count("tools/call"), peer.count("initialize")), (1, 1), "{name}");
    }
}

/// A backend that is out of order refuses everything; it must not be asked for a session with each
/// call.
#[tokio::test]
async fn an_outage_is_looked_into_once_in_a_while() {
    let is_out = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_out);
    let peer = Peer::start(move |asked| match seen.load(Ordering::Relaxed) {
        true => raw(503, ""),
        false => legacy(asked),
    });
    let peer = peer.await;
    let (backend, session) = session_on(&peer).await;
    is_out.store(true, Ordering::Relaxed);
    for _call in 0..5 {
        let refused = call(&backend, &session).await;
        assert!(matches!(refused, Err(Error::Refused { status: 503, .. })), "{refused:?}");
    }
    assert_eq!((peer.count("tools/call"), peer.count("initialize")), (5, 2));
}

/// Answers the call with an error of this code under its own id, and counts how often it runs.
fn erring(
    status: u16,
    code: i64,
    runs: &Arc<AtomicUsize>,
) -> impl Fn(&Asked) -> Say + Send + Sync + 'static {
    let runs = Arc::clone(runs);
    move |asked| match asked.method() {
        "tools/call" => {
            runs.fetch_add(1, Ordering::Relaxed);
            Say::Error(status, json!({"code": code, "message": "no"}))
        }
        // What is so strict about errors may know no ping.
        "ping" => Say::Error(status, json!({"code": -32601, "message": "no"})),
        _ => legacy(asked),
    }
}

#[tokio::test]
async fn an_error_that_answers_the_request_is_that_error_whatever_its_status() {
    for status in [200, 400, 404, 410, 422, 500] {
        for code in [-32601, -32602, -32000, -32001, -32002, 7] {
            let runs = Arc::default();
            let peer = Peer::start(erring(status, code, &runs)).await;
            let (backend, session) = session_on(&peer).await;
            let answer = call(&backend, &session).await.unwrap();
            let answer: Value = serde_json::from_slice(answer.text()).unwrap();
            assert_eq!(answer["error"]["code"], code, "{status}");
            assert_eq!(runs.load(Ordering::Relaxed), 1, "{status} {code}");
            assert_eq!(peer.count("initialize"), 1, "{status} {code}");
        }
    }
}

#[tokio::test]
async fn what_a_notification_is_answered_is_of_no_importance() {
    let answers: [Refusal; 6] = [
        || raw(400, "what?"),
        || raw(405, ""),
        || raw(500, ""),
        || Say::Error(400, json!({"code": -32601, "message": "unknown"})),
        || Say::Error(200, json!({"code": -32601, "message": "unknown"})),
        || raw(200, "fine"),
    ];
    for answer in answers {
        let peer = Peer::start(move |asked| match asked.method().starts_with("notifications/") {
            true => answer(),
            false => legacy(asked),
        });
        let peer = peer.await;
        let (backend, session) = session_on(&peer).await;
        let roots = br#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#;
        backend.tell(&session, Bytes::from_static(roots)).await.unwrap();
        assert!(call(&backend, &session).await.unwrap().result().is_some());
    }
}

#[tokio::test]
async fn a_notification_on_a_session_that_is_gone_says_so() {
    let peer = Peer::start(|asked| match asked.header("mcp-session-id") {
        Some(_) => raw(404, ""),
        None => legacy(asked),
    });
    let peer = peer.await;
    let (backend, session) = session_on(&peer).await;
    let roots = br#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#;
    let told = backend.tell(&session, Bytes::from_static(roots)).await;
    assert!(matches!(told, Err(Error::SessionLost)), "{told:?}");
}

#[tokio::test]
async fn an_answer_that_is_refused_is_told_with_the_reason() {
    let peer = Peer::start(|asked| match asked.method() {
        "" => raw(400, "Missing session ID for sampling response\n"),
        _ => legacy(asked),
    });
    let peer = peer.await;
    let (backend, session) = session_on(&peer).await;
    let answer = br#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}"#;
    let refused = backend.tell(&session, Bytes::from_static(answer)).await.unwrap_err();
    let expected =
        "refused the request with HTTP status 400: Missing session ID for sampling response";
    assert_eq!(refused.to_string(), expected);
}

/// A backend may repeat what it was shown, wherever it says something that is told.
#[tokio::test]
async fn a_credential_that_a_backend_repeats_is_not_passed_on() {
    // Longer than what is told.
    let long = format!("Bearer {}", "secret-of-a-backend".repeat(50));
    for credential in ["Bearer secret-of-a-backend", &long] {
        let refusal = |asked: &Asked| raw(422, asked.header("authorization").unwrap_or_default());
        let answer = |asked: &Asked| {
            let said = asked.header("authorization").unwrap_or_default();
            let error = format!(r#"{{"code":-32600,"message":"bad {said}"}}"#);
            let text = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, asked.body["id"]);
            Say::Raw(200, "application/json", text)
        };
        let redirect = |asked: &Asked| {
            let said = asked.header("authorization").unwrap_or_default().replace(' ', "%20");
            Say::With(
                "location",
                Box::leak(format!("/login/{said}").into()),
                Box::new(raw(302, "")),
            )
        };
        let kind = |asked: &Asked| {
            let said = asked.header("authorization").unwrap_or_default().to_owned();
            Say::Raw(200, Box::leak(said.into()), String::new())
        };
        let coding = |asked: &Asked| {
            let said = asked.header("authorization").unwrap_or_default().to_owned();
            Say::With("content-encoding", Box::leak(said.into()), Box::new(raw(200, "")))
        };
        let revision = |asked: &Asked| {
            let said = asked.header("authorization").unwrap_or_default();
            let (id, rest) =
                (&asked.body["id"], r#""capabilities":{},"serverInfo":{"name":"a","version":"1"}"#);
            let result = format!(r#"{{"protocolVersion":"{said}",{rest}}}"#);
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
            Say::Raw(200, "application/json", text)
        };
        let told = [
            told(refusal, credential).await,
            told(answer, credential).await,
            told(redirect, credential).await,
            told(kind, credential).await,
            told(coding, credential).await,
            told(revision, credential).await,
        ];
        for told in &told {
            assert!(!told.contains("secret-of"), "{told}");
        }
        assert!(told[0].contains("HTTP status 422: ***"), "{told:?}");
        assert!(told[1].contains("refused initialize: bad ***"), "{told:?}");
        assert!(told[2].contains("redirects to /***"), "{told:?}");
        assert!(told[3].contains("Content-Type ***"), "{told:?}");
        assert!(told[4].contains("Content-Encoding ***"), "{told:?}");
        assert!(told[5].contains("speaks revision \"***"), "{told:?}");
    }
}

/// What is told when a server that says this is shown that.
async fn told(say: impl Fn(&Asked) -> Say + Send + Sync + 'static, credential: &str) -> String {
    let peer = Peer::start(say).await;
    let backend = peer.backend_with(|config| {
        let vmcp_backend::Transport::Http(endpoint) = &mut config.transport else { return };
        endpoint.outgoing = vmcp_credentials::Config::Header {
            name: http::header::AUTHORIZATION,
            value: http::HeaderValue::from_str(credential).unwrap(),
        };
    });
    backend.open(&view(LEGACY, "{}")).await.unwrap_err().to_string()
}

/// Nobody has asked for it, and it is said what is wrong.
#[tokio::test]
async fn an_encoded_answer_is_refused_by_its_name() {
    for encoding in ["gzip", "br", "deflate", "zstd", "gzip, br"] {
        for kind in ["application/json", "text/event-stream"] {
            let peer = Peer::start(move |asked: &Asked| match asked.method() {
                "tools/call" => {
                    let encoded = Say::Raw(200, kind, "\u{1f}\u{8b}\u{8}".to_owned());
                    Say::With("content-encoding", encoding, Box::new(encoded))
                }
                // What a notification is answered is of no importance.
                "notifications/initialized" => {
                    Say::With("content-encoding", encoding, Box::new(raw(200, "")))
                }
                _ => legacy(asked),
            })
            .await;
            let backend = peer.backend();
            let session = backend.open(&view(LEGACY, "{}")).await.unwrap();
            let error = call(&backend, &session).await.unwrap_err().to_string();
            assert!(error.contains(&format!("Content-Encoding {encoding}")), "{error}");
            let asked = peer.seen();
            assert!(asked.iter().all(|asked| asked.header("accept-encoding") == Some("identity")));
        }
    }
    // What is not encoded may say so, and a refusal counts by its status.
    let peer = Peer::start(|asked: &Asked| match asked.method() {
        "tools/call" => {
            let result = Say::Result(json!({"content": []}));
            Say::With("content-encoding", "identity", Box::new(result))
        }
        "ping" => Say::With("content-encoding", "gzip", Box::new(raw(422, "\u{1f}\u{8b}\u{8}"))),
        _ => legacy(asked),
    })
    .await;
    let backend = peer.backend();
    let session = backend.open(&view(LEGACY, "{}")).await.unwrap();
    assert!(call(&backend, &session).await.unwrap().result().is_some());
    let refused = backend.ask(&session, Method::Ping, None).await.unwrap_err();
    assert!(matches!(refused, Error::Refused { status: 422, said: None, .. }), "{refused:?}");
}

/// What the credential lacks is told in the header, whatever the body says.
#[tokio::test]
async fn what_a_credential_lacks_is_told() {
    let needs = r#"Bearer error="insufficient_scope", scope="files:write mail""#;
    for body in ["", "no", r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32000,"message":"no"}}"#] {
        let peer = Peer::start(move |asked: &Asked| match asked.method() {
            "tools/call" => {
                let refused = Say::Raw(403, "application/json", body.to_owned());
                Say::With("www-authenticate", needs, Box::new(refused))
            }
            _ => legacy(asked),
        })
        .await;
        let backend = peer.backend();
        let session = backend.open(&view(LEGACY, "{}")).await.unwrap();
        let error = call(&backend, &session).await.unwrap_err();
        let fault = error.fault(backend.id());
        let told = fault.to_string();
        assert!(
            told.contains("403") && told.contains("needs the scope files:write mail"),
            "{told}"
        );
        let data: Value = serde_json::from_slice(&fault.data().unwrap()).unwrap();
        let expected =
            json!({"backend": "peer", "error": "insufficient_scope", "scope": "files:write mail"});
        assert_eq!(data, expected);
        assert_eq!(backend.health().consecutive_failures, 0);
    }
}
