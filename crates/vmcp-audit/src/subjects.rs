//! Who has asked, and on whose behalf, out of what a token says.

use serde_json::{Map, Value};
use vmcp_model::Claims;

use crate::{
    event::{Event, Text},
    json::{Object, object},
    text::cut,
};

/// The longest value that is shown of a claim, in bytes.
const MAX_CLAIM: usize = 256;

/// The claims that records show. `act` is the chain of who acts for the user.
const SHOWN: [&str; 7] =
    ["name", "preferred_username", "email", "sub", "client_name", "client_version", "act"];

/// Reads of a caller's claims those that records show; none if they are no object.
pub(crate) fn read(claims: &Claims) -> Map<String, Value> {
    let mut all: Map<_, _> = serde_json::from_slice(claims.json()).unwrap_or_default();
    all.retain(|name, _| SHOWN.contains(&name.as_str()));
    all
}

/// Writes who has asked, and by which client. A client is what it calls itself, or what its token calls it.
pub(crate) fn write(subjects: &mut Object<'_>, event: &Event, claims: &Map<String, Value>) {
    let user =
        ["name", "preferred_username", "email"].into_iter().find_map(|name| claim(claims, name));
    subjects.text("user", user.unwrap_or("anonymous"));
    subjects.any("user_id", claim(claims, "sub"));
    subjects.any("issuer", event.issuer.as_deref().map(|issuer| cut(issuer, MAX_CLAIM)));
    let of_client = |text, name| event.text(text).or_else(|| claim(claims, name));
    subjects.any("client_name", of_client(Text::ClientName, "client_name"));
    subjects.any("client_version", of_client(Text::ClientVersion, "client_version"));
}

/// Writes who acts for the user, the last one first (RFC 8693, section 4.1), as far as so many of them. Nothing if
/// the user has asked itself.
pub(crate) fn write_delegation(line: &mut Object<'_>, claims: &Map<String, Value>, depth: usize) {
    fn actor_of(claims: &Map<String, Value>) -> Option<&Map<String, Value>> {
        claims.get("act").and_then(Value::as_object)
    }
    let Some(first) = actor_of(claims) else { return };
    let chain = || std::iter::successors(Some(first), |actor| actor_of(actor));
    line.object("delegation", |delegation| {
        let actors = delegation.member("actors");
        actors.push(b'[');
        for (place, actor) in chain().take(depth).enumerate() {
            if place > 0 {
                actors.push(b',');
            }
            object(actors, |shown| {
                for name in ["sub", "iss", "client_id"] {
                    shown.any(name, claim(actor, name));
                }
            });
        }
        actors.push(b']');
        let omitted = chain().count().saturating_sub(depth);
        if omitted > 0 {
            delegation.member("truncated").extend_from_slice(b"true");
            delegation.integer("omitted", omitted);
        }
    });
}

/// A claim that is a text, as far as it is shown.
fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = claims.get(name)?.as_str()?;
    Some(cut(text, MAX_CLAIM)).filter(|text| !text.is_empty())
}
