//! What each strategy of the operator shows its backend.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::Method;
use serde_json::json;
use vmcp_testkit::{
    identity::IdentityProvider,
    peers,
    raw::Running,
    token_endpoint::{Given, TokenEndpoint},
};

use super::{
    Pod,
    visit::{Caller, monitor, visit},
};

const KEYS: &str = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
    <SessionToken>t</SessionToken><SecretAccessKey>s</SecretAccessKey><AccessKeyId>of-sts</AccessKeyId>\
    <Expiration>2100-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult>\
    </AssumeRoleWithWebIdentityResponse>";

/// An identity provider's word for the caller at another's authorization server.
fn crossing() -> Given {
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({"aud": ["https://as.example"], "resource": "https://ledger.example/mcp"});
    let assertion = format!("{}.{}.c2ln", part(&json!({"typ": "oauth-id-jag+jwt"})), part(&claims));
    let kind = "urn:ietf:params:oauth:token-type:id-jag";
    let given = json!({"access_token": assertion, "token_type": "N_A", "issued_token_type": kind, "expires_in": 60});
    Given::json(200, &given)
}

/// What every request has shown a backend, and that it got any. As vmcp ends there is no caller for whom sessions
/// could be given back.
fn shown(backend: &Running) -> Vec<String> {
    let mut seen = backend.seen();
    seen.retain(|seen| seen.verb != Method::DELETE);
    let shown = seen.iter().map(|seen| {
        let shown = seen.headers.get("authorization").map(|shown| shown.to_str().unwrap());
        shown.unwrap_or_else(|| panic!("nothing is shown: {seen:?}")).to_owned()
    });
    let shown: Vec<_> = shown.collect();
    assert!(!shown.is_empty());
    shown
}

#[tokio::test]
async fn each_backend_is_shown_what_its_strategy_says() {
    let provider = IdentityProvider::start().await.unwrap();
    let (tokens, sts) =
        (TokenEndpoint::start().await.unwrap(), TokenEndpoint::start().await.unwrap());
    let (across, target) = (
        TokenEndpoint::start_with_tls().await.unwrap(),
        TokenEndpoint::start_with_tls().await.unwrap(),
    );
    across.set_script(|_asked| crossing());
    sts.set_script(|_asked| Given::text(200, "text/xml", KEYS));
    let names = ["ledger", "maps", "notes", "vault"];
    let mut pod = Pod::read("inline-auth")
        .with("issuer", &provider.issuer())
        .with("tokens", &tokens.url())
        .with("crossing", &across.url())
        .with("target", &target.url())
        .with("authorities", &[across.authority(), target.authority()].concat())
        .with("sts", &sts.url());
    let mut backends = Vec::new();
    for name in names {
        let backend = peers::stateful().start().await.unwrap();
        let url = backend.url();
        // The operator gives the URL of a proxy without a path.
        let url = if name == "vault" { url.trim_end_matches("/mcp") } else { &url };
        pod = pod.with(name, url);
        backends.push(backend);
    }
    let running = pod.start().await;
    let mut claims = provider.claims("alice");
    claims["email"] = json!("alice@desk.example");
    let token = provider.key().sign(&claims);
    let caller = Caller { token: Some(&token), ..Caller::default() };
    let tools = names.map(|name| [format!("{name}_count"), format!("{name}_slow")]).concat();
    let tools: Vec<_> = tools.iter().map(String::as_str).collect();
    let visit = visit(&running.process, caller, &tools, &tools).await;
    monitor(&running.process, &names.map(|name| (name, "healthy"))).await;
    let log = visit.end(running.process).await.1;
    let is_token = |shown: &String| shown.starts_with("Bearer token-");
    assert!(shown(&backends[0]).iter().all(is_token));
    assert!(shown(&backends[1]).iter().all(|shown| shown == "Bearer of-maps"));
    assert!(shown(&backends[2]).iter().all(is_token));
    let signed = "AWS4-HMAC-SHA256 Credential=of-sts/";
    assert!(shown(&backends[3]).iter().all(|shown| shown.starts_with(signed)));
    let guest = "arn:aws:iam::123456789012:role/guest";
    assert!(sts.asked().iter().all(|asked| asked.field("RoleArn") == guest));
    for secret in ["of-login", "of-maps", "of-exchange", "of-provider", "of-target", &token] {
        assert!(!log.contains(secret), "a secret was told");
    }
}
