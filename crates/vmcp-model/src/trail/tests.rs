//! A trail is handed over once, when nobody holds it any more, with what was noted first.

use std::{
    net::Ipv4Addr,
    sync::{Mutex, PoisonError},
};

use super::*;

/// How it has ended, its answer with its size, and how long it took.
type Ended = (Option<End>, Option<Bytes>, u64, Duration);

#[derive(Debug, Default)]
struct Taken {
    wants: Wants,
    trails: Mutex<Vec<Ended>>,
}

impl Observer for Taken {
    fn now(&self) -> Duration {
        let trails = self.trails.lock().unwrap_or_else(PoisonError::into_inner);
        Duration::from_secs(3 + 4 * trails.len() as u64)
    }

    fn wants(&self) -> Wants {
        self.wants
    }

    fn trace(&self, _parent: Option<Parent>, _state: Option<&str>) -> Option<Trace> {
        None
    }

    fn take(&self, trail: &Trail, took: Duration) {
        let taken = (trail.end().cloned(), trail.response(), trail.bytes(), took);
        self.trails.lock().unwrap_or_else(PoisonError::into_inner).push(taken);
    }
}

fn asked() -> Asked {
    Asked {
        via: Via::Post,
        method: Some(Method::ToolsCall),
        era: Era::Legacy,
        identity: None,
        address: Ipv4Addr::LOCALHOST.into(),
        trace: None,
        details: None,
    }
}

#[test]
fn it_is_handed_over_once_when_the_last_lets_it_go() {
    let taken = Arc::new(Taken::default());
    let observer: Arc<dyn Observer> = taken.clone();
    let (first, later) = (Trail::new(observer.clone(), asked()), Trail::new(observer, asked()));
    let other = Arc::clone(&first);
    first.note_end(|| End::ToolError);
    drop(first);
    assert!(taken.trails.lock().unwrap().is_empty());
    other.note_end(|| End::Answered);
    other.note_response(&Bytes::from_static(b"text"));
    drop(other);
    drop(later);
    let took = [Duration::ZERO, Duration::from_secs(4)];
    let expected = [(Some(End::ToolError), None, 4, took[0]), (None, None, 0, took[1])];
    assert_eq!(*taken.trails.lock().unwrap(), expected);
}

#[test]
fn of_an_answer_the_beginning_is_kept_where_it_is_wanted() {
    let wants = Wants { response_bytes: 3, ..Wants::default() };
    let taken = Arc::new(Taken { wants, ..Taken::default() });
    let trail = Trail::new(taken.clone(), asked());
    for piece in [&b""[..], b"pi", b"ece", b"more"] {
        trail.note_response(&Bytes::from_static(piece));
    }
    trail.note_client(|| panic!("nobody wants to know"));
    drop(trail);
    assert_eq!(taken.trails.lock().unwrap()[0].1.as_deref(), Some(&b"pie"[..]));
    assert_eq!(taken.trails.lock().unwrap()[0].2, 9);
}
