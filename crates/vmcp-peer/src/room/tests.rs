//! Who makes room for whom.

use std::net::{IpAddr, Ipv4Addr};

use super::{Place, Room};

#[test]
fn whoever_has_most_places_gives_one() {
    let room = Room::new(4);
    let honest = room.enter(from(1));
    let mut many: Vec<Place> = (0..3).map(|_| room.enter(from(2))).collect();
    assert!(many.iter().chain([&honest]).all(|place| !is_displaced(place)));
    for round in 0..100 {
        many.push(room.enter(from(2)));
        assert!(is_displaced(&many[round]), "the oldest of theirs");
        assert!(!is_displaced(&honest), "round {round}");
    }
    let other = room.enter(from(3));
    assert!(!is_displaced(&honest) && !is_displaced(&other));
    assert!(is_displaced(&many[100]));
}

#[test]
fn among_equals_the_oldest_goes() {
    let room = Room::new(2);
    let first = room.enter(from(1));
    let second = room.enter(from(2));
    let third = room.enter(from(3));
    assert!(is_displaced(&first) && !is_displaced(&second) && !is_displaced(&third));
}

#[test]
fn a_place_that_is_left_is_free() {
    let room = Room::new(2);
    let first = room.enter(from(1));
    for _ in 0..100 {
        drop(room.enter(from(1)));
    }
    assert!(!is_displaced(&first));
    let second = room.enter(from(1));
    drop(room.enter(from(1)));
    assert!(is_displaced(&first), "it was full");
    assert!(!is_displaced(&second));
}

fn from(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn is_displaced(place: &Place) -> bool {
    place.displaced.is_cancelled()
}
