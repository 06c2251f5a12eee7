//! Which era a backend is taken for, and what happens when that was wrong.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::task::TaskTracker;
use vmcp_backend::{Answer, Backend, Config, Declined, Error, Session};
use vmcp_model::{BackendId, Era, ProtocolVersion};
use vmcp_wire::{Id, Lines, Message};

use crate::peer::{Asked, Peer, Say, discovered, legacy, modern, view};

const MODERN: ProtocolVersion = ProtocolVersion::MODERN;

/// What a backend is taken for that answers `server/discover` like this.
async fn era_of(discover: impl Fn() -> Say + Send + Sync + 'static) -> Result<Era, Error> {
    let peer = Peer::start(move |_asked| discover()).await;
    let backend = peer.backend();
    let found = backend.detect(&view(MODERN, "{}")).await;
    assert_eq!(backend.era(), found.as_ref().ok().copied(), "what went wrong is not remembered");
    assert_eq!(peer.methods(), ["server/discover"]);
    found
}

fn error(code: i64) -> Value {
    json!({"code": code, "message": "no"})
}

#[tokio::test]
async fn a_result_decides_by_the_versions_it_names() {
    let of = |versions: Value| {
        era_of(move || Say::Result(json!({"supportedVersions": versions, "capabilities": {}})))
    };
    assert_eq!(of(json!(["2026-07-28"])).await.unwrap(), Era::Modern);
    assert_eq!(of(json!(["2027-01-01", "2026-07-28", "2025-11-25"])).await.unwrap(), Era::Modern);
    assert_eq!(of(json!(["2025-11-25"])).await.unwrap(), Era::Legacy);
    assert_eq!(of(json!([])).await.unwrap(), Era::Legacy);
    assert_eq!(era_of(|| Say::Result(json!({}))).await.unwrap(), Era::Legacy);
}

#[tokio::test]
async fn a_result_may_come_on_a_stream() {
    let peer = Peer::start(|asked| {
        let (events, stream) = mpsc::channel(1);
        let result = discovered(&json!({}));
        let answer = json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": result});
        events.try_send(answer.to_string()).unwrap();
        Say::Stream(stream)
    });
    let peer = peer.await;
    assert_eq!(peer.backend().detect(&view(MODERN, "{}")).await.unwrap(), Era::Modern);
}

#[tokio::test]
async fn an_error_of_the_modern_era_shows_a_modern_backend() {
    for code in [-32020, -32021, -32022] {
        for status in [400, 200] {
            assert_eq!(
                era_of(move || Say::Error(status, error(code))).await.unwrap(),
                Era::Modern,
                "{code} with {status}"
            );
        }
    }
}

#[tokio::test]
async fn an_unsupported_version_decides_by_the_versions_that_are() {
    let of = |supported: Value| {
        let data = json!({"supported": supported, "requested": "2026-07-28"});
        let error = json!({"code": -32022, "message": "no", "data": data});
        era_of(move || Say::Error(400, error.clone()))
    };
    assert_eq!(of(json!(["2025-11-25"])).await.unwrap(), Era::Legacy);
    assert_eq!(of(json!(["2026-07-28"])).await.unwrap(), Era::Modern);
}

#[tokio::test]
async fn any_other_refusal_shows_a_legacy_backend() {
    for status in [400, 404, 405, 406, 415, 422] {
        let of =
            |body: &'static str| era_of(move || Say::Raw(status, "text/html", body.to_owned()));
        assert_eq!(of("").await.unwrap(), Era::Legacy, "{status}");
        assert_eq!(of("<html>").await.unwrap(), Era::Legacy, "{status}");
        assert_eq!(
            era_of(move || Say::Error(status, error(-32000))).await.unwrap(),
            Era::Legacy,
            "{status}"
        );
    }
    for code in [-32601, -32600, -32602, -32603, -32000] {
        assert_eq!(
            era_of(move || Say::Error(200, error(code))).await.unwrap(),
            Era::Legacy,
            "{code}"
        );
    }
    let html = || Say::Raw(200, "text/html", "<html>".to_owned());
    assert_eq!(era_of(html).await.unwrap(), Era::Legacy);
    let nothing = || Say::Raw(202, "text/plain", String::new());
    assert_eq!(era_of(nothing).await.unwrap(), Era::Legacy);
}

#[tokio::test]
async fn what_is_about_the_caller_or_the_moment_decides_nothing() {
    for status in [401, 403, 407, 408, 429, 500, 502, 503, 504] {
        let found = era_of(move || Say::Raw(status, "text/plain", String::new())).await;
        assert!(matches!(found, Err(Error::Refused { status: found, .. }) if found == status));
    }
    let incomplete = || Say::Result(json!({"resultType": "input_required"}));
    assert!(matches!(era_of(incomplete).await, Err(Error::Protocol(_))));
}

