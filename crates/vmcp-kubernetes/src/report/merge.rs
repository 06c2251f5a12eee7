//! Merges what this replica sees into the status that stands there: pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::SystemTime,
};

use serde_json::{Map, Value, json};

use super::{
    Report,
    conditions::{Conditions, NOBODY, REPLICAS, find},
    entry,
    lines::{Line, Lines},
    verdict::{Agreed, Phase, Verdict},
};

/// The status as it was read, as far as it matters here.
pub(super) struct Told<'a> {
    generation: Option<i64>,
    conditions: &'a [Value],
    /// The backends that stand there, by name.
    entries: BTreeMap<&'a str, &'a Map<String, Value>>,
    ready: Option<u64>,
    pub(super) lines: Lines,
}

/// What a replica has to say.
pub(super) struct Own<'a> {
    /// Its name.
    pub(super) replica: &'a str,
    /// What it sees; nothing more if it ends.
    pub(super) report: Option<&'a Report>,
    /// Whether it must show that it lives.
    pub(super) is_due: bool,
    /// Whether it waits for something else than when it wrote last.
    pub(super) is_anew: bool,
}

/// What counts no more of what stands there.
#[derive(Default)]
pub(super) struct Gone {
    /// The replicas that have ended without a word.
    pub(super) replicas: BTreeSet<String>,
    /// Backends that are gone, by the names of replicas that have not said so and may have ended.
    pub(super) backends: BTreeMap<String, BTreeSet<String>>,
}

/// What comes of it.
#[derive(Debug, PartialEq)]
pub(super) struct Merged {
    /// The members of the status that become others, to be written as a JSON merge patch. `None` if nothing that
    /// counts is another.
    pub(super) status: Option<Map<String, Value>>,
    /// Whether the lines of other replicas leave this one's no room, so that it has no say.
    pub(super) is_left_out: bool,
}

impl<'a> Told<'a> {
    /// Reads the status of an object that has a generation.
    pub(super) fn read(status: &'a Value, generation: Option<i64>) -> Self {
        let list = |key: &str| status[key].as_array().map(Vec::as_slice).unwrap_or_default();
        let conditions = list("conditions");
        let entry = |entry: &'a Value| {
            let entry = entry.as_object()?;
            let name = entry.get("name")?.as_str().filter(|name| !name.is_empty())?;
            Some((name, entry))
        };
        let entries: BTreeMap<_, _> = list("discoveredBackends").iter().filter_map(entry).collect();
        let message = find(conditions, REPLICAS).and_then(|kept| kept.get("message")?.as_str());
        let names = entries.keys().copied().collect();
        let lines = message.map(|message| Lines::read(message, &names)).unwrap_or_default();
        Self { generation, conditions, entries, ready: status["backendCount"].as_u64(), lines }
    }

    /// Whether these are the lines, but for how often each replica wrote.
    fn has(&self, lines: &Lines) -> bool {
        fn views<'l>((replica, line): (&'l String, &'l Line)) -> impl PartialEq + use<'l> {
            (replica, &line.views, line.is_waiting)
        }
        self.lines.0.iter().map(views).eq(lines.0.iter().map(views))
    }

    /// Whether it says already what the lines come to. Whoever wrote something else over it then knows better.
    fn says(&self, verdict: &Verdict<'_>) -> bool {
        let states = |(name, entry): (&&'a str, &&'a Map<String, Value>)| {
            (*name, entry.get("status").and_then(Value::as_str))
        };
        let agreed =
            verdict.backends.iter().map(|(name, agreed)| (*name, Some(agreed.state.name())));
        let kept = find(self.conditions, REPLICAS);
        let kept = |key: &str| kept.and_then(|kept| kept.get(key));
        let generation = kept("observedGeneration").and_then(Value::as_i64);
        self.entries.iter().map(states).eq(agreed)
            // The operator writes no 0.
            && self.ready.unwrap_or_default() == verdict.ready as u64
            && kept("reason").and_then(Value::as_str) == Some(verdict.phase().name())
            && (self.generation.is_none() || self.generation == generation)
    }
}

