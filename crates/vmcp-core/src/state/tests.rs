//! States of backends that clients keep: what they are good for.

use super::*;

fn states(secrets: &[u8], life: Duration) -> States {
    let ring = KeyRing::of(secrets.iter().map(|secret| [*secret; 32])).map(Arc::new);
    States::new(Keys::new(move || ring.clone()), life)
}

fn purpose(subject: &str, backend: &str) -> Purpose {
    let principal = Principal::Subject { issuer: "i".into(), subject: subject.into() };
    Purpose::new(&principal, &BackendId::new(backend).unwrap())
}

fn request() -> Digest {
    Digest::of(b"r")
}

const LIFE: Duration = Duration::from_secs(60);

#[test]
fn a_state_is_good_for_its_own_request_only() {
    let states = states(&[1], LIFE);
    let own = purpose("ann", "a");
    let sealed = states.seal(&own, request(), "the state ✓").unwrap();
    assert!(!sealed.contains("state"));
    assert_eq!(states.open(&own, request, &sealed).unwrap(), "the state ✓");
    let mut tampered = sealed.clone().into_bytes();
    tampered[20] = if tampered[20] == b'A' { b'B' } else { b'A' };
    let refused: Vec<_> = [
        states.open(&purpose("bob", "a"), request, &sealed),
        states.open(&purpose("ann", "b"), request, &sealed),
        states.open(&own, || Digest::of(b"s"), &sealed),
        states.open(&Purpose { principal: Principal::Anonymous, ..own.clone() }, request, &sealed),
        states.open(&own, request, std::str::from_utf8(&tampered).unwrap()),
        states.open(&own, request, ""),
        states.open(&own, request, "no Base64!"),
    ]
    .into_iter()
    .map(|opened| opened.unwrap_err().to_string())
    .collect();
    assert!(refused.iter().all(|why| *why == refused[0]), "no hint: {refused:?}");
}

#[test]
fn a_state_expires() {
    let states = states(&[1], Duration::ZERO);
    let own = purpose("ann", "a");
    assert!(states.open(&own, request, &states.seal(&own, request(), "s").unwrap()).is_err());
}

#[test]
fn keys_may_be_exchanged() {
    let own = purpose("ann", "a");
    let sealed = states(&[1], LIFE).seal(&own, request(), "s").unwrap();
    assert_eq!(
        states(&[2, 1], LIFE).open(&own, request, &sealed).unwrap(),
        "s",
        "still in the ring"
    );
    assert!(states(&[2], LIFE).open(&own, request, &sealed).is_err(), "not any more");
    let unknown = States::new(Keys::new(|| None), LIFE);
    assert!(matches!(unknown.open(&own, request, &sealed), Err(Fault::Unavailable(_))));
}

#[test]
fn a_forger_does_not_make_vmcp_read_the_request() {
    let (states, own) = (states(&[1], LIFE), purpose("ann", "a"));
    let sealed = states.seal(&own, request(), "s").unwrap();
    for forged in ["AAAA", &sealed[1..], &"A".repeat(MAX_SEALED), &"A".repeat(MAX_SEALED + 1)] {
        let unread = || panic!("read for {:?}", &forged[..forged.len().min(100)]);
        assert!(states.open(&own, unread, forged).is_err());
    }
}

#[test]
fn a_state_is_bounded() {
    let own = purpose("ann", "a");
    let longest = "x".repeat(MAX_STATE);
    let sealed = states(&[1], LIFE).seal(&own, request(), &longest).unwrap();
    assert_eq!(states(&[1], LIFE).open(&own, request, &sealed).unwrap(), longest);
    assert!(states(&[1], LIFE).seal(&own, request(), &"x".repeat(MAX_STATE + 1)).is_err());
}
