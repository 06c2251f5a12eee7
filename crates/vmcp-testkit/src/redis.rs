//! Real Redis servers: alone, behind Sentinels, as a cluster.
//!
//! Each writes nothing to disk but its own configuration, in a temporary directory.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    certificate::Issued,
    clock::TestClock,
    process::{Process, Program},
};

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub struct RedisServer {
    program: Program,
    process: Option<Process>,
    port: u16,
}

/// A server that speaks TLS as well, on a port of its own.
#[derive(Debug)]
pub struct RedisTls {
    pub server: RedisServer,
    pub port: u16,
    /// The certificate of the authority that vouches for it, in PEM.
    pub authority: String,
    _files: TempDir,
}

/// A master, a copy of it, and three Sentinels that watch them and want two votes to act.
#[derive(Debug)]
pub struct RedisSentinels {
    pub master: RedisServer,
    pub copy: RedisServer,
    pub sentinels: Vec<RedisServer>,
}

/// The name by which the Sentinels know the master.
pub const MASTER: &str = "vmcp-master";

impl RedisServer {
    /// Starts one that stands alone.
    pub async fn start() -> Result<Self> {
        Self::with("").await
    }

    /// Starts one with more lines of configuration.
    pub async fn with(configuration: &str) -> Result<Self> {
        Self::run("", configuration, std::convert::identity).await
    }

    /// Starts one that goes by another clock.
    pub async fn by(clock: &TestClock) -> Result<Self> {
        Self::run("", "", |program| clock.over(program)).await
    }

    /// Starts a lone Sentinel, which needs no other's vote.
    pub async fn sentinel(master: &Self, configuration: &str) -> Result<Self> {
        let watch = format!("sentinel monitor {MASTER} 127.0.0.1 {} 1\n", master.port());
        Self::run("--sentinel", &(watch + configuration), std::convert::identity).await
    }

