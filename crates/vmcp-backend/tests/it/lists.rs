//! Lists that do not end, or are too much.

use std::time::Duration;

use serde_json::{Value, json};
use vmcp_backend::{Config, Error, Session};
use vmcp_model::ProtocolVersion;

use crate::peer::{Asked, Peer, Say, legacy, view};

async fn open(
    peer: &Peer,
    change: impl FnOnce(&mut Config),
) -> (std::sync::Arc<vmcp_backend::Backend>, Session) {
    let backend = peer.backend_with(change);
    let view = view(ProtocolVersion::LATEST_LEGACY, "{}");
    let session = backend.open_to_watch(&view).await.unwrap();
    (backend, session)
}

/// A legacy server whose pages of tools are what `page` makes of the cursor, and of the number of pages
/// that it has been asked for before.
async fn paged(page: impl Fn(Option<&str>, usize) -> Value + Send + Sync + 'static) -> Peer {
    let asked_for = std::sync::atomic::AtomicUsize::new(0);
    Peer::start(move |asked: &Asked| match asked.method() {
        "tools/list" => {
            let number = asked_for.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Say::Result(page(asked.body["params"]["cursor"].as_str(), number))
        }
        _ => legacy(asked),
    })
    .await
}

fn tool(name: &str) -> Value {
    json!({"name": name, "inputSchema": {"type": "object"}})
}

#[track_caller]
fn names(offer: &vmcp_model::Offer) -> Vec<&str> {
    offer.tools.iter().map(vmcp_model::Item::key).collect()
}

#[tokio::test]
async fn what_goes_round_in_circles_is_kept_once() {
    let only = |name: &str, next: &str| json!({"tools": [tool(name)], "nextCursor": next});
    type Page = Box<dyn Fn(Option<&str>, usize) -> Value + Send + Sync>;
    let cases: [(&str, Page, &[&str]); 7] = [
        ("a cursor that never advances", Box::new(move |_, _| only("a", "x")), &["a"]),
        ("a cursor that is always empty", Box::new(move |_, _| only("a", "")), &["a"]),
        (
            "a new cursor each time",
            Box::new(move |_, number| only("a", &number.to_string())),
            &["a"],
        ),
        (
            "a cursor that never advances, and new content",
            Box::new(move |_, number| only(&format!("t{number}"), "x")),
            &["t0", "t1"],
        ),
        (
            "cursors that lead nowhere",
            Box::new(move |cursor, number| match cursor {
                Some("x") => only("b", "y"),
                Some("y") => only("c", "x"),
                _ => only(&format!("a{number}"), "x"),
            }),
            &["a0", "b", "c"],
        ),
        (
            "an empty cursor that leads on",
            Box::new(move |cursor, _| match cursor {
                None => only("a", ""),
                Some("") => json!({"tools": [tool("b")]}),
                Some(_) => json!({"tools": [tool("wrong")]}),
            }),
            &["a", "b"],
        ),
        (
            "pages with nothing in between",
            Box::new(move |cursor, number| match cursor {
                None => only("a", "1"),
                Some("9") => json!({"tools": [tool("b")]}),
                Some(_) => json!({"tools": [], "nextCursor": (number + 1).to_string()}),
            }),
            &["a", "b"],
        ),
    ];
    for (what, page, expected) in cases {
        let peer = paged(page).await;
        let (backend, session) = open(&peer, |_config| {}).await;
        let advertised =
            backend.offer(&session).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(advertised.problem(), None, "{what}");
        assert_eq!(names(&advertised.offer), expected, "{what}");
        assert!(peer.count("tools/list") <= 10, "{what}: {}", peer.count("tools/list"));
    }
}

#[tokio::test]
async fn nothing_for_ever_ends() {
    let peer = paged(|_, number| json!({"tools": [], "nextCursor": number.to_string()})).await;
    let (backend, session) = open(&peer, |_config| {}).await;
    assert_eq!(names(&backend.offer(&session).await.unwrap().offer), [""; 0]);
    assert!(peer.count("tools/list") < 50, "{}", peer.count("tools/list"));
}

