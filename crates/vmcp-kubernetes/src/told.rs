//! What is told of trouble with the API server: once for the server and not for each kind of objects, not at all where it
//! has passed in a moment, and that it is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{
        Notify,
        watch::{Receiver, Sender},
    },
    time::{Instant, sleep},
};

use crate::{
    cluster::Cluster,
    kind::{Kind, SERVED},
    seen::Seen,
    trouble::Trouble,
};

/// How long trouble is gathered that comes at once.
const GATHER: Duration = Duration::from_millis(200);

/// How long it must last where a server that starts says the same for a moment.
const LASTING: Duration = Duration::from_secs(10);

/// What the watches have met, and what has been told of it.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    told: Mutex<Told>,
    changed: Notify,
    /// What the account may not, in words.
    hindrance: Sender<Option<String>>,
}

/// The state of that: pure.
#[derive(Debug, Default)]
struct Told {
    met: BTreeMap<Kind, Met>,
    /// The trouble with the server as a whole, and when it was told.
    server: Option<(Class, String, Instant)>,
    /// Those of which it was told.
    forbidden: BTreeSet<Kind>,
    absent: BTreeSet<Kind>,
}

/// How it goes with a kind.
#[derive(Debug)]
struct Met {
    trouble: Option<(Class, String)>,
    /// Since when it is of that class.
    since: Instant,
    /// Nothing else was met before.
    is_first: bool,
}

/// What trouble means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Away,
    Unproven,
    Forbidden,
    Absent,
}

/// Something to tell.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Away(String),
    Unproven(String),
    Answers,
    Forbidden(Vec<Kind>, String),
    Permitted(Vec<Kind>),
    Absent(Vec<Kind>),
    Present(Vec<Kind>),
}

impl Telling {
    /// Notes how it goes with a kind now.
    pub(crate) fn note(&self, kind: Kind, trouble: Option<&Trouble>) {
        let trouble = match trouble {
            None => None,
            // All are listed again.
            Some(Trouble::Over) => return,
            Some(Trouble::Unknown) => Some((Class::Absent, String::new())),
            Some(Trouble::Unproven(why)) => Some((Class::Unproven, why.clone())),
            Some(Trouble::Forbidden(why)) => Some((Class::Forbidden, why.clone())),
            Some(Trouble::Refused(why) | Trouble::Away(why)) => Some((Class::Away, why.clone())),
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.note(kind, trouble, Instant::now()) {
            self.changed.notify_one();
        }
    }

    /// What the account may not, in words.
    pub(crate) fn hindrance(&self) -> Receiver<Option<String>> {
        self.hindrance.subscribe()
    }

    /// Tells for ever what is worth it.
    pub(crate) async fn run(&self, cluster: &Cluster, seen: &Seen) {
        loop {
            let (lines, hindrance) = {
                let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
                (told.lines(Instant::now()), told.hindrance())
            };
            self.hindrance.send_if_modified(|before| {
                std::mem::replace(before, hindrance.clone()) != hindrance
            });
            let is_known = seen.missing().is_empty();
            lines.iter().for_each(|line| line.tell(cluster, is_known));
            tokio::select! {
                () = self.changed.notified() => sleep(GATHER).await,
                () = sleep(LASTING / 2) , if self.has_trouble() => {}
            }
        }
    }

    fn has_trouble(&self) -> bool {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.met.values().any(|met| met.trouble.is_some())
    }
}

impl Told {
    /// Returns whether it is something else than before.
    fn note(&mut self, kind: Kind, trouble: Option<(Class, String)>, now: Instant) -> bool {
        let before = self.met.get(&kind);
        if before.is_some_and(|before| before.trouble == trouble) {
            return false;
        }
        let class = |trouble: &Option<(Class, String)>| trouble.as_ref().map(|(class, _)| *class);
        let same = before.filter(|before| class(&before.trouble) == class(&trouble));
        let (since, is_first) =
            same.map_or((now, before.is_none()), |before| (before.since, before.is_first));
        self.met.insert(kind, Met { trouble, since, is_first });
        true
    }

