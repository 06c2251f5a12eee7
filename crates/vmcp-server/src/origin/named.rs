//! Hosts and origins as headers name them.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A host with or without a port: the value of a `Host` header (RFC 9110, section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named<'a> {
    /// As it was written.
    pub(crate) text: &'a str,
    /// A name, an address, or one of IPv6 in brackets.
    pub(super) name: &'a str,
    pub(super) port: Option<u16>,
}

impl<'a> Named<'a> {
    /// Reads one. `None` for what is none: userinfo and ports that cannot be are no part of it.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let end = match text.strip_prefix('[') {
            Some(address) => {
                let end = address.find(']')?;
                address[..end].parse::<Ipv6Addr>().ok()?;
                end + 2
            }
            None => text.bytes().position(|byte| byte == b':').unwrap_or(text.len()),
        };
        let (name, port) = text.split_at(end);
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            // There may be a colon and nothing behind it (RFC 3986, section 3.2.3).
            Some("") => None,
            Some(digits) => Some(port_of(digits)?),
        };
        let is_name = name.starts_with('[') || (!name.is_empty() && name.bytes().all(is_of_name));
        is_name.then_some(Self { text, name, port })
    }

    /// Whether it is an address, and so no name that leads elsewhere the next time.
    pub(crate) fn is_address(&self) -> bool {
        self.name.starts_with('[') || self.name.parse::<Ipv4Addr>().is_ok()
    }

    /// Whether both name the same.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(other.name) && self.port == other.port
    }
}

/// The scheme and the host of a serialized origin (RFC 6454, section 6.2). `None` for what is none.
pub(super) fn origin(text: &str) -> Option<(&str, Named<'_>)> {
    let (scheme, host) = text.split_once("://")?;
    let mut letters = scheme.bytes();
    let is_scheme = letters.next().is_some_and(|first| first.is_ascii_alphabetic())
        && letters.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let host = Named::parse(host).filter(|host| !host.text.ends_with(':'))?;
    is_scheme.then_some((scheme, host))
}

fn port_of(digits: &str) -> Option<u16> {
    // `parse` would also take a sign.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Whether a byte may stand in a name: unreserved, a sub-delimiter or of an escape (RFC 3986, section
/// 3.2.2).
fn is_of_name(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$')
        || matches!(byte, b'&'..=b',' | b';' | b'=')
}
