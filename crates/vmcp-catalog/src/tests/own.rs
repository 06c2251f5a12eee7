//! Tools of vmcp's own among those of the backends.

use std::collections::BTreeMap;

use bytes::Bytes;
use vmcp_model::Era;

use super::{Kind, Rules, check, id, json, manual, merge, offers, prefix, priority, renaming};
use crate::{OwnItem, OwnTool, Target, ToolRules};

pub(super) fn own(name: &str) -> OwnItem {
    OwnItem::new(OwnTool::Status, json(Kind::Tool, name).into()).expect("a definition")
}

/// The same rules with tools of vmcp's own.
fn with(names: &[&str], rules: Rules) -> Rules {
    Rules { own: names.iter().map(|name| own(name)).collect(), ..rules }
}

#[test]
fn own_tools_are_listed_after_all_others_in_their_order() {
    check(
        &with(&["z", "a"], Rules { order: vec![id("b")], ..prefix() }),
        "a: t
         b: u
         b prompts: p",
        "b_u -> b/u
         a_t -> a/t
         z -> own: status
         a -> own: status
         prompt b_p -> b/p",
    );
    check(&with(&["z", "z"], prefix()), "", "z -> own: status");
}

#[test]
fn no_rule_for_the_tools_of_backends_speaks_of_them() {
    let entry = ToolRules { exclude: vec!["s".to_owned()], ..ToolRules::default() };
    let rules = Rules { tools: [(id("a"), entry)].into(), exclude_all_tools: true, ..manual() };
    let offered = "a: s, t";
    check(&with(&["s"], rules), offered, "s -> own: status");
}

#[test]
fn an_own_name_is_nobody_elses_however_names_are_given() {
    let offered = "a: s, t
                   b: u";
    check(
        &with(&["a_s"], prefix()),
        offered,
        "a_t -> a/t
         b_u -> b/u
         a_s -> own: status
         dropped a/s: a_s is reserved",
    );
    check(
        &with(&["s"], manual()),
        offered,
        "t -> a/t
         u -> b/u
         s -> own: status
         dropped a/s: s is reserved",
    );
    // What a rule calls so does not get it either.
    check(
        &with(&["s"], renaming(manual(), "b", &["u > s"])),
        "b: u",
        "s -> own: status
         dropped b/u: s is reserved",
    );
    // Prompts have names of their own.
    check(
        &with(&["b_p"], prefix()),
        "b prompts: p, q",
        "b_p -> own: status
         prompt b_p -> b/p
         prompt b_q -> b/q",
    );
    let both = "a: s
                b: s";
    check(
        &with(&["s"], manual()),
        both,
        "s -> own: status
         dropped a/s: s is reserved
         dropped b/s: s is reserved",
    );
    check(
        &with(&["s"], priority(&["b"])),
        both,
        "s -> own: status
         dropped a/s: s is reserved
         dropped b/s: s is reserved",
    );
    // Nobody is first, so each would get its prefix anyway.
    check(
        &with(&["s", "b_s"], priority(&[])),
        both,
        "a_s -> a/s
         s -> own: status
         b_s -> own: status
         dropped b/s: b_s is reserved",
    );
}

#[test]
fn whoever_asks_for_an_own_name_too_is_not_in_the_way() {
    check(
        &with(&["b_t"], priority(&[])),
        "a: t, b_t
         b: t",
        "a_t -> a/t
         b_t -> own: status
         dropped a/b_t: b_t is reserved
         dropped b/t: b_t is reserved",
    );
}

#[test]
fn with_an_own_tool_there_are_tools() {
    let capabilities = |rules: &Rules| {
        let (catalog, _) = merge(&BTreeMap::new(), rules);
        String::from_utf8(catalog.capabilities().to_vec()).unwrap()
    };
    assert_eq!(capabilities(&prefix()), "{}");
    assert_eq!(capabilities(&with(&["s"], prefix())), r#"{"tools":{"listChanged":true}}"#);
    let (catalog, _) = merge(&offers("a: t"), &with(&["s"], prefix()));
    assert_eq!(catalog.backends(), [id("a")]);
}

#[test]
fn with_an_own_tool_what_backends_declare_stays() {
    let mut offers = offers("a: t");
    for offer in offers.values_mut() {
        let capabilities = r#"{"x":{"b":1, "a":null},"logging":{},"tools":{"x":1}}"#;
        std::sync::Arc::make_mut(offer).capabilities = capabilities.into();
    }
    let (plain, _) = merge(&offers, &prefix());
    let (with, _) = merge(&offers, &with(&["s"], prefix()));
    assert_eq!(plain.capabilities(), with.capabilities());
}

#[test]
fn clients_of_each_era_read_an_own_tool_in_their_own_way() {
    let json = r#"{"name":"s","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}"#;
    let item = OwnItem::new(OwnTool::Status, Bytes::from(json)).unwrap();
    let rules = Rules { own: vec![item], ..prefix() };
    for (era, is_wrapped) in [(Era::Legacy, true), (Era::Modern, false)] {
        let (catalog, _) = crate::merge(&BTreeMap::new(), &rules, era);
        let route = catalog.tool("s").unwrap();
        assert_eq!(route.target, Target::Own(OwnTool::Status));
        assert_eq!(route.backend(), None);
        assert_eq!(route.is_wrapped, is_wrapped);
        let page = catalog.page(Kind::Tool, None).unwrap().json;
        assert_eq!(page == format!(r#"{{"tools":[{json}]}}"#), !is_wrapped);
    }
}

#[test]
fn a_definition_that_some_client_could_not_read_is_refused() {
    for (json, why) in [
        ("[]", "it is not an object"),
        ("{}", "its name is missing or not a string"),
        (r#"{"name":"","inputSchema":{"type":"object"}}"#, "its name is empty"),
        (
            r#"{"name":"s","inputSchema":{"type":"array"}}"#,
            "its inputSchema is not the schema of an object",
        ),
        (r#"{"name":"s","title":7,"inputSchema":{"type":"object"}}"#, "its title is not a string"),
    ] {
        let refused = OwnItem::new(OwnTool::Status, Bytes::from(json)).unwrap_err().to_string();
        let expected = format!("the definition of a tool of vmcp's own cannot be used: {why}");
        assert_eq!(refused, expected, "{json}");
    }
}

#[test]
fn a_resource_that_an_own_tool_names_is_no_backends() {
    let json = r#"{"name":"s","description":"","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"ui://x"}}}"#;
    let item = OwnItem::new(OwnTool::Status, Bytes::from(json)).unwrap();
    let (catalog, _) = merge(&offers("a: t"), &Rules { own: vec![item], ..prefix() });
    assert!(!vmcp_model::linked::of_object(json.as_bytes()).is_empty());
    assert_eq!(catalog.linked("ui://x"), None);
}
