//! What requests are told apart by.

use std::time::Duration;

use vmcp_model::{
    Kind, Method, ProtocolVersion,
    trail::{End, Trail, Via, Why},
};

/// All that a request is told apart by. What has no name is empty.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) facts: Facts,
    pub(super) backend: Box<str>,
    /// The tool or prompt, as clients know it.
    pub(super) name: Box<str>,
}

/// A key that is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sought<'a> {
    pub(super) facts: Facts,
    /// The same in one word.
    pub(super) word: u64,
    pub(super) backend: &'a str,
    pub(super) name: &'a str,
}

/// The part of a key that has a fixed number of values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) via: Via,
    pub(super) method: Option<Method>,
    /// `None` where nobody knew it, or several series have been folded into one.
    pub(super) version: Option<ProtocolVersion>,
    /// 0 if there was none, or where series are folded.
    pub(super) status: u16,
    pub(super) outcome: Outcome,
    pub(super) named: Named,
}

/// What the name in a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Named {
    Nothing,
    Tool,
    Prompt,
}

/// How a request has ended, as far as series tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Answered,
    /// Nobody waited for its end.
    Abandoned,
    ToolError,
    /// With an error of its backend, which has this place in [`CODES`].
    Error(u8),
    Failed(Why),
}

/// The codes of errors that are told apart. Backends may use any; all others are the last.
const CODES: [(i64, &str); 15] = [
    (-32700, "-32700"),
    (-32600, "-32600"),
    (-32601, "-32601"),
    (-32602, "-32602"),
    (-32603, "-32603"),
    (-32000, "-32000"),
    (-32001, "-32001"),
    (-32002, "-32002"),
    (-32003, "-32003"),
    (-32004, "-32004"),
    (-32020, "-32020"),
    (-32021, "-32021"),
    (-32022, "-32022"),
    (-32042, "-32042"),
    (0, "_OTHER"),
];

/// What stands for the names and backends of series that are folded.
const OTHER: &str = "other";

impl Key {
    pub(super) fn is(&self, sought: &Sought<'_>, word: u64) -> bool {
        word == sought.word && *self.backend == *sought.backend && *self.name == *sought.name
    }

    pub(super) fn sought(&self) -> Sought<'_> {
        Sought::new(self.facts, &self.backend, &self.name)
    }

    /// What it is folded into first: its backend is still told.
    pub(super) fn without_name(&self) -> Self {
        let name = if self.facts.named == Named::Nothing { "" } else { OTHER };
        let facts = Facts { version: None, status: 0, ..self.facts };
        Self { facts, backend: self.backend.clone(), name: name.into() }
    }

    /// What it is folded into last.
    pub(super) fn without_backend(&self) -> Self {
        Self { backend: OTHER.into(), ..self.without_name() }
    }
}

impl From<&Sought<'_>> for Key {
    fn from(sought: &Sought<'_>) -> Self {
        Self { facts: sought.facts, backend: sought.backend.into(), name: sought.name.into() }
    }
}

impl<'a> Sought<'a> {
    pub(super) fn new(facts: Facts, backend: &'a str, name: &'a str) -> Self {
        Self { facts, word: facts.word(), backend, name }
    }

    pub(super) fn is(&self, other: &Sought<'_>) -> bool {
        self.word == other.word && *self.backend == *other.backend && *self.name == *other.name
    }

    /// What a trail is told apart by. The name is as it stands there.
    pub(super) fn of(trail: &'a Trail) -> Self {
        let asked = trail.asked();
        let target = trail.target();
        let backend = target.and_then(|target| target.backend.as_ref());
        let capability = target.and_then(|target| target.capability.as_ref());
        let (named, name) = match capability {
            Some((Kind::Tool, name)) => (Named::Tool, &**name),
            Some((Kind::Prompt, name)) => (Named::Prompt, &**name),
            // There is no end of URIs.
            Some((Kind::Resource | Kind::ResourceTemplate, _)) | None => (Named::Nothing, ""),
        };
        let facts = Facts {
            via: asked.via,
            method: asked.method,
            version: trail.version(),
            status: trail.status().map_or(0, known_status),
            outcome: Outcome::of(trail),
            named,
        };
        let backend = backend.map_or("", |backend| backend.as_str());
        Self::new(facts, backend, name)
    }

