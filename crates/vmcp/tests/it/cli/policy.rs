//! `vmcp policy`: what policies decide, told to those who write them.

use super::{Desk, configuration, shop};

const BACKENDS: &str = "  - {name: shop, url: 'http://127.0.0.1:1/mcp'}\n  - {name: jira, url: 'http://127.0.0.1:2/mcp'}\n";

const POLICIES: &str = r#"
      - permit(principal in THVGroup::"staff", action, resource in Backend::"shop");
      - |
        @id("no-orders")
        forbid(principal, action, resource) when { resource.name like "*order*" };
      - permit(principal, action, resource == Tool::"shop_query") when { context.arg_db == "sales" };
      - permit(principal, action, resource) when { resource has readOnlyHint && resource.readOnlyHint };"#;

fn limited(backends: &str) -> String {
    let authz = format!(
        "incomingAuth:\n  type: anonymous\n  authz:\n    type: cedar\n    policies:{POLICIES}"
    );
    configuration(backends).replace("incomingAuth: {type: anonymous}", &authz)
}

fn desk() -> Desk {
    Desk::new().with("vmcp.yaml", &limited(BACKENDS))
}

const STAFF: &str = r#"{"sub":"ann","groups":["staff"]}"#;
const BOB: &str = r#"{"sub":"bob"}"#;

#[tokio::test]
async fn one_use_is_explained_without_asking_a_backend() {
    let desk = desk().with("bob.json", BOB);
    let explain = ["policy", "explain", "--config", "vmcp.yaml", "--claims"];
    for (options, expected) in [
        (
            &[STAFF, "--tool", "shop_search"][..],
            "allow        call_tool Tool::\"shop_search\" of shop\n  permitted by policy0\n  lists show it: it is allowed whatever the arguments are\ngroups of this caller: staff\n! warning: policies read the hints of tools, which are not known here; --connect asks for them\n",
        ),
        (
            &[STAFF, "--tool", "shop_order"],
            "deny         call_tool Tool::\"shop_order\" of shop\n  forbidden by no-orders\n  no list shows it: no arguments are allowed\ngroups of this caller: staff\n! warning: policies read the hints of tools, which are not known here; --connect asks for them\n",
        ),
        (
            &[STAFF, "--tool", "jira_search"],
            "deny         call_tool Tool::\"jira_search\" of jira\n  no policy permits it\n  no list shows it: no arguments are allowed\ngroups of this caller: staff\n! warning: policies read the hints of tools, which are not known here; --connect asks for them\n",
        ),
        (
            &["bob.json", "--tool", "shop_query", "--arguments", r#"{"db":"sales"}"#],
            "allow        call_tool Tool::\"shop_query\" of shop\n  permitted by policy2\n  lists show it: it depends on the arguments\ngroups of this caller: none\n! warning: policies read the hints of tools, which are not known here; --connect asks for them\n",
        ),
        (
            &[BOB, "--resource", "x:1", "--backend", "shop"],
            "deny         read_resource Resource::\"x:1\" of shop\n  no policy permits it\n  no list shows it\ngroups of this caller: none\n",
        ),
    ] {
        desk.check(&[&explain[..], options].concat(), expected).await;
    }
    let (out, _, status) =
        desk.run(&[&explain[..], &[BOB, "--tool", "shop_query", "--json"]].concat()).await;
    let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&answer["decision"], status), (&"deny".into(), 0));
    assert!(answer["errors"][0].as_str().unwrap().contains("arg_db"), "{out}");
    for (claims, said) in [
        ("{}", "have no \"sub\""),
        ("[1]", "must be a JSON object"),
        ("{", "--claims: EOF"),
        ("none.json", "none.json: No such file"),
        // It may be a secret, which is not printed.
        ("eyJhbGciOiJub25lIn0.e30.x", "--claims is a token"),
    ] {
        let (_, told, status) = desk.run(&[&explain[..], &[claims, "--tool", "x"]].concat()).await;
        assert!(told.contains(said) && status == 2, "{claims}: {status} {told}");
        assert!(!told.contains("eyJ"), "{told}");
    }
}

#[tokio::test]
async fn all_that_the_backends_offer_is_explained() {
    let server = shop().start().await.unwrap();
    let backends = format!("  - {{name: shop, url: '{}'}}\n", server.url());
    let desk = Desk::new().with("vmcp.yaml", &limited(&backends));
    let explain = ["policy", "explain", "--config", "vmcp.yaml", "--claims", STAFF];
    let (out, told, status) = desk.run(&explain).await;
    assert_eq!(status, 0, "{told}");
    assert!(out.contains("allow        call_tool Tool::\"shop_look\" of shop\n"), "{out}");
    assert!(out.contains("deny         call_tool Tool::\"shop_order\" of shop\n"), "{out}");
    let asked = [&explain[..], &["--connect", "--tool", "shop_serch"]].concat();
    let (_, told, status) = desk.run(&asked).await;
    assert!(told.contains("no backend lists it") && status == 0, "{status} {told}");
    // Nothing is known of a backend that does not answer.
    let (_, told, status) = desk.with("vmcp.yaml", &limited(BACKENDS)).run(&explain).await;
    assert!(told.contains("nothing is known of jira, shop") && status == 1, "{status} {told}");
}

#[tokio::test]
async fn a_table_of_cases_is_checked() {
    let desk = desk().with(
        "cases.yaml",
        "config: vmcp.yaml
cases:
  - {name: staff search, claims: {sub: ann, groups: [staff]}, tool: shop_search, expect: allow, listed: true}
  - {name: nobody orders, claims: {sub: ann, groups: [staff]}, tool: shop_order, expect: deny, listed: false}
  - {claims: {sub: bob}, tool: shop_query, arguments: {db: sales}, expect: allow}
  - {claims: {sub: bob}, tool: shop_look, hints: {readOnlyHint: true}, expect: allow}
",
    );
    desk.check(&["policy", "test", "cases.yaml"], "ok 4 case(s)\n").await;
    let cases = desk.read("cases.yaml").replace("expect: deny, listed: false", "expect: allow");
    let desk = desk.with("cases.yaml", &cases);
    let (out, told, status) = desk.run(&["policy", "test", "cases.yaml"]).await;
    assert!(out.starts_with("failed nobody orders: is denied\n"), "{out}");
    assert!(out.contains("forbidden by no-orders") && status == 1, "{out}");
    assert!(told.contains("1 of 4 case(s) failed"), "{told}");
    for (text, said) in [
        ("cases: []", "has no cases"),
        ("cases: [{claims: {sub: a}, tool: x}]\nconfig: vmcp.yaml", "expect: or listed:"),
        (
            "cases: [{claims: {sub: a}, expect: deny}]\nconfig: vmcp.yaml",
            "must name exactly one of",
        ),
        ("cases: [{claims: {sub: a}, tool: x, expect: maybe}]\nconfig: vmcp.yaml", "maybe"),
        ("cases: [{claims: {sub: a}, tool: x, expect: deny}]", "--config"),
        (
            "cases: [{claims: {sub: a}, tool: x, backend: shp, expect: deny}]\nconfig: vmcp.yaml",
            "there is no backend \"shp\"; did you mean \"shop\"?",
        ),
    ] {
        let desk = self::desk().with("cases.yaml", text);
        let (_, told, status) = desk.run(&["policy", "test", "cases.yaml"]).await;
        assert!(told.contains(said) && status == 2, "{text}: {status} {told}");
    }
}
