//! What a request leads to: a backend, and in what words, or a tool of vmcp's own. Decides; sends nothing.

use std::{borrow::Cow, ops::Range, sync::Arc};

use bytes::Bytes;
use vmcp_backend::Backend;
use vmcp_catalog::{OwnTool, Route, Target};
use vmcp_model::{
    BackendId, Era, Kind, Method, Mirror,
    raw::{self, Edit},
    trail::Trail,
};
use vmcp_wire::{Fault, Message, task};

use crate::{
    caller::Caller,
    state::{MAX_SEALED, Purpose},
    vmcp::Vmcp,
};

/// What a request leads to.
#[derive(Debug)]
pub enum Resolved<'a> {
    Backend(Routed<'a>),
    Own { tool: OwnTool, message: &'a Message },
}

/// A request with the backend that it goes to.
#[derive(Debug)]
pub struct Routed<'a> {
    pub backend: Arc<Backend>,
    pub(crate) message: Request<'a>,
    /// What makes it one in the backend's own words.
    pub(crate) edits: Vec<Edit>,
    /// What the backend calls the capability or the task.
    pub(crate) target: Option<Cow<'a, str>>,
    /// The parameters that are repeated in headers.
    pub(crate) mirrors: &'a [Mirror],
    /// The tool's output stands in an object, in which its backend does not give it.
    pub(crate) is_wrapped: bool,
    /// Its method is not one of the protocol's: it is passed on because there is one backend.
    pub(crate) is_foreign: bool,
    pub(crate) then: Then,
    /// Where to note what is known of it, if anybody wants to know.
    pub(crate) trail: Option<&'a Arc<Trail>>,
}

/// The request that goes on. A message is large, so it is not carried about.
#[derive(Debug)]
pub(crate) enum Request<'a> {
    /// The client's own.
    Own(&'a Message),
    /// The same with the ids of tasks that its backend knows, or with another spelling of a URI.
    Rewritten(Box<Message>),
}

impl std::ops::Deref for Request<'_> {
    type Target = Message;

    fn deref(&self) -> &Message {
        match self {
            Self::Own(message) => message,
            Self::Rewritten(message) => message,
        }
    }
}

/// What is to be done with a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Then {
    /// It passes as it is.
    Relay,
    /// It may hold task ids, which must name their backend.
    PublishTasks,
    /// It is a page of the backend's tasks, behind which those of the next backend come.
    ListTasks { next: Option<BackendId> },
}

impl Resolved<'_> {
    /// The backend that it leads to.
    pub fn backend(&self) -> Option<&Arc<Backend>> {
        match self {
            Self::Backend(routed) => Some(&routed.backend),
            Self::Own { .. } => None,
        }
    }
}

impl<'a> Routed<'a> {
    /// A request that goes on as it is, for now.
    pub(crate) fn plain(backend: Arc<Backend>, message: &'a Message, then: Then) -> Self {
        let (trail, message) = (message.trail(), Request::Own(message));
        let edits = Vec::new();
        Self {
            backend,
            message,
            edits,
            target: None,
            mirrors: &[],
            is_wrapped: false,
            is_foreign: false,
            then,
            trail,
        }
    }

    fn replace(&mut self, span: &Range<usize>, with: &str) {
        self.edits.push(Edit { span: span.clone(), with: raw::string(with).into() });
    }

    /// The request in the backend's own words, for one of the legacy client's own era.
    pub(crate) fn text(&self) -> Bytes {
        if self.edits.is_empty() {
            self.message.text().clone()
        } else {
            raw::splice(self.message.text(), self.edits.clone())
        }
    }
}

