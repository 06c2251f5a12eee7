//! Rules for tools that a backend does not have: what they hide or rename has another name by now.

use std::collections::BTreeSet;

use vmcp_catalog::ToolRules;
use vmcp_model::{Kind, Offer};

/// What to remark of a backend, given the rules for its tools.
pub(super) fn remarks(rules: &ToolRules, offer: &Offer) -> Vec<String> {
    let own: BTreeSet<&str> = offer.items(Kind::Tool).iter().map(|tool| tool.key()).collect();
    let after = |name: &&str| {
        let change = rules.overrides.get(*name);
        change.and_then(|change| change.name.clone()).unwrap_or_else(|| (*name).to_owned())
    };
    let shown: BTreeSet<String> = own.iter().map(after).collect();
    let overridden = rules.overrides.keys().filter(|name| !own.contains(name.as_str()));
    let overridden = overridden.map(|name| (name, "overrides"));
    let filtered = rules.filter.iter().filter(|name| !shown.contains(*name));
    let filtered = filtered.map(|name| (name, "filter, which has the names after overrides"));
    let unmatched = overridden.chain(filtered);
    unmatched
        .map(|(name, key)| format!("has no tool {name:?} for aggregation.tools' {key}"))
        .collect()
}
