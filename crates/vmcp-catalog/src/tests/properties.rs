//! What holds for any offers, rules, cursors and templates.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*, sample::select};

use super::{
    BackendId, Catalog, Kind, Naming, Offer, Override, Rules, Target, ToolRules, id, item, manual,
    merge, of_backend, offer_of, raw_item,
};

pub(super) const BACKENDS: [&str; 4] = ["a", "a_b", "b", "c"];
pub(super) const NAMES: [&str; 8] =
    ["t", "b_t", "c_t", "_", "", "é", "a_name_of_more_than_the_limit_1", "x"];

/// Offers over few names, so that they clash often.
pub(super) fn any_offers() -> impl Strategy<Value = Vec<(&'static str, Offer)>> {
    let item = |kind, name: &str| match kind {
        Kind::Resource if !name.is_empty() => item(kind, &format!("x:{name}")),
        _ => item(kind, name),
    };
    let items = move |kind| {
        vec(select(&NAMES), 0..6)
            .prop_map(move |names| names.iter().map(|name| item(kind, name)).collect())
    };
    let offer = (items(Kind::Tool), items(Kind::Resource), items(Kind::Prompt)).prop_map(
        |(tools, resources, prompts)| Offer { tools, resources, prompts, ..Offer::default() },
    );
    vec(offer, BACKENDS.len()).prop_map(|offers| BACKENDS.into_iter().zip(offers).collect())
}

pub(super) fn any_rules() -> impl Strategy<Value = Rules> {
    let order = vec(select(&BACKENDS).prop_map(id), 0..3);
    let format = select(&["{workload}_", "", "{workload}", "same_"]).prop_map(str::to_owned);
    let naming = (0..3, order, format).prop_map(|(which, order, format)| match which {
        0 => Naming::Prefix { format },
        1 => Naming::Priority { order, format },
        _ => Naming::Manual { format },
    });
    let names = || select(&NAMES).prop_map(str::to_owned);
    let change = names().prop_map(|name| Override { name: Some(name), ..Override::default() });
    let tool_rules = (
        vec(names(), 0..3),
        vec(names(), 0..2),
        any::<bool>(),
        proptest::collection::btree_map(names(), change, 0..3),
    )
        .prop_map(|(filter, exclude, exclude_all, overrides)| ToolRules {
            filter,
            exclude,
            exclude_all,
            overrides,
        });
    let tools = proptest::collection::btree_map(select(&BACKENDS).prop_map(id), tool_rules, 0..3);
    let order = vec(select(&BACKENDS).prop_map(id), 0..4);
    (naming, order, 0..40_usize, 0..4_usize, tools).prop_map(
        |(naming, order, name_limit, page_size, tools)| Rules {
            naming,
            order,
            name_limit,
            page_size,
            tools,
            ..Rules::default()
        },
    )
}

