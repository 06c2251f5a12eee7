//! Finds the keys of an issuer: at a known URL, or where its metadata says (OpenID Connect Discovery
//! 1.0, section 4; RFC 8414, section 3).

use std::{sync::Arc, time::Duration};

use http::{StatusCode, Uri};
use serde::Deserialize;
use vmcp_fetch::{FetchError, Fetcher};

use crate::{
    config::{InvalidConfig, TrustedIssuer},
    keys::Keys,
};

/// How long finding and fetching the keys may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Where keys come from.
pub(crate) struct Issuer {
    name: String,
    url: Uri,
    jwks_url: Option<Uri>,
    /// Whether it need not have keys, as it can be asked about each token.
    can_be_asked: bool,
    fetcher: Arc<Fetcher>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Option<String>,
}

impl Issuer {
    pub(crate) fn new(
        config: &TrustedIssuer,
        fetcher: Arc<Fetcher>,
    ) -> Result<Self, InvalidConfig> {
        let url = config.issuer.parse().map_err(|_error| InvalidConfig::Issuer)?;
        let (name, jwks_url) = (config.issuer.clone(), config.jwks_url.clone());
        Ok(Self { name, url, jwks_url, can_be_asked: config.introspection.is_some(), fetcher })
    }

    pub(crate) fn can_be_asked(&self) -> bool {
        self.can_be_asked
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The keys as they are now.
    pub(crate) async fn keys(&self) -> Result<Keys, FetchError> {
        let too_slow = FetchError::TooSlow { seconds: ATTEMPT.as_secs() };
        tokio::time::timeout(ATTEMPT, self.fetch()).await.unwrap_or(Err(too_slow))
    }

    async fn fetch(&self) -> Result<Keys, FetchError> {
        let url = match &self.jwks_url {
            Some(url) => url.clone(),
            None => match self.discover().await? {
                Some(url) => url,
                None => return Ok(Keys::none()),
            },
        };
        let text = self.fetcher.get(&url).await?;
        Keys::parse(&text).map_err(|error| FetchError::Unusable { url, why: error.to_string() })
    }

    /// Asks the issuer where its keys are. `None` if it has none, and need not have any.
    async fn discover(&self) -> Result<Option<Uri>, FetchError> {
        let [first, second] = self.metadata_urls()?;
        let (url, text) = match self.fetcher.get(&first).await {
            // Whoever does not speak OpenID Connect may still be an authorization server.
            Err(FetchError::Status { url, status })
                if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS =>
            {
                match self.fetcher.get(&second).await {
                    Err(FetchError::Status { status: again, .. })
                        if self.can_be_asked && [status, again] == [StatusCode::NOT_FOUND; 2] =>
                    {
                        return Ok(None);
                    }
                    Err(FetchError::Status { .. }) => {
                        return Err(FetchError::Status { url, status });
                    }
                    answer => (second, answer?),
                }
            }
            answer => (first, answer?),
        };
        let unusable = |why: &str| FetchError::Unusable { url: url.clone(), why: why.to_owned() };
        let metadata: Metadata =
            serde_json::from_slice(&text).map_err(|error| unusable(&error.to_string()))?;
        if metadata.issuer != self.name {
            // Or one issuer could speak for another (RFC 8414, section 3.3).
            return Err(unusable("it names another issuer than the configured one"));
        }
        match metadata.jwks_uri {
            Some(at) => {
                at.parse().map(Some).map_err(|_error| unusable("its jwks_uri is not a URL"))
            }
            None if self.can_be_asked => Ok(None),
            None => Err(unusable("it has no jwks_uri")),
        }
    }

    /// Where the metadata may be: behind the issuer's path, or between its host and its path.
    fn metadata_urls(&self) -> Result<[Uri; 2], FetchError> {
        let path = self.url.path().trim_end_matches('/');
        let at = |path: String| {
            let mut parts = self.url.clone().into_parts();
            parts.path_and_query = path.parse().ok();
            Uri::from_parts(parts).map_err(|error| FetchError::Unusable {
                url: self.url.clone(),
                why: error.to_string(),
            })
        };
        Ok([
            at(format!("{path}/.well-known/openid-configuration"))?,
            at(format!("/.well-known/oauth-authorization-server{path}"))?,
        ])
    }
}
