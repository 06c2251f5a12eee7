//! What some clients would refuse a whole list for.

use std::sync::Arc;

use proptest::{collection::vec, prelude::*, sample::select};
use vmcp_model::{Era, Item, LeftOut};

use super::{Kind, Offer, check, id, json, merge, of_backend, offer_of, offers, prefix, raw_item};
use crate::{DropReason, Dropped};

/// Members that clients refuse in an item of any kind, each with a value that all take.
const WRONG: [(&str, &str, &str); 5] = [
    ("title", "5", r#""t""#),
    ("description", "{}", r#""d""#),
    ("_meta", "[]", "{}"),
    ("icons", "5", "[]"),
    ("icons", r#"[{"src":5}]"#, r#"[{"src":"x"}]"#),
];

fn with(kind: Kind, key: &str, member: &str, value: &str) -> Item {
    let json = json(kind, key);
    raw_item(kind, &format!(r#"{},"{member}":{value}}}"#, &json[..json.len() - 1]))
}

proptest! {
    /// Of any mix of items, what is listed is what clients take, and only that; the rest is named.
    #[test]
    fn what_clients_take_is_listed_and_nothing_else(
        kind in select(&Kind::ALL),
        mix in vec((select(&WRONG), any::<bool>()), 0..12),
    ) {
        let key = |number: usize| format!("x:{number}");
        let items = mix.iter().enumerate().map(|(number, ((member, wrong, right), is_fit))| {
            with(kind, &key(number), member, if *is_fit { right } else { wrong })
        });
        let offers = offer_of("a", kind, items.collect());
        for era in [Era::Legacy, Era::Modern] {
            let (catalog, dropped) = crate::merge(&offers, &super::manual(), era);
            let of = |fit: bool| {
                let which = mix.iter().enumerate().filter(move |(_, (_, is_fit))| *is_fit == fit);
                which.map(|(number, _)| key(number)).collect::<Vec<_>>()
            };
            let name = |key: &str| match kind {
                Kind::Tool => catalog.tool(key).map(|route| of_backend(route).1.to_owned()),
                Kind::Prompt => catalog.prompt(key).map(|route| of_backend(route).1.to_owned()),
                Kind::Resource | Kind::ResourceTemplate => Some(key.to_owned()),
            };
            let listed: Vec<_> = catalog.keys(kind).filter_map(name).collect();
            prop_assert_eq!(listed, of(true));
            let mut unfit: Vec<_> = dropped.into_iter().map(|item| item.key).collect();
            unfit.sort_by_key(|key| key[2..].parse::<usize>().ok());
            prop_assert_eq!(unfit, of(false));
        }
    }
}

#[test]
fn an_item_that_clients_refuse_takes_no_name_or_uri() {
    let mut offers = offers("b: u\nb resources: x:1\na:\n");
    let first = Arc::make_mut(offers.get_mut(&id("a")).unwrap());
    first.tools = vec![raw_item(Kind::Tool, r#"{"name":"u"}"#)];
    first.resources = vec![raw_item(Kind::Resource, r#"{"uri":"x:1"}"#)];
    let (catalog, dropped) = merge(&offers, &super::manual());
    assert_eq!(catalog.keys(Kind::Tool).collect::<Vec<_>>(), ["u"]);
    assert_eq!(catalog.resource("x:1").unwrap().backend(), Some(&id("b")));
    let lines: Vec<_> = dropped.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            r#"tool "u" of backend a is left out: its inputSchema is missing; correct it at its backend"#,
            r#"resource "x:1" of backend a is left out: its name is missing; correct it at its backend"#,
        ]
    );
}

#[test]
fn what_one_era_reads_is_left_out_for_the_other_alone() {
    let tool = r#"{"name":"t","inputSchema":{"type":"object","properties":{"x":5}}}"#;
    let items = vec![raw_item(Kind::Tool, tool)];
    let offers = offer_of("a", Kind::Tool, items);
    let (catalog, dropped) = crate::merge(&offers, &prefix(), Era::Modern);
    assert_eq!((catalog.len(Kind::Tool), dropped), (1, vec![]));
    let (catalog, dropped) = crate::merge(&offers, &prefix(), Era::Legacy);
    assert_eq!(catalog.len(Kind::Tool), 0);
    assert_eq!(
        dropped[0].to_string(),
        r#"tool "t" of backend a is left out for clients before revision 2026-07-28: its inputSchema is not that of an object; correct it at its backend"#
    );
}

#[test]
fn a_tool_that_lacks_its_output_schema_is_shown_and_named() {
    let tool = r#"{"name":"t","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}"#;
    let (catalog, dropped) =
        merge(&offer_of("a", Kind::Tool, vec![raw_item(Kind::Tool, tool)]), &prefix());
    let page = catalog.page(Kind::Tool, None).unwrap().json;
    let expected = r#"{"tools":[{"name":"a_t","inputSchema":{"type":"object"}}]}"#;
    assert_eq!(std::str::from_utf8(&page).unwrap(), expected);
    assert_eq!(dropped[0].reason, DropReason::WithoutOutput);
    assert!(dropped[0].to_string().contains("is shown without its outputSchema"));
}

#[test]
fn what_was_left_out_before_is_named_too() {
    let mut offers = offers("a: t");
    let offer: &mut Offer = Arc::make_mut(offers.get_mut(&id("a")).unwrap());
    offer.left_out = vec![
        LeftOut::new(Some(Kind::Prompt), &"p".repeat(300), &"it is not an object"),
        LeftOut::new(None, "experimental.x", &"it is not an object"),
    ];
    let (_, dropped) = merge(&offers, &prefix());
    let [declared, prompt]: [Dropped; 2] = dropped.try_into().unwrap();
    assert_eq!(
        declared.to_string(),
        r#"declaration "experimental.x" of backend a is left out: it is not an object; correct it at its backend"#
    );
    assert_eq!(prompt.key.chars().count(), LeftOut::NAME + 1);
}

#[test]
fn what_is_refused_is_reported_by_its_own_name() {
    let mut rules = prefix();
    rules.tools.entry(id("a")).or_default().filter = vec!["shown".to_owned()];
    let mut offers = offers("a: shown, hidden");
    let offer = Arc::make_mut(offers.get_mut(&id("a")).unwrap());
    // A tool that is hidden is nobody's trouble.
    offer.tools.push(raw_item(Kind::Tool, r#"{"name":"hidden too"}"#));
    let (catalog, dropped) = merge(&offers, &rules);
    assert_eq!(catalog.keys(Kind::Tool).collect::<Vec<_>>(), ["a_shown"]);
    assert_eq!(dropped, []);
    check(&rules, "a: shown", "a_shown -> a/shown");
}