pub(super) fn in_map(
    offers: impl IntoIterator<Item = (&'static str, Offer)>,
) -> BTreeMap<BackendId, Arc<Offer>> {
    offers.into_iter().map(|(backend, offer)| (id(backend), Arc::new(offer))).collect()
}

/// All items of a kind, page after page, as parsed JSON.
pub(super) fn listed(catalog: &Catalog, kind: Kind) -> Vec<serde_json::Value> {
    let (mut items, mut cursor) = (Vec::new(), None);
    loop {
        let page = catalog.page(kind, cursor.as_deref()).expect("our own cursor").json;
        let mut page: serde_json::Value = serde_json::from_slice(&page).expect("JSON");
        items.append(page[kind.list_member()].as_array_mut().expect("an array"));
        match page["nextCursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return items,
        }
    }
}

proptest! {
    #[test]
    fn the_order_in_which_offers_come_changes_nothing(offers in any_offers(), rules in any_rules()) {
        let (there, dropped) = merge(&in_map(offers.clone()), &rules);
        let (back, dropped_too) = merge(&in_map(offers.into_iter().rev()), &rules);
        prop_assert_eq!(there.to_bytes(), back.to_bytes());
        prop_assert_eq!(there.digest(), back.digest());
        prop_assert_eq!(dropped, dropped_too);
    }

    #[test]
    fn the_order_of_a_backends_distinct_items_is_kept_and_changes_nothing_else(
        names in vec("[a-c]{1,2}", 0..8), rules in any_rules(),
    ) {
        let distinct: BTreeSet<_> = names.into_iter().collect();
        let items: Vec<_> = distinct.iter().map(|name| item(Kind::Tool, name)).collect();
        let reversed = items.iter().rev().cloned().collect();
        let (there, _) = merge(&offer_of("a", Kind::Tool, items), &rules);
        let (back, _) = merge(&offer_of("a", Kind::Tool, reversed), &rules);
        let mut listed_back = listed(&back, Kind::Tool);
        listed_back.reverse();
        prop_assert_eq!(listed(&there, Kind::Tool), listed_back);
        prop_assert_eq!(there.digest() == back.digest(), there.len(Kind::Tool) < 2);
    }

    #[test]
    fn what_is_advertised_can_be_called_and_nothing_else(
        offers in any_offers(), rules in any_rules(),
    ) {
        let (catalog, _) = merge(&in_map(offers), &rules);
        for kind in Kind::ALL {
            let names: Vec<_> = listed(&catalog, kind)
                .iter()
                .map(|item| item[kind.key()].as_str().expect("a name").to_owned())
                .collect();
            prop_assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
            prop_assert_eq!(&names, &catalog.keys(kind).collect::<Vec<_>>());
            prop_assert_eq!(catalog.len(kind), names.len());
        }
        for name in catalog.keys(Kind::Tool) {
            let route = catalog.tool(name).expect("callable");
            let Target::Backend { name: own, renamed, .. } = &route.target else { unreachable!() };
            prop_assert_eq!(*renamed, **own != *name);
        }
        for backend in BACKENDS {
            for name in NAMES {
                let guess = format!("{backend}_{name}");
                let advertised = catalog.keys(Kind::Tool).any(|key| key == guess);
                prop_assert_eq!(catalog.tool(&guess).is_some(), advertised);
            }
        }
    }

    #[test]
    fn lists_are_in_the_order_of_the_rules_then_in_that_of_each_backend(
        offers in any_offers(), rules in any_rules(),
    ) {
        let offers = in_map(offers);
        let (catalog, _) = merge(&offers, &rules);
        for kind in Kind::ALL {
            let places: Vec<_> = catalog
                .keys(kind)
                .map(|key| {
                    let route = match kind {
                        Kind::Tool => catalog.tool(key),
                        Kind::Prompt => catalog.prompt(key),
                        Kind::Resource => catalog.resource(key),
                        Kind::ResourceTemplate => catalog.template(key),
                    };
                    let (id, name) = of_backend(route.expect("what is advertised is routed"));
                    let backend = rules.order.iter().position(|listed| listed == id);
                    let items = offers[id].items(kind);
                    let item = items.iter().position(|item| item.key() == name);
                    (backend.unwrap_or(usize::MAX), id, item)
                })
                .collect();
            prop_assert!(places.is_sorted(), "{places:?}");
        }
    }

    #[test]
    fn everything_shown_or_hidden_or_reported(offers in any_offers(), rules in any_rules()) {
        let rules = Rules { tools: BTreeMap::new(), ..rules };
        let offers = in_map(offers);
        let offered: usize =
            offers.values().flat_map(|offer| Kind::ALL.map(|kind| offer.items(kind).len())).sum();
        let (catalog, dropped) = merge(&offers, &rules);
        let shown: usize = Kind::ALL.into_iter().map(|kind| catalog.len(kind)).sum();
        prop_assert_eq!(shown + dropped.len(), offered);
    }

    #[test]
    fn every_item_is_on_exactly_one_page(count in 0..50_usize, page_size in 0..20_usize) {
        let items = (0..count).map(|index| item(Kind::Prompt, &format!("p{index:03}"))).collect();
        let rules = Rules { page_size, ..Rules::default() };
        let (catalog, _) = merge(&offer_of("a", Kind::Prompt, items), &rules);
        let expected: Vec<_> =
            (0..count).map(|index| serde_json::json!({"name": format!("a_p{index:03}")})).collect();
        prop_assert_eq!(listed(&catalog, Kind::Prompt), expected);
    }

    #[test]
    fn long_names_stay_apart_and_within_the_limit(
        head in "[a-z._-]{60,90}", tails in vec("[a-z]{0,9}", 1..9), limit in 0..200_usize,
    ) {
        let names: BTreeSet<_> = tails.iter().map(|tail| format!("{head}{tail}")).collect();
        let items = names.iter().map(|name| item(Kind::Tool, name)).collect();
        let rules = Rules { name_limit: limit, ..manual() };
        let (catalog, dropped) = merge(&offer_of("a", Kind::Tool, items), &rules);
        prop_assert_eq!(dropped, []);
        prop_assert_eq!(catalog.len(Kind::Tool), names.len());
        let limit = limit.clamp(16, 128);
        for exposed in catalog.keys(Kind::Tool) {
            let route = catalog.tool(exposed).expect("callable");
            let length = exposed.chars().count();
            prop_assert_eq!(length, of_backend(route).1.chars().count().min(limit));
        }
    }

    #[test]
    fn what_is_stored_comes_back_equal(offers in any_offers(), rules in any_rules()) {
        let (catalog, _) = merge(&in_map(offers), &rules);
        let back = Catalog::from_bytes(&catalog.to_bytes()).expect("our own bytes");
        prop_assert_eq!(back.digest(), catalog.digest());
        prop_assert_eq!(back.to_bytes(), catalog.to_bytes());
        for kind in Kind::ALL {
            prop_assert_eq!(back.page(kind, None), catalog.page(kind, None));
        }
        prop_assert!(!catalog.changed(&back).any());
    }

    #[test]
    fn no_stored_bytes_panic(place in 0..200_usize, byte in any::<u8>()) {
        let (catalog, _) = merge(&offer_of("a", Kind::Tool, vec![item(Kind::Tool, "t")]), &manual());
        let mut bytes = catalog.to_bytes().to_vec();
        let place = place % bytes.len();
        bytes[place] = byte;
        if let Ok(read) = Catalog::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), Bytes::from(bytes));
        }
    }

    #[test]
    fn a_foreign_cursor_is_refused(cursor in "\\PC{1,40}|[A-Za-z0-9_-]{23}") {
        let items = (0..9).map(|index| item(Kind::Tool, &format!("t{index}"))).collect();
        let rules = Rules { page_size: 2, ..manual() };
        let (catalog, _) = merge(&offer_of("a", Kind::Tool, items), &rules);
        prop_assert!(catalog.page(Kind::Tool, Some(&cursor)).is_err());
    }

    #[test]
    fn no_cursor_that_was_tampered_with_panics(place in 0..23_usize, char in "[A-Za-z0-9_-]") {
        let items = (0..9).map(|index| item(Kind::Tool, &format!("t{index}"))).collect();
        let rules = Rules { page_size: 2, ..manual() };
        let (catalog, _) = merge(&offer_of("a", Kind::Tool, items), &rules);
        let page = catalog.page(Kind::Tool, None).expect("the first").json;
        let page: serde_json::Value = serde_json::from_slice(&page).expect("JSON");
        let mut cursor = page["nextCursor"].as_str().expect("more").to_owned();
        cursor.replace_range(place..=place, &char);
        let _ = catalog.page(Kind::Tool, Some(&cursor));
    }

    #[test]
    fn no_template_and_uri_panic(
        template in "\\PC{0,20}|(x|/|\\{[+#./;?&]?[a-c]{1,2}(\\*|:[0-9]{1,4})?(,b)?\\}|%|é){0,9}",
        uri in "\\PC{0,20}|[x/a-c.;?&=#%]{0,20}",
    ) {
        let json = serde_json::json!({"uriTemplate": template, "name": "r"}).to_string();
        let items = vec![raw_item(Kind::ResourceTemplate, &json)];
        let (catalog, _) = merge(&offer_of("a", Kind::ResourceTemplate, items), &manual());
        let _ = catalog.resource(&uri);
        prop_assert_eq!(catalog.template(&template).is_some(), !template.is_empty());
    }

    #[test]
    fn what_a_template_expands_to_matches(values in vec("[a-z0-9._~-]{0,8}", 4)) {
        let template = "x://{a}/{+b}{.c}{/d}{;a}{?b,c}{&d}{#a}";
        let [a, b, c, d] = values.as_slice() else { unreachable!("four values") };
        let uri = format!("x://{a}/{b}.{c}/{d};a={a}?b={b}&c={c}&d={d}#{a}");
        let items = vec![item(Kind::ResourceTemplate, template)];
        let (catalog, _) = merge(&offer_of("a", Kind::ResourceTemplate, items), &manual());
        prop_assert!(catalog.resource(&uri).is_some(), "{}", uri);
    }
}
