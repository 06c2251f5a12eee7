//! A run from start to end: starts the parties, drives them in turn, stops them.
//!
//! Every case has an nginx and a vmcp of its own, so that none is measured with what another one
//! left behind.

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
    backend::answer::LEGACY,
    case::{self, Backends, Case, LIST_FILES, Many},
    client::{
        Connection, ENDPOINT, Session, ask_modern,
        message::{self, Conversation, Request},
    },
    load::Work,
    memory,
    party::{self, Party, Sections},
    plan::Plan,
    report::{Line, Report, Row},
    shared,
};

mod itself;
mod turns;

use turns::{Compared, Side};

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
    let mut bench = Bench { vmcp, dir, plan: Plan::new(quick, threads), backend };

    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for case in case::cases(quick, only) {
        rows.push(bench.against_nginx(case).await?);
    }
    let is_chosen = |name: &str| name.contains(only);
    if is_chosen(case::LATENCY) {
        rows.push(bench.latency_added().await?);
    }
    if is_chosen(case::IDLE) {
        rows.push(bench.beside_idle_sessions().await?);
    }
    if is_chosen(case::ACROSS) {
        rows.push(bench.across_eras().await?);
    }
    for (name, told, bar) in case::TOLD {
        if is_chosen(name) && !quick {
            rows.push(bench.told(name, told, bar).await?);
        }
    }
    if is_chosen(case::CATALOG) && !quick {
        rows.push(bench.with_a_larger_catalog().await?);
    }
    if is_chosen(case::MEMORY) && !quick {
        lines.extend(bench.memory().await?);
    }
    if is_chosen(case::SHARED) && !quick {
        lines.extend(bench.shared().await?);
    }
    let measured = !rows.is_empty() || !lines.is_empty();
    ensure!(measured, "no case's name holds {only:?}, or only that of one for a full run");
    bench.backend.stop().await?;
    Ok(Report { cores, rows, lines })
}

/// What is there for the whole run.
struct Bench {
    vmcp: PathBuf,
    dir: TempDir,
    plan: Plan,
    backend: Party,
}

impl Bench {
    async fn against_nginx(&mut self, case: Case) -> Result<Row> {
        let Case { name, connections, backends, setup, bar, .. } = case;
        progress(&format!("{name}, {connections} connections"))?;
        let sections = setup.sections(self.backend.address, self.dir.path());
        let token = setup.credentials.token();
        let urls = self.urls(backends);
        let mut vmcp = party::vmcp(&self.vmcp, self.dir.path(), &urls, &sections).await?;
        let mut nginx = party::nginx(self.dir.path(), self.backend.address).await?;
        if let Work::File(_) = case.nginx {
            save_list(vmcp.address, self.dir.path(), case.vmcp).await?;
        }
        let sides = [
            Side { name: "nginx", party: &mut nginx, work: case.nginx, token },
            Side { name: "vmcp", party: &mut vmcp, work: case.vmcp, token },
        ];
        let Plan { peak, paced, .. } = self.plan;
        let compared = turns::compare(sides, connections, peak, paced).await?;
        self.end(nginx, vmcp).await?;
        Ok(row(name, connections, compared, bar))
    }

    async fn latency_added(&mut self) -> Result<Row> {
        progress(case::LATENCY)?;
        let mut vmcp = self.start(Backends::One).await?;
        let mut nginx = party::nginx(self.dir.path(), self.backend.address).await?;
        let work = Work::Ask(Request::Echo(64));
        let sides = [
            Side { name: "direct", party: &mut self.backend, work, token: None },
            Side { name: "nginx", party: &mut nginx, work, token: None },
            Side { name: "vmcp", party: &mut vmcp, work, token: None },
        ];
        let [direct, base, subject] = turns::over_one_connection(sides, self.plan.short).await?;
        self.end(nginx, vmcp).await?;
        Ok(Row {
            case: case::LATENCY,
            connections: 1,
            rate: None,
            base,
            subject,
            direct: Some(direct),
            bar: Some(case::LATENCY_ADDED),
        })
    }

    async fn memory(&self) -> Result<Vec<Line>> {
        progress(case::MEMORY)?;
        let mut vmcp = self.start(Backends::Many(Many::TEN)).await?;
        let mut lines = memory::states(vmcp.address, vmcp.process, Many::TEN).await?;
        vmcp.alive()?;
        vmcp.kill().await?;
        for many in [Many::TEN, Many::TYPICAL] {
            progress(&format!("{} in large numbers", case::MEMORY))?;
            let mut vmcp = self.start(Backends::Many(many)).await?;
            lines.extend(memory::growth(vmcp.address, vmcp.process, many).await?);
            vmcp.alive()?;
            vmcp.kill().await?;
        }
        Ok(lines)
    }

    async fn shared(&mut self) -> Result<Vec<Line>> {
        progress(case::SHARED)?;
        let urls = self.urls(Backends::One);
        let store = party::redis(self.dir.path()).await?;
        let sections = Sections::default();
        let alone = party::vmcp(&self.vmcp, self.dir.path(), &urls, &sections).await?;
        let replica = || party::vmcp_over(store.address, &self.vmcp, self.dir.path(), &urls);
        let (first, second) = (replica().await?, replica().await?);
        let parties = shared::Parties { store: &store, alone: &alone, replicas: [&first, &second] };
        let measured = shared::measure(&parties, self.plan.peak).await;
        for party in [first, second, alone, store] {
            party.kill().await?;
        }
        measured
    }

    async fn start(&self, backends: Backends) -> Result<Party> {
        let sections = Sections::default();
        party::vmcp(&self.vmcp, self.dir.path(), &self.urls(backends), &sections).await
    }

    fn urls(&self, backends: Backends) -> Vec<String> {
        let address = self.backend.address;
        match backends {
            Backends::One => vec![format!("http://{address}{ENDPOINT}")],
            Backends::Legacy => vec![format!("http://{address}{LEGACY}{ENDPOINT}")],
            Backends::Many(Many { backends, tools }) => (0..backends)
                .map(|number| format!("http://{address}/many/{number}/{tools}{ENDPOINT}"))
                .collect(),
        }
    }

    async fn end(&mut self, nginx: Party, vmcp: Party) -> Result<()> {
        self.backend.alive()?;
        vmcp.kill().await?;
        nginx.stop().await
    }
}

fn row(case: &'static str, connections: usize, compared: Compared, bar: Option<case::Bar>) -> Row {
    let Compared { base, subject, rate } = compared;
    Row { case, connections, rate: Some(rate), base, subject, direct: None, bar }
}

/// Puts vmcp's list where nginx serves it from.
async fn save_list(address: SocketAddr, dir: &Path, work: Work) -> Result<()> {
    let mut connection = Connection::open(address).await?;
    let (answer, file) = if let Work::AskModern(request) = work {
        (ask_modern(&mut connection, &mut Conversation::modern(request)).await?, LIST_FILES[1])
    } else {
        let session = Session::open(&mut connection).await?;
        let request = Conversation::new(Request::List).ask();
        let answer = session.post(&mut connection, request).await?;
        session.end(&mut connection).await?;
        (answer, LIST_FILES[0])
    };
    let tools = message::whole(&answer)?["result"]["tools"].as_array().map_or(0, Vec::len);
    let Many { backends, tools: each } = Many::TYPICAL;
    ensure!(tools == backends * each, "vmcp lists {tools} tools of {backends} backends");
    fs::write(dir.join(file.trim_start_matches('/')), &answer.body)?;
    Ok(())
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
