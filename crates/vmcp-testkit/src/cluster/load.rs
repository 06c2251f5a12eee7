//! Sessions that call a counting backend, one call after another, and check every count.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    caller::{Answer, Caller},
    tally::{Call, Outcome, Tally},
};

/// Sessions that are opened at once.
const OPENING: usize = 16;

/// What the load is like.
#[derive(Debug, Clone)]
pub struct Settings {
    pub sessions: usize,
    /// A tool that counts its calls in each session.
    pub tool: String,
    /// How long a session rests after each call.
    pub pause: Duration,
}

/// A load that goes on until it is stopped.
#[derive(Debug)]
pub struct Load {
    sessions: JoinSet<(Caller, Tally)>,
    calls: Arc<Calls>,
    stop: CancellationToken,
}

/// What has been done so far.
#[derive(Debug, Default)]
struct Calls {
    /// Calls that have ended, one way or the other.
    ended: AtomicUsize,
    /// Sessions whose first call has been counted.
    begun: AtomicUsize,
}

/// What one session may count next.
struct Expected {
    least: u64,
    most: u64,
}

impl Load {
    /// Opens the sessions, and begins to call.
    pub async fn start(url: &str, settings: &Settings) -> Result<Self> {
        let mut callers = Vec::new();
        let mut opening: JoinSet<Result<Caller>> = JoinSet::new();
        for _session in 0..settings.sessions {
            if opening.len() == OPENING
                && let Some(opened) = opening.join_next().await
            {
                callers.push(opened??);
            }
            let url = url.to_owned();
            opening.spawn(async move { Caller::connect(&url).await });
        }
        while let Some(opened) = opening.join_next().await {
            callers.push(opened??);
        }
        Ok(Self::with(callers, settings))
    }

    /// Begins to call in sessions that have not called yet.
    pub fn with(callers: Vec<Caller>, settings: &Settings) -> Self {
        let (calls, stop) = (Arc::<Calls>::default(), CancellationToken::new());
        let mut sessions = JoinSet::new();
        for caller in callers {
            let (calls, stop, settings) = (Arc::clone(&calls), stop.clone(), settings.clone());
            sessions.spawn(async move { call_on(caller, &settings, &calls, &stop).await });
        }
        Self { sessions, calls, stop }
    }

    /// How many calls have ended so far, one way or the other.
    pub fn calls(&self) -> usize {
        self.calls.ended.load(Relaxed)
    }

    /// Waits until so many calls more have ended.
    pub async fn more(&self, calls: usize) {
        let until = self.calls() + calls;
        while self.calls() < until {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until a call of each session has been counted: from then on each has its place at the backend.
    pub async fn all_begun(&self) {
        while self.calls.begun.load(Relaxed) < self.sessions.len() {
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Lets each session end its call, and says what came of all of them.
    pub async fn stop(self) -> Tally {
        self.finish().await.1
    }

    /// The same, and gives the sessions back.
    pub async fn finish(self) -> (Vec<Caller>, Tally) {
        self.stop.cancel();
        let (mut callers, mut tally) = (Vec::new(), Tally::default());
        for (caller, own) in self.sessions.join_all().await {
            callers.push(caller);
            tally.add(own);
        }
        (callers, tally)
    }
}

async fn call_on(
    mut caller: Caller,
    settings: &Settings,
    calls: &Calls,
    stop: &CancellationToken,
) -> (Caller, Tally) {
    let (mut tally, mut expected) = (Tally::default(), Expected { least: 1, most: 1 });
    let mut has_begun = false;
    while !stop.is_cancelled() {
        let began = Instant::now();
        let answer = caller.call(&settings.tool).await;
        let (outcome, count) = judge(&answer);
        tally.calls.push(Call { began, took: began.elapsed(), outcome });
        match (outcome, count) {
            (Outcome::Counted, Some(count)) => {
                if !(expected.least..=expected.most).contains(&count) {
                    let Expected { least, most } = expected;
                    tally.wrong.push(format!("counted {count} instead of {least} to {most}"));
                }
                expected = Expected { least: count + 1, most: count + 1 };
            }
            // What is refused has not run.
            (Outcome::Refused { .. }, _) => {}
            _ => expected.most += 1,
        }
        if !matches!(outcome, Outcome::Counted) {
            tally.examples.entry(outcome).or_insert_with(|| format!("{answer:?}"));
        }
        if outcome == Outcome::Counted && !std::mem::replace(&mut has_begun, true) {
            calls.begun.fetch_add(1, Relaxed);
        }
        calls.ended.fetch_add(1, Relaxed);
        sleep(settings.pause).await;
    }
    (caller, tally)
}

fn judge(answer: &Result<Answer>) -> (Outcome, Option<u64>) {
    match answer {
        Ok(answer) if answer.status == 200 => match answer.count() {
            Ok(count) => (Outcome::Counted, Some(count)),
            Err(_) => (Outcome::Error, None),
        },
        // The balancer says so when a replica breaks off.
        Ok(answer) if answer.status == 502 => (Outcome::Cut, None),
        Ok(answer) => {
            let (status, says_when) = (answer.status.as_u16(), answer.says_when());
            (Outcome::Refused { status, says_when }, None)
        }
        Err(_) => (Outcome::Cut, None),
    }
}
