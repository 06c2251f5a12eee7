//! `vmcp serve`: serves a configuration until it is told to stop.

use std::{
    io::{self, IsTerminal as _},
    net::{SocketAddr, ToSocketAddrs as _},
    time::Duration,
};

use anyhow::{Context as _, bail};
use tokio::time::{Instant, sleep};

use crate::{
    board,
    cli::{self, Misuse},
    cluster::Cluster,
    compose::{self, AdminListen, MetricsListen, PeerListen, Running},
    config::{self, Configuration},
    known::Known,
    logging::{Logging, Threshold},
    memory,
    output::{STRONG, progress},
    reload::{Reloader, Source},
    signals::Signals,
    stop::{Hangup, Stop},
};

/// How long an end takes that nobody need be told of.
const SLOW_END: Duration = Duration::from_millis(1500);

pub(crate) fn run(options: &cli::Serve, logging: Logging) -> anyhow::Result<()> {
    let listen = address(&options.host, options.port)?;
    if options.sources.config.is_none() && !listen.ip().is_loopback() {
        return Err(Misuse(format!(
            "without a configuration file, vmcp serves this machine only, not {}: \
             anybody there could call every backend; \
             write a file with vmcp init -o vmcp.yaml, say in its incomingAuth who may call, \
             and serve it with --config vmcp.yaml",
            options.host
        ))
        .into());
    }
    let mut source =
        Source::new(&options.sources).overridden(options.session_ttl, options.enable_audit);
    let configuration = source.load()?;
    let threshold = logging.start(configuration.log_level);
    for warning in &configuration.warnings {
        tracing::warn!("{warning}");
    }
    // Who writes a configuration serves something that runs for long.
    let known = match options.sources.config {
        Some(_) => None,
        None => Known::open(&configuration, &config::environment),
    };
    let source = Some(source).filter(Source::has_file);
    if configuration.discovers && source.is_none() {
        bail!(
            "outgoingAuth.source: discovered needs a configuration in a file, not in a pipe, as it is read again when backends come"
        );
    }
    control_runtime()?.block_on(serve(configuration, listen, source, known, threshold))
}

/// The address that a host and a port name. Of several, one of IPv4 is preferred: that is what clients
/// try that know one only.
fn address(host: &str, port: u16) -> Result<SocketAddr, Misuse> {
    let found = (host, port).to_socket_addrs();
    let found: Vec<_> = found
        .map_err(|error| Misuse(format!("--host {host}: no address of this name: {error}")))?
        .collect();
    let chosen = found.iter().find(|address| address.is_ipv4()).or(found.first());
    chosen.copied().ok_or_else(|| Misuse(format!("--host {host}: no address of this name")))
}

async fn serve(
    configuration: Configuration,
    listen: SocketAddr,
    source: Option<Source>,
    known: Option<Known>,
    threshold: Threshold,
) -> anyhow::Result<()> {
    let hangup = if source.is_some() { Hangup::Reloads } else { Hangup::Stops };
    let mut stop = Stop::listen(hangup)?;
    let mut signals = Signals::listen()?;
    let mut cluster = Cluster::of(&configuration).await?;
    let reloader = source
        .map(|source| Reloader::new(source, &configuration, threshold.clone(), cluster.found()));
    let reloader = reloader.transpose()?;
    let (count, drain) = (configuration.backends.len(), configuration.sessions.drain_timeout);
    let began = Instant::now();
    let running = compose::start(configuration, listen, known, Some(&threshold));
    let running = running.await.map_err(advised)?;
    let url = format!("http://{}{}", running.address, compose::ENDPOINT);
    tracing::info!(%url, backends = count, "serving");
    if let Some(address) = running.admin_address {
        tracing::info!(url = format!("http://{address}/status"), "serving operators");
    }
    if let Some(token) = &running.admin_token {
        show_admin_token(token);
    }
    let watched = async {
        if io::stderr().is_terminal() {
            board::show(&running, &url, began).await;
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
        () = stop.told() => {}
        () = watched => {}
        () = reloaded => {}
        () = cluster.run(&running) => {}
        () = signals.heed(&running, &threshold) => {}
        never = memory::give_back() => match never {},
    }
    let (ended, ()) = tokio::join!(end(running, &mut stop, drain), cluster.leave());
    ended
}

/// Shows the token of operators that was made for this start, to people only: logs are kept, and read by others.
fn show_admin_token(token: &str) {
    if io::stderr().is_terminal() {
        progress(format_args!("The token for /status, until vmcp ends: {STRONG}{token}{STRONG:#}"));
    } else {
        tracing::warn!(
            "the token of operators was made at start and is shown on terminals only, so nobody can ask for \
             /status; set admin.auth.tokenFile"
        );
    }
}

/// Ends everything in its time, which whoever watches is told of, or at once when they want that.
async fn end(running: Running, stop: &mut Stop, drain: Duration) -> anyhow::Result<()> {
    let calls = running.calls();
    let told = async {
        if !io::stderr().is_terminal() {
            return std::future::pending().await;
        }
        if calls > 0 {
            let (calls, seconds) = (counted(calls, "call"), drain.as_secs());
            progress(format_args!("waiting for {calls} ({seconds} s); Ctrl-C again to stop now"));
            sleep(drain).await;
        }
        sleep(SLOW_END).await;
        progress(format_args!("waiting for programs to end; Ctrl-C again to stop now"));
        std::future::pending().await
    };
    let mut is_hurried = false;
    let hurry = async {
        stop.told_again().await;
        is_hurried = true;
    };
    let cut_off = tokio::select! {
        ended = running.stop(hurry) => ended?,
        never = told => never,
    };
    if is_hurried && cut_off > 0 {
        bail!("stopped at once: {} cut off", counted(cut_off, "call"));
    }
    Ok(())
}

/// `1 call`, `2 calls`.
fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Says what to do about an address that somebody else listens on.
fn advised(error: anyhow::Error) -> anyhow::Error {
    let taken = error
        .root_cause()
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse);
    match taken {
        true if error.is::<AdminListen>() => error.context("choose another port in admin.listen"),
        true if error.is::<PeerListen>() => {
            error.context("choose another port in peer.listen, or write peer.enabled: false")
        }
        true if error.is::<MetricsListen>() => {
            error.context("choose another port in telemetry.prometheusPort")
        }
        true => error.context("choose another port with --port"),
        false => error,
    }
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
