//! A request and its answer where a client or a backend speaks the modern era: what each is told that
//! the other has not said, or in other words.

use bytes::Bytes;
use vmcp_backend::{Backend, CLIENT_INFO, Error, Session};
use vmcp_model::{
    Era, LogLevel, Method, Mirror, Topic, legacy,
    raw::{self, Edit, Members},
};
use vmcp_wire::{
    Fault, Introduction, Lines, Message, Outcome, OutcomeKind, TRACE_PARENT, lines, task, traced,
};

use crate::{
    caller::{Caller, ClientCapabilities},
    resolve::{Routed, Then},
    state::{Purpose, States},
    tasks::joined,
};

/// From there on a legacy client is told, unless it has said from where.
const LEVEL: LogLevel = LogLevel::Info;

/// A request as a backend gets it.
pub(crate) struct Written {
    pub(crate) text: Bytes,
    pub(crate) lines: Option<Lines>,
}

/// What is to be done with the answer to a request.
#[derive(Debug)]
pub(crate) enum Finish {
    /// Both speak the legacy era.
    Same(Then),
    /// So do they, but the backend knows the request by another name.
    Renamed(Box<Renamed>),
    Across(Box<Across>),
}

/// A legacy client's request, by its backend's name for it.
#[derive(Debug)]
pub(crate) struct Renamed {
    then: Then,
    message: Message,
    alias: Bytes,
}

/// The same where one of the two speaks the modern era.
#[derive(Debug)]
pub(crate) struct Across {
    client: Era,
    backend: Era,
    capabilities: ClientCapabilities,
    states: States,
    server_info: Bytes,
    /// Of a tool: its output stands in an object, in which its backend does not give it.
    is_wrapped: bool,
    /// The client's own request and who sent it, in case that a state is to be kept for it.
    message: Message,
    principal: vmcp_model::Principal,
    /// What the backend knows the request by, if not by the client's id.
    alias: Option<Bytes>,
}

/// An answer as the client gets it.
#[derive(Debug)]
pub(crate) enum Finished {
    Ready(Bytes),
    /// An error of this code.
    Refused(Bytes, i64),
}

