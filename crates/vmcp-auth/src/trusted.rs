//! One issuer whose tokens are good: what they must say, its keys, and where it is asked.

use std::sync::Arc;

use vmcp_fetch::{Fetcher, Rules};
use vmcp_wire::Fault;

use crate::{
    authenticator::Spawn,
    config::{InvalidConfig, TrustedIssuer},
    introspection::Introspection,
    issuer::Issuer,
    source::KeySource,
    verify::{Expected, Refusal},
};

pub(crate) struct Trusted {
    pub(crate) name: Arc<str>,
    pub(crate) expected: Expected,
    pub(crate) source: Arc<KeySource>,
    pub(crate) introspection: Option<Introspection>,
    /// What clients should ask it for.
    wanted_scopes: String,
}

impl Trusted {
    /// Begins to fetch its keys.
    pub(crate) fn start(config: &TrustedIssuer, spawn: Spawn) -> Result<Self, InvalidConfig> {
        let fetcher = Arc::new(Fetcher::new(Rules {
            ca_bundle: config.ca_bundle.as_deref(),
            allow_private_ip: config.allow_private_ip,
            private_ip_key: "jwksAllowPrivateIp",
            allow_http: config.allow_http,
        }));
        let issuer = Issuer::new(config, Arc::clone(&fetcher))?;
        if let Some(problem) = fetcher.problem().filter(|_| asks_over_tls(config)) {
            return Err(problem.into());
        }
        let name = Arc::from(config.issuer.as_str());
        let asked = config.introspection.clone();
        Ok(Self {
            introspection: asked.map(|asked| Introspection::new(Arc::clone(&name), asked, fetcher)),
            name,
            expected: Expected {
                issuer: config.issuer.clone(),
                audience: config.audience.clone(),
                scopes: config.required_scopes.clone(),
            },
            source: KeySource::start(issuer, spawn),
            wanted_scopes: config.wanted_scopes().join(" "),
        })
    }

    /// What to say of a token of this issuer that is refused.
    pub(crate) fn fault(&self, refusal: Refusal) -> Fault {
        let has_keys = || self.source.keys().is_some() && !self.source.has_failed();
        match refusal {
            Refusal::Scope => Fault::InsufficientScope {
                required: self.expected.scopes.join(" "),
                wanted: self.wanted_scopes.clone(),
            },
            // The token may be good: whoever sent it should keep it.
            Refusal::UnknownKey if !has_keys() => {
                Fault::Unavailable("the issuer's keys cannot be fetched now".into())
            }
            _ => Fault::InvalidToken(refusal.why()),
        }
    }
}

fn asks_over_tls(config: &TrustedIssuer) -> bool {
    let keys = match &config.jwks_url {
        Some(url) => url.scheme_str() == Some("https"),
        None => config.issuer.starts_with("https:"),
    };
    let asked = config.introspection.as_ref();
    keys || asked.is_some_and(|asked| asked.url.scheme_str() == Some("https"))
}
