//! Results as the two eras write them: what a result of the one lacks, or has too much, for the other
//! (specification 2026-07-28, basic, "Responses", and server/utilities/caching).

use std::{borrow::Cow, ops::RangeInclusive};

use bytes::{Bytes, BytesMut};
use vmcp_model::raw::{self, Edit, Members};

use crate::{
    message::Message,
    meta::{SERVER_INFO, put_member},
};

/// The member of a modern result that says what kind of result it is.
const RESULT_TYPE: &str = "resultType";

/// What decides how a result is read, or is written anew here: a client that reads another one than vmcp
/// would be told what vmcp does not answer for.
const SINGLE: [&str; 6] =
    [RESULT_TYPE, "_meta", "ttlMs", "cacheScope", "requestState", "inputRequests"];

/// Resource not found, in the legacy era and in the modern one.
const NOT_FOUND: (i64, i64) = (-32002, -32602);

/// Codes that the modern era keeps for itself. What a legacy backend means by one is another thing:
/// that an elicitation is required (-32042, revision 2025-11-25), or something of its own.
const RESERVED: RangeInclusive<i64> = -32099..=-32020;

/// A response, read for what differs between the eras.
#[derive(Debug)]
pub struct Outcome {
    message: Message,
    kind: Kind,
    /// The id that it is given under (JSON text), if not its own.
    id: Option<Bytes>,
}

/// What a response says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Complete,
    /// The backend needs input before it can go on.
    InputRequired,
    /// What an extension defines, such as a task.
    Extended(String),
    /// An error of this code.
    Error(i64),
}

/// A response that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(Cow<'static, str>);

impl Outcome {
    /// Reads a response. A result that does not say its kind is complete.
    pub fn parse(text: Bytes) -> Result<Self, Unreadable> {
        let message = Message::parse(text)
            .map_err(|why| Unreadable(format!("answered badly: {why}").into()))?;
        let kind = match message.result() {
            None => Kind::Error(error_code(message.text()).unwrap_or(-32603)),
            Some(result) => {
                let members = Members::parse(result)
                    .ok_or(Unreadable("answered with a result that is no object".into()))?;
                if let Some(name) = members.ambiguous(&SINGLE) {
                    return Err(Unreadable(format!("answered with more than one {name:?}").into()));
                }
                match members.value(result, RESULT_TYPE).map(raw::as_string) {
                    None => Kind::Complete,
                    Some(None) => {
                        return Err(Unreadable(
                            "answered with a \"resultType\" that is no string".into(),
                        ));
                    }
                    Some(Some(kind)) => match kind.as_str() {
                        "complete" => Kind::Complete,
                        "input_required" => Kind::InputRequired,
                        _ => Kind::Extended(kind),
                    },
                }
            }
        };
        Ok(Self { message, kind, id: None })
    }

    /// The same, given to whoever knows the request by this id (JSON text).
    #[must_use]
    pub fn under(self, id: Bytes) -> Self {
        Self { id: Some(id), ..self }
    }

    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The result object; empty for an error.
    pub fn result(&self) -> &[u8] {
        self.message.result().unwrap_or_default()
    }

    /// Gives the whole text away.
    pub fn into_text(self) -> Bytes {
        self.message.into_text()
    }

    /// The response of a modern backend as vmcp gives it to a modern client: in vmcp's own name, and
    /// with other values for members of the result (JSON text).
    pub fn relayed(&self, server_info: &[u8], members: &[(&str, Bytes)]) -> Bytes {
        self.with_result(|result, found| {
            let mut edits = vec![server_info_edit(result, found, server_info)];
            let others = members.iter().map(|(name, value)| found.set(name, value.clone()));
            edits.extend(others);
            edits
        })
    }

    /// The response of a legacy backend as a modern client gets it. A result that is cacheable in the
    /// modern era says that it must not be cached.
    pub fn modernized(&self, server_info: &[u8], cacheable: bool) -> Bytes {
        if let Kind::Error(code) = self.kind {
            return self.with_code(match code {
                code if code == NOT_FOUND.0 => NOT_FOUND.1,
                code if RESERVED.contains(&code) => -32603,
                code => code,
            });
        }
        self.with_result(|result, found| {
            let mut edits = vec![found.set(RESULT_TYPE, &b"\"complete\""[..])];
            if cacheable {
                edits.push(found.set("ttlMs", &b"0"[..]));
                edits.push(found.set("cacheScope", &b"\"private\""[..]));
            }
            edits.push(server_info_edit(result, found, server_info));
            edits
        })
    }

