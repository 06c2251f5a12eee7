//! Names that some clients or models refuse.

use proptest::{collection::btree_set, prelude::*};

use super::{
    Kind, NameSet, Naming, Rules, check, id, item, manual, merge, of_backend, offer_of, prefix,
    renaming,
};

fn safe() -> Rules {
    Rules { names: NameSet::Safe, ..prefix() }
}

#[test]
fn what_the_specification_does_not_let_tools_have_is_mapped() {
    check(
        &prefix(),
        "a: plain-1.0_x, a b, a/b, \u{1b}[31mred, é, 😀😀, \u{202e}ohce
         a prompts: a b",
        "a_plain-1.0_x -> a/plain-1.0_x
         a_a_b_c8687a08 -> a/a b
         a_a_b_c14cddc0 -> a/a/b
         a__31mred_fdd8a1d7 -> a/\u{1b}[31mred
         a___4a99557e -> a/é
         a___91ad485b -> a/😀😀
         a__ohce_4f72258c -> a/\u{202e}ohce
         prompt a_a b -> a/a b",
    );
}

#[test]
fn what_the_configuration_says_stays() {
    let naming = Naming::Prefix { format: "{workload}/".to_owned() };
    check(
        &renaming(Rules { naming: naming.clone(), ..prefix() }, "a", &["t > my tool"]),
        "a: t, u",
        "a/my tool -> a/t
         a/u -> a/u",
    );
    check(
        &renaming(Rules { naming, ..safe() }, "a", &["t > my tool"]),
        "a: t",
        "a_my_tool_5168c786 -> a/t",
    );
}

#[test]
fn names_for_models_have_no_dot_and_prompts_are_mapped_too() {
    check(
        &safe(),
        "a: v1.0, ok
         a prompts: p q",
        "a_v1_0_24e0731e -> a/v1.0
         a_ok -> a/ok
         prompt a_p_q_0821fb28 -> a/p q",
    );
}

proptest! {
    /// Every tool has a name, one of its own, of the letters and the length that there may be, and it
    /// leads where it should.
    #[test]
    fn different_names_stay_apart(
        names in btree_set("[a-c /.:é]{1,40}|\\PC{1,90}", 1..12),
        is_safe in any::<bool>(),
        limit in 16..64_usize,
    ) {
        let names_of = if is_safe { NameSet::Safe } else { NameSet::AsIs };
        let rules = Rules { names: names_of, name_limit: limit, ..manual() };
        let items = names.iter().map(|name| item(Kind::Tool, name)).collect();
        let (catalog, dropped) = merge(&offer_of("a", Kind::Tool, items), &rules);
        prop_assert_eq!(dropped, []);
        prop_assert_eq!(catalog.len(Kind::Tool), names.len());
        for exposed in catalog.keys(Kind::Tool) {
            prop_assert!(exposed.len() <= limit);
            prop_assert!(exposed.chars().all(|letter| letter.is_ascii_alphanumeric()
                || "_-".contains(letter) || (letter == '.' && !is_safe)), "{}", exposed);
            let route = catalog.tool(exposed).expect("callable");
            let (backend, name) = of_backend(route);
            prop_assert!(names.contains(name) && *backend == id("a"));
        }
    }
}
