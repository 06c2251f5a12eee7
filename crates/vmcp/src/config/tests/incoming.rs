//! `incomingAuth`.

use super::check;

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
         warning vmcp.yaml:1:34: incomingAuth.oidc: without a resource, clients are not told where to get a token",
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
        "vmcp.yaml:1:15: incomingAuth.oidc: is required for type: oidc",
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

/// What is for opaque tokens does nothing without asking the issuer about each.
#[test]
fn introspection_is_not_there_yet() {
    const CALLERS: &str = "callers of https://idp.example for api keys - resource https://mcp.example/mcp \
                           scopes [\"openid\"] private false http false ca 0";
    let column = 35 + ISSUER.len() + 2;
    for key in ["clientId", "clientSecretEnv"] {
        let warning = format!(
            "warning vmcp.yaml:1:{column}: incomingAuth.oidc.{key}: has no effect: it is for tokens \
             that the issuer is asked about, and here tokens must be JWTs, which are checked with \
             the issuer's keys"
        );
        check_oidc(&format!(", {key}: x"), &format!("{CALLERS}\n{warning}"));
    }
    check_oidc(
        ", introspectionUrl: 'https://idp.example/introspect'",
        &format!(
            "vmcp.yaml:1:{column}: incomingAuth.oidc.introspectionUrl: is not supported yet: tokens \
             must be JWTs, and others are refused; remove it if your tokens are JWTs"
        ),
    );
    for key in ["clientId", "clientSecretEnv", "introspectionUrl", "jwksUrl", "caBundlePath"] {
        check_oidc(&format!(", {key}: ''"), CALLERS);
    }
}
