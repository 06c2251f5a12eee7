//! A request as it is described once, and written in the way of the connection that takes it.
//!
//! For HTTP/1.1 that is bytes; only HTTP/2, which hyper speaks, needs a map of headers.

use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};
use http_body_util::Full;
use vmcp_credentials::{Outbound, Shown};
use vmcp_http1::write;
use vmcp_model::Passed;
use vmcp_wire::{Lines, headers, lines};

use crate::{session::Session, subject::Subject};

/// A body up to this size is copied behind the head, so that both are one piece.
const SMALL_BODY: usize = 2 << 10;

/// Room for a head and a small body, and then for the head of the answer.
const ROOM: usize = 4 << 10;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    /// Where it goes, whole.
    pub(super) target: &'a Uri,
    /// What every request carries.
    pub(super) base: &'a HeaderMap,
    /// It is handed to a proxy, which is told the whole target (RFC 9112, section 3.2.2).
    pub(super) hands_over: bool,
    pub(super) session: Option<&'a Session>,
    /// On whose behalf it is sent.
    pub(super) subject: Option<&'a Subject>,
    /// What proves that, if that is no fixed header. Put in when it is at hand, so that the request need not be
    /// copied for it.
    pub(super) shown: OnceLock<Shown>,
    /// Headers of the caller's request that are passed on.
    pub(super) passed: OnceLock<Arc<Passed>>,
    pub(super) lines: Option<&'a Lines>,
    pub(super) accept: Option<HeaderValue>,
    pub(super) last_event_id: Option<HeaderValue>,
    /// Its body, which is JSON.
    pub(super) text: Option<Bytes>,
}

impl Request<'_> {
    /// The bytes for HTTP/1.1: the head, and that part of the body which is not behind it already.
    pub(super) fn to_http1(&self) -> (BytesMut, Bytes) {
        let mut head = BytesMut::with_capacity(ROOM);
        // With no path but a query, `path_and_query` does not begin with a slash.
        let target = self.target.path_and_query().map_or("/", |target| target.as_str());
        if self.hands_over {
            write::request_line(&mut head, &self.method, &self.target.to_string());
        } else if target.starts_with('/') {
            write::request_line(&mut head, &self.method, target);
        } else {
            write::request_line(&mut head, &self.method, &format!("/{target}"));
        }
        self.each_header(|name, value| write::header(&mut head, name, value));
        let Some(text) = &self.text else {
            write::head_end(&mut head);
            return (head, Bytes::new());
        };
        write::content_length(&mut head, text.len() as u64);
        write::head_end(&mut head);
        if text.len() > SMALL_BODY {
            return (head, text.clone());
        }
        head.extend_from_slice(text);
        (head, Bytes::new())
    }

    /// The request for HTTP/2, where the target says which host is meant.
    pub(super) fn to_http2(&self) -> http::Request<Full<Bytes>> {
        let mut request = http::Request::new(Full::new(self.text.clone().unwrap_or_default()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.target.clone();
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.reserve(self.base.len() + 8);
        self.each_header(|name, value| {
            if *name != header::HOST {
                headers.append(name.clone(), value.clone());
            }
        });
        request
    }

    /// All headers but the body's length.
    fn each_header(&self, mut put: impl FnMut(&HeaderName, &HeaderValue)) {
        let repeat = self.lines.is_some_and(Lines::repeat);
        let traces = |name: &str| self.lines.is_some_and(|lines| lines.traces(name));
        for (name, value) in self.base {
            let is_told = repeat && [lines::METHOD, lines::NAME].contains(name);
            let is_shown = self.shown.get().is_some_and(|shown| shown.sets(name));
            if !is_told && !is_shown && !traces(name.as_str()) {
                put(name, value);
            }
        }
        if let Some(shown) = self.shown.get() {
            let body = self.text.as_deref().unwrap_or_default();
            let outbound = Outbound { method: &self.method, target: self.target, body };
            shown.each_header(outbound, &mut put);
        }
        let passed = self.passed.get().into_iter().flat_map(|passed| passed.headers());
        for (name, value) in passed.filter(|(name, _)| !traces(name)) {
            // What came in as a header is one.
            if let (Ok(name), Ok(mut value)) =
                (HeaderName::try_from(name), HeaderValue::from_maybe_shared(value.clone()))
            {
                value.set_sensitive(true);
                put(&name, &value);
            }
        }
        if let Some(session) = self.session.filter(|_| !repeat) {
            put(&headers::PROTOCOL_VERSION, &HeaderValue::from_static(session.version.name()));
        }
        if let Some(id) = self.session.and_then(|session| session.id.as_ref()) {
            put(&headers::SESSION_ID, id);
        }
        if self.text.is_some() {
            put(&header::CONTENT_TYPE, &headers::JSON);
        }
        if let Some(accept) = &self.accept {
            put(&header::ACCEPT, accept);
        }
        if let Some(id) = &self.last_event_id {
            put(&headers::LAST_EVENT_ID, id);
        }
        if let Some(lines) = self.lines {
            lines.each(put);
        }
    }
}
