//! One round of load: connections that send calls for a while that is measured, and for a shorter
//! one before it that is not.
//!
//! They send either as fast as they are answered, which finds what a party can do at most, or on a
//! [`schedule`] that no answer can hold up, which finds how long calls take at a given load. What
//! they send is [`worker`]'s.

use std::{
    ops::Range,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{
    sync::{Barrier, oneshot},
    task::JoinSet,
    time::{self, Instant},
};

use crate::{histogram::Histogram, process};

mod schedule;
mod timer;
mod worker;

use schedule::Schedule;
use timer::Timer;
use worker::Worker;
pub(crate) use worker::{Load, Work};

/// Connecting and opening sessions, and the last answers after the end, may each take this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// When calls are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rate {
    /// On each connection as soon as the last one is answered.
    Peak,
    /// So many a second, on all connections together. A call's time counts from when it was due,
    /// even if its connection was still busy then.
    Fixed(f64),
}

/// How a round is run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) warm_up: Duration,
    pub(crate) measured: Duration,
    /// Threads that carry the load.
    pub(crate) threads: usize,
}

/// What one round found.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) calls: Histogram,
    /// How late the load itself was, where nothing but a timer was waited for.
    pub(crate) late: Histogram,
    pub(crate) elapsed: Duration,
    /// CPU time of the process under test, in seconds.
    pub(crate) cpu: f64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
}

/// Runs one round and measures the process meanwhile.
pub(crate) async fn round(load: Load, rate: Rate, pace: Pace, process: u32) -> Result<Round> {
    let threads = pace.threads.clamp(1, load.connections);
    let stage = Arc::new(Stage::new(pace));
    let ready = Arc::new(Barrier::new(load.connections + 1));
    // Ends the threads also if this round is given up.
    let _end = GiveUpOnDrop(Arc::clone(&stage));
    let mut tallies = Vec::new();
    for thread in 0..threads {
        let (sender, receiver) = oneshot::channel();
        let share = (thread..load.connections).step_by(threads);
        let (stage, ready) = (Arc::clone(&stage), Arc::clone(&ready));
        thread::spawn(move || sender.send(carry(load, rate, share, &stage, &ready)));
        tallies.push(receiver);
    }
    time::timeout(PATIENCE, ready.wait()).await.context("sessions cannot be opened in time")?;
    let measured = stage.measured();
    time::sleep_until(measured.start).await;

    let (cpu, start) = (process::cpu_seconds(process)?, Instant::now());
    stage.set(Stage::MEASURED);
    time::sleep_until(measured.end).await;
    stage.set(Stage::OVER);
    let (elapsed, cpu) = (start.elapsed(), process::cpu_seconds(process)? - cpu);

    let mut sum = Tally::default();
    for tally in tallies {
        let tally = time::timeout(PATIENCE, tally).await.context("a call is never answered")?;
        sum.add(tally.context("a thread of the load has ended")??);
    }
    let Tally { calls, late, errors, first_error } = sum;
    Ok(Round { calls, late, elapsed, cpu, errors, first_error })
}

/// Where a round is, for all of its threads.
#[derive(Debug)]
struct Stage {
    pace: Pace,
    began: OnceLock<Instant>,
    now: AtomicU8,
}

impl Stage {
    const WARM_UP: u8 = 0;
    const MEASURED: u8 = 1;
    const OVER: u8 = 2;
    /// Nobody wants to know any more.
    const GIVEN_UP: u8 = 3;

    fn new(pace: Pace) -> Self {
        Self { pace, began: OnceLock::new(), now: AtomicU8::new(Self::WARM_UP) }
    }

    fn set(&self, stage: u8) {
        self.now.store(stage, Ordering::Relaxed);
    }

    fn now(&self) -> u8 {
        self.now.load(Ordering::Relaxed)
    }

    /// When the load began; whoever asks first begins it.
    fn began(&self) -> Instant {
        *self.began.get_or_init(Instant::now)
    }

    fn measured(&self) -> Range<Instant> {
        let start = self.began() + self.pace.warm_up;
        start..start + self.pace.measured
    }
}

struct GiveUpOnDrop(Arc<Stage>);

impl Drop for GiveUpOnDrop {
    fn drop(&mut self) {
        self.0.set(Stage::GIVEN_UP);
    }
}

/// What was counted by one connection, or by several.
#[derive(Debug, Default)]
struct Tally {
    calls: Histogram,
    late: Histogram,
    errors: u64,
    first_error: Option<String>,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.calls.add(&other.calls);
        self.late.add(&other.late);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// One thread's share of the connections, by their numbers.
fn carry(
    load: Load,
    rate: Rate,
    share: impl Iterator<Item = usize>,
    stage: &Arc<Stage>,
    ready: &Arc<Barrier>,
) -> Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for number in share {
            let (stage, ready) = (Arc::clone(stage), Arc::clone(ready));
            tasks.spawn(connection(load, rate, number, stage, ready));
        }
        let mut sum = Tally::default();
        while let Some(tally) = tasks.join_next().await {
            sum.add(tally.context("a connection has panicked")?);
        }
        Ok(sum)
    })
}

/// A connection ends at its first error, so that a server that fails fast is not hammered.
async fn connection(
    load: Load,
    rate: Rate,
    number: usize,
    stage: Arc<Stage>,
    ready: Arc<Barrier>,
) -> Tally {
    let mut tally = Tally::default();
    let prepared = Worker::prepare(load).await;
    // Whoever failed must not keep the others waiting.
    ready.wait().await;
    let outcome = async {
        let mut worker = prepared?;
        match rate {
            Rate::Peak => without_pause(&mut worker, &stage, &mut tally).await?,
            Rate::Fixed(rate) => {
                let schedule = Schedule::new(stage.began(), rate, number, load.connections);
                on_schedule(&mut worker, schedule, &stage, &mut tally).await?;
            }
        }
        worker.end().await
    };
    if let Err(error) = outcome.await {
        tally.errors += 1;
        tally.first_error = Some(format!("{error:#}"));
    }
    tally
}

async fn without_pause(worker: &mut Worker, stage: &Stage, tally: &mut Tally) -> Result<()> {
    while stage.now() < Stage::OVER {
        let start = Instant::now();
        let answer = worker.call().await?;
        if stage.now() == Stage::MEASURED {
            tally.calls.record(start.elapsed());
        }
        worker.check(answer)?;
    }
    Ok(())
}

/// Every call that was due while it is measured counts, however late it is answered.
async fn on_schedule(
    worker: &mut Worker,
    schedule: Schedule,
    stage: &Stage,
    tally: &mut Tally,
) -> Result<()> {
    let timer = Timer::new()?;
    let measured = stage.measured();
    for due in schedule.take_while(|due| *due < measured.end) {
        let waited = timer.until(due).await?;
        if stage.now() == Stage::GIVEN_UP {
            break;
        }
        let late = due.elapsed();
        let answer = worker.call().await?;
        if measured.contains(&due) {
            tally.calls.record(due.elapsed());
            if waited {
                tally.late.record(late);
            }
        }
        worker.check(answer)?;
    }
    Ok(())
}
