//! Which replicas take each other, by the keys that they have.

use std::sync::Arc;

use vmcp_keys::KeyRing;
use vmcp_peer::{Error, Unreachable};

use crate::support::{Node, Ring, ring};

/// Whether a replica with these keys, and one with those, ask each other; each list begins with the current key.
async fn check(ones: &[u8], others: &[u8], expected: bool) {
    let (one, other) =
        (Node::with("one", &ring(ones), |_| {}), Node::with("other", &ring(others), |_| {}));
    for (asker, asked) in [(&one, &other), (&other, &one)] {
        let answered = asker.echo(&asked.peer()).await;
        assert_eq!(answered.is_ok(), expected, "{ones:?} and {others:?}: {answered:?}");
        if let Err(error) = answered {
            let is_handshake = matches!(error, Error::Unreachable(Unreachable::Handshake(_)));
            assert!(is_handshake, "{error:?}");
            assert_eq!(asked.begun(), 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_step_of_a_rotation_gets_along_with_the_next() {
    // The old key; the new one known; the new one in use; the old one forgotten.
    let steps: [&[u8]; 4] = [&[1], &[1, 2], &[2, 1], &[2]];
    for step in steps {
        check(step, step, true).await;
    }
    for pair in steps.windows(2) {
        check(pair[0], pair[1], true).await;
    }
    check(steps[0], steps[2], false).await;
    check(steps[1], steps[3], false).await;
    check(steps[0], steps[3], false).await;
    check(&[9, 8, 7], &[1, 2, 3], false).await;
    check(&[9, 8, 3, 7], &[3, 1, 9], true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_for_its_key_is_told_so() {
    let (one, other) = (Node::new("one"), Node::with("other", &ring(&[2]), |_settings| {}));
    let refused = one.echo(&other.peer()).await.unwrap_err();
    let told = "the replica cannot be reached: the TLS handshake failed: it shows none of the keys that the \
                replicas of this deployment share";
    assert_eq!(refused.to_string(), told);
    // Here the one that is dialled does not know the dialler's key; the other way round it would.
    let third = Node::with("third", &ring(&[1, 2]), |_settings| {});
    let refused = third.echo(&other.peer()).await.unwrap_err();
    let told = "the replica cannot be reached: the TLS handshake failed: it does not take the key of this replica";
    assert_eq!(refused.to_string(), told);
    other.until_refused(&["tls"], 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deployments_that_share_a_key_are_no_peers() {
    let one = Node::new("one");
    for scope in [
        vec![b"1".to_vec(), b"vmcp:".to_vec()],
        vec![b"0".to_vec(), b"other:".to_vec()],
        vec![b"0v".to_vec(), b"mcp:".to_vec()],
        vec![b"0".to_vec()],
        vec![],
    ] {
        let told = format!("{scope:?}");
        let other = Node::with("other", &ring(&[1]), |settings| settings.scope = scope);
        for (asker, asked) in [(&one, &other), (&other, &one)] {
            let refused = asker.echo(&asked.peer()).await;
            let is_handshake =
                matches!(refused, Err(Error::Unreachable(Unreachable::Handshake(_))));
            assert!(is_handshake, "{told}: {refused:?}");
        }
    }
}

/// Rings that are kept in Redis change while replicas run.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ring_is_asked_at_each_handshake() {
    let (ones, others) = (ring(&[1]), ring(&[2]));
    let one = Node::with("one", &ones, |_settings| {});
    let other = Node::with("other", &others, |_settings| {});
    assert!(one.echo(&other.peer()).await.is_err());
    set(&ones, &[1, 2]);
    set(&others, &[2, 1]);
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
    // A key that leaves the ring ends no connection that stands, and begins none.
    set(&others, &[2]);
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
    let third = Node::with("third", &ones, |_settings| {});
    assert!(third.echo(&other.peer()).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_ring_nobody_is_asked_and_nobody_taken() {
    let unknown: Ring = Ring::default();
    let (one, other) = (Node::new("one"), Node::with("other", &unknown, |_settings| {}));
    let refused = other.echo(&one.peer()).await.unwrap_err();
    assert_eq!(refused, Error::NotReady);
    assert!(refused.is_not_carried_out());
    let refused = one.echo(&other.peer()).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable(Unreachable::Handshake(_))), "{refused:?}");
    assert!(other.refused("not_ready") > 0);
    set(&unknown, &[1]);
    assert_eq!(other.echo(&one.peer()).await.unwrap(), "hello");
    assert_eq!(one.echo(&other.peer()).await.unwrap(), "hello");
}

fn set(ring: &Ring, secrets: &[u8]) {
    let new = KeyRing::of(secrets.iter().map(|secret| [*secret; 32])).map(Arc::new);
    *ring.lock().unwrap() = new;
}
