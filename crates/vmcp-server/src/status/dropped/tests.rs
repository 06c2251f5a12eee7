//! What is named of what is left out.

use vmcp_catalog::{DropReason, Dropped};
use vmcp_model::{BackendId, Kind};

use super::{LeftOut, NAMED};

fn id(backend: &str) -> BackendId {
    BackendId::new(backend).unwrap()
}

fn dropped(backend: &str, count: usize) -> Vec<Dropped> {
    let item = |number| Dropped {
        kind: Some(Kind::Tool),
        key: format!("t{number}"),
        backend: id(backend),
        reason: DropReason::ListedTwice,
    };
    (0..count).map(item).collect()
}

#[test]
fn much_of_one_backend_hides_nothing_of_another() {
    let mut left_out = LeftOut::default();
    left_out.add([dropped("a", 3_000), dropped("b", 1)].concat());
    // Another view leaves out the same, and more.
    left_out.add(dropped("b", 2));
    let named = left_out.named();
    let of = |backend: &str| named.iter().filter(|item| item["backend"] == backend).count();
    assert_eq!((of("a"), of("b"), named.len()), (NAMED, 2, NAMED + 2));
    assert_eq!(
        (left_out.of(&id("a")), left_out.of(&id("b")), left_out.of(&id("c"))),
        (3_000, 2, 0)
    );
    assert_eq!(left_out.total(), 3_002);
    let reason = "tool \"t0\" of backend a is left out: its backend lists it again; only the first one counts";
    assert_eq!(named[0]["reason"], reason);
}
