//! `vmcp serve`: serves a configuration until it is told to stop.

use std::{
    fs,
    io::{self, IsTerminal as _},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, interval},
};
use tracing::Level;
use vmcp_core::{OfferStatus, View};

use crate::{
    cli::{self, Misuse},
    client, compose,
    config::{self, Configuration},
    connect,
    known::Known,
    logging::{Logging, Threshold},
    memory,
    output::{STRONG, progress},
    reload::{Reloader, Source},
};

/// How often the backends are looked at while somebody watches.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) fn run(options: &cli::Serve, logging: Logging) -> anyhow::Result<()> {
    if options.sources.config.is_none() && !options.host.is_loopback() {
        return Err(Misuse(format!(
            "without a configuration file, vmcp serves this machine only, not {}: \
             anybody there could call every backend; \
             write a file with vmcp init -o vmcp.yaml and serve it with --config vmcp.yaml",
            options.host
        ))
        .into());
    }
    let mut source = Source::new(&options.sources, options.session_ttl);
    let configuration = source.load()?;
    let threshold = logging.start(configuration.log_level.unwrap_or(Level::INFO));
    for warning in &configuration.warnings {
        tracing::warn!("{warning}");
    }
    // Who writes a configuration serves something that runs for long.
    let known = match options.sources.config {
        Some(_) => None,
        None => Known::open(&configuration, &config::environment),
    };
    let source = Some(source).filter(Source::has_file);
    let listen = SocketAddr::new(options.host, options.port);
    control_runtime()?.block_on(serve(configuration, listen, source, known, threshold))
}

async fn serve(
    configuration: Configuration,
    listen: SocketAddr,
    source: Option<Source>,
    known: Option<Known>,
    threshold: Threshold,
) -> anyhow::Result<()> {
    let hangup = if source.is_some() { Hangup::Reloads } else { Hangup::Stops };
    let stopped = stop_signal(hangup)?;
    let reloader =
        source.map(|source| Reloader::new(source, &configuration, threshold)).transpose()?;
    let (count, patience) = (configuration.backends.len(), connect::patience(&configuration));
    let began = Instant::now();
    let running = compose::start(configuration, listen, known).await.map_err(advised)?;
    let url = format!("http://{}{}", running.address, compose::ENDPOINT);
    tracing::info!(%url, backends = count, "serving");
    let watched = async {
        if io::stderr().is_terminal() {
            show_progress(&running.view, began, patience).await;
            show_address(&url);
        }
        std::future::pending::<()>().await;
    };
    let reloaded = async {
        match reloader {
            Some(reloader) => reloader.run(&running).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stopped => {}
        () = watched => {}
        () = reloaded => {}
        never = memory::give_back() => match never {},
    }
    running.stop().await
}

/// Says what to do about an address that somebody else listens on.
fn advised(error: anyhow::Error) -> anyhow::Error {
    let taken = error
        .root_cause()
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    if taken { error.context("choose another port with --port") } else { error }
}

/// Shows each backend as soon as it has made its offer or failed to.
async fn show_progress(view: &Arc<View>, began: Instant, patience: Duration) {
    let mut ticks = interval(LOOK);
    let mut shown = Vec::new();
    while began.elapsed() < patience {
        ticks.tick().await;
        let backends = view.backends();
        let width = backends.keys().map(|id| id.as_str().len()).max().unwrap_or_default();
        for (id, state) in &backends {
            if state.status != OfferStatus::Unknown && !shown.contains(id) {
                progress(format_args!("  {}", connect::outcome(id, state, began).shown(width)));
                shown.push(id.clone());
            }
        }
        if shown.len() == backends.len() {
            return;
        }
    }
}

fn show_address(url: &str) {
    progress(format_args!(
        "\nServing at {STRONG}{url}{STRONG:#} until Ctrl-C. To connect an editor,"
    ));
    progress(format_args!("add this to its MCP servers:\n  {}", client::entry(url)));
    progress(format_args!("To look around: vmcp list {url}\n"));
}

/// The runtime of everything that is not on the path of a call.
pub(crate) fn control_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .context("the control runtime could not be started")
}

/// Does work that people may lose patience with.
pub(crate) async fn unless<T>(
    stopped: &mut (impl Future<Output = ()> + Unpin),
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    tokio::select! {
        done = work => done,
        () = stopped => bail!("interrupted"),
    }
}

/// What SIGHUP means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hangup {
    /// The terminal is gone: whatever was started ends with it.
    Stops,
    /// There is a file to be read again, by somebody else.
    Reloads,
}

/// Completes when the process is told to stop.
pub(crate) fn stop_signal(hangup: Hangup) -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut quit = signal(SignalKind::quit())?;
    let hangup = hangup == Hangup::Stops && !ignores_hangup();
    let hangup = hangup.then(|| signal(SignalKind::hangup())).transpose()?;
    let hung_up = async move {
        match hangup {
            Some(mut hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = quit.recv() => {}
            _ = hung_up => {}
        }
    })
}

/// Whether whoever started this process wants it to survive its terminal, as nohup does. Known on
/// Linux only.
fn ignores_hangup() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is the first signal.
    ignored.is_some_and(|mask| mask & 1 == 1)
}
