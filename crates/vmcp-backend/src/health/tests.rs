//! What comes of exchanges in, what the backend is taken for out. The clock stands still.

use std::time::Duration;

use tokio::time::{Instant, advance};
use vmcp_model::BackendId;

use super::{BreakerSettings, Due, Health, HealthSettings, Phase, Sign, State};
use crate::error::Error;

const SECOND: Duration = Duration::from_secs(1);

fn health(breaker: Option<BreakerSettings>) -> Health {
    let health = Health::new(BackendId::new("a").unwrap(), false);
    health.set(HealthSettings { breaker, ..HealthSettings::default() });
    health
}

fn broken() -> Error {
    Error::Broken("it broke".to_owned())
}

fn with_breaker() -> Health {
    health(Some(BreakerSettings { failure_threshold: 5, timeout: 60 * SECOND }))
}

impl Health {
    fn state(&self) -> State {
        self.snapshot().state
    }

    fn phase(&self) -> Phase {
        self.snapshot().breaker.unwrap().0
    }

    /// Calls of clients.
    fn calls(&self, count: usize, error: Option<&Error>) {
        for _ in 0..count {
            self.admit().unwrap().note(Sign::Call, error);
        }
    }

    fn refused(&self) -> Option<Duration> {
        match self.admit() {
            Err(Error::LeftAlone { again_in }) => Some(again_in),
            Ok(_) | Err(_) => None,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn checks_in_a_row_make_it_unhealthy_and_any_success_healthy() {
    let health = health(None);
    assert_eq!(health.state(), State::Unknown);
    health.failed(Sign::Check, &broken());
    health.failed(Sign::Check, &broken());
    assert_eq!(health.state(), State::Unknown, "it has never been seen alive");
    health.calls(1, None);
    assert_eq!(health.state(), State::Healthy);
    for expected in [State::Degraded, State::Degraded, State::Unhealthy, State::Unhealthy] {
        assert_eq!(health.is_out(), expected == State::Unhealthy && health.is_out());
        health.failed(Sign::Check, &broken());
        assert_eq!(health.state(), expected);
    }
    assert!(health.is_out());
    advance(7 * SECOND).await;
    let snapshot = health.snapshot();
    assert_eq!((snapshot.consecutive_failures, snapshot.state_age), (4, 7 * SECOND));
    assert_eq!(snapshot.last_error, Some(("broke off: it broke".to_owned(), 7 * SECOND)));
    health.calls(1, None);
    assert_eq!((health.state(), health.is_out()), (State::Healthy, false));
}

#[tokio::test(start_paused = true)]
async fn failed_calls_degrade_it_for_a_while_and_have_it_checked() {
    let health = health(None);
    health.calls(10, None);
    health.calls(20, Some(&broken()));
    assert_eq!(health.state(), State::Degraded, "only checks make it unhealthy");
    let began = Instant::now();
    assert_eq!(health.due().await, Due::Check);
    assert_eq!(began.elapsed().as_secs(), 1);
    health.calls(1, None);
    assert_eq!(health.state(), State::Degraded);
    advance(10 * SECOND).await;
    assert_eq!(health.state(), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn those_who_watch_check_soon_after_a_call_has_failed() {
    let health = health(None);
    health.calls(1, None);
    let began = Instant::now();
    let fails = async {
        tokio::time::sleep(5 * SECOND).await;
        health.calls(3, Some(&broken()));
    };
    let (due, ()) = tokio::join!(health.due(), fails);
    assert_eq!((due, began.elapsed().as_secs()), (Due::Check, 6));
    let began = Instant::now();
    let sooner = async {
        let settings = HealthSettings { check_interval: SECOND / 2, ..HealthSettings::default() };
        health.calls(1, None);
        tokio::time::sleep(SECOND).await;
        health.set(settings);
    };
    let (due, ()) = tokio::join!(health.due(), sooner);
    assert_eq!((due, began.elapsed().as_secs()), (Due::Check, 1));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_failure_counts_as_none() {
    let health = with_breaker();
    for status in [400, 401, 403, 404, 429] {
        health.calls(10, Some(&Error::refused(status)));
    }
    health.calls(10, Some(&Error::SessionLost));
    let large = Error::TooLarge { what: "sent an event", limit: 1, key: "eventBytes" };
    health.calls(10, Some(&large));
    health.spoiled(&large);
    health.calls(10, Some(&Error::Busy { what: "requests", key: "limit", limit: 1 }));
    assert_eq!((health.state(), health.phase()), (State::Healthy, Phase::Closed));
    health.failed(Sign::Check, &Error::refused(401));
    assert_eq!((health.state(), health.is_out()), (State::Unauthenticated, true));
    health.calls(1, None);
    assert_eq!(health.state(), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_when_half_of_enough_calls_failed_lately() {
    let health = with_breaker();
    health.calls(1, None);
    health.calls(4, Some(&broken()));
    assert_eq!(health.refused(), None, "there are too few");
    advance(11 * SECOND).await;
    health.calls(4, Some(&broken()));
    assert_eq!(health.refused(), None, "there are too few lately");
    advance(11 * SECOND).await;
    health.calls(6, None);
    health.calls(5, Some(&Error::refused(503)));
    assert_eq!(health.refused(), None, "most went well");
    health.calls(1, Some(&Error::Unreachable("gone".to_owned())));
    assert_eq!((health.state(), health.phase()), (State::Unhealthy, Phase::Open));
    advance(20 * SECOND).await;
    assert_eq!(health.refused(), Some(40 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn calls_that_go_wrong_late_count_once() {
    let health = with_breaker();
    health.calls(10, None);
    for _ in 0..4 {
        health.spoiled(&broken());
    }
    assert_eq!(health.phase(), Phase::Closed);
    health.spoiled(&broken());
    assert_eq!(health.phase(), Phase::Open, "5 of 10");
}

#[tokio::test(start_paused = true)]
async fn one_exchange_decides_whether_it_closes() {
    let health = with_breaker();
    health.calls(5, Some(&broken()));
    advance(60 * SECOND).await;
    let probe = health.admit().unwrap();
    assert_eq!((health.phase(), health.state()), (Phase::HalfOpen, State::Degraded));
    assert!(health.is_out(), "nobody knows yet");
    assert!(health.refused().is_some(), "there is one already");
    probe.note(Sign::Call, Some(&broken()));
    assert_eq!(health.phase(), Phase::Open);
    assert_eq!(health.refused(), Some(60 * SECOND));
    advance(60 * SECOND).await;
    health.admit().unwrap().note(Sign::Call, None);
    assert_eq!(
        (health.phase(), health.state(), health.is_out()),
        (Phase::Closed, State::Healthy, false)
    );
    health.calls(4, Some(&broken()));
    assert_eq!(health.phase(), Phase::Closed, "the old failures are forgotten");
}

#[tokio::test(start_paused = true)]
async fn an_exchange_that_comes_to_nothing_wedges_nothing() {
    let health = with_breaker();
    health.calls(5, Some(&broken()));
    advance(60 * SECOND).await;
    drop(health.admit().unwrap());
    assert_eq!(health.phase(), Phase::HalfOpen);
    health
        .admit()
        .unwrap()
        .note(Sign::Call, Some(&Error::Busy { what: "requests", key: "limit", limit: 1 }));
    drop(health.admit().unwrap());
    // It took too long for those who waited for it.
    health.failed(Sign::Call, &Error::Timeout(SECOND));
    assert_eq!(health.refused(), Some(60 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_when_enough_checks_failed_in_a_row() {
    let health = with_breaker();
    health.calls(1, None);
    for _ in 0..4 {
        health.failed(Sign::Check, &broken());
    }
    health.calls(1, None);
    for _ in 0..4 {
        health.failed(Sign::Check, &broken());
    }
    assert_eq!(health.phase(), Phase::Closed, "a call in between went well");
    health.failed(Sign::Check, &broken());
    assert_eq!((health.state(), health.phase()), (State::Unhealthy, Phase::Open));
    assert_eq!(health.refused(), Some(60 * SECOND));
    for _ in 0..20 {
        health.failed(Sign::Check, &broken());
    }
    assert_eq!(health.due().await, Due::Check);
    assert_eq!(health.snapshot().breaker, Some((Phase::Open, 60 * SECOND)), "it opened once");
    health.admit().unwrap().note(Sign::Check, Some(&broken()));
    assert_eq!(health.refused(), Some(60 * SECOND), "and again");
    assert_eq!(health.due().await, Due::Check);
    health.admit().unwrap().note(Sign::Check, None);
    assert_eq!((health.state(), health.phase()), (State::Healthy, Phase::Closed));
}

/// Checks neither open the breaker of a backend that is not there yet, nor keep that of one closed whose calls fail.
#[tokio::test(start_paused = true)]
async fn checks_are_no_calls() {
    let health = with_breaker();
    for _ in 0..20 {
        health.failed(Sign::Check, &broken());
    }
    assert_eq!((health.state(), health.phase()), (State::Unhealthy, Phase::Closed));
    for _ in 0..20 {
        health.admit().unwrap().note(Sign::Check, None);
        health.admit().unwrap().note(Sign::Own, None);
        health.admit().unwrap().note(Sign::Opening, None);
    }
    health.calls(5, Some(&broken()));
    assert_eq!(health.phase(), Phase::Open);
    let began = Instant::now();
    assert_eq!(health.due().await, Due::Check);
    assert_eq!(began.elapsed(), 60 * SECOND);
    health.admit().unwrap().note(Sign::Check, None);
    assert_eq!(health.phase(), Phase::Closed);
}

#[tokio::test(start_paused = true)]
async fn an_idle_backend_is_checked_by_one_of_many() {
    let health = health(None);
    health.calls(1, None);
    let began = Instant::now();
    let all = [health.due(), health.due(), health.due()];
    let mut all = all.map(Box::pin);
    let [one, two, three] = &mut all;
    let none_more = async { tokio::join!(two, three) };
    assert_eq!(one.await, Due::Check);
    let waited = began.elapsed();
    assert!(waited >= 27 * SECOND && waited <= 33 * SECOND, "{waited:?}");
    let more = tokio::time::timeout(20 * SECOND, none_more).await;
    assert!(more.is_err(), "one is enough: {more:?}");
}

#[tokio::test(start_paused = true)]
async fn a_used_backend_needs_no_check() {
    let health = health(None);
    let used = async {
        for _ in 0..100 {
            advance(20 * SECOND).await;
            health.calls(1, None);
        }
    };
    tokio::select! {
        biased;
        due = health.due() => panic!("{due:?}"),
        () = used => {}
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_watch_hear_of_its_recovery() {
    let health = health(None);
    health.calls(1, None);
    (0..3).for_each(|_| health.failed(Sign::Check, &broken()));
    let back = async {
        tokio::time::sleep(SECOND / 2).await;
        health.calls(1, None);
    };
    let (due, ()) = tokio::join!(health.due(), back);
    assert_eq!(due, Due::Recovered);
}

#[tokio::test(start_paused = true)]
async fn a_slow_check_degrades_it_until_something_goes_well() {
    let health = health(None);
    health.calls(1, None);
    health.checked_within(6 * SECOND);
    assert_eq!(health.state(), State::Degraded);
    health.checked_within(SECOND);
    assert_eq!(health.state(), State::Healthy);
    health.checked_within(6 * SECOND);
    assert_eq!(health.state(), State::Degraded);
    health.calls(1, None);
    assert_eq!(health.state(), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn settings_change_at_once() {
    let health = with_breaker();
    health.calls(5, Some(&broken()));
    assert!(health.refused().is_some());
    health.set(HealthSettings { unhealthy_threshold: 1, ..HealthSettings::default() });
    assert_eq!(health.refused(), None);
    assert_eq!(health.state(), State::Unknown);
    health.failed(Sign::Check, &broken());
    assert_eq!(health.state(), State::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn what_answers_and_never_makes_an_offer_is_not_healthy() {
    let health = health(None);
    let not_here = Error::refused(404);
    for expected in [State::Unknown, State::Unknown, State::Unhealthy, State::Unhealthy] {
        health.calls(1, Some(&not_here));
        health.offered(Some(&not_here));
        assert_eq!(health.state(), expected);
    }
    assert_eq!(health.snapshot().last_error.unwrap().0, not_here.to_string());
    health.offered(None);
    assert_eq!(health.state(), State::Healthy);
    for _attempt in 0..5 {
        health.offered(Some(&not_here));
        assert_eq!(health.state(), State::Healthy, "what it has offered is good still");
    }
}
