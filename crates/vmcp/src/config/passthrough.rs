//! Headers of clients' requests that backends are passed: `passthroughHeaders`.

use std::sync::Arc;

use http::{HeaderName, header};
use vmcp_credentials::RESERVED;

use super::{outgoing::OutgoingAuth, reader::Reader};

/// Headers that are never passed on, besides those that belong to the transport: they hold credentials that are
/// meant for vmcp alone, say who stands on the way, or are written by vmcp itself.
pub(super) const REFUSED: [HeaderName; 13] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::FORWARDED,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    header::USER_AGENT,
    HeaderName::from_static("dpop"),
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("mcp-method"),
    HeaderName::from_static("mcp-name"),
];

/// Reads the names. None of them is one that backends are shown as well.
pub(super) fn read(root: &Reader<'_>, outgoing: &OutgoingAuth) -> Arc<[HeaderName]> {
    let mut names = Vec::new();
    for (value, text) in root.texts("passthroughHeaders") {
        let quoted = value.quoted();
        let Ok(name) = HeaderName::from_bytes(text.as_bytes()) else {
            value.problem(format!("{quoted} is not the name of a header"));
            continue;
        };
        if RESERVED.contains(&name) || REFUSED.contains(&name) || is_parameter(&name) {
            value.problem(format!(
                "{quoted} is not passed on: it belongs to one connection or to vmcp, or is a credential that \
                 is meant for vmcp; for what a backend is shown, see outgoingAuth"
            ));
        } else if outgoing.sets(&name) {
            value.problem(format!("{quoted} is set by outgoingAuth as well; keep one of the two"));
        } else if names.contains(&name) {
            value.warning(format!("{quoted} is listed twice"));
        } else {
            names.push(name);
        }
    }
    names.into()
}

/// Whether it repeats a parameter of a call (specification 2026-07-28, basic/transports/streamable-http).
fn is_parameter(name: &HeaderName) -> bool {
    name.as_str().starts_with("mcp-param-")
}
