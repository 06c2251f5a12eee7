//! What a terminal is shown of the backends while they are served: a line for each as soon as it has
//! answered or failed, and another when that changes.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, interval, sleep};
use vmcp_backend::Backend;
use vmcp_core::{BackendState, OfferStatus};
use vmcp_model::{BackendId, Kind};

use crate::{
    client,
    compose::Running,
    connect::{Outcome, outcome},
    list::title,
    output::{QUIET, STRONG, progress},
};

/// How often the backends are looked at until all have answered or failed, and after that.
const LOOK: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long the address waits for backends that have not answered yet. After that they are named, and
/// again each time that twice the time has passed.
const FIRST: Duration = Duration::from_secs(3);

/// What has been shown of the backends.
struct Board<'a> {
    running: &'a Running,
    backends: BTreeMap<BackendId, Shown>,
}

/// What has been shown of one.
#[derive(Clone, Copy)]
struct Shown {
    /// What its time is counted from.
    since: Instant,
    was_good: Option<bool>,
    /// After what time it is said that it has not answered.
    next: Duration,
}

/// Shows how the backends fare, and where they are served as one.
pub(crate) async fn show(running: &Running, url: &str, began: Instant) {
    let states = running.view.backends();
    let backends = states.into_keys().map(|id| (id, Shown::nothing(began))).collect();
    let mut board = Board { running, backends };
    let mut ticks = interval(LOOK.0);
    let mut all = false;
    while !all && began.elapsed() < FIRST {
        ticks.tick().await;
        all = board.look();
    }
    if !all {
        board.look();
    }
    show_address(url);
    if let Some(address) = running.admin_address {
        progress(format_args!("For operators: {STRONG}http://{address}/status{STRONG:#}\n"));
    }
    if !all {
        while !board.look() {
            ticks.tick().await;
        }
        board.show_ready();
    }
    loop {
        sleep(LOOK.1).await;
        board.look();
    }
}

impl Shown {
    fn nothing(since: Instant) -> Self {
        Self { since, was_good: None, next: FIRST }
    }
}

impl Board<'_> {
    /// Shows what has changed. Whether every backend has answered or failed.
    fn look(&mut self) -> bool {
        let states = self.running.view.backends();
        self.backends.retain(|id, _shown| {
            let stays = states.contains_key(id);
            if !stays {
                progress(format_args!("  {QUIET}gone    {id}{QUIET:#}"));
            }
            stays
        });
        let width = states.keys().map(|id| id.as_str().len()).max().unwrap_or_default();
        for (id, state) in &states {
            let now = Instant::now();
            let shown = self.backends.entry(id.clone()).or_insert(Shown::nothing(now));
            let Some(backend) = self.running.vmcp().backend(id.as_str()) else { continue };
            match judged(&backend, id, state, shown.since) {
                Some(outcome) if shown.was_good != Some(outcome.is_good()) => {
                    progress(format_args!("  {}", outcome.shown(width)));
                    *shown = Shown { was_good: Some(outcome.is_good()), ..Shown::nothing(now) };
                }
                Some(_as_before) => {}
                // It was changed, and has not answered since.
                None if shown.was_good.is_some() => *shown = Shown::nothing(now),
                None if shown.since.elapsed() >= shown.next => {
                    shown.next = shown.since.elapsed() * 2;
                    show_wait(&backend, width, shown.since.elapsed());
                }
                None => {}
            }
        }
        self.backends.values().all(|shown| shown.was_good.is_some())
    }

    /// Says what there is, now that all have answered or failed.
    fn show_ready(&self) {
        let catalog = self.running.view.catalog();
        let count = |kind| format!("{} {}", title(kind).to_lowercase(), catalog.len(kind));
        let counts = Kind::ALL.map(count);
        progress(format_args!("The catalog is ready: {}", counts.join(", ")));
    }
}

/// Says that a backend has not answered yet.
fn show_wait(backend: &Backend, width: usize, time: Duration) {
    let what = if backend.is_program() { "still starting" } else { "no answer yet" };
    let (id, seconds) = (backend.id().as_str(), time.as_secs_f64().round());
    progress(format_args!("  {QUIET}wait    {id:width$}  {what}, {seconds} s{QUIET:#}"));
}

/// How a backend fares, if that is known.
fn judged(
    backend: &Backend,
    id: &BackendId,
    state: &BackendState,
    since: Instant,
) -> Option<Outcome> {
    let found = outcome(id, state, since);
    match state.status {
        OfferStatus::Unknown => None,
        // It has offered something, and has failed since.
        OfferStatus::Good if backend.is_out() => {
            let last = backend.health().last_error;
            Some(found.failed(last.map_or_else(|| "does not answer".to_owned(), |(why, _)| why)))
        }
        _ => Some(found),
    }
}

fn show_address(url: &str) {
    progress(format_args!(
        "\nServing at {STRONG}{url}{STRONG:#} until Ctrl-C. To connect an editor,"
    ));
    progress(format_args!("add this to its MCP servers:\n  {}", client::entry(url)));
    progress(format_args!("To look around: vmcp list {url}\n"));
}
