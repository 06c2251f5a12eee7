//! What is said about policies that can be read, and are odd.

use crate::{
    Place, Policy, Problem, Settings,
    tests::{made, settings},
};

const BACKENDS: [&str; 2] = ["github", "jira"];

/// A policy that is right, so that nothing is said about there being none that permits.
const PERMIT: &str = "permit(principal, action, resource);";

fn said(settings: &Settings) -> Vec<String> {
    let warnings: Vec<Problem> = made(settings).warnings(&BACKENDS);
    warnings.iter().map(ToString::to_string).collect()
}

/// Checks the only warning about a policy that stands on the second line, and that the right one has none.
#[track_caller]
fn check_in(base: &Settings, odd: &str, parts: &[&str], right: &str) {
    let with = |policy: &str| Settings {
        policies: vec![PERMIT.to_owned(), format!("// as it is written\n  {policy}")],
        ..base.clone()
    };
    let found = said(&with(odd));
    let [only] = found.as_slice() else { panic!("{odd}: {found:#?}") };
    let message = only.strip_prefix("policy1, line 2, column 3: ");
    let message = message.unwrap_or_else(|| panic!("{odd}: {only}"));
    for part in parts {
        assert!(message.contains(part), "{odd}: {only}");
    }
    assert_eq!(made(&with(odd)).warnings(&BACKENDS)[0].place, Place::Policies(1));
    assert_eq!(said(&with(right)), [""; 0], "{right}");
}

#[track_caller]
fn check(odd: &str, parts: &[&str], right: &str) {
    check_in(&Settings::default(), odd, parts, right);
}

/// Checks the only warning about a condition.
#[track_caller]
fn check_condition(odd: &str, parts: &[&str], right: &str) {
    let policy = |condition| format!("forbid(principal, action, resource) when {{ {condition} }};");
    check(&policy(odd), parts, &policy(right));
}

#[test]
fn types_that_nothing_has() {
    let entities = r#"[{"uid": {"type": "Backend", "id": "github"}, "parents": [{"type": "Area", "id": "code"}]}]"#;
    let base = Settings {
        group_entity_type: "Team".to_owned(),
        entities: Some(entities.to_owned()),
        ..Settings::default()
    };
    for (odd, parts, right) in [
        (
            "permit(principal, action, resource in Aera::\"code\");",
            &["`Aera`", "did you mean `Area`?"][..],
            "permit(principal, action, resource in Area::\"code\");",
        ),
        (
            "permit(principal, action, resource in Planet::\"code\");",
            &["`Planet`", "there are `Action`, `Area`, `Backend`"],
            "permit(principal, action, resource in Area::\"none\");",
        ),
        (
            "permit(principal in THVGroup::\"a\", action, resource);",
            &["`THVGroup`", "groups are of the type `Team`", "groupEntityType"],
            "permit(principal in Team::\"a\", action, resource);",
        ),
        (
            "permit(principal is Client in Taem::\"a\", action, resource);",
            &["`Taem`", "did you mean `Team`?"],
            "permit(principal is Client in Team::\"a\", action, resource);",
        ),
        (
            "forbid(principal, action, resource) unless { principal in [Team::\"a\", App::Staff::\"b\"] };",
            &["`App::Staff`", "groups are of the type `Team`, so write that"],
            "forbid(principal, action, resource) unless { principal in [Team::\"a\", Team::\"b\"] };",
        ),
        (
            "forbid(principal, action, resource) unless { UserGroup::\"a\".on };",
            &["`UserGroup`", "`Team`"],
            "forbid(principal, action, resource) unless { Team::\"a\".on };",
        ),
    ] {
        check_in(&base, odd, parts, right);
    }
}

