//! An authenticator against a real identity provider.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails them just as they fail themselves"
)]

mod guard;
mod keys;
mod outage;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, header};
use tokio_util::task::TaskTracker;
use vmcp_auth::{Authentication, Authenticator, Oidc};
use vmcp_model::Principal;
use vmcp_testkit::identity::{AUDIENCE, IdentityProvider};
use vmcp_wire::Fault;

/// What makes an authenticator of this provider's tokens, which is on loopback and without TLS.
fn config(provider: &IdentityProvider) -> Oidc {
    Oidc {
        issuer: provider.issuer(),
        audience: AUDIENCE.to_owned(),
        jwks_url: None,
        resource: None,
        scopes: Vec::new(),
        allow_private_ip: true,
        allow_http: true,
        ca_bundle: None,
    }
}

fn authenticator(config: &Oidc) -> Authenticator {
    let tasks = TaskTracker::new();
    let spawn = Arc::new(move |work| drop(tasks.spawn(work)));
    Authenticator::oidc(config, spawn).unwrap()
}

fn shown(token: &str) -> HeaderMap {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(header::AUTHORIZATION, value)])
}

async fn ask(authenticator: &Authenticator, token: &str) -> Result<Principal, Fault> {
    match authenticator.authenticate(&shown(token)) {
        Authentication::Known(known) => known,
        Authentication::Wait(known) => known.await,
    }
}

/// The answer, if it takes no waiting.
fn at_once(authenticator: &Authenticator, token: &str) -> Option<Result<Principal, Fault>> {
    match authenticator.authenticate(&shown(token)) {
        Authentication::Known(known) => Some(known),
        Authentication::Wait(_) => None,
    }
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
