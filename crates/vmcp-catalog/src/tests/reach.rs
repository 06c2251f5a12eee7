//! What holds of the reach of entries, for any offers, rules, own tools and rights, in both eras.

use std::{
    collections::{BTreeSet, hash_map::DefaultHasher},
    hash::{Hash as _, Hasher as _},
    sync::Arc,
};

use proptest::{
    collection::{btree_set, vec},
    prelude::*,
    sample::select,
};
use vmcp_model::Era;

use super::{
    BackendId, Catalog, Kind, Offer, Rules, item, json,
    own::own,
    properties::{BACKENDS, NAMES, any_offers, any_rules, in_map, listed},
    raw_item,
};
use crate::{Admission, Reach, Route, Target};

/// Names that backends' tools and prompts have or get, too.
const OWN: [&str; 5] = ["t", "a_t", "b_t", "same_x", "vmcp_status"];

/// A part of all keys: those whose bit of 64 is set.
#[derive(Debug, Clone, Copy)]
struct Part(u64);

impl Part {
    fn has(self, kind: Kind, key: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        (kind, key).hash(&mut hasher);
        self.0 >> (hasher.finish() % 64) & 1 == 1
    }
}

/// One case: what is merged, and what a caller may use and is listed of it.
#[derive(Debug, Clone)]
struct Case {
    offers: Vec<(&'static str, Offer)>,
    rules: Rules,
    era: Era,
    allowed: Part,
    listed: Part,
}

impl Case {
    fn merged(&self) -> Arc<Catalog> {
        Arc::new(crate::merge(&in_map(self.offers.clone()), &self.rules, self.era).0)
    }

    fn restricted(&self) -> Arc<Catalog> {
        self.merged()
            .restricted(|item| self.allowed.has(item.kind, item.key).then_some(Admission::Free))
    }

