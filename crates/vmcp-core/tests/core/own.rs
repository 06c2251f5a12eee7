//! What a session's own backend session lists, and nobody else's.

use std::{sync::Arc, sync::atomic::Ordering, time::Duration};

use vmcp_catalog::Catalog;
use vmcp_core::{Bridge, CallEvent, OwnOffer, OwnOffers, Reuse};
use vmcp_model::{Era, Principal};
use vmcp_testkit::raw::{self, Answer, Kind, RawServer};
use vmcp_wire::Fault;

use crate::{
    client::{Client, end_of, text_of},
    world::{BOTH, Legacy, Setup, World, id, idle, tool},
};

/// A server whose tool `unlock` makes it list `secret` on the session that has called it, and announce it.
fn unlocking() -> Legacy {
    let unlock = raw::handler(|call: raw::Call| async move {
        call.session.count.store(1, Ordering::Relaxed);
        call.notify("notifications/tools/list_changed", "{}").await.unwrap();
        Answer::text("unlocked")
    });
    let list = raw::handler(|call: raw::Call| async move {
        let secret = match call.session.count.load(Ordering::Relaxed) {
            0 => String::new(),
            _ => format!(",{}", tool("secret")),
        };
        Answer::from(format!(r#"{{"tools":[{}{secret}]}}"#, tool("unlock")))
    });
    let secret = raw::handler(|call: raw::Call| async move {
        match call.session.count.load(Ordering::Relaxed) {
            0 => Answer::error(-32602, "no such tool"),
            _ => Answer::text("secret"),
        }
    });
    RawServer::builder()
        .offer(Kind::Tools, &tool("unlock"), unlock)
        .script("tools/list", list)
        .script("tools/call secret", secret)
        .start_in_memory()
}

fn has_secret(catalog: &Catalog) -> bool {
    catalog.tool("a_secret").is_some()
}

/// Unlocks the tool for this client, to which its backend says that its lists have changed.
async fn unlock(client: &Client, world: &World) {
    let (mut stream, lent) = client.call("a_unlock").await.stream();
    assert!(matches!(stream.next().await.unwrap(), CallEvent::ListChanged));
    if let Some(lent) = &lent {
        lent.note_lists_changed(&world.backend("a"));
    }
    assert_eq!(text_of(&end_of(&mut stream).await.unwrap().1), "unlocked");
    lent.inspect(|lent| lent.answered());
}

/// Reads what a legacy client's own session lists, as whoever keeps its session does.
async fn read_own(client: &Client, world: &World) -> OwnOffer {
    let backend = world.backend("a");
    let session = client.sessions.on(&backend).await.unwrap();
    let read = world.vmcp.own_bounds().read(&backend, &session).await.unwrap();
    let of_view = client.view.offer(&id("a"));
    let (own, problem) = OwnOffer::read(read, None, of_view.as_deref());
    assert_eq!(problem, None);
    own
}

fn offers(own: OwnOffer) -> OwnOffers {
    [(id("a"), Arc::new(own))].into_iter().collect()
}

fn caller(client: &Client, name: &str) -> Client {
    let mut client = client.another();
    let subject = name.into();
    client.borrower.principal = Some(Principal::Subject { issuer: "https://idp".into(), subject });
    client
}

#[tokio::test(start_paused = true)]
async fn what_a_legacy_session_has_unlocked_is_called_by_it_and_unknown_to_others() {
    let server = unlocking();
    let (world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let other = client.another();
    unlock(&client, &world).await;
    let own = read_own(&client, &world).await;
    assert!(!client.view.shows(&id("a"), &own), "it is not what the view is shown");
    let catalog = client.view.catalog_with(&offers(own));
    let client = Client { catalog: Some(catalog), ..client };
    assert_eq!(text_of(&client.answer("a_secret").await), "secret");
    let fault = other.call("a_secret").await.fault();
    assert_eq!(fault, Fault::InvalidParams("unknown tool: a_secret".into()));
}

#[tokio::test(start_paused = true)]
async fn sessions_with_equal_lists_of_their_own_share_one_catalog() {
    let server = unlocking();
    let (world, one) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let other = one.another();
    for client in [&one, &other] {
        unlock(client, &world).await;
    }
    let catalogs_held = || world.vmcp.view_counts().catalogs;
    assert_eq!(catalogs_held(), 1);
    let catalogs = [read_own(&one, &world).await, read_own(&other, &world).await]
        .map(|own| one.view.catalog_with(&offers(own)));
    assert!(Arc::ptr_eq(&catalogs[0], &catalogs[1]) && has_secret(&catalogs[0]));
    assert_eq!(catalogs_held(), 2);
    drop(catalogs);
    assert_eq!(catalogs_held(), 1);
}

#[tokio::test(start_paused = true)]
async fn lists_that_are_those_of_the_view_are_nobodys_own() {
    let server = unlocking();
    let (world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let own = read_own(&client, &world).await;
    assert!(client.view.shows(&id("a"), &own));
    let catalog = client.view.catalog_with(&offers(own));
    assert!(Arc::ptr_eq(&catalog, &client.view.catalog()));
}

#[tokio::test(start_paused = true)]
async fn lists_of_ones_own_come_back_equal_from_their_stored_form() {
    let server = unlocking();
    let (world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    unlock(&client, &world).await;
    let own = read_own(&client, &world).await;
    let stored = own.to_bytes();
    let back = OwnOffer::from_bytes(&stored).unwrap();
    assert_eq!((back.digest(), back.size()), (own.digest(), stored.len()));
    assert!(has_secret(&client.view.catalog_with(&offers(back))));
    assert!(OwnOffer::from_bytes(&stored[1..]).is_err());
}

#[tokio::test(start_paused = true)]
async fn what_a_modern_caller_has_unlocked_is_called_by_it_and_unknown_to_others() {
    let server = unlocking();
    let (world, client) = Setup::new().with("a", &server).settled(Era::Modern).await;
    let [alice, bob] = ["alice", "bob"].map(|name| caller(&client, name));
    bob.call("a_unlock").await.stream();
    let mut changes = world.vmcp.own_changes();
    unlock(&alice, &world).await;
    // Who asks for a list waits until it has been read.
    let unread = world.vmcp.unread(&alice.view, || alice.borrower.clone()).unwrap();
    unread.read().await;
    let shown = world.vmcp.shown(&alice.view, || alice.borrower.clone());
    assert!(shown.is_own && has_secret(&shown.catalog));
    assert!(changes.has_changed().unwrap(), "those who listen are told");
    changes.mark_unchanged();
    assert_eq!(text_of(&alice.answer("a_secret").await), "secret");
    let carol = caller(&client, "carol");
    assert!(!world.vmcp.shown(&carol.view, || carol.borrower.clone()).is_own);
    let fault = carol.call("a_secret").await.fault();
    assert_eq!(fault, Fault::InvalidParams("unknown tool: a_secret".into()));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_told_outside_of_calls_is_heard_too() {
    let server = unlocking();
    let (world, client) = Setup::new().with("a", &server).settled(Era::Modern).await;
    let alice = caller(&client, "alice");
    let before = server.sessions();
    alice.call("a_unlock").await.stream();
    idle().await;
    let known = |session: &raw::Session| before.iter().any(|old| old.id() == session.id());
    let own = server.sessions().into_iter().find(|session| !known(session)).unwrap();
    own.notify("notifications/tools/list_changed", "{}").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let shown = world.vmcp.shown(&alice.view, || alice.borrower.clone());
    assert!(shown.is_own && has_secret(&shown.catalog));
}

#[tokio::test(start_paused = true)]
async fn lists_of_ones_own_end_with_the_backend_session() {
    let server = unlocking();
    let bridge = Bridge { idle: Duration::from_secs(100), ..Bridge::default() };
    let setup = Setup { bridge, ..Setup::new() }.with("a", &server);
    let (world, client) = setup.settled(Era::Modern).await;
    unlock(&client, &world).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let shown = || world.vmcp.shown(&client.view, || client.borrower.clone());
    assert!(shown().is_own);
    tokio::time::sleep(Duration::from_secs(100)).await;
    assert!(!shown().is_own && !has_secret(&shown().catalog));
    assert_eq!(world.vmcp.kept_sessions(&world.backend("a")), 0);
}

#[tokio::test(start_paused = true)]
async fn on_a_session_of_all_nothing_is_anybodys_own() {
    let server = unlocking();
    let bridge = Bridge { reuse: Reuse::All, ..Bridge::default() };
    let setup = Setup { bridge, ..Setup::new() }.with("a", &server);
    let (world, client) = setup.settled(Era::Modern).await;
    unlock(&client, &world).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!world.vmcp.shown(&client.view, || client.borrower.clone()).is_own);
    assert!(world.vmcp.unread(&client.view, || client.borrower.clone()).is_none());
}

#[tokio::test(start_paused = true)]
async fn what_everybody_is_listed_does_not_change_with_one_session() {
    let server = unlocking();
    for era in BOTH {
        let (world, client) = Setup::new().with("a", &server).settled(era).await;
        let before = client.view.catalog().digest();
        unlock(&client, &world).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(client.view.catalog().digest(), before, "{era:?}");
    }
}
