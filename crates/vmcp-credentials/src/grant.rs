//! How tokens are obtained, as configuration says it.

use std::sync::Arc;

use http::Uri;
use vmcp_model::Secret;

use crate::signing::SigningKey;

/// By which grant tokens are obtained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// vmcp's own, one for all callers (RFC 6749, section 4.4).
    ClientCredentials { endpoint: TokenEndpoint, wanted: Wanted },
    /// For the caller's token (RFC 8693).
    TokenExchange(TokenExchange),
    /// For the caller's token, as Microsoft Entra ID has it.
    OnBehalfOf { endpoint: TokenEndpoint, scopes: Vec<String> },
    /// For the caller's ID token, by way of an assertion of the identity provider (Identity Assertion
    /// Authorization Grant).
    CrossApp(CrossApp),
}

/// What a token exchange asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenExchange {
    pub endpoint: TokenEndpoint,
    pub wanted: Wanted,
    pub subject_token_type: TokenType,
    pub requested_token_type: TokenType,
}

/// What cross-app access asks for, of two authorization servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrossApp {
    /// The identity provider, which gives an assertion.
    pub provider: TokenEndpoint,
    /// The backend's authorization server, which takes it.
    pub target: TokenEndpoint,
    /// The name of that one.
    pub audience: String,
    /// The backend, by its URL.
    pub resource: Option<String>,
    pub scopes: Vec<String>,
}

/// What a token is to be good for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    pub scopes: Vec<String>,
    pub audience: Option<String>,
    /// RFC 8707.
    pub resource: Option<String>,
}

/// Where tokens are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenEndpoint {
    pub url: Uri,
    pub client: Client,
    /// Authorities that vouch for it, in PEM, in place of the system's.
    pub ca_bundle: Option<Arc<[u8]>>,
}

/// Who vmcp is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Client {
    pub id: Option<String>,
    pub proof: ClientProof,
}

/// How a client proves who it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ClientProof {
    /// Not at all: a public client.
    #[default]
    None,
    /// In the header `Authorization` (`client_secret_basic`).
    Basic(Secret),
    /// In the form (`client_secret_post`).
    Post(Secret),
    /// By a signature (`private_key_jwt`).
    Key(SigningKey),
}

/// Kinds of tokens (RFC 8693, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenType {
    AccessToken,
    IdToken,
    Jwt,
}

impl TokenType {
    pub const ALL: [Self; 3] = [Self::AccessToken, Self::IdToken, Self::Jwt];

    /// Its last part, by which people call it.
    pub fn name(self) -> &'static str {
        self.urn().rsplit(':').next().unwrap_or_default()
    }

    pub fn urn(self) -> &'static str {
        match self {
            Self::AccessToken => "urn:ietf:params:oauth:token-type:access_token",
            Self::IdToken => "urn:ietf:params:oauth:token-type:id_token",
            Self::Jwt => "urn:ietf:params:oauth:token-type:jwt",
        }
    }
}

impl Grant {
    /// Whether it is made for single callers.
    pub(crate) fn is_personal(&self) -> bool {
        !matches!(self, Self::ClientCredentials { .. })
    }

    /// What it is called in configuration.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::ClientCredentials { .. } => "client_credentials",
            Self::TokenExchange(_) => "token_exchange",
            Self::OnBehalfOf { .. } => "obo",
            Self::CrossApp(_) => "xaa",
        }
    }

    pub(crate) fn endpoints(&self) -> Vec<&TokenEndpoint> {
        match self {
            Self::ClientCredentials { endpoint, .. }
            | Self::TokenExchange(TokenExchange { endpoint, .. })
            | Self::OnBehalfOf { endpoint, .. } => vec![endpoint],
            Self::CrossApp(CrossApp { provider, target, .. }) => vec![provider, target],
        }
    }

    /// What it is, in parts of which a digest can be made.
    pub(crate) fn parts(&self) -> Vec<Vec<u8>> {
        let mut parts = vec![self.name().into()];
        parts.extend(self.endpoints().iter().flat_map(|endpoint| endpoint.parts()));
        match self {
            Self::ClientCredentials { wanted, .. } => parts.extend(wanted.parts()),
            Self::TokenExchange(exchange) => {
                parts.extend(exchange.wanted.parts());
                let types = [exchange.subject_token_type, exchange.requested_token_type];
                parts.extend(types.map(|one| one.urn().into()));
            }
            Self::OnBehalfOf { scopes, .. } => parts.push(scopes.join(" ").into()),
            Self::CrossApp(CrossApp { audience, resource, scopes, .. }) => {
                parts.push(audience.clone().into());
                parts.push(optional(resource.as_ref()));
                parts.push(scopes.join(" ").into());
            }
        }
        parts
    }

    /// The secrets in it.
    pub(crate) fn secrets(&self) -> Vec<&[u8]> {
        self.endpoints().iter().filter_map(|endpoint| endpoint.client.secret()).collect()
    }
}

impl Wanted {
    fn parts(&self) -> [Vec<u8>; 3] {
        let Self { scopes, audience, resource } = self;
        [scopes.join(" ").into(), optional(audience.as_ref()), optional(resource.as_ref())]
    }
}

impl TokenEndpoint {
    fn parts(&self) -> [Vec<u8>; 5] {
        let Self { url, client: Client { id, proof }, ca_bundle } = self;
        let (kind, proof) = match proof {
            ClientProof::None => ("none", Vec::new()),
            ClientProof::Basic(secret) => ("basic", secret.expose().into()),
            ClientProof::Post(secret) => ("post", secret.expose().into()),
            ClientProof::Key(key) => ("key", key.identity()),
        };
        let bundle = ca_bundle.as_ref().map(|bundle| bundle.to_vec()).unwrap_or_default();
        [url.to_string().into(), optional(id.as_ref()), kind.into(), proof, bundle]
    }
}

impl Client {
    /// Whether it can show that it is who it says, so that it gets tokens for itself.
    pub(crate) fn is_proved(&self) -> bool {
        self.id.is_some() && self.proof != ClientProof::None
    }

    fn secret(&self) -> Option<&[u8]> {
        match &self.proof {
            ClientProof::None => None,
            ClientProof::Basic(secret) | ClientProof::Post(secret) => {
                Some(secret.expose().as_bytes())
            }
            ClientProof::Key(key) => Some(key.pem()),
        }
    }
}

/// No text and an empty one differ.
fn optional(text: Option<&String>) -> Vec<u8> {
    text.map(|text| format!("={text}").into()).unwrap_or_default()
}