#[test]
fn actions_that_are_never_asked_for() {
    let with =
        |action: &str| format!("permit(principal, action == Action::\"{action}\", resource);");
    for (odd, part) in [
        ("call_tol", "did you mean `Action::\"call_tool\"`?"),
        (
            "tools/call",
            "the actions are `call_tool`, `get_prompt`, `read_resource` and `send_request`",
        ),
        ("list_tools", "a list shows what its caller may use"),
        ("list_prompts", "the use itself, `Action::\"get_prompt\"`"),
        ("list_resources", "the use itself, `Action::\"read_resource\"`"),
    ] {
        check(&with(odd), &["never asked for", part], &with("read_resource"));
    }
    check(
        "permit(principal, action in [Action::\"call_tool\", Action::\"read_resources\"], resource);",
        &["`Action::\"read_resources\"`"],
        "permit(principal, action in [Action::\"call_tool\", Action::\"read_resource\"], resource);",
    );
    check_condition(
        "action == Action::\"call\"",
        &["`Action::\"call\"`"],
        "action == Action::\"send_request\"",
    );
    check_condition("action is Tool", &["actions are of the type `Action`"], "action is Action");
}

#[test]
fn principals_that_are_no_clients() {
    let with = |principal: &str| format!("forbid({principal}, action, resource);");
    for (odd, part, right) in [
        ("principal == Tool::\"x\"", "of the type `Client`", "principal == Client::\"x\""),
        ("principal is User", "never of the type `User`", "principal is Client"),
        (
            "principal == THVGroup::\"staff\"",
            "write `principal in THVGroup::\"staff\"`",
            "principal in THVGroup::\"staff\"",
        ),
        (
            "principal in Backend::\"github\"",
            "never in `Backend::\"github\"`",
            "principal in Client::\"x\"",
        ),
    ] {
        check(&with(odd), &[part], &with(right));
    }
    check_condition(
        "User::\"ann\" != principal",
        &["never `User::\"ann\"`"],
        "Client::\"ann\" != principal",
    );
    check_condition("principal is User", &["`User`"], "principal is Client");
}

#[test]
fn resources_that_an_action_never_has() {
    let with = |action: &str, resource: &str| {
        format!("forbid(principal, action == Action::\"{action}\", {resource});")
    };
    for (action, odd, part, right) in [
        (
            "call_tool",
            "resource is Prompt",
            "with the action `call_tool` it is of the type `Tool`",
            "resource is Tool",
        ),
        (
            "call_tool",
            "resource == Prompt::\"x\"",
            "never `Prompt::\"x\"`",
            "resource == Tool::\"x\"",
        ),
        (
            "send_request",
            "resource == MCP::\"vmcp\"",
            "write `resource in MCP::\"vmcp\"`",
            "resource in MCP::\"vmcp\"",
        ),
        (
            "get_prompt",
            "resource in THVGroup::\"a\"",
            "never in `THVGroup::\"a\"`",
            "resource in Backend::\"github\"",
        ),
    ] {
        check(&with(action, odd), &[part], &with(action, right));
    }
    check_condition(
        "resource == Backend::\"github\"",
        &["write `resource in Backend::\"github\"`"],
        "resource is Prompt || resource is Tool in Backend::\"github\"",
    );
    check(
        "permit(principal, action in [Action::\"call_tool\", Action::\"get_prompt\"], resource is Method);",
        &["with the action `call_tool` or `get_prompt` it is of the type `Tool` or `Prompt`"],
        "permit(principal, action in [Action::\"call_tool\", Action::\"get_prompt\"], resource is Prompt);",
    );
}

#[test]
fn servers_and_backends_that_are_not_there() {
    let entities = r#"[{"uid": {"type": "Backend", "id": "old"}, "parents": [{"type": "MCP", "id": "other"}]}]"#;
    let base = Settings {
        server: "team".to_owned(),
        entities: Some(entities.to_owned()),
        ..Settings::default()
    };
    let with = |resource: &str| format!("permit(principal, action, resource in {resource});");
    for (odd, part, right) in [
        ("MCP::\"taem\"", "`MCP::\"team\"`", "MCP::\"team\""),
        ("MCP::\"vmcp\"", "is not this server", "MCP::\"other\""),
        ("Backend::\"gihub\"", "did you mean `Backend::\"github\"`?", "Backend::\"github\""),
        ("Backend::\"wiki\"", "there is no `Backend::\"wiki\"`", "Backend::\"old\""),
    ] {
        check_in(&base, &with(odd), &[part], &with(right));
    }
    let policy: Policy = made(&settings(&with("Backend::\"github\"")));
    assert!(policy.warnings(&[])[0].message.contains("there are no backends"));
}

