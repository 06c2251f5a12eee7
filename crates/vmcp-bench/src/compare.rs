//! A run from start to end: starts the parties, drives them in turn, stops them.

use std::{
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    case::{self, Bar, Case, LIST_BACKENDS, LIST_FILES, Plan},
    client::{
        Connection, ENDPOINT, Session, ask_modern,
        message::{self, Conversation, Request},
    },
    load::{self, Load, Round, Work},
    memory,
    party::{self, Party},
    report::{Figures, Report, Row},
    shared::{self, Shared},
};

/// Runs all cases.
pub(crate) async fn run(quick: bool, only: &str, vmcp: Option<PathBuf>) -> Result<Report> {
    let vmcp = match vmcp {
        Some(path) => path.canonicalize().with_context(|| format!("no {}", path.display()))?,
        None => party::built().await?,
    };
    raise_file_limit()?;
    let cores = thread::available_parallelism().context("cannot count the cores")?.get();
    // Half of the cores' worth of threads each: what is measured has as many as there are cores.
    let threads = cores.div_ceil(2);
    let dir = TempDir::with_prefix("vmcp-bench-").context("cannot make a directory")?;
    let backend = party::backend(dir.path(), threads).await?;
    let nginx = party::nginx(dir.path(), backend.address).await?;
    let mut bench = Bench { vmcp, dir, plan: Plan::new(quick, threads), backend, nginx };

    let mut rows = bench.calls(case::calls(quick, only)).await?;
    if case::LIST.contains(only) {
        rows.extend(bench.list().await?);
    }
    let idle = !quick && case::MEMORY.contains(only);
    let memory = if idle { bench.memory().await? } else { Vec::new() };
    let shared = if case::SHARED.contains(only) { bench.shared().await? } else { Vec::new() };
    let measured = !rows.is_empty() || !memory.is_empty() || !shared.is_empty();
    ensure!(measured, "no case's name holds {only:?}; memory is left out of a quick run");
    bench.nginx.stop().await?;
    bench.backend.stop().await?;
    Ok(Report { cores, rows, memory, shared })
}

/// What is there for the whole run. vmcp is started anew for each configuration.
struct Bench {
    vmcp: PathBuf,
    dir: TempDir,
    plan: Plan,
    backend: Party,
    nginx: Party,
}

impl Bench {
    async fn calls(&mut self, cases: Vec<Case>) -> Result<Vec<Row>> {
        if cases.is_empty() {
            return Ok(Vec::new());
        }
        let url = format!("http://{}{ENDPOINT}", self.backend.address);
        let mut vmcp = party::vmcp(&self.vmcp, self.dir.path(), &[url]).await?;
        let mut rows = Vec::new();
        for case in cases {
            rows.push(self.drive(case, &mut vmcp).await?);
        }
        vmcp.stop().await?;
        Ok(rows)
    }

    async fn list(&mut self) -> Result<Vec<Row>> {
        let mut vmcp = self.vmcp_before_many(LIST_BACKENDS).await?;
        let mut rows = Vec::new();
        for is_modern in [false, true] {
            let (tools, bytes) = save_list(vmcp.address, self.dir.path(), is_modern).await?;
            rows.push(self.drive(case::list(tools, bytes, is_modern), &mut vmcp).await?);
        }
        vmcp.stop().await?;
        Ok(rows)
    }

    async fn memory(&mut self) -> Result<Vec<memory::Idle>> {
        progress(case::MEMORY)?;
        let mut vmcp = self.vmcp_before_many(memory::BACKENDS).await?;
        let idle = memory::measure(vmcp.address, vmcp.process).await;
        vmcp.alive()?;
        vmcp.stop().await?;
        idle
    }

    async fn shared(&mut self) -> Result<Vec<Shared>> {
        progress(case::SHARED)?;
        let urls = [format!("http://{}{ENDPOINT}", self.backend.address)];
        let store = party::redis(self.dir.path()).await?;
        let alone = party::vmcp(&self.vmcp, self.dir.path(), &urls).await?;
        let replica = || party::vmcp_over(store.address, &self.vmcp, self.dir.path(), &urls);
        let (first, second) = (replica().await?, replica().await?);
        let parties = shared::Parties { store: &store, alone: &alone, replicas: [&first, &second] };
        let measured = shared::measure(&parties, self.plan).await;
        for party in [first, second, alone, store] {
            party.stop().await?;
        }
        measured
    }

    async fn vmcp_before_many(&self, backends: usize) -> Result<Party> {
        let url = |number| format!("http://{}/many/{number}{ENDPOINT}", self.backend.address);
        let urls: Vec<String> = (0..backends).map(url).collect();
        party::vmcp(&self.vmcp, self.dir.path(), &urls).await
    }

    /// Drives all parties of a case in turn, so that whatever slows this machine down meanwhile
    /// slows each of them down.
    async fn drive(&mut self, case: Case, vmcp: &mut Party) -> Result<Row> {
        let Case { name, connections, nginx: nginx_work, vmcp: vmcp_work, bar } = case;
        progress(&format!("{name}, {connections} connections"))?;
        let (mut nginx, mut ours, mut direct) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.plan.rounds {
            nginx.push(self.round(&self.nginx, nginx_work, connections).await?);
            ours.push(self.round(vmcp, vmcp_work, connections).await?);
            if matches!(bar, Some(Bar::LatencyAdded(_))) {
                direct.push(self.round(&self.backend, nginx_work, connections).await?);
            }
            vmcp.alive()?;
            self.nginx.alive()?;
            self.backend.alive()?;
        }
        let direct = if direct.is_empty() { None } else { Some(Figures::of(&direct)) };
        let (nginx, vmcp) = (Figures::of(&nginx), Figures::of(&ours));
        Ok(Row { case: name, connections, nginx, vmcp, direct, bar })
    }

    async fn round(&self, party: &Party, work: Work, connections: usize) -> Result<Round> {
        let load = Load { address: party.address, connections, work };
        load::round(load, self.plan.pace, party.process).await
    }
}

/// Puts vmcp's list where nginx serves it from; gives its tools and its bytes.
async fn save_list(address: SocketAddr, dir: &Path, is_modern: bool) -> Result<(usize, usize)> {
    let mut connection = Connection::open(address).await?;
    let answer = if is_modern {
        ask_modern(&mut connection, &mut Conversation::modern(Request::List)).await?
    } else {
        let session = Session::open(&mut connection).await?;
        let request = Conversation::new(Request::List).ask();
        let answer = session.post(&mut connection, request).await?;
        session.end(&mut connection).await?;
        answer
    };
    let tools = message::whole(&answer)?["result"]["tools"].as_array().map_or(0, Vec::len);
    ensure!(tools > 0, "vmcp lists no tools in front of {LIST_BACKENDS} backends");
    fs::write(dir.join(LIST_FILES[usize::from(is_modern)].trim_start_matches('/')), &answer.body)?;
    Ok((tools, answer.body.len()))
}

/// A connection is a file, and many systems allow a process few of them until it asks.
fn raise_file_limit() -> Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .context("cannot raise the limit of open files")
}

/// Says on standard error what is going on; the result alone goes to standard output.
fn progress(what: &str) -> Result<()> {
    writeln!(std::io::stderr(), "measuring {what}").context("cannot write to standard error")
}
