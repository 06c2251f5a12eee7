//! Which `Host` and `Origin` headers are let in.
//!
//! A page of another site can make a browser send requests to this one, and by DNS rebinding read
//! the answers. Both headers give such requests away (specification 2025-11-25, basic/transports,
//! "Security Warning").

use std::{fmt, str::FromStr};

use http::{HeaderMap, HeaderValue, Uri, header, uri::Authority};
use vmcp_wire::Fault;

/// A host that requests may be meant for: a name or address, with a port or with any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    name: String,
    port: Option<u16>,
}

/// An origin whose pages may call: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedOrigin(String);

/// A configured host or origin that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPattern(&'static str);

/// Names that only this machine has.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// What is let in.
#[derive(Debug)]
pub(crate) struct Doors {
    hosts: Vec<AllowedHost>,
    origins: Vec<AllowedOrigin>,
}

impl Doors {
    /// Lets in what configuration names, and always loopback hosts; loopback origins unless
    /// configuration names origins.
    pub(crate) fn new(hosts: Vec<AllowedHost>, origins: Vec<AllowedOrigin>) -> Self {
        Self { hosts, origins }
    }

    /// Checks the host that a request is meant for.
    pub(crate) fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Fault> {
        let mut named = headers.get_all(header::HOST).iter();
        let host = match (named.next(), named.next()) {
            (Some(host), None) => host.to_str().ok().and_then(|host| host.parse().ok()),
            (None, _) => uri.authority().cloned(),
            (Some(_), Some(_)) => None,
        };
        let host: Authority =
            host.ok_or(Fault::Forbidden("the request needs one valid Host header".into()))?;
        if is_loopback(host.host()) || self.hosts.iter().any(|allowed| allowed.matches(&host)) {
            return Ok(());
        }
        let why = format!("host {:?} is not allowed; add it to allowedHosts", host.as_str());
        Err(Fault::Forbidden(why.into()))
    }

    /// Checks the origin of a request that a page made. Gives what is to be echoed to its browser.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Fault> {
        let mut named = headers.get_all(header::ORIGIN).iter();
        let Some(value) = named.next() else { return Ok(None) };
        let origin = value.to_str().ok().filter(|_| named.next().is_none());
        let allowed = origin.is_some_and(|origin| {
            if self.origins.is_empty() {
                return is_loopback_origin(origin);
            }
            self.origins.iter().any(|allowed| allowed.0.eq_ignore_ascii_case(origin))
        });
        if allowed {
            return Ok(Some(value.clone()));
        }
        let why = format!("origin {value:?} is not allowed; add it to allowedOrigins");
        Err(Fault::Forbidden(why.into()))
    }
}

impl AllowedHost {
    fn matches(&self, host: &Authority) -> bool {
        self.name.eq_ignore_ascii_case(host.host())
            && self.port.is_none_or(|port| host.port_u16() == Some(port))
    }
}

fn is_loopback(host: &str) -> bool {
    LOOPBACK.iter().any(|name| name.eq_ignore_ascii_case(host))
}

fn is_loopback_origin(origin: &str) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(is_loopback)
}

impl FromStr for AllowedHost {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let invalid = InvalidPattern("a host is a name or address, with or without a port");
        let authority: Authority = text.parse().map_err(|_error| invalid.clone())?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(invalid);
        }
        Ok(Self { name: authority.host().to_owned(), port: authority.port_u16() })
    }
}

impl FromStr for AllowedOrigin {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let invalid =
            InvalidPattern("an origin is scheme://host or scheme://host:port, nothing behind it");
        let uri: Uri = text.parse().map_err(|_error| invalid.clone())?;
        let whole = uri
            .scheme_str()
            .zip(uri.authority())
            .map(|(scheme, host)| format!("{scheme}://{host}"));
        match whole {
            Some(whole) if whole.eq_ignore_ascii_case(text) => Ok(Self(text.to_owned())),
            Some(_) | None => Err(invalid),
        }
    }
}

impl fmt::Display for InvalidPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidPattern {}

#[cfg(test)]
mod tests;
