//! Who has asked, and on whose behalf, out of what a token says.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::{
    event::{Event, Text},
    text::cut,
};

/// The longest value that is shown of a claim, in bytes.
const MAX_CLAIM: usize = 256;

/// Who has asked.
#[derive(Debug, Serialize)]
pub(crate) struct Subjects<'a> {
    user: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_version: Option<&'a str>,
}

/// Who acts for the user: the last one first (RFC 8693, section 4.1).
#[derive(Debug, Serialize)]
pub(crate) struct Delegation<'a> {
    actors: Vec<Actor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted: Option<usize>,
}

#[derive(Debug, Serialize)]
struct Actor<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
}

/// The claims of an event's caller; none if there are none, or they are no object.
pub(crate) fn claims(event: &Event) -> Map<String, Value> {
    let json = event.claims.as_deref().unwrap_or_default();
    serde_json::from_slice(json).unwrap_or_default()
}

impl<'a> Subjects<'a> {
    /// Who has asked, and by which client. A client is what it calls itself, or what its token calls it.
    pub(crate) fn new(event: &'a Event, claims: &'a Map<String, Value>) -> Self {
        let names = ["name", "preferred_username", "email"];
        let user = names.into_iter().find_map(|name| claim(claims, name));
        Self {
            user: user.unwrap_or("anonymous"),
            user_id: claim(claims, "sub"),
            issuer: event.issuer.as_deref().map(|issuer| cut(issuer, MAX_CLAIM)),
            client_name: event.text(Text::ClientName).or_else(|| claim(claims, "client_name")),
            client_version: event
                .text(Text::ClientVersion)
                .or_else(|| claim(claims, "client_version")),
        }
    }
}

impl<'a> Delegation<'a> {
    /// Reads the chain of actors as far as so many of them. `None` if the user has asked itself.
    pub(crate) fn new(claims: &'a Map<String, Value>, depth: usize) -> Option<Self> {
        let next = |claims: &'a Map<String, Value>| claims.get("act").and_then(Value::as_object);
        let chain = || std::iter::successors(next(claims), |actor| next(actor));
        let omitted = chain().count().saturating_sub(depth);
        let actor = |actor| Actor {
            sub: claim(actor, "sub"),
            iss: claim(actor, "iss"),
            client_id: claim(actor, "client_id"),
        };
        next(claims)?;
        Some(Self {
            actors: chain().take(depth).map(actor).collect(),
            truncated: (omitted > 0).then_some(true),
            omitted: (omitted > 0).then_some(omitted),
        })
    }
}

/// A claim that is a text, as far as it is shown.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = claims.get(name)?.as_str()?;
    Some(cut(text, MAX_CLAIM)).filter(|text| !text.is_empty())
}
