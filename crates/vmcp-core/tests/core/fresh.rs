//! How fresh the lists of modern backends are, and when they are read again.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;
use vmcp_core::{Freshness, View};
use vmcp_model::{Digest, Era, Identity, Kind, Principal};
use vmcp_testkit::{
    modern::{ModernServer, Speaks, complete, fixed, text},
    peers,
    raw::{Answer, Kind as Of, Lost},
};

use crate::world::{Modern, Setup, World, client_view, of_tenant};

const TOOL: &str = r#"{"name":"added","inputSchema":{"type":"object"}}"#;

/// Longer than a watch rests between two readings.
const REST: Duration = Duration::from_millis(700);

/// What a modern client sees that can do nothing.
struct Seen {
    world: World,
    view: Arc<View>,
}

impl Seen {
    async fn of(setup: Setup) -> Self {
        let world = setup.begin();
        let view = world.view(&client_view(Era::Modern, "{}")).await;
        Self { world, view }
    }

    async fn of_one(server: &Modern) -> Self {
        Self::of(Setup::new().with("b0", server)).await
    }

    fn has(&self, tool: &str) -> bool {
        self.view.catalog().tool(&format!("b0_{tool}")).is_some()
    }
}

/// Waits until that is so, which must be before long.
#[track_caller]
fn within_moments(is_so: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        for _moment in 0..50 {
            sleep(Duration::from_millis(100)).await;
            if is_so() {
                return;
            }
        }
        panic!("it is not so, at {caller}");
    }
}

fn lists(server: &Modern) -> u64 {
    server.counters().requests("tools/list")
}

#[track_caller]
fn assert_fresh(found: Freshness, seconds: u64, is_public: bool) {
    let ttl = Duration::from_secs(seconds);
    assert!(found.ttl <= ttl && found.ttl + Duration::from_secs(5) > ttl, "{found:?}");
    assert_eq!(found.is_public, is_public);
}

