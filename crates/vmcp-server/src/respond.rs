//! The responses that the edge gives.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};
use vmcp_wire::{Fault, Id, headers, reply};

use crate::body::Body;

/// A JSON body with status 200.
pub(crate) fn json(text: Bytes) -> Response<Body> {
    typed(StatusCode::OK, headers::JSON, Body::whole(text))
}

/// The same for a body in parts.
pub(crate) fn json_parts(parts: [Bytes; 3]) -> Response<Body> {
    typed(StatusCode::OK, headers::JSON, Body::parts(parts))
}

/// A body of known type.
pub(crate) fn typed(status: StatusCode, media_type: HeaderValue, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    response
}

/// A stream of events, which nothing on the way may hold back.
pub(crate) fn events(body: Body) -> Response<Body> {
    as_events(Response::new(body))
}

/// The same for a response that may have headers of its own.
pub(crate) fn as_events(mut response: Response<Body>) -> Response<Body> {
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, headers::EVENT_STREAM);
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    fields.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Whether a method only reads.
pub(crate) fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The answer to a method that does more, where there is nothing to do.
pub(crate) fn only_reads() -> Response<Body> {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// No body.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A failure of a request, told with its id.
pub(crate) fn failed(id: Option<Id<'_>>, fault: &Fault) -> Response<Body> {
    failed_with(fault.status(), id, fault)
}

/// The same as an answer like any other.
pub(crate) fn answered(id: Option<Id<'_>>, fault: &Fault) -> Response<Body> {
    failed_with(StatusCode::OK, id, fault)
}

/// A failure of a modern request, told with its id.
pub(crate) fn modern_failed(id: Option<Id<'_>>, fault: &Fault) -> Response<Body> {
    let text = reply::modern_error(id, fault);
    with_hints(typed(fault.modern_status(), headers::JSON, Body::whole(text)), fault)
}

/// A failure of a message that has no response, so that only the status can tell it
/// (specification 2025-11-25, basic/transports: "an HTTP error status code").
pub(crate) fn not_taken(fault: &Fault) -> Response<Body> {
    let status = match fault.status() {
        StatusCode::OK => StatusCode::BAD_REQUEST,
        status => status,
    };
    failed_with(status, None, fault)
}

/// A caller that must prove who it is, or has failed to (RFC 6750, section 3).
pub(crate) fn unauthorized(
    error: &str,
    fault: &Fault,
    challenge: Option<HeaderValue>,
) -> Response<Body> {
    let text = serde_json::json!({"error": error, "error_description": fault.to_string()});
    let mut response = typed(fault.status(), headers::JSON, Body::whole(text.to_string()));
    if let Some(challenge) = challenge {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn failed_with(status: StatusCode, id: Option<Id<'_>>, fault: &Fault) -> Response<Body> {
    with_hints(typed(status, headers::JSON, Body::whole(reply::error(id, fault))), fault)
}

/// A failure with the headers that say what to do.
fn with_hints(mut response: Response<Body>, fault: &Fault) -> Response<Body> {
    if let Some(seconds) = fault.retry_after().filter(|_| !response.status().is_success()) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if matches!(fault, Fault::UnsupportedCoding) {
        let none = HeaderValue::from_static("identity");
        response.headers_mut().insert(header::ACCEPT_ENCODING, none);
    }
    if matches!(fault, Fault::MethodNotAllowed) {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST, GET, DELETE"));
    }
    response
}
