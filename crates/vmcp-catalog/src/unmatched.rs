//! Rules for tools that a backend does not have: what they hide or rename has another name by now.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use vmcp_model::{BackendId, Kind, Offer};

use crate::{
    dropped::{DropReason, Dropped},
    rules::{Rules, ToolRules},
};

/// Every rule that no tool of its backend answers to. A backend without tools has perhaps not said yet
/// which it has.
pub(crate) fn rules(
    offers: &BTreeMap<BackendId, Arc<Offer>>,
    rules: &Rules,
) -> impl Iterator<Item = Dropped> {
    let with_tools = offers.iter().filter(|(_, offer)| !offer.items(Kind::Tool).is_empty());
    let with_rules = with_tools.filter_map(|(id, offer)| Some((id, offer, rules.tools.get(id)?)));
    with_rules.flat_map(|(backend, offer, rules)| {
        let unmatched = unmatched(rules, offer).into_iter();
        unmatched.map(|(name, rule)| Dropped {
            kind: Some(Kind::Tool),
            key: name.to_owned(),
            backend: backend.clone(),
            reason: DropReason::NotThere { rule },
        })
    })
}

fn unmatched<'r>(rules: &'r ToolRules, offer: &Offer) -> Vec<(&'r str, &'static str)> {
    let own: BTreeSet<&str> = offer.items(Kind::Tool).iter().map(|tool| tool.key()).collect();
    let after = |name: &&str| {
        let change = rules.overrides.get(*name);
        change.and_then(|change| change.name.clone()).unwrap_or_else(|| (*name).to_owned())
    };
    let shown: BTreeSet<String> = own.iter().map(after).collect();
    let overridden = rules.overrides.keys().filter(|name| !own.contains(name.as_str()));
    let overridden = overridden.map(|name| (name.as_str(), "overrides"));
    let listed = [("filter", &rules.filter), ("exclude", &rules.exclude)];
    let listed = listed.into_iter().flat_map(|(rule, names)| {
        names.iter().filter(|name| !shown.contains(*name)).map(move |name| (name.as_str(), rule))
    });
    overridden.chain(listed).collect()
}
