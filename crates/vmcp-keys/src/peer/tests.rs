//! The seeds that other implementations of HKDF give, too.

use super::peer_seed;
use crate::ring::Key;

/// Made with Python's hmac and hashlib.
#[test]
fn seeds_are_those_of_the_rfc() {
    let mut counted = [0; 32];
    for (at, byte) in counted.iter_mut().enumerate() {
        *byte = u8::try_from(at).unwrap();
    }
    check([0; 32], &[], "74065815215364a9a0d66d6b96bf309b6ab63c27dab952c69ba8ba9b59a3fac3");
    check(
        counted,
        &[b"0", b"vmcp:"],
        "d0b836466150b031340a35ddb1e1444ebcb0b170bac1931ce4a84b0a037c2521",
    );
    check(
        counted,
        &[b"1", b"vmcp:"],
        "be019c1455389bff179150e4ffc2e66f1d13704035bbd18660cb94402b6cdb63",
    );
    check(
        counted,
        &[b"0v", b"mcp:"],
        "aeece077514b9e0945d8482a10dfda2e6a1cd156d94100ac591f4e3c77658cc7",
    );
}

#[test]
fn a_seed_does_not_depend_on_the_name_of_the_key() {
    let (one, other) = (Key { id: 1, secret: [7; 32] }, Key { id: 2, secret: [7; 32] });
    assert_eq!(peer_seed(&one, &[b"0"]), peer_seed(&other, &[b"0"]));
}

#[track_caller]
fn check(secret: [u8; 32], scope: &[&[u8]], expected: &str) {
    let seed = peer_seed(&Key { id: 0, secret }, scope);
    let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, expected);
}
