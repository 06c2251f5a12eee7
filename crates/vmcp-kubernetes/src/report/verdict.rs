//! What the lines of all replicas come to: pure, and the same for every replica that has the same lines.

use std::collections::BTreeMap;

use super::{
    BackendHealth,
    lines::{Lines, View},
};

/// What the replicas together say of a backend.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Agreed<'a> {
    pub(super) state: BackendHealth,
    /// Whether the breaker keeps calls away somewhere.
    pub(super) is_tripped: bool,
    /// Says where they differ, if they do.
    pub(super) difference: Option<String>,
    /// The replica that describes it: the first by name that has a say.
    pub(super) speaker: &'a str,
}

/// What the replicas say of all backends, and of the virtual server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict<'a> {
    /// By name.
    pub(super) backends: BTreeMap<&'a str, Agreed<'a>>,
    pub(super) ready: usize,
    pub(super) degraded: usize,
    /// Neither ready nor degraded, and asked.
    pub(super) unavailable: usize,
    /// Not asked yet.
    pub(super) unknown: usize,
    /// Why nobody knows a backend, if there may be some.
    waiting: Option<&'a str>,
}

/// The same where this replica cannot say it.
const WAITING: &str = "the backends are not known yet";

/// How a virtual server is, as the status has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Pending,
    Ready,
    Degraded,
    Failed,
}

impl<'a> Verdict<'a> {
    /// With what this replica waits for, if it does.
    pub(super) fn of(lines: &'a Lines, waits_for: Option<&'a str>) -> Self {
        let mut views: BTreeMap<&str, Vec<(&str, View)>> = BTreeMap::new();
        for (replica, line) in &lines.0 {
            for (name, view) in &line.views {
                views.entry(name).or_default().push((replica, *view));
            }
        }
        let agreed = |(name, views): (&'a str, Vec<(&'a str, View)>)| {
            Agreed::of(&views).map(|agreed| (name, agreed))
        };
        let backends: BTreeMap<_, _> = views.into_iter().filter_map(agreed).collect();
        // One that knows there are none is right.
        let all_wait = backends.is_empty() && lines.0.values().all(|line| line.is_waiting);
        let waiting = all_wait.then_some(waits_for.unwrap_or(WAITING));
        let mut verdict =
            Self { backends, ready: 0, degraded: 0, unavailable: 0, unknown: 0, waiting };
        for agreed in verdict.backends.values() {
            match agreed.state {
                BackendHealth::Ready => verdict.ready += 1,
                BackendHealth::Degraded => verdict.degraded += 1,
                BackendHealth::Unavailable | BackendHealth::Unauthenticated => {
                    verdict.unavailable += 1;
                }
                BackendHealth::Unknown => verdict.unknown += 1,
            }
        }
        verdict
    }

    /// A backend that has not been asked yet makes nothing worse: else each that is added would. A server that
    /// needs none is ready without.
    pub(super) fn phase(&self) -> Phase {
        let usable = self.ready + self.degraded;
        if self.waiting.is_some() || (usable == 0 && self.unknown > 0) {
            Phase::Pending
        } else if usable == 0 && self.unavailable > 0 {
            Phase::Failed
        } else if self.degraded + self.unavailable > 0 {
            Phase::Degraded
        } else {
            Phase::Ready
        }
    }

    /// Says it to people.
    pub(super) fn message(&self) -> String {
        if let Some(waiting) = self.waiting {
            return waiting.to_owned();
        }
        let total = self.backends.len();
        let mut message = match total {
            0 => return "no backends".to_owned(),
            1 => format!("{} of 1 backend ready", self.ready),
            _ => format!("{} of {total} backends ready", self.ready),
        };
        let others = [
            (self.degraded, "degraded"),
            (self.unavailable, "unavailable"),
            (self.unknown, "not checked yet"),
        ];
        for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
            message.push_str(&format!(", {count} {what}"));
        }
        message
    }
}

impl<'a> Agreed<'a> {
    /// `None` if nobody knows the backend.
    fn of(views: &[(&'a str, View)]) -> Option<Self> {
        let mut opinions: Vec<_> =
            views.iter().filter(|(_, view)| view.state != BackendHealth::Unknown).collect();
        if opinions.is_empty() {
            opinions = views.iter().collect();
        }
        let (speaker, first) = **opinions.first()?;
        let total = opinions.len();
        let count = |is: fn(BackendHealth) -> bool| {
            opinions.iter().filter(|(_, view)| is(view.state)).count()
        };
        let (state, difference) = if opinions.iter().all(|(_, view)| view.state == first.state) {
            (first.state, None)
        } else if count(BackendHealth::is_usable) == 0 {
            let refused = count(|state| state == BackendHealth::Unauthenticated);
            let difference = format!("unauthenticated on {refused} of {total} replicas");
            (BackendHealth::Unavailable, Some(difference))
        } else {
            let ready = count(|state| state == BackendHealth::Ready);
            let difference = format!("ready on {ready} of {total} replicas");
            (BackendHealth::Degraded, Some(difference))
        };
        let is_tripped = views.iter().any(|(_, view)| view.is_tripped);
        Some(Self { state, is_tripped, difference, speaker })
    }
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Ready => "Ready",
            Self::Degraded => "Degraded",
            Self::Failed => "Failed",
        }
    }

