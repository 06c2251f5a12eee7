//! What claims become.

use crate::{
    NoSubject, Policy, Right, Settings,
    tests::{TOOL, check, decided, made, settings, subject},
};

#[test]
fn claims_are_attributes_of_the_principal_and_of_the_context() {
    let claims = r#"{"sub":"ann","role":"admin","n":7,"f":1.5,"ok":true,"null":null,
        "list":["a",1],"o":{"deep":{"x":"y"}},"a b":"space","tiny":0.00001,"huge":9223372036854775808,
        "whole":100.0}"#;
    let conditions = [
        (r#"principal.claim_role == "admin""#, "yes"),
        (r#"context.claim_role == "admin""#, "yes"),
        (r#"principal.claim_sub == "ann" && principal == Client::"ann""#, "yes"),
        ("principal.claim_n < 8 && context.claim_n + 1 == 8", "yes"),
        (r#"principal.claim_f == decimal("1.5")"#, "yes"),
        ("principal.claim_whole == 100", "yes"),
        ("principal.claim_ok", "yes"),
        ("principal has claim_null", "no"),
        ("principal has claim_huge", "no"),
        (r#"principal.claim_tiny == decimal("0.0")"#, "yes"),
        (r#"principal.claim_list.containsAll(["a", 1])"#, "yes"),
        (r#"principal.claim_o.deep.x == "y" && context has claim_o.deep.x"#, "yes"),
        (r#"principal["claim_a b"] == "space""#, "yes"),
        (r#"principal.claim_missing == "x""#, "error"),
        ("principal.claim_role < 3", "error"),
    ];
    for (condition, is) in conditions {
        check(condition, claims, &TOOL, "", is);
    }
}

#[test]
fn what_lies_too_deep_is_left_out() {
    for (depth, is) in [(10, "yes"), (11, "no")] {
        let nested = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let claims = format!(r#"{{"sub":"ann","x":{nested}}}"#);
        check(&format!("principal.claim_x == {nested}"), &claims, &TOOL, "", is);
    }
}

#[test]
fn groups_come_from_the_first_claim_that_says_something() {
    type Case = (Option<&'static str>, Option<&'static str>, &'static str, &'static [&'static str]);
    let cases: &[Case] = &[
        (None, None, r#""groups":["a","b"]"#, &["a", "b"]),
        (None, None, r#""groups":"a""#, &["a"]),
        (None, None, r#""groups":[],"roles":["r"]"#, &[]),
        (None, None, r#""groups":null,"roles":["r"]"#, &["r"]),
        (None, None, r#""groups":["a"],"roles":["r"]"#, &["a"]),
        (None, None, r#""cognito:groups":["c"]"#, &["c"]),
        (None, None, r#""groups":{"a":1},"roles":7,"cognito:groups":["c"]"#, &["c"]),
        (Some("realm.groups"), None, r#""realm":{"groups":["k"]},"groups":["a"]"#, &["k"]),
        (Some("realm.groups"), None, r#""realm.groups":["x"],"realm":{"groups":["k"]}"#, &["x"]),
        (Some("realm.groups"), None, r#""groups":["a"]"#, &["a"]),
        (Some("teams"), Some("jobs"), r#""teams":["t"],"jobs":["j","t"]"#, &["j", "t"]),
        (None, Some("roles"), r#""groups":["a"],"roles":"r""#, &["a", "r"]),
    ];
    for (group_claim, role_claim, claims, groups) in cases {
        for name in ["a", "b", "c", "j", "k", "r", "t", "x"] {
            let policies = format!("permit(principal in THVGroup::\"{name}\", action, resource);");
            let settings = Settings {
                group_claim: group_claim.map(str::to_owned),
                role_claim: role_claim.map(str::to_owned),
                ..settings(&policies)
            };
            let claims = format!(r#"{{"sub":"ann",{claims}}}"#);
            let is_in = decided(&settings, &claims, &TOOL, "").is_allowed;
            assert_eq!(is_in, groups.contains(&name), "{name} of {claims}");
        }
    }
}

#[test]
fn groups_may_be_in_groups_of_the_configuration() {
    let settings = Settings {
        entities: Some(
            r#"[{"uid":{"type":"Org","id":"eng"},"attrs":{},"parents":[{"type":"Org","id":"mid"}]},
                {"uid":{"type":"Org","id":"mid"},"attrs":{"size":3},"parents":[{"type":"Org","id":"all"}]}]"#
                .to_owned(),
        ),
        group_entity_type: "Org".to_owned(),
        ..settings(
            r#"permit(principal in Org::"all", action, resource) when { Org::"mid".size == 3 };"#,
        )
    };
    for (groups, is_allowed) in [("eng", true), ("all", true), ("other", false)] {
        let claims = format!(r#"{{"sub":"ann","groups":["{groups}"]}}"#);
        assert_eq!(decided(&settings, &claims, &TOOL, "").is_allowed, is_allowed, "{groups}");
    }
}

#[test]
fn somebody_has_a_name() {
    let policy = made(&settings("permit(principal, action, resource);"));
    for claims in ["{}", r#"{"sub":""}"#, r#"{"sub":7}"#, r#"{"sub":null}"#] {
        assert_eq!(policy.subject(claims.as_bytes()).unwrap_err(), NoSubject::Missing, "{claims}");
    }
    for claims in ["", "[]", "null", "{", r#"{"sub":"ann","x":1e999}"#] {
        assert_eq!(
            policy.subject(claims.as_bytes()).unwrap_err(),
            NoSubject::Unreadable,
            "{claims}"
        );
    }
}

#[test]
fn keys_hold_what_policies_read() {
    let key = |policies: &str, claims: &str| {
        let policy = made(&settings(policies));
        subject(&policy, claims).key()
    };
    let cases = [
        ("permit(principal, action, resource);", r#""groups":["a"],"x":1"#, true),
        (r#"permit(principal in THVGroup::"b", action, resource);"#, r#""groups":["a"]"#, true),
        (r#"permit(principal in THVGroup::"a", action, resource);"#, r#""groups":["a"]"#, false),
        (
            r#"permit(principal, action, resource) when { principal in [THVGroup::"a"] };"#,
            r#""groups":["a"]"#,
            false,
        ),
        (
            "permit(principal, action, resource) when { principal in resource };",
            r#""groups":"a""#,
            false,
        ),
        ("permit(principal, action, resource) when { principal.claim_x == 1 };", r#""x":1"#, false),
        ("permit(principal, action, resource) when { principal.claim_x == 1 };", r#""y":1"#, true),
        (
            "permit(principal, action, resource) when { principal.claim_x.y == 1 };",
            r#""x":1"#,
            false,
        ),
        ("permit(principal, action, resource) when { context has claim_x };", r#""x":1"#, false),
        ("permit(principal, action, resource) when { context == {} };", r#""y":1"#, false),
        ("permit(principal, action, resource) when { resource has claim_x };", r#""x":1"#, false),
    ];
    for (policies, claims, are_equal) in cases {
        let one = key(policies, r#"{"sub":"ann"}"#);
        let other = key(policies, &format!(r#"{{"sub":"ann",{claims}}}"#));
        assert_eq!(one == other, are_equal, "{policies} of {claims}");
    }
    let by_name = r#"permit(principal == Client::"ann", action, resource);"#;
    assert_ne!(key(by_name, r#"{"sub":"ann"}"#), key(by_name, r#"{"sub":"bob"}"#));
    assert_eq!(key(by_name, r#"{"sub":"eve"}"#), key(by_name, r#"{"sub":"bob"}"#));
    let by_role =
        "permit(principal, action, resource) when { context.claim_role == resource.name };";
    assert_eq!(
        key(by_role, r#"{"sub":"ann","role":"a","email":"x"}"#),
        key(by_role, r#"{"sub":"bob","role":"a","email":"y"}"#)
    );
}

#[test]
fn many_callers_have_few_keys() {
    let policy = made(&settings(
        r#"permit(principal in THVGroup::"eng", action, resource) when { principal.claim_plan == resource.name };"#,
    ));
    let keys: std::collections::HashSet<_> = (0..10_000)
        .map(|number| {
            let claims = format!(
                r#"{{"sub":"u{number}","email":"u{number}@x","iat":{number},"plan":"p{}",
                    "groups":["g{number}","{}"]}}"#,
                number % 25,
                if number % 50 < 25 { "eng" } else { "ops" }
            );
            subject(&policy, &claims).key()
        })
        .collect();
    assert_eq!(keys.len(), 50);
}

#[test]
fn a_caller_belongs_to_its_policies() {
    let one = made(&settings("permit(principal, action, resource);"));
    let same = made(&settings("permit(principal, action, resource);"));
    let other = made(&settings("permit(principal, action, resource) when { true };"));
    let ann = subject(&one, r#"{"sub":"ann"}"#);
    assert_eq!(one.digest(), same.digest());
    assert_ne!(one.digest(), other.digest());
    assert!(same.decide(&ann, &TOOL, None).is_allowed);
    let decision = other.decide(&ann, &TOOL, None);
    assert!(!decision.is_allowed && !decision.errors.is_empty());
    assert_eq!(other.right(&ann, &TOOL), Right::Never);
    assert_ne!(ann.key(), subject(&other, r#"{"sub":"ann"}"#).key());
    let _is_shared = |policy: Policy| -> Box<dyn Send + Sync> { Box::new(policy) };
}
