//! Which tools are hidden, and that a hidden one is as good as absent.

use super::{Rules, ToolRules, Visibility, check, id, manual, priority, renaming};

fn with(mut rules: Rules, backend: &str, entry: ToolRules) -> Rules {
    rules.tools.insert(id(backend), entry);
    rules
}

fn only(names: &[&str]) -> ToolRules {
    let filter = names.iter().map(|name| (*name).to_owned()).collect();
    ToolRules { filter, ..ToolRules::default() }
}

const OFFERS: &str = "a: t, u
                      b: v
                      b prompts: p";

#[test]
fn no_tool_is_shown_if_all_are_excluded() {
    let rules = with(manual(), "a", only(&["t"]));
    check(&Rules { exclude_all_tools: true, ..rules }, OFFERS, "prompt b_p -> b/p");
}

#[test]
fn the_default_holds_for_backends_without_an_entry() {
    let denied = Rules { default_visibility: Visibility::Deny, ..manual() };
    check(&denied, OFFERS, "prompt b_p -> b/p");
    check(
        &with(denied, "a", ToolRules::default()),
        OFFERS,
        "t -> a/t
         u -> a/u
         prompt b_p -> b/p",
    );
}

#[test]
fn an_entry_may_exclude_all_or_all_but_some() {
    let excluded = ToolRules { exclude_all: true, ..only(&["t"]) };
    check(
        &with(manual(), "a", excluded),
        OFFERS,
        "v -> b/v
         prompt b_p -> b/p",
    );
    check(
        &with(manual(), "a", only(&["u", "v"])),
        OFFERS,
        "u -> a/u
         v -> b/v
         prompt b_p -> b/p
         dropped a/v: not there for filter",
    );
}

#[test]
fn an_entry_may_exclude_some() {
    let exclude = vec!["x".to_owned(), "a_u".to_owned(), "p".to_owned()];
    let rules = with(Rules::default(), "a", ToolRules { exclude, ..ToolRules::default() });
    let rules = renaming(rules, "a", &["t > x"]);
    check(
        &rules,
        "a: t, u\na prompts: p",
        "a_u -> a/u\nprompt a_p -> a/p\ndropped a/a_u: not there for exclude\ndropped a/p: not there for exclude",
    );
    let rules = with(
        Rules::default(),
        "a",
        ToolRules { exclude: vec!["t".to_owned()], ..only(&["t", "u"]) },
    );
    check(&rules, "a: t, u, v", "a_u -> a/u");
}

#[test]
fn a_filter_goes_by_the_names_after_overrides_and_before_prefixes() {
    let rules = with(Rules::default(), "a", only(&["x", "u", "a_t"]));
    check(
        &renaming(rules, "a", &["t > x", "u > y"]),
        "a: t, u",
        "a_x -> a/t
         dropped a/a_t: not there for filter
         dropped a/u: not there for filter",
    );
}

#[test]
fn a_rule_without_a_tool_is_told_as_soon_as_there_are_tools() {
    let rules = renaming(with(manual(), "a", only(&["t"])), "a", &["u > x"]);
    check(&rules, "a: t", "t -> a/t\ndropped a/u: not there for overrides");
    check(&rules, "a prompts: p", "prompt a_p -> a/p");
    check(&rules, "b: v", "v -> b/v");
}

#[test]
fn a_hidden_tool_takes_no_name_from_a_shown_one() {
    let offers = "a: t
                  b: t";
    let hidden = || ToolRules { exclude: vec!["t".to_owned()], ..ToolRules::default() };
    check(&with(manual(), "a", hidden()), offers, "t -> b/t");
    check(&with(priority(&["a", "b"]), "a", hidden()), offers, "t -> b/t");
    check(&with(priority(&[]), "a", hidden()), offers, "t -> b/t");
}

#[test]
fn a_hidden_tool_of_the_same_backend_is_not_in_the_way() {
    let rules = with(manual(), "a", only(&["u"]));
    check(&renaming(rules, "a", &["t > u", "u > v"]), "a: t, u", "u -> a/t");
}
