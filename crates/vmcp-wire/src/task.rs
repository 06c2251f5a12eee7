//! Task ids of revision 2025-11-25, which name the backend that keeps the task.
//!
//! Two backends may use one task id, so a client sees `<backend>:<task id>`. Both directions
//! change nothing but the ids themselves, wherever the specification puts them.

use std::ops::Range;

use bytes::Bytes;
use vmcp_model::raw::{self, Edit, Members};

use crate::meta::RELATED_TASK;

/// The extension of the modern era by which a call may be answered with a task. It has taken the place
/// of the legacy era's `tasks`.
pub const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// The id that a client sees.
pub fn public_id(backend: &str, task_id: &str) -> String {
    format!("{backend}:{task_id}")
}

/// The backend and its own task id.
pub fn split_public_id(id: &str) -> Option<(&str, &str)> {
    id.split_once(':')
}

/// A message of a backend with its task ids as a client must see them.
///
/// `own` says whether the message's `params.taskId` or `result.taskId` is the backend's: it is not
/// in a request by which a backend asks about a task that the client keeps.
pub fn publish(text: &Bytes, backend: &str, own: bool) -> Bytes {
    rewrite(text, own, |task_id| Some(public_id(backend, task_id)))
}

/// A message of a client with its task ids as the backend must see them. Ids that name another
/// backend, or none, stay.
pub fn unpublish(text: &Bytes, backend: &str) -> Bytes {
    rewrite(text, true, |id| {
        split_public_id(id).filter(|(owner, _)| *owner == backend).map(|(_, id)| id.to_owned())
    })
}

/// Replaces every task id for which `change` gives another.
fn rewrite(text: &Bytes, own: bool, change: impl Fn(&str) -> Option<String>) -> Bytes {
    // Most messages name no task; finding that out must cost next to nothing.
    if memchr::memmem::find(text, b"taskId").is_none() {
        return text.clone();
    }
    let edits: Vec<Edit> = spans(text, own)
        .into_iter()
        .filter_map(|span| {
            let with = change(&raw::as_string(&text[span.clone()])?)?;
            Some(Edit { span, with: raw::string(&with).into() })
        })
        .collect();
    if edits.is_empty() { text.clone() } else { raw::splice(text, edits) }
}

/// Where the task ids of a message stand.
fn spans(text: &[u8], own: bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let whole = 0..text.len();
    for part in ["params", "result"] {
        let Some(part) = member(text, &whole, part) else { continue };
        if own {
            found.extend(member(text, &part, "taskId"));
            if let Some(task) = member(text, &part, "task") {
                found.extend(member(text, &task, "taskId"));
            }
            for task in member(text, &part, "tasks")
                .map(|tasks| elements(text, &tasks))
                .into_iter()
                .flatten()
            {
                found.extend(member(text, &task, "taskId"));
            }
        }
        let related =
            member(text, &part, "_meta").and_then(|meta| member(text, &meta, RELATED_TASK));
        found.extend(related.and_then(|related| member(text, &related, "taskId")));
    }
    found
}

fn member(text: &[u8], within: &Range<usize>, name: &str) -> Option<Range<usize>> {
    let object = &text[within.clone()];
    let span = Members::parse(object)?.span(name)?;
    Some(within.start + span.start..within.start + span.end)
}

fn elements(text: &[u8], within: &Range<usize>) -> Vec<Range<usize>> {
    let spans = raw::elements(&text[within.clone()]).unwrap_or_default();
    spans.into_iter().map(|span| within.start + span.start..within.start + span.end).collect()
}

#[cfg(test)]
mod tests;
