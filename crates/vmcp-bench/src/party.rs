//! The processes that take part: the fake backend, nginx and vmcp. Each is started here, waited for
//! until it answers, and stopped when its [`Party`] is dropped, however the run ends.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http::{Method, StatusCode};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, ChildStdout, Command},
    time,
};

use crate::client::{Connection, Sender};

mod nginx;
mod redis;
mod vmcp;

pub(crate) use nginx::nginx;
pub(crate) use redis::redis;
pub(crate) use vmcp::{Sections, built, vmcp, vmcp_counted, vmcp_over};

const START: Duration = Duration::from_secs(20);
/// A server that drains may take a moment, but nobody waits for it here.
const STOP: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
/// Lines of a server's log that an error shows.
const SHOWN: usize = 15;

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Party {
    name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) process: u32,
    child: Child,
    log: PathBuf,
}

/// Starts this same program as the fake backend, so that its work is not counted as the load's.
pub(crate) async fn backend(dir: &Path, threads: usize) -> Result<Party> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.arg("backend").arg("--threads").arg(threads.to_string());
    // It ends when its input does, even if this process is killed.
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut party = Party::start("backend", command, unknown, dir)?;
    let stdout = party.child.stdout.take().context("the backend has no output")?;
    party.address = time::timeout(START, first_line(stdout))
        .await
        .context("the backend does not start")??
        .parse()
        .context("the backend did not print its address")?;
    Ok(party)
}

async fn first_line(stdout: ChildStdout) -> Result<String> {
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .await
        .context("cannot read the backend's output")?;
    line.truncate(line.trim_end().len());
    Ok(line)
}

impl Party {
    /// Starts a server whose messages go to a file in `dir`.
    fn start(
        name: &'static str,
        mut command: Command,
        address: SocketAddr,
        dir: &Path,
    ) -> Result<Self> {
        let log = dir.join(format!("{name}-{}.log", address.port()));
        let file =
            File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let child = command
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let process = child.id().context("it has ended already")?;
        Ok(Self { name, address, process, child, log })
    }

    /// Waits until a GET of `path` is answered with 200.
    async fn ready(mut self, path: &str) -> Result<Self> {
        let ready = async {
            loop {
                if let Ok(mut connection) = Connection::open(self.address).await
                    && let Ok(answer) =
                        connection.exchange(Method::GET, path, Sender::Stranger, Bytes::new()).await
                    && answer.status == StatusCode::OK
                {
                    return Ok(());
                }
                if let Some(status) = self.child.try_wait()? {
                    bail!("{} ended at once ({status}):\n{}", self.name, tail(&self.log));
                }
                time::sleep(POLL).await;
            }
        };
        let outcome = time::timeout(START, ready).await;
        outcome.with_context(|| {
            format!("{} is not ready after {START:?}:\n{}", self.name, tail(&self.log))
        })??;
        Ok(self)
    }

    /// Fails if the server has ended.
    pub(crate) fn alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} has ended ({status}):\n{}", self.name, tail(&self.log));
        }
        Ok(())
    }

    /// Lets the server end and waits for it.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.terminate();
        if time::timeout(STOP, self.child.wait()).await.is_err() {
            self.child.kill().await.with_context(|| format!("cannot end {}", self.name))?;
        }
        Ok(())
    }

    /// Ends the server at once. Not for nginx, whose workers would stay.
    pub(crate) async fn kill(mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("cannot end {}", self.name))
    }

    fn terminate(&self) {
        // Once it was waited for, the number may be another's.
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            let _gone = kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Party {
    /// nginx ends its workers only if it is asked to, so a kill alone would leave them behind.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.terminate();
            let deadline = time::Instant::now() + Duration::from_millis(500);
            while matches!(self.child.try_wait(), Ok(None)) && time::Instant::now() < deadline {
                std::thread::yield_now();
            }
        }
    }
}

/// The last lines of a log.
fn tail(log: &Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

/// A port that nobody listens on.
fn free_address() -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    Ok(listener.local_addr()?)
}