impl Vmcp {
    /// Finds what a request of a client leads to. Lists, and what else other layers answer, lead
    /// nowhere.
    pub fn resolve<'a>(
        &self,
        caller: &Caller<'a>,
        message: &'a Message,
    ) -> Result<Resolved<'a>, Fault> {
        let found = self.found(caller, message);
        let mut resolved = match caller.grant {
            None => found?,
            Some(grant) => self.admit(caller, grant, message, found)?,
        };
        if caller.era == Era::Modern
            && let Resolved::Backend(routed) = &mut resolved
        {
            routed.check_mirrors(caller)?;
            self.give_state_back(caller, routed)?;
        }
        Ok(resolved)
    }

    fn found<'a>(&self, caller: &Caller<'a>, message: &'a Message) -> Result<Resolved<'a>, Fault> {
        let params = message.params();
        let Some(method) = message.method() else {
            return Err(Fault::InvalidRequest("a request needs a method".into()));
        };
        let routed = match (method, caller.era) {
            (Method::ToolsCall, _) => return self.tool(caller, message),
            (Method::PromptsGet, _) => {
                let name = required(message.string(params.name.as_ref()), "name")?;
                let route = caller.find(Kind::Prompt, &name).ok_or_else(|| unknown("prompt", &name))?;
                self.renamed(message, route, params.name.as_ref(), Then::Relay)
            }
            (Method::ResourcesRead, _)
            | (Method::ResourcesSubscribe | Method::ResourcesUnsubscribe, Era::Legacy) => {
                let uri = required(message.string(params.uri.as_ref()), "uri")?;
                self.resource(caller, message, uri)
            }
            (Method::CompletionComplete, _) => self.completion(caller, message),
            (Method::TasksGet | Method::TasksCancel | Method::TasksUpdate, Era::Modern)
                if !caller.capabilities.tasks =>
            {
                let required = format!("{{\"extensions\":{{\"{}\":{{}}}}}}", task::EXTENSION);
                Err(Fault::MissingCapability { required })
            }
            (Method::TasksList, Era::Legacy) => self.task_list(caller, message),
            (Method::TasksGet | Method::TasksCancel, _)
            | (Method::TasksResult, Era::Legacy)
            | (Method::TasksUpdate, Era::Modern) => self.task(caller, message),
            (
                Method::Initialize
                | Method::Ping
                | Method::LoggingSetLevel
                | Method::ResourcesSubscribe
                | Method::ResourcesUnsubscribe
                | Method::TasksResult
                | Method::TasksList,
                Era::Modern,
            ) => Err(Fault::MethodNotFound(format!("{method} (the revision 2026-07-28 has none)"))),
            // Lists, and what else the other layers answer.
            (
                Method::Initialize
                | Method::Ping
                | Method::LoggingSetLevel
                | Method::TasksUpdate,
                Era::Legacy,
            )
            | (
                Method::ToolsList
                | Method::ResourcesList
                | Method::ResourcesTemplatesList
                | Method::PromptsList
                | Method::ServerDiscover
                | Method::SubscriptionsListen
                // What backends ask.
                | Method::SamplingCreateMessage
                | Method::ElicitationCreate
                | Method::RootsList
                // What is no request.
                | Method::Initialized
                | Method::Cancelled
                | Method::Progress
                | Method::Message
                | Method::ToolsListChanged
                | Method::ResourcesListChanged
                | Method::ResourcesUpdated
                | Method::PromptsListChanged
                | Method::RootsListChanged
                | Method::TasksStatus
                | Method::Tasks
                | Method::ElicitationComplete
                | Method::SubscriptionsAcknowledged
                | Method::Other,
                _,
            ) => self.foreign(caller, message),
        };
        routed.map(Resolved::Backend)
    }

    /// A request that only a backend can mean something by, and only where there is just one.
    fn foreign<'a>(&self, caller: &Caller<'a>, message: &'a Message) -> Result<Routed<'a>, Fault> {
        match self.sole(caller.catalog) {
            Some(only) => {
                let plain = Routed::plain(only, message, Then::PublishTasks);
                Ok(Routed { is_foreign: true, ..plain })
            }
            None => Err(Fault::MethodNotFound(message.method_name().into_owned())),
        }
    }

    /// A call of a tool: of a backend's, or of vmcp's own.
    fn tool<'a>(&self, caller: &Caller<'a>, message: &'a Message) -> Result<Resolved<'a>, Fault> {
        let params = message.params();
        let name = required(message.string(params.name.as_ref()), "name")?;
        let route = caller.find(Kind::Tool, &name).ok_or_else(|| unknown("tool", &name))?;
        if let Target::Own(tool) = route.target {
            return Ok(Resolved::Own { tool, message });
        }
        let then = if params.task.is_some() { Then::PublishTasks } else { Then::Relay };
        let mut routed = self.renamed(message, route, params.name.as_ref(), then)?;
        routed.mirrors = &route.mirrors;
        routed.is_wrapped = route.is_wrapped;
        Ok(Resolved::Backend(routed))
    }

    /// A request about a resource. A URI is the same everywhere, but for how it may be written.
    fn resource<'a>(
        &self,
        caller: &Caller<'a>,
        message: &'a Message,
        uri: Cow<'a, str>,
    ) -> Result<Routed<'a>, Fault> {
        let catalog = caller.catalog;
        if !catalog.lists(&uri)
            && let Some(owner) = self.owner(caller, &uri)
        {
            return Ok(Routed { target: Some(uri), ..Routed::plain(owner, message, Then::Relay) });
        }
        if let Some(route) = catalog.resource(&uri) {
            let routed = self.renamed(message, route, None, Then::Relay)?;
            // The route of a template is no URI.
            return Ok(Routed { target: Some(uri), ..routed });
        }
        if let Some(spelled) = catalog.spelled(&uri)
            && let Some(owner) = catalog.resource(&spelled).and_then(Route::backend)
            && let Some(span) = &message.params().uri
        {
            let text = raw::splice(
                message.text(),
                vec![Edit { span: span.clone(), with: raw::string(&spelled).into() }],
            );
            let backend = self.known(owner)?;
            let mut routed = Routed::plain(backend, message, Then::Relay);
            let respelled = Message::parse(text).map_err(internal)?;
            let own = unpublished(&respelled, owner.as_str())?.unwrap_or(respelled);
            routed.message = Request::Rewritten(Box::new(own));
            routed.target = Some(spelled);
            return Ok(routed);
        }
        // A result may link to resources that are not listed, and come from where nobody remembers it.
        let only = self.sole(catalog).or_else(|| self.sole_with_resources(caller.whole));
        let only = only.ok_or_else(|| Fault::ResourceNotFound { uri: uri.to_string() })?;
        Ok(Routed { target: Some(uri), ..Routed::plain(only, message, Then::Relay) })
    }

    /// The backend that has given the caller a URI, in a result or in the definition of a tool.
    fn owner(&self, caller: &Caller<'_>, uri: &str) -> Option<Arc<Backend>> {
        if caller.catalog.backends().len() < 2 {
            return None;
        }
        let handed = caller.sessions.owner_of(uri);
        let handed = handed.and_then(|owner| self.reachable(caller, owner.as_str()));
        let linked = || self.reachable(caller, caller.catalog.linked(uri)?.as_str());
        handed.or_else(linked)
    }

    /// A request about a task, whose id names its backend.
    fn task<'a>(&self, caller: &Caller<'a>, message: &'a Message) -> Result<Routed<'a>, Fault> {
        let params = message.params();
        let id = required(message.string(params.task_id.as_ref()), "taskId")?;
        let (owner, own_id) = task::split_public_id(&id).ok_or_else(|| unknown("task", &id))?;
        let backend = self.reachable(caller, owner);
        let backend = backend.filter(|backend| caller.may_have_tasks_of(backend.id()));
        let backend = backend.ok_or_else(|| unknown("task", &id))?;
        let mut routed = Routed::plain(backend, message, Then::PublishTasks);
        if let Some(own) = unpublished(message, owner)? {
            routed.message = Request::Rewritten(Box::new(own));
        }
        let span = routed.message.params().task_id.clone();
        // Unless the id was taken for a related one already.
        if let Some(span) = span
            && routed.message.string(Some(&span)).as_deref() == Some(&*id)
        {
            routed.replace(&span, own_id);
        }
        routed.target = Some(own_id.to_owned().into());
        Ok(routed)
    }

    /// A request that names a capability, with the name its backend knows.
    pub(crate) fn renamed<'a>(
        &self,
        message: &'a Message,
        route: &'a Route,
        name: Option<&Range<usize>>,
        then: Then,
    ) -> Result<Routed<'a>, Fault> {
        let (backend, own_name, renamed) = match &route.target {
            Target::Backend { backend, name, renamed } => (backend, name, *renamed),
            Target::Own(tool) => {
                let why = format!("no backend has vmcp's own tool {:?}", tool.text());
                return Err(Fault::Internal(why.into()));
            }
        };
        let mut routed = Routed::plain(self.known(backend)?, message, then);
        routed.target = Some(Cow::Borrowed(own_name));
        match name {
            Some(span) if renamed => routed.replace(span, own_name),
            Some(_) | None => {}
        }
        if message.params().meta.related_task.is_some() {
            // Its own edits come first: what stands behind them moves.
            let renamed = Message::parse(routed.text()).map_err(internal)?;
            routed.edits.clear();
            let own = unpublished(&renamed, backend.as_str())?.unwrap_or(renamed);
            routed.message = Request::Rewritten(Box::new(own));
        }
        Ok(routed)
    }

    /// Gives a backend the very state back that it has given.
    fn give_state_back(&self, caller: &Caller<'_>, routed: &mut Routed<'_>) -> Result<(), Fault> {
        let Some(span) = routed.message.params().request_state.clone() else { return Ok(()) };
        // What escapes make shorter is none that was given.
        let sealed = match span.len() <= MAX_SEALED + 2 {
            true => routed.message.string(Some(&span)),
            false => Some(Cow::Borrowed("")),
        };
        let sealed = sealed.ok_or(Fault::InvalidParams(
            "the parameter \"requestState\" must be a string".into(),
        ))?;
        let purpose = Purpose::new(caller.identity.principal(), routed.backend.id());
        let state = self.states.open(&purpose, || routed.message.salient(), &sealed)?;
        routed.replace(&span, &state);
        Ok(())
    }

    /// A backend by its name, if it is one of the caller's. What names no entry of the caller's catalog
    /// leads to such a backend only.
    fn reachable(&self, caller: &Caller<'_>, id: &str) -> Option<Arc<Backend>> {
        let own = caller.catalog.backends();
        own.binary_search_by(|known| known.as_str().cmp(id)).ok()?;
        self.backend(id)
    }

    pub(crate) fn known(&self, id: &BackendId) -> Result<Arc<Backend>, Fault> {
        self.backend(id.as_str()).ok_or_else(|| {
            Fault::Unavailable(format!("backend {id} is not configured any more").into())
        })
    }
}

/// A message with the task ids that a backend knows; `None` if there are none in it.
fn unpublished(message: &Message, owner: &str) -> Result<Option<Message>, Fault> {
    let text = task::unpublish(message.text(), owner);
    if text.as_ptr() == message.text().as_ptr() {
        return Ok(None);
    }
    Message::parse(text).map(Some).map_err(internal)
}

fn internal(why: vmcp_wire::Malformed) -> Fault {
    Fault::Internal(format!("a request was rewritten badly: {why}").into())
}

pub(crate) fn required<T>(value: Option<T>, name: &str) -> Result<T, Fault> {
    value.ok_or_else(|| {
        Fault::InvalidParams(format!("the parameter {name:?} is missing or not a string").into())
    })
}

pub(crate) fn unknown(what: &str, name: &str) -> Fault {
    Fault::InvalidParams(format!("unknown {what}: {name}").into())
}
