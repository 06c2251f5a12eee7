//! Tokens at hand, renewed, and refused.

use std::time::Duration;

use vmcp_credentials::{Counts, Showing, Unavailable};
use vmcp_model::{Identity, Principal};
use vmcp_testkit::token_endpoint::Given;

use crate::stand::{Stand, caller, value};

/// Everybody who asks at the same time.
async fn crowd(stand: &Stand, callers: &[Option<Identity>]) -> Vec<String> {
    let waiting: Vec<_> =
        callers.iter().map(|caller| stand.credential.shown(caller.as_ref())).collect();
    let mut got = Vec::new();
    for one in waiting {
        got.push(match one {
            Showing::Nothing => String::new(),
            Showing::Now(shown) => value(&shown),
            Showing::Wait(waiting) => value(&waiting.await.unwrap()),
        });
    }
    got
}

#[tokio::test]
async fn five_hundred_that_need_a_new_token_ask_for_it_once() {
    let stand = Stand::of_client().await;
    stand.endpoint.set_script(|asked| {
        let seconds = if asked.number == 0 { 5 } else { 3600 };
        Given::token(&format!("token-{}", asked.number), seconds).after(Duration::from_millis(50))
    });
    assert_eq!(stand.ask(None).await.unwrap(), "authorization: Bearer token-0");
    // It ends on a clock of the test's own.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(5)).await;
    tokio::time::resume();
    let got = crowd(&stand, &vec![None; 500]).await;
    assert!(got.iter().all(|one| one == "authorization: Bearer token-1"), "{got:?}");
    assert_eq!(stand.endpoint.count(), 2);
    let counts = Counts { at_hand: 1, obtained: 2, failures: 0 };
    assert_eq!(stand.credential.counts(), Some(counts));
}

#[tokio::test]
async fn each_caller_has_a_token_that_is_asked_for_once() {
    let stand = Stand::of_callers().await;
    stand.endpoint.set_script(|asked| {
        let of = asked.field("subject_token").to_owned();
        Given::token(&format!("for-{of}"), 3600).after(Duration::from_millis(50))
    });
    let callers: Vec<_> = (0..500)
        .map(|number| Some(caller(&format!("user-{}", number % 5), &format!("t{}", number % 5))))
        .collect();
    let got = crowd(&stand, &callers).await;
    for (number, one) in got.iter().enumerate() {
        assert_eq!(*one, format!("authorization: Bearer for-t{}", number % 5));
    }
    assert_eq!(stand.endpoint.count(), 5);
    assert_eq!(crowd(&stand, &callers).await, got);
    assert_eq!(stand.endpoint.count(), 5);
    let counts = Counts { at_hand: 5, obtained: 5, failures: 0 };
    assert_eq!(stand.credential.counts(), Some(counts));
}

#[tokio::test]
async fn whose_credential_it_is_does_not_change_with_a_token() {
    let stand = Stand::of_callers().await;
    let subject = |caller: &Identity| stand.credential.subject(caller);
    let (one, renewed, other) = (caller("a", "t1"), caller("a", "t2"), caller("b", "t3"));
    assert!(subject(&one).is_some());
    assert_eq!(subject(&one), subject(&renewed));
    assert_ne!(subject(&one), subject(&other));
    assert!(stand.credential.is_personal() && !stand.credential.is_fixed());
    let shared = Stand::of_client().await;
    assert!(!shared.credential.is_personal() && !shared.credential.is_fixed());
    assert_eq!(shared.credential.subject(&one), None);
}

#[tokio::test]
async fn a_caller_without_a_token_is_told_what_to_do() {
    let stand = Stand::of_callers().await;
    let error = stand.ask(Some(&Identity::unproved(Principal::Anonymous))).await.unwrap_err();
    assert!(matches!(error, Unavailable::Caller(_)), "{error:?}");
    assert!(error.to_string().contains("call with an access token"), "{error}");
    assert_eq!(stand.endpoint.count(), 0);
}

#[tokio::test]
async fn a_refused_token_of_one_caller_is_obtained_anew_for_that_one() {
    let stand = Stand::of_callers().await;
    let (one, other) = (caller("a", "t1"), caller("b", "t2"));
    let Showing::Wait(first) = stand.credential.shown(Some(&one)) else { panic!("there is none") };
    let first = first.await.unwrap();
    stand.ask(Some(&other)).await.unwrap();
    assert!(stand.credential.refused(Some(&one), &first));
    let Showing::Wait(second) = stand.credential.shown(Some(&one)) else {
        panic!("it is forgotten")
    };
    let second = second.await.unwrap();
    assert!(second != first);
    assert!(!stand.credential.refused(Some(&one), &second), "never a loop");
    assert!(matches!(stand.credential.shown(Some(&other)), Showing::Now(_)));
    assert_eq!(stand.endpoint.count(), 3);
    stand.credential.prune();
    assert!(matches!(stand.credential.shown(Some(&one)), Showing::Now(_)));
}