impl Routed<'_> {
    /// The request as the backend of this session gets it. It says where it stands in a trace: in its headers, and in
    /// its `_meta` where it has none, its client has said so there, or it is recorded.
    pub(crate) fn written(&self, caller: &Caller<'_>, session: &Session) -> Result<Written, Fault> {
        let mut written = self.translated(caller, session)?;
        let trace = self.trail.and_then(|trail| trail.asked().trace.as_ref());
        if let Some(trace) = trace {
            let takes_headers = self.backend.takes_headers();
            if takes_headers {
                written.lines.get_or_insert_default().trace(trace);
            }
            if !takes_headers || trace.sampled || self.message.meta_string(TRACE_PARENT).is_some() {
                written.text = traced(&written.text, trace);
            }
        }
        Ok(written)
    }

    /// The same, as the era of the backend has it.
    #[inline]
    fn translated(&self, caller: &Caller<'_>, session: &Session) -> Result<Written, Fault> {
        let text = match (caller.era, session.is_stateless()) {
            (Era::Legacy, false) => {
                let text = match caller.alias(session) {
                    None => self.text(),
                    Some(alias) => self.renamed_text(&alias.name),
                };
                return Ok(Written { text, lines: None });
            }
            (Era::Modern, false) => {
                if self.message.topic() == Topic::Tasks {
                    return Err(self.not_there());
                }
                let edits = self.edits.clone();
                let text = match caller.sessions.alias() {
                    Some(alias) => self.message.bridged(edits, &alias.name),
                    None => self.message.unreserved(edits),
                };
                return Ok(Written { text, lines: None });
            }
            (Era::Modern, true) => self.message.relayed(self.edits.clone(), CLIENT_INFO),
            (Era::Legacy, true) => self.introduced(caller, session)?,
        };
        Ok(Written { text, lines: Some(self.lines(caller)) })
    }

    /// A request between two of the legacy era under another name. The progress token of a task stays: it is
    /// good beyond this request.
    fn renamed_text(&self, alias: &Bytes) -> Bytes {
        let params = self.message.params();
        let token = params.meta.progress_token.clone().filter(|_| params.task.is_none());
        let id = self.message.id().map(|id| raw::span_in(self.message.text(), id.text()));
        let mut edits = self.edits.clone();
        edits.extend(id.into_iter().chain(token).map(|span| Edit { span, with: alias.clone() }));
        raw::splice(self.message.text(), edits)
    }

    /// A legacy client's request to a modern backend.
    fn introduced(&self, caller: &Caller<'_>, session: &Session) -> Result<Bytes, Fault> {
        let is_known = matches!(
            self.message.method(),
            Some(
                Method::ToolsCall
                    | Method::PromptsGet
                    | Method::ResourcesRead
                    | Method::CompletionComplete
            )
        );
        if !is_known {
            return Err(self.not_there());
        }
        if self.message.params().task.is_some() {
            let why = "the tool's backend speaks the modern era, in which a client cannot ask for a task; call it without \"task\"";
            return Err(Fault::InvalidParams(why.into()));
        }
        let introduction = Introduction {
            log_level: Some(caller.log_level.unwrap_or(LEVEL)),
            ..session.introduction()
        };
        Ok(self.message.introduced(self.edits.clone(), &introduction))
    }

    fn not_there(&self) -> Fault {
        let (method, backend) = (self.message.method_name(), self.backend.id());
        Fault::MethodNotFound(format!(
            "{method} (backend {backend} speaks another era, to which it is not carried yet)"
        ))
    }

    /// What a modern backend is told in headers.
    fn lines(&self, caller: &Caller<'_>) -> Lines {
        let mut told = Lines::new(&self.message.method_name(), self.target.as_deref());
        // Those that are not known here may be known behind the backend.
        for (name, value) in caller.parameters {
            told.add_parameter(name.clone(), value.clone());
        }
        self.mirror(self.mirrors, &mut told);
        told
    }

    /// Writes parameters into headers.
    pub(crate) fn mirror(&self, mirrors: &[Mirror], told: &mut Lines) {
        let Some(arguments) = self.arguments() else { return };
        for (mirror, value) in mirrors.iter().zip(Mirror::values(mirrors, &arguments)) {
            let Some(name) = lines::parameter(&mirror.name) else { continue };
            match value {
                Some(value) => told.set_parameter(name, lines::encode(&value)),
                None => told.remove_parameter(&name),
            }
        }
    }

    /// Refuses a modern client's request whose headers do not say what its arguments say.
    pub(crate) fn check_mirrors(&self, caller: &Caller<'_>) -> Result<(), Fault> {
        if self.mirrors.is_empty() {
            return Ok(());
        }
        let arguments = self.arguments().unwrap_or_default();
        let values = Mirror::values(self.mirrors, &arguments);
        for (mirror, value) in self.mirrors.iter().zip(values) {
            let Some(name) = lines::parameter(&mirror.name) else { continue };
            let mut said = caller.parameters.iter().filter(|(other, _)| *other == name);
            let (first, second) = (said.next(), said.next());
            let differs = |what: &str| {
                let name = &mirror.name;
                Err(Fault::HeaderMismatch(format!("the header Mcp-Param-{name} {what}").into()))
            };
            match (value, first) {
                _ if second.is_some() => return differs("must not stand there twice"),
                (None, None) => {}
                (Some(_), None) => {
                    return differs("is missing; the tool's inputSchema asks for it");
                }
                (None, Some(_)) => return differs("stands for a parameter that is not given"),
                (Some(value), Some((_, said))) => match lines::decode(said) {
                    None => {
                        return differs("has characters that must be written as =?base64?...?=");
                    }
                    Some(said) if mirror.agrees(&said, &value) => {}
                    Some(_) => return differs("differs from the parameter"),
                },
            }
        }
        Ok(())
    }

    fn arguments(&self) -> Option<Bytes> {
        self.message.params().arguments.as_ref().map(|span| self.message.slice(span))
    }

    /// What is to be done with the answer of a backend on this session.
    pub(crate) fn finish(
        &self,
        caller: &Caller<'_>,
        session: &Session,
        states: &States,
        server_info: &Bytes,
    ) -> Finish {
        let backend = if session.is_stateless() { Era::Modern } else { Era::Legacy };
        if (caller.era, backend) == (Era::Legacy, Era::Legacy) {
            return match caller.alias(session) {
                None => Finish::Same(self.then.clone()),
                Some(alias) => Finish::Renamed(Box::new(Renamed {
                    then: self.then.clone(),
                    message: Message::clone(&self.message),
                    alias: alias.name.clone(),
                })),
            };
        }
        Finish::Across(Box::new(Across {
            client: caller.era,
            backend,
            capabilities: caller.capabilities,
            states: states.clone(),
            server_info: server_info.clone(),
            is_wrapped: self.is_wrapped,
            message: Message::clone(&self.message),
            principal: caller.identity.principal().clone(),
            alias: caller.alias(session).map(|alias| alias.name.clone()),
        }))
    }
}

