//! What the reference system has and this one has not: which values ask for nothing there, and what
//! it means that a key or a word does nothing here.
//!
//! A text goes on after "is not supported yet". Where access depends on it, it says so, and never
//! advises to do without.

use super::tree::{Content, Entry};

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

/// Nothing, an empty text, list or map.
pub(super) fn is_empty(content: &Content) -> bool {
    match content {
        Content::Null => true,
        Content::Text(text) => text.is_empty(),
        Content::List(items) => items.is_empty(),
        Content::Map(entries) => entries.is_empty(),
    }
}

/// For a feature that is on wherever its key has a value.
pub(super) fn is_null(content: &Content) -> bool {
    matches!(content, Content::Null)
}

/// For one that is on unless it is switched off.
pub(super) fn is_disabled(content: &Content) -> bool {
    is_null(content) || says(content, "enabled", false)
}

/// For one that is off unless it is switched on.
pub(super) fn is_not_enabled(content: &Content) -> bool {
    is_empty(content) || matches!(content, Content::Map(_)) && is_zero(content, "enabled")
}

/// Telemetry that nobody is told of.
pub(super) fn is_untold(content: &Content) -> bool {
    let has_nowhere_to_go =
        ["endpoint", "enablePrometheusMetricsPath"].iter().all(|key| is_zero(content, key));
    is_empty(content) || matches!(content, Content::Map(_)) && has_nowhere_to_go
}

/// Entities of policies that are none.
pub(super) fn has_no_entities(content: &Content) -> bool {
    is_empty(content) || matches!(content, Content::Text(text) if text.trim() == "[]")
}

/// Whether a key is absent, or its value is what an absent one means.
fn is_zero(content: &Content, key: &str) -> bool {
    under(content, key).is_none_or(|entry| is_empty(&entry.node.content))
        || says(content, key, false)
}

fn says(content: &Content, key: &str, wanted: bool) -> bool {
    let said = under(content, key).map(|entry| &entry.node.content);
    matches!(said, Some(Content::Text(text)) if super::units::flag(text) == Some(wanted))
}

fn under<'a>(content: &'a Content, key: &str) -> Option<&'a Entry> {
    match content {
        Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
        Content::Null | Content::Text(_) | Content::List(_) => None,
    }
}
