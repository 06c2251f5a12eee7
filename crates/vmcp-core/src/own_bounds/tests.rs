//! What is shared counts once, and what nobody uses counts no more.

use vmcp_model::Offer;

use super::*;

#[test]
fn room_is_taken_once_for_what_is_shared_and_given_back() {
    let bounds = OwnBounds { limit: 100, ..OwnBounds::default() };
    let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
    let first = bounds.charge(one, || 60).expect("there is room");
    let again = bounds.charge(one, || unreachable!("it is known")).expect("it has room");
    assert!(Arc::ptr_eq(&first, &again));
    assert!(bounds.charge(two, || 41).is_none());
    assert!(bounds.told.load(Ordering::Relaxed));
    drop(first);
    assert!(bounds.charge(two, || 41).is_none(), "somebody uses it still");
    drop(again);
    assert!(bounds.charge(two, || 100).is_some());
    assert!(!bounds.told.load(Ordering::Relaxed), "it is said again when it happens again");
}

#[test]
fn equal_offers_are_one() {
    let bounds = OwnBounds::default();
    let one = bounds.share(OwnOffer::of(Offer::default()));
    assert!(Arc::ptr_eq(&one, &bounds.share(OwnOffer::of(Offer::default()))));
    let digest = one.digest();
    assert!(bounds.known(digest).is_some());
    drop(one);
    assert!(bounds.known(digest).is_none());
}

#[test]
fn what_nobody_uses_is_forgotten() {
    let bounds = OwnBounds::default();
    for number in 0..10_000_u32 {
        bounds.charge(Digest::of(&number.to_be_bytes()), || 1).expect("there is room");
    }
    assert!(lock(&bounds.charges).0.len() < 4 * REMEMBERED);
    assert_eq!(bounds.taken.load(Ordering::Relaxed), 0);
}
