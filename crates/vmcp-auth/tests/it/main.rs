//! An authenticator against a real identity provider.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails them just as they fail themselves"
)]

mod bound;
mod guard;
mod introspection;
mod issuers;
mod keys;
mod outage;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, header};
use tokio_util::task::TaskTracker;
use vmcp_auth::{Asking, Authentication, Authenticator, Oidc, TrustedIssuer};
use vmcp_model::{Identity, Principal};
use vmcp_testkit::identity::{AUDIENCE, IdentityProvider};
use vmcp_wire::Fault;

/// What makes an authenticator of this provider's tokens, which is on loopback and without TLS.
fn config(provider: &IdentityProvider) -> TrustedIssuer {
    TrustedIssuer {
        issuer: provider.issuer(),
        audience: AUDIENCE.to_owned(),
        jwks_url: None,
        introspection: None,
        scopes: Vec::new(),
        required_scopes: Vec::new(),
        allow_private_ip: true,
        allow_http: true,
        ca_bundle: None,
        account: None,
    }
}

fn authenticator(config: &TrustedIssuer) -> Authenticator {
    trusting(std::slice::from_ref(config))
}

fn trusting(issuers: &[TrustedIssuer]) -> Authenticator {
    let tasks = TaskTracker::new();
    let spawn = Arc::new(move |work| drop(tasks.spawn(work)));
    let config = Oidc { issuers: issuers.to_vec(), resource: None };
    Authenticator::oidc(&config, spawn).unwrap()
}

fn shown(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(header::AUTHORIZATION, value)])
}

/// Asks who sends a request with these headers.
fn authentication(authenticator: &Authenticator, headers: &HeaderMap) -> Authentication {
    let url = || panic!("nobody needs to know the URL");
    authenticator.authenticate(&Asking { headers, method: &Method::POST, url: &url })
}

async fn ask(authenticator: &Authenticator, token: &str) -> Result<Principal, Fault> {
    identity(authenticator, token).await.map(|identity| identity.principal().clone())
}

async fn identity(authenticator: &Authenticator, token: &str) -> Result<Identity, Fault> {
    match authentication(authenticator, &shown(token)) {
        Authentication::Known(known) => known,
        Authentication::Wait(known) => known.await,
    }
}

/// The answer, if it takes no waiting.
fn at_once(authenticator: &Authenticator, token: &str) -> Option<Result<Principal, Fault>> {
    match authentication(authenticator, &shown(token)) {
        Authentication::Known(known) => Some(known.map(|identity| identity.principal().clone())),
        Authentication::Wait(_) => None,
    }
}

/// Lets time pass for everything but sockets.
async fn after(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

fn subject(provider: &IdentityProvider, name: &str) -> Principal {
    Principal::Subject { issuer: provider.issuer().into(), subject: name.into() }
}

fn is_unavailable(answer: &Result<Principal, Fault>) -> bool {
    matches!(answer, Err(Fault::Unavailable(_)))
}

fn is_refused(answer: &Result<Principal, Fault>) -> bool {
    matches!(answer, Err(Fault::InvalidToken(_)))
}
