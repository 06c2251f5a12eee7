//! Which backend a request goes to, and in what words. Decides; sends nothing.

use std::{borrow::Cow, ops::Range, sync::Arc};

use bytes::Bytes;
use vmcp_backend::Backend;
use vmcp_catalog::Route;
use vmcp_model::{
    BackendId, Era, Mirror,
    raw::{self, Edit, Members},
};
use vmcp_wire::{Fault, Message, task};

use crate::{
    caller::Caller,
    state::{MAX_SEALED, Purpose},
    vmcp::Vmcp,
};

/// A request with the backend that it goes to.
#[derive(Debug)]
pub struct Routed<'a> {
    pub backend: Arc<Backend>,
    /// The client's own.
    pub(crate) message: Cow<'a, Message>,
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
}

/// What is to be done with a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It passes as it is.
    Relay,
    /// It may hold task ids, which must name their backend.
    PublishTasks,
}

impl<'a> Routed<'a> {
    /// A request that goes on as it is, for now.
    fn plain(backend: Arc<Backend>, message: &'a Message, then: Then) -> Self {
        let message = Cow::Borrowed(message);
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
    /// Finds the backend for a request of a client. Lists, and what vmcp answers itself, are not
    /// routed.
    pub fn route<'a>(
        &self,
        caller: &Caller<'a>,
        message: &'a Message,
    ) -> Result<Routed<'a>, Fault> {
        let mut routed = self.routed(caller, message)?;
        if caller.era == Era::Modern {
            routed.check_mirrors(caller)?;
            self.give_state_back(caller, &mut routed)?;
        }
        Ok(routed)
    }

    fn routed<'a>(&self, caller: &Caller<'a>, message: &'a Message) -> Result<Routed<'a>, Fault> {
        let params = message.params();
        match (&*message.method(), caller.era) {
            ("tools/call", _) => {
                let name = required(message.string(params.name.as_ref()), "name")?;
                let route = caller.catalog.tool(&name).ok_or_else(|| unknown("tool", &name))?;
                let then = if params.task.is_some() { Then::PublishTasks } else { Then::Relay };
                let mut routed = self.renamed(message, route, params.name.as_ref(), then)?;
                routed.mirrors = &route.mirrors;
                routed.is_wrapped = route.is_wrapped;
                Ok(routed)
            }
            ("prompts/get", _) => {
                let name = required(message.string(params.name.as_ref()), "name")?;
                let route = caller.catalog.prompt(&name).ok_or_else(|| unknown("prompt", &name))?;
                self.renamed(message, route, params.name.as_ref(), Then::Relay)
            }
            ("resources/read", _)
            | ("resources/subscribe" | "resources/unsubscribe", Era::Legacy) => {
                let uri = required(message.string(params.uri.as_ref()), "uri")?;
                self.resource(caller, message, uri)
            }
            ("completion/complete", _) => self.completion(caller, message),
            ("tasks/get" | "tasks/cancel" | "tasks/update", Era::Modern)
                if !caller.capabilities.tasks =>
            {
                let required = format!("{{\"extensions\":{{\"{}\":{{}}}}}}", task::EXTENSION);
                Err(Fault::MissingCapability { required })
            }
            ("tasks/get" | "tasks/cancel", _)
            | ("tasks/result", Era::Legacy)
            | ("tasks/update", Era::Modern) => self.task(message),
            (
                method @ ("initialize"
                | "ping"
                | "logging/setLevel"
                | "resources/subscribe"
                | "resources/unsubscribe"
                | "tasks/result"
                | "tasks/list"),
                Era::Modern,
            ) => Err(Fault::MethodNotFound(format!("{method} (the revision 2026-07-28 has none)"))),
            (method, _) => match self.sole(caller.catalog) {
                Some(only) => {
                    let plain = Routed::plain(only, message, Then::PublishTasks);
                    Ok(Routed { is_foreign: true, ..plain })
                }
                None => Err(Fault::MethodNotFound(method.to_owned())),
            },
        }
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
            && let Some(route) = catalog.resource(&spelled)
            && let Some(span) = &message.params().uri
        {
            let text = raw::splice(
                message.text(),
                vec![Edit { span: span.clone(), with: raw::string(&spelled).into() }],
            );
            let backend = self.known(&route.backend)?;
            let mut routed = Routed::plain(backend, message, Then::Relay);
            let respelled = Message::parse(text).map_err(internal)?;
            let own = unpublished(&respelled, route.backend.as_str())?.into_owned();
            (routed.message, routed.target) = (Cow::Owned(own), Some(spelled));
            return Ok(routed);
        }
        // A result may link to resources that are not listed, and come from where nobody remembers it.
        let only = self.sole(catalog).or_else(|| self.sole_with_resources(catalog));
        let only = only.ok_or_else(|| Fault::ResourceNotFound { uri: uri.to_string() })?;
        Ok(Routed { target: Some(uri), ..Routed::plain(only, message, Then::Relay) })
    }

    /// The backend that has given the caller a URI, in a result or in the definition of a tool.
    fn owner(&self, caller: &Caller<'_>, uri: &str) -> Option<Arc<Backend>> {
        if caller.catalog.backends().len() < 2 {
            return None;
        }
        let handed = caller.sessions.owner_of(uri).and_then(|owner| self.backend(owner.as_str()));
        let linked = || self.backend(caller.catalog.linked(uri)?.as_str());
        handed.or_else(linked)
    }

    /// A request about a task, whose id names its backend.
    fn task<'a>(&self, message: &'a Message) -> Result<Routed<'a>, Fault> {
        let params = message.params();
        let id = required(message.string(params.task_id.as_ref()), "taskId")?;
        let (owner, own_id) = task::split_public_id(&id).ok_or_else(|| unknown("task", &id))?;
        let backend = self.backend(owner).ok_or_else(|| unknown("task", &id))?;
        let mut routed = Routed::plain(backend, message, Then::PublishTasks);
        routed.message = unpublished(message, owner)?;
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
    fn renamed<'a>(
        &self,
        message: &'a Message,
        route: &'a Route,
        name: Option<&Range<usize>>,
        then: Then,
    ) -> Result<Routed<'a>, Fault> {
        let mut routed = Routed::plain(self.known(&route.backend)?, message, then);
        routed.target = Some(Cow::Borrowed(&route.name));
        match name {
            Some(span) if route.renamed => routed.replace(span, &route.name),
            Some(_) | None => {}
        }
        if message.params().meta.related_task.is_some() {
            // Its own edits come first: what stands behind them moves.
            let renamed = Message::parse(routed.text()).map_err(internal)?;
            routed.edits.clear();
            routed.message =
                Cow::Owned(unpublished(&renamed, route.backend.as_str())?.into_owned());
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
        let purpose = Purpose::new(caller.principal, routed.backend.id());
        let state = self.states.open(&purpose, || routed.message.salient(), &sealed)?;
        routed.replace(&span, &state);
        Ok(())
    }

    fn completion<'a>(
        &self,
        caller: &Caller<'a>,
        message: &'a Message,
    ) -> Result<Routed<'a>, Fault> {
        let span = message.params().reference.clone();
        let span = span.ok_or(Fault::InvalidParams("the parameter \"ref\" is missing".into()))?;
        let text = message.slice(&span);
        let Reference { kind, name, uri, name_span } = Reference::read(&text)?;
        let route = match (kind.as_str(), name, uri) {
            ("ref/prompt", Some(name), _) => {
                caller.catalog.prompt(&name).ok_or_else(|| unknown("prompt", &name))?
            }
            ("ref/resource", _, Some(uri)) => {
                caller.catalog.resource(&uri).ok_or(Fault::ResourceNotFound { uri })?
            }
            (kind, ..) => {
                let why = format!("nothing can be completed for a reference of type {kind:?}");
                return Err(Fault::InvalidParams(why.into()));
            }
        };
        let name = name_span.map(|name| span.start + name.start..span.start + name.end);
        let name = name.filter(|_| kind == "ref/prompt");
        let mut routed = self.renamed(message, route, name.as_ref(), Then::Relay)?;
        // No header names it.
        routed.target = None;
        Ok(routed)
    }

    fn known(&self, id: &BackendId) -> Result<Arc<Backend>, Fault> {
        self.backend(id.as_str()).ok_or_else(|| {
            Fault::Unavailable(format!("backend {id} is not configured any more").into())
        })
    }
}

