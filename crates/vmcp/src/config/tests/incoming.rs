//! `incomingAuth`.

use vmcp_auth::Config;

use super::{check, complete, environment, parse};

const ISSUER: &str =
    "issuer: https://idp.example, audience: api, resource: https://mcp.example/mcp";

/// Checks what `oidc` comes to, with these keys besides the usual ones.
#[track_caller]
fn check_oidc(keys: &str, expected: &str) {
    check(&format!("incomingAuth: {{type: oidc, oidc: {{{ISSUER}{keys}}}}}"), expected);
}

#[test]
fn every_kind_of_caller() {
    check("incomingAuth: {type: anonymous}", "");
    check("incomingAuth: {type: local}", "callers local");
    check_oidc(
        "",
        "callers of https://idp.example for api keys - resource https://mcp.example/mcp \
         scopes [\"openid\"] private false http false ca 0",
    );
    check(
        "incomingAuth: {type: odic}",
        "vmcp.yaml:1:22: incomingAuth.type: must be anonymous or local or oidc, not \"odic\"; \
         did you mean \"oidc\"?",
    );
}

#[test]
fn each_key_takes_effect() {
    let usual = "callers of https://idp.example for api keys";
    for (keys, expected) in [
        (
            ", jwksUrl: 'https://keys.example/k?v=1'",
            "https://keys.example/k?v=1 resource https://mcp.example/mcp scopes [\"openid\"] private false http false ca 0",
        ),
        (
            ", scopes: [a, 'b:c']",
            "- resource https://mcp.example/mcp scopes [\"a\", \"b:c\"] private false http false ca 0",
        ),
        (
            ", scopes: []",
            "- resource https://mcp.example/mcp scopes [] private false http false ca 0",
        ),
        (
            ", jwksAllowPrivateIp: true",
            "- resource https://mcp.example/mcp scopes [\"openid\"] private true http false ca 0",
        ),
        (
            ", protectedResourceAllowPrivateIp: true",
            "- resource https://mcp.example/mcp scopes [\"openid\"] private true http false ca 0",
        ),
        (
            ", jwksAllowPrivateIp: true, protectedResourceAllowPrivateIp: false",
            "- resource https://mcp.example/mcp scopes [\"openid\"] private true http false ca 0",
        ),
        (
            ", insecureAllowHttp: true",
            "- resource https://mcp.example/mcp scopes [\"openid\"] private false http true ca 0",
        ),
    ] {
        check_oidc(keys, &format!("{usual} {expected}"));
    }
    check(
        "incomingAuth: {type: oidc, oidc: {issuer: 'https://other.example/', audience: api}}",
        "callers of https://other.example/ for api keys - resource - scopes [\"openid\"] private false http false ca 0
         warning vmcp.yaml:1:34: incomingAuth.oidc: without a resource, clients are told where to get a token by the host that they ask; behind a proxy only if it is one of trustedProxies and says what it was asked; set publicUrl",
    );
    check(
        "incomingAuth: {type: oidc, oidc: {issuer: 'http://idp', audience: b, insecureAllowHttp: true, \
         jwksUrl: 'http://idp/keys', resource: 'http://localhost:4483/mcp', caBundlePath: '${FIXTURES}/authority.pem'}}",
        "callers of http://idp for b keys http://idp/keys resource http://localhost:4483/mcp \
         scopes [\"openid\"] private false http true ca 134",
    );
}

#[test]
fn oidc_goes_with_its_type_only() {
    check(
        "incomingAuth: {type: oidc}",
        "vmcp.yaml:1:15: incomingAuth.oidc: is required for type: oidc, unless issuers names some",
    );
    for kind in ["local", "anonymous"] {
        let column = 15 + "{type: , oidc: ".len() + kind.len();
        check(
            &format!("incomingAuth: {{type: {kind}, oidc: {{{ISSUER}}}}}"),
            &format!("vmcp.yaml:1:{column}: incomingAuth.oidc: only takes effect with type: oidc"),
        );
    }
    check(
        "incomingAuth: {type: oidc, oidc: {}}",
        "vmcp.yaml:1:34: incomingAuth.oidc.audience: is required: what tokens must be meant for (`aud`)
         vmcp.yaml:1:34: incomingAuth.oidc.issuer: is required: the URL of the identity provider, as its tokens say it",
    );
}

