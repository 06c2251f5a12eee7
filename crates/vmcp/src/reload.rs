//! Takes up changes of the configuration file, or of editors' files, while serving: no session ends, and no call fails.
//!
//! A file that cannot be used is reported, and what runs stays as it is. What is exchanged is
//! decided here; how it is exchanged is the business of those who use it.

mod difference;
mod source;

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, MissedTickBehavior},
};
use vmcp_backend::{Backend, Config, Transport};
use vmcp_core::Replaced;
use vmcp_model::BackendId;
use vmcp_policy::Policy;

use crate::{
    cluster::Found,
    compose::Running,
    config::{self, BackendSettings, Complaint, Configuration},
    logging::Threshold,
    undecided,
};

pub(crate) use source::Source;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// How often servers are asked how they are spoken to that could not be asked before.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Why the configuration is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// Somebody asks for it, or has changed a file.
    Asked,
    /// Other backends are found.
    Found,
}

/// Reloads the configuration on SIGHUP and when its file has changed.
pub(crate) struct Reloader {
    source: Source,
    hangup: Signal,
    threshold: Threshold,
    /// What the server was started with: some of it holds until its end.
    started: Configuration,
    /// What holds now.
    current: Configuration,
    /// Backends that could not be asked how they are spoken to.
    undecided: Vec<BackendSettings>,
    /// The backends that are found in a cluster, where they are looked for.
    found: Option<Found>,
    /// What has been told of a file that cannot be used.
    told: Option<String>,
}

/// What came of reading the configuration again.
struct Reloaded {
    /// The settings that wait for the next start.
    later: Vec<&'static str>,
    /// Why the file could not be used, where what it said before was, with other backends.
    unused: Option<String>,
}

