//! URIs that are written in another way than their backend writes them.
//!
//! Clients put URIs through URL classes, which write schemes and hosts in small letters and encode what is
//! not ASCII. A server compares letter by letter. So a URI that leads nowhere as it stands is looked for
//! in its normal form, and sent as its backend has listed it.

use std::collections::HashMap;

use url::Url;
use vmcp_model::percent_decoded;

use crate::template::{Matcher, Steps};

/// The longest URI that is looked for in this way, in bytes.
const MAX_URI: usize = 8 * 1024;

/// The listed resources by their normal forms, each with its place in the list.
#[derive(Debug)]
pub(crate) struct Spellings(HashMap<Box<str>, usize>);

impl Spellings {
    /// Of two URIs with one normal form the first counts.
    pub(crate) fn of<'a>(uris: impl Iterator<Item = &'a str>) -> Self {
        let mut places = HashMap::new();
        for (place, uri) in uris.enumerate() {
            if let Some(normal) = normal(uri) {
                places.entry(normal.into_boxed_str()).or_insert(place);
            }
        }
        Self(places)
    }

    /// The place of the resource that a URI means.
    pub(crate) fn place(&self, uri: &str) -> Option<usize> {
        self.0.get(&*normal(uri)?).copied()
    }
}

/// A URI as templates might write it: with their scheme, and what stands behind it as it is or without
/// needless encoding.
pub(crate) struct Candidates<'a> {
    scheme: &'a str,
    rests: Vec<(&'a str, Matcher<'a>)>,
}

impl<'a> Candidates<'a> {
    /// Those of a URI that is this without needless encoding. `None` if it has no scheme or is too long.
    pub(crate) fn of(uri: &'a str, plain: &'a str) -> Option<Self> {
        if uri.len() > MAX_URI {
            return None;
        }
        let ((scheme, rest), (_, plain)) = (uri.split_once(':')?, plain.split_once(':')?);
        let mut rests = vec![rest, plain];
        rests.dedup();
        let rests = rests.into_iter().map(|rest| (rest, Matcher::new(rest))).collect();
        Some(Self { scheme, rests })
    }

    /// The URI as this template would write it. `None` if it could not.
    pub(crate) fn as_template(&mut self, template: &str, steps: &mut Steps) -> Option<String> {
        let (scheme, behind) = template.split_once(':')?;
        if !scheme.eq_ignore_ascii_case(self.scheme) {
            return None;
        }
        let rest = self
            .rests
            .iter_mut()
            .find_map(|(rest, matcher)| matcher.fits(behind, steps).then_some(rest))?;
        Some(format!("{scheme}:{rest}"))
    }
}

/// What two ways to write a URI have in common: the form of the URL standard, without the encoding of
/// letters, digits and `-._~`, which need none (RFC 3986, section 6.2.2).
///
/// `None` of what is no URL or too long.
pub fn normal(uri: &str) -> Option<String> {
    if uri.len() > MAX_URI {
        return None;
    }
    Some(decoded(Url::parse(uri).ok()?.as_str()))
}

/// Where a URI leads whose dot segments, or what is around them, are encoded: no reader of URLs decodes a slash, but
/// many a server does. `None` if it has none.
pub fn climbing(uri: &str) -> Option<String> {
    let bytes = percent_decoded(uri.as_bytes());
    let text = String::from_utf8_lossy(&bytes).replace('\\', "/");
    let climbs = text.split(['/', '?', '#']).any(|segment| segment == "..");
    climbs.then(|| normal(&text)).flatten()
}

/// Text in which nothing is percent-encoded that need not be, and what is, in capitals.
pub(crate) fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        out.push_str(before);
        let digits = behind.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte.map(char::from), digits) {
            (Some(letter), _) if letter.is_ascii_alphanumeric() || "-._~".contains(letter) => {
                out.push(letter);
                rest = &behind[2..];
            }
            (_, Some(digits)) => {
                out.push('%');
                out.push_str(&digits.to_ascii_uppercase());
                rest = &behind[2..];
            }
            (_, None) => {
                out.push('%');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}