#[tokio::test(start_paused = true)]
async fn lists_that_are_fresh_cost_a_backend_nothing() {
    let server = peers::modern().start_in_memory();
    let seen = Seen::of_one(&server).await;
    for _list in 0..1000 {
        assert_fresh(seen.view.freshness(Kind::Tool), 60, true);
        seen.world.vmcp.view(seen.view.client()).unwrap();
    }
    sleep(REST).await;
    for method in ["tools/list", "resources/list", "prompts/list", "server/discover"] {
        assert_eq!(server.counters().requests(method), 1, "{method}");
    }
    assert_eq!(server.refusals(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_view_is_as_fresh_as_the_least_of_its_backends() {
    let one = peers::modern().start_in_memory();
    let other = ModernServer::builder()
        .cache("tools/list", 10_000, "private")
        .tool(TOOL, text(""))
        .start_in_memory();
    let seen = Seen::of(Setup::new().with("b0", &one).with("b1", &other)).await;
    assert_fresh(seen.view.freshness(Kind::Tool), 10, false);
    assert_fresh(seen.view.freshness(Kind::Prompt), 60, true);
    let legacy = peers::stateful().start_in_memory();
    let seen = Seen::of(Setup::new().with("b0", &one).with("b1", &legacy)).await;
    assert_eq!(seen.view.freshness(Kind::Tool), Freshness::default());
    assert_eq!(seen.view.freshness(Kind::Prompt), Freshness::default());
}

#[tokio::test(start_paused = true)]
async fn lists_that_are_over_are_read_once_somebody_is_shown_them() {
    let server = peers::modern().cache("", 300, "public").start_in_memory();
    let seen = Seen::of_one(&server).await;
    server.put(Of::Tools, TOOL, fixed(text("")));
    sleep(REST).await;
    assert_eq!(lists(&server), 1, "nobody has asked");
    assert!(seen.view.freshness(Kind::Tool).ttl.is_zero());
    assert!(!seen.has("added"), "the last good ones do until they are read");
    for _list in 0..100 {
        seen.view.note_shown();
    }
    within_moments(|| seen.has("added")).await;
    sleep(REST).await;
    assert_eq!(lists(&server), 2, "however many have asked");
}

#[tokio::test(start_paused = true)]
async fn lists_that_promise_nothing_are_read_when_they_are_said_to_have_changed() {
    let server = peers::modern().cache("", 0, "private").start_in_memory();
    let seen = Seen::of_one(&server).await;
    assert_eq!(seen.view.freshness(Kind::Tool), Freshness::default());
    sleep(REST).await;
    seen.view.note_shown();
    sleep(REST).await;
    assert_eq!(lists(&server), 1);
    server.add(Of::Tools, TOOL, fixed(text("")));
    within_moments(|| seen.has("added")).await;
    assert_eq!(lists(&server), 2);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_heard_while_lists_are_fresh() {
    let server = peers::modern().start_in_memory();
    let seen = Seen::of_one(&server).await;
    server.until_subscriptions(1).await.unwrap();
    server.add(Of::Tools, TOOL, fixed(text("")));
    within_moments(|| seen.has("added")).await;
    assert_fresh(seen.view.freshness(Kind::Tool), 60, true);
    // A subscription that breaks off is opened again, and what has changed meanwhile is found.
    server.put(Of::Tools, r#"{"name":"unheard","inputSchema":{"type":"object"}}"#, fixed(text("")));
    server.break_subscriptions();
    within_moments(|| seen.has("unheard")).await;
    server.until_subscriptions(1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_backend_says_about_itself_decides_what_is_listened_to() {
    let server = ModernServer::builder()
        .tool(TOOL, text(""))
        .capabilities(r#"{"tools":{"listChanged":true}}"#)
        .start_in_memory();
    let seen = Seen::of_one(&server).await;
    server.until_subscriptions(1).await.unwrap();
    assert!(!server.subscriptions()[0].asked.prompts_list_changed);
    let now = r#""supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"prompts":{"listChanged":true}}"#;
    server.script("server/discover", fixed(complete(now)));
    server.put(Of::Prompts, r#"{"name":"p"}"#, fixed(Answer::from("{}".to_owned())));
    server.list_changed(Of::Tools);
    within_moments(|| seen.view.catalog().prompt("b0_p").is_some()).await;
    let listened = || server.subscriptions().iter().any(|one| one.asked.prompts_list_changed);
    within_moments(listened).await;
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_changes_its_era_is_watched_in_the_new_one() {
    let server = peers::turning().start_in_memory();
    server.set_speaks(Speaks::Modern);
    let seen = Seen::of_one(&server).await;
    let backend = seen.world.vmcp.backend("b0").unwrap();
    assert!(seen.has("echo"));
    let refusal = Answer::Http { status: 404, content_type: None, body: "".into() };
    server.set_speaks(Speaks::Legacy(refusal));
    server.break_subscriptions();
    within_moments(|| !seen.has("echo")).await;
    assert_eq!(backend.era(), Some(Era::Legacy));
    assert_eq!(seen.view.freshness(Kind::Tool), Freshness::default());
    server.set_speaks(Speaks::Modern);
    // As it would be when the process that held them has ended.
    server.legacy().forget_sessions(Lost::NotFound);
    seen.world.vmcp.refresh(backend.id(), None);
    within_moments(|| seen.has("echo")).await;
    assert_eq!(backend.era(), Some(Era::Modern));
    assert_fresh(seen.view.freshness(Kind::Tool), 60, true);
}

#[tokio::test(start_paused = true)]
async fn callers_of_whom_a_backend_sees_different_credentials_share_no_lists() {
    let server = peers::modern().start_in_memory();
    let setup = Setup { passes_tenant: true, ..Setup::new() };
    let seen = Seen::of(setup.with("b0", &server)).await;
    let read = lists(&server);
    let [alice, bob] = ["alice", "bob"].map(of_tenant);
    let view = |caller| {
        let client = seen.world.client_view_of(Era::Modern, caller);
        seen.world.vmcp.view(&client).unwrap()
    };
    for (caller, count) in [(&alice, 1), (&bob, 2)] {
        let settled = view(caller).settle(Duration::from_secs(10)).await;
        assert_eq!(settled.missing, []);
        within_moments(|| lists(&server) == read + count).await;
    }
    assert!(Arc::ptr_eq(&view(&alice), &view(&alice)));
    assert!(!Arc::ptr_eq(&view(&alice), &view(&bob)));
    let nobody = Identity::unproved(Principal::Anonymous);
    for (caller, shown) in [(&nobody, &seen.view), (&alice, &view(&alice))] {
        let subject = seen.world.vmcp.subject(caller);
        let found = seen.world.vmcp.modern_view(b"{}", subject.as_ref()).unwrap();
        assert!(Arc::ptr_eq(&found, shown), "{caller:?}");
    }
    assert!(seen.world.vmcp.modern_view(b"{}", Some(&Digest::of(b"carol"))).is_none());
}
