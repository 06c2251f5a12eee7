//! Where the server listens and from where it may be reached: `admin`, `allowedHosts`,
//! `allowedOrigins`.

use std::net::SocketAddr;

use http::uri::Authority;

use super::{reader::Reader, value::Value};

/// Reads the address of the operators' listener.
pub(super) fn listen(reader: &Reader<'_>) -> Option<SocketAddr> {
    let value = reader.value("listen")?;
    let address = value.text()?.parse().ok();
    if address.is_none() {
        let quoted = value.quoted();
        value.problem(format!("{quoted} is not an IP address and port; write 127.0.0.1:9090"));
    }
    address
}

/// Reads the hosts that requests may be addressed to.
pub(super) fn hosts(root: &Reader<'_>) -> Vec<String> {
    each(root, "allowedHosts", |value, text| {
        let host = host(text);
        if host.is_none() {
            value.problem(format!("{} is not host or host:port", value.quoted()));
        }
        host
    })
}

/// Reads the web origins that requests may come from.
pub(super) fn origins(root: &Reader<'_>) -> Vec<String> {
    each(root, "allowedOrigins", |value, text| {
        let origin = origin(text);
        if origin.is_none() {
            value.problem(format!(
                "{} is not an origin; write scheme://host or scheme://host:port",
                value.quoted()
            ));
        }
        origin
    })
}

fn each(
    root: &Reader<'_>,
    key: &str,
    read: impl Fn(&Value<'_>, &str) -> Option<String>,
) -> Vec<String> {
    let mut all = Vec::new();
    for (value, text) in root.texts(key) {
        let Some(item) = read(&value, &text) else { continue };
        if all.contains(&item) {
            value.warning(format!("{} is listed twice", value.quoted()));
        } else {
            all.push(item);
        }
    }
    all
}

/// `host` or `host:port`, in lower case.
fn host(text: &str) -> Option<String> {
    let authority: Authority = text.parse().ok()?;
    let name = authority.host();
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    // The library has checked what stands in brackets.
    let fine = name.starts_with('[') || (!name.is_empty() && name.chars().all(allowed));
    let port = text.strip_prefix(name)?;
    let port_fine = port.is_empty() || authority.port_u16().is_some_and(|port| port > 0);
    (fine && port_fine).then(|| text.to_ascii_lowercase())
}

/// An origin as browsers write it (RFC 6454, section 6.2): a default port is left out.
fn origin(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let scheme_fine =
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(allowed);
    let scheme = scheme.to_ascii_lowercase();
    let host = host(rest)?;
    let default_port = match scheme.as_str() {
        "http" => ":80",
        "https" => ":443",
        _ => "",
    };
    let host = host.strip_suffix(default_port).unwrap_or(&host);
    scheme_fine.then(|| format!("{scheme}://{host}"))
}
