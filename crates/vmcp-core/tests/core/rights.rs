//! What many callers are left of one catalog, and what that costs.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use serde_json::json;
use vmcp_core::{Denial, Granted};
use vmcp_model::{Claims, Era, Identity, Kind as Of, Principal, Proof};
use vmcp_policy::{Policy, Settings};
use vmcp_testkit::raw::{Answer, RawServer};

use crate::{
    client::Client,
    world::{Setup, World, tool},
};

const TOOLS: usize = 1000;
const GROUPS: usize = 50;

fn caller(subject: &str, groups: &[String]) -> Identity {
    let json = json!({"sub": subject, "email": format!("{subject}@example.org"), "groups": groups});
    let claims = Claims::new(Bytes::from(json.to_string()));
    let principal = Principal::Subject { issuer: "https://idp".into(), subject: subject.into() };
    let proof = Proof::new(claims, subject, u64::MAX);
    Identity::proved(principal, Arc::new(proof))
}

fn policy(texts: impl IntoIterator<Item = String>) -> Arc<Policy> {
    let settings = Settings { policies: texts.into_iter().collect(), ..Settings::default() };
    Arc::new(Policy::new(&settings).unwrap())
}

/// Each group may call a part of the tools.
fn by_group() -> Arc<Policy> {
    policy((0..GROUPS).map(|group| {
        format!(
            r#"permit(principal in THVGroup::"g{group}", action, resource) when {{ resource.name like "*_of{group}" }};"#
        )
    }))
}

async fn many_tools(policy: Arc<Policy>) -> (World, Client) {
    let tools = (0..TOOLS).map(|number| tool(&format!("t{number}_of{}", number % GROUPS)));
    let server =
        tools.fold(RawServer::builder(), |server, tool| server.tool(&tool, Answer::text("")));
    let server = server.start_in_memory();
    Setup { policy: Some(policy), ..Setup::new() }.with("a", &server).settled(Era::Legacy).await
}

async fn granted(world: &World, client: &Client, caller: &Identity) -> Granted {
    let (rights, whole) = (world.vmcp.rights(), client.catalog());
    match rights.at_hand(caller, whole) {
        Ok(granted) => granted,
        Err(whole) => rights.find(caller, whole).await,
    }
}

#[tokio::test(start_paused = true)]
async fn callers_who_may_use_the_same_share_one_catalog() {
    let (world, client) = many_tools(by_group()).await;
    let (mut catalogs, mut kept) = (HashSet::new(), Vec::new());
    for number in 0..10_000 {
        let caller = caller(&format!("u{number}"), &[format!("g{}", number % GROUPS)]);
        let granted = granted(&world, &client, &caller).await;
        assert_eq!(granted.catalog().len(Of::Tool), TOOLS / GROUPS);
        catalogs.insert(Arc::as_ptr(granted.catalog()));
        kept.push(granted);
    }
    assert_eq!(catalogs.len(), GROUPS);
    // Two ways to the same rights: what is left is shared, not only what is known of the caller.
    let both = |groups: [&str; 2]| caller("u", &groups.map(str::to_owned));
    let one = granted(&world, &client, &both(["g1", "g2"])).await;
    let other = granted(&world, &client, &both(["g2", "g1"])).await;
    assert!(Arc::ptr_eq(one.catalog(), other.catalog()));
    let none = granted(&world, &client, &caller("u", &[])).await;
    assert!(none.catalog().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_worked_out_is_at_hand_until_the_policies_change() {
    let (world, client) = many_tools(by_group()).await;
    let (rights, caller) = (world.vmcp.rights(), caller("u", &["g1".to_owned()]));
    let mut changes = rights.changes();
    assert!(rights.at_hand(&caller, client.catalog()).is_err());
    rights.find(&caller, client.catalog()).await;
    assert!(rights.at_hand(&caller, client.catalog()).is_ok());
    // The same policies again are no change.
    rights.replace(Some(by_group()), Denial::default());
    assert!(rights.at_hand(&caller, client.catalog()).is_ok());
    assert!(!changes.has_changed().unwrap());
    rights.replace(
        Some(policy(["permit(principal, action, resource);".to_owned()])),
        Denial::default(),
    );
    changes.changed().await.unwrap();
    assert_eq!(granted(&world, &client, &caller).await.catalog().len(Of::Tool), TOOLS);
    rights.replace(None, Denial::default());
    let granted = rights.at_hand(&caller, client.catalog()).unwrap();
    assert!(granted.grant.is_none() && Arc::ptr_eq(granted.catalog(), &client.catalog()));
}

/// Nobody who cannot be told apart from others is allowed anything.
#[tokio::test(start_paused = true)]
async fn claims_that_name_nobody_grant_nothing() {
    let everything = policy(["permit(principal, action, resource);".to_owned()]);
    let (world, client) = many_tools(everything).await;
    let claims = Claims::new(Bytes::from_static(br#"{"email":"a@example.org"}"#));
    let principal = Principal::Subject { issuer: "https://idp".into(), subject: "a".into() };
    let proof = Proof::new(claims, "t", u64::MAX);
    let nameless = Identity::proved(principal, Arc::new(proof));
    let left = granted(&world, &client, &nameless).await;
    assert!(left.catalog().is_empty() && !left.may_read("x:1"));
}
