//! Starts the program under test, watches what it uses, and ends it.
//!
//! Each process has a temporary directory with its configuration, its log and what it keeps for its
//! user. It is killed when its value is dropped, so a failing test leaves nothing behind.

use std::{
    fs,
    hash::{BuildHasher as _, RandomState},
    net::{Ipv4Addr, TcpListener},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixListener},
    },
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};

use crate::client::fetch;

/// How long a program may take to become ready, and to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often readiness is asked for.
const POLL: Duration = Duration::from_millis(20);

/// A program that is not running yet.
#[derive(Clone, Debug)]
pub struct Program {
    binary: PathBuf,
    arguments: Vec<String>,
    config: String,
    environment: Vec<(String, String)>,
    port: Option<u16>,
    ready_path: String,
}

/// A running program that serves on a loopback port.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: Pid,
    port: u16,
    directory: TempDir,
}

impl Program {
    /// `vmcp serve --config FILE --host 127.0.0.1 --port N`, with this configuration.
    pub fn vmcp(binary: impl Into<PathBuf>, config: &str) -> Self {
        Self::new(
            binary,
            &["serve", "--config", "{config}", "--host", "127.0.0.1", "--port", "{port}"],
        )
        .config(config)
    }

    /// Any program; `{config}`, `{port}` and `{dir}` in its arguments are filled in.
    pub fn new(binary: impl Into<PathBuf>, arguments: &[&str]) -> Self {
        Self {
            binary: binary.into(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            config: String::new(),
            environment: Vec::new(),
            port: None,
            ready_path: "/readyz".to_owned(),
        }
    }

    /// The text of its configuration file.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        text.clone_into(&mut self.config);
        self
    }

    /// One more argument.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The port to serve on; by default one that is free when the program starts.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// The path that answers 200 when the program is ready.
    #[must_use]
    pub fn ready_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.ready_path);
        self
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&self) -> Result<Process> {
        let mut process = self.spawn()?;
        let ready = format!("http://127.0.0.1:{}{}", process.port, self.ready_path);
        let deadline = Instant::now() + PATIENCE;
        while !matches!(fetch(&ready).await, Ok((status, _)) if status.is_success()) {
            if let Some(status) = process.child.try_wait()? {
                bail!("it ended with {status} before it was ready:\n{}", process.log());
            }
            if Instant::now() > deadline {
                bail!("it was not ready in {PATIENCE:?}:\n{}", process.log());
            }
            sleep(POLL).await;
        }
        Ok(process)
    }

    /// Starts it and does not wait. Needs a tokio runtime around it.
    pub fn spawn(&self) -> Result<Process> {
        let directory = tempfile::Builder::new().prefix("vmcp-test-").tempdir()?;
        let config = directory.path().join("vmcp.yaml");
        fs::write(&config, &self.config)?;
        let log = fs::File::create(log_path(directory.path()))?;
        let port = self.port.map_or_else(free_port, Ok)?;
        let fill = |argument: &String| {
            argument
                .replace("{config}", &config.to_string_lossy())
                .replace("{dir}", &directory.path().to_string_lossy())
                .replace("{port}", &port.to_string())
        };
        let child = Command::new(&self.binary)
            .args(self.arguments.iter().map(fill))
            .env("XDG_STATE_HOME", directory.path().join("state"))
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start {}", self.binary.display()))?;
        let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
        let pid = pid.context("it ended at once")?;
        Ok(Process { child, pid, port, directory })
    }
}

impl Process {
    /// Its MCP endpoint.
    pub fn url(&self) -> String {
        self.url_of("/mcp")
    }

    /// Another of its paths.
    pub fn url_of(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Where its configuration and log are.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What it wrote to its standard streams so far.
    pub fn log(&self) -> String {
        fs::read(log_path(self.directory.path()))
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    /// Waits until its log says something, and gives the log. A line may be on its way to the file
    /// when what it tells of can be seen already.
    pub async fn logged(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if log.contains(text) {
                return log;
            }
            assert!(Instant::now() < deadline, "the log does not say {text:?}:\n{log}");
            sleep(POLL).await;
        }
    }

    /// Writes its configuration file anew.
    pub fn write_config(&self, text: &str) -> Result<()> {
        Ok(fs::write(self.directory.path().join("vmcp.yaml"), text)?)
    }

    /// Sends a signal: `TERM`, `STOP`, `CONT`, `HUP`, `KILL`, ...
    pub fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.pid, signal)?)
    }

    /// Asks it to end and waits until it has.
    pub async fn terminate(mut self) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait().await
    }

    /// Kills it as a crash would and waits until it is gone.
    pub async fn kill(mut self) -> Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        self.wait().await
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => Ok(status?),
            Err(late) => Err(late).context(format!("it did not end:\n{}", self.log())),
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Resident memory that it has taken, in bytes. The pages of the program itself do not count: how many
    /// there are depends on how it was built.
    pub fn memory(&self) -> Result<u64> {
        let status = fs::read_to_string(self.proc_path("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kilobytes.context("no RssAnon")?.trim().parse::<u64>()? * 1024)
    }

    /// Open descriptors.
    pub fn descriptors(&self) -> Result<usize> {
        Ok(fs::read_dir(self.proc_path("fd"))?.count())
    }

    /// Processor time used by all its threads, user and system.
    pub fn cpu_time(&self) -> Result<Duration> {
        let stat = fs::read_to_string(self.proc_path("stat"))?;
        // The program's name stands in parentheses and may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("no name in stat")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |index: usize| -> Result<u64> {
            Ok(fields.get(index).context("stat is too short")?.parse()?)
        };
        // Linux reports hundredths of a second to every program, whatever the kernel's own clock.
        Ok(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
    }

    fn proc_path(&self, file: &str) -> String {
        format!("/proc/{}/{file}", self.pid())
    }
}

/// A loopback port that nobody listens on now.
pub fn free_port() -> Result<u16> {
    static CLAIMS: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    // Below those that the system gives away by itself, to listeners and to connections that go out.
    const PORTS: std::ops::Range<u16> = 10_000..32_000;
    let random = RandomState::new().hash_one(std::process::id());
    let first = u16::try_from(random % PORTS.len() as u64)?;
    for port in (PORTS.start + first..PORTS.end).chain(PORTS) {
        // Other tests choose from the same. A claim lasts as long as the test's process.
        let name = format!("vmcp-test-port-{port}");
        let Ok(claim) = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?) else {
            continue;
        };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            CLAIMS.lock().unwrap_or_else(PoisonError::into_inner).push(claim);
            return Ok(port);
        }
    }
    bail!("no port is free")
}

fn log_path(directory: &Path) -> PathBuf {
    directory.join("log")
}
