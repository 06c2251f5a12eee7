//! Reports how the backends are in the status of the VirtualMCPServer.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use vmcp_backend::{Backend, Phase, State};
use vmcp_kubernetes::{BackendHealth, BackendReport, Breaker, Report, Reporter};

use super::{kubernetes::Found, register::Shared};
use crate::compose::Running;

/// How often the backends are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How long it may take at the start until backends are known, and nothing is reported.
const SLOW: Duration = Duration::from_secs(10);

/// Reports for this replica.
pub(crate) struct Reporting {
    reporter: Reporter,
    found: Option<Found>,
}

impl Reporting {
    /// With what is found, where backends are looked for.
    pub(crate) fn new(reporter: Reporter, found: Option<Found>) -> Self {
        Self { reporter, found }
    }

    /// Reports for ever.
    pub(crate) async fn run(&mut self, running: &Running) {
        let Self { reporter, found } = self;
        if let Some(store) = running.shared_store() {
            reporter.share(Arc::new(Shared(store)));
        }
        let (told, reports) = watch::channel(None);
        let began = Instant::now();
        let look = async {
            loop {
                if running.knows_backends() || began.elapsed() >= SLOW {
                    told.send_replace(Some(Arc::new(report(running, found.as_ref()))));
                }
                sleep(LOOK).await;
            }
        };
        tokio::select! {
            () = reporter.run(reports) => {}
            never = look => never,
        }
    }

    /// Takes back what was reported.
    pub(crate) async fn leave(self) {
        self.reporter.leave().await;
    }
}

fn report(running: &Running, found: Option<&Found>) -> Report {
    let mut places = found.map(Found::places).unwrap_or_default();
    let now = SystemTime::now();
    let backends = running.vmcp().backends();
    let of = |backend: &Arc<Backend>| {
        let told = of_backend(backend, now);
        match places.remove(backend.id().as_str()) {
            Some((url, auth)) => BackendReport { url, auth, ..told },
            None => told,
        }
    };
    let waiting = found.and_then(|found| found.waiting(running.knows_backends()));
    Report { backends: backends.iter().map(of).collect(), waiting }
}

fn of_backend(backend: &Backend, now: SystemTime) -> BackendReport {
    let health = backend.health();
    let at = |age| now.checked_sub(age);
    let (breaker, breaker_changed) = match health.breaker {
        None => (Breaker::Closed, None),
        Some((phase, age)) => {
            let breaker = match phase {
                Phase::Closed => Breaker::Closed,
                Phase::Open => Breaker::Open,
                Phase::HalfOpen => Breaker::HalfOpen,
            };
            (breaker, at(age))
        }
    };
    let state = match health.state {
        State::Healthy => BackendHealth::Ready,
        State::Degraded => BackendHealth::Degraded,
        State::Unhealthy => BackendHealth::Unavailable,
        State::Unknown => BackendHealth::Unknown,
        State::Unauthenticated => BackendHealth::Unauthenticated,
    };
    let message = match (health.state, health.last_error) {
        (State::Healthy, _) => "Healthy".to_owned(),
        (State::Unknown, _) => "Not asked yet".to_owned(),
        (_, Some((error, _))) => error,
        (state, None) => state.name().to_owned(),
    };
    BackendReport {
        name: backend.id().to_string(),
        url: backend.url().map(ToString::to_string).unwrap_or_default(),
        state,
        message,
        last_check: health.last_sign_age.and_then(at),
        breaker,
        breaker_changed,
        failures: health.consecutive_failures.into(),
        revision: backend.revision().map(|revision| revision.name().to_owned()),
        auth: None,
    }
}
