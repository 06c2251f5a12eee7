//! The metadata that the protocol reserves (specification 2026-07-28, basic, "_meta"): what a modern
//! request says about its sender, and a modern result about its server.
//!
//! It is vmcp's own on both of its sides. Everything else in `_meta` passes.

use std::{ops::Range, sync::LazyLock};

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem;
use vmcp_model::{
    LogLevel, ProtocolVersion,
    raw::{self, Edit, Members},
};

use crate::message::Message;

pub(crate) const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
pub(crate) const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
pub(crate) const CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
pub(crate) const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Which backends are missing: vmcp's own key under `_meta` of what it answers for all of them.
pub const MISSING: &str = "vmcp/missing";
/// Who answers: the key under `_meta` of a result.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// Which request a notification on a stream of changes belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
pub(crate) const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// What a request says about its sender.
#[derive(Debug, Clone, Copy)]
pub struct Introduction<'a> {
    /// The `Implementation` object of whoever sends (JSON text).
    pub client_info: &'a [u8],
    /// The `ClientCapabilities` object (JSON text).
    pub capabilities: &'a [u8],
    /// The least severe log message that is wanted; none is without it.
    pub log_level: Option<LogLevel>,
}

impl Introduction<'_> {
    /// The members of `_meta`, without braces.
    fn members(&self) -> BytesMut {
        let room = 160 + self.client_info.len() + self.capabilities.len();
        let mut out = BytesMut::with_capacity(room);
        let version = raw::string(ProtocolVersion::MODERN.name());
        for (name, value) in [
            (VERSION, &version[..]),
            (CLIENT_INFO, self.client_info),
            (CAPABILITIES, self.capabilities),
        ] {
            if !out.is_empty() {
                out.put_u8(b',');
            }
            put_member(&mut out, name, value);
        }
        if let Some(level) = self.log_level {
            out.put_u8(b',');
            put_member(&mut out, LOG_LEVEL, &raw::string(level.name()));
        }
        out
    }

    /// The parameters of a request of vmcp's own. `params` is a JSON object.
    pub fn introduce_params(&self, params: Option<&[u8]>) -> Bytes {
        let params = params.unwrap_or(b"{}");
        let meta = [b"{", &self.members()[..], b"}"].concat();
        match Members::parse(params) {
            Some(members) => raw::splice(params, vec![members.set("_meta", meta)]),
            None => Bytes::copy_from_slice(params),
        }
    }
}

impl Message {
    /// A modern client's request as a modern backend gets it: vmcp speaks for itself, with what the
    /// client can do. Made together with other edits.
    pub fn relayed(&self, mut edits: Vec<Edit>, client_info: &[u8]) -> Bytes {
        let meta = &self.params().meta;
        match (&meta.client_info, &meta.protocol_version) {
            (Some(span), _) => {
                edits.push(Edit { span: span.clone(), with: Bytes::copy_from_slice(client_info) });
            }
            (None, Some(version)) => {
                let mut with = BytesMut::from(&b","[..]);
                put_member(&mut with, CLIENT_INFO, client_info);
                edits.push(Edit { span: version.end..version.end, with: with.freeze() });
            }
            (None, None) => {}
        }
        let text = raw::splice(self.text(), edits);
        let names_server = |inner: &Range<usize>| {
            let inner = &self.text()[inner.clone()];
            NAMES_OF_SERVERS.iter().any(|name| name.find(inner).is_some())
        };
        match &meta.inner {
            Some(inner) if !names_server(inner) => text,
            None if !meta.present => text,
            Some(_) | None => without_meta(&text, |name| OF_SERVERS.contains(&name)),
        }
    }

    /// A legacy client's request as a modern backend gets it.
    pub fn introduced(&self, mut edits: Vec<Edit>, introduction: &Introduction<'_>) -> Bytes {
        let params = self.params();
        // Whatever the client says there under a name that the protocol keeps, vmcp speaks for itself.
        let is_plain = |inner: &Range<usize>| NAMESPACE.find(&self.text()[inner.clone()]).is_none();
        let (at, mut with, tail) = match (&params.meta.inner, params.first) {
            (Some(inner), _) if is_plain(inner) => (inner.start, BytesMut::new(), &b","[..]),
            (None, Some(first)) if !params.meta.present => {
                (first, BytesMut::from(&b"\"_meta\":{"[..]), &b"},"[..])
            }
            _ => return introduced_slowly(&raw::splice(self.text(), edits), introduction),
        };
        with.put(introduction.members());
        with.put_slice(tail);
        edits.push(Edit { span: at..at, with: with.freeze() });
        raw::splice(self.text(), edits)
    }