#[test]
fn attributes_that_nothing_has() {
    for (odd, part, right) in [
        (
            "principal.email == \"x\"",
            "write `principal.claim_email`",
            "principal.claim_email == \"x\"",
        ),
        ("principal has cliam_email", "write `principal.claim_email`", "principal has claim_email"),
        (
            "principal.claims.email == \"x\"",
            "write `principal.claim_email`",
            "principal.claim_a.email == \"x\"",
        ),
        (
            "principal[\"a b\"] == 1",
            "write `principal[\"claim_a b\"]`",
            "principal[\"claim_a b\"] == 1",
        ),
        ("principal.arg_x == 1", "write `context.arg_x`", "principal.claim_arg_x == 1"),
        ("principal has groups", "write `principal in`", "principal has claim_groups"),
        (
            "context.arguments.limit < 3",
            "write `context.arg_limit`",
            "context.arg_arguments.limit < 3",
        ),
        ("context has args", "arguments are `context.arg_<name>`", "context has arg_args"),
        ("context.args_limit < 3", "write `context.arg_limit`", "context.arg_limit < 3"),
        ("context.claims.sub == \"x\"", "write `context.claim_sub`", "context.claim_sub == \"x\""),
        (
            "context.limit < 3",
            "`context.arg_limit`, and a claim is `context.claim_limit`",
            "context has arg_limit_present",
        ),
        (
            "context.org_id == \"x\"",
            "a claim is `context.claim_org_id`",
            "context.claim_org_id == \"x\"",
        ),
        (
            "principal.chain_id == 1",
            "write `principal.claim_chain_id`",
            "principal.claim_chain_id == 1",
        ),
        ("context has readOnlyHint", "write `resource.readOnlyHint`", "resource has readOnlyHint"),
        ("resource.nmae == \"x\"", "did you mean `resource.name`?", "resource.name == \"x\""),
        ("resource has readonlyHint", "`resource.readOnlyHint`?", "resource has openWorldHint"),
        ("resource.arguments.a == \"x\"", "write `resource.arg_a`", "resource.arg_a == \"x\""),
        (
            "resource.claim_sub == \"x\"",
            "write `principal.claim_sub`",
            "principal.claim_sub == \"x\"",
        ),
        (
            "resource.owner == principal",
            "`resource.arg_owner`",
            "Area::\"code\".owner == principal",
        ),
        ("action.name == \"x\"", "`action.operation`", "action.operation == \"call_tool\""),
    ] {
        let entities = r#"[{"uid": {"type": "Area", "id": "code"}, "attrs": {"owner": "ann"}}]"#;
        let base = Settings { entities: Some(entities.to_owned()), ..Settings::default() };
        let policy =
            |condition| format!("forbid(principal, action, resource) when {{ {condition} }};");
        check_in(&base, &policy(odd), &["never there", part], &policy(right));
    }
    check(
        "forbid(principal, action == Action::\"call_tool\", resource) when { resource.uri like \"a*\" };",
        &["only resources have it"],
        "forbid(principal, action == Action::\"read_resource\", resource) when { resource.uri like \"a*\" };",
    );
    check(
        "permit(principal, action == Action::\"get_prompt\", resource) when { resource has readOnlyHint };",
        &["only tools have it"],
        "permit(principal, action, resource) when { resource has readOnlyHint };",
    );
}

#[test]
fn integers_that_are_compared_as_decimals() {
    for (odd, part, right) in [
        (
            "context.arg_n.lessThan(decimal(\"3.0\"))",
            "write `context.arg_n < 3`",
            "context.arg_n.lessThan(decimal(\"3.5\"))",
        ),
        (
            "principal.claim_n.greaterThanOrEqual(decimal(\"-3.00\"))",
            "write `principal.claim_n >= -3`",
            "principal.claim_n >= -3",
        ),
        (
            "decimal(\"3.0\").lessThanOrEqual(resource.arg_n)",
            "write `resource.arg_n >= 3`",
            "decimal(\"0.5\").lessThanOrEqual(resource.arg_n)",
        ),
        (
            "context.arg_n == decimal(\"3.0\")",
            "write `context.arg_n == 3`",
            "context.arg_n == decimal(\"3.1\")",
        ),
        (
            "context.arg_n.greaterThan(decimal(\"0.0\"))",
            "`.greaterThan` fails",
            "Backend::\"github\".rate.greaterThan(decimal(\"3.0\"))",
        ),
    ] {
        check_condition(odd, &["of which an integer is a long", part], right);
    }
}

