//! From which level on is logged, which can change while the program runs: with the configuration, by a signal, and
//! by an operator, for parts of the program too.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracing::Level;
use tracing_subscriber::{Registry, filter::Targets, reload};
use vmcp_server::LogLevels;

use super::Logging;

/// Changes what is logged while the program runs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Threshold(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    logging: Logging,
    handle: reload::Handle<Targets, Registry>,
    asked: Mutex<Asked>,
}

/// What is to be logged, by who says so. The last of them counts.
#[derive(Debug, Default)]
struct Asked {
    configured: Option<Level>,
    by_operator: Option<LogLevels>,
    /// Everything from debug on, since a signal.
    by_signal: bool,
}

impl Threshold {
    pub(super) fn new(
        logging: Logging,
        configured: Option<Level>,
        handle: reload::Handle<Targets, Registry>,
    ) -> Self {
        let asked = Mutex::new(Asked { configured, ..Asked::default() });
        Self(Arc::new(Inner { logging, handle, asked }))
    }

    /// Logs from this level on, or from debug on if the command line asked for that.
    pub(crate) fn set(&self, level: Option<Level>) {
        self.change(|asked| asked.configured = level);
    }

    /// Logs as an operator wants it from now on; as the configuration says again, with nothing.
    pub(crate) fn set_by_operator(&self, levels: Option<LogLevels>) {
        self.change(|asked| asked.by_operator = levels);
    }

    /// Logs everything from debug on, or no more. Says which.
    pub(crate) fn toggle_debug(&self) -> bool {
        self.change(|asked| asked.by_signal = !asked.by_signal);
        self.asked().by_signal
    }

    /// What is logged now.
    pub(crate) fn levels(&self) -> LogLevels {
        self.0.levels(&self.asked())
    }

    fn change(&self, change: impl FnOnce(&mut Asked)) {
        let mut asked = self.asked();
        change(&mut asked);
        let LogLevels { level, targets } = self.0.levels(&asked);
        let filter = super::targets(level).with_targets(targets);
        if let Err(error) = self.0.handle.reload(filter) {
            tracing::warn!(%error, "the log level stays as it is");
        }
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn levels(&self, asked: &Asked) -> LogLevels {
        let levels = asked.by_operator.clone().unwrap_or_else(|| LogLevels {
            level: self.logging.level(asked.configured),
            targets: BTreeMap::new(),
        });
        if !asked.by_signal {
            return levels;
        }
        // More, never less.
        let level = levels.level.max(Level::DEBUG);
        let targets = levels.targets.into_iter().filter(|(_, of_target)| *of_target > level);
        LogLevels { level, targets: targets.collect() }
    }
}
