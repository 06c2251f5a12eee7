//! A cold replica under full traffic: sessions that another one has opened all come to it at once.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::Caller;
use crate::{
    gateway::Gateway,
    peers,
    process::{Process, Program},
    redis::RedisServer,
};

/// A tool that counts its calls in each session.
const TOOL: &str = "a_count";

/// What is freed is not given back at once.
const SETTLE: Duration = Duration::from_secs(1);

/// How long commands are counted while nobody calls.
const QUIET: Duration = Duration::from_secs(2);

/// Failures that are shown.
const EXAMPLES: usize = 5;

/// What was found.
#[derive(Debug)]
pub struct Cold {
    pub sessions: usize,
    /// By which the memory of Redis has grown with each session. Each has one backend session.
    pub bytes_a_session: u64,
    /// Resident bytes of the replica that has opened them, for each.
    pub warm_bytes_a_session: u64,
    /// And of the cold one, when it has them all.
    pub cold_bytes_a_session: u64,
    pub opening: Pass,
    /// The first call of each session on the cold replica.
    pub first: Pass,
    /// The second one.
    pub second: Pass,
}

/// One call, or more, of every session.
#[derive(Debug)]
pub struct Pass {
    pub took: Duration,
    /// In the order of their length.
    calls: Vec<Duration>,
    /// Processor time of the replica, for each session.
    pub replica: Duration,
    /// Processor time of Redis, for each session.
    pub redis: Duration,
    /// Commands that Redis has got for each session, without those of idle replicas.
    pub commands: f64,
    pub failed: usize,
    pub examples: Vec<String>,
}

struct Fixture<'a> {
    redis: &'a RedisServer,
    connections: usize,
    /// Commands of idle replicas in a second.
    idle: f64,
}

impl Cold {
    /// Opens sessions on one replica and goes on with them on another one that has just started, over
    /// so many connections.
    pub async fn measure(binary: &Path, sessions: usize, connections: usize) -> Result<Self> {
        let backend = peers::stateful().start().await?;
        let redis = RedisServer::start().await?;
        let limit = sessions + 1000;
        let gateway = Gateway::before(&[("a", backend.url())])
            .with(&format!("limits: {{sessions: {limit}, sessionsPerClient: {limit}}}"))
            .with(&format!("sessionStorage: {{provider: redis, address: '{}'}}", redis.address()));
        let program = Program::vmcp(binary, &gateway.yaml());
        let warm = program.start().await?;
        // What there is one of, whatever the number of sessions.
        Caller::connect(&warm.url()).await?.call(TOOL).await?.count()?;
        let mut fixture = Fixture { redis: &redis, connections, idle: 0.0 };
        let (stored, resident) = (used(&redis).await?, settled(&warm).await?);
        let (opening, opened) = fixture.open(&warm, sessions).await?;
        let stored = used(&redis).await?.saturating_sub(stored);
        let warm_grown = settled(&warm).await?.saturating_sub(resident);

        let cold = program.start().await?;
        let resident = settled(&cold).await?;
        fixture.idle = fixture.idle_rate().await?;
        let opened = Arc::new(opened);
        let first = fixture.call(&cold, &opened, 2).await?;
        let cold_grown = settled(&cold).await?.saturating_sub(resident);
        let second = fixture.call(&cold, &opened, 3).await?;
        let each = |bytes: u64| bytes / sessions as u64;
        Ok(Self {
            sessions,
            bytes_a_session: each(stored),
            warm_bytes_a_session: each(warm_grown),
            cold_bytes_a_session: each(cold_grown),
            opening,
            first,
            second,
        })
    }
}

