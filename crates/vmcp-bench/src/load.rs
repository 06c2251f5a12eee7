//! One round of load: connections that each send their next request as soon as the last one is
//! answered, for a while that is measured and a shorter one before it that is not.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::Method;
use tokio::{
    sync::{Barrier, oneshot},
    task::JoinSet,
    time::{self, Instant},
};

use crate::{
    client::{
        Connection, Sender, Session, ask_modern,
        message::{Conversation, Request},
    },
    histogram::Histogram,
    process,
};

/// Connecting and opening sessions, and the last answers after the end, may each take this long.
const PATIENCE: Duration = Duration::from_secs(30);

/// What each connection does, again and again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Sends this request on a session that lasts for the round.
    Ask(Request),
    /// Sends this request as a client of the modern era.
    AskModern(Request),
    /// Opens a session and ends it: two requests.
    Cycle,
    /// Gets a file that holds what [`Request::List`] would be answered with.
    File(&'static str),
}

/// What to send where.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: usize,
    pub(crate) work: Work,
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
    pub(crate) elapsed: Duration,
    /// CPU time of the process under test, in seconds.
    pub(crate) cpu: f64,
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
}

/// Runs one round and measures the process meanwhile.
pub(crate) async fn round(load: Load, pace: Pace, process: u32) -> Result<Round> {
    let threads = pace.threads.clamp(1, load.connections);
    let stage = Arc::new(Stage::default());
    let ready = Arc::new(Barrier::new(load.connections + 1));
    // Ends the threads also if this round is given up.
    let _end = EndOnDrop(Arc::clone(&stage));
    let mut tallies = Vec::new();
    for thread in 0..threads {
        let (sender, receiver) = oneshot::channel();
        let share = (thread..load.connections).step_by(threads).count();
        let (stage, ready) = (Arc::clone(&stage), Arc::clone(&ready));
        thread::spawn(move || sender.send(carry(load, share, &stage, &ready)));
        tallies.push(receiver);
    }
    time::timeout(PATIENCE, ready.wait()).await.context("sessions cannot be opened in time")?;
    time::sleep(pace.warm_up).await;

    let (cpu, start) = (process::cpu_seconds(process)?, Instant::now());
    stage.set(Stage::MEASURED);
    time::sleep(pace.measured).await;
    stage.set(Stage::OVER);
    let (elapsed, cpu) = (start.elapsed(), process::cpu_seconds(process)? - cpu);

    let mut sum = Tally::new();
    for tally in tallies {
        let tally = time::timeout(PATIENCE, tally).await.context("a call is never answered")?;
        sum.add(tally.context("a thread of the load has ended")??);
    }
    let Tally { calls, errors, first_error } = sum;
    Ok(Round { calls, elapsed, cpu, errors, first_error })
}

/// Where a round is, for all of its threads.
#[derive(Debug, Default)]
struct Stage(AtomicU8);

impl Stage {
    const MEASURED: u8 = 1;
    const OVER: u8 = 2;

    fn set(&self, stage: u8) {
        self.0.store(stage, Ordering::Relaxed);
    }

    fn is(&self, stage: u8) -> bool {
        self.0.load(Ordering::Relaxed) == stage
    }
}

struct EndOnDrop(Arc<Stage>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.set(Stage::OVER);
    }
}

/// What was counted by one connection, or by several.
#[derive(Debug)]
struct Tally {
    calls: Histogram,
    errors: u64,
    first_error: Option<String>,
}

impl Tally {
    fn new() -> Self {
        Self { calls: Histogram::new(), errors: 0, first_error: None }
    }

    fn add(&mut self, other: Self) {
        self.calls.add(&other.calls);
        self.errors += other.errors;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// One thread's share of the connections.
fn carry(load: Load, share: usize, stage: &Arc<Stage>, ready: &Arc<Barrier>) -> Result<Tally> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for _ in 0..share {
            tasks.spawn(connection(load, Arc::clone(stage), Arc::clone(ready)));
        }
        let mut sum = Tally::new();
        while let Some(tally) = tasks.join_next().await {
            sum.add(tally.context("a connection has panicked")?);
        }
        Ok(sum)
    })
}

/// A connection ends at its first error, so that a server that fails fast is not hammered.
async fn connection(load: Load, stage: Arc<Stage>, ready: Arc<Barrier>) -> Tally {
    let mut tally = Tally::new();
    let prepared = prepare(load).await;
    // Whoever failed must not keep the others waiting.
    ready.wait().await;
    let outcome = match prepared {
        Ok(worker) => worker.run(&stage, &mut tally.calls).await,
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        tally.errors += 1;
        tally.first_error = Some(format!("{error:#}"));
    }
    tally
}

struct Worker {
    connection: Connection,
    kind: Kind,
}

enum Kind {
    Asks(Session, Conversation),
    AsksModern(Conversation),
    Cycles,
    Gets(&'static str, Conversation),
}

async fn prepare(load: Load) -> Result<Worker> {
    let mut connection = Connection::open(load.address).await?;
    let kind = match load.work {
        Work::Ask(request) => {
            Kind::Asks(Session::open(&mut connection).await?, Conversation::new(request))
        }
        Work::AskModern(request) => Kind::AsksModern(Conversation::modern(request)),
        Work::Cycle => Kind::Cycles,
        Work::File(path) => Kind::Gets(path, Conversation::new(Request::List)),
    };
    Ok(Worker { connection, kind })
}

impl Worker {
    async fn run(mut self, stage: &Stage, calls: &mut Histogram) -> Result<()> {
        while !stage.is(Stage::OVER) {
            let start = Instant::now();
            self.step().await?;
            if stage.is(Stage::MEASURED) {
                calls.record(start.elapsed());
            }
        }
        match self.kind {
            Kind::Asks(session, _) => session.end(&mut self.connection).await,
            Kind::AsksModern(_) | Kind::Cycles | Kind::Gets(..) => Ok(()),
        }
    }

    async fn step(&mut self) -> Result<()> {
        let connection = &mut self.connection;
        match &mut self.kind {
            Kind::Asks(session, conversation) => {
                let answer = session.post(connection, conversation.ask()).await?;
                conversation.check(&answer)
            }
            Kind::AsksModern(conversation) => {
                let answer = ask_modern(connection, conversation).await?;
                conversation.check(&answer)
            }
            Kind::Cycles => Session::initialize(connection).await?.end(connection).await,
            Kind::Gets(path, conversation) => {
                // The file holds the answer to the one request that a list makes.
                let _request = conversation.ask();
                let answer =
                    connection.exchange(Method::GET, path, Sender::Stranger, Bytes::new()).await?;
                conversation.check(&answer)
            }
        }
    }
}
