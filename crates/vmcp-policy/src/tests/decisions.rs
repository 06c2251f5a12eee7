//! What is decided about uses.

use crate::{
    Decision, Feature, Hints, Object, Settings,
    tests::{TOOL, check, decided, settings, tool},
};

const ANN: &str = r#"{"sub":"ann"}"#;

const HINTS: Object<'_> = Object {
    feature: Feature::Tool(Hints {
        read_only: Some(true),
        destructive: Some(false),
        idempotent: None,
        open_world: Some(true),
    }),
    ..TOOL
};
const PROMPT: Object<'_> = Object { feature: Feature::Prompt, name: "review", backend: None };
const RESOURCE: Object<'_> = Object {
    feature: Feature::Resource { template: None },
    name: "file:///a",
    backend: Some("files"),
};
const METHOD: Object<'_> = Object { feature: Feature::Method, name: "x/y", backend: Some("files") };

#[test]
fn each_thing_is_an_entity_with_attributes() {
    let cases = [
        (&TOOL, r#"action == Action::"call_tool" && action.operation == "call_tool""#, "yes"),
        (&TOOL, r#"resource == Tool::"search" && resource.name == "search""#, "yes"),
        (&TOOL, r#"resource.operation == "call" && resource.feature == "tool""#, "yes"),
        (&TOOL, r#"resource in MCP::"vmcp" && resource in Backend::"github""#, "yes"),
        (&TOOL, r#"resource in Backend::"files" || resource in MCP::"other""#, "no"),
        (&TOOL, "resource has readOnlyHint || resource has uri", "no"),
        (&HINTS, "resource.readOnlyHint && !resource.destructiveHint", "yes"),
        (&HINTS, "resource.openWorldHint && !(resource has idempotentHint)", "yes"),
        (&PROMPT, r#"action == Action::"get_prompt" && resource is Prompt"#, "yes"),
        (&PROMPT, r#"resource.operation == "get" && resource.feature == "prompt""#, "yes"),
        (&PROMPT, r#"resource.name == "review" && resource in MCP::"vmcp""#, "yes"),
        (&PROMPT, r#"resource in Backend::"github""#, "no"),
        (
            &RESOURCE,
            r#"action == Action::"read_resource" && resource == Resource::"file:///a""#,
            "yes",
        ),
        (&RESOURCE, r#"resource.uri == "file:///a" && resource.name == "file:///a""#, "yes"),
        (&RESOURCE, r#"resource.operation == "read" && resource.feature == "resource""#, "yes"),
        (&METHOD, r#"action == Action::"send_request" && resource == Method::"x/y""#, "yes"),
        (&METHOD, r#"resource.operation == "send" && resource.feature == "method""#, "yes"),
    ];
    for (object, condition, is) in cases {
        check(condition, ANN, object, "", is);
    }
}

#[test]
fn heads_choose_what_policies_are_about() {
    let cases = [
        ("principal, action, resource", true),
        (r#"principal == Client::"ann", action, resource"#, true),
        (r#"principal == Client::"bob", action, resource"#, false),
        ("principal is Client, action, resource", true),
        ("principal is Tool, action, resource", false),
        (r#"principal in THVGroup::"eng", action, resource"#, true),
        (r#"principal is Client in THVGroup::"eng", action, resource"#, true),
        (r#"principal is Client in THVGroup::"ops", action, resource"#, false),
        (r#"principal, action == Action::"call_tool", resource"#, true),
        (r#"principal, action in [Action::"get_prompt", Action::"call_tool"], resource"#, true),
        (r#"principal, action in Action::"call_tool", resource"#, true),
        (r#"principal, action == Action::"get_prompt", resource"#, false),
        (r#"principal, action == Action::"list_tools", resource"#, false),
        (r#"principal, action, resource == Tool::"search""#, true),
        (r#"principal, action, resource == Tool::"other""#, false),
        ("principal, action, resource is Tool", true),
        (r#"principal, action, resource is Tool in Backend::"github""#, true),
        (r#"principal, action, resource is Prompt in Backend::"github""#, false),
        (r#"principal, action, resource in MCP::"vmcp""#, true),
        (r#"principal, action, resource in Backend::"files""#, false),
    ];
    for (head, is_allowed) in cases {
        for policy in
            [format!("permit({head});"), format!("permit({head}) when {{ action has operation }};")]
        {
            let claims = r#"{"sub":"ann","groups":["eng"]}"#;
            let decision = decided(&settings(&policy), claims, &TOOL, "");
            assert_eq!(decision.is_allowed, is_allowed, "{policy}");
            assert!(decision.errors.is_empty(), "{policy}");
        }
    }
}

#[test]
fn arguments_are_attributes_of_the_resource_and_of_the_context() {
    let arguments = r#"{"s":"x","n":7,"w":1e2,"f":0.25,"b":false,"o":{"a":1},"l":[1],"null":null,
        "big":1e30,"fine":-1.23459,"tiny":1e-400,"long":0.12345678901234567890123456789012345678901,"o_present":false}"#;
    let cases = [
        (r#"context.arg_s == "x" && resource.arg_s == "x""#, "yes"),
        ("context.arg_n == 7 && resource.arg_n < 8", "yes"),
        ("context.arg_w == 100", "yes"),
        (r#"context.arg_f == decimal("0.25")"#, "yes"),
        ("context.arg_b", "no"),
        ("context.arg_o_present && context.arg_l_present && context.arg_null_present", "yes"),
        ("resource.arg_big_present", "yes"),
        (r#"context.arg_fine == decimal("-1.2345")"#, "yes"),
        (r#"context.arg_tiny == decimal("0.0")"#, "yes"),
        (r#"context.arg_long == decimal("0.1234")"#, "yes"),
        ("context has arg_o || context has arg_null || resource has arg_big", "no"),
        ("context has arg_s_present", "no"),
        ("context.arg_missing == 1", "error"),
        ("context.arg_s < 1", "error"),
        (r#"ip(context.arg_s).isIpv4()"#, "error"),
    ];
    for object in [&TOOL, &PROMPT, &METHOD] {
        for (condition, is) in cases {
            check(condition, ANN, object, arguments, is);
        }
    }
    check("context has arg_s || resource has arg_s", ANN, &RESOURCE, arguments, "no");
}

#[test]
fn what_is_no_object_counts_as_no_arguments() {
    for arguments in ["", "null", "[1]", "7", " ", "\"x\""] {
        check("context has arg_x", ANN, &TOOL, arguments, "no");
    }
}

#[test]
fn arguments_that_may_be_read_in_two_ways_are_refused() {
    let cases = [
        (r#"{"x":1,"x":2}"#, "error"),
        (r#"{"x":1,"\u0078":2}"#, "error"),
        (r#"{"x":1,"x":{}}"#, "error"),
        (r#"{"x":1"#, "error"),
        (r#"{"x":"\ud800"}"#, "error"),
        (r#"{"y":1,"y":2}"#, "no"),
        (r#"{"x":1e999}"#, "no"),
        (r#"{"x":2,"y":"\ud800"}"#, "yes"),
    ];
    for (arguments, is) in cases {
        check("context has arg_x && context.arg_x == 2", ANN, &TOOL, arguments, is);
    }
    check("context has arg_x_present", ANN, &TOOL, r#"{"x":1e999}"#, "yes");
}

#[test]
fn no_message_has_what_callers_sent() {
    let conditions = [
        "ip(context.arg_x).isIpv4()",
        "decimal(context.arg_x) == decimal(\"1.0\")",
        "context.arg_x < 3",
        "context.arg_x.contains(1)",
        "context.arg_n + 9223372036854775807 == 1",
        "context.arg_x in context.arg_x",
    ];
    for condition in conditions {
        let settings =
            settings(&format!("permit(principal, action, resource) when {{ {condition} }};"));
        for arguments in
            [r#"{"x":"secret-4711","n":4711}"#, r#"{"x":"secret-4711","n":4711,"x":1}"#]
        {
            let decision = decided(&settings, ANN, &TOOL, arguments);
            let errors = decision.errors.join("\n");
            assert!(!errors.is_empty() && !errors.contains("4711"), "{condition}: {errors}");
        }
    }
}

#[test]
fn decisions_name_the_policies_that_decided() {
    let text = r#"
        @id("readers") permit(principal, action, resource) when { context.claim_role == "reader" };
        permit(principal in THVGroup::"eng", action, resource);
        @id("night") forbid(principal, action, resource) when { context has arg_night };
        @id("broken") permit(principal, action, resource) when { context has arg_n && context.arg_n < 1 };
    "#;
    let cases: &[(&str, &str, bool, &[&str], usize)] = &[
        (r#""role":"reader","groups":["eng"]"#, "", true, &["readers", "policy1"], 0),
        (r#""role":"reader""#, "", true, &["readers"], 0),
        (r#""role":"other""#, "", false, &[], 0),
        (r#""role":"reader""#, r#"{"night":1}"#, false, &["night"], 0),
        (r#""role":"reader""#, r#"{"n":"x"}"#, false, &[], 1),
        (r#""role":"reader""#, r#"{"n":"x","night":1}"#, false, &["night"], 1),
        (r#""x":1"#, "", false, &[], 1),
    ];
    for (claims, arguments, is_allowed, policies, errors) in cases {
        let claims = format!(r#"{{"sub":"ann",{claims}}}"#);
        let decision = decided(&settings(text), &claims, &TOOL, arguments);
        let found = (decision.is_allowed, decision.policies, decision.errors.len());
        let policies = policies.iter().map(ToString::to_string).collect();
        assert_eq!(found, (*is_allowed, policies, *errors), "{claims} with {arguments}");
    }
    let decision = decided(&settings(text), r#"{"sub":"ann"}"#, &TOOL, "");
    let Decision { errors, .. } = decision;
    assert!(errors[0].starts_with("readers: ") && errors[0].contains("claim_role"), "{errors:?}");
}

#[test]
fn configured_entities_stand_behind_what_is_asked() {
    let settings = |policies: &str| {
        Settings {
        entities: Some(
            r#"[{"uid":{"type":"Backend","id":"github"},"attrs":{"tier":2},
                 "parents":[{"type":"Team","id":"dev"}]},
                {"uid":{"type":"Team","id":"dev"},"attrs":{"limit":5,"boss":{"__entity":{"type":"Person","id":"b"}}},
                 "parents":[{"type":"Team","id":"all"}],"tags":{"color":"red"}},
                {"uid":{"type":"Person","id":"b"},"attrs":{"name":"Bo"},"parents":[]},
                {"uid":{"type":"Client","id":"ann"},"attrs":{"claim_role":"admin","own":1},
                 "parents":[{"type":"Team","id":"dev"}]},
                {"uid":{"type":"Tool","id":"search"},"attrs":{"name":"other","own":1},
                 "parents":[{"type":"Team","id":"dev"}]},
                {"uid":{"type":"Action","id":"call_tool"},"attrs":{"own":1},
                 "parents":[{"type":"Action","id":"all"}]}]"#
                .to_owned(),
        ),
        ..settings(policies)
    }
    };
    let cases = [
        (r#"resource in Team::"dev" && resource in Team::"all""#, true),
        (r#"resource in Backend::"github" && resource in MCP::"vmcp""#, true),
        (r#"Backend::"github".tier == 2 && Backend::"github" in Team::"all""#, true),
        (r#"Backend::"other" in MCP::"vmcp" && Backend::"github" in MCP::"vmcp""#, true),
        (r#"Team::"dev".boss.name == "Bo" && Team::"dev".limit == 5"#, true),
        (r#"Team::"dev".getTag("color") == "red""#, true),
        (r#"principal in Team::"dev""#, false),
        (
            "principal has own || principal has claim_role || resource has own || action has own",
            false,
        ),
        (r#"Client::"ann" has own || Tool::"search" has own"#, false),
        (r#"resource.name == "search""#, true),
        (r#"action in Action::"all""#, false),
    ];
    for (condition, is_allowed) in cases {
        let policies = format!("permit(principal, action, resource) when {{ {condition} }};");
        let decision = decided(&settings(&policies), ANN, &TOOL, "");
        assert_eq!((decision.is_allowed, decision.errors), (is_allowed, vec![]), "{condition}");
    }
    let by_team = r#"permit(principal, action, resource in Team::"all");"#;
    assert!(decided(&settings(by_team), ANN, &TOOL, "").is_allowed);
    let own = Object { backend: None, ..TOOL };
    assert!(!decided(&settings(by_team), ANN, &own, "").is_allowed);
}

#[test]
fn a_uri_that_a_template_stands_for_is_judged_as_both() {
    let cases = [
        (r#"permit(principal, action, resource == Resource::"file:///{p}");"#, true),
        (r#"permit(principal, action, resource == Resource::"file:///a");"#, true),
        (r#"permit(principal, action, resource == Resource::"file:///b");"#, false),
        (
            r#"permit(principal, action, resource);
               forbid(principal, action, resource == Resource::"file:///{p}");"#,
            false,
        ),
        (
            r#"permit(principal, action, resource);
               forbid(principal, action, resource == Resource::"file:///a");"#,
            false,
        ),
        (
            r#"permit(principal, action, resource);
               permit(principal, action, resource == Resource::"file:///{p}") when { resource.x };"#,
            false,
        ),
    ];
    let object =
        Object { feature: Feature::Resource { template: Some("file:///{p}") }, ..RESOURCE };
    for (policies, is_allowed) in cases {
        assert_eq!(
            decided(&settings(policies), ANN, &object, "").is_allowed,
            is_allowed,
            "{policies}"
        );
    }
    let both = decided(&settings("permit(principal, action, resource);"), ANN, &object, "");
    assert_eq!(both.policies, ["policy0"]);
}

#[test]
fn other_names_are_other_tools() {
    let settings = settings(r#"permit(principal, action, resource == Tool::"a\"b");"#);
    assert!(decided(&settings, ANN, &tool("a\"b"), "").is_allowed);
    assert!(!decided(&settings, ANN, &tool("ab"), "").is_allowed);
}
