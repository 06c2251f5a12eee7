//! The tasks of all backends as one list (revision 2025-11-25, `tasks/list`).
//!
//! One page of one backend at a time, so that each task comes once. A cursor is `<backend>:<the backend's
//! own cursor>`.

use std::sync::Arc;

use bytes::Bytes;
use vmcp_backend::{Backend, Error};
use vmcp_model::{
    BackendId,
    raw::{self, Edit, Members},
};
use vmcp_wire::{Fault, Message, task};

use crate::{
    caller::Caller,
    resolve::{Request, Routed, Then},
    vmcp::Vmcp,
};

impl Vmcp {
    /// Whether any backend may have tasks of the caller: only those on which it has a session, and which
    /// have tasks at all.
    pub fn may_have_tasks(&self, caller: &Caller<'_>) -> bool {
        self.holders(caller).next().is_some()
    }

    fn holders(&self, caller: &Caller<'_>) -> impl Iterator<Item = Arc<Backend>> {
        caller.catalog.backends().iter().filter_map(|id| {
            let backend = self.backend(id.as_str())?;
            if !caller.may_have_tasks_of(id) {
                return None;
            }
            let session = caller.sessions.open(&backend)?;
            session.facts().has.tasks.then_some(backend)
        })
    }

    /// Where a request for a page of the list goes.
    pub(crate) fn task_list<'a>(
        &self,
        caller: &Caller<'a>,
        message: &'a Message,
    ) -> Result<Routed<'a>, Fault> {
        let invalid = || Fault::InvalidParams("invalid cursor; list from the start".into());
        let mut holders = self.holders(caller);
        let cursor = message.cursor()?;
        let (holder, own_cursor) = match cursor.as_deref() {
            None | Some("") => (holders.next(), None),
            Some(cursor) => {
                let (name, own) = cursor.split_once(':').ok_or_else(invalid)?;
                let holder = holders.find(|backend| backend.id().as_str() == name);
                (holder, Some(own).filter(|own| !own.is_empty()))
            }
        };
        let holder = holder.ok_or_else(invalid)?;
        let next = holders.next().map(|backend| backend.id().clone());
        let mut routed = Routed::plain(holder, message, Then::ListTasks { next });
        if message.params().cursor.is_some() {
            routed.message = Request::Rewritten(Box::new(with_cursor(message, own_cursor)?));
        }
        Ok(routed)
    }
}

/// A request with this cursor, or without any.
fn with_cursor(message: &Message, cursor: Option<&str>) -> Result<Message, Fault> {
    let text = message.text();
    let span = Members::parse(text).and_then(|members| members.span("params"));
    let text = span.map_or_else(
        || text.clone(),
        |span| {
            let params = raw::without(&text[span.clone()], |name| name == "cursor");
            let with = match (cursor, Members::parse(&params)) {
                (Some(cursor), Some(members)) => {
                    raw::splice(&params, vec![members.set("cursor", raw::string(cursor))])
                }
                _ => params,
            };
            raw::splice(text, vec![Edit { span, with }])
        },
    );
    Message::parse(text)
        .map_err(|why| Fault::Internal(format!("a request was rewritten badly: {why}").into()))
}

/// A backend's page with public ids, and a cursor that leads on: to its own next page, or to the first
/// one of the `next` backend.
pub(crate) fn joined(
    text: Bytes,
    backend: &Backend,
    next: Option<&BackendId>,
) -> Result<Bytes, Fault> {
    let published = task::publish(&text, backend.id().as_str(), true);
    let Some(members) = Members::parse(&published) else { return Ok(published) };
    let Some(span) = members.span("result") else { return Ok(published) };
    let result = &published[span.clone()];
    let shown = Members::parse(result).filter(|members| members.span("tasks").is_some());
    let shown = shown.ok_or_else(|| {
        let why = "answered tasks/list with the wrong shape";
        Error::Protocol(why.to_owned()).fault(backend.id())
    })?;
    let own_next = shown.value(result, "nextCursor").and_then(raw::as_string);
    // An empty one would begin anew.
    let own_next = own_next.filter(|own| !own.is_empty());
    let cursor = match (own_next, next) {
        (Some(own), _) => format!("{}:{own}", backend.id()),
        (None, Some(next)) => format!("{next}:"),
        (None, None) => return Ok(published),
    };
    let with = raw::splice(result, vec![shown.set("nextCursor", raw::string(&cursor))]);
    Ok(raw::splice(&published, vec![Edit { span, with }]))
}
