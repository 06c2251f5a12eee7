//! JSON kept as bytes: where an object's members stand, and how to replace some of them.
//!
//! Reading finds spans, writing splices them, so that everything vmcp does not touch stays exactly
//! as its author wrote it: numbers, key order, spacing and unknown members included.

use std::{borrow::Cow, fmt, ops::Range};

use bytes::{Bytes, BytesMut};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

mod cursor;

pub use cursor::{Cursor, NotJson, has_control};

/// Where the members of one JSON object stand in the text that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// In the order of the text.
    entries: Vec<Member>,
    /// Just behind the opening brace.
    open: usize,
}

/// One member of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name with its escapes resolved.
    pub name: Box<str>,
    /// Where the value stands.
    pub value: Range<usize>,
}

/// Up to so many members are compared with each other.
const FEW: usize = 8;

impl Members {
    /// Reads an object. `None` if the text is not one well-formed JSON object.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let Borrowed(pairs) = serde_json::from_slice(json).ok()?;
        let open = json.iter().position(|byte| *byte == b'{')? + 1;
        let entries = pairs
            .into_iter()
            .map(|(name, value)| Member {
                name: name.into_owned().into_boxed_str(),
                value: span_in(json, value.get().as_bytes()),
            })
            .collect();
        Some(Self { entries, open })
    }

    /// The members in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Member> {
        self.entries.iter()
    }

    /// Where the value of the first member of this name stands.
    pub fn span(&self, name: &str) -> Option<Range<usize>> {
        self.entries.iter().find(|member| &*member.name == name).map(|member| member.value.clone())
    }

    /// The text of the first member of this name. `json` is the text that was parsed.
    pub fn value<'a>(&self, json: &'a [u8], name: &str) -> Option<&'a [u8]> {
        self.span(name).map(|span| &json[span])
    }

    /// Whether two readers could find different members under this name: it stands there more than
    /// once, as [`same_name`] compares.
    pub fn is_ambiguous(&self, name: &str) -> bool {
        self.entries.iter().filter(|member| same_name(&member.name, name)).count() > 1
    }

    /// The first of these names under which two readers could find different members.
    pub fn ambiguous<'n>(&self, names: &[&'n str]) -> Option<&'n str> {
        let twins = || {
            let mut rest = self.entries.iter();
            std::iter::from_fn(|| Some((rest.next()?, rest.clone())))
                .any(|(one, mut others)| others.any(|other| same_name(&one.name, &other.name)))
        };
        // Nearly all objects have few members, and no two that are alike.
        if self.entries.len() <= FEW && !twins() {
            return None;
        }
        names.iter().copied().find(|name| self.is_ambiguous(name))
    }

    /// The edit that gives a member a new value: in its place, or else as the first member.
    pub fn set(&self, name: &str, value: impl Into<Bytes>) -> Edit {
        let value = value.into();
        if let Some(span) = self.span(name) {
            return Edit { span, with: value };
        }
        let mut with = BytesMut::from(string(name).as_slice());
        with.extend_from_slice(b":");
        with.extend_from_slice(&value);
        if !self.entries.is_empty() {
            with.extend_from_slice(b",");
        }
        Edit { span: self.open..self.open, with: with.freeze() }
    }
}

/// An object without the members that are to be left out. Text that is no object stays as it is.
pub fn without(object: &[u8], left_out: impl Fn(&str) -> bool) -> Bytes {
    let Some(members) = Members::parse(object) else { return Bytes::copy_from_slice(object) };
    let mut text = BytesMut::with_capacity(object.len());
    text.extend_from_slice(b"{");
    for member in members.iter().filter(|member| !left_out(&member.name)) {
        if text.len() > 1 {
            text.extend_from_slice(b",");
        }
        text.extend_from_slice(&string(&member.name));
        text.extend_from_slice(b":");
        text.extend_from_slice(&object[member.value.clone()]);
    }
    text.extend_from_slice(b"}");
    text.freeze()
}

/// A replacement of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// What is taken out.
    pub span: Range<usize>,
    /// What is put in its place.
    pub with: Bytes,
}

/// Applies edits that do not overlap, in any order.
///
/// # Panics
/// If two spans overlap or one lies outside the text, which only a mistake in the caller can cause.
pub fn splice(text: &[u8], mut edits: Vec<Edit>) -> Bytes {
    edits.sort_by_key(|edit| edit.span.start);
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut out = BytesMut::with_capacity(text.len() + added);
    let mut done = 0;
    for edit in edits {
        out.extend_from_slice(&text[done..edit.span.start]);
        out.extend_from_slice(&edit.with);
        done = edit.span.end;
    }
    out.extend_from_slice(&text[done..]);
    out.freeze()
}

/// Where `part`, a piece of `whole`, stands in it.
///
/// # Panics
/// If `part` does not point into `whole`.
pub fn span_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize)
        .checked_sub(whole.as_ptr() as usize)
        .filter(|start| start + part.len() <= whole.len())
        .expect("the part was borrowed from the whole");
    start..start + part.len()
}

/// Whether some reader takes two names for the same member.
///
/// Go's `encoding/json` does not tell cases apart, and by Unicode's simple folding U+017F is an `s`
/// and U+212A a `k`. No other letter folds to one of ASCII, which the names that matter consist of.
#[inline]
pub fn same_name(one: &str, other: &str) -> bool {
    // Nearly all names differ in their first letters, which costs least to see.
    if let (Some(first), Some(others)) = (one.as_bytes().first(), other.as_bytes().first())
        && first.is_ascii()
        && others.is_ascii()
        && !first.eq_ignore_ascii_case(others)
    {
        return false;
    }
    if one.eq_ignore_ascii_case(other) {
        return true;
    }
    if one.is_ascii() && other.is_ascii() {
        return false;
    }
    let folded = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    };
    one.chars().map(folded).eq(other.chars().map(folded))
}

/// The text of a JSON string, or `None` if the value is something else.
pub fn as_string(value: &[u8]) -> Option<String> {
    serde_json::from_slice(value).ok()
}

/// The elements of a JSON array as spans of the text, or `None` if the value is something else.
pub fn elements(array: &[u8]) -> Option<Vec<Range<usize>>> {
    let items: Vec<&RawValue> = serde_json::from_slice(array).ok()?;
    Some(items.into_iter().map(|item| span_in(array, item.get().as_bytes())).collect())
}

/// Text as a JSON string, quotes included.
pub fn string(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("a string is always valid JSON")
}

/// The members of an object, borrowed from its text.
struct Borrowed<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Borrowed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Borrowed<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    pairs.push((name, map.next_value()?));
                }
                Ok(Borrowed(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// A member's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests;
