//! What clients see: how long it is waited for, what of it is shared, and what becomes of it.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use vmcp_catalog::{Catalog, Naming, Rules};
use vmcp_core::{PartialFailure, ViewCounts};
use vmcp_model::{Claims, Digest, Era, Identity, Kind as Of, Principal, Proof};
use vmcp_testkit::{
    modern,
    raw::{self, Answer, Kind},
};
use vmcp_wire::Fault;

use crate::{
    client::{Client, text_of},
    world::{
        BOTH, Legacy, Setup, World, client_view, id, idle, legacy, of_tenant, plain_legacy,
        plain_modern, tool,
    },
};

/// How long a new client may have to wait: see [`Setup`].
const WAIT: Duration = Duration::from_secs(3);

/// A server that takes so long to say what it offers.
fn slow(time: Duration) -> Legacy {
    let server = plain_legacy();
    let list = raw::handler(move |_call| async move {
        sleep(time).await;
        Answer::from(format!(r#"{{"tools":[{}]}}"#, tool("t")))
    });
    server.script("tools/list", list);
    server
}

fn lists(server: &Legacy) -> u64 {
    server.counters().requests("tools/list")
}

fn has(catalog: &Catalog, name: &str) -> bool {
    catalog.tool(name).is_some()
}

/// Waits like a new client. Gives how long that was.
async fn waited(world: &World, client: &Client, enough: impl Fn(&Arc<Catalog>) -> bool) -> f32 {
    let begun = Instant::now();
    world.vmcp.settle(&client.view, enough).await;
    begun.elapsed().as_secs_f32()
}

fn newly(world: &World, era: Era) -> Client {
    Client::new(&world.vmcp, world.vmcp.view(&client_view(era, "{}")).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_new_client_waits_until_all_is_known() {
    let (one, other) = (plain_legacy(), slow(Duration::from_millis(600)));
    for era in BOTH {
        let world = Setup::new().with("a", &one).with("b", &other).begin();
        let client = newly(&world, era);
        let waited = waited(&world, &client, |_catalog| false).await;
        assert!((0.6..0.7).contains(&waited), "{era:?}: {waited}");
        assert!(client.view.is_settled() && has(&client.catalog(), "b_t"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_client_waits_no_longer_than_it_may_have_to() {
    let (one, other) = (plain_legacy(), slow(Duration::from_secs(8)));
    let world = Setup::new().with("a", &one).with("b", &other).begin();
    let client = newly(&world, Era::Legacy);
    let first = waited(&world, &client, |_catalog| false).await;
    assert!((first - WAIT.as_secs_f32()).abs() < 0.01, "{first}");
    assert!(has(&client.catalog(), "a_t") && !has(&client.catalog(), "b_t"));
    assert_eq!(client.view.unknown(), [id("b")]);
    let next = waited(&world, &newly(&world, Era::Legacy), |_catalog| false).await;
    assert!(next < 0.01, "the view has been there for as long: {next}");
    let mut changes = world.vmcp.catalog_changes();
    changes.mark_unchanged();
    sleep(Duration::from_secs(10)).await;
    assert!(has(&client.catalog(), "b_t") && changes.has_changed().unwrap());
    assert_eq!(client.view.unknown(), []);
}

#[tokio::test(start_paused = true)]
async fn who_needs_no_more_than_is_known_waits_no_longer() {
    let (one, other) = (plain_legacy(), slow(Duration::from_secs(8)));
    let world = Setup::new().with("a", &one).with("b", &other).begin();
    let client = newly(&world, Era::Legacy);
    let waited = waited(&world, &client, |catalog| has(catalog, "a_t")).await;
    assert!(waited < 0.1, "{waited}");
    assert!(!client.view.is_settled());
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_keeps_nobody_from_what_is_there() {
    let (one, silent) = (plain_legacy(), plain_legacy());
    silent.script("initialize", raw::fixed(Answer::Hang));
    for era in BOTH {
        let world = Setup::new().with("a", &one).with("b", &silent).begin();
        let client = newly(&world, era);
        waited(&world, &client, |_catalog| false).await;
        assert_eq!(text_of(&client.answer("a_t").await), "legacy", "{era:?}");
        let unknown = Err(Fault::InvalidParams("unknown tool: b_t".into()));
        assert_eq!(client.leads_to("tools/call", r#""name":"b_t""#), unknown);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_has_nothing_to_offer_any_more_is_as_it_was() {
    let server = plain_legacy();
    let (world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    drop(server);
    sleep(Duration::from_secs(300)).await;
    newly(&world, Era::Legacy);
    sleep(Duration::from_secs(300)).await;
    assert!(has(&client.catalog(), "a_t"), "its last good offer is used");
}

#[tokio::test(start_paused = true)]
async fn a_part_is_shown_only_where_a_part_will_do() {
    let (one, silent) = (plain_legacy(), plain_legacy());
    silent.script("initialize", raw::fixed(Answer::Hang));
    let world = Setup::new().with("a", &one).with("b", &silent).begin();
    let client = newly(&world, Era::Legacy);
    waited(&world, &client, |_catalog| false).await;
    assert_eq!(world.vmcp.check_whole(&client.view), Ok(()));
    world.vmcp.set_partial_failure(PartialFailure::Fail);
    let fault = world.vmcp.check_whole(&client.view).unwrap_err();
    assert!(fault.to_string().contains("cannot be used: b;"), "{fault}");
    world.vmcp.set_partial_failure(PartialFailure::BestEffort);
    assert_eq!(world.vmcp.check_whole(&client.view), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn kinds_of_clients_and_both_eras_see_what_was_read_once() {
    let server = plain_legacy();
    let world = Setup::new().with("a", &server).begin();
    for (era, capabilities) in [
        (Era::Legacy, "{}"),
        (Era::Legacy, r#"{"roots":{}}"#),
        (Era::Modern, "{}"),
        (Era::Modern, r#"{"sampling":{}}"#),
    ] {
        let client = world.client_with(era, capabilities).await;
        assert!(has(&client.catalog(), "a_t"), "{era:?} {capabilities}");
    }
    assert_eq!((lists(&server), server.counters().initializes()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn callers_of_whom_backends_are_shown_different_credentials_share_nothing() {
    let (old, new) = (plain_legacy(), plain_modern());
    let setup = Setup { passes_tenant: true, ..Setup::new() };
    let world = setup.with("old", &old).with("new", &new).begin();
    let nobody = Identity::unproved(Principal::Anonymous);
    let callers = [nobody, of_tenant("alice"), of_tenant("bob")];
    for era in BOTH {
        let kind = |caller| world.client_view_of(era, caller);
        let before = lists(&old);
        let mut views = Vec::new();
        for caller in &callers {
            views.push(world.view(&kind(caller)).await);
        }
        if era == Era::Legacy {
            assert_eq!(lists(&old), before + 3, "each is asked for by itself");
        }
        for (place, caller) in callers.iter().enumerate() {
            let again = world.vmcp.view(&kind(caller)).unwrap();
            for (other, view) in views.iter().enumerate() {
                assert_eq!(Arc::ptr_eq(view, &again), place == other, "{era:?}");
            }
        }
        let base = views[1].client().base().unwrap();
        assert_eq!(base.subject(), None, "what is not alice's own is everybody's");
    }
    let carol = Digest::of(b"carol");
    assert!(world.vmcp.modern_view(b"{}", Some(&carol)).is_none());
    assert!(world.vmcp.modern_view(b"{}", None).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_one_credential_is_offered_others_are_not() {
    // A server that offers one tool more with each reading: nobody is shown what another one was.
    let server = plain_legacy();
    let list = raw::handler(|call: raw::Call| async move {
        let read = call.server.counters().requests("tools/list");
        Answer::from(format!(r#"{{"tools":[{}]}}"#, tool(&format!("t{read}"))))
    });
    server.script("tools/list", list);
    let setup = Setup { passes_tenant: true, ..Setup::new() };
    let world = setup.with("a", &server).begin();
    world.view(&client_view(Era::Legacy, "{}")).await;
    for (number, who) in [(2, "alice"), (3, "bob")] {
        let kind = world.client_view_of(Era::Legacy, &of_tenant(who));
        let catalog = world.view(&kind).await.catalog();
        let names: Vec<_> = catalog.keys(Of::Tool).collect();
        assert_eq!(names, [format!("a_t{number}")], "{who}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_backends_are_shown_the_same_for_everybody_callers_share_a_view() {
    let server = plain_legacy();
    let world = Setup::new().with("a", &server).begin();
    let principal = Principal::Subject { issuer: "https://idp".into(), subject: "alice".into() };
    let claims = Claims::new("{}".into());
    let proof = Proof::new(claims, "token", u64::MAX);
    for caller in [
        Identity::unproved(Principal::Anonymous),
        Identity::unproved(principal.clone()),
        Identity::proved(principal, Arc::new(proof)),
    ] {
        assert_eq!(world.vmcp.subject(&caller), None, "{caller:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_that_a_backend_announces_is_seen_by_all() {
    let (old, new) = (plain_legacy(), plain_modern());
    let world = Setup::new().with("old", &old).with("new", &new).begin();
    let clients = [world.client(Era::Legacy).await, world.client(Era::Modern).await];
    sleep(Duration::from_secs(1)).await;
    old.add(Kind::Tools, &tool("u"), raw::fixed(Answer::text("u"))).await;
    new.add(Kind::Tools, &tool("u"), modern::fixed(modern::text("u")));
    sleep(Duration::from_secs(2)).await;
    for client in clients {
        assert_eq!(text_of(&client.answer("old_u").await), "u");
        assert_eq!(text_of(&client.answer("new_u").await), "u");
    }
}

#[tokio::test(start_paused = true)]
async fn backends_can_be_exchanged_while_calls_are_under_way() {
    let waiting = raw::handler(|_call| async {
        sleep(Duration::from_secs(2)).await;
        Answer::text("still")
    });
    let (one, other) = (legacy("t", waiting), plain_legacy());
    let (world, client) = Setup::new().with("a", &one).settled(Era::Legacy).await;
    let exchange = Setup::new().with("b", &other).begin();
    let mut replacements = world.vmcp.replacements();
    let shown_before = client.catalog();
    let replacing = async {
        idle().await;
        let replaced = world.vmcp.replace(exchange.vmcp.backends(), Rules::default());
        assert_eq!((replaced.added, replaced.removed), (vec![id("b")], vec![id("a")]));
        assert_eq!(replaced.retired.len(), 1);
    };
    let (called, ()) = tokio::join!(client.call("a_t"), replacing);
    assert_eq!(text_of(&called.json()), "still", "what was under way has come to its end");
    assert!(replacements.has_changed().unwrap());
    replacements.mark_unchanged();
    sleep(Duration::from_secs(1)).await;
    assert_eq!(text_of(&client.answer("b_t").await), "legacy");
    let unknown = Err(Fault::InvalidParams("unknown tool: a_t".into()));
    assert_eq!(client.leads_to("tools/call", r#""name":"a_t""#), unknown);
    // Whoever still has the old catalog is told what has happened.
    let late = Client { catalog: Some(shown_before), ..client };
    let fault = late.leads_to("tools/call", r#""name":"a_t""#).unwrap_err();
    assert_eq!(fault, Fault::Unavailable("backend a is not configured any more".into()));
}

#[tokio::test(start_paused = true)]
async fn a_view_that_nobody_uses_ends_after_a_while() {
    let server = plain_legacy();
    let world = Setup::new().with("a", &server).begin();
    let kind = client_view(Era::Legacy, "{}");
    let used = world.view(&kind).await;
    sleep(Duration::from_secs(100)).await;
    world.vmcp.prune();
    assert!(world.vmcp.has_view(&kind), "somebody uses it");
    drop(used);
    world.vmcp.prune();
    assert!(!world.vmcp.has_view(&kind));
    sleep(Duration::from_secs(1)).await;
    assert_eq!((server.sessions().len(), server.counters().deletes()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn lists_come_page_by_page_and_a_cursor_is_good_for_its_list_only() {
    let server = plain_legacy();
    for number in 0..5 {
        let name = tool(&format!("t{number}"));
        server.add(Kind::Tools, &name, raw::fixed(Answer::text(""))).await;
    }
    let rules = Rules { page_size: 4, ..Rules::default() };
    let setup = Setup { rules, ..Setup::new() }.with("a", &server);
    let (world, client) = setup.settled(Era::Legacy).await;
    let catalog = client.catalog();
    let page = |kind, cursor: Option<&str>| -> Result<serde_json::Value, Fault> {
        let page = world.vmcp.list(&catalog, kind, cursor)?;
        Ok(serde_json::from_slice(&page).unwrap())
    };
    let first = page(Of::Tool, None).unwrap();
    let cursor = first["nextCursor"].as_str().unwrap();
    let second = page(Of::Tool, Some(cursor)).unwrap();
    let sizes = [&first, &second].map(|page| page["tools"].as_array().unwrap().len());
    assert_eq!((sizes, &second["nextCursor"]), ([4, 2], &serde_json::Value::Null));
    for (kind, cursor) in [(Of::Prompt, cursor), (Of::Tool, "made up")] {
        let fault = page(kind, Some(cursor)).unwrap_err();
        assert!(matches!(fault, Fault::InvalidParams(_)), "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn views_that_show_the_same_have_one_catalog() {
    let (one, other) = (plain_legacy(), plain_legacy());
    let naming = Naming::Priority { order: vec![id("a"), id("b")], format: "{workload}_".into() };
    let rules = Rules { naming, ..Rules::default() };
    let setup = Setup { rules, ..Setup::new() }.with("a", &one).with("b", &other);
    let (world, _client) = setup.settled(Era::Legacy).await;
    let counts = ViewCounts { views: 1, catalogs: 1, most_dropped: 1 };
    assert_eq!(world.vmcp.view_counts(), counts, "the tool of one has the name of the other's");
    world.view(&client_view(Era::Legacy, r#"{"sampling":{}}"#)).await;
    assert_eq!(world.vmcp.view_counts(), ViewCounts { views: 2, ..counts });
}
