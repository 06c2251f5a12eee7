//! A credential and a token endpoint that it asks.

use std::sync::Arc;

use http::Uri;
use tokio_util::task::TaskTracker;
use vmcp_credentials::{
    Client, ClientProof, Config, Credential, Grant, Outbound, Showing, Shown, Spawn,
    TokenEndpoint as Endpoint, TokenExchange, TokenType, Unavailable, Wanted,
};
use vmcp_model::{Claims, Identity, Principal, Proof, Secret};
use vmcp_testkit::token_endpoint::TokenEndpoint;

pub(crate) const SECRET: &str = "s3cret of:the/client";

pub(crate) struct Stand {
    pub(crate) endpoint: TokenEndpoint,
    pub(crate) credential: Arc<Credential>,
}

impl Stand {
    /// One with the grant that is made of what stands for the endpoint.
    pub(crate) async fn new(grant: impl FnOnce(Endpoint) -> Grant) -> Self {
        let endpoint = TokenEndpoint::start().await.unwrap();
        let credential = credential(grant(place(&endpoint)));
        Self { endpoint, credential }
    }

    pub(crate) async fn of_client() -> Self {
        Self::new(|endpoint| Grant::ClientCredentials { endpoint, wanted: Wanted::default() }).await
    }

    pub(crate) async fn of_callers() -> Self {
        Self::new(exchange).await
    }

    pub(crate) async fn ask(&self, caller: Option<&Identity>) -> Result<String, Unavailable> {
        ask(&self.credential, caller).await
    }
}

pub(crate) fn credential(grant: Grant) -> Arc<Credential> {
    let tasks = TaskTracker::new();
    let spawn: Spawn = Arc::new(move |work| drop(tasks.spawn(work)));
    Arc::new(Credential::new(Config::Token(Box::new(grant)), spawn))
}

pub(crate) async fn ask(
    credential: &Credential,
    caller: Option<&Identity>,
) -> Result<String, Unavailable> {
    match credential.shown(caller) {
        Showing::Nothing => Ok(String::new()),
        Showing::Now(shown) => Ok(value(&shown)),
        Showing::Wait(waiting) => waiting.await.map(|shown| value(&shown)),
    }
}

/// The value of the header.
pub(crate) fn value(shown: &Shown) -> String {
    let (method, target) = (http::Method::POST, Uri::from_static("http://backend/mcp"));
    let mut values = Vec::new();
    shown.each_header(Outbound { method: &method, target: &target, body: b"" }, |name, value| {
        assert!(value.is_sensitive());
        values.push(format!("{name}: {}", value.to_str().unwrap()));
    });
    values.join("\n")
}

pub(crate) fn place(endpoint: &TokenEndpoint) -> Endpoint {
    let proof = ClientProof::Basic(Secret::new(SECRET));
    let client = Client { id: Some("vmcp".to_owned()), proof };
    Endpoint { url: endpoint.url().parse().unwrap(), client, ca_bundle: None }
}

pub(crate) fn exchange(endpoint: Endpoint) -> Grant {
    let (wanted, access) = (Wanted::default(), TokenType::AccessToken);
    Grant::TokenExchange(TokenExchange {
        endpoint,
        wanted,
        subject_token_type: access,
        requested_token_type: access,
    })
}

/// A caller who has shown a token.
pub(crate) fn caller(subject: &str, token: &str) -> Identity {
    let principal = Principal::Subject { issuer: "https://idp".into(), subject: subject.into() };
    let claims = Claims::new(format!("{{\"sub\":{subject:?}}}").into());
    Identity::proved(principal, Arc::new(Proof::new(claims, token, u64::MAX)))
}
