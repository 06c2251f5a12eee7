//! Where tokens for backends come from.

use super::{check, complete, parsed};

const OIDC: &str =
    "incomingAuth: {type: oidc, oidc: {issuer: 'https://i', audience: a, resource: 'https://r'}}";
const CALLERS: &str = "callers of https://i for a keys - resource https://r scopes [\"openid\"] private false http \
                       false ca 0";

/// Checks what the backend `github` is shown, where callers show tokens.
#[track_caller]
fn check_shown(kind: &str, section: &str, keys: &str, expected: &str) {
    check(
        &text(kind, section, keys),
        &format!("{CALLERS}\ngithub: http://127.0.0.1:8081/mcp {expected} ca 0 {{}}"),
    );
}

/// Checks what is wrong, each line without what they have in common.
#[track_caller]
fn check_refused(kind: &str, section: &str, keys: &str, expected: &str) {
    let problems =
        parsed(&complete(&text(kind, section, keys))).expect_err("it is refused").to_string();
    let lines = problems.lines().map(|line| {
        let (_place, text) = line.split_once(": outgoingAuth.backends.github").expect("its place");
        text.strip_prefix(&format!(".{section}")).unwrap_or(text)
    });
    let actual = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(super::tidy(&actual), super::tidy(expected), "\n{actual}\n");
    assert!(!problems.contains("s3cret"), "{problems}");
}

fn text(kind: &str, section: &str, keys: &str) -> String {
    format!(
        "{OIDC}\noutgoingAuth: {{backends: {{github: {{type: {kind}, {section}: {{{keys}}}}}}}}}"
    )
}

