//! Runs replicas for a long time under a load of sessions that come and go, while one of them dies
//! every minute, and prints what everything uses.
//!
//! The first replica is left alone, so that what it leaks shows.

use std::{
    hash::{BuildHasher as _, RandomState},
    io::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Result, ensure};
use clap::Parser;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use vmcp_testkit::{
    client::{Client, fetch},
    cluster::{Caller, Cluster, Load, Settings, Tally},
    gateway::Gateway,
    peers,
    raw::Running,
    redis::RedisServer,
};

/// How long an unused session lives.
const TTL: Duration = Duration::from_secs(60);

/// Runs replicas for a long time, while one of them dies every minute.
#[derive(Parser)]
struct Arguments {
    /// The vmcp to run
    vmcp: PathBuf,
    /// For how long
    minutes: u64,
    /// How many replicas
    #[arg(long, default_value_t = 3)]
    replicas: usize,
    /// How many clients at once
    #[arg(long, default_value_t = 100)]
    clients: usize,
}

/// What the clients have seen since the last line.
#[derive(Default)]
struct Seen {
    sessions: usize,
    calls: usize,
    failed: usize,
    /// Sessions that could not be opened, or ended.
    refused: usize,
    wrong: Vec<String>,
}

struct Soak {
    backend: Running,
    redis: RedisServer,
    cluster: Cluster,
    seen: Arc<Mutex<Seen>>,
    began: Instant,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.replicas > 1, "one replica is left alone; there must be others");
    let backend = peers::stateful().start().await?;
    let redis = RedisServer::start().await?;
    let ttl = TTL.as_secs();
    let gateway = Gateway::before(&[("a", backend.url())])
        .with(&format!("sessions: {{ttl: {ttl}s}}"))
        .with(&format!("sessionStorage: {{provider: redis, address: '{}'}}", redis.address()));
    let configurations = (0..arguments.replicas).map(|_replica| gateway.yaml());
    let cluster = Cluster::start(&arguments.vmcp, configurations).await?;
    let (seen, began) = (Arc::default(), Instant::now());
    let mut soak = Soak { backend, redis, cluster, seen, began };
    let (stop, mut clients) = (CancellationToken::new(), JoinSet::new());
    for _client in 0..arguments.clients {
        let (url, seen, stop) = (soak.cluster.url(), Arc::clone(&soak.seen), stop.clone());
        clients.spawn(async move { come_and_go(&url, &seen, &stop).await });
    }
    say(
        "minute | sessions opened, calls, failed, refused | Redis keys, MiB | backend sessions | of each replica: age s, MiB, descriptors, sessions, tasks",
    )?;
    for minute in 1..=arguments.minutes {
        sleep_until(soak.began + Duration::from_secs(60 * minute)).await;
        soak.report(arguments.replicas).await?;
        let victim = 1 + usize::try_from(minute)? % (arguments.replicas - 1);
        soak.cluster.kill(victim).await?;
        soak.cluster.restart(victim).await?;
    }
    stop.cancel();
    clients.join_all().await;
    say("the clients are gone; what they left must go by itself")?;
    sleep(TTL + TTL / 2).await;
    soak.report(arguments.replicas).await
}

/// Opens sessions one after another, uses each for some seconds, and ends it or forgets it.
async fn come_and_go(url: &str, seen: &Mutex<Seen>, stop: &CancellationToken) {
    let random = RandomState::new();
    let settings =
        Settings { sessions: 1, tool: "a_count".to_owned(), pause: Duration::from_millis(50) };
    for round in 0_u64.. {
        if stop.is_cancelled() {
            return;
        }
        let chance = random.hash_one(round);
        let Ok(caller) = Caller::connect(url).await else {
            note(seen, |seen| seen.refused += 1);
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        // Some listen.
        let listening = Client::new(url).with_session(caller.session(), "2025-11-25");
        let stream = if chance % 4 == 0 { listening.listen(None).await.ok() } else { None };
        let load = Load::with(vec![caller], &settings);
        let lasts = Duration::from_millis(chance % 10_000);
        // When everything ends, each session ends its call first.
        let _ended = stop.run_until_cancelled(sleep(lasts)).await;
        let (callers, tally) = load.finish().await;
        drop(stream);
        let mut refused = 0;
        for mut caller in callers {
            if chance % 3 != 0 {
                refused += usize::from(!caller.delete().await.is_ok_and(|end| end.status == 200));
            }
        }
        note(seen, |seen| seen.add(tally, refused));
    }
}

fn note(seen: &Mutex<Seen>, change: impl FnOnce(&mut Seen)) {
    change(&mut seen.lock().unwrap_or_else(PoisonError::into_inner));
}

impl Seen {
    fn add(&mut self, tally: Tally, refused: usize) {
        self.sessions += 1;
        self.calls += tally.calls.len();
        self.failed += tally.failed();
        self.refused += refused;
        self.wrong.extend(tally.wrong);
    }
}

impl Soak {
    async fn report(&self, replicas: usize) -> Result<()> {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner));
        let Seen { sessions, calls, failed, refused, wrong } = seen;
        let keys = self.redis.say("DBSIZE").await?;
        let memory = self.redis.say("INFO memory").await?;
        let memory = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
        let memory: u64 = memory.unwrap_or_default().trim().parse()?;
        let mut line = format!(
            "{:6} | {sessions:5} {calls:7} {failed:4} {refused:3} | {:5} {:6.1} | {:5} |",
            self.began.elapsed().as_secs() / 60,
            keys.trim_start_matches(':'),
            mebibytes(memory),
            self.backend.sessions().len(),
        );
        for replica in 0..replicas {
            let process = self.cluster.replica(replica);
            let (_, status) = fetch(&process.url_of("/status")).await?;
            let status: serde_json::Value = serde_json::from_slice(&status)?;
            line += &format!(
                " {:5} {:5.1} {:4} {:4} {:4} |",
                status["uptime_seconds"],
                mebibytes(process.memory()?),
                process.descriptors()?,
                status["sessions"],
                status["tasks"],
            );
        }
        say(&line)?;
        for wrong in wrong {
            say(&format!("WRONG: {wrong}"))?;
        }
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is shown with one digit after the point")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}
