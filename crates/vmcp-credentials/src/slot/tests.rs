//! One value, with a clock that stands still, and a source that does what it is told.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};

use tokio_util::task::TaskTracker;

use super::*;
use crate::tally::Counts;

/// What the source does next.
#[derive(Clone)]
enum Act {
    /// Gives a value, after so many seconds, for so many.
    Give(&'static str, u64, Option<u64>),
    Fail(Unavailable),
    Panic,
}

struct Stand {
    slot: Arc<Slot>,
    spawn: Spawn,
    acts: Arc<Mutex<VecDeque<Act>>>,
    asked: Arc<AtomicUsize>,
}

impl Stand {
    fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self::of(Slot::new(None, Arc::default()), acts)
    }

    fn of(slot: Arc<Slot>, acts: impl IntoIterator<Item = Act>) -> Self {
        let tasks = TaskTracker::new();
        let spawn: Spawn = Arc::new(move |work| drop(tasks.spawn(work)));
        let acts = Arc::new(Mutex::new(acts.into_iter().collect()));
        Self { slot, spawn, acts, asked: Arc::default() }
    }

    fn shown(&self) -> Showing {
        self.slot.shown(Instant::now(), &self.spawn, || {
            self.asked.fetch_add(1, SeqCst);
            let act = self.acts.lock().unwrap().pop_front().expect("it is asked too often");
            Box::pin(async move {
                match act {
                    Act::Give(token, delay, lifetime) => {
                        tokio::time::sleep(Duration::from_secs(delay)).await;
                        let lifetime = lifetime.map(Duration::from_secs);
                        Ok(Obtained { shown: shown(token), lifetime })
                    }
                    Act::Fail(why) => Err(why),
                    Act::Panic => panic!("the source breaks"),
                }
            })
        })
    }

    /// What a request gets, and whether it had to wait.
    async fn ask(&self) -> (Result<Shown, Unavailable>, bool) {
        match self.shown() {
            Showing::Now(shown) => (Ok(shown), false),
            Showing::Wait(waiting) => (waiting.await, true),
            Showing::Nothing => panic!("there is always something"),
        }
    }

    #[track_caller]
    fn is_at_hand(&self, token: &str) {
        let Showing::Now(actual) = self.shown() else { panic!("{token} is not at hand") };
        assert_eq!(actual.secrets(), shown(token).secrets());
    }

    fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    fn refused(&self, token: &str) -> bool {
        self.slot.refused(Instant::now(), &shown(token))
    }
}

fn shown(token: &str) -> Shown {
    Shown::bearer(token).expect("a token")
}

fn away() -> Unavailable {
    Unavailable::Source("is away".into())
}

async fn pass(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
    settle().await;
}

