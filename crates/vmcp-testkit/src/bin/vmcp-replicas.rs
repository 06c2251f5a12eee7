//! Starts replicas of vmcp over one Redis, behind a balancer without affinity, until it is ended.
//!
//! The first line on standard output is `listening on URL`.

use std::{fs, io::Write, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::Parser;
use tokio::time::{Instant, sleep_until};
use vmcp_testkit::{cluster::Cluster, redis::RedisServer};

/// Replicas of vmcp over one Redis, behind a balancer without affinity.
#[derive(Parser)]
struct Arguments {
    /// The program
    #[arg(long)]
    vmcp: PathBuf,
    /// Its configuration, in which REDIS stands for the address of the Redis
    #[arg(long)]
    config: PathBuf,
    /// How many there are
    #[arg(long, default_value_t = 2)]
    replicas: usize,
    /// Kills one of them each time so many seconds have passed, and starts a new one
    #[arg(long, value_name = "SECONDS")]
    kill_every: Option<u64>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Arguments { vmcp, config, replicas, kill_every } = Arguments::parse();
    let redis = RedisServer::start().await?;
    let text = fs::read_to_string(&config).with_context(|| config.display().to_string())?;
    let text = text.replace("REDIS", &redis.address());
    let configurations = std::iter::repeat_n(text, replicas);
    let mut cluster = Cluster::start(vmcp, configurations).await?;
    writeln!(std::io::stdout(), "listening on {}", cluster.url())?;
    let mut turn = 0;
    let killing = async {
        let Some(seconds) = kill_every else { return std::future::pending().await };
        let mut next = Instant::now();
        loop {
            next += Duration::from_secs(seconds);
            sleep_until(next).await;
            cluster.kill(turn % replicas).await?;
            cluster.restart(turn % replicas).await?;
            turn += 1;
            writeln!(std::io::stdout(), "killed a replica and started another")?;
        }
    };
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        ended = killing => ended,
        _interrupted = tokio::signal::ctrl_c() => Ok(()),
        _terminated = terminate.recv() => Ok(()),
    }
}
