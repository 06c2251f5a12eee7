//! The tasks of all backends as one list (revision 2025-11-25, `tasks/list`).

use std::sync::Arc;

use bytes::Bytes;
use vmcp_backend::Backend;
use vmcp_model::{raw, raw::Members};
use vmcp_wire::{Fault, Message, reply, task};

use crate::{caller::Caller, vmcp::Vmcp};

impl Vmcp {
    /// Answers `tasks/list`: one page of one backend at a time, so that each task comes once. A
    /// cursor is `<backend>:<the backend's own cursor>`.
    ///
    /// Only backends on which the caller has a session are asked: elsewhere it has no tasks.
    pub async fn list_tasks(&self, caller: &Caller<'_>, message: &Message) -> Result<Bytes, Fault> {
        let id = message.id().ok_or(Fault::InvalidRequest("tasks/list needs an id".into()))?;
        let holders = caller.catalog.backends().iter().filter_map(|id| {
            let backend = self.backend(id.as_str())?;
            let session = caller.sessions.open(&backend)?;
            session.facts().has.tasks.then_some((backend, session))
        });
        let holders: Vec<_> = holders.collect();
        let cursor = message.string(message.params().cursor.as_ref());
        let (at, own_cursor) = match cursor.as_deref() {
            None | Some("") => (0, None),
            Some(cursor) => {
                let invalid = || Fault::InvalidParams("invalid cursor; list from the start".into());
                let (name, own) = cursor.split_once(':').ok_or_else(invalid)?;
                let found = holders.iter().position(|(backend, _)| backend.id().as_str() == name);
                (found.ok_or_else(invalid)?, Some(own).filter(|own| !own.is_empty()))
            }
        };
        let Some((backend, session)) = holders.get(at) else {
            return Ok(reply::result(id, br#"{"tasks":[]}"#));
        };
        let params = own_cursor.map(|own| [br#"{"cursor":"#, &raw::string(own)[..], b"}"].concat());
        let page = backend.ask(session, "tasks/list", params.as_deref()).await;
        let page = page.map_err(|error| error.fault(backend.id()))?;
        let next = holders.get(at + 1).map(|(backend, _)| backend);
        match joined(&page, backend, next) {
            Some(result) => Ok(reply::result(id, &result)),
            None => {
                let why = "answered tasks/list with the wrong shape".into();
                Err(Fault::Backend { backend: backend.id().to_string(), reason: why })
            }
        }
    }
}

/// The result of one backend's page with public ids, and a cursor that leads on.
fn joined(page: &Message, backend: &Backend, next: Option<&Arc<Backend>>) -> Option<Vec<u8>> {
    let published = task::publish(page.text(), backend.id().as_str(), true);
    let page = Message::parse(published).ok()?;
    let result = page.result()?;
    let members = Members::parse(result)?;
    members.span("tasks")?;
    let own_next = members.value(result, "nextCursor").and_then(raw::as_string);
    let cursor = match (own_next, next) {
        (Some(own), _) => format!("{}:{own}", backend.id()),
        (None, Some(next)) => format!("{}:", next.id()),
        (None, None) => return Some(result.to_vec()),
    };
    Some(raw::splice(result, vec![members.set("nextCursor", raw::string(&cursor))]).to_vec())
}