    fn listing(&self) -> Arc<Catalog> {
        self.restricted().listing(|item| self.listed.has(item.kind, item.key))
    }
}

fn any_case() -> impl Strategy<Value = Case> {
    // Some that clients of one era read otherwise, or not at all.
    let odd = vec((select(&BACKENDS), select(&NAMES), any::<bool>()), 0..4);
    let templates = vec((select(&BACKENDS), select(&["x:t", "x:{a}", "x:{a}t"])), 0..4);
    let rules = (any_rules(), btree_set(select(&OWN), 0..4), any::<bool>()).prop_map(
        |(rules, names, keep_hidden)| {
            let own = names.into_iter().map(own).collect();
            Rules { own, keep_hidden, ..rules }
        },
    );
    let parts = (any::<u64>().prop_map(Part), any::<u64>().prop_map(Part));
    let eras = select(&[Era::Legacy, Era::Modern]);
    (any_offers(), odd, templates, rules, eras, parts).prop_map(
        |(mut offers, odd, templates, rules, era, (allowed, listed))| {
            let mut add = |backend: &str, kind, item| {
                let place = BACKENDS.iter().position(|one| *one == backend).expect("one of them");
                offers[place].1.items_mut(kind).push(item);
            };
            for (backend, name, is_modern) in odd {
                add(backend, Kind::Tool, odd_tool(name, is_modern));
            }
            for (backend, template) in templates {
                let kind = Kind::ResourceTemplate;
                add(backend, kind, item(kind, template));
            }
            Case { offers, rules, era, allowed, listed }
        },
    )
}

/// One that legacy clients do not read, or not whole.
fn odd_tool(name: &str, is_modern: bool) -> vmcp_model::Item {
    let json = json(Kind::Tool, name);
    let plain = r#"{"type":"object"}"#;
    raw_item(
        Kind::Tool,
        &match is_modern {
            true => json.replace(plain, r#"{"type":"object","properties":{"x":5}}"#),
            false => json.replace(plain, r#"{"type":"object"},"outputSchema":{"type":"array"}"#),
        },
    )
}

/// Every key of any of these catalogs, and some that none has.
fn keys(catalogs: &[&Catalog], kind: Kind) -> BTreeSet<String> {
    let held = catalogs.iter().flat_map(|catalog| catalog.all(kind));
    let held = held.map(|entry| entry.key.to_string());
    let guesses = BACKENDS.into_iter().flat_map(|backend| {
        NAMES.into_iter().flat_map(move |name| [format!("{backend}_{name}"), format!("x:{name}")])
    });
    let names = NAMES.into_iter().chain(OWN).map(str::to_owned);
    held.chain(guesses).chain(names).collect()
}

/// The lookup by kind, of what is listed. A resource is also found by a template, so lists are asked.
fn looked_up<'a>(catalog: &'a Catalog, kind: Kind, key: &str) -> Option<&'a Route> {
    match kind {
        Kind::Tool => catalog.tool(key),
        Kind::Prompt => catalog.prompt(key),
        Kind::Resource => catalog.resource(key).filter(|_| catalog.lists(key)),
        Kind::ResourceTemplate => catalog.template(key),
    }
}

proptest! {
    /// What is listed, page after page, is what is found as listed; who reaches farther finds that too.
    #[test]
    fn what_is_listed_is_what_can_be_found(case in any_case()) {
        for catalog in [case.merged(), case.restricted(), case.listing()] {
            for kind in Kind::ALL {
                let items = listed(&catalog, kind);
                let on_pages: Vec<_> =
                    items.iter().map(|item| item[kind.key()].as_str().expect("a key")).collect();
                let distinct: BTreeSet<_> = on_pages.iter().copied().collect();
                prop_assert_eq!(distinct.len(), on_pages.len());
                prop_assert_eq!(&on_pages, &catalog.keys(kind).collect::<Vec<_>>());
                prop_assert_eq!(catalog.len(kind), on_pages.len());
                for key in keys(&[&catalog], kind) {
                    let found = |within| catalog.find(kind, &key, within);
                    let [near, farther, farthest] = Reach::ALL.map(found);
                    prop_assert_eq!(near.is_some(), distinct.contains(&*key), "{}", &key);
                    prop_assert_eq!(looked_up(&catalog, kind, &key), near);
                    prop_assert!(near.is_none() || near == farther, "{}", &key);
                    prop_assert!(farther.is_none() || farther == farthest, "{}", &key);
                }
            }
            prop_assert_eq!(catalog.is_empty(), Kind::ALL.iter().all(|kind| catalog.len(*kind) == 0));
        }
    }

    /// What is not allowed is found by nobody; what is, is found where it was.
    #[test]
    fn what_is_denied_is_out_of_reach_and_the_rest_stays(case in any_case()) {
        let (merged, restricted, listing) = (case.merged(), case.restricted(), case.listing());
        for kind in Kind::ALL {
            for key in keys(&[&merged, &restricted, &listing], kind) {
                for within in Reach::ALL {
                    let there = merged.find(kind, &key, within);
                    let expected = there.filter(|_| case.allowed.has(kind, &key));
                    prop_assert_eq!(restricted.find(kind, &key, within), expected, "{}", &key);
                    let is_near = case.listed.has(kind, &key) || within > Reach::Listed;
                    let expected = expected.filter(|_| is_near);
                    prop_assert_eq!(listing.find(kind, &key, within), expected, "{}", &key);
                }
                let denied = !case.allowed.has(kind, &key);
                prop_assert!(!(denied && looked_up(&restricted, kind, &key).is_some()));
            }
        }
    }

    /// A tool of vmcp's own is listed and found as any other, and nobody else has its name.
    #[test]
    fn an_own_tool_is_reached_like_any_other(case in any_case()) {
        let (merged, restricted) = (case.merged(), case.restricted());
        for own in &case.rules.own {
            let expected = Target::Own(own.tool());
            let found = merged.tool(own.name());
            prop_assert_eq!(found.map(|route| &route.target), Some(&expected));
            let found = restricted.tool(own.name()).map(|route| &route.target);
            let is_allowed = case.allowed.has(Kind::Tool, own.name());
            prop_assert_eq!(found, is_allowed.then_some(&expected));
        }
        let owns = merged.all(Kind::Tool).iter().filter(|entry| entry.route.backend().is_none());
        prop_assert_eq!(owns.count(), case.rules.own.len());
        let backends: Vec<_> = merged.backends().iter().map(BackendId::as_str).collect();
        prop_assert_eq!(backends, BACKENDS);
    }

    /// Nothing that clients see, and nothing that is reported, tells whether hidden tools are kept.
    #[test]
    fn hidden_tools_are_nobodys_business(case in any_case()) {
        let offers = in_map(case.offers.clone());
        let merge = |keep_hidden| {
            let rules = Rules { keep_hidden, ..case.rules.clone() };
            crate::merge(&offers, &rules, case.era)
        };
        let ((kept, reported), (plain, reported_too)) = (merge(true), merge(false));
        prop_assert_eq!(reported, reported_too);
        prop_assert!(!kept.changed(&plain).any());
        prop_assert_eq!(kept.capabilities(), plain.capabilities());
        for kind in Kind::ALL {
            prop_assert!(plain.all(kind).iter().all(|entry| entry.reach == Reach::Listed));
            for key in plain.keys(kind) {
                prop_assert_eq!(kept.find(kind, key, Reach::Hidden), looked_up(&plain, kind, key));
            }
            let routes: Vec<_> = plain.keys(kind).map(|key| looked_up(&plain, kind, key)).collect();
            let hidden = kept.all(kind).iter().filter(|entry| entry.reach > Reach::Listed);
            for entry in hidden {
                prop_assert!(kind == Kind::Tool && !routes.contains(&Some(&entry.route)));
            }
        }
    }

    /// Each stored form reads back as what it was, and the first one is written wherever it does.
    #[test]
    fn both_stored_forms_come_back_equal(case in any_case()) {
        for catalog in [case.merged(), case.restricted(), case.listing()] {
            let stored = catalog.to_bytes();
            let entries = Kind::ALL.into_iter().flat_map(|kind| catalog.all(kind));
            let is_plain = entries.clone().all(|entry| {
                entry.reach == Reach::Listed && entry.route.backend().is_some()
            });
            let head = format!(r#"{{"version":{},"#, if is_plain { 1 } else { 2 });
            prop_assert!(stored.starts_with(head.as_bytes()));
            let back = Catalog::from_bytes(&stored).expect("our own bytes");
            prop_assert_eq!(back.digest(), catalog.digest());
            prop_assert_eq!(back.to_bytes(), stored);
            for kind in Kind::ALL {
                prop_assert_eq!(listed(&back, kind), listed(&catalog, kind));
                for key in keys(&[&catalog], kind) {
                    for within in Reach::ALL {
                        prop_assert_eq!(back.find(kind, &key, within), catalog.find(kind, &key, within));
                    }
                }
            }
        }
    }

    #[test]
    fn no_bytes_of_the_second_form_panic(
        case in any_case(), place in any::<proptest::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut stored = case.listing().to_bytes().to_vec();
        let place = place.index(stored.len());
        stored[place] = byte;
        if let Ok(read) = Catalog::from_bytes(&stored) {
            prop_assert_eq!(&read.to_bytes()[..], &stored[..]);
        }
    }
}
