//! What the reference system has and this one has not: which values ask for nothing there, and what
//! it means that a key or a word does nothing here.
//!
//! A text goes on after "is not supported yet". Where access depends on it, it says so, and never
//! advises to do without.

use super::tree::Content;

pub(super) const AUTHORIZATION: &str = ": without it everybody who may call at all may call every \
                                        tool; do not serve this file with vmcp until then";
pub(super) const OF_CEDAR: &str = ": it goes with cedar, without which callers are not told apart; do \
                                   not serve this file with vmcp until then";
pub(super) const CLIENT: &str = "has no effect: it is for tokens that the issuer is asked about, and \
                                 here tokens must be JWTs, which are checked with the issuer's keys";
pub(super) const INTROSPECTION: &str = ": tokens must be JWTs, and others are refused; remove it if \
                                        your tokens are JWTs";
pub(super) const DISCOVERED: &str = ": no backend's own authentication is found here, and a backend \
                                     is shown nothing but what outgoingAuth says; write source: \
                                     inline, and a strategy for each backend under \
                                     outgoingAuth.backends";
pub(super) const STRATEGY: &str = ": nothing here can stand for it, as a fixed header would show the \
                                   backend the same caller whoever calls; leave this backend out \
                                   until then";
pub(super) const OF_STRATEGY: &str = ": it goes with a type that is not either; leave this backend out \
                                      until then";
pub(super) const OWN_STRATEGY: &str = ": no backend's own authentication is found here; give this one \
                                       the type and what goes with it";
pub(super) const TOOL_CONFIG: &str = ": what that resource hides would be shown; write its filter and \
                                      its overrides here";
pub(super) const AUDIT: &str = ": no record of who called what is written; do not serve this file with \
                                vmcp where one is required, otherwise remove it";
pub(super) const RATE_LIMITING: &str = ": a caller may call as often as limits and the backends allow; \
                                        do not serve this file with vmcp where that is too much, \
                                        otherwise remove it";
pub(super) const PASSTHROUGH: &str = ": backends do not get these headers of clients, and what they \
                                      decide by them they decide without; remove it if they can";
pub(super) const COMPOSITE: &str = "; remove it to go without composite tools";
pub(super) const TELEMETRY: &str = "; remove it to go without metrics and traces";
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
    /// None: whoever writes the key wants something.
    Never,
    /// Nothing, an empty text, list or map.
    Empty,
    /// The same, or a map in which everything is empty.
    Hollow,
    /// For a feature that is on wherever its key has a value.
    Null,
    /// For one that is on unless it is switched off.
    Disabled,
    /// For one that is off unless it is switched on.
    NotEnabled,
    /// Telemetry that nobody is told of.
    Untold,
    /// Entities of policies that are none.
    NoEntities,
}

/// Where telemetry goes.
pub(super) const TELLS: [&str; 2] = ["endpoint", "enablePrometheusMetricsPath"];

impl Off {
    pub(super) fn holds(self, content: &Content) -> bool {
        let is_map = matches!(content, Content::Map(_));
        match self {
            Self::Never => false,
            Self::Empty => is_empty(content),
            Self::Hollow => is_empty(content) || is_hollow(content),
            Self::Null => matches!(content, Content::Null),
            Self::Disabled => matches!(content, Content::Null) || says_no(content, "enabled"),
            Self::NotEnabled => is_empty(content) || is_map && is_zero(content, "enabled"),
            Self::Untold => {
                is_empty(content) || is_map && TELLS.iter().all(|key| is_zero(content, key))
            }
            Self::NoEntities => {
                is_empty(content) || matches!(content, Content::Text(text) if text.trim() == "[]")
            }
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