impl Fixture<'_> {
    /// Opens sessions and calls once in each.
    async fn open(&self, replica: &Process, sessions: usize) -> Result<(Pass, Vec<String>)> {
        let (url, left) = (replica.url(), Arc::new(AtomicUsize::new(sessions)));
        let mut opening = JoinSet::new();
        let before = self.costs(replica).await?;
        for _connection in 0..self.connections {
            let (url, left) = (url.clone(), Arc::clone(&left));
            opening.spawn(async move {
                let (mut caller, mut opened, mut calls) =
                    (Caller::new(&url), Vec::new(), Vec::new());
                while left.try_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok() {
                    let began = Instant::now();
                    caller.initialize().await?;
                    ensure!(caller.call(TOOL).await?.count()? == 1, "the first call counts 1");
                    calls.push(began.elapsed());
                    opened.push(caller.session().to_owned());
                }
                Ok::<_, anyhow::Error>((opened, calls))
            });
        }
        let (mut opened, mut calls) = (Vec::new(), Vec::new());
        while let Some(ended) = opening.join_next().await {
            let (some, took) = ended??;
            opened.extend(some);
            calls.extend(took);
        }
        Ok((self.pass(before, replica, calls, Vec::new()).await?, opened))
    }

    /// Calls once in each session, as fast as the connections go.
    async fn call(
        &self,
        replica: &Process,
        sessions: &Arc<Vec<String>>,
        expected: u64,
    ) -> Result<Pass> {
        let (url, next) = (replica.url(), Arc::new(AtomicUsize::new(0)));
        let mut calling = JoinSet::new();
        let before = self.costs(replica).await?;
        for _connection in 0..self.connections {
            let (url, sessions, next) = (url.clone(), Arc::clone(sessions), Arc::clone(&next));
            calling.spawn(async move { call_each(&url, &sessions, &next, expected).await });
        }
        let (mut calls, mut failed) = (Vec::new(), Vec::new());
        while let Some(ended) = calling.join_next().await {
            let (took, wrong) = ended?;
            calls.extend(took);
            failed.extend(wrong);
        }
        self.pass(before, replica, calls, failed).await
    }

    async fn pass(
        &self,
        before: Costs,
        replica: &Process,
        mut calls: Vec<Duration>,
        mut examples: Vec<String>,
    ) -> Result<Pass> {
        let after = self.costs(replica).await?;
        calls.sort_unstable();
        let failed = examples.len();
        examples.truncate(EXAMPLES);
        let each = u32::try_from(calls.len().max(1))?;
        let took = after.at - before.at;
        // One of them is the counting.
        let commands = u32::try_from((after.commands - before.commands).saturating_sub(1))?;
        Ok(Pass {
            took,
            calls,
            replica: (after.replica - before.replica) / each,
            redis: (after.redis - before.redis) / each,
            commands: (f64::from(commands) - self.idle * took.as_secs_f64()) / f64::from(each),
            failed,
            examples,
        })
    }

    async fn idle_rate(&self) -> Result<f64> {
        let before = self.redis.commands().await?;
        sleep(QUIET).await;
        let counted = u32::try_from((self.redis.commands().await? - before).saturating_sub(1))?;
        Ok(f64::from(counted) / QUIET.as_secs_f64())
    }

    async fn costs(&self, replica: &Process) -> Result<Costs> {
        Ok(Costs {
            at: Instant::now(),
            replica: replica.cpu_time()?,
            redis: self.redis.process().context("Redis runs")?.cpu_time()?,
            commands: self.redis.commands().await?,
        })
    }
}

/// Calls in the sessions that nobody else has called in, and says how long that took and what went
/// wrong.
async fn call_each(
    url: &str,
    sessions: &[String],
    next: &AtomicUsize,
    expected: u64,
) -> (Vec<Duration>, Vec<String>) {
    let (mut caller, mut calls, mut failed) = (Caller::new(url), Vec::new(), Vec::new());
    while let Some(session) = sessions.get(next.fetch_add(1, Relaxed)) {
        caller.go_on_with(session);
        let began = Instant::now();
        let answer = caller.call(TOOL).await;
        calls.push(began.elapsed());
        match answer.and_then(|answer| answer.count()) {
            Ok(count) if count == expected => {}
            Ok(count) => failed.push(format!("counted {count}, not {expected}")),
            Err(error) => failed.push(format!("{error:#}")),
        }
    }
    (calls, failed)
}

/// What was used up to a time.
struct Costs {
    at: Instant,
    replica: Duration,
    redis: Duration,
    commands: u64,
}

impl Pass {
    /// How long a call takes of which so many of a thousand are quicker.
    pub fn quantile(&self, thousandths: usize) -> Duration {
        let last = self.calls.len().saturating_sub(1);
        self.calls.get(last * thousandths / 1000).copied().unwrap_or_default()
    }
}

async fn settled(process: &Process) -> Result<u64> {
    sleep(SETTLE).await;
    process.memory()
}

async fn used(redis: &RedisServer) -> Result<u64> {
    let memory = redis.say("INFO memory").await?;
    let line = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(line.context("no used_memory")?.trim().parse()?)
}