    /// The same with another name.
    pub(super) fn with_name<'b>(&self, name: &'b str) -> Sought<'b>
    where
        'a: 'b,
    {
        Sought { name, ..*self }
    }
}

impl Facts {
    /// All of it in one word, which is another for each value.
    pub(super) fn word(&self) -> u64 {
        let via = match self.via {
            Via::Post => 0,
            Via::Get => 1,
            Via::Delete => 2,
        };
        let version = self.version.map_or(0, |version| version as u8 + 1);
        let method = self.method.map_or(0, |method| method as u8 + 1);
        let outcome = self.outcome.number();
        let [low, high] = self.status.to_le_bytes();
        u64::from_le_bytes([via, version, method, outcome, low, high, self.named as u8, 0])
    }
}

impl Outcome {
    fn of(trail: &Trail) -> Self {
        match trail.end() {
            Some(End::Answered) => Self::Answered,
            Some(End::ToolError) => Self::ToolError,
            Some(End::Error { code, .. }) => {
                let others = CODES.len() - 1;
                let place = CODES[..others].iter().position(|(known, _)| known == code);
                Self::Error(u8::try_from(place.unwrap_or(others)).unwrap_or_default())
            }
            Some(End::Failed { why, .. }) => Self::Failed(*why),
            None => Self::by_status(trail),
        }
    }

    /// How something has ended of which nobody has said so: what has no answer, was refused before it was read, or
    /// was abandoned.
    fn by_status(trail: &Trail) -> Self {
        let asked = trail.asked();
        let has_answer = asked.via == Via::Post
            && asked.method.is_some_and(|method| !method.name().starts_with("notifications/"));
        match trail.status() {
            None => Self::Abandoned,
            Some(202 | 204) => Self::Answered,
            Some(..400) if has_answer => Self::Abandoned,
            Some(..400) => Self::Answered,
            Some(401) => Self::Failed(Why::Unauthenticated),
            Some(403) => Self::Failed(Why::Denied),
            Some(408 | 504) => Self::Failed(Why::Timeout),
            Some(413 | 429 | 431) => Self::Failed(Why::OverBound),
            Some(..500) => Self::Failed(Why::Invalid),
            Some(502) => Self::Failed(Why::Backend),
            Some(503) => Self::Failed(Why::Unavailable),
            Some(_) => Self::Failed(Why::Internal),
        }
    }

    /// As `error.type` has it. `None` if nothing went wrong.
    pub(super) fn error(self) -> Option<&'static str> {
        match self {
            Self::Answered => None,
            Self::Abandoned => Some("abandoned"),
            Self::ToolError => Some("tool_error"),
            Self::Error(place) => Some(CODES[usize::from(place)].1),
            Self::Failed(why) => Some(why.name()),
        }
    }

    /// Another for each.
    fn number(self) -> u8 {
        match self {
            Self::Answered => 0,
            Self::Abandoned => 1,
            Self::ToolError => 2,
            Self::Error(place) => 64 + place,
            Self::Failed(why) => 128 + why as u8,
        }
    }
}

/// The statuses that are told apart. Others count as the first of their hundred.
fn known_status(status: u16) -> u16 {
    match status {
        200 | 202 | 204 | 400 | 401 | 403..=406 | 408 | 413 | 415 | 429 | 500 | 502..=504 => status,
        _ => (status / 100).clamp(1, 5) * 100,
    }
}

/// How long a request was at its backend: until that began to answer, or until the end if it did not.
pub(super) fn at_backend(trail: &Trail, took: Duration) -> Option<Duration> {
    let (sent, answered) = trail.at_backend();
    let sent = sent?;
    // An answer that came before it was sent again is not the answer.
    let answered = answered.filter(|answered| *answered >= sent);
    let end = answered.unwrap_or_else(|| trail.began().saturating_add(took));
    Some(end.saturating_sub(sent))
}