impl Reloader {
    /// Ready to reload what a server is about to be started with. From here on SIGHUP ends nothing.
    pub(crate) fn new(
        source: Source,
        configuration: &Configuration,
        threshold: Threshold,
        found: Option<Found>,
    ) -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be received")?;
        let (started, current) = (configuration.clone(), configuration.clone());
        let undecided = Vec::new();
        Ok(Self { source, hangup, threshold, started, current, undecided, found, told: None })
    }

    /// Reloads whenever there is reason to, for ever.
    pub(crate) async fn run(mut self, running: &Running) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut again = tokio::time::interval_at(Instant::now() + ASK_AGAIN, ASK_AGAIN);
        again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.undecided.clone_from(&running.undecided);
        loop {
            let why = tokio::select! {
                Some(()) = self.hangup.recv() => Why::Asked,
                _ = look.tick() => {
                    if !self.current.reload.watch_file || !self.source.has_changed() {
                        continue;
                    }
                    self.source.settle().await;
                    Why::Asked
                }
                () = changed(&mut self.found) => Why::Found,
                _ = again.tick(), if !self.undecided.is_empty() => {
                    if let Err(problem) = self.decide(running).await {
                        report(&problem);
                    }
                    continue;
                }
            };
            if why == Why::Asked {
                running.reopen_audit_log();
            }
            let outcome = match self.reload(running, why).await {
                // The file cannot be used until it has been read as it is.
                Ok(Reloaded { unused: Some(problem), .. }) => Err(problem),
                Ok(Reloaded { later, unused: None }) => Ok(later),
                Err(problem) => {
                    report(&problem);
                    self.told = Some(format!("{problem:#}"));
                    Err(format!("{problem:#}"))
                }
            };
            if outcome.is_ok() {
                self.told = None;
            }
            running.note_reload(outcome);
        }
    }

    /// Reads the file and puts it to use, as a whole or not at all.
    async fn reload(&mut self, running: &Running, why: Why) -> anyhow::Result<Reloaded> {
        self.source.take(self.found.as_ref());
        let loaded = self.source.load().and_then(|new| {
            difference::refuse_other_discovery(&self.started, &new)?;
            Ok(new)
        });
        let (new, unused) = match loaded {
            Ok(new) => (new, None),
            // What is found must count, a credential that was taken away above all.
            Err(problems) if why == Why::Found => match self.source.load_last() {
                Some(last) => {
                    let unused = problems.to_string();
                    if self.told.as_ref() != Some(&unused) {
                        problems.iter().for_each(|problem| tracing::error!("{problem}"));
                        tracing::error!(
                            "the file cannot be used; what it said last holds, with the backends of now"
                        );
                        self.told = Some(unused.clone());
                    }
                    (last?, Some(unused))
                }
                None => return Err(problems.into()),
            },
            Err(problems) => return Err(problems.into()),
        };
        difference::refuse_missing(&self.current, &new)?;
        // Not what a reload has made of it: whoever may write the file would permit it to himself.
        if !self.started.reload.allow_commands {
            difference::refuse_other_programs(&self.current, &new)?;
        }
        let backends = self.backends(&new, running).await?;
        self.warn(&new, why);
        let later = self.later(&new, why);
        let replaced = running.replace(backends, &new);
        self.threshold.set(new.log_level);
        tell(&replaced);
        let policy = |configuration: &Configuration| configuration.authorization.policy.clone();
        tell_of_policies(policy(&self.current).as_deref(), policy(&new).as_deref());
        difference::tell_of_missing(&self.current, &new);
        if self.source.has_found() {
            running.have_found();
        }
        if unused.is_none() {
            self.source.is_used();
        }
        self.current = new;
        Ok(Reloaded { later, unused })
    }

    /// Says what is odd: all of a file that was read because somebody wants it, and what is new of one that stands as it
    /// stood.
    fn warn(&self, new: &Configuration, why: Why) {
        let before = &self.current.warnings;
        let told = |warning: &&Complaint| why == Why::Asked || !before.contains(warning);
        for warning in new.warnings.iter().filter(told) {
            tracing::warn!("{warning}");
        }
    }

    /// The settings that wait for the next start.
    fn later(&self, new: &Configuration, why: Why) -> Vec<&'static str> {
        let later = difference::later(&self.started, new);
        if why == Why::Found {
            return later;
        }
        if !later.is_empty() {
            tracing::warn!(settings = later.join(", "), "these take effect at the next start");
        }
        if later.contains(&"incomingAuth") {
            tracing::warn!(
                "incomingAuth has changed, and callers are still judged by the one that vmcp was \
                 started with; restart vmcp"
            );
        }
        later
    }

    /// Asks servers how they are spoken to that could not be asked before, and exchanges those that are not
    /// spoken to as it was thought.
    async fn decide(&mut self, running: &Running) -> anyhow::Result<()> {
        let mut asked = self.undecided.clone();
        undecided::decide(&mut asked).await;
        self.undecided = undecided::left(&asked);
        asked.retain(|settings| matches!(settings.config.transport, Transport::Sse(_)));
        if asked.is_empty() {
            return Ok(());
        }
        let mut backends = running.vmcp().backends();
        for BackendSettings { config, .. } in &asked {
            let made = Backend::new(config, running.connections.clone())?;
            backends
                .iter_mut()
                .filter(|one| *one.id() == config.id)
                .for_each(|one| *one = Arc::clone(&made));
        }
        tell(&running.replace(backends, &self.current));
        Ok(())
    }

    /// The backends of a configuration: those that have not changed are those in use.
    async fn backends(
        &mut self,
        new: &Configuration,
        running: &Running,
    ) -> anyhow::Result<Vec<Arc<Backend>>> {
        let before = |id: &BackendId| {
            let mut before = self.current.backends.iter().map(|before| &before.config);
            before.find(|before| before.id == *id)
        };
        // As they were read, so that a server is not asked again how it is spoken to.
        let is_same = |config: &Config| before(&config.id) == Some(config);
        let mut decided = new.backends.clone();
        decided.retain(|settings| !is_same(&settings.config));
        undecided::decide(&mut decided).await;
        self.undecided.retain(|settings| is_same(&settings.config));
        self.undecided.extend(undecided::left(&decided));
        let made = new.backends.iter().map(|settings| {
            let id = &settings.config.id;
            let in_use = running.vmcp().backend(id.as_str());
            let changed = decided.iter().find(|settings| settings.config.id == *id);
            let config = changed.map_or(&settings.config, |settings| &settings.config);
            let tasks = running.connections.clone();
            let made = match before(id).zip(in_use) {
                Some((_, in_use)) if changed.is_none() => Ok(in_use),
                Some((before, in_use)) if settings.config.keeps_sessions_of(before) => {
                    in_use.successor(config, tasks)
                }
                Some(_) | None => Backend::new(config, tasks),
            };
            match made {
                // One object of a cluster must not hold up what is found of all others.
                Err(why) if new.discovers => {
                    let out = settings.config.out(why.to_string());
                    Backend::new(&out, running.connections.clone())
                }
                made => made,
            }
            .with_context(|| format!("backend {id}"))
        });
        made.collect()
    }
}

/// Waits until other backends are found.
async fn changed(found: &mut Option<Found>) {
    match found {
        Some(found) => found.changed().await,
        None => std::future::pending().await,
    }
}

/// Says what has changed.
fn tell(replaced: &Replaced) {
    let names =
        |ids: &[BackendId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let Replaced { added, changed, removed, retired: _ } = replaced;
    tracing::info!(
        added = names(added),
        changed = names(changed),
        removed = names(removed),
        "the configuration has been reloaded"
    );
}

/// Says how what callers may do has changed.
fn tell_of_policies(before: Option<&Policy>, now: Option<&Policy>) {
    match (before, now) {
        (Some(_), None) => tracing::warn!(
            "there are no policies any more (incomingAuth.authz): who may call at all may do everything"
        ),
        (_, Some(now)) if before.map(Policy::digest) != Some(now.digest()) => {
            tracing::info!(policies = now.count(), "other policies say what callers may do");
        }
        _ => {}
    }
}

fn report(problem: &anyhow::Error) {
    match problem.downcast_ref::<config::Problems>() {
        Some(problems) => problems.iter().for_each(|problem| tracing::error!("{problem}")),
        None => tracing::error!("{problem:#}"),
    }
    tracing::error!("the configuration was not reloaded; what was in use stays in use");
}