    /// Why the server is ready or not, as the condition says it.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Pending => "BackendsPending",
            Self::Ready => "AllBackendsRoutable",
            Self::Degraded => "SomeBackendsUnhealthy",
            Self::Failed => "NoRoutableBackends",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of replicas, each of which says a letter of each backend.
    fn check(replicas: &[&str], phase: Phase, message: &str, backends: &[(&str, Option<&str>)]) {
        let total = replicas[0].len();
        let names: Vec<String> = (0..total).map(|index| format!("b{index}")).collect();
        let digest = super::super::lines::digest(names.iter().map(String::as_str));
        let mut text = format!("backends {digest:016x}");
        for (index, letters) in replicas.iter().enumerate() {
            text.push_str(&format!("; hub-{index} 1 {letters}"));
        }
        let lines = Lines::read(&text, &names.iter().map(String::as_str).collect());
        let verdict = Verdict::of(&lines, None);
        assert_eq!((verdict.phase(), verdict.message().as_str()), (phase, message));
        let agreed = verdict.backends.values();
        let agreed = agreed.map(|agreed| (agreed.state.name(), agreed.difference.as_deref()));
        assert_eq!(agreed.collect::<Vec<_>>(), backends);
    }

    #[test]
    fn one_replica_is_believed() {
        let (ready, down) = (("ready", None), ("unavailable", None));
        check(&["rr"], Phase::Ready, "2 of 2 backends ready", &[ready, ready]);
        let message = "1 of 2 backends ready, 1 unavailable";
        check(&["ru"], Phase::Degraded, message, &[ready, down]);
        check(&["u"], Phase::Failed, "0 of 1 backend ready, 1 unavailable", &[down]);
        check(&[""], Phase::Ready, "no backends", &[]);
    }

    #[test]
    fn what_has_not_been_asked_yet_is_not_down() {
        let (ready, unknown) = (("ready", None), ("unknown", None));
        let message = "0 of 2 backends ready, 2 not checked yet";
        check(&["nn"], Phase::Pending, message, &[unknown, unknown]);
        let message = "0 of 2 backends ready, 1 unavailable, 1 not checked yet";
        check(&["un"], Phase::Pending, message, &[("unavailable", None), unknown]);
        let message = "1 of 2 backends ready, 1 not checked yet";
        check(&["rn"], Phase::Ready, message, &[ready, unknown]);
        check(&["rr", "rn", "nn"], Phase::Ready, "2 of 2 backends ready", &[ready, ready]);
    }

    #[test]
    fn while_nobody_knows_a_backend_the_server_is_not_ready() {
        let of = |text: &str, waits_for| {
            let heading = super::super::lines::digest(std::iter::empty());
            let lines = Lines::read(&format!("backends {heading:016x}; {text}"), &[].into());
            let verdict = Verdict::of(&lines, waits_for);
            (verdict.phase(), verdict.message())
        };
        let group = "the MCPGroup tools does not exist";
        assert_eq!(of("a 1  ?; b 1  ?", Some(group)), (Phase::Pending, group.to_owned()));
        assert_eq!(of("a 1  ?", None), (Phase::Pending, WAITING.to_owned()));
        assert_eq!(of("a 1  ?; b 1 ", Some(group)), (Phase::Ready, "no backends".to_owned()));
    }

    #[test]
    fn replicas_that_differ_make_a_backend_degraded() {
        let on_one = ("degraded", Some("ready on 1 of 2 replicas"));
        let message = "0 of 1 backend ready, 1 degraded";
        check(&["r", "u"], Phase::Degraded, message, &[on_one]);
        check(&["a", "r"], Phase::Degraded, message, &[on_one]);
        check(&["d", "r"], Phase::Degraded, message, &[on_one]);
        check(&["r", "u", "-", "n"], Phase::Degraded, message, &[on_one]);
        check(&["d", "d"], Phase::Degraded, message, &[("degraded", None)]);
    }

    #[test]
    fn a_backend_that_no_replica_can_call_is_unavailable_whatever_the_reasons() {
        let down = ("unavailable", Some("unauthenticated on 1 of 3 replicas"));
        let message = "0 of 1 backend ready, 1 unavailable";
        check(&["u", "a", "u"], Phase::Failed, message, &[down]);
        check(&["a", "a"], Phase::Failed, message, &[("unauthenticated", None)]);
    }
}
