//! URIs that are written in another way than their backend writes them.
//!
//! Clients put URIs through URL classes, which write schemes and hosts in small letters and encode what is
//! not ASCII. A server compares letter by letter. So a URI that leads nowhere as it stands is looked for
//! in its normal form, and sent as its backend has listed it.

use std::collections::HashMap;

use url::Url;

use crate::template::Template;

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

/// The URI as a template would write it. `None` if it could not.
pub(crate) fn as_template(uri: &str, key: &str, template: &Template) -> Option<String> {
    let (theirs, rest) = uri.split_once(':')?;
    let (scheme, _) = key.split_once(':')?;
    if uri.len() > MAX_URI || !scheme.eq_ignore_ascii_case(theirs) {
        return None;
    }
    let candidates = [format!("{scheme}:{rest}"), format!("{scheme}:{}", decoded(rest))];
    candidates.into_iter().find(|candidate| template.matches(candidate))
}

/// What two ways to write a URI have in common: the form of the URL standard, without the encoding of
/// letters, digits and `-._~`, which need none (RFC 3986, section 6.2.2).
fn normal(uri: &str) -> Option<String> {
    if uri.len() > MAX_URI {
        return None;
    }
    Some(decoded(Url::parse(uri).ok()?.as_str()))
}

/// Text in which nothing is percent-encoded that need not be, and what is, in capitals.
fn decoded(text: &str) -> String {
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
