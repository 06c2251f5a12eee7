//! What is watched of modern backends: how fresh their lists are, and when they are read again.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use vmcp_backend::{Backend, ClientView};
use vmcp_core::{Background, Config, Freshness, Keys, View, Vmcp};
use vmcp_model::{BackendId, Era, Kind, ProtocolVersion};
use vmcp_testkit::{
    gateway::eventually,
    modern::{ModernServer, Running, Speaks, fixed, text},
    peers,
    raw::{Answer, Kind as Of, Lost},
};

const TOOL: &str = r#"{"name":"added","inputSchema":{"type":"object"}}"#;

/// Longer than a watch rests between two readings.
const REST: Duration = Duration::from_millis(700);

struct Core {
    vmcp: Arc<Vmcp>,
    view: Arc<View>,
    background: Background,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.background.stop().cancel();
    }
}

impl Core {
    /// In front of these servers, for a modern client that can do nothing.
    async fn before(urls: &[String]) -> Self {
        let background = Background::new(tokio::runtime::Handle::current());
        let backend = |(number, url): (usize, &String)| {
            let id = BackendId::new(&format!("b{number}")).unwrap();
            let config = vmcp_backend::Config::plain(id, url.parse().unwrap());
            Backend::new(&config, background.tasks().clone()).unwrap()
        };
        let backends = urls.iter().enumerate().map(backend).collect();
        let config = Config {
            rules: vmcp_catalog::Rules::default(),
            max_backend_init_concurrency: 10,
            views: 16,
            view_idle: Duration::from_secs(60),
            initialize_wait: Duration::from_secs(3),
            offer_max_age: Duration::from_secs(60),
            known: vmcp_core::Known::default(),
            bridge: vmcp_core::Bridge::default(),
            held_bytes: 1 << 20,
            server_info: Bytes::from_static(b"{}"),
            keys: Keys::new(|| None),
            state_life: Duration::from_secs(60),
        };
        let vmcp = Vmcp::new(backends, config, background.clone());
        let client = ClientView::new(ProtocolVersion::MODERN, Bytes::from_static(b"{}"));
        let view = vmcp.view(&client).unwrap();
        let settled = view.settle(Duration::from_secs(10)).await;
        assert_eq!(settled.missing, []);
        Self { vmcp, view, background }
    }

