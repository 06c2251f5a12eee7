//! What the reference system has and this one has not: which values ask for nothing there, and what
//! it means that a key or a word does nothing here.
//!
//! A text goes on after "is not supported yet". Where access depends on it, it says so, and never
//! advises to do without.

use super::tree::Content;

pub(super) const UPSTREAM_CLAIMS: &str = ": callers are judged by the claims of the token that they show, and \
                                          no other is known here; leave it out to judge them by that one";
#[cfg(not(feature = "kubernetes"))]
pub(super) const DISCOVERED: &str = " by this vmcp, which was built without it; use a released vmcp or its image, build \
                                     one with cargo build --release --features kubernetes, or write source: inline, \
                                     the list backends, and a strategy for each backend under \
                                     outgoingAuth.backends";
pub(super) const UPSTREAM: &str = ": it needs the embedded authorization server, which vmcp does not have yet; \
                                   leave this backend out until then";
pub(super) const PROVIDER: &str = ": it needs the embedded authorization server, which vmcp does not have yet; \
                                   leave it out if the token that callers show is the one to exchange";
pub(super) const CACHE_SKEW: &str = "has no effect: a token is renewed when it is used after 80% of its life, and \
                                     never used after its end";
pub(super) const OWN_STRATEGY: &str = ": no backend's own authentication is found here; give this one \
                                       the type and what goes with it";
pub(super) const TOOL_CONFIG: &str = ": what that resource hides would be shown; write its filter and \
                                      its overrides here";
pub(super) const RATE_LIMITING: &str = ": a caller may call as often as limits and the backends allow; \
                                        do not serve this file with vmcp where that is too much, \
                                        otherwise remove it";
pub(super) const COMPOSITE: &str = "; remove it to go without composite tools";
pub(super) const OPTIMIZER: &str =
    "; remove it to show all tools in place of find_tool and call_tool";
pub(super) const CODE_MODE: &str = "; remove it to go without execute_tool_script";

/// Whether an unknown key, wherever it stands, is probably about who may call what.
pub(super) fn decides_upon_calls(key: &str) -> bool {
    let letters = key.chars().filter(char::is_ascii_alphanumeric);
    let key = letters.collect::<String>().to_ascii_lowercase();
    ["authz", "authoriz", "authoris", "cedar", "policies", "policy"]
        .iter()
        .any(|word| key.contains(word))
}

/// Which values of a key ask for nothing in the reference system, and are as if it were absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Off {
    /// Nothing, an empty text, list or map.
    Empty,
    /// The same, or a map in which everything is empty.
    Hollow,
    /// For a feature that is on wherever its key has a value.
    Null,
    /// For one that is off unless it is switched on.
    NotEnabled,
}

impl Off {
    pub(super) fn holds(self, content: &Content) -> bool {
        let is_map = matches!(content, Content::Map(_));
        match self {
            Self::Empty => is_empty(content),
            Self::Hollow => is_empty(content) || is_hollow(content),
            Self::Null => matches!(content, Content::Null),
            Self::NotEnabled => is_empty(content) || is_map && is_zero(content, "enabled"),
        }
    }
}

/// Nothing, an empty text, list or map.
pub(super) fn is_empty(content: &Content) -> bool {
    match content {
        Content::Null => true,
        Content::Text(text) => text.is_empty(),
        Content::List(items) => items.is_empty(),
        Content::Map(entries) => entries.is_empty(),
    }
}

fn is_hollow(content: &Content) -> bool {
    matches!(content, Content::Map(entries) if entries.iter().all(|entry| is_empty(&entry.node.content)))
}

/// Whether a key is absent, or its value is what an absent one means.
fn is_zero(content: &Content, key: &str) -> bool {
    content.under(key).is_none_or(|entry| is_empty(&entry.node.content)) || says_no(content, key)
}

fn says_no(content: &Content, key: &str) -> bool {
    let said = content.under(key).map(|entry| &entry.node.content);
    matches!(said, Some(Content::Text(text)) if super::units::flag(text) == Some(false))
}
