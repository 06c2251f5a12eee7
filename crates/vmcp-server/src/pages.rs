//! What browsers are told of pages that call (Fetch standard, "CORS protocol").

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use vmcp_wire::lines;

use crate::{body::Body, respond};

/// What a page may send with a request. The parameters of tools have headers of their own names.
const ALLOWED_HEADERS: &str = "content-type, accept, authorization, dpop, last-event-id, mcp-session-id, mcp-protocol-version, mcp-method, mcp-name";

/// How many headers of parameters a page may ask for at once.
const PARAMETERS: usize = 64;

/// The answer to a browser that asks whether a page may call (Fetch standard, CORS preflight).
pub(crate) fn preflight(asked: &HeaderMap, methods: &'static str) -> Response<Body> {
    let mut allowed = ALLOWED_HEADERS.to_owned();
    let asked = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let asked = asked.and_then(|asked| asked.to_str().ok()).unwrap_or_default().split(',');
    let names = asked.filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok());
    let parameters = names.filter(|name| name.as_str().starts_with(lines::PARAMETER));
    for name in parameters.take(PARAMETERS) {
        allowed.push_str(", ");
        allowed.push_str(name.as_str());
    }
    let mut response = respond::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    if let Ok(allowed) = HeaderValue::from_str(&allowed) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Lets the page of this origin read a response.
pub(crate) fn allow_page(response: &mut Response<Body>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("mcp-session-id, mcp-protocol-version, www-authenticate"),
    );
}
