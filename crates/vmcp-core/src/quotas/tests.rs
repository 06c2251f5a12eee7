//! What one client may have, and that nothing is kept of those who have nothing.

use std::net::IpAddr;

use vmcp_backend::{ClientView, Subject};
use vmcp_model::{Digest, Identity, Principal};

use super::{CALLERS, ClientKey, KINDS, Quotas};

fn key(last: u8) -> ClientKey {
    ClientKey::Address(IpAddr::from([127, 0, 0, last]))
}

#[tokio::test(start_paused = true)]
async fn sessions_are_counted_for_each_client() {
    let quotas = Quotas::default();
    let (first, _second) = (quotas.enter(key(1), 2).unwrap(), quotas.enter(key(1), 2).unwrap());
    assert!(quotas.enter(key(1), 2).is_err());
    assert!(quotas.enter(key(2), 2).is_ok(), "another client has its own");
    drop(first);
    assert!(quotas.enter(key(1), 2).is_ok());
}

#[tokio::test(start_paused = true)]
async fn views_are_granted_little_by_little() {
    let nobody = Identity::unproved(Principal::Anonymous);
    let subject = Subject::new(Digest::of(b"alice"), &nobody);
    let kinds =
        [(ClientView::nobody(), KINDS), (ClientView::nobody().shown(Some(subject)), CALLERS)];
    let quotas = Quotas::default();
    for (view, (most, every)) in kinds {
        for _view in 0..most {
            quotas.bring_up_view(&key(1), &view).unwrap();
        }
        assert!(quotas.bring_up_view(&key(1), &view).is_err());
        assert!(quotas.bring_up_view(&key(2), &view).is_ok());
        tokio::time::advance(every).await;
        assert!(quotas.bring_up_view(&key(1), &view).is_ok());
        assert!(quotas.bring_up_view(&key(1), &view).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn clients_are_forgotten_when_there_is_nothing_to_count() {
    let quotas = Quotas::default();
    let session = quotas.enter(key(1), 2).unwrap();
    quotas.bring_up_view(&key(2), &ClientView::nobody()).unwrap();
    quotas.prune();
    assert_eq!(super::lock(&quotas.clients).len(), 2);
    drop(session);
    tokio::time::advance(KINDS.1).await;
    quotas.prune();
    assert!(super::lock(&quotas.clients).is_empty());
}

/// Who has one address of IPv6 has all of its network.
#[test]
fn an_anonymous_client_of_ipv6_is_its_network() {
    let key = |address: &str| ClientKey::of(&Principal::Anonymous, address.parse().unwrap());
    assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff:ffff:ffff:ffff"));
    assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
    assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
}