    /// The response of a modern backend as a legacy client gets it.
    pub fn antiquated(&self) -> Bytes {
        let Some(span) = self.message.result_span() else {
            let text = self.message.text();
            // A resource that was not found says which.
            let names_resource = self.kind == Kind::Error(NOT_FOUND.1)
                && error_member(text, "data")
                    .and_then(|data| Members::parse(data)?.span("uri"))
                    .is_some();
            return if names_resource {
                self.with_code(NOT_FOUND.0)
            } else {
                self.with(Vec::new())
            };
        };
        let result = self.result();
        let plain =
            raw::without(result, |name| matches!(name, RESULT_TYPE | "ttlMs" | "cacheScope"));
        let meta = Members::parse(&plain).and_then(|members| members.span("_meta"));
        let plain = match meta {
            Some(meta) => {
                let kept = raw::without(&plain[meta.clone()], |name| name == SERVER_INFO);
                // What was there for nothing else goes with it.
                if kept.len() <= 2 {
                    raw::without(&plain, |name| name == "_meta")
                } else {
                    raw::splice(&plain, vec![Edit { span: meta, with: kept }])
                }
            }
            None => plain,
        };
        self.with(vec![Edit { span, with: plain }])
    }

    /// The response with changes in its result; `edits` gives them within the result.
    fn with_result(&self, edits: impl FnOnce(&[u8], &Members) -> Vec<Edit>) -> Bytes {
        let Some(span) = self.message.result_span() else { return self.with(Vec::new()) };
        let result = self.result();
        let Some(members) = Members::parse(result) else { return self.with(Vec::new()) };
        let edits = joined(edits(result, &members), members.iter().next().is_none());
        let moved = edits.into_iter().map(|edit| Edit {
            span: span.start + edit.span.start..span.start + edit.span.end,
            with: edit.with,
        });
        self.with(moved.collect())
    }

    fn with_code(&self, code: i64) -> Bytes {
        let (text, code) = (self.message.text(), code.to_string());
        match error_member(text, "code") {
            Some(value) if value != code.as_bytes() => {
                let span = raw::span_in(text, value);
                self.with(vec![Edit { span, with: code.into() }])
            }
            Some(_) | None => self.with(Vec::new()),
        }
    }

    /// The response with these changes, under the id that it is given under.
    fn with(&self, mut edits: Vec<Edit>) -> Bytes {
        let text = self.message.text();
        if let Some((own, id)) = self.message.id().zip(self.id.as_ref()) {
            edits.push(Edit { span: raw::span_in(text, own.text()), with: id.clone() });
        }
        if edits.is_empty() { text.clone() } else { raw::splice(text, edits) }
    }
}

/// Members that are added to an empty object do not know that another comes behind them.
fn joined(edits: Vec<Edit>, is_empty: bool) -> Vec<Edit> {
    let Some(at) = edits.first().filter(|_| is_empty).map(|edit| edit.span.clone()) else {
        return edits;
    };
    let added: Vec<_> = edits.iter().map(|edit| &edit.with[..]).collect();
    vec![Edit { span: at, with: added.join(&b',').into() }]
}

/// The edit that makes a result vmcp's own.
fn server_info_edit(result: &[u8], members: &Members, server_info: &[u8]) -> Edit {
    if let Some(span) = members.span("_meta")
        && let Some(inner) = Members::parse(&result[span.clone()])
    {
        let own = Bytes::copy_from_slice(server_info);
        let names_server = |name: &str| raw::same_name(name, SERVER_INFO);
        let mut named = inner.iter().filter(|member| names_server(&member.name));
        let is_plain = named.next().is_none_or(|first| &*first.name == SERVER_INFO);
        if !is_plain || named.next().is_some() {
            // Whichever of them a client would read, it is vmcp's.
            let kept = raw::without(&result[span.clone()], names_server);
            let edits = Members::parse(&kept).map(|members| members.set(SERVER_INFO, own));
            return Edit { span, with: raw::splice(&kept, edits.into_iter().collect()) };
        }
        let Edit { span: within, with } = inner.set(SERVER_INFO, own);
        return Edit { span: span.start + within.start..span.start + within.end, with };
    }
    let mut meta = BytesMut::from(&b"{"[..]);
    put_member(&mut meta, SERVER_INFO, server_info);
    meta.extend_from_slice(b"}");
    members.set("_meta", meta)
}

fn error_member<'a>(text: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let error = Members::parse(text)?.value(text, "error")?;
    Members::parse(error)?.value(error, name)
}

fn error_code(text: &[u8]) -> Option<i64> {
    error_member(text, "code").and_then(|code| serde_json::from_slice(code).ok())
}

#[cfg(test)]
mod tests;