/// Merges what a replica has to say into what stands there, without what is gone.
pub(super) fn merge(told: &Told<'_>, own: &Own<'_>, gone: &Gone, now: SystemTime) -> Merged {
    let mut lines = told.lines.clone();
    lines.0.retain(|replica, _| !gone.replicas.contains(replica));
    for (replica, backends) in &gone.backends {
        if let Some(line) = lines.0.get_mut(replica) {
            line.views.retain(|backend, _| !backends.contains(backend));
        }
    }
    let before = lines.0.remove(own.replica);
    if let Some(report) = own.report {
        let count = before.as_ref().map_or(1, |line| line.count.wrapping_add(1));
        lines.0.insert(own.replica.to_owned(), Line::of(report, count));
    }
    let message = lines.fit();
    let is_in = lines.0.contains_key(own.replica);
    let is_left_out = own.report.is_some() && !is_in;
    let now = entry::time(now);
    let mut conditions =
        Conditions { list: told.conditions.to_vec(), generation: told.generation, now: &now };
    if lines.0.is_empty() {
        let had_lines = !told.lines.0.is_empty();
        return Merged { status: had_lines.then(|| nobody(told, conditions)), is_left_out };
    }
    let waits_for = own.report.and_then(|report| report.waiting.as_deref());
    let verdict = Verdict::of(&lines, waits_for);
    let report = own.report.filter(|_| is_in);
    let entries = entries(told, own.replica, report, &verdict);
    let says_it = !own.is_anew && told.says(&verdict) && (before.is_some() || !is_in);
    let is_same = |(before, after): (&&Map<String, Value>, &Map<String, Value>)| {
        entry::is_same(before, after)
    };
    let has_entries =
        told.entries.len() == entries.len() && told.entries.values().zip(&entries).all(is_same);
    if says_it && has_entries && told.has(&lines) && !(own.is_due && is_in) {
        return Merged { status: None, is_left_out };
    }
    let mut status = Map::new();
    conditions.keep_lines(&message, verdict.phase());
    if !says_it {
        conditions.say(&verdict);
        status.insert("phase".to_owned(), verdict.phase().name().into());
        status.insert("message".to_owned(), verdict.message().into());
        status.insert("backendCount".to_owned(), verdict.ready.into());
        if let Some(generation) = told.generation {
            status.insert("observedGeneration".to_owned(), generation.into());
        }
    }
    status.insert("conditions".to_owned(), conditions.list.into());
    status.insert("discoveredBackends".to_owned(), json!(entries));
    Merged { status: Some(status), is_left_out }
}

/// What stands there when nobody has a say any more, until somebody comes.
fn nobody(told: &Told<'_>, mut conditions: Conditions<'_>) -> Map<String, Value> {
    conditions.say_nobody_runs();
    let unknown = told.entries.values().map(|entry| entry::unknown(entry)).collect::<Vec<_>>();
    let members = [
        ("phase", Phase::Pending.name().into()),
        ("message", NOBODY.into()),
        ("backendCount", 0.into()),
        ("discoveredBackends", json!(unknown)),
        ("conditions", conditions.list.into()),
    ];
    members.map(|(key, value)| (key.to_owned(), value)).into_iter().collect()
}

/// The backends as they are to stand there, by name.
fn entries(
    told: &Told<'_>,
    replica: &str,
    report: Option<&Report>,
    verdict: &Verdict<'_>,
) -> Vec<Map<String, Value>> {
    let reported = report.into_iter().flat_map(|report| &report.backends);
    let own: BTreeMap<_, _> = reported.map(|backend| (backend.name.as_str(), backend)).collect();
    let entry = |(name, agreed): (&&str, &Agreed<'_>)| {
        let before = told.entries.get(*name).copied();
        let own = own.get(*name).copied();
        entry::written(before, name, agreed, own, agreed.speaker == replica)
    };
    verdict.backends.iter().map(entry).collect()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(super) mod tests;
