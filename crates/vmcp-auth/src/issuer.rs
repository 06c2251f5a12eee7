//! Finds the keys of an issuer: at a known URL, or where its metadata says (OpenID Connect Discovery
//! 1.0, section 4; RFC 8414, section 3).

use std::{fs, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Uri};
use serde::Deserialize;
use vmcp_fetch::{FetchError, Fetcher};

use crate::{
    config::{Account, InvalidConfig, TrustedIssuer},
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
    account: Option<Account>,
    fetcher: Arc<Fetcher>,
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: Option<String>,
}

impl Account {
    /// The header that shows its token.
    fn authorization(&self) -> Result<HeaderValue, String> {
        let path = self.token.display();
        let token = fs::read_to_string(&self.token);
        let token = token.map_err(|error| format!("{path} cannot be read: {error}"))?;
        let shown = HeaderValue::try_from(format!("Bearer {}", token.trim()));
        let mut shown = shown.map_err(|_error| format!("{path} holds no token"))?;
        shown.set_sensitive(true);
        Ok(shown)
    }
}

impl Issuer {
    pub(crate) fn new(
        config: &TrustedIssuer,
        fetcher: Arc<Fetcher>,
    ) -> Result<Self, InvalidConfig> {
        let url = config.issuer.parse().map_err(|_error| InvalidConfig::Issuer)?;
        let (name, jwks_url) = (config.issuer.clone(), config.jwks_url.clone());
        let (can_be_asked, account) = (config.introspection.is_some(), config.account.clone());
        Ok(Self { name, url, jwks_url, can_be_asked, account, fetcher })
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
        let text = self.get(&url).await?;
        Keys::parse(&text).map_err(|error| FetchError::Unusable { url, why: error.to_string() })
    }

    /// Fetches a text, as the account whose token that server may see.
    async fn get(&self, url: &Uri) -> Result<Bytes, FetchError> {
        let is_shown = |account: &&Account| {
            let host = url.host().filter(|_| url.scheme_str() == Some("https"));
            host.is_some_and(|host| account.hosts.iter().any(|of| of.eq_ignore_ascii_case(host)))
        };
        let account = self.account.as_ref().filter(is_shown);
        let unusable = |why| FetchError::Unusable { url: url.clone(), why };
        let shown = account.map(Account::authorization).transpose().map_err(unusable)?;
        self.fetcher.get_as(url, shown.as_ref()).await
    }

    /// Asks the issuer where its keys are. `None` if it has none, and need not have any.
    async fn discover(&self) -> Result<Option<Uri>, FetchError> {
        let [first, second] = self.metadata_urls()?;
        let (url, text) = match self.get(&first).await {
            // Whoever does not speak OpenID Connect may still be an authorization server.
            Err(FetchError::Status { url, status })
                if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS =>
            {
                match self.get(&second).await {
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