impl Finish {
    /// Whether the answer passes as it is.
    pub(crate) fn is_relay(&self) -> bool {
        matches!(self, Self::Same(Then::Relay))
    }

    /// Whether it is found out of every answer whether that is an error.
    pub(crate) fn tells_errors(&self) -> bool {
        matches!(self, Self::Across(_))
    }

    /// Changes in an answer what has to be.
    pub(crate) fn apply(&self, text: Bytes, backend: &Backend) -> Result<Finished, Fault> {
        match self {
            Self::Same(then) => Ok(Finished::Ready(then.apply(text, backend)?)),
            Self::Renamed(renamed) => {
                let text = renamed.under_own_id(text, backend)?;
                Ok(Finished::Ready(renamed.then.apply(text, backend)?))
            }
            Self::Across(across) => across.apply(text, backend),
        }
    }

    /// A message that came for the request, in which the client's own progress token stands where its
    /// backend knows it by another. `None` if it is about another request.
    pub(crate) fn recognized(&self, message: Message) -> Option<Message> {
        match self {
            Self::Renamed(renamed) if renamed.message.params().task.is_none() => {
                recognized(message, &renamed.message, &renamed.alias)
            }
            Self::Across(across) => match &across.alias {
                Some(alias) => recognized(message, &across.message, alias),
                None => Some(message),
            },
            Self::Same(_) | Self::Renamed(_) => Some(message),
        }
    }
}

impl Then {
    fn apply(&self, text: Bytes, backend: &Backend) -> Result<Bytes, Fault> {
        Ok(match self {
            Self::Relay => text,
            Self::PublishTasks => task::publish(&text, backend.id().as_str(), true),
            Self::ListTasks { next } => joined(text, backend, next.as_ref())?,
        })
    }
}

impl Renamed {
    /// An answer under the client's own id.
    fn under_own_id(&self, text: Bytes, backend: &Backend) -> Result<Bytes, Fault> {
        let answer = Message::parse(text)
            .map_err(|why| Error::Protocol(why.to_string()).fault(backend.id()))?;
        let id = self.message.id().map(|id| id.text());
        Ok(answer.with_id(id.unwrap_or(b"null")))
    }
}

/// A message that came for this request, in which the client's own progress token stands where its
/// backend knows it by an alias. `None` if it is about another request.
fn recognized(message: Message, request: &Message, alias: &Bytes) -> Option<Message> {
    if message.method() != Some(Method::Progress) {
        return Some(message);
    }
    let span = message.params().progress_token.clone()?;
    let own = request.params().meta.progress_token.as_ref()?;
    if message.slice(&span) != *alias {
        return None;
    }
    let edit = Edit { span, with: request.slice(own) };
    Message::parse(raw::splice(message.text(), vec![edit])).ok()
}

