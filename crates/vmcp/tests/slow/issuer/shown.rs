//! What a backend is shown, by the word of the server that has given it.

use std::collections::BTreeSet;

use serde_json::Value;
use vmcp_testkit::process::Process;

use super::{CALLER, Fixture, OTHER, connect, count, fixture};
use crate::serve;

/// vmcp as a client of the issuer, encoded by hand.
const GATEWAY: &str = "vmcp%3Agateway:s3cret%3A%20%25%2B%26%3D";

impl Fixture {
    /// vmcp that shows the backend what this strategy brings. `{issuer}`, `{secret}` and `{key}` are put in.
    async fn showing(&self, strategy: &str) -> Process {
        let key = self.folder.path().join("key.pem");
        let strategy = strategy
            .replace("{issuer}", &self.issuer.url_of(""))
            .replace("{secret}", &self.secret.path().display().to_string())
            .replace("{key}", &key.display().to_string());
        let outgoing = format!("outgoingAuth: {{backends: {{a: {{{strategy}}}}}}}");
        serve(&self.gateway("").with(&outgoing)).await
    }

    /// The tokens that the backend was shown with calls.
    fn shown(&self) -> BTreeSet<String> {
        let seen = self.backend.seen().into_iter().filter(|seen| seen.method == "tools/call");
        let shown = seen.map(|seen| seen.headers["authorization"].to_str().unwrap().to_owned());
        shown.map(|shown| shown.strip_prefix("Bearer ").unwrap().to_owned()).collect()
    }

    async fn introspected(&self, token: &str) -> Value {
        self.post("/token/introspection", GATEWAY, None, format!("token={token}")).await
    }
}

#[tokio::test]
async fn tokens_of_vmcps_own_are_given_by_secret_and_by_key() {
    for (client, strategy) in [
        (
            "vmcp:gateway",
            "type: client_credentials, clientCredentials: {tokenUrl: '{issuer}/token', clientId: 'vmcp:gateway', \
             clientSecretFile: '{secret}', scopes: [tools], resource: 'urn:vmcp'}",
        ),
        (
            "vmcp-key",
            "type: client_credentials, clientCredentials: {tokenUrl: '{issuer}/token', clientId: vmcp-key, \
             privateKeyFile: '{key}', keyId: one, scopes: [tools], resource: 'urn:vmcp'}",
        ),
    ] {
        let fixture = fixture().await;
        let vmcp = fixture.showing(strategy).await;
        let caller = connect(&vmcp, &fixture.token(CALLER, "urn:vmcp", None).await).await;
        for _call in 0..3 {
            count(&caller).await;
        }
        let shown = fixture.shown();
        assert_eq!(shown.len(), 1, "one token for all calls");
        let said = fixture.introspected(shown.first().unwrap()).await;
        assert_eq!((&said["active"], &said["client_id"]), (&true.into(), &client.into()), "{said}");
        assert_eq!(said["scope"], "tools");
    }
}

#[tokio::test]
async fn a_callers_token_is_exchanged_for_one_that_is_about_the_caller() {
    let fixture = fixture().await;
    let vmcp = fixture
        .showing(
            "type: token_exchange, tokenExchange: {tokenUrl: '{issuer}/token', clientId: 'vmcp:gateway', \
             clientSecretFile: '{secret}', scopes: [tools]}",
        )
        .await;
    let mut known = BTreeSet::new();
    for (client, name) in [(CALLER, "caller:one"), (OTHER, "caller-two")] {
        let token = fixture.token(client, "urn:vmcp", None).await;
        let caller = connect(&vmcp, &token).await;
        for _call in 0..3 {
            count(&caller).await;
        }
        let shown: Vec<_> = fixture.shown().difference(&known).cloned().collect();
        let [shown] = &shown[..] else { panic!("one token for all calls of {name}") };
        let said = fixture.introspected(shown).await;
        assert_eq!(
            (&said["active"], &said["client_id"]),
            (&true.into(), &"vmcp:gateway".into()),
            "{said}"
        );
        known.insert(shown.clone());
        // The caller's own token stays here.
        assert!(!known.contains(&token));
    }
    assert_eq!(known.len(), 2);
}