    async fn run(
        mode: &str,
        configuration: &str,
        change: impl FnOnce(Program) -> Program,
    ) -> Result<Self> {
        let port = crate::process::free_port()?;
        let text = format!(
            "bind 127.0.0.1\nport {port}\nsave \"\"\nappendonly no\ndaemonize no\n{configuration}\n"
        );
        let arguments = ["{config}", "--dir", "{dir}", mode];
        let arguments: Vec<_> = arguments.into_iter().filter(|text| !text.is_empty()).collect();
        let program = Program::new("redis-server", &arguments).config(&text).port(port);
        let program = change(program);
        let mut server = Self { program, process: None, port };
        server.restart().await?;
        Ok(server)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1` and the port.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Kills it and waits until it is gone. What it held is lost.
    pub async fn kill(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.kill().await?;
        }
        Ok(())
    }

    /// Starts it again on the same port, empty.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill().await?;
        self.process = Some(self.program.spawn()?);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.say("PING").await;
            // One that wants a password is there as well.
            if answer
                .as_ref()
                .is_ok_and(|answer| answer.starts_with("+PONG") || answer.starts_with("-NOAUTH"))
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = self.process.as_ref().map(Process::log).unwrap_or_default();
                bail!("redis-server did not begin to serve: {answer:?}\n{log}");
            }
            sleep(POLL).await;
        }
    }

    /// Stops it where it is: it holds its connections, and says nothing.
    pub fn pause(&self) -> Result<()> {
        self.process.as_ref().context("it does not run")?.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        self.process.as_ref().context("it does not run")?.signal(Signal::CONT)
    }

    /// What it uses, and so on.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// Sends one command line, as a person would type it, and gives the raw answer, which must not be
    /// over a megabyte.
    pub async fn say(&self, command: &str) -> Result<String> {
        let asking = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(format!("{command}\r\nPING end\r\n").as_bytes()).await?;
            let (mut answer, mut buffer) = (Vec::new(), vec![0; 1 << 16]);
            // The echo of a word that Redis does not say by itself ends the answer.
            while !answer.ends_with(b"$3\r\nend\r\n") && !answer.starts_with(b"-NOAUTH") {
                let read = stream.read(&mut buffer).await?;
                if read == 0 {
                    bail!("it ended the connection");
                }
                answer.extend_from_slice(&buffer[..read]);
            }
            let end = answer.len().saturating_sub(b"$3\r\nend\r\n".len());
            if !answer.starts_with(b"-NOAUTH") {
                answer.truncate(end);
            }
            Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
        };
        timeout(PATIENCE, asking).await.context("it did not answer")?
    }

    /// How many commands it has processed, by `INFO`.
    pub async fn commands(&self) -> Result<u64> {
        let stats = self.say("INFO stats").await?;
        let line = stats.lines().find_map(|line| line.strip_prefix("total_commands_processed:"));
        Ok(line.context("no total_commands_processed")?.trim().parse()?)
    }
}

impl RedisTls {
    /// Starts one with more lines of configuration.
    pub async fn start(configuration: &str) -> Result<Self> {
        let issued = Issued::new()?;
        let files = tempfile::tempdir()?;
        let port = crate::process::free_port()?;
        let mut text = format!("tls-port {port}\ntls-auth-clients no\n{configuration}\n");
        for (option, name, pem) in [
            ("tls-cert-file", "server.pem", issued.certificate.pem()),
            ("tls-key-file", "server.key", issued.key.serialize_pem()),
            ("tls-ca-cert-file", "authority.pem", issued.authority.clone()),
        ] {
            let path = files.path().join(name);
            std::fs::write(&path, pem)?;
            text += &format!("{option} {}\n", path.display());
        }
        let server = RedisServer::with(&text).await?;
        Ok(Self { server, port, authority: issued.authority, _files: files })
    }
}

impl RedisSentinels {
    /// Starts all, and waits until the copy is one and every Sentinel knows it and the others.
    pub async fn start() -> Result<Self> {
        let master = RedisServer::with("repl-diskless-sync-delay 0").await?;
        let copy = RedisServer::with(&format!("replicaof 127.0.0.1 {}", master.port())).await?;
        let mut sentinels = Vec::new();
        for _sentinel in 0..3 {
            let configuration = format!(
                "sentinel monitor {MASTER} 127.0.0.1 {} 2\n\
                 sentinel down-after-milliseconds {MASTER} 500\n\
                 sentinel failover-timeout {MASTER} 3000\n",
                master.port()
            );
            sentinels.push(
                RedisServer::run("--sentinel", &configuration, std::convert::identity).await?,
            );
        }
        let ready = async {
            while !copy.say("INFO replication").await?.contains("master_link_status:up") {
                sleep(POLL).await;
            }
            for sentinel in &sentinels {
                while !knows_all(&sentinel.say(&format!("SENTINEL MASTER {MASTER}")).await?) {
                    sleep(POLL).await;
                }
            }
            Ok::<_, anyhow::Error>(())
        };
        timeout(PATIENCE, ready).await.context("the Sentinels do not find each other")??;
        Ok(Self { master, copy, sentinels })
    }
}

/// Whether a Sentinel's answer about the master shows that it knows the copy and the others.
fn knows_all(answer: &str) -> bool {
    let after = |name: &str| {
        let mut lines = answer.lines().skip_while(|line| line.trim() != name);
        lines.nth(2).unwrap_or_default().trim().to_owned()
    };
    after("num-slaves") == "1" && after("num-other-sentinels") == "2"
}

/// Starts a cluster of three masters, each with a third of the slots.
pub async fn redis_cluster() -> Result<Vec<RedisServer>> {
    let mut nodes = Vec::new();
    for _node in 0..3 {
        // Its bus has a port of its own, which must be free as well.
        let bus = crate::process::free_port()?;
        let configuration = format!(
            "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-port {bus}\n\
             cluster-node-timeout 2000\ncluster-require-full-coverage no\n"
        );
        nodes.push((RedisServer::with(&configuration).await?, bus));
    }
    let last = [5460, 10922, 16383];
    let mut first = 0;
    for ((node, _bus), last) in nodes.iter().zip(last) {
        expect_ok(&node.say(&format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await?)?;
        first = last + 1;
    }
    let (one, _bus) = &nodes[0];
    for (node, bus) in &nodes[1..] {
        expect_ok(&one.say(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", node.port())).await?)?;
    }
    let ready = async {
        for (node, _bus) in &nodes {
            while !node.say("CLUSTER INFO").await?.contains("cluster_state:ok")
                || !node.say("CLUSTER INFO").await?.contains("cluster_known_nodes:3")
            {
                sleep(POLL).await;
            }
        }
        Ok::<_, anyhow::Error>(())
    };
    timeout(PATIENCE, ready).await.context("the cluster does not come together")??;
    Ok(nodes.into_iter().map(|(node, _bus)| node).collect())
}

fn expect_ok(answer: &str) -> Result<()> {
    if answer != "+OK" {
        bail!("it said {answer}");
    }
    Ok(())
}