    fn has(&self, tool: &str) -> bool {
        self.view.catalog().tool(&format!("b0_{tool}")).is_some()
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    eventually(what, async || is_so().then_some(())).await;
}

fn lists(server: &Running) -> u64 {
    server.counters().requests("tools/list")
}

#[track_caller]
fn assert_fresh(found: Freshness, seconds: u64, is_public: bool) {
    let ttl = Duration::from_secs(seconds);
    assert!(found.ttl <= ttl && found.ttl + Duration::from_secs(5) > ttl, "{found:?}");
    assert_eq!(found.is_public, is_public);
}

#[tokio::test]
async fn lists_that_are_fresh_cost_a_backend_nothing() {
    let server = peers::modern().start().await.unwrap();
    let core = Core::before(&[server.url()]).await;
    for _list in 0..1000 {
        assert_fresh(core.view.freshness(Kind::Tool), 60, true);
        core.vmcp.view(core.view.client()).unwrap();
    }
    tokio::time::sleep(REST).await;
    for method in ["tools/list", "resources/list", "prompts/list", "server/discover"] {
        assert_eq!(server.counters().requests(method), 1, "{method}");
    }
    assert_eq!(server.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn a_view_is_as_fresh_as_the_least_of_its_backends() {
    let one = peers::modern().start().await.unwrap();
    let other = ModernServer::builder()
        .cache("tools/list", 10_000, "private")
        .tool(TOOL, text(""))
        .start()
        .await
        .unwrap();
    let core = Core::before(&[one.url(), other.url()]).await;
    assert_fresh(core.view.freshness(Kind::Tool), 10, false);
    assert_fresh(core.view.freshness(Kind::Prompt), 60, true);
    let legacy = peers::stateful().start().await.unwrap();
    let core = Core::before(&[one.url(), legacy.url()]).await;
    assert_eq!(core.view.freshness(Kind::Tool), Freshness::default());
    assert_eq!(core.view.freshness(Kind::Prompt), Freshness::default());
}

#[tokio::test]
async fn lists_that_are_over_are_read_once_somebody_is_shown_them() {
    let server = peers::modern().cache("", 300, "public").start().await.unwrap();
    let core = Core::before(&[server.url()]).await;
    server.put(Of::Tools, TOOL, fixed(text("")));
    tokio::time::sleep(REST).await;
    assert_eq!(lists(&server), 1, "nobody has asked");
    assert!(core.view.freshness(Kind::Tool).ttl.is_zero());
    assert!(!core.has("added"), "the last good ones do until they are read");
    for _list in 0..100 {
        core.view.note_shown();
    }
    until("the tool is there", || core.has("added")).await;
    tokio::time::sleep(REST).await;
    assert_eq!(lists(&server), 2, "however many have asked");
}

#[tokio::test]
async fn lists_that_promise_nothing_are_read_when_they_are_said_to_have_changed() {
    let server = peers::modern().cache("", 0, "private").start().await.unwrap();
    let core = Core::before(&[server.url()]).await;
    assert_eq!(core.view.freshness(Kind::Tool), Freshness::default());
    tokio::time::sleep(REST).await;
    core.view.note_shown();
    tokio::time::sleep(REST).await;
    assert_eq!(lists(&server), 1);
    server.add(Of::Tools, TOOL, fixed(text("")));
    until("the tool is there", || core.has("added")).await;
    assert_eq!(lists(&server), 2);
}

#[tokio::test]
async fn a_change_is_heard_while_lists_are_fresh() {
    let server = peers::modern().start().await.unwrap();
    let core = Core::before(&[server.url()]).await;
    server.until_subscriptions(1).await.unwrap();
    server.add(Of::Tools, TOOL, fixed(text("")));
    until("the tool is there", || core.has("added")).await;
    assert_fresh(core.view.freshness(Kind::Tool), 60, true);
    // A subscription that breaks off is opened again, and what has changed meanwhile is found.
    server.put(Of::Tools, r#"{"name":"unheard","inputSchema":{"type":"object"}}"#, fixed(text("")));
    server.break_subscriptions();
    until("the tool is there", || core.has("unheard")).await;
    server.until_subscriptions(1).await.unwrap();
}

#[tokio::test]
async fn what_a_backend_says_about_itself_decides_what_is_listened_to() {
    let server = ModernServer::builder()
        .tool(TOOL, text(""))
        .capabilities(r#"{"tools":{"listChanged":true}}"#)
        .start()
        .await
        .unwrap();
    let core = Core::before(&[server.url()]).await;
    server.until_subscriptions(1).await.unwrap();
    assert!(!server.subscriptions()[0].asked.prompts_list_changed);
    let now = r#""supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":true}}"#;
    server.script("server/discover", fixed(vmcp_testkit::modern::complete(now)));
    server.put(Of::Prompts, r#"{"name":"p"}"#, fixed(Answer::from("{}".to_owned())));
    server.list_changed(Of::Tools);
    until("the prompt is there", || core.view.catalog().prompt("b0_p").is_some()).await;
    let listened = || server.subscriptions().iter().any(|one| one.asked.prompts_list_changed);
    until("prompts are listened to", listened).await;
}

#[tokio::test]
async fn a_backend_that_changes_its_era_is_watched_in_the_new_one() {
    let server = peers::turning().start().await.unwrap();
    server.set_speaks(Speaks::Modern);
    let core = Core::before(&[server.url()]).await;
    let backend = core.vmcp.backend("b0").unwrap();
    assert!(core.has("echo"));
    let refusal = Answer::Http { status: 404, content_type: None, body: Bytes::new() };
    server.set_speaks(Speaks::Legacy(refusal));
    server.break_subscriptions();
    until("it is watched as a legacy one", || !core.has("echo")).await;
    assert_eq!(backend.era(), Some(Era::Legacy));
    assert_eq!(core.view.freshness(Kind::Tool), Freshness::default());
    server.set_speaks(Speaks::Modern);
    // As it would be when the process that held them has ended.
    server.legacy().forget_sessions(Lost::NotFound);
    core.vmcp.refresh(backend.id());
    until("it is watched as a modern one", || core.has("echo")).await;
    assert_eq!(backend.era(), Some(Era::Modern));
    assert_fresh(core.view.freshness(Kind::Tool), 60, true);
}