    /// A modern client's request as a legacy backend gets it: without what only the modern era knows.
    pub fn unreserved(&self, edits: Vec<Edit>) -> Bytes {
        self.without_reserved(edits, None)
    }

    /// The same under an id (JSON text) that no other request on the session has, which is its progress
    /// token too if it has one.
    pub fn bridged(&self, mut edits: Vec<Edit>, id: &Bytes) -> Bytes {
        if let Some(own) = self.id() {
            let span = raw::span_in(self.text(), own.text());
            edits.push(Edit { span, with: id.clone() });
        }
        self.without_reserved(edits, self.params().meta.progress_token.as_ref().map(|_| id))
    }

    fn without_reserved(&self, mut edits: Vec<Edit>, token: Option<&Bytes>) -> Bytes {
        let meta = &self.params().meta;
        let Some(inner) = &meta.inner else {
            let span = meta.progress_token.clone();
            edits.extend(span.zip(token).map(|(span, token)| Edit { span, with: token.clone() }));
            let text = raw::splice(self.text(), edits);
            return if meta.present { without_meta(&text, is_reserved) } else { text };
        };
        let object = [b"{", &self.text()[inner.clone()], b"}"].concat();
        let mut kept = raw::without(&object, is_reserved);
        if let Some(token) = token
            && let Some(members) = Members::parse(&kept)
        {
            kept = raw::splice(&kept, vec![members.set("progressToken", token.clone())]);
        }
        edits.push(Edit { span: inner.clone(), with: kept.slice(1..kept.len() - 1) });
        raw::splice(self.text(), edits)
    }
}

/// What only servers say.
const OF_SERVERS: [&str; 2] = [SERVER_INFO, SUBSCRIPTION_ID];

/// The same, ready to be looked for: to get ready takes longer than to look.
static NAMES_OF_SERVERS: LazyLock<[memmem::Finder<'static>; 2]> =
    LazyLock::new(|| OF_SERVERS.map(memmem::Finder::new));

/// What every name begins with that is said between two neighbours, ready to be looked for.
static NAMESPACE: LazyLock<memmem::Finder<'static>> =
    LazyLock::new(|| memmem::Finder::new("io.modelcontextprotocol/"));

/// A request without such members of its metadata.
fn without_meta(text: &Bytes, is_out: impl Fn(&str) -> bool) -> Bytes {
    let inner = |text: &[u8], name| Members::parse(text)?.span(name);
    let Some(params) = inner(text, "params") else { return text.clone() };
    let Some(meta) = inner(&text[params.clone()], "_meta") else { return text.clone() };
    let span = params.start + meta.start..params.start + meta.end;
    let with = raw::without(&text[span.clone()], is_out);
    raw::splice(text, vec![Edit { span, with }])
}

/// Whether this is said between two neighbours only, and so is vmcp's own.
fn is_reserved(name: &str) -> bool {
    matches!(name, VERSION | CLIENT_INFO | CAPABILITIES | LOG_LEVEL | SERVER_INFO | SUBSCRIPTION_ID)
}

/// The same for a request that has no parameters to begin with, or ones that are written strangely.
fn introduced_slowly(text: &Bytes, introduction: &Introduction<'_>) -> Bytes {
    let Some(message) = Members::parse(text) else { return text.clone() };
    let object = |members: &Members, text: &[u8], name| {
        let value = members.value(text, name).filter(|value| value.starts_with(b"{"));
        Bytes::copy_from_slice(value.unwrap_or(b"{}"))
    };
    let params = object(&message, text, "params");
    let Some(members) = Members::parse(&params) else { return text.clone() };
    let meta = object(&members, &params, "_meta");
    let kept = raw::without(&meta, is_reserved);
    let mut with = BytesMut::from(&b"{"[..]);
    with.put(introduction.members());
    if kept.len() > 2 {
        with.put_u8(b',');
    }
    with.put_slice(&kept[1..]);
    let params = raw::splice(&params, vec![members.set("_meta", with)]);
    raw::splice(text, vec![message.set("params", params)])
}

pub(crate) fn put_member(out: &mut BytesMut, name: &str, value: &[u8]) {
    out.put_slice(&raw::string(name));
    out.put_u8(b':');
    out.put_slice(value);
}

#[cfg(test)]
mod tests;
