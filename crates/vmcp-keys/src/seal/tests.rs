//! Texts that are sealed and opened.

use super::{open, seal};
use crate::ring::KeyRing;

#[test]
fn a_text_opens_for_its_place_only() {
    let ring = KeyRing::generate();
    let sealed = seal(&ring, &[b"record", b"1"], b"text");
    assert_eq!(open(&ring, &[b"record", b"1"], &sealed).as_deref(), Some(&b"text"[..]));
    for place in [&[&b"record"[..], b"2"][..], &[b"record1"], &[b"recor", b"d1"], &[]] {
        assert_eq!(open(&ring, place, &sealed), None);
    }
    assert_eq!(open(&KeyRing::generate(), &[b"record", b"1"], &sealed), None, "another ring");
    assert_ne!(seal(&ring, &[b"record", b"1"], b"text"), sealed, "no two are alike");
}

#[test]
fn what_was_changed_does_not_open() {
    let ring = KeyRing::generate();
    let sealed = seal(&ring, &[b"a"], b"text");
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(open(&ring, &[b"a"], &changed), None, "byte {at}");
        assert_eq!(open(&ring, &[b"a"], &sealed[..at]), None, "cut at {at}");
    }
}

#[test]
fn an_older_key_opens_still() {
    let old = KeyRing::of([[1; 32]]).unwrap();
    let new = KeyRing::of([[2; 32], [1; 32]]).unwrap();
    let sealed = seal(&old, &[], b"text");
    assert_eq!(open(&new, &[], &sealed).as_deref(), Some(&b"text"[..]));
    assert_eq!(open(&old, &[], &seal(&new, &[], b"text")), None);
}