/// What stands before a server that is not there yet refuses everything alike.
#[tokio::test]
async fn what_refuses_initialize_too_has_decided_nothing() {
    let refusals: [fn() -> Say; 4] = [
        || Say::Raw(404, "text/plain", String::new()),
        || Say::Raw(405, "text/html", "<html>".to_owned()),
        || Say::Raw(200, "text/html", "<html>".to_owned()),
        || Say::Raw(200, "application/json", String::new()),
    ];
    for refusal in refusals {
        let peer = Peer::start(move |_asked| refusal()).await;
        let backend = peer.backend();
        assert!(backend.open(&view(MODERN, "{}")).await.is_err());
        assert_eq!(backend.era(), None);
        peer.become_one(move |asked| match asked.method() {
            "server/discover" => Say::Result(discovered(&json!({}))),
            _ => refusal(),
        });
        assert!(backend.open(&view(MODERN, "{}")).await.unwrap().is_stateless());
        assert_eq!(backend.era(), Some(Era::Modern));
    }
}

/// The same if it is asked again before it is there, and then serves both eras.
#[tokio::test]
async fn what_was_said_before_initialize_was_answered_is_asked_again() {
    let refuses = |_asked: &Asked| Say::Raw(404, "text/plain", String::new());
    let peer = Peer::start(refuses).await;
    let backend = peer.backend();
    let legacy_client = view(ProtocolVersion::LATEST_LEGACY, "{}");
    assert!(backend.open(&legacy_client).await.is_err());
    assert_eq!(backend.detect(&view(MODERN, "{}")).await.unwrap(), Era::Legacy);
    peer.become_one(|asked| match asked.method() {
        "server/discover" => Say::Result(discovered(&json!({}))),
        _ => legacy(asked),
    });
    assert!(!backend.open(&legacy_client).await.unwrap().is_stateless());
    assert!(backend.open(&view(MODERN, "{}")).await.unwrap().is_stateless());
    assert!(backend.has_both_sides());
}

#[tokio::test]
async fn silence_decides_nothing_and_the_next_who_asks_asks_again() {
    let peer = Peer::start(|_asked| Say::Silence).await;
    let backend = peer.backend_with(|config| config.timeouts.initialize = Duration::from_secs(2));
    let client = view(MODERN, "{}");
    assert!(matches!(backend.detect(&client).await, Err(Error::Timeout(_))));
    assert_eq!(backend.era(), None);
    assert!(backend.stateless(&client).is_none());
    peer.become_one(modern);
    assert_eq!(backend.detect(&client).await.unwrap(), Era::Modern);
    assert_eq!(peer.count("server/discover"), 2);
}

#[tokio::test]
async fn what_cannot_be_reached_is_of_no_era() {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let config = Config::plain(BackendId::new("gone").unwrap(), url);
    let backend = Backend::new(&config, TaskTracker::new()).unwrap();
    let found = backend.detect(&view(MODERN, "{}")).await;
    assert!(matches!(found, Err(Error::Unreachable(_))), "{found:?}");
    assert_eq!(backend.era(), None);
}

#[tokio::test]
async fn a_backend_is_asked_once_however_many_want_to_know() {
    for script in [modern, legacy] {
        let peer = Peer::start(script).await;
        let backend = peer.backend();
        let mut asking = JoinSet::new();
        for _asker in 0..50 {
            let backend = Arc::clone(&backend);
            asking.spawn(async move { backend.detect(&view(MODERN, "{}")).await.unwrap() });
        }
        let found = asking.join_all().await;
        assert!(found.iter().all(|era| Some(*era) == backend.era()));
        assert_eq!(peer.count("server/discover"), 1);
    }
}

#[tokio::test]
async fn whoever_gives_up_leaves_the_others_their_answer() {
    let peer = Peer::start(|_asked| Say::Silence).await;
    let backend = peer.backend_with(|config| config.timeouts.initialize = Duration::from_secs(5));
    let client = view(MODERN, "{}");
    tokio::select! {
        found = backend.detect(&client) => panic!("{found:?}"),
        () = peer.wait_for_open(1) => {}
    }
    let second = backend.detect(&view(MODERN, "{}")).await;
    assert!(matches!(second, Err(Error::Timeout(_))));
    assert_eq!(peer.count("server/discover"), 1, "the second waits for what the first began");
}