/// What a completion is asked for.
struct Reference {
    kind: String,
    name: Option<String>,
    uri: Option<String>,
    name_span: Option<Range<usize>>,
}

impl Reference {
    /// Reads the parameter `ref`. Its backend is to read the same out of it.
    fn read(text: &[u8]) -> Result<Self, Fault> {
        let wrong = |why: &str| Fault::InvalidParams(format!("the parameter \"ref\" {why}").into());
        let shape = || wrong("must be a ref/prompt or ref/resource");
        let members = Members::parse(text).ok_or_else(shape)?;
        if let Some(name) = ["type", "name", "uri"].iter().find(|name| members.is_ambiguous(name)) {
            return Err(wrong(&format!("must not have {name:?} twice, in whatever case")));
        }
        let string = |name| match members.value(text, name) {
            None | Some(b"null") => Ok(None),
            Some(value) => raw::as_string(value).map(Some).ok_or_else(shape),
        };
        Ok(Self {
            kind: string("type")?.ok_or_else(shape)?,
            name: string("name")?,
            uri: string("uri")?,
            name_span: members.span("name"),
        })
    }
}

/// A message with the task ids that a backend knows.
fn unpublished<'a>(message: &'a Message, owner: &str) -> Result<Cow<'a, Message>, Fault> {
    let text = task::unpublish(message.text(), owner);
    if text.as_ptr() == message.text().as_ptr() {
        return Ok(Cow::Borrowed(message));
    }
    Message::parse(text).map(Cow::Owned).map_err(internal)
}

fn internal(why: vmcp_wire::Malformed) -> Fault {
    Fault::Internal(format!("a request was rewritten badly: {why}").into())
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, Fault> {
    value.ok_or_else(|| {
        Fault::InvalidParams(format!("the parameter {name:?} is missing or not a string").into())
    })
}

fn unknown(what: &str, name: &str) -> Fault {
    Fault::InvalidParams(format!("unknown {what}: {name}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_the_same_to_every_reader() {
        let prompt = Reference::read(br#"{"name":"p","type":"ref/prompt","uri":null}"#).unwrap();
        assert_eq!((&*prompt.kind, prompt.name.as_deref()), ("ref/prompt", Some("p")));
        assert_eq!((prompt.uri, prompt.name_span), (None, Some(8..11)));
        for text in [
            r#"{"type":"ref/resource","uri":"a","Uri":"b"}"#,
            r#"{"URI":"a","type":"ref/resource","uri":"b"}"#,
            r#"{"type":"ref/resource","uri":"a","uri":"b"}"#,
            r#"{"type":"ref/prompt","name":"a","na\u006de":"b"}"#,
            r#"{"type":"ref/prompt","Type":"ref/resource","name":"a"}"#,
            r#"{"type":"ref/prompt","name":7}"#,
            r#"{"name":"a"}"#,
            r#"["ref/prompt"]"#,
        ] {
            assert!(Reference::read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