#[test]
fn what_cannot_be_meant_is_refused() {
    check(
        "
incomingAuth:
  type: oidc
  oidc:
    issuer: http://idp.example
    audience: ''
    jwksUrl: http://idp.example/keys
    resource: mcp.example/mcp
    scopes: ['a b', 'c', 'd\"']
    caBundlePath: '${FIXTURES}/empty.txt'
    jwksAllowPrivateIp: maybe
    insecureAllowHttp: false",
        "vmcp.yaml:4:13: incomingAuth.oidc.issuer: \"http://idp.example\" is not an https URL; write it with https, or, where the server has no TLS, set insecureAllowHttp: true
         vmcp.yaml:5:15: incomingAuth.oidc.audience: is empty
         vmcp.yaml:6:14: incomingAuth.oidc.jwksUrl: \"http://idp.example/keys\" is not an https URL; write it with https, or, where the server has no TLS, set insecureAllowHttp: true
         vmcp.yaml:7:15: incomingAuth.oidc.resource: \"mcp.example/mcp\" is not an http or https URL; write it like http://127.0.0.1:8080/mcp
         vmcp.yaml:8:14: incomingAuth.oidc.scopes[0]: \"a b\" is not a scope
         vmcp.yaml:8:26: incomingAuth.oidc.scopes[2]: \"d\\\"\" is not a scope
         vmcp.yaml:9:19: incomingAuth.oidc.caBundlePath: \"${FIXTURES}/empty.txt\" holds no PEM certificate
         vmcp.yaml:10:25: incomingAuth.oidc.jwksAllowPrivateIp: \"maybe\" is not true or false",
    );
    check(
        "
incomingAuth:
  type: oidc
  oidc:
    issuer: https://idp.example/?realm=a
    audience: api
    jwksUrl: https://user:s3cret@idp.example/keys
    resource: https://mcp.example/mcp#here",
        "vmcp.yaml:4:13: incomingAuth.oidc.issuer: has a query, which the name of an issuer has not; remove it
         vmcp.yaml:6:14: incomingAuth.oidc.jwksUrl: holds credentials; remove them
         vmcp.yaml:7:15: incomingAuth.oidc.resource: has a fragment (#), which is never sent; remove it",
    );
}

const CALLERS: &str = "callers of https://idp.example for api keys - resource https://mcp.example/mcp \
                       scopes [\"openid\"] private false http false ca 0";

#[test]
fn an_issuer_is_asked_about_tokens() {
    const ASKED: &str = ", introspectionUrl: 'https://idp.example/ask'";
    let asked = |by: &str, each: &str| {
        format!("{CALLERS} asked at https://idp.example/ask by {by} each {each}")
    };
    for (keys, expected) in [
        ("", asked("nobody", "60s")),
        (", clientId: me, introspectionInterval: 90s", asked("me with -", "90s")),
        (", clientId: me, clientSecretEnv: TOKEN", asked("me with s3cret-token", "60s")),
        (
            ", clientId: me, clientSecretFile: '${FIXTURES}/password.txt'",
            asked("me with s3cret-of-redis", "60s"),
        ),
        (", clientId: '', clientSecretEnv: ''", asked("nobody", "60s")),
    ] {
        check_oidc(&format!("{ASKED}{keys}"), &expected);
    }
    let column = 35 + ISSUER.len() + 2 + ASKED.len();
    for (keys, key, at, problem) in [
        (", introspectionInterval: 900ms", "introspectionInterval", 23, "is less than 1s"),
        (", clientSecretEnv: TOKEN", "clientSecretEnv", 17, "needs clientId beside it"),
        (
            ", clientId: me, clientSecretEnv: NOBODY",
            "clientSecretEnv",
            31,
            "the environment variable NOBODY is not set or empty",
        ),
        (
            ", clientId: me, clientSecretEnv: TOKEN, clientSecretFile: /x",
            "clientSecretFile",
            56,
            "stands beside clientSecretEnv; keep one of them",
        ),
    ] {
        check_oidc(
            &format!("{ASKED}{keys}"),
            &format!("vmcp.yaml:1:{}: incomingAuth.oidc.{key}: {problem}", column + at),
        );
    }
}

/// Variables that the reference system and its operator set are for the one issuer and nobody else.
#[test]
fn the_secret_may_stand_where_the_reference_system_has_it() {
    let secret_of = |section: &str, keys: &str, set: &[(&str, &str)]| {
        let issuer = format!(
            "{{issuer: 'https://idp.example', audience: api, introspectionUrl: 'https://idp.example/ask'{keys}}}"
        );
        let issuer = if section == "issuers" { format!("[{issuer}]") } else { issuer };
        let text = complete(&format!("incomingAuth: {{type: oidc, {section}: {issuer}}}"));
        let variable = |name: &str| {
            let found = set.iter().find(|(set, _)| *set == name).map(|(_, value)| *value);
            found.map_or_else(|| environment(name), |value| Some(value.to_owned()))
        };
        let Config::Oidc(oidc) = parse(&text, "vmcp.yaml", &variable).unwrap().incoming else {
            panic!("tokens are taken");
        };
        let asked = oidc.issuers[0].introspection.clone().unwrap();
        asked.client.and_then(|client| client.secret).map(|secret| secret.now())
    };
    let (ours, theirs) =
        (("VMCP_OIDC_CLIENT_SECRET", "ours"), ("TOOLHIVE_OIDC_CLIENT_SECRET", "theirs"));
    let client = ", clientId: me";
    assert_eq!(secret_of("oidc", client, &[ours, theirs]).as_deref(), Some("ours"));
    assert_eq!(secret_of("oidc", client, &[theirs]).as_deref(), Some("theirs"));
    let empty = (ours.0, "");
    assert_eq!(secret_of("oidc", client, &[empty, theirs]).as_deref(), Some("theirs"));
    assert_eq!(secret_of("oidc", client, &[]), None);
    assert_eq!(secret_of("oidc", "", &[ours]), None, "without a client there is no secret");
    assert_eq!(secret_of("issuers", client, &[ours, theirs]), None);
    let named = ", clientId: me, clientSecretEnv: TOKEN";
    assert_eq!(secret_of("oidc", named, &[ours]).as_deref(), Some("s3cret-token"));
}

/// What is for opaque tokens does nothing unless the issuer is asked about them.
#[test]
fn without_a_url_nobody_is_asked() {
    let column = 35 + ISSUER.len() + 2;
    for key in ["clientId", "clientSecretEnv"] {
        let warning = format!(
            "warning vmcp.yaml:1:{}: incomingAuth.oidc.{key}: has no effect without introspectionUrl: JWTs are \
             checked with the issuer's keys, and it is asked about no token",
            column + key.len() + 2
        );
        check_oidc(&format!(", {key}: x"), &format!("{CALLERS}\n{warning}"));
    }
    check_oidc(
        ", introspectionInterval: 1m",
        &format!(
            "vmcp.yaml:1:{}: incomingAuth.oidc.introspectionInterval: only takes effect with introspectionUrl",
            column + 23
        ),
    );
    for key in ["clientId", "clientSecretEnv", "introspectionUrl", "jwksUrl", "caBundlePath"] {
        check_oidc(&format!(", {key}: ''"), CALLERS);
    }
}

#[test]
fn several_issuers() {
    let issuers = |list: &str| {
        format!("publicUrl: https://mcp.example\nincomingAuth:\n  type: oidc\n  issuers:\n{list}")
    };
    let one = "    - {issuer: https://one.example, audience: a, requiredScopes: [tools]}\n";
    let two = "    - {issuer: https://two.example, audience: b, introspectionUrl: https://two.example/ask, clientId: me}\n";
    let of_one = "callers of https://one.example for a keys - resource - scopes [\"openid\"] private false http false ca 0 required [\"tools\"]";
    let of_two = "callers of https://two.example for b keys - resource - scopes [\"openid\"] private false http false ca 0 asked at https://two.example/ask by me with - each 60s";
    let reached = "reached by https://mcp.example";
    check(&issuers(one), &format!("{reached}\n{of_one}"));
    check(&issuers(&format!("{one}{two}")), &format!("{reached}\n{of_one}\n{of_two}"));
    check(
        &format!(
            "{}  oidc: {{issuer: https://zero.example, audience: c, resource: https://mcp.example/mcp}}\n",
            issuers(two)
        ),
        &format!(
            "{reached}
             callers of https://zero.example for c keys - resource https://mcp.example/mcp scopes [\"openid\"] private false http false ca 0
             {}",
            of_two.replace("resource -", "resource https://mcp.example/mcp")
        ),
    );
    check(
        &issuers(&format!("{one}{two}{one}")),
        "vmcp.yaml:7:16: incomingAuth.issuers[2].issuer: \"https://one.example\" stands there already; keep one of the two",
    );
    check(
        &issuers("    - {issuer: https://one.example}\n"),
        "vmcp.yaml:5:7: incomingAuth.issuers[0].audience: is required: what tokens must be meant for (`aud`)",
    );
    check(
        "incomingAuth: {type: local, issuers: [{issuer: 'https://one.example', audience: a}]}",
        "vmcp.yaml:1:38: incomingAuth.issuers: only takes effect with type: oidc",
    );
    check(
        "incomingAuth: {type: oidc, issuers: [{issuer: 'https://one.example', audience: a, resource: x}]}",
        "vmcp.yaml:1:83: incomingAuth.issuers[0]: unknown key \"resource\"; the keys here are issuer, audience, jwksUrl, \
         scopes, requiredScopes, introspectionUrl, introspectionInterval, clientId, clientSecretEnv, clientSecretFile, \
         jwksAllowPrivateIp, protectedResourceAllowPrivateIp, insecureAllowHttp, caBundlePath",
    );
}

/// What is wrong with policies, and where.
#[test]
fn policies_are_told_what_is_wrong_with_them() {
    let policies = |authz: &str| {
        format!("incomingAuth:\n  type: anonymous\n  authz:\n    type: cedar\n{authz}")
    };
    check(
        &policies(
            "    policies:\n      - |\n        permit(principal, action,\n          resource == Tool:\"x\");\n",
        ),
        "vmcp.yaml:7:9: incomingAuth.authz.policies[0]: policy0, line 2, column 19: unexpected token `:`: expected `)` or `,`",
    );
    check(
        &policies(
            "    policies: ['permit(principal, action, resource);']\n    entitiesJson: '[7]'\n",
        ),
        "vmcp.yaml:6:19: incomingAuth.authz.entitiesJson: line 1, column 2: error during entity deserialization: invalid type: integer `7`, expected struct EntityJson",
    );
    check(
        &policies(""),
        "vmcp.yaml:4:5: incomingAuth.authz.policies: is required for type: cedar, unless policiesFile names a file; without a policy nothing is allowed to anybody",
    );
    check(
        &policies(
            "    policies: ['permit(principal, action, resource);']\n    policiesFile: ${FIXTURES}/none.cedar\n",
        ),
        "vmcp.yaml:6:19: incomingAuth.authz.policiesFile: \"${FIXTURES}/none.cedar\" does not exist",
    );
    check(
        "incomingAuth: {type: anonymous, authz: {type: none, groupClaimName: a, policies: [x]}}",
        "vmcp.yaml:1:69: incomingAuth.authz.groupClaimName: only takes effect with type: cedar
         vmcp.yaml:1:82: incomingAuth.authz.policies: only takes effect with type: cedar",
    );
    check(
        "incomingAuth: {type: anonymous, authz: {type: none, polices: [x]}}",
        "vmcp.yaml:1:53: incomingAuth.authz: unknown key \"polices\"; did you mean \"policies\"?",
    );
}
