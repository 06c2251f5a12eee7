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

/// How long the address waits for backends that have not answered yet.
const FIRST: Duration = Duration::from_secs(3);

/// What has been shown of the backends.
struct Board<'a> {
    running: &'a Running,
    began: Instant,
    backends: BTreeMap<BackendId, Shown>,
    /// When it is said again which have not answered yet: each time that twice the time has passed.
    next: Duration,
}

/// What has been shown of one.
#[derive(Clone, Copy)]
struct Shown {
    /// What its time is counted from.
    since: Instant,
    was_good: Option<bool>,
}

/// Shows how the backends fare, and where they are served as one.
pub(crate) async fn show(running: &Running, url: &str, began: Instant) {
    let mut board = Board { running, began, backends: BTreeMap::new(), next: Duration::MAX };
    let mut ticks = interval(LOOK.0);
    let all = loop {
        ticks.tick().await;
        if board.look() {
            break true;
        }
        if began.elapsed() >= FIRST {
            break false;
        }
    };
    show_address(url);
    if !all {
        board.show_starting();
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

impl Board<'_> {
    /// Shows what has changed. Whether every backend has answered or failed.
    fn look(&mut self) -> bool {
        let states = self.running.view.backends();
        self.backends.retain(|id, _| states.contains_key(id));
        let width = states.keys().map(|id| id.as_str().len()).max().unwrap_or_default();
        for (id, state) in &states {
            // What a reload has added is there later than the rest.
            let since = if self.backends.is_empty() { self.began } else { Instant::now() };
            let new = Shown { since, was_good: None };
            let before = *self.backends.get(id).unwrap_or(&new);
            let backend = self.running.vmcp().backend(id.as_str());
            let now = backend.and_then(|backend| judged(&backend, id, state, before.since));
            let is_good = now.as_ref().map(Outcome::is_good);
            let shown = match (now, before.was_good) {
                (Some(now), was_good) if is_good != was_good => {
                    progress(format_args!("  {}", now.shown(width)));
                    Shown { since: Instant::now(), was_good: is_good }
                }
                _ => before,
            };
            self.backends.insert(id.clone(), shown);
        }
        let all = self.backends.values().all(|shown| shown.was_good.is_some());
        if !all && self.began.elapsed() >= self.next {
            self.show_starting();
        }
        all
    }

    /// Says which backends have not answered yet.
    fn show_starting(&mut self) {
        self.next = self.began.elapsed() * 2;
        let width = self.backends.keys().map(|id| id.as_str().len()).max().unwrap_or_default();
        for (id, shown) in self.backends.iter().filter(|(_, shown)| shown.was_good.is_none()) {
            let backend = self.running.vmcp().backend(id.as_str());
            let is_program = backend.is_some_and(|backend| backend.is_program());
            let what = if is_program { "still starting" } else { "no answer yet" };
            let (id, seconds) = (id.as_str(), shown.since.elapsed().as_secs_f64().round());
            progress(format_args!("  {QUIET}wait    {id:width$}  {what}, {seconds} s{QUIET:#}"));
        }
    }

    /// Says what there is, now that all have answered or failed.
    fn show_ready(&self) {
        let catalog = self.running.view.catalog();
        let count = |kind| format!("{} {}", title(kind).to_lowercase(), catalog.len(kind));
        let counts = Kind::ALL.map(count);
        progress(format_args!("The catalog is ready: {}", counts.join(", ")));
    }
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