#[tokio::test]
async fn a_modern_backend_costs_one_question_whatever_is_opened() {
    let peer = Peer::start(modern).await;
    let backend = peer.backend();
    for _session in 0..10 {
        let session = backend.open(&view(MODERN, r#"{"sampling":{}}"#)).await.unwrap();
        assert!(session.is_stateless());
        assert_eq!((session.id(), session.version()), (None, MODERN));
        assert_eq!(session.facts().capabilities, r#"{"tools":{}}"#);
        assert_eq!(session.introduction().capabilities, br#"{"sampling":{}}"#);
        backend.close(&session).await.unwrap();
    }
    assert_eq!(peer.methods(), ["server/discover"]);
    assert_eq!(backend.stats().sessions_opened, 0);
}

#[tokio::test]
async fn a_legacy_backend_is_asked_once_and_then_spoken_to_as_ever() {
    let peer = Peer::start(legacy).await;
    let backend = peer.backend();
    for _session in 0..2 {
        let session = backend.open(&view(MODERN, "{}")).await.unwrap();
        assert!(!session.is_stateless());
        backend.ask(&session, vmcp_model::Method::ToolsList, None).await.unwrap();
    }
    let shakes = ["initialize", "notifications/initialized", "tools/list"];
    assert_eq!(peer.methods(), [&["server/discover"][..], &shakes, &shakes].concat());
    let call = peer.seen().pop().unwrap();
    assert_eq!(call.header("mcp-protocol-version"), Some("2025-11-25"));
    assert_eq!(call.header("mcp-method"), None);
    assert_eq!(call.body["params"], Value::Null);
}

#[tokio::test]
async fn a_successor_knows_what_its_predecessor_knew() {
    let peer = Peer::start(modern).await;
    let backend = peer.backend();
    let client = view(MODERN, "{}");
    backend.detect(&client).await.unwrap();
    let config = Config::plain(backend.id().clone(), peer.url.parse().unwrap());
    let successor = backend.successor(&config, TaskTracker::new()).unwrap();
    assert_eq!(successor.era(), Some(Era::Modern));
    assert!(successor.stateless(&client).is_some());
    assert_eq!(peer.methods(), ["server/discover"]);
}

/// Posts a call as the layers above would, and gives what is answered.
async fn call(backend: &Arc<Backend>, session: &Session) -> Result<Message, Error> {
    let id = Id::parse(b"7").unwrap().key();
    let text = Bytes::from_static(
        br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"count"}}"#,
    );
    let lines = session.is_stateless().then(|| Lines::new("tools/call", Some("count")));
    let answer = backend.post(session, text, Some(&id), lines.as_ref()).await?;
    let text = match answer {
        Answer::Whole(body) => body.collect(1 << 20).await?,
        Answer::Ready(text) => text,
        other => panic!("{other:?}"),
    };
    Ok(Message::parse(text).unwrap())
}

/// A server that counts how often it runs a call.
fn counting(
    calls: &Arc<AtomicUsize>,
    script: impl Fn(&Asked) -> Say + Send + Sync + 'static,
) -> impl Fn(&Asked) -> Say + Send + Sync + 'static {
    let calls = Arc::clone(calls);
    move |asked| {
        let said = script(asked);
        if asked.method() == "tools/call" && matches!(said, Say::Result(_)) {
            calls.fetch_add(1, Ordering::Relaxed);
        }
        said
    }
}

/// A call through a change of era: refused once, proved not to have run, and run once on what is
/// opened then.
async fn check_change(
    before: impl Fn(&Asked) -> Say + Send + Sync + 'static,
    after: impl Fn(&Asked) -> Say + Send + Sync + 'static,
    becomes: Era,
) {
    let calls = Arc::default();
    let peer = Peer::start(counting(&calls, before)).await;
    let backend = peer.backend();
    let client = view(MODERN, "{}");
    let session = backend.open(&client).await.unwrap();
    assert_eq!(session.is_stateless(), becomes == Era::Legacy);
    call(&backend, &session).await.unwrap();
    peer.become_one(counting(&calls, after));
    let lost = call(&backend, &session).await;
    assert!(matches!(lost, Err(Error::SessionLost)), "{lost:?}");
    assert_eq!(calls.load(Ordering::Relaxed), 1, "what was refused did not run");
    let session = backend.open(&client).await.unwrap();
    assert_eq!(session.is_stateless(), becomes == Era::Modern);
    assert_eq!(backend.era(), Some(becomes));
    assert!(call(&backend, &session).await.unwrap().result().is_some());
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_modern_backend_that_becomes_a_legacy_one_is_found_out() {
    check_change(modern, legacy, Era::Legacy).await;
}

#[tokio::test]
async fn a_legacy_backend_that_becomes_a_modern_one_is_found_out() {
    check_change(legacy, modern, Era::Modern).await;
}

/// A modern server may read the headers first, and miss some.
#[tokio::test]
async fn a_legacy_session_is_lost_on_a_backend_that_misses_headers() {
    let headers_first = |asked: &Asked| match asked.header("mcp-method") {
        Some(_) => modern(asked),
        None => Say::Error(400, error(-32020)),
    };
    check_change(legacy, headers_first, Era::Modern).await;
}

#[tokio::test]
async fn a_legacy_session_with_an_id_is_lost_on_a_backend_that_becomes_modern() {
    let peer = Peer::start(|asked| match asked.method() {
        "initialize" => Say::Result(json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "", "version": ""},
        })),
        _ => legacy(asked),
    })
    .await;
    let backend = peer.backend();
    let client = view(MODERN, "{}");
    backend.open(&client).await.unwrap();
    let session =
        Session::resumed(Some("one"), ProtocolVersion::LATEST_LEGACY, backend.facts()).unwrap();
    // What the session says is not looked at; what it lacks is.
    peer.become_one(|asked| match asked.header("mcp-session-id") {
        Some(_) => Say::Error(400, error(-32020)),
        None => modern(asked),
    });
    assert!(matches!(call(&backend, &session).await, Err(Error::SessionLost)));
    assert!(backend.open(&client).await.unwrap().is_stateless());
}

