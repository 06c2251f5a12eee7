//! Hidden tools that are kept: under which names, and that nobody notices them.

use super::{
    Kind, NameSet, Rules, ToolRules, Visibility, check, id, item, manual, merge, offer_of, offers,
    own::own, prefix, priority, renaming,
};
use crate::{Catalog, Reach};

/// The same rules, where `hidden` names tools as `backend/name after overrides`.
fn keeping(mut rules: Rules, hidden: &str) -> Rules {
    for tool in hidden.split(", ") {
        let (backend, name) = tool.split_once('/').expect("a tool of a backend");
        rules.tools.entry(id(backend)).or_default().exclude.push(name.to_owned());
    }
    Rules { keep_hidden: true, ..rules }
}

#[test]
fn a_hidden_tool_keeps_the_name_that_it_would_have() {
    let offered = "a: t, u
                   b: v";
    check(
        &keeping(prefix(), "a/t"),
        offered,
        "a_u -> a/u
         b_v -> b/v
         hidden a_t -> a/t",
    );
    check(
        &keeping(renaming(manual(), "a", &["t > x"]), "a/x"),
        offered,
        "u -> a/u
         v -> b/v
         hidden x -> a/t",
    );
    check(
        &Rules {
            names: NameSet::Safe,
            name_limit: 16,
            ..keeping(prefix(), "a/a.tool.of.a.long.name")
        },
        "a: a.tool.of.a.long.name",
        "hidden a_a_8cd115ad_e3c -> a/a.tool.of.a.long.name",
    );
}

#[test]
fn whatever_hides_tools_they_are_kept() {
    let offered = "a: u, t";
    let all = "hidden t -> a/t
               hidden u -> a/u";
    let kept = || Rules { keep_hidden: true, ..manual() };
    check(&Rules { exclude_all_tools: true, ..kept() }, offered, all);
    check(&Rules { default_visibility: Visibility::Deny, ..kept() }, offered, all);
    let with = |entry| Rules { tools: [(id("a"), entry)].into(), ..kept() };
    check(&with(ToolRules { exclude_all: true, ..ToolRules::default() }), offered, all);
    check(
        &with(ToolRules { filter: vec!["u".to_owned()], ..ToolRules::default() }),
        offered,
        "u -> a/u
         hidden t -> a/t",
    );
}

#[test]
fn a_hidden_tool_takes_no_name_that_a_shown_one_has_or_asks_for() {
    let both = "a: t
                b: t";
    for rules in [manual(), priority(&[]), priority(&["a"]), priority(&["b", "a"])] {
        check(&keeping(rules, "a/t"), both, "t -> b/t");
    }
    let three = "a: t
                 b: t
                 c: t";
    // Whoever names it may mean that of b or c.
    check(
        &keeping(manual(), "a/t"),
        three,
        r#"dropped b/t: t contested by ["c"]
           dropped c/t: t contested by ["b"]"#,
    );
    check(
        &keeping(priority(&[]), "a/t"),
        three,
        "b_t -> b/t
         c_t -> c/t",
    );
    // Not even one that a shown tool would get if others offered what it offers.
    check(
        &keeping(priority(&[]), "c/b_t, c/c_u, c/b_v"),
        "a: t
         b: t
         c: b_t, c_u, b_v, u",
        "a_t -> a/t
         b_t -> b/t
         u -> c/u
         hidden b_v -> c/b_v",
    );
    check(&Rules { own: vec![own("t")], ..keeping(manual(), "a/t") }, "a: t", "t -> own: status");
}

#[test]
fn hidden_tools_settle_a_contested_name_among_themselves_as_shown_ones_do() {
    let both = "a: t
                b: t";
    check(&keeping(manual(), "a/t, b/t"), both, "");
    check(&keeping(priority(&["b"]), "a/t, b/t"), both, "hidden t -> b/t");
    check(
        &keeping(priority(&[]), "a/t, b/t"),
        both,
        "hidden a_t -> a/t
         hidden b_t -> b/t",
    );
}

#[test]
fn what_is_wrong_with_a_hidden_tool_is_not_reported() {
    check(&keeping(manual(), "a/t, a/"), "a: t, t, ''", "hidden t -> a/t");
}

#[test]
fn nobody_notices_that_hidden_tools_are_kept() {
    let offers = offers("a: t, u\nb: v\nb resources: x://1");
    let (kept, _) = merge(&offers, &keeping(prefix(), "a/t, b/v"));
    let (plain, _) = merge(&offers, &Rules { keep_hidden: false, ..keeping(prefix(), "a/t, b/v") });
    assert!(!kept.changed(&plain).any());
    assert_ne!(kept.digest(), plain.digest());
    assert_eq!(kept.len(Kind::Tool), 1);
    assert_eq!(kept.tool("a_t"), None);
    assert_eq!(kept.find(Kind::Tool, "a_t", Reach::Callable), None);
    assert!(kept.find(Kind::Tool, "a_t", Reach::Hidden).is_some());
    let (only_hidden, _) =
        merge(&offer_of("a", Kind::Tool, vec![item(Kind::Tool, "t")]), &keeping(prefix(), "a/t"));
    assert!(only_hidden.is_empty());
    let back = Catalog::from_bytes(&kept.to_bytes()).unwrap();
    assert_eq!(back, kept);
}
