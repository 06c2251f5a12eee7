//! Which `Host` and `Origin` headers are let in.
//!
//! A page of another site can make a browser send requests to this one, and by DNS rebinding read
//! the answers. Both headers give such requests away (specification 2025-11-25, basic/transports,
//! "Security Warning").

use std::{fmt, str::FromStr};

use http::{HeaderMap, HeaderValue, Request, Version, header};
use vmcp_wire::Fault;

pub(crate) use named::Named;
use named::origin;

mod named;

/// A host that requests may be meant for: a name or address, with a port or with any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    /// Any if `None`.
    name: Option<String>,
    port: Option<u16>,
}

/// An origin whose pages may call: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedOrigin(String);

/// A configured host or origin that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPattern(pub(crate) &'static str);

/// Names that only this machine has.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

const NO_HOST: &str = "the request needs one Host header with a host, and a port if there is one";

/// The host that a request is meant for, `None` if it may leave that open. One that is told in a wrong
/// way, or in two, is refused whatever it asks for.
pub(crate) fn host_of<B>(request: &Request<B>) -> Result<Option<Named<'_>>, Fault> {
    let bad = || Fault::InvalidRequest(NO_HOST.into());
    let headers = request.headers();
    let line = headers.get(header::HOST).map(|line| line.to_str().ok().and_then(Named::parse));
    let line = line.map(|line| line.ok_or_else(bad)).transpose()?;
    // Most requests have no header twice.
    let is_doubled =
        headers.len() > headers.keys_len() && headers.get_all(header::HOST).iter().nth(1).is_some();
    let target = request.uri().authority();
    let target = target.map(|target| Named::parse(target.as_str()).ok_or_else(bad)).transpose()?;
    match (request.version(), target, line) {
        _ if is_doubled => Err(bad()),
        // It knew no hosts.
        (Version::HTTP_10, target, line) => Ok(target.or(line)),
        // RFC 9112, sections 3.2 and 3.2.2: the target counts, and Host must stand there all the same.
        (Version::HTTP_11, target, Some(line)) => Ok(Some(target.unwrap_or(line))),
        (Version::HTTP_11, _, None) => Err(bad()),
        // RFC 9113, section 8.3.1: Host says the same, if it is there.
        (_, Some(target), Some(line)) if !target.is_same(&line) => {
            Err(Fault::InvalidRequest("the Host header differs from :authority".into()))
        }
        (_, target, line) => target.or(line).map(Some).ok_or_else(bad),
    }
}

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
    pub(crate) fn check_host(&self, host: Option<Named<'_>>) -> Result<(), Fault> {
        let host = host.ok_or(Fault::InvalidRequest(NO_HOST.into()))?;
        if is_loopback(host.name) || self.hosts.iter().any(|allowed| allowed.matches(&host)) {
            return Ok(());
        }
        let why = format!("host {:?} is not allowed; add it to allowedHosts", host.text);
        Err(Fault::Forbidden(why.into()))
    }

    /// Checks the origin of a request that a page made. Gives what is to be echoed to its browser.
    pub(crate) fn check_origin(&self, headers: &HeaderMap) -> Result<Option<HeaderValue>, Fault> {
        let mut named = headers.get_all(header::ORIGIN).iter();
        let Some(value) = named.next() else { return Ok(None) };
        // Said twice is said once, unless it is two things.
        let origin = value.to_str().ok().filter(|_| named.all(|other| other == value));
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
    /// Any host: for servers whose names nobody can tell them. Pages of other sites are kept out by their origin
    /// alone then.
    pub fn any() -> Self {
        Self { name: None, port: None }
    }

    fn matches(&self, host: &Named<'_>) -> bool {
        self.name.as_ref().is_none_or(|name| name.eq_ignore_ascii_case(host.name))
            && self.port.is_none_or(|port| host.port == Some(port))
    }
}

fn is_loopback(host: &str) -> bool {
    LOOPBACK.iter().any(|name| name.eq_ignore_ascii_case(host))
}

fn is_loopback_origin(text: &str) -> bool {
    origin(text)
        .is_some_and(|(scheme, host)| matches!(scheme, "http" | "https") && is_loopback(host.name))
}

impl FromStr for AllowedHost {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let host = Named::parse(text)
            .ok_or(InvalidPattern("a host is a name or address, with or without a port"))?;
        Ok(Self { name: Some(host.name.to_owned()), port: host.port })
    }
}

impl FromStr for AllowedOrigin {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        origin(text).ok_or(InvalidPattern(
            "an origin is scheme://host or scheme://host:port, nothing behind it",
        ))?;
        Ok(Self(text.to_owned()))
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