    /// What is to be told now.
    fn lines(&mut self, now: Instant) -> Vec<Line> {
        let mut lines = Vec::new();
        self.of_server(now, &mut lines);
        let (due, why) = self.due(Class::Forbidden, now);
        let new = |due: &BTreeSet<Kind>, told: &BTreeSet<Kind>| -> Vec<Kind> {
            due.difference(told).copied().collect()
        };
        let forbidden = new(&due, &self.forbidden);
        if !forbidden.is_empty() {
            self.forbidden.extend(due);
            lines.push(Line::Forbidden(forbidden, why));
        }
        let (due, _) = self.due(Class::Absent, now);
        let absent = new(&due, &self.absent);
        if !absent.is_empty() {
            self.absent.extend(due);
            lines.push(Line::Absent(absent));
        }
        let are_well = |kind: &Kind| self.met.get(kind).is_some_and(|met| met.trouble.is_none());
        let permitted: Vec<_> = self.forbidden.iter().copied().filter(are_well).collect();
        let present: Vec<_> = self.absent.iter().copied().filter(are_well).collect();
        self.forbidden.retain(|kind| !permitted.contains(kind));
        self.absent.retain(|kind| !present.contains(kind));
        lines.extend((!permitted.is_empty()).then_some(Line::Permitted(permitted)));
        lines.extend((!present.is_empty()).then_some(Line::Present(present)));
        lines
    }

    /// What is to be told of the server as a whole.
    fn of_server(&mut self, now: Instant, lines: &mut Vec<Line>) {
        let of = |class: Class| {
            let met = self.met.values();
            let mut met = met.filter(move |met| met.is(class));
            met.find_map(|met| met.trouble.clone())
        };
        let unproven = self.due(Class::Unproven, now);
        let unproven = (!unproven.0.is_empty()).then_some((Class::Unproven, unproven.1));
        let Some((class, why)) = unproven.or_else(|| of(Class::Away)) else {
            // What a server that starts says for a moment is no answer.
            let is_passing = |met: &Met| {
                met.trouble.is_some() && !met.is_first && now.duration_since(met.since) < LASTING
            };
            let is_over = !self.met.values().any(is_passing);
            if is_over && self.server.take().is_some() {
                lines.push(Line::Answers);
            }
            return;
        };
        let is_told = self.server.as_ref().is_some_and(|(told, before, at)| {
            *told == class && (*before == why || now.duration_since(*at) < LASTING)
        });
        if !is_told {
            lines.push(match class {
                Class::Unproven => Line::Unproven(why.clone()),
                Class::Away | Class::Forbidden | Class::Absent => Line::Away(why.clone()),
            });
            self.server = Some((class, why, now));
        }
    }

    /// What the account may not, as far as it was told.
    fn hindrance(&self) -> Option<String> {
        let kinds: Vec<_> = self.forbidden.iter().copied().collect();
        let plurals = || plurals(&kinds);
        (!kinds.is_empty()).then(|| format!("the service account may not watch {}", plurals()))
    }

    /// The kinds with trouble of a class that has lasted, or was there from the beginning; and why.
    fn due(&self, class: Class, now: Instant) -> (BTreeSet<Kind>, String) {
        let is_due =
            |met: &Met| met.is(class) && (met.is_first || now.duration_since(met.since) >= LASTING);
        let due: BTreeMap<_, _> = self.met.iter().filter(|(_, met)| is_due(met)).collect();
        let why = due.values().find_map(|met| met.trouble.as_ref()).map(|(_, why)| why.clone());
        (due.into_keys().copied().collect(), why.unwrap_or_default())
    }
}

impl Met {
    fn is(&self, class: Class) -> bool {
        self.trouble.as_ref().is_some_and(|(met, _)| *met == class)
    }
}

impl Line {
    fn tell(&self, cluster: &Cluster, is_known: bool) {
        let (address, namespace) = (cluster.address(), cluster.namespace());
        let names =
            |kinds: &[Kind]| kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ");
        let holds = if is_known { "what was seen last holds" } else { "nothing is known yet" };
        match self {
            Self::Away(error) => tracing::warn!(
                address,
                error,
                "the API server cannot be asked; {holds}, and it is asked again"
            ),
            Self::Unproven(error) => tracing::error!(
                address,
                error,
                "the API server does not know who asks; {holds}. See whether {} is good, and its account still exists",
                cluster.credential()
            ),
            Self::Answers => tracing::info!(address, "the API server answers again"),
            Self::Forbidden(kinds, error) => tracing::error!(
                error,
                "the service account may not watch what backends there are; grant it get, list and watch on {} in the \
                 namespace {namespace}",
                plurals(kinds)
            ),
            Self::Permitted(kinds) => tracing::info!(
                "the service account may watch {} in the namespace {namespace} now",
                plurals(kinds)
            ),
            Self::Absent(kinds) => tracing::warn!(
                kind = names(kinds),
                "the cluster has no such kind in {SERVED}, and no backends of it; install ToolHive's CRDs, in a version \
                 that serves {SERVED}, if there are to be some"
            ),
            Self::Present(kinds) => {
                tracing::info!(kind = names(kinds), "the cluster has this kind in {SERVED} now");
            }
        }
    }
}

fn plurals(kinds: &[Kind]) -> String {
    kinds.iter().map(|kind| kind.plural()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
