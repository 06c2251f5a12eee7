//! States of backends that clients keep: what they are good for.

use super::*;

fn states(secrets: &[u8], life: Duration) -> States {
    let ring = KeyRing::of(secrets.iter().map(|secret| [*secret; 32])).map(Arc::new);
    States::new(Keys::new(move || ring.clone()), life)
}

fn purpose(subject: &str, backend: &str, request: &str) -> Purpose {
    let principal = Principal::Subject { issuer: "i".into(), subject: subject.into() };
    Purpose::new(&principal, &BackendId::new(backend).unwrap(), Digest::of(request.as_bytes()))
}

const LIFE: Duration = Duration::from_secs(60);

#[test]
fn a_state_is_good_for_its_own_request_only() {
    let states = states(&[1], LIFE);
    let own = purpose("ann", "a", "r");
    let sealed = states.seal(&own, "the state ✓").unwrap();
    assert!(!sealed.contains("state"));
    assert_eq!(states.open(&own, &sealed).unwrap(), "the state ✓");
    let mut tampered = sealed.clone().into_bytes();
    tampered[20] = if tampered[20] == b'A' { b'B' } else { b'A' };
    let refused: Vec<_> = [
        states.open(&purpose("bob", "a", "r"), &sealed),
        states.open(&purpose("ann", "b", "r"), &sealed),
        states.open(&purpose("ann", "a", "s"), &sealed),
        states.open(&Purpose { principal: Principal::Anonymous, ..own.clone() }, &sealed),
        states.open(&own, std::str::from_utf8(&tampered).unwrap()),
        states.open(&own, ""),
        states.open(&own, "no Base64!"),
    ]
    .into_iter()
    .map(|opened| opened.unwrap_err().to_string())
    .collect();
    assert!(refused.iter().all(|why| *why == refused[0]), "no hint: {refused:?}");
}

#[test]
fn a_state_expires() {
    let states = states(&[1], Duration::ZERO);
    let own = purpose("ann", "a", "r");
    assert!(states.open(&own, &states.seal(&own, "s").unwrap()).is_err());
}

#[test]
fn keys_may_be_exchanged() {
    let own = purpose("ann", "a", "r");
    let sealed = states(&[1], LIFE).seal(&own, "s").unwrap();
    assert_eq!(states(&[2, 1], LIFE).open(&own, &sealed).unwrap(), "s", "still in the ring");
    assert!(states(&[2], LIFE).open(&own, &sealed).is_err(), "not any more");
    let unknown = States::new(Keys::new(|| None), LIFE);
    assert!(matches!(unknown.open(&own, &sealed), Err(Fault::Unavailable(_))));
}

#[test]
fn a_state_is_bounded() {
    let own = purpose("ann", "a", "r");
    assert!(states(&[1], LIFE).seal(&own, &"x".repeat(MAX_STATE + 1)).is_err());
}
