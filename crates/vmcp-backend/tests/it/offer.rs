//! What is read of a modern backend's lists.

use std::{sync::Arc, time::Duration};

use tokio_util::task::TaskTracker;
use vmcp_backend::{Backend, Config, Error, Freshness, Session};
use vmcp_model::{BackendId, Kind, ProtocolVersion, declared::MAX_INSTRUCTIONS};
use vmcp_testkit::{
    modern::{ModernServer, Running, complete, error, fixed, text},
    peers,
    raw::{Answer, Kind as Of},
};

use crate::peer::view;

async fn open(server: &Running) -> (Arc<Backend>, Session) {
    let config = Config::plain(BackendId::new("modern").unwrap(), server.url().parse().unwrap());
    let backend = Backend::new(&config, TaskTracker::new()).unwrap();
    let session = backend.open_to_watch(&view(ProtocolVersion::MODERN, "{}")).await.unwrap();
    (backend, session)
}

/// A time that has begun to run a moment ago.
#[track_caller]
fn assert_fresh(found: Freshness, seconds: u64, is_public: bool) {
    let ttl = Duration::from_secs(seconds);
    assert!(found.ttl <= ttl && found.ttl + Duration::from_secs(5) > ttl, "{found:?}");
    assert_eq!(found.is_public, is_public);
}

#[tokio::test]
async fn every_list_is_read_to_its_end_and_says_how_fresh_it_is() {
    let server = peers::modern()
        .instructions("Count.")
        .page_size(3)
        .cache("prompts/list", 3_600_000, "private")
        .start()
        .await
        .unwrap();
    let (backend, session) = open(&server).await;
    let advertised = backend.offer(&session).await.unwrap();
    let offer = &advertised.offer;
    assert_eq!(offer.tools.len(), 13);
    assert_eq!((offer.resources.len(), offer.templates.len(), offer.prompts.len()), (3, 1, 2));
    assert_eq!(offer.instructions.as_deref(), Some("Count."));
    assert_fresh(advertised.freshness(Kind::Tool), 60, true);
    assert_fresh(advertised.freshness(Kind::Prompt), 3600, false);
    assert_eq!(server.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn instructions_that_are_too_long_are_cut_and_named() {
    let long = "x".repeat(2 * MAX_INSTRUCTIONS);
    let server = peers::modern().instructions(&long).start().await.unwrap();
    let (backend, session) = open(&server).await;
    let kept = session.facts().instructions.as_deref().unwrap();
    assert!(kept.len() <= MAX_INSTRUCTIONS && long.starts_with(&kept[..MAX_INSTRUCTIONS / 2]));
    let offer = backend.offer(&session).await.unwrap().offer;
    let named: Vec<_> = offer.left_out.iter().map(|item| (item.of, &*item.name)).collect();
    assert_eq!(named, [(None, "instructions")]);
}

#[tokio::test]
async fn a_list_holds_its_items_and_nothing_between_them() {
    let server = peers::modern().start().await.unwrap();
    let (backend, session) = open(&server).await;
    let space = " ".repeat(100_000);
    let tool = |name: &str| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
    let list = format!("[{},{space}5,{}]", tool("a"), tool("b"));
    let answer = format!(r#"{{"resultType":"complete","tools":{list}}}"#);
    server.script("tools/list", fixed(Answer::from(answer)));
    let offer = backend.offer(&session).await.unwrap().offer;
    let [a, b] = &offer.tools[..] else { panic!("{:?}", offer.tools) };
    assert_eq!(a.json().as_ptr_range().end, b.json().as_ptr());
}

#[tokio::test]
async fn what_a_backend_does_not_have_is_as_fresh_as_what_says_so() {
    let server = ModernServer::builder()
        .cache("server/discover", 10_000, "private")
        .tool(r#"{"name":"t","inputSchema":{"type":"object"}}"#, text(""))
        .start()
        .await
        .unwrap();
    let (backend, session) = open(&server).await;
    let advertised = backend.offer(&session).await.unwrap();
    assert_fresh(advertised.freshness(Kind::Tool), 60, true);
    assert_fresh(advertised.freshness(Kind::Prompt), 10, false);
    assert_eq!(server.counters().requests("prompts/list"), 0);
}

#[tokio::test]
async fn a_tool_that_cannot_be_called_is_left_out_alone() {
    let mut server = ModernServer::builder();
    for definition in peers::INVALID_HEADERS {
        server = server.tool(definition, text("never"));
    }
    let good = r#"{"name":"good","inputSchema":{"type":"object","properties":{"a":{"type":"string","x-mcp-header":"A"}}}}"#;
    let server = server.tool(good, text("")).start().await.unwrap();
    let (backend, session) = open(&server).await;
    let offer = backend.offer(&session).await.unwrap().offer;
    assert_eq!(offer.tools.iter().map(|tool| tool.key()).collect::<Vec<_>>(), ["good"]);
}

#[tokio::test]
async fn a_list_that_is_not_complete_breaks_the_protocol() {
    let server = peers::modern().start().await.unwrap();
    let (backend, session) = open(&server).await;
    let asks = Answer::from(r#"{"resultType":"input_required","tools":[]}"#.to_owned());
    server.script("tools/list", fixed(asks));
    let problem = backend.offer(&session).await.unwrap().problem().unwrap();
    assert!(problem.starts_with("tools/list: ") && problem.contains("input_required"), "{problem}");
    // A server may be older than the member.
    server.script("tools/list", fixed(Answer::from(r#"{"tools":[]}"#.to_owned())));
    let advertised = backend.offer(&session).await.unwrap();
    assert_eq!(advertised.freshness(Kind::Tool), Freshness::default());
}

#[tokio::test]
async fn a_list_that_is_refused_is_empty_and_named() {
    let server = peers::modern().start().await.unwrap();
    let (backend, session) = open(&server).await;
    server.script("prompts/list", fixed(error(-32603, "no")));
    let advertised = backend.offer(&session).await.unwrap();
    assert_eq!(advertised.offer.prompts.len(), 0);
    assert_eq!(advertised.freshness(Kind::Prompt), Freshness::default());
}

#[tokio::test]
async fn what_a_backend_says_about_itself_is_asked_anew_where_it_is_watched() {
    let server = peers::modern().start().await.unwrap();
    let (backend, session) = open(&server).await;
    assert_eq!(server.counters().requests("server/discover"), 1);
    server.script(
        "server/discover",
        fixed(complete(
            r#""supportedVersions":["2026-07-28"],"capabilities":{"prompts":{}},"instructions":"New.""#,
        )),
    );
    let session = backend.refreshed(&session).await.unwrap();
    let offer = backend.offer(&session).await.unwrap().offer;
    assert_eq!((offer.tools.len(), offer.prompts.len()), (0, 2));
    assert_eq!(offer.instructions.as_deref(), Some("New."));
    let now = backend.stateless(&view(ProtocolVersion::MODERN, "{}")).unwrap();
    assert_eq!(now.facts(), session.facts());
    server.put(Of::Tools, r#"{"name":"x","inputSchema":{"type":"object"}}"#, fixed(text("")));
    server.script("server/discover", fixed(error(-32021, "not for you")));
    let refused = backend.refreshed(&session).await;
    assert!(matches!(refused, Err(Error::Protocol(_))), "{refused:?}");
    assert!(backend.stateless(&view(ProtocolVersion::MODERN, "{}")).is_some());
}
