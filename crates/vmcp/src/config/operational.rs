//! Logging, the timeouts of calls, reloading, and what happens when backends fail: `operational`.

use std::{collections::BTreeMap, time::Duration};

use tracing::Level;
use vmcp_backend::{BreakerSettings, HealthSettings};
use vmcp_core::PartialFailure;
use vmcp_model::BackendId;

use super::{FailureHandling, Reload, backends::Names, reader::Reader, units::show_duration};

pub(super) struct Operational {
    pub(super) log_level: Option<Level>,
    pub(super) timeouts: CallTimeouts,
    pub(super) reload: Reload,
    pub(super) failures: FailureHandling,
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

/// What `fail` does, for whoever has not chosen it.
const FAIL: &str = "takes effect here: while a backend is out, everybody gets 503 for initialize and \
                    lists; ToolHive never reads it, and its operator writes it into every file; write \
                    best_effort to go on without that backend";

/// `is_of_group` says that the file names a group, as all of the reference system do.
pub(super) fn read(reader: &Reader<'_>, names: &Names, is_of_group: bool) -> Operational {
    let failures = failures(&reader.section("failureHandling"), is_of_group);
    Operational {
        log_level: reader.choice("logLevel", &LEVELS),
        timeouts: timeouts(&reader.section("timeouts"), names),
        reload: reload(&reader.section("reload")),
        failures,
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

fn failures(reader: &Reader<'_>, is_of_group: bool) -> FailureHandling {
    let check_interval = reader.time("healthCheckInterval");
    let modes = [PartialFailure::BestEffort, PartialFailure::Fail];
    let partial = reader.choice("partialFailureMode", &modes);
    if is_of_group
        && partial == Some(PartialFailure::Fail)
        && let Some(value) = reader.value("partialFailureMode")
    {
        value.warning(FAIL);
    }
    FailureHandling {
        health: HealthSettings {
            check_interval,
            check_timeout: check_timeout(reader, check_interval),
            unhealthy_threshold: small(reader.count("unhealthyThreshold")),
            breaker: breaker(&reader.section("circuitBreaker")),
        },
        reporting_interval: reader.time("statusReportingInterval"),
        partial: partial.unwrap_or(PartialFailure::BestEffort),
    }
}

/// Less than the interval.
fn check_timeout(reader: &Reader<'_>, interval: Duration) -> Duration {
    let Some(value) = reader.value("healthCheckTimeout") else {
        return Duration::from_secs(10).min(interval / 2);
    };
    let timeout = reader.time("healthCheckTimeout");
    if timeout >= interval {
        value.problem(format!(
            "{} is not less than healthCheckInterval ({})",
            value.quoted(),
            show_duration(interval)
        ));
    }
    timeout
}

fn breaker(reader: &Reader<'_>) -> Option<BreakerSettings> {
    const LEAST: Duration = Duration::from_secs(1);
    let enabled = reader.flag("enabled").unwrap_or(false);
    let settings = BreakerSettings {
        failure_threshold: small(reader.count("failureThreshold")),
        timeout: reader.time("timeout"),
    };
    if settings.timeout < LEAST
        && let Some(value) = reader.value("timeout")
    {
        value.problem(format!("{} is less than {}", value.quoted(), show_duration(LEAST)));
    }
    enabled.then_some(settings)
}

/// A number that its key keeps small.
fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn timeouts(reader: &Reader<'_>, names: &Names) -> CallTimeouts {
    let default = reader.time("default");
    let most = reader.longest("perWorkload");
    let mut single = BTreeMap::new();
    let mut longest = default;
    for (name, value) in reader.pairs("perWorkload") {
        let id = names.of_key(name, &value);
        let Some(time) = value.time(most) else { continue };
        longest = longest.max(time);
        single.extend(id.map(|id| (id, time)));
    }
    let absolute = reader.time("absolute");
    let Some(value) = reader.value("absolute") else {
        return CallTimeouts { default, single, absolute: absolute.max(longest) };
    };
    if longest > absolute {
        value.problem(format!(
            "a call as a whole (absolute: {}) may not be shorter than its time without a sign of \
             life (default and perWorkload: up to {})",
            show_duration(absolute),
            show_duration(longest)
        ));
    }
    CallTimeouts { default, single, absolute }
}
