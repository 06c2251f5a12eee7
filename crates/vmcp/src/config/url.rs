//! URLs of servers, as they may stand in the file.

use http::Uri;

use super::{expand, value::Value};

/// What a message says a URL should be.
struct Wanted {
    /// What to do about credentials that stand in it.
    credentials: &'static str,
    example: &'static str,
}

const BACKEND: Wanted =
    Wanted { credentials: "move them to outgoingAuth", example: "http://127.0.0.1:8080/mcp" };
const ISSUER: Wanted = Wanted { credentials: "remove them", ..BACKEND };
const BASE: Wanted = Wanted { example: "https://mcp.example.com", ..ISSUER };

/// The URL of a backend. A fragment is never sent and is taken off: the reference system writes the
/// name of a server there.
pub(super) fn of_backend(value: &Value<'_>) -> Option<Uri> {
    value.warn_of_shell_variables();
    let text = value.text()?;
    let text = text.split_once('#').map_or(&*text, |(before, _)| before);
    read(value, text, &BACKEND)
}

/// A URL that others compare with their own, as it is written.
pub(super) fn of_issuer(value: &Value<'_>) -> Option<Uri> {
    without_fragment(value, &ISSUER)
}

/// The same with TLS, unless the key of this name is set.
pub(super) fn secure(value: &Value<'_>, (key, is_set): (&str, bool)) -> Option<Uri> {
    let url = of_issuer(value)?;
    if url.scheme_str() != Some("https") && !is_set {
        value.problem(format!(
            "{} is not an https URL; write it with https, or, where the server has no TLS, set {key}: true",
            value.quoted()
        ));
        return None;
    }
    Some(url)
}

/// A URL that others are told, with something behind it.
pub(super) fn of_base(value: &Value<'_>) -> Option<Uri> {
    let text = value.text()?;
    let is_of_urls = |c: char| c.is_ascii_graphic() && !"\"\\<>^`{|}".contains(c);
    if let Some(wrong) = text.chars().find(|c| !is_of_urls(*c)) {
        value.problem(format!(
            "holds {wrong:?}, which a URL cannot hold as it is; write it escaped, as %20 for a space, and names of \
             hosts outside of ASCII as xn--…"
        ));
        return None;
    }
    let url = without_fragment(value, &BASE)?;
    if url.query().is_some() {
        value.problem("has a query, and others are put behind it; remove the query");
        return None;
    }
    let path = url.path().to_ascii_lowercase().replace("%2e", ".");
    let path = path.strip_suffix('/').unwrap_or(&path);
    if path.split('/').skip(1).any(|segment| matches!(segment, "" | "." | "..")) {
        value.problem(
            "has \"//\", \"/./\" or \"/../\" in its path, which clients and proxies take in different ways; \
             remove it",
        );
        return None;
    }
    Some(url)
}

fn without_fragment(value: &Value<'_>, wanted: &Wanted) -> Option<Uri> {
    let text = value.text()?;
    if text.contains('#') {
        value.problem("has a fragment (#), which is never sent; remove it");
        return None;
    }
    read(value, &text, wanted)
}

/// A URL of http or https.
fn read(value: &Value<'_>, text: &str, wanted: &Wanted) -> Option<Uri> {
    let Wanted { credentials, example } = wanted;
    let url = text.parse::<Uri>().ok();
    let authority = url.as_ref().and_then(Uri::authority);
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        value.problem(format!("holds credentials; {credentials}"));
        return None;
    }
    let host_and_port = host_and_port(text);
    if let Some(name) = host_and_port.and_then(|(host, _)| expand::shell_variable(host)) {
        value.problem(format!(
            "no host has a $ in its name; write ${{{name}}} for the value of the environment \
             variable {name}"
        ));
        return None;
    }
    if let Some((_, Some(port))) = host_and_port
        && !port.parse::<u16>().is_ok_and(|port| port > 0)
        && !text.contains('@')
    {
        value.problem(format!("{}: its port is not between 1 and 65535", shown(value, text)));
        return None;
    }
    if host_and_port.is_some_and(|(host, _)| host.is_empty()) {
        let shown = shown(value, text);
        value.problem(format!("{shown} lacks a host; write it like {example}"));
        return None;
    }
    let url = url
        .filter(|url| host_and_port.is_some() && url.host().is_some_and(|host| !host.is_empty()));
    if url.is_none() {
        value.problem(format!(
            "{} is not an http or https URL; write it like {example}",
            shown(value, text)
        ));
    }
    url
}

/// The host of a URL of http or https, and what stands where its port would.
fn host_and_port(text: &str) -> Option<(&str, Option<&str>)> {
    let (scheme, rest) = text.split_once("://")?;
    let known = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    let authority = rest.split(['/', '?']).next().filter(|_| known)?;
    // Between brackets colons are part of an address.
    let after_brackets = authority.rfind(']').unwrap_or_default();
    match authority[after_brackets..].find(':') {
        Some(colon) => {
            let (host, port) = authority.split_at(after_brackets + colon);
            Some((host, Some(&port[1..])))
        }
        None => Some((authority, None)),
    }
}

/// A URL for a message. Whatever precedes an @ may be a password, and what follows a question mark a
/// token.
fn shown(value: &Value<'_>, text: &str) -> String {
    let quoted = if text.contains('@') { "the value".to_owned() } else { value.quoted() };
    match quoted.split_once('?') {
        Some((before, _)) => format!("{before}?…\""),
        None => quoted,
    }
}
