//! URLs of servers, as they may stand in the file.

use http::Uri;

use super::value::Value;

/// A URL of http or https. `credentials` says what to do about some that stand in it.
pub(super) fn http(value: &Value<'_>, credentials: &str) -> Option<Uri> {
    let text = value.text()?;
    if text.contains('#') {
        value.problem("has a fragment (#), which is never sent; remove it");
        return None;
    }
    let url = text.parse::<Uri>().ok();
    let authority = url.as_ref().and_then(Uri::authority);
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        value.problem(format!("holds credentials; {credentials}"));
        return None;
    }
    // What follows the colon after the host is no port if the library makes nothing of it.
    let port_is_fine = authority.is_some_and(|authority| {
        let port = authority.as_str().strip_prefix(authority.host());
        port == Some("") || authority.port_u16().is_some_and(|port| port > 0)
    });
    let fine = |url: &Uri| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|host| !host.is_empty())
            && port_is_fine
    };
    let url = url.filter(fine);
    if url.is_none() {
        // Whatever precedes an @ may be a password, and what follows a question mark a token.
        let quoted = if text.contains('@') { "the value".to_owned() } else { value.quoted() };
        let quoted = match quoted.split_once('?') {
            Some((before, _)) => format!("{before}?…\""),
            None => quoted,
        };
        value.problem(format!("{quoted} is not an http or https URL"));
    }
    url
}
