//! What is found out before there are arguments.

use crate::{
    Feature, Hints, Object, Right,
    Right::{Always, ByArguments, Never},
    tests::{TOOL, check_right, made, settings, subject, tool},
};

const ANN: &str = r#"{"sub":"ann","role":"admin","price":1.5}"#;

/// Checks the right to a tool by the conditions of policies.
#[track_caller]
fn check(policies: &[(&str, &str)], right: Right) {
    let policies = policies
        .iter()
        .map(|(effect, condition)| {
            format!("{effect}(principal, action, resource) when {{ {condition} }};")
        })
        .collect::<String>();
    check_right(&policies, ANN, &TOOL, right);
}

#[test]
fn policies_that_read_no_arguments_settle_it() {
    check(&[("permit", "true")], Always);
    check(&[("permit", "false")], Never);
    check(&[("permit", r#"principal.claim_role == "admin""#)], Always);
    check(&[("permit", "true"), ("forbid", r#"principal.claim_role == "admin""#)], Never);
    check(&[("permit", "true"), ("permit", "principal.missing")], Never);
    check_right(r#"permit(principal, action, resource == Tool::"other");"#, ANN, &TOOL, Never);
}

#[test]
fn a_policy_that_reads_arguments_hides_nothing_that_could_be_called() {
    check(&[("permit", "context.arg_x == 1")], ByArguments);
    check(&[("permit", "resource.arg_x == 1")], ByArguments);
    check(&[("permit", "context has arg_x")], ByArguments);
    check(&[("permit", "!(context has arg_x)")], ByArguments);
    check(&[("permit", "true"), ("forbid", "context.arg_x == 1")], ByArguments);
    check(
        &[("permit", "true"), ("forbid", "context has arg_x && context.arg_x == 1")],
        ByArguments,
    );
    check(&[("permit", "context.arg_o_present")], ByArguments);
    check(&[("permit", "context == {}")], ByArguments);
    check(&[("permit", r#"[context].contains({"arg_x": 1})"#)], ByArguments);
    check(&[("permit", "if context.arg_x == 1 then true else false")], ByArguments);
    check(
        &[("permit", "context.claim_price == decimal(\"1.5\") && context.arg_x == 1")],
        ByArguments,
    );
}

#[test]
fn what_no_arguments_help_is_never_allowed() {
    check(&[("permit", r#"principal.claim_role == "user" && context.arg_x == 1"#)], Never);
    check(&[("permit", r#"context.arg_x == 1 && principal.claim_role == "user""#)], Never);
    check(&[("permit", r#"context == {} && principal.claim_role == "user""#)], Never);
    check(&[("permit", "context.arg_x == 1"), ("forbid", "true")], Never);
    check(&[("permit", "context has arg_x"), ("forbid", "context has arg_x")], Never);
    check(&[("permit", "context has arg_x && !(context has arg_x)")], Never);
    check(
        &[
            ("permit", "context.arg_x == 1"),
            ("permit", "!(context has arg_x)"),
            ("forbid", "context has arg_x"),
        ],
        Never,
    );
    check(&[("forbid", "context has arg_x")], Never);
    check(&[("permit", "context.arg_x == 1 && principal.missing")], ByArguments);
}

/// What is left of a condition is looked at as far as its connectives go.
#[test]
fn connectives_tell_what_arguments_can_change() {
    let (admin, user, open) = (
        r#"principal.claim_role == "admin""#,
        r#"principal.claim_role == "user""#,
        "context.arg_x == 1",
    );
    let cases = [
        (format!("{open} && {admin}"), ByArguments),
        (format!("{open} && {user}"), Never),
        (format!("{open} || {admin}"), ByArguments),
        (format!("{open} || {user}"), ByArguments),
        (format!("!({open} && {admin})"), ByArguments),
        (format!("!({open} && {user})"), ByArguments),
        (format!("!({open} || {admin})"), Never),
        (format!("!({open} || {user})"), ByArguments),
        (format!("if {open} then {user} else {user}"), Never),
        (format!("if {open} then {admin} else {user}"), ByArguments),
        (format!("if {open} then {user} else {admin}"), ByArguments),
        (format!("if {open} && {user} then {admin} else {user}"), Never),
        (format!("({open} || {user}) && ({user} || {open})"), ByArguments),
        (format!("({open} || {user}) && !({admin} || {open})"), Never),
    ];
    for (condition, right) in cases {
        check(&[("permit", &condition)], right);
        let unless = format!("permit(principal, action, resource) unless {{ !({condition}) }};");
        check_right(&unless, ANN, &TOOL, right);
    }
}

#[test]
fn what_all_arguments_allow_is_always_allowed() {
    check(&[("permit", "context has arg_x || true")], Always);
    check(&[("permit", "context has arg_x"), ("permit", "!(context has arg_x)")], Always);
    check(&[("permit", "true"), ("forbid", "context has arg_x && false")], Always);
    check(&[("permit", "true"), ("permit", "context.arg_x == 1")], ByArguments);
    check(&[("permit", "true"), ("permit", "context has arg_x && context.arg_x < 5")], ByArguments);
}

#[test]
fn many_arguments_are_looked_at_one_policy_at_a_time() {
    let has = |number: usize| format!("context has arg_{number}");
    let wide: Vec<String> = (0..9).map(has).collect();
    check(&[("permit", &wide.join(" && "))], ByArguments);
    let each: Vec<(&str, &str)> = wide.iter().map(|has| ("permit", has.as_str())).collect();
    check(&each, ByArguments);
    let forbidden: Vec<_> = each.iter().copied().chain([("forbid", "true")]).collect();
    check(&forbidden, Never);
    let user = wide.iter().map(|has| format!(r#"principal.claim_role == "user" && {has}"#));
    let user: Vec<String> = user.collect();
    check(&user.iter().map(|has| ("permit", has.as_str())).collect::<Vec<_>>(), Never);
    let all: Vec<_> =
        each.iter().map(|(_, has)| ("forbid", *has)).chain([("permit", "true")]).collect();
    check(&all, ByArguments);
}

#[test]
fn hints_and_names_tell_tools_apart() {
    let policies = "permit(principal, action, resource) when { resource has readOnlyHint && resource.readOnlyHint };
        forbid(principal, action, resource) when { resource.name like \"delete*\" };";
    let policy = made(&settings(policies));
    let ann = subject(&policy, ANN);
    let right = |name, read_only| {
        let feature = Feature::Tool(Hints { read_only, ..Hints::default() });
        policy.right(&ann, &Object { feature, ..tool(name) })
    };
    assert_eq!(right("get", Some(true)), Always);
    assert_eq!(right("get", Some(false)), Never);
    assert_eq!(right("get", None), Never);
    assert_eq!(right("delete_all", Some(true)), Never);
}

#[test]
fn prompts_and_methods_take_arguments_and_resources_none() {
    let policies = "permit(principal, action, resource) when { context has arg_x };";
    let prompt = Object { feature: Feature::Prompt, ..TOOL };
    let method = Object { feature: Feature::Method, ..TOOL };
    let resource = Object { feature: Feature::Resource { template: None }, ..TOOL };
    check_right(policies, ANN, &prompt, ByArguments);
    check_right(policies, ANN, &method, ByArguments);
    check_right(policies, ANN, &resource, Never);
}

#[test]
fn a_template_is_shown_if_some_uri_could_be_read() {
    let cases = [
        ("permit(principal, action, resource);", Always),
        ("permit(principal, action == Action::\"call_tool\", resource);", Never),
        (r#"permit(principal, action, resource == Resource::"file:///{path}");"#, Always),
        (r#"permit(principal, action, resource == Resource::"file:///readme");"#, ByArguments),
        (r#"permit(principal, action, resource == Resource::"http://readme");"#, Never),
        (
            r#"permit(principal, action, resource) when { resource.uri like "file:///*" };"#,
            ByArguments,
        ),
        (r#"permit(principal, action, resource) when { resource.uri like "http*" };"#, ByArguments),
        (
            r#"permit(principal, action, resource) when { principal.claim_role == "user" && resource.uri like "*" };"#,
            Never,
        ),
        (
            r#"permit(principal, action, resource);
               forbid(principal, action, resource == Resource::"file:///{path}");"#,
            Never,
        ),
        (
            r#"permit(principal, action, resource);
               forbid(principal, action, resource == Resource::"file:///secret");"#,
            ByArguments,
        ),
        (
            r#"permit(principal, action, resource);
               forbid(principal, action, resource == Resource::"http://secret");"#,
            Always,
        ),
        (
            r#"permit(principal, action, resource);
               forbid(principal, action, resource) when { resource.name like "*secret*" };"#,
            ByArguments,
        ),
        (
            r#"permit(principal, action, resource);
               permit(principal, action, resource) when { resource.missing };"#,
            Never,
        ),
        (
            r#"permit(principal, action, resource == Resource::"file:///readme");
               forbid(principal, action, resource is Resource) when { resource.uri like "*x" };"#,
            ByArguments,
        ),
        (r#"permit(principal, action, resource in Backend::"files");"#, Always),
        (r#"permit(principal, action, resource in Backend::"github");"#, Never),
    ];
    let fits = |uri: &str| uri.starts_with("file:///") && !uri.contains('{');
    let object = Object {
        feature: Feature::Template { fits: &fits },
        name: "file:///{path}",
        backend: Some("files"),
    };
    for (policies, right) in cases {
        check_right(policies, ANN, &object, right);
    }
}