#[test]
fn a_token_of_vmcps_own() {
    let check_shown = |keys: &str, expected: &str| {
        check_shown("client_credentials", "clientCredentials", keys, expected);
    };
    check_shown(
        "tokenUrl: 'https://t/token', clientId: c, clientSecretEnv: TOKEN",
        "token of https://t/token as Some(\"c\") by basic \"s3cret-token\" ca 0 for [] - -",
    );
    check_shown(
        "tokenUrl: 'http://localhost:1/token?a=b', clientId: c, clientSecretFile: '${FIXTURES}/password.txt', \
         clientAuth: post, scopes: [a, b], audience: x, resource: 'https://r'",
        "token of http://localhost:1/token?a=b as Some(\"c\") by post \"s3cret-of-redis\" ca 0 for [\"a\", \"b\"] x https://r",
    );
    check_shown(
        "tokenUrl: 'https://t/token', clientId: c, privateKeyEnv: PRIVATE_KEY",
        "token of https://t/token as Some(\"c\") by SigningKey({\"alg\":\"EdDSA\",\"typ\":\"JWT\"}) ca 0 for [] - -",
    );
    let check_refused = |keys: &str, expected: &str| {
        check_refused("client_credentials", "clientCredentials", keys, expected);
    };
    check_refused(
        "clientSecret: ''",
        ": needs exactly one of clientSecret, clientSecretEnv, clientSecretFile, privateKeyFile, privateKeyEnv
         .clientId: is required: who vmcp is there
         .tokenUrl: is required: the URL of the token endpoint",
    );
    check_refused(
        "tokenUrl: 't', clientId: c, clientSecret: s3cret, privateKeyEnv: PRIVATE_KEY, clientAuth: none, scopes: ['a b'], \
         resource: 'https://r#f'",
        ": needs exactly one of clientSecret, clientSecretEnv, clientSecretFile, privateKeyFile, privateKeyEnv
         .tokenUrl: \"t\" is not an http or https URL; write it like http://127.0.0.1:8080/mcp
         .clientAuth: must be basic or post, not \"none\"
         .scopes[0]: \"a b\" is not a scope
         .resource: has a fragment (#), which is never sent; remove it",
    );
    check_refused(
        "tokenUrl: 'https://t', clientId: c, clientSecretFile: '${FIXTURES}/not-text.bin', keyId: k",
        ".clientSecretFile: \"${FIXTURES}/not-text.bin\" does not hold text
         .keyId: only takes effect with privateKeyFile or privateKeyEnv",
    );
    check_refused(
        "tokenUrl: 'https://t', clientId: c, privateKeyFile: '${FIXTURES}/password.txt', clientAuth: basic",
        ".privateKeyFile: \"${FIXTURES}/password.txt\" holds no private key in PEM that can be read; keys with a password cannot
         .clientAuth: only takes effect with one of clientSecret, clientSecretEnv, clientSecretFile",
    );
    check_refused(
        "tokenUrl: 'https://t', clientId: c, privateKeyEnv: TOKEN",
        ".privateKeyEnv: the variable TOKEN holds no private key in PEM that can be read; keys with a password cannot",
    );
}

#[test]
fn without_tls_is_warned_of() {
    check(
        &text("token_exchange", "tokenExchange", "tokenUrl: 'http://t.example/token'"),
        &format!(
            "{CALLERS}
             github: http://127.0.0.1:8081/mcp access_token for access_token of http://t.example/token as None by nothing ca 0 for [] - - ca 0 {{}}
             warning vmcp.yaml:2:84: outgoingAuth.backends.github.tokenExchange.tokenUrl: \"http://t.example/token\" is \
             not an https URL: whoever is on the way can read the tokens that it gives, and what proves who vmcp is"
        ),
    );
}

#[test]
fn a_token_for_the_callers() {
    let check_shown = |keys: &str, expected: &str| {
        check_shown("token_exchange", "tokenExchange", keys, expected);
    };
    check_shown(
        "tokenUrl: 'https://t', clientId: c, clientSecret: '', audience: '', subjectTokenType: '', subjectProviderName: ''",
        "access_token for access_token of https://t/ as Some(\"c\") by nothing ca 0 for [] - -",
    );
    check_shown(
        "tokenUrl: 'https://t', clientId: c, clientSecret: s3cret, subjectTokenType: id_token, requestedTokenType: \
         'urn:ietf:params:oauth:token-type:jwt'",
        "jwt for id_token of https://t/ as Some(\"c\") by basic \"s3cret\" ca 0 for [] - -",
    );
    let check_refused = |keys: &str, expected: &str| {
        check_refused("token_exchange", "tokenExchange", keys, expected);
    };
    check_refused(
        "tokenUrl: 'https://t', clientSecret: s3cret, clientSecretEnv: TOKEN",
        ": takes only one of clientSecret, clientSecretEnv, clientSecretFile, privateKeyFile, privateKeyEnv
         .clientId: is required with clientSecret: it proves nothing without",
    );
    check_refused(
        "tokenUrl: 'https://t', subjectProviderName: corp",
        ".subjectProviderName: is not supported yet: it needs the embedded authorization server, which vmcp does not \
         have yet; leave it out if the token that callers show is the one to exchange",
    );
}

/// Where callers show no tokens, there is nothing to exchange.
#[test]
fn callers_need_tokens_of_their_own() {
    let exchange =
        "outgoingAuth: {default: {type: token_exchange, tokenExchange: {tokenUrl: 'https://t'}}}";
    let problem = "vmcp.yaml:1:32: outgoingAuth.default.type: \"token_exchange\" needs the token that each caller shows, \
                   and incomingAuth takes none; set incomingAuth.type: oidc, or show the backend a token of vmcp's own \
                   (type: client_credentials)";
    check(exchange, problem);
    check(&format!("{exchange}\nincomingAuth: {{type: local}}"), problem);
}

#[test]
fn on_behalf_of_callers() {
    let check_shown = |keys: &str, expected: &str| check_shown("obo", "obo", keys, expected);
    check_shown(
        "tenantId: 11111111-2222-3333-4444-555555555555, clientId: c, clientSecret: s3cret, audience: 'api://x/'",
        "on behalf of callers of https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token \
         as Some(\"c\") by post \"s3cret\" ca 0 for [\"api://x/.default\"]",
    );
    check_shown(
        "tokenUrl: 'https://t/token', clientId: c, clientSecret: s3cret, clientAuth: basic, scopes: [a]",
        "on behalf of callers of https://t/token as Some(\"c\") by basic \"s3cret\" ca 0 for [\"a\"]",
    );
    let check_refused = |keys: &str, expected: &str| check_refused("obo", "obo", keys, expected);
    check_refused(
        "tokenUrl: 'https://t', tenantId: a, clientId: c, clientSecret: s3cret, scopes: []",
        ": needs exactly one of scopes, audience
         : needs exactly one of tokenUrl, tenantId",
    );
    check_refused(
        "tokenUrl: 'https://t', authority: 'https://a', clientId: c, clientSecret: s3cret, scopes: [a], \
         certificateFile: '${FIXTURES}/authority.pem'",
        ".authority: only takes effect with tenantId
         .certificateFile: only takes effect with privateKeyFile or privateKeyEnv",
    );
    check_refused(
        "tenantId: a/b, authority: 'http://a', clientId: c, clientSecret: s3cret, scopes: [a]",
        ".authority: \"http://a\" is not an https URL; write it with https",
    );
    check_refused(
        "tenantId: a/b, clientId: c, clientSecret: s3cret, scopes: [a], subjectTokenProviderName: p",
        ".tenantId: \"a/b\" is neither the ID of a tenant nor a domain
         .subjectTokenProviderName: is not supported yet: it needs the embedded authorization server, which vmcp does \
         not have yet; leave it out if the token that callers show is the one to exchange",
    );
}

#[test]
fn access_across_applications() {
    let required = "idpTokenUrl: 'https://i/token', targetTokenUrl: 'https://t/token', targetAudience: 'https://t'";
    check_shown(
        "xaa",
        "xaa",
        &format!("{required}, idpClientId: c, idpClientSecret: s3cret, targetClientId: d"),
        "assertion of https://i/token as Some(\"c\") by basic \"s3cret\" ca 0 for https://t - and token of https://t/token \
         as Some(\"d\") by nothing ca 0 for []",
    );
    let check_refused = |keys: &str, expected: &str| check_refused("xaa", "xaa", keys, expected);
    check_refused(
        &format!(
            "{required}, idpClientSecret: s3cret, targetClientId: d, targetClientSecret: s, targetClientSecretEnv: TOKEN"
        ),
        ": takes only one of targetClientSecret, targetClientSecretEnv, targetClientSecretFile
         .idpClientId: is required with idpClientSecret: it proves nothing without",
    );
    check_refused(
        &format!("{required}, subjectTokenType: access_token, subjectProviderName: p, targetResource: x"),
        ".subjectTokenType: must be id_token or urn:ietf:params:oauth:token-type:id_token, not \"access_token\"
         .subjectProviderName: is not supported yet: it needs the embedded authorization server, which vmcp does not \
         have yet; leave it out if the token that callers show is the one to exchange
         .targetResource: \"x\" is not an http or https URL; write it like http://127.0.0.1:8080/mcp",
    );
    check_refused(
        "idpTokenUrl: 'https://i/token', targetTokenUrl: 'http://t/token', targetAudience: 'https://t'",
        ".targetTokenUrl: \"http://t/token\" is not an https URL; write it with https, or, where the server has no TLS, \
         set insecureTargetTokenUrl: true",
    );
}