impl Across {
    fn apply(&self, text: Bytes, backend: &Backend) -> Result<Finished, Fault> {
        let wrong = |why: String| Error::Protocol(why).fault(backend.id());
        let mut outcome = Outcome::parse(text).map_err(|why| wrong(why.to_string()))?;
        if let (Some(_), Some(id)) = (&self.alias, self.message.id()) {
            outcome = outcome.under(self.message.text().slice_ref(id.text()));
        }
        if let OutcomeKind::Error(code) = *outcome.kind() {
            return Ok(self.refused(&outcome, code));
        }
        let text = match (self.client, self.backend, outcome.kind()) {
            (Era::Modern, Era::Legacy, _) => outcome.modernized(
                &self.server_info,
                self.message.method() == Some(Method::ResourcesRead),
            ),
            (Era::Modern, Era::Modern, OutcomeKind::InputRequired) => {
                self.asked(&outcome, backend)?
            }
            (Era::Legacy, Era::Modern, OutcomeKind::InputRequired) => {
                return Err(wrong(
                    "needs input from its client, which a legacy session cannot give it yet"
                        .to_owned(),
                ));
            }
            (Era::Legacy, _, OutcomeKind::Extended(kind)) => {
                return Err(wrong(format!(
                    "answered with a result of type {kind:?}, which the client does not know"
                )));
            }
            (Era::Modern, Era::Modern, OutcomeKind::Extended(kind))
                if kind == "task" && !self.capabilities.tasks =>
            {
                return Err(wrong(
                    "answered with a task, which the client has not declared".to_owned(),
                ));
            }
            (Era::Modern, Era::Modern, _) => outcome.relayed(&self.server_info, &[]),
            (Era::Legacy, _, _) => self.readable(outcome.antiquated()),
        };
        Ok(Finished::Ready(task::publish(&text, backend.id().as_str(), true)))
    }

    /// A modern backend's response without what a legacy client could not read: a tool's structured
    /// content that is no object, or none of the kind that the client was shown.
    fn readable(&self, text: Bytes) -> Bytes {
        if self.message.method() != Some(Method::ToolsCall) {
            return text;
        }
        let edit = || {
            let span = Members::parse(&text)?.span("result")?;
            let Edit { span: within, with } =
                legacy::legacy_content(&text[span.clone()], self.is_wrapped)?;
            Some(Edit { span: span.start + within.start..span.start + within.end, with })
        };
        edit().map_or_else(|| text.clone(), |edit| raw::splice(&text, vec![edit]))
    }

    /// An error, in the client's words.
    fn refused(&self, outcome: &Outcome, code: i64) -> Finished {
        let text = match (self.client, self.backend) {
            (Era::Modern, Era::Legacy) => outcome.modernized(&self.server_info, false),
            (Era::Legacy, Era::Modern) => outcome.antiquated(),
            (Era::Modern, Era::Modern) | (Era::Legacy, Era::Legacy) => {
                outcome.relayed(&self.server_info, &[])
            }
        };
        Finished::Refused(text, code)
    }

    /// A result by which a backend asks the client for input. The state in it is sealed for this
    /// request.
    fn asked(&self, outcome: &Outcome, backend: &Backend) -> Result<Bytes, Fault> {
        let wrong = |why: &str| Error::Protocol(why.to_owned()).fault(backend.id());
        let may_ask = matches!(
            self.message.method(),
            Some(Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead)
        );
        if !may_ask {
            return Err(wrong("needs input for a request that cannot give any"));
        }
        let result = outcome.result();
        let members = Members::parse(result).ok_or_else(|| wrong("answered with no object"))?;
        let (requests, state) =
            (members.value(result, "inputRequests"), members.value(result, "requestState"));
        if let Some(requests) = requests {
            self.check_requests(requests)
                .ok_or_else(|| wrong("asks for input in a way that nobody knows"))??;
        }
        let Some(state) = state else {
            requests.ok_or_else(|| wrong("needs input and does not say which"))?;
            return Ok(outcome.relayed(&self.server_info, &[]));
        };
        let state =
            raw::as_string(state).ok_or_else(|| wrong("gave a requestState that is no string"))?;
        let purpose = Purpose::new(&self.principal, backend.id());
        let sealed = self.states.seal(&purpose, self.message.salient(), &state)?;
        let sealed = raw::string(&sealed);
        Ok(outcome.relayed(&self.server_info, &[("requestState", sealed.into())]))
    }

    /// Refuses what the client has not declared that it can give. `None` if it cannot be read.
    fn check_requests(&self, requests: &[u8]) -> Option<Result<(), Fault>> {
        for request in Members::parse(requests)?.iter() {
            let request = &requests[request.value.clone()];
            let members = Members::parse(request).filter(|found| !found.is_ambiguous("method"))?;
            let method = members.value(request, "method").and_then(raw::as_string)?;
            let topic = Topic::of(&method);
            if !self.capabilities.allow(topic) {
                let required = format!("{{\"{}\":{{}}}}", topic.name());
                return Some(Err(Fault::MissingCapability { required }));
            }
        }
        Some(Ok(()))
    }
}