/// The bound is one of bytes: however few items there are, and however large the pages.
#[tokio::test]
async fn more_than_may_be_held_is_refused_and_not_begun_again_at_once() {
    for bytes in [100, 10_000, 200_000] {
        let peer = paged(move |_, number| {
            let mut large = tool(&format!("t{number}"));
            large["description"] = "x".repeat(bytes).into();
            json!({"tools": [large], "nextCursor": number.to_string()})
        })
        .await;
        let (backend, session) = open(&peer, |config| {
            config.limits.list_bytes = 100_000;
            config.limits.list_pages = 100_000;
        })
        .await;
        let error = backend.offer(&session).await.unwrap_err();
        assert!(matches!(error, Error::Excessive(_)), "{error}");
        assert!(error.to_string().contains("100000 bytes (limits.listBytes)"), "{error}");
        let asked = peer.count("tools/list");
        assert!(asked <= 1 + 100_000 / bytes, "{asked}");
        for _again in 0..10 {
            assert_eq!(backend.offer(&session).await.unwrap_err().to_string(), error.to_string());
        }
        assert_eq!(peer.count("tools/list"), asked);
    }
}

/// What one list may not have is there for the others.
#[tokio::test]
async fn a_list_that_is_too_much_takes_no_other_away() {
    let peer = Peer::start(|asked: &Asked| match asked.method() {
        "initialize" => Say::Result(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}, "prompts": {}},
            "serverInfo": {"name": "peer", "version": "1"},
        })),
        "tools/list" => Say::Result(json!({"tools": [tool("a")]})),
        "prompts/list" => {
            let cursor = asked.body["params"]["cursor"].as_str().unwrap_or_default();
            let prompt = json!({"name": format!("p{cursor}"), "description": "x".repeat(5000)});
            Say::Result(json!({"prompts": [prompt], "nextCursor": format!("{cursor}x")}))
        }
        _ => legacy(asked),
    })
    .await;
    let (backend, session) = open(&peer, |config| config.limits.list_bytes = 50_000).await;
    let advertised = tokio::time::timeout(Duration::from_secs(20), backend.offer(&session));
    let advertised = advertised.await.unwrap().unwrap();
    assert_eq!(names(&advertised.offer), ["a"]);
    let problem = advertised.problem().unwrap();
    assert!(problem.contains("prompts/list") && problem.contains("50000 bytes"), "{problem}");
}

/// Lists have no effect, so a backend that says nothing of them is asked all the same, once.
#[tokio::test]
async fn what_is_not_declared_is_found_and_what_is_not_there_is_asked_for_once() {
    let no_method = || Say::Error(200, json!({"code": -32601, "message": "unknown"}));
    type Refusal = fn() -> Say;
    let refusals: [Refusal; 4] = [
        no_method,
        || Say::Raw(404, "text/plain", String::new()),
        || Say::Raw(500, "text/plain", String::new()),
        || Say::Result(json!({})),
    ];
    for refusal in refusals {
        let peer = Peer::start(move |asked: &Asked| match asked.method() {
            "initialize" => Say::Result(json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"logging": {}},
                "serverInfo": {"name": "peer", "version": "1"},
            })),
            "tools/list" => Say::Result(json!({"tools": [tool("a")]})),
            "resources/list" | "resources/templates/list" | "prompts/list" => refusal(),
            _ => legacy(asked),
        })
        .await;
        let (backend, session) = open(&peer, |_config| {}).await;
        for _again in 0..3 {
            let advertised = backend.offer(&session).await.unwrap();
            assert_eq!(names(&advertised.offer), ["a"]);
            assert_eq!(advertised.problem(), None);
            assert_eq!(advertised.offer.capabilities, r#"{"tools":{},"logging":{}}"#);
        }
        assert_eq!(peer.count("tools/list"), 3);
        for list in ["resources/list", "resources/templates/list", "prompts/list"] {
            assert_eq!(peer.count(list), 1, "{list}");
        }
        assert_eq!(backend.remarks(), ["lists what its capabilities do not declare"]);
        assert_eq!(backend.health().consecutive_failures, 0);
    }
}
