//! Pages, what stands in them, and what a client finds changed.

use super::{
    Annotations, Kind, Override, Rules, ToolRules, check, id, manual, merge, offer_of, offers,
    prefix, raw_item,
};
use crate::{Changed, InvalidCursor};

#[track_caller]
fn check_page(rules: &Rules, tool: &str, expected: &str) {
    let offers = offer_of("a", Kind::Tool, vec![raw_item(Kind::Tool, tool)]);
    let (catalog, _) = merge(&offers, rules);
    let page = catalog.page(Kind::Tool, None).unwrap();
    let expected = format!(r#"{{"tools":[{expected}]}}"#);
    assert_eq!(std::str::from_utf8(&page.json).unwrap(), expected);
}

#[test]
fn an_item_is_advertised_byte_for_byte() {
    let tool = r#"{ "x":1.10,"name":"t" , "_meta":{"b":1E300,"a":"\u0061"},"inputSchema":{"type":"object"}}"#;
    check_page(&manual(), tool, tool);
    check_page(&manual(), &format!(" \n{tool}\t"), tool);
}

#[test]
fn only_the_name_changes_under_a_prefix() {
    check_page(
        &prefix(),
        r#"{ "x":1.10,"name":"t" , "_meta":{"b":1E300,"name":"t"},"inputSchema":{"type":"object"}}"#,
        r#"{ "x":1.10,"name":"a_t" , "_meta":{"b":1E300,"name":"t"},"inputSchema":{"type":"object"}}"#,
    );
}

#[test]
fn an_override_changes_only_what_it_names() {
    let change = Override {
        name: Some("u".to_owned()),
        description: Some("say \"hi\"".to_owned()),
        annotations: Some(Annotations { read_only_hint: Some(true), ..Annotations::default() }),
    };
    let overrides = [("t".to_owned(), change)].into();
    let entry = ToolRules { overrides, ..ToolRules::default() };
    let rules = Rules { tools: [(id("a"), entry)].into(), ..prefix() };
    check_page(
        &rules,
        r#"{"icons":[],"description":"","name":"t","annotations":{"x":1,"readOnlyHint":false},"inputSchema":{"type":"object"}}"#,
        r#"{"icons":[],"description":"say \"hi\"","name":"a_u","annotations":{"x":1,"readOnlyHint":true},"inputSchema":{"type":"object"}}"#,
    );
}

#[test]
fn an_empty_list_is_an_empty_array() {
    let (catalog, _) = merge(&offers(""), &prefix());
    let pages = Kind::ALL.map(|kind| catalog.page(kind, Some("")).unwrap().json);
    assert_eq!(
        pages.map(|page| String::from_utf8(page.to_vec()).unwrap()),
        [
            r#"{"tools":[]}"#,
            r#"{"resources":[]}"#,
            r#"{"resourceTemplates":[]}"#,
            r#"{"prompts":[]}"#
        ],
    );
    assert!(catalog.is_empty());
}

#[test]
fn a_cursor_is_good_for_its_own_list_of_its_own_catalog() {
    let rules = Rules { page_size: 1, ..manual() };
    let text = "a: t, u
                a prompts: p, q";
    let (catalog, _) = merge(&offers(text), &rules);
    let (again, _) = merge(&offers(text), &rules);
    let (other, _) = merge(&offers("a: t, u, v"), &rules);
    let first = catalog.page(Kind::Tool, None).unwrap().json;
    let first: serde_json::Value = serde_json::from_slice(&first).unwrap();
    let cursor = first["nextCursor"].as_str().unwrap();
    assert!(cursor.len() < 100 && cursor.is_ascii());

    let second = br#"{"tools":[{"name":"u","inputSchema":{"type":"object"}}]}"#.as_slice();
    assert_eq!(again.page(Kind::Tool, Some(cursor)).unwrap().json, second);
    assert_eq!(catalog.page(Kind::Prompt, Some(cursor)), Err(InvalidCursor));
    assert_eq!(other.page(Kind::Tool, Some(cursor)), Err(InvalidCursor));
    assert_eq!(catalog.page(Kind::Tool, Some(&format!("{cursor}A"))), Err(InvalidCursor));
    assert_eq!(catalog.page(Kind::Tool, Some("2")), Err(InvalidCursor));
}

#[track_caller]
fn check_changed(before: &str, after: &str, expected: &str) {
    let rules = Rules { page_size: 1, ..manual() };
    let (before, _) = merge(&offers(before), &rules);
    let (after, _) = merge(&offers(after), &rules);
    let changed = after.changed(&before);
    let Changed { tools, resources, prompts } = changed;
    let found: Vec<_> = [("tools", tools), ("resources", resources), ("prompts", prompts)]
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect();
    assert_eq!(found.join(" "), expected);
    assert_eq!(changed.any(), !expected.is_empty());
    assert_eq!(changed, before.changed(&after));
}

#[test]
fn only_the_lists_that_differ_are_announced() {
    let before = "a: t, u
                  a resources: x://1
                  a prompts: p";
    let with = |more: &str| format!("{before}\n{more}");
    check_changed(before, before, "");
    check_changed(before, &with("b: v"), "tools");
    check_changed(before, &with("b templates: x://{a}"), "resources");
    check_changed(before, &with("b resources: x://2"), "resources");
    check_changed(before, &with("b prompts: p"), "prompts");
    check_changed(before, "", "tools resources prompts");
}

#[test]
fn lists_are_in_the_order_of_the_rules_and_of_each_backend() {
    let order = |backends: &[&str]| Rules {
        order: backends.iter().map(|backend| id(backend)).collect(),
        ..prefix()
    };
    let offered = "a: z, y
                   b: t
                   c: u
                   c prompts: q, p
                   d: s";
    check(
        &order(&["c", "a"]),
        offered,
        "c_u -> c/u
         a_z -> a/z
         a_y -> a/y
         b_t -> b/t
         d_s -> d/s
         prompt c_q -> c/q
         prompt c_p -> c/p",
    );
    let (before, _) = merge(&offers(offered), &order(&["c", "a"]));
    let (after, _) = merge(&offers(offered), &order(&["a", "c"]));
    assert_ne!(before.digest(), after.digest());
    assert_eq!(after.changed(&before), Changed { tools: true, ..Changed::default() });
}

#[test]
fn another_route_under_the_same_list_is_not_announced() {
    check_changed("a: t", "b: t", "");
}
