//! Which backend a request goes to, and in what words. Decides; sends nothing.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use vmcp_backend::Backend;
use vmcp_catalog::Route;
use vmcp_model::{BackendId, raw::Members};
use vmcp_wire::{Fault, Message, task};

use crate::{caller::Caller, vmcp::Vmcp};

/// A request with the backend that it goes to.
#[derive(Debug)]
pub struct Routed {
    pub backend: Arc<Backend>,
    /// The request in the backend's own names.
    pub text: Bytes,
    /// What to do with the answer.
    pub then: Then,
}

/// What is to be done with a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It passes as it is.
    Relay,
    /// It may hold task ids, which must name their backend.
    PublishTasks,
}

impl Vmcp {
    /// Finds the backend for a request of a client. Lists, and what vmcp answers itself, are not
    /// routed.
    pub fn route(&self, caller: &Caller<'_>, message: &Message) -> Result<Routed, Fault> {
        let params = message.params();
        match &*message.method() {
            "tools/call" => {
                let name = required(message.string(params.name.as_ref()), "name")?;
                let route = caller.catalog.tool(&name).ok_or_else(|| unknown("tool", &name))?;
                let then = if params.task.is_some() { Then::PublishTasks } else { Then::Relay };
                self.renamed(message, route, params.name.as_ref(), then)
            }
            "prompts/get" => {
                let name = required(message.string(params.name.as_ref()), "name")?;
                let route = caller.catalog.prompt(&name).ok_or_else(|| unknown("prompt", &name))?;
                self.renamed(message, route, params.name.as_ref(), Then::Relay)
            }
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
                let uri = required(message.string(params.uri.as_ref()), "uri")?;
                match (caller.catalog.resource(&uri), caller.catalog.backends()) {
                    (Some(route), _) => self.renamed(message, route, None, Then::Relay),
                    // A result may link to resources that are not listed.
                    (None, [only]) => {
                        let backend = self.known(only)?;
                        let text = message.text().clone();
                        Ok(Routed { backend, text, then: Then::Relay })
                    }
                    (None, _) => Err(Fault::ResourceNotFound { uri: uri.to_string() }),
                }
            }
            "completion/complete" => self.completion(caller, message),
            "tasks/get" | "tasks/result" | "tasks/cancel" => {
                let id = required(message.string(params.task_id.as_ref()), "taskId")?;
                let (owner, own_id) =
                    task::split_public_id(&id).ok_or_else(|| unknown("task", &id))?;
                let backend = self.backend(owner).ok_or_else(|| unknown("task", &id))?;
                let text = match &params.task_id {
                    Some(span) => message.with_string(span, own_id),
                    None => message.text().clone(),
                };
                let text = task::unpublish(&text, owner);
                Ok(Routed { backend, text, then: Then::PublishTasks })
            }
            method => match caller.catalog.backends() {
                [only] => {
                    let backend = self.known(only)?;
                    Ok(Routed { backend, text: message.text().clone(), then: Then::PublishTasks })
                }
                _ => Err(Fault::MethodNotFound(method.to_owned())),
            },
        }
    }

    /// A request that names a capability, with the name its backend knows.
    fn renamed(
        &self,
        message: &Message,
        route: &Route,
        name: Option<&std::ops::Range<usize>>,
        then: Then,
    ) -> Result<Routed, Fault> {
        let backend = self.known(&route.backend)?;
        let text = match name {
            Some(span) if route.renamed => message.with_string(span, &route.name),
            Some(_) | None => message.text().clone(),
        };
        let text = if message.params().meta.related_task.is_some() {
            task::unpublish(&text, route.backend.as_str())
        } else {
            text
        };
        Ok(Routed { backend, text, then })
    }

    fn completion(&self, caller: &Caller<'_>, message: &Message) -> Result<Routed, Fault> {
        #[derive(Deserialize)]
        struct Reference {
            r#type: String,
            name: Option<String>,
            uri: Option<String>,
        }
        let span = message.params().reference.clone();
        let span = span.ok_or(Fault::InvalidParams("the parameter \"ref\" is missing".into()))?;
        let text = message.slice(&span);
        let reference: Reference = serde_json::from_slice(&text).map_err(|_error| {
            Fault::InvalidParams(
                "the parameter \"ref\" must be a ref/prompt or ref/resource".into(),
            )
        })?;
        let route = match (reference.r#type.as_str(), &reference.name, &reference.uri) {
            ("ref/prompt", Some(name), _) => {
                caller.catalog.prompt(name).ok_or_else(|| unknown("prompt", name))?
            }
            ("ref/resource", _, Some(uri)) => caller
                .catalog
                .resource(uri)
                .ok_or_else(|| Fault::ResourceNotFound { uri: uri.clone() })?,
            (kind, ..) => {
                let why = format!("nothing can be completed for a reference of type {kind:?}");
                return Err(Fault::InvalidParams(why.into()));
            }
        };
        let name = Members::parse(&text)
            .and_then(|members| members.span("name"))
            .map(|name| span.start + name.start..span.start + name.end);
        let name = name.filter(|_| reference.r#type == "ref/prompt");
        self.renamed(message, route, name.as_ref(), Then::Relay)
    }

    fn known(&self, id: &BackendId) -> Result<Arc<Backend>, Fault> {
        self.backend(id.as_str()).ok_or_else(|| {
            Fault::Unavailable(format!("backend {id} is not configured any more").into())
        })
    }
}

fn required<T>(value: Option<T>, name: &str) -> Result<T, Fault> {
    value.ok_or_else(|| {
        Fault::InvalidParams(format!("the parameter {name:?} is missing or not a string").into())
    })
}

fn unknown(what: &str, name: &str) -> Fault {
    Fault::InvalidParams(format!("unknown {what}: {name}").into())
}
