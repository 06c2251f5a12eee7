//! What proxies write of the requests that they pass on: `X-Forwarded-*`, and `Forwarded` (RFC 7239).
//!
//! Each proxy adds its piece at the end of a list. So lists are read from there, one piece at a time: what
//! stands further to the left may be the client's, and must not decide how the pieces of proxies are read.

use std::{
    iter,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use http::HeaderMap;

pub(super) const FORWARDED: &str = "forwarded";

/// What one proxy says in `Forwarded`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hop<'h> {
    /// Whether it says from where it had the request.
    pub(super) names_client: bool,
    /// From where that was, if that is an address.
    pub(super) client: Option<IpAddr>,
    pub(super) proto: Option<&'h str>,
    pub(super) host: Option<&'h str>,
}

/// The pieces of a list, the last one first, over however many lines it goes. Empty ones are none (RFC 9110,
/// section 5.6.1.2). What is no text is empty.
pub(super) fn from_the_end<'h>(
    headers: &'h HeaderMap,
    name: &str,
) -> impl Iterator<Item = &'h str> {
    let lines = headers.get_all(name).into_iter().rev();
    lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b',')).filter(is_there).map(text)
}

/// What the proxies say, the nearest first; `None` for one that cannot be read.
pub(super) fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<Hop<'_>>> {
    let lines = headers.get_all(FORWARDED).into_iter().rev();
    let pieces = lines.flat_map(|line| split_from_the_end(line.as_bytes(), b','));
    pieces.filter(is_there).map(|piece| hop(text(piece)))
}

/// The address of a machine, as it is known by: with a port or without, IPv6 in brackets or not. `None` for
/// `unknown`, for names that proxies make up, and for everything else.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    let (address, port) = match text.strip_prefix('[') {
        Some(text) => {
            let (address, port) = text.split_once(']')?;
            let address = IpAddr::V6(address.parse::<Ipv6Addr>().ok()?);
            if port.is_empty() {
                return Some(address.to_canonical());
            }
            (address, port.strip_prefix(':')?)
        }
        None => {
            let (address, port) = text.split_once(':')?;
            (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), port)
        }
    };
    is_port(port).then(|| address.to_canonical())
}

/// A number, or a name that a proxy has made up (RFC 7239, section 6).
fn is_port(text: &str) -> bool {
    let made_up = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match text.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.chars().all(made_up),
        None => text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok(),
    }
}

/// One piece: parameters, each at most once.
fn hop(piece: &str) -> Option<Hop<'_>> {
    // Nothing that has to be escaped stands in what is of interest here, and without escapes it is certain
    // where quotes begin and end.
    if piece.contains('\\') {
        return None;
    }
    let (mut client, mut proto, mut host) = (None, None, None);
    for pair in split_from_the_end(piece.as_bytes(), b';').map(text) {
        let (name, value) = pair.split_once('=')?;
        let value = unquoted(value)?;
        let place = match name {
            _ if name.eq_ignore_ascii_case("for") => &mut client,
            _ if name.eq_ignore_ascii_case("proto") => &mut proto,
            _ if name.eq_ignore_ascii_case("host") => &mut host,
            _ => continue,
        };
        if place.replace(value).is_some() {
            return None;
        }
    }
    Some(Hop { names_client: client.is_some(), client: client.and_then(address), proto, host })
}

fn unquoted(value: &str) -> Option<&str> {
    let value = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"')?,
        None => value,
    };
    (!value.contains('"')).then_some(value)
}

/// Splits at what stands outside of quotes.
fn split_from_the_end(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    iter::from_fn(move || {
        let text = rest?;
        let mut is_quoted = false;
        let at = text.iter().rposition(|byte| {
            is_quoted ^= *byte == b'"';
            *byte == separator && !is_quoted
        });
        rest = at.map(|at| &text[..at]);
        Some(at.map_or(text, |at| &text[at + 1..]))
    })
}

fn is_there(piece: &&[u8]) -> bool {
    piece.iter().any(|byte| !matches!(byte, b' ' | b'\t'))
}

fn text(piece: &[u8]) -> &str {
    str::from_utf8(piece).unwrap_or_default().trim_matches([' ', '\t'])
}
