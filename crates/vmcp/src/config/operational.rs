//! Logging, the timeouts of calls, and reloading: `operational`.

use std::{collections::BTreeMap, time::Duration};

use tracing::Level;
use vmcp_model::BackendId;

use super::{Reload, backends::Names, reader::Reader, units::show_duration};

pub(super) struct Operational {
    pub(super) log_level: Option<Level>,
    pub(super) timeouts: CallTimeouts,
    pub(super) reload: Reload,
}

/// How long calls may take.
pub(super) struct CallTimeouts {
    /// Without a sign of life.
    default: Duration,
    /// The same for single backends.
    single: BTreeMap<BackendId, Duration>,
    /// As a whole.
    pub(super) absolute: Duration,
}

/// The words of `logLevel`, in the order of its table of keys.
const LEVELS: [Level; 5] = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];

pub(super) fn read(reader: &Reader<'_>, names: &Names) -> Operational {
    Operational {
        log_level: reader.choice("logLevel", &LEVELS),
        timeouts: timeouts(&reader.section("timeouts"), names),
        reload: reload(&reader.section("reload")),
    }
}

impl CallTimeouts {
    /// How long a call to a backend may go without a sign of life.
    pub(super) fn idle(&self, backend: &BackendId) -> Duration {
        self.single.get(backend).copied().unwrap_or(self.default)
    }
}

fn reload(reader: &Reader<'_>) -> Reload {
    Reload {
        watch_file: reader.flag("watchFile").unwrap_or(true),
        allow_commands: reader.flag("allowCommands").unwrap_or(false),
    }
}

fn timeouts(reader: &Reader<'_>, names: &Names) -> CallTimeouts {
    let (default, absolute) = (reader.time("default"), reader.time("absolute"));
    if default > absolute {
        // The complaint belongs to what the file says, not to a default.
        let at = if reader.has("absolute") { "absolute" } else { "default" };
        if let Some(value) = reader.value(at) {
            value.problem(format!(
                "a call as a whole (absolute: {}) may not be shorter than its time without a \
                 sign of life (default: {})",
                show_duration(absolute),
                show_duration(default)
            ));
        }
    }
    let most = reader.longest("perWorkload");
    let mut single = BTreeMap::new();
    for (name, value) in reader.pairs("perWorkload") {
        let id = names.of_key(name, &value);
        let Some(time) = value.time(most) else { continue };
        if time > absolute {
            value.problem(format!(
                "{} is longer than a call as a whole (absolute: {}); raise that as well",
                value.quoted(),
                show_duration(absolute)
            ));
        }
        single.extend(id.map(|id| (id, time)));
    }
    CallTimeouts { default, single, absolute }
}