#[test]
fn entities_that_do_not_count() {
    let with = |entity: &str| Settings {
        entities: Some(format!(
            "[{{\"uid\": {{\"type\": \"Area\", \"id\": \"unused\"}}}},\n  {entity}]"
        )),
        ..settings(PERMIT)
    };
    for (odd, parts) in [
        (r#"{"uid": {"type": "Client", "id": "ann"}}"#, ["`Client::\"ann\"`", "for each request"]),
        (
            r#"{"uid": {"__entity": {"type": "Tool", "id": "x"}}}"#,
            ["`Tool::\"x\"`", "does not count"],
        ),
        (r#"{"uid": {"type": "Method", "id": "m"}}"#, ["`Method::\"m\"`", "for each request"]),
        (r#"{"uid": {"type": "Area", "id": "x"}, "parent": []}"#, ["\"parent\"", "\"parents\"?"]),
        (
            r#"{"uid": {"type": "Area", "id": "x"}, "attributes": {}}"#,
            ["\"attributes\"", "\"attrs\"?"],
        ),
        (
            r#"{"uid": {"type": "Area", "id": "x"}, "note": 1}"#,
            ["\"note\"", "`uid`, `attrs`, `parents` and `tags`"],
        ),
    ] {
        let found = made(&with(odd)).warnings(&BACKENDS);
        let [only] = found.as_slice() else { panic!("{odd}: {found:#?}") };
        assert_eq!((only.place, only.line, only.column), (Place::Entities, 2, 3), "{only}");
        assert_eq!(only.policy, None, "{only}");
        assert!(parts.iter().all(|part| only.message.contains(part)), "{only}");
    }
    let right = r#"{"uid": {"type": "Clients", "id": "x"}, "attrs": {"parent": 1}, "parents": [], "tags": {}}"#;
    assert_eq!(said(&with(right)), [""; 0]);
}

#[test]
fn policies_of_which_none_permits() {
    let found = said(&settings(
        "\n forbid(principal, action, resource);\nforbid(principal, action, resource is Tool);",
    ));
    let [only] = found.as_slice() else { panic!("{found:#?}") };
    assert!(only.starts_with("line 2, column 2: all policies forbid"), "{only}");
    assert_eq!(said(&settings(&format!("forbid(principal, action, resource); {PERMIT}"))), [""; 0]);
    assert_eq!(said(&Settings::default()), [""; 0]);
}

#[test]
fn ids_that_are_given_twice() {
    let settings = Settings {
        policies: vec![
            format!("@id(\"a\") {PERMIT}\n@id(\"b\") {PERMIT}"),
            format!("@id(\"\") {PERMIT} @id(\"\") {PERMIT}\n @id(\"a\") {PERMIT}"),
        ],
        ..Settings::default()
    };
    let found = said(&settings);
    let [only] = found.as_slice() else { panic!("{found:#?}") };
    assert!(
        only.starts_with("policy4, line 2, column 2: `@id(\"a\")` is given to policy0"),
        "{only}"
    );
}

#[test]
fn what_a_policy_says_twice_is_told_once() {
    let policies = format!(
        "{PERMIT}\n@id(\"no\") forbid(principal, action, resource)
           when {{ principal has email && principal.email == context.x }};"
    );
    let found = said(&settings(&policies));
    assert_eq!(found.len(), 2, "{found:#?}");
    for (warning, part) in found.iter().zip(["`principal.email`", "`context.x`"]) {
        assert!(warning.starts_with("no, line 2, column 1: "), "{warning}");
        assert!(warning.contains(part), "{warning}");
    }
}
