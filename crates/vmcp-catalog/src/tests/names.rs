//! Which tool and which prompt gets which name.

use super::{check, manual, prefix, priority, renaming};
use crate::{Naming, Rules};

#[test]
fn prefix_names_everything_after_its_backend() {
    check(
        &prefix(),
        "jira: search, comment
         github: search
         github prompts: review",
        "github_search -> github/search
         jira_search -> jira/search
         jira_comment -> jira/comment
         prompt github_review -> github/review",
    );
}

#[test]
fn names_that_collide_behind_their_prefixes_are_given_to_nobody() {
    check(
        &prefix(),
        "a: b_c, d
         a_b: c",
        "a_d -> a/d
         dropped a/b_c: a_b_c contested by [\"a_b\"]
         dropped a_b/c: a_b_c contested by [\"a\"]",
    );
}

#[test]
fn a_format_may_hold_the_backend_anywhere_or_not_at_all() {
    let format = |format: &str| {
        let naming = Naming::Prefix { format: format.to_owned() };
        Rules { naming, ..Rules::default() }
    };
    check(&format("x.{workload}/"), "a: t", "x.a/t -> a/t");
    check(
        &format(""),
        "a: t, u
         b: t",
        "u -> a/u
         dropped a/t: t contested by [\"b\"]
         dropped b/t: t contested by [\"a\"]",
    );
}

#[test]
fn priority_keeps_names_and_gives_a_contested_one_to_the_first_in_order() {
    check(
        &priority(&["jira", "github"]),
        "github: search, review
         jira: search
         other: search
         github prompts: hello
         jira prompts: hello",
        "review -> github/review
         search -> jira/search
         prompt hello -> jira/hello
         dropped github/search: search goes to jira
         dropped other/search: search goes to jira
         dropped prompt github/hello: hello goes to jira",
    );
}

#[test]
fn priority_prefixes_a_contested_name_that_no_listed_backend_claims() {
    check(
        &priority(&["jira"]),
        "a: search
         b: search
         jira: comment",
        "a_search -> a/search
         b_search -> b/search
         comment -> jira/comment",
    );
}

/// Clients may know it as that of the other backend, whichever comes later.
#[test]
fn a_name_that_is_bare_for_one_and_prefixed_for_another_is_nobodys() {
    check(
        &priority(&[]),
        "a: search
         b: search
         c: a_search",
        "b_search -> b/search
         dropped c/a_search: a_search contested by [\"a\"]
         dropped a/search: a_search contested by [\"c\"]",
    );
}

#[test]
fn a_backend_that_is_listed_keeps_its_bare_name() {
    check(
        &priority(&["c"]),
        "a: search
         b: search
         c: a_search",
        "b_search -> b/search
         a_search -> c/a_search
         dropped a/search: a_search is taken by c",
    );
    check(
        &priority(&[]),
        "a: search, a_search
         b: search",
        "a_search -> a/a_search
         b_search -> b/search
         dropped a/search: a_search is taken by a",
    );
}

#[test]
fn a_bare_name_that_nobody_got_is_not_given_to_a_prefixed_one() {
    check(
        &priority(&[]),
        "a: search
         b: search
         c: a_search
         d: a_search",
        "b_search -> b/search
         c_a_search -> c/a_search
         d_a_search -> d/a_search
         dropped a/search: a_search contested by [\"c\", \"d\"]",
    );
}

#[test]
fn a_backend_may_contest_its_own_name() {
    check(
        &renaming(priority(&[]), "a", &["t > a_x", "u > a_x"]),
        "a: t, u, x
         b: x",
        "b_x -> b/x
         dropped a/t: another a_x
         dropped a/u: another a_x
         dropped a/x: another a_x",
    );
}

#[test]
fn manual_gives_an_unsettled_name_to_nobody() {
    check(
        &manual(),
        "a: search, only
         b: search
         a prompts: hello",
        "only -> a/only
         prompt a_hello -> a/hello
         dropped a/search: search contested by [\"b\"]
         dropped b/search: search contested by [\"a\"]",
    );
}

#[test]
fn manual_is_settled_by_an_override() {
    check(
        &renaming(manual(), "b", &["search > find"]),
        "a: search
         b: search",
        "search -> a/search
         find -> b/search",
    );
}

#[test]
fn a_rename_comes_before_the_prefix() {
    check(&renaming(prefix(), "a", &["t > u"]), "a: t", "a_u -> a/t");
}

#[test]
fn two_tools_of_one_backend_never_share_a_name() {
    check(
        &renaming(prefix(), "a", &["t > u"]),
        "a: t, u, v",
        "a_v -> a/v
         dropped a/t: another a_u
         dropped a/u: another a_u",
    );
}

#[test]
fn a_name_that_the_first_in_order_claims_twice_falls_to_nobody() {
    check(
        &renaming(priority(&["a"]), "a", &["t > u"]),
        "a: t, u
         b: u",
        "dropped a/t: another u
         dropped a/u: another u
         dropped b/u: u goes to a",
    );
}

#[test]
fn names_may_be_swapped() {
    check(
        &renaming(manual(), "a", &["t > u", "u > t"]),
        "a: t, u",
        "u -> a/t
         t -> a/u",
    );
}

#[test]
fn of_a_tool_that_is_listed_twice_the_first_counts() {
    check(
        &renaming(manual(), "a", &["t > u"]),
        "a: t, t
         a prompts: p, p",
        "u -> a/t
         prompt a_p -> a/p
         dropped a/t: listed twice
         dropped prompt a/p: listed twice",
    );
}

#[test]
fn what_has_no_name_is_dropped_alone() {
    check(
        &renaming(prefix(), "a", &["u > "]),
        "a: '', t, u
         a prompts: ''
         a resources: ''",
        "a_t -> a/t
         dropped a/: unnamed
         dropped a/u: unnamed
         dropped resource a/: unnamed
         dropped prompt a/: unnamed",
    );
}

#[test]
fn a_long_name_keeps_its_head_and_its_tail() {
    check(
        &Rules { name_limit: 30, ..manual() },
        "a: get_the_description_of_a_very_long_thing_v1
         b: get_the_description_of_a_very_long_thing_v2, exactly_thirty_characters_long",
        "get_the_de_e8c7a53a_g_thing_v1 -> a/get_the_description_of_a_very_long_thing_v1
         get_the_de_94d8f225_g_thing_v2 -> b/get_the_description_of_a_very_long_thing_v2
         exactly_thirty_characters_long -> b/exactly_thirty_characters_long",
    );
}

#[test]
fn a_dropped_name_is_reported_in_full() {
    check(
        &Rules { name_limit: 0, ..manual() },
        "a: a_name_that_is_too_long
         b: a_name_that_is_too_long",
        "dropped a/a_name_that_is_too_long: a_name_that_is_too_long contested by [\"b\"]
         dropped b/a_name_that_is_too_long: a_name_that_is_too_long contested by [\"a\"]",
    );
}