/// Lets what runs beside the test come to its end.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn many_wait_for_one_attempt_that_none_of_them_can_stop() {
    let stand = Stand::new([Act::Give("a", 5, Some(100))]);
    let Showing::Wait(first) = stand.shown() else { panic!("there is none yet") };
    let mut waiting = Vec::new();
    for _ in 0..500 {
        let Showing::Wait(one) = stand.shown() else { panic!("there is none yet") };
        waiting.push(one);
    }
    drop(first);
    for one in waiting {
        assert!(one.await == Ok(shown("a")));
    }
    assert_eq!(stand.asked(), 1);
    stand.is_at_hand("a");
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_when_it_is_used_late_in_its_life() {
    let acts = [Act::Give("a", 0, Some(100)), Act::Give("b", 3, Some(100))];
    let stand = Stand::new(acts);
    assert!(stand.ask().await.0 == Ok(shown("a")));
    pass(79).await;
    stand.is_at_hand("a");
    assert_eq!(stand.asked(), 1);
    pass(1).await;
    for _ in 0..3 {
        stand.is_at_hand("a");
    }
    assert_eq!(stand.asked(), 2, "it is renewed once, and the old one is used meanwhile");
    settle().await;
    pass(3).await;
    stand.is_at_hand("b");
    assert_eq!(stand.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_uses_is_not_renewed_and_ends() {
    let stand = Stand::new([Act::Give("a", 0, Some(100)), Act::Give("b", 0, Some(100))]);
    assert!(stand.ask().await.0 == Ok(shown("a")));
    assert!(!stand.slot.is_spent(Instant::now()));
    pass(100).await;
    assert!(stand.slot.is_spent(Instant::now()));
    assert_eq!(stand.asked(), 1);
    assert!(stand.ask().await == (Ok(shown("b")), true));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_leaves_the_old_one_until_it_ends() {
    let acts = [
        Act::Give("a", 0, Some(100)),
        Act::Fail(away()),
        Act::Fail(away()),
        Act::Give("b", 0, None),
    ];
    let stand = Stand::new(acts);
    assert!(stand.ask().await.0.is_ok());
    pass(80).await;
    stand.is_at_hand("a");
    settle().await;
    for _ in 0..10 {
        stand.is_at_hand("a");
        settle().await;
    }
    assert_eq!(stand.asked(), 2, "it is not tried again at once");
    pass(15).await;
    stand.is_at_hand("a");
    settle().await;
    assert_eq!(stand.asked(), 3);
    pass(5).await;
    assert!(stand.ask().await == (Ok(shown("b")), true), "the pause after the failures is over");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_everybodys_answer_for_a_while() {
    let stand = Stand::new([Act::Fail(away()), Act::Give("a", 0, None)]);
    for _ in 0..500 {
        assert!(stand.ask().await.0 == Err(away()));
    }
    assert_eq!(stand.asked(), 1);
    pass(2).await;
    assert!(stand.ask().await.0 == Ok(shown("a")));
}

#[tokio::test(start_paused = true)]
async fn lives_are_long_unknown_or_too_short_to_be_kept() {
    let acts = [Act::Give("a", 0, None), Act::Give("b", 0, Some(0)), Act::Give("c", 0, Some(4))];
    let stand = Stand::new(acts);
    assert!(stand.ask().await.0.is_ok());
    pass(239).await;
    stand.is_at_hand("a");
    // Renewed by what is of no use, so that the old one stays.
    pass(1).await;
    stand.is_at_hand("a");
    settle().await;
    stand.is_at_hand("a");
    assert_eq!(stand.asked(), 2);
    pass(60).await;
    let (Showing::Wait(one), Showing::Wait(other)) = (stand.shown(), stand.shown()) else {
        panic!("it has ended")
    };
    assert!(one.await == Ok(shown("c")) && other.await == Ok(shown("c")));
    assert!(stand.slot.is_spent(Instant::now()), "it is not kept");
    assert_eq!(stand.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn it_takes_ten_seconds_at_most() {
    let stand = Stand::new([Act::Give("a", 3600, None)]);
    let began = Instant::now();
    let (outcome, _) = stand.ask().await;
    assert_eq!(outcome.unwrap_err().to_string(), "cannot be obtained: that takes longer than 10 s");
    assert_eq!(began.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_breaks_off_makes_room_for_the_next() {
    let stand = Stand::new([Act::Panic, Act::Give("a", 0, None)]);
    let (outcome, _) = stand.ask().await;
    assert_eq!(outcome.unwrap_err().to_string(), "cannot be obtained: the attempt broke off");
    assert!(stand.ask().await.0.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_refused_value_is_obtained_anew_once() {
    let acts = ["a", "b", "c"].map(|token| Act::Give(token, 0, Some(3600)));
    let stand = Stand::new(acts);
    stand.ask().await.0.unwrap();
    assert!(stand.refused("a"));
    let Showing::Wait(waiting) = stand.shown() else { panic!("it was forgotten") };
    assert!(stand.refused("a"), "another one is on its way");
    assert!(waiting.await == Ok(shown("b")));
    assert!(stand.refused("a"), "there is another one");
    assert!(!stand.refused("b"), "it took the place of one that was refused just before");
    stand.is_at_hand("b");
    pass(10).await;
    assert!(stand.refused("b"));
    assert!(stand.ask().await.0 == Ok(shown("c")));
    assert_eq!(stand.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_is_not_obtained_anew_for_ever() {
    let stand = Stand::new(["a", "b"].map(|token| Act::Give(token, 0, Some(0))));
    stand.ask().await.0.unwrap();
    assert!(stand.refused("a"));
    stand.ask().await.0.unwrap();
    assert!(!stand.refused("b"));
}

/// Many callers are given values by one source.
#[tokio::test(start_paused = true)]
async fn a_source_that_is_away_is_not_asked_for_every_caller() {
    let source = Arc::new(Failures::new(2));
    let stand =
        |acts: Vec<Act>| Stand::of(Slot::new(Some(Arc::clone(&source)), Arc::default()), acts);
    let mut asked = 0;
    for _ in 0..100 {
        let stand = stand(vec![Act::Fail(away())]);
        assert!(stand.ask().await.0 == Err(away()));
        asked += stand.asked();
    }
    assert_eq!(asked, 3);
    pass(2).await;
    let (one, other) = (stand(vec![Act::Give("a", 1, None)]), stand(vec![]));
    let Showing::Wait(waiting) = one.shown() else { panic!("there is none yet") };
    assert!(other.ask().await.0 == Err(away()), "one tries");
    assert!(waiting.await.is_ok());
    assert!(stand(vec![Act::Give("a", 1, None)]).ask().await.0.is_ok());
    // What is wrong with one caller is no trouble of the others.
    for _ in 0..10 {
        let no = Unavailable::Caller("is refused".into());
        assert!(stand(vec![Act::Fail(no.clone())]).ask().await.0 == Err(no));
    }
    assert!(stand(vec![Act::Give("a", 1, None)]).ask().await.0.is_ok());
}

/// Nobody knows when a value was made that was long on its way.
#[tokio::test(start_paused = true)]
async fn a_life_begins_when_it_was_asked_for() {
    let acts = [Act::Give("a", 9, Some(10)), Act::Give("b", 0, Some(100))];
    let stand = Stand::new(acts);
    assert!(stand.ask().await.0 == Ok(shown("a")));
    stand.is_at_hand("a");
    settle().await;
    stand.is_at_hand("b");
    assert_eq!(stand.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_success_ends_the_row_of_failures() {
    let fail = || Act::Fail(away());
    let acts =
        [fail(), fail(), fail(), Act::Give("a", 0, Some(0)), fail(), Act::Give("b", 0, None)];
    let stand = Stand::new(acts);
    for seconds in [2, 3, 5] {
        assert!(stand.ask().await.0.is_err());
        pass(seconds).await;
    }
    assert!(stand.ask().await.0.is_ok());
    assert!(stand.ask().await.0.is_err());
    pass(2).await;
    assert!(stand.ask().await.0 == Ok(shown("b")), "the first of a row is short");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_refuses_a_caller_is_not_away() {
    let source = Arc::new(Failures::new(2));
    let ask = async |act: Act| {
        Stand::of(Slot::new(Some(Arc::clone(&source)), Arc::default()), [act]).ask().await.0
    };
    for _ in 0..3 {
        for why in [away(), away(), Unavailable::Caller("is refused".into())] {
            assert!(ask(Act::Fail(why.clone())).await == Err(why));
        }
    }
    assert!(ask(Act::Give("a", 0, None)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn attempts_are_counted_once_however_many_wait() {
    let acts = [Act::Fail(away()), Act::Panic, Act::Give("a", 5, Some(100))];
    let stand = Stand::new(acts);
    let tally = || stand.slot.tally.with(stand.slot.is_at_hand(Instant::now()).into());
    assert!(stand.ask().await.0.is_err());
    // The same answer again, for which nothing is tried.
    assert!(stand.ask().await.0.is_err());
    assert_eq!(tally(), Counts { at_hand: 0, obtained: 0, failures: 1 });
    pass(2).await;
    assert!(stand.ask().await.0.is_err());
    assert_eq!(tally(), Counts { at_hand: 0, obtained: 0, failures: 2 });
    let (Showing::Wait(one), Showing::Wait(other)) = (stand.shown(), stand.shown()) else {
        panic!("there is none yet")
    };
    assert!(one.await.is_ok() && other.await.is_ok());
    stand.is_at_hand("a");
    assert_eq!(tally(), Counts { at_hand: 1, obtained: 1, failures: 2 });
    pass(100).await;
    assert_eq!(tally(), Counts { at_hand: 0, obtained: 1, failures: 2 });
}
