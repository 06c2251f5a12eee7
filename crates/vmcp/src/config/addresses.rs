//! How the server is reached, and by whom: `allowedHosts`, `allowedOrigins`, `publicUrl`,
//! `trustedProxies`.

use std::net::IpAddr;

use http::{Uri, uri::Authority};
use vmcp_server::TrustedNetwork;

use crate::compose::ENDPOINT;

use super::{reader::Reader, url, value::Value};

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

/// Reads the URL by which clients reach the server; without a slash at the end.
pub(super) fn public_url(root: &Reader<'_>) -> Option<String> {
    let value = root.value("publicUrl")?;
    let url = url::of_base(&value)?;
    if url.authority().is_none_or(|authority| host(authority.as_str()).is_none()) {
        value.problem("names no host that clients could ask; write one name or address");
        return None;
    }
    if url.scheme_str() != Some("https") && !is_loopback(&url) {
        value.warning(format!(
            "{} is not an https URL: whoever is on the way can read and change what clients send and get",
            value.quoted()
        ));
    }
    let path = url.path().trim_end_matches('/');
    let (scheme, authority) = (url.scheme()?, url.authority()?);
    let public = format!("{scheme}://{authority}{path}");
    if path.ends_with(ENDPOINT) {
        value.warning(format!(
            "names the endpoint, whose path is put behind it: clients are sent to {public}{ENDPOINT}; write \
             it without {ENDPOINT} if that is not meant"
        ));
    }
    Some(public)
}

/// Whether requests of other machines may be addressed to something.
pub(super) fn are_reached(hosts: &[String], public_url: Option<&str>) -> bool {
    let is_local = |host: &str| host.parse::<Authority>().is_ok_and(|host| is_own(host.host()));
    let is_public = |url: &str| url.parse::<Uri>().is_ok_and(|url| !is_loopback(&url));
    hosts.iter().any(|host| !is_local(host)) || public_url.is_some_and(is_public)
}

pub(super) fn is_loopback(url: &Uri) -> bool {
    is_own(url.host().unwrap_or_default())
}

/// Whether a host is what only this machine calls itself.
fn is_own(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Reads the networks of proxies that are believed.
pub(super) fn trusted_proxies(root: &Reader<'_>) -> Vec<TrustedNetwork> {
    each(root, "trustedProxies", |value, text| {
        let Ok(network) = text.parse::<TrustedNetwork>() else {
            value.problem(format!(
                "{} is not a network; write it like 10.0.0.0/8, or an address",
                value.quoted()
            ));
            return None;
        };
        if network.is_everything() {
            value.warning(
                "is every address: whoever reaches vmcp can say to be at any; list the proxies alone",
            );
        } else if network.names_an_address() {
            value.warning(format!(
                "is the whole network {}; write that, or the address alone",
                network.whole()
            ));
        }
        Some(network)
    })
}

fn each<T: PartialEq>(
    root: &Reader<'_>,
    key: &str,
    read: impl Fn(&Value<'_>, &str) -> Option<T>,
) -> Vec<T> {
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