#[tokio::test]
async fn what_a_modern_backend_refuses_in_its_own_way_is_an_answer() {
    let peer = Peer::start(modern).await;
    let backend = peer.backend();
    let session = backend.open(&view(MODERN, "{}")).await.unwrap();
    for (status, code) in [(404, -32601), (400, -32602), (400, -32020), (400, -32021)] {
        peer.become_one(move |asked| match asked.method() {
            "tools/call" => Say::Error(status, error(code)),
            _ => modern(asked),
        });
        let answer = call(&backend, &session).await.unwrap();
        assert!(answer.result().is_none(), "{code}");
    }
    assert_eq!(peer.count("server/discover"), 1, "nothing of this casts a doubt");
    assert_eq!(backend.era(), Some(Era::Modern));
}

#[tokio::test]
async fn a_doubt_that_was_none_is_not_looked_into_again_at_once() {
    let peer = Peer::start(|asked| match asked.method() {
        "tools/call" => Say::Raw(404, "text/html", "<html>".to_owned()),
        _ => modern(asked),
    })
    .await;
    let backend = peer.backend();
    let session = backend.open(&view(MODERN, "{}")).await.unwrap();
    for _call in 0..5 {
        let refused = call(&backend, &session).await;
        assert!(matches!(refused, Err(Error::Refused { status: 404, .. })), "{refused:?}");
    }
    assert_eq!(peer.count("server/discover"), 2, "once to begin with, and once in doubt");
}

#[tokio::test]
async fn a_backend_that_cannot_be_asked_again_stays_what_it_was() {
    let peer = Peer::start(modern).await;
    let backend = peer.backend();
    let session = backend.open(&view(MODERN, "{}")).await.unwrap();
    peer.become_one(|asked| match asked.method() {
        "tools/call" => Say::Raw(404, "text/html", String::new()),
        _ => Say::Raw(503, "text/html", String::new()),
    });
    let refused = call(&backend, &session).await;
    assert!(matches!(refused, Err(Error::Refused { status: 404, .. })), "{refused:?}");
    assert_eq!(backend.era(), Some(Era::Modern));
}

#[tokio::test]
async fn a_guess_that_was_wrong_is_made_good_when_a_session_is_opened() {
    // As a proxy answers while the server behind it is not there yet.
    let peer = Peer::start(|_asked| Say::Raw(404, "text/html", "<html>".to_owned())).await;
    let backend = peer.backend();
    let client = view(MODERN, "{}");
    assert_eq!(backend.detect(&client).await.unwrap(), Era::Legacy);
    peer.become_one(modern);
    assert!(backend.open(&client).await.unwrap().is_stateless());
    assert_eq!(peer.methods(), ["server/discover", "initialize", "server/discover"]);
}

#[tokio::test]
async fn a_modern_backend_gets_no_request_but_posts() {
    let peer = Peer::start(modern).await;
    let backend = peer.backend();
    let session = backend.open(&view(MODERN, "{}")).await.unwrap();
    let notification =
        Bytes::from_static(br#"{"jsonrpc":"2.0","method":"notifications/cancelled"}"#);
    backend.tell(&session, notification).await.unwrap();
    let question = br#"{"jsonrpc":"2.0","id":1,"method":"sampling/createMessage"}"#;
    let question = Message::parse(Bytes::from_static(question)).unwrap();
    backend.decline(&session, &question, Declined::Incapable).await.unwrap();
    backend.close(&session).await.unwrap();
    backend.check(&session).await.unwrap();
    assert!(peer.seen().iter().all(|asked| asked.verb == Method::POST));
    assert_eq!(peer.methods(), ["server/discover", "server/discover"]);
}
