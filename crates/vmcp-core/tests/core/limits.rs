//! Bounds: of single answers, of what all hold together, of what one client has, of backends and views.

use std::{net::IpAddr, time::Duration};

use tokio::time::{Instant, timeout};
use vmcp_backend::{ClientView, Limits};
use vmcp_core::ClientKey;
use vmcp_model::{Era, Principal};
use vmcp_testkit::raw::{self, Answer, Form, Kind, RawServer};
use vmcp_wire::Fault;

use crate::{
    client::{all_of, end_of},
    world::{BOTH, Legacy, Setup, client_view, idle, legacy, tool},
};

const KIB: usize = 1 << 10;

fn huge(kib: u64) -> Legacy {
    legacy("t", raw::fixed(Answer::Huge(kib << 10)))
}

fn with_limits(limits: Limits) -> Setup {
    Setup { limits, ..Setup::new() }
}

fn reason(fault: Fault) -> String {
    match fault {
        Fault::Backend { reason, .. } | Fault::BackendUnavailable { reason, .. } => reason.into(),
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_that_must_be_read_whole_is_bounded_like_an_event() {
    let server = huge(300);
    for (event_bytes, fits) in [(400 * KIB, true), (200 * KIB, false)] {
        let setup = with_limits(Limits { event_bytes, ..Limits::default() }).with("a", &server);
        let (world, client) = setup.settled(Era::Modern).await;
        let called = client.call("a_t").await;
        if fits {
            called.json();
        } else {
            let why = reason(called.fault());
            assert!(why.contains("eventBytes"), "{why}");
        }
        assert_eq!(world.vmcp.budget().used(), 0, "nothing is held when it has ended");
        assert_eq!(world.tool_calls("a"), (1, u64::from(!fits), 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_bounded_by_what_an_answer_may_have_and_not_by_events() {
    let server = huge(300);
    let limits = Limits { event_bytes: 100 * KIB, ..Limits::default() };
    let (world, client) = with_limits(limits).with("a", &server).settled(Era::Legacy).await;
    let mut relay = client.call("a_t").await.relay();
    assert_eq!(world.vmcp.budget().used(), 0, "it holds nothing");
    assert!(all_of(&mut relay).await.unwrap() > 300 * KIB);
    let limits = Limits { response_bytes: 200 * KIB, ..Limits::default() };
    let (world, client) = with_limits(limits).with("a", &server).settled(Era::Legacy).await;
    let mut relay = client.call("a_t").await.relay();
    let why = reason(all_of(&mut relay).await.unwrap_err());
    assert!(why.contains("responseBytes"), "{why}");
    drop(relay);
    assert_eq!(world.tool_calls("a"), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_large_ends_its_stream() {
    for era in BOTH {
        let server = RawServer::builder()
            .form(Form::Sse)
            .offer(Kind::Tools, &tool("t"), raw::fixed(Answer::Huge(300 << 10)))
            .start_in_memory();
        let limits = Limits { event_bytes: 100 * KIB, ..Limits::default() };
        let (_world, client) = with_limits(limits).with("a", &server).settled(era).await;
        let (mut stream, _lent) = client.call("a_t").await.stream();
        let why = reason(end_of(&mut stream).await.unwrap_err());
        assert!(why.contains("eventBytes"), "{era:?}: {why}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_all_large_answers_hold_together_has_a_bound() {
    let server = huge(300);
    let setup = Setup { held_bytes: 500 * KIB, ..Setup::new() }.with("a", &server);
    let (world, client) = setup.settled(Era::Modern).await;
    let held = client.call("a_t").await.whole();
    let mut taken = world.vmcp.budget().reserve();
    assert!(taken.grow(250 * KIB));
    assert_eq!(client.call("a_t").await.fault(), Fault::NotHeld);
    assert_eq!(world.vmcp.budget().used(), 250 * KIB, "what was read of it is let go");
    drop(taken);
    let again = client.call("a_t").await.whole();
    assert_eq!(again.text.len(), held.text.len());
    assert_eq!(world.tool_calls("a"), (3, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_single_answer_may_be_larger_than_all_the_room_there_is() {
    let server = huge(300);
    let setup = Setup { held_bytes: 10, ..Setup::new() }.with("a", &server);
    let (_world, client) = setup.settled(Era::Modern).await;
    client.call("a_t").await.json();
}

#[tokio::test(start_paused = true)]
async fn a_backend_gets_so_many_calls_at_once() {
    let waiting = raw::handler(|_call| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Answer::text("")
    });
    let server = legacy("t", waiting);
    for era in BOTH {
        let limits = Limits { in_flight: 1, ..Limits::default() };
        let (world, client) = with_limits(limits).with("a", &server).settled(era).await;
        client.call("a_t").await.json();
        let second = async {
            idle().await;
            client.call("a_t").await.fault()
        };
        let (first, refused) = tokio::join!(client.call("a_t"), second);
        first.json();
        let why = reason(refused);
        assert!(why.contains("limits.callsPerBackend"), "{era:?}: {why}");
        assert_eq!(world.tool_calls("a"), (3, 1, 0));
        client.call("a_t").await.json();
    }
}

fn somebody(subject: &str) -> ClientKey {
    let principal = Principal::Subject { issuer: "https://idp".into(), subject: subject.into() };
    ClientKey::of(&principal, IpAddr::from([127, 0, 0, 1]))
}

#[tokio::test(start_paused = true)]
async fn each_client_has_so_many_sessions() {
    let world = Setup::new().begin();
    let quotas = world.vmcp.quotas();
    let [alice, bob] = ["alice", "bob"].map(somebody);
    let held = [(); 2].map(|()| quotas.enter(alice.clone(), 2).unwrap());
    let fault = quotas.enter(alice.clone(), 2).unwrap_err();
    assert_eq!(fault, Fault::TooMany { what: "sessions of one client", limit: 2 });
    quotas.enter(bob, 2).unwrap();
    drop(held);
    quotas.enter(alice, 2).unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_anonymous_are_told_apart_by_their_addresses() {
    let world = Setup::new().begin();
    let quotas = world.vmcp.quotas();
    let at = |last| ClientKey::of(&Principal::Anonymous, IpAddr::from([10, 0, 0, last]));
    let _held = quotas.enter(at(1), 1).unwrap();
    assert!(quotas.enter(at(1), 1).is_err());
    assert!(quotas.enter(at(2), 1).is_ok());
}

#[tokio::test(start_paused = true)]
async fn each_client_brings_up_so_many_views_and_another_one_every_five_seconds() {
    let world = Setup::new().begin();
    let (quotas, alice) = (world.vmcp.quotas(), somebody("alice"));
    for _view in 0..16 {
        quotas.bring_up_view(&alice, &ClientView::nobody()).unwrap();
    }
    let fault = quotas.bring_up_view(&alice, &ClientView::nobody()).unwrap_err();
    assert!(matches!(fault, Fault::TooMany { limit: 16, .. }), "{fault}");
    quotas.bring_up_view(&somebody("bob"), &ClientView::nobody()).unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    // Nothing of what somebody has used up is forgotten with the rest.
    world.vmcp.prune();
    for _view in 0..2 {
        quotas.bring_up_view(&alice, &ClientView::nobody()).unwrap();
    }
    assert!(quotas.bring_up_view(&alice, &ClientView::nobody()).is_err());
}

#[tokio::test(start_paused = true)]
async fn so_many_views_are_kept() {
    let server = huge(1);
    let world = Setup { views: 2, ..Setup::new() }.with("a", &server).begin();
    let kinds = [r#"{"roots":{}}"#, r#"{"sampling":{}}"#, r#"{"elicitation":{}}"#];
    let view = |kind| world.vmcp.view(&client_view(Era::Legacy, kind));
    // The bases are beside the bound.
    let _base = world.vmcp.view(&client_view(Era::Modern, "{}")).unwrap();
    let held = [view(kinds[0]).unwrap(), view(kinds[1]).unwrap()];
    let fault = view(kinds[2]).unwrap_err();
    assert!(matches!(fault, Fault::Unavailable(_)), "{fault}");
    assert!(view("{}").is_ok());
    drop(held);
    assert!(view(kinds[2]).is_ok(), "one that nobody uses gives way");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_cannot_be_reached_is_said_so_at_once() {
    for era in BOTH {
        let server = huge(1);
        let other = legacy("t", raw::fixed(Answer::text("")));
        let world = Setup::new().with("a", &server).with("b", &other).begin();
        let client = world.client(era).await;
        drop(server);
        idle().await;
        let begun = Instant::now();
        let why = reason(client.call("a_t").await.fault());
        assert!(why.contains("http://a") || why.contains("a:80"), "{why}");
        assert_eq!(begun.elapsed().as_secs(), 0);
        timeout(Duration::from_secs(1), client.call("b_t")).await.unwrap().json();
    }
}
