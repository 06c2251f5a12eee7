//! What one client may have, and that nothing is kept of those who have nothing.

use std::net::IpAddr;

use super::{ClientKey, Clients, VIEW_EVERY, VIEWS};

fn key(last: u8) -> ClientKey {
    ClientKey::Address(IpAddr::from([127, 0, 0, last]))
}

#[tokio::test(start_paused = true)]
async fn sessions_are_counted_for_each_client() {
    let clients = Clients::new(2);
    let (first, _second) = (clients.enter(key(1)).unwrap(), clients.enter(key(1)).unwrap());
    assert!(clients.enter(key(1)).is_err());
    assert!(clients.enter(key(2)).is_ok(), "another client has its own");
    drop(first);
    assert!(clients.enter(key(1)).is_ok());
}

#[tokio::test(start_paused = true)]
async fn views_are_granted_little_by_little() {
    let clients = Clients::new(2);
    for _view in 0..VIEWS {
        clients.bring_up_view(&key(1)).unwrap();
    }
    assert!(clients.bring_up_view(&key(1)).is_err());
    assert!(clients.bring_up_view(&key(2)).is_ok());
    tokio::time::advance(VIEW_EVERY).await;
    assert!(clients.bring_up_view(&key(1)).is_ok());
    assert!(clients.bring_up_view(&key(1)).is_err());
}

#[tokio::test(start_paused = true)]
async fn clients_are_forgotten_when_there_is_nothing_to_count() {
    let clients = Clients::new(2);
    let session = clients.enter(key(1)).unwrap();
    clients.bring_up_view(&key(2)).unwrap();
    clients.prune();
    assert_eq!(super::lock(&clients.known).len(), 2);
    drop(session);
    tokio::time::advance(VIEW_EVERY).await;
    clients.prune();
    assert!(super::lock(&clients.known).is_empty());
}
