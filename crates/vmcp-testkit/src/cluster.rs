//! Several replicas of the program under test behind a load balancer without affinity, and what can
//! happen to them.
//!
//! - [`Balancer`]: sends each request to the next replica
//! - [`Load`]: sessions that call one thing after another and check every answer
//! - [`Caller`]: one session that keeps its connection
//! - [`Cold`]: sessions that all go on at once on a replica that has just started
//! - [`Relay`]: stands between a replica and its Redis, and falls silent when told to

mod balancer;
mod caller;
mod cold;
mod load;
mod relay;
mod tally;

use std::{path::PathBuf, process::ExitStatus};

use anyhow::{Context as _, Result};
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::process::{Process, Program};

pub use balancer::Balancer;
pub use caller::{Answer, Caller};
pub use cold::{Cold, Pass};
pub use load::{Load, Settings};
pub use relay::{Relay, Silent};
pub use tally::{Call, Outcome, Tally};

/// Replicas behind a balancer. They are killed when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    /// What each replica is started as.
    programs: Vec<Program>,
    replicas: Vec<Option<Process>>,
    balancer: Balancer,
    started: usize,
}

impl Cluster {
    /// Starts a replica with each of these configurations, and waits until all are ready.
    pub async fn start(
        binary: impl Into<PathBuf>,
        configurations: impl IntoIterator<Item = String>,
    ) -> Result<Self> {
        let binary = binary.into();
        let programs = configurations.into_iter();
        Self::of(programs.map(|configuration| Program::vmcp(&binary, &configuration))).await
    }

    /// Starts these programs as replicas, and waits until all are ready.
    pub async fn of(programs: impl IntoIterator<Item = Program>) -> Result<Self> {
        let programs: Vec<_> = programs.into_iter().collect();
        let mut cluster = Self {
            replicas: programs.iter().map(|_program| None).collect(),
            balancer: Balancer::start(programs.len()).await?,
            programs,
            started: 0,
        };
        let mut starting = JoinSet::new();
        for (number, program) in cluster.programs.iter().cloned().enumerate() {
            starting.spawn(async move { (number, program.start().await) });
        }
        while let Some(started) = starting.join_next().await {
            let (number, process) = started?;
            cluster.enter(number, process?);
        }
        Ok(cluster)
    }

    /// The MCP endpoint of all of them.
    pub fn url(&self) -> String {
        self.balancer.url()
    }

    /// The MCP endpoint of one of them.
    pub fn url_of(&self, number: usize) -> String {
        self.replica(number).url()
    }

    /// One that runs.
    pub fn replica(&self, number: usize) -> &Process {
        self.replicas[number].as_ref().expect("the test has not ended this replica")
    }

    /// How many processes were started so far.
    pub fn started(&self) -> usize {
        self.started
    }

    /// Starts a new one in the place of one that has ended, on a port of its own.
    pub async fn restart(&mut self, number: usize) -> Result<()> {
        let process = self.programs[number].start().await?;
        self.enter(number, process);
        Ok(())
    }

    /// Kills one as a crash would. The balancer is not told.
    pub async fn kill(&mut self, number: usize) -> Result<()> {
        self.take(number)?.kill().await?;
        Ok(())
    }

    /// Asks one to end, and waits until it has.
    pub async fn terminate(&mut self, number: usize) -> Result<ExitStatus> {
        self.take(number)?.terminate().await
    }

    /// Stops one where it is: it holds its connections and says nothing.
    pub fn pause(&self, number: usize) -> Result<()> {
        self.replica(number).signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn resume(&self, number: usize) -> Result<()> {
        self.replica(number).signal(Signal::CONT)
    }

    fn enter(&mut self, number: usize, process: Process) {
        self.balancer.point(number, process.port());
        self.replicas[number] = Some(process);
        self.started += 1;
    }

    fn take(&mut self, number: usize) -> Result<Process> {
        self.replicas[number].take().context("the replica does not run")
    }
}
