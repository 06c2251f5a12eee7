//! What a caller with fewer rights, or with shorter lists, finds in a catalog.

use std::sync::Arc;

use super::{
    Catalog, Kind, Rules, ToolRules, assert_lines, id, lines, manual, merge, offers, own::own,
};
use crate::{Admission, Item, Reach, Target};

const OFFERS: &str = "a: t, u, h
                      b: v
                      b prompts: p
                      b resources: x://1
                      b templates: x://{a}";

fn catalog() -> Arc<Catalog> {
    let rules = Rules { own: vec![own("s")], page_size: 2, ..manual() };
    let hidden = ToolRules { exclude: vec!["h".to_owned()], ..ToolRules::default() };
    let rules = Rules { tools: [(id("a"), hidden)].into(), keep_hidden: true, ..rules };
    Arc::new(merge(&offers(OFFERS), &rules).0)
}

/// Everything but these.
fn but(keys: &'static [&str]) -> impl Fn(Item<'_>) -> bool {
    |item| !keys.contains(&item.key)
}

/// The same, whatever the arguments are.
fn free(keys: &'static [&str]) -> impl Fn(Item<'_>) -> Option<Admission> {
    move |item| but(keys)(item).then_some(Admission::Free)
}

#[test]
fn what_is_not_allowed_is_nowhere() {
    let all = catalog();
    let some = all.restricted(free(&["u", "h", "x://{a}", "b_p"]));
    assert_lines(
        &lines(&some),
        "t -> a/t
         v -> b/v
         s -> own: status
         resource x://1 -> b/x://1",
    );
    for (kind, key) in [
        (Kind::Tool, "u"),
        (Kind::Tool, "h"),
        (Kind::ResourceTemplate, "x://{a}"),
        (Kind::Prompt, "b_p"),
    ] {
        assert_eq!(some.find(kind, key, Reach::Hidden), None, "{key}");
    }
    assert!(all.resource("x://2").is_some() && some.resource("x://2").is_none());
    assert_ne!(some.digest(), all.digest());
    assert_eq!((some.backends(), some.capabilities()), (all.backends(), all.capabilities()));
    // What was listed by the one is nothing to the other.
    let cursor = |catalog: &Catalog| {
        let page = catalog.page(Kind::Tool, None).unwrap().json;
        let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
        page["nextCursor"].as_str().unwrap().to_owned()
    };
    assert!(some.page(Kind::Tool, Some(&cursor(&all))).is_err());
    assert!(some.page(Kind::Tool, Some(&cursor(&some))).is_ok());
}

#[test]
fn a_decision_sees_kind_key_and_target() {
    let own_only = catalog().restricted(|Item { kind, key, route, json }| {
        assert_eq!(matches!(route.target, Target::Own(_)), (kind, key) == (Kind::Tool, "s"));
        assert!(json.starts_with(b"{"));
        route.backend().is_none().then_some(Admission::Free)
    });
    assert_lines(&lines(&own_only), "s -> own: status");
}

#[test]
fn what_is_not_listed_any_more_is_callable_and_what_is_hidden_stays_so() {
    let short = catalog().listing(|item| ["s", "h", "x://1"].contains(&item.key));
    assert_lines(
        &lines(&short),
        "s -> own: status
         callable t -> a/t
         callable u -> a/u
         callable v -> b/v
         hidden h -> a/h
         resource x://1 -> b/x://1
         callable template x://{a} -> b/x://{a}
         callable prompt b_p -> b/p",
    );
    assert_eq!(short.resource("x://2"), None);
}

#[test]
fn a_stage_that_changes_nothing_gives_the_catalog_itself() {
    let all = catalog();
    assert!(Arc::ptr_eq(&all, &all.restricted(free(&[]))));
    assert!(Arc::ptr_eq(&all, &all.listing(|_| true)));
    let short = all.listing(|_| false);
    assert!(Arc::ptr_eq(&short, &short.listing(|_| true)));
}

#[test]
fn equal_decisions_give_equal_catalogs_whatever_the_way_to_them() {
    let at_once = catalog().restricted(free(&["u", "v"]));
    let one_by_one = catalog().restricted(free(&["v"])).restricted(free(&["u"]));
    assert_eq!(at_once.to_bytes(), one_by_one.to_bytes());
    let here = catalog().restricted(free(&["u"])).listing(but(&["t", "v"]));
    let there = catalog().listing(but(&["t"])).listing(but(&["v"])).restricted(free(&["u"]));
    assert_eq!(here.to_bytes(), there.to_bytes());
}

#[test]
fn a_catalog_of_which_only_plain_entries_are_left_is_one_that_replicas_of_before_read() {
    let plain = catalog().restricted(free(&["s", "h"]));
    assert!(plain.to_bytes().starts_with(br#"{"version":1,"#));
    let (merged, _) = merge(
        &offers("a: t, u\nb: v\nb prompts: p\nb resources: x://1\nb templates: x://{a}"),
        &Rules { page_size: 2, ..manual() },
    );
    assert!(!plain.changed(&merged).any());
}

#[test]
fn what_is_judged_by_its_arguments_is_listed_and_says_so() {
    let all = catalog();
    let judged = all
        .restricted(|item| Some(if item.key == "t" { Admission::Judged } else { Admission::Free }));
    let admission = |catalog: &Catalog, key| catalog.tool(key).unwrap().admission;
    assert_eq!(admission(&judged, "t"), Admission::Judged);
    assert_eq!((admission(&judged, "u"), admission(&all, "t")), (Admission::Free, Admission::Free));
    assert_eq!(judged.to_bytes(), all.to_bytes(), "clients see the same");
}
