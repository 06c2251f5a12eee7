//! Obtains what backends are shown: tokens, each by its grant, and keys of AWS.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use vmcp_model::{Claims, Digest, Proof};

use crate::{
    aws::Sts,
    credential::Unavailable,
    endpoint::{Answer, Endpoint},
    form::Form,
    grant::{CrossApp, Grant, TokenExchange, TokenType, Wanted},
    shown::Shown,
    slot::Obtained,
};

const CLIENT_CREDENTIALS: &str = "client_credentials";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// How tokens that are no access tokens are shown (RFC 8693, section 2.2.1).
const NOT_SHOWN: &str = "N_A";

/// Who gives what backends are shown.
pub(crate) enum Source {
    Tokens(Box<Granting>),
    #[cfg_attr(not(feature = "aws"), expect(dead_code, reason = "there is none without AWS"))]
    Sts(Box<Sts>),
}

/// Who gives tokens.
pub(crate) struct Granting {
    grant: Grant,
    /// As [`Grant::endpoints`] has them.
    endpoints: Vec<Endpoint>,
}

impl Source {
    pub(crate) fn of_grant(grant: Grant) -> Self {
        let endpoints = grant.endpoints().into_iter().map(Endpoint::new).collect();
        Self::Tokens(Box::new(Granting { grant, endpoints }))
    }

    /// What the strategy is called in configuration.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Tokens(granting) => granting.grant.name(),
            Self::Sts(_) => "aws_sts",
        }
    }

    /// By what a backend tells callers apart besides who they are.
    pub(crate) fn role(&self, claims: &Claims) -> Option<Digest> {
        match self {
            Self::Tokens(_) => None,
            Self::Sts(sts) => Some(sts.role(claims)),
        }
    }

    /// Whether there is something for nobody's sake: where vmcp can show who it is itself.
    pub(crate) fn gives_own(&self) -> bool {
        match self {
            Self::Tokens(granting) => granting.gives_own(),
            Self::Sts(_) => false,
        }
    }

    /// What is for nobody's sake.
    pub(crate) async fn own(&self) -> Result<Obtained, Unavailable> {
        match self {
            Self::Tokens(granting) => granting.own().await,
            Self::Sts(_) => Err(Unavailable::Caller("is obtained for callers only".into())),
        }
    }

    /// What is for the caller who has shown this.
    pub(crate) async fn for_caller(&self, proof: &Proof) -> Result<Obtained, Unavailable> {
        match self {
            Self::Tokens(granting) => granting.for_caller(proof.token.expose()).await,
            Self::Sts(sts) => sts.obtain(proof).await,
        }
    }
}

impl Granting {
    fn gives_own(&self) -> bool {
        match &self.grant {
            Grant::ClientCredentials { .. } => true,
            Grant::TokenExchange(exchange) => exchange.endpoint.client.is_proved(),
            // Entra gives a client what it was granted as a whole, and no single scopes.
            Grant::OnBehalfOf { endpoint, scopes } => {
                endpoint.client.is_proved()
                    && scopes.iter().all(|scope| scope.ends_with("/.default"))
            }
            Grant::CrossApp(access) => access.target.client.is_proved(),
        }
    }

    async fn own(&self) -> Result<Obtained, Unavailable> {
        let mut form = Form::of_grant(CLIENT_CREDENTIALS);
        match &self.grant {
            Grant::ClientCredentials { wanted, .. }
            | Grant::TokenExchange(TokenExchange { wanted, .. }) => add(&mut form, wanted),
            Grant::OnBehalfOf { scopes, .. } => form.add_scopes(scopes),
            Grant::CrossApp(CrossApp { resource, scopes, .. }) => {
                form.add_optional("resource", resource.as_ref());
                form.add_scopes(scopes);
            }
        }
        let endpoint = self.last();
        bearer(endpoint, endpoint.ask(form, false).await?, &[])
    }

    async fn for_caller(&self, token: &str) -> Result<Obtained, Unavailable> {
        match &self.grant {
            Grant::ClientCredentials { .. } => self.own().await,
            Grant::TokenExchange(exchange) => self.exchanged(exchange, token).await,
            Grant::OnBehalfOf { scopes, .. } => {
                let mut form = Form::of_grant(JWT_BEARER);
                form.add_secret("assertion", token);
                form.add("requested_token_use", "on_behalf_of");
                form.add_scopes(scopes);
                bearer(self.last(), self.last().ask(form, true).await?, &[])
            }
            Grant::CrossApp(access) => self.by_assertion(access, token).await,
        }
    }

    async fn exchanged(
        &self,
        exchange: &TokenExchange,
        token: &str,
    ) -> Result<Obtained, Unavailable> {
        let TokenExchange { wanted, subject_token_type, requested_token_type, .. } = exchange;
        let mut form = Form::of_grant(TOKEN_EXCHANGE);
        form.add_secret("subject_token", token);
        form.add("subject_token_type", subject_token_type.urn());
        form.add("requested_token_type", requested_token_type.urn());
        add(&mut form, wanted);
        let endpoint = self.last();
        let answer = endpoint.ask(form, true).await?;
        if answer.issued_type.as_ref().is_none_or(String::is_empty) {
            return Err(endpoint.unusable("without an issued_token_type"));
        }
        match requested_token_type {
            TokenType::AccessToken => bearer(endpoint, answer, &[]),
            TokenType::IdToken | TokenType::Jwt => bearer(endpoint, answer, &[NOT_SHOWN]),
        }
    }

    /// Asks the identity provider for an assertion, and the backend's authorization server for a token for it.
    async fn by_assertion(&self, access: &CrossApp, token: &str) -> Result<Obtained, Unavailable> {
        let CrossApp { audience, resource, scopes, .. } = access;
        let [provider, target] = self.endpoints.as_slice() else {
            unreachable!("cross-app access has two endpoints")
        };
        let mut form = Form::of_grant(TOKEN_EXCHANGE);
        form.add_secret("subject_token", token);
        form.add("subject_token_type", TokenType::IdToken.urn());
        form.add("requested_token_type", ID_JAG);
        form.add("audience", audience);
        form.add_optional("resource", resource.as_ref());
        form.add_scopes(scopes);
        let answer = provider.ask(form, true).await?;
        check_assertion(&answer, access).map_err(|why| provider.unusable(why))?;
        let mut form = Form::of_grant(JWT_BEARER);
        form.add_secret("assertion", &answer.token);
        form.add_scopes(scopes);
        bearer(target, target.ask(form, true).await?, &[])
    }

    /// Who gives the token that the backend is shown.
    fn last(&self) -> &Endpoint {
        self.endpoints.last().expect("each grant has an endpoint")
    }
}

fn add(form: &mut Form, wanted: &Wanted) {
    let Wanted { scopes, audience, resource } = wanted;
    form.add_optional("audience", audience.as_ref());
    form.add_optional("resource", resource.as_ref());
    form.add_scopes(scopes);
}

/// The token as a backend is shown it. Besides bearers, tokens of these types are.
fn bearer(endpoint: &Endpoint, answer: Answer, others: &[&str]) -> Result<Obtained, Unavailable> {
    let Answer { token, token_type, lifetime, .. } = answer;
    if !["Bearer"].iter().chain(others).any(|one| one.eq_ignore_ascii_case(&token_type)) {
        return Err(endpoint.unusable("with a token_type that is not Bearer"));
    }
    let shown = Shown::bearer(&token)
        .ok_or_else(|| endpoint.unusable("with a token that no header can hold"))?;
    Ok(Obtained { shown, lifetime })
}

/// Whether the identity provider gave what it was asked for, so that it is for this authorization server alone.
/// Its signature is for that one to check.
fn check_assertion(answer: &Answer, access: &CrossApp) -> Result<(), &'static str> {
    if answer.issued_type.as_deref() != Some(ID_JAG) {
        return Err("with an issued_token_type that is not id-jag");
    }
    if !answer.token_type.eq_ignore_ascii_case(NOT_SHOWN) {
        return Err("with a token_type that is not N_A");
    }
    let claims = claims(&answer.token).ok_or("with an assertion that is no JWT")?;
    let audience = match claims.get("aud") {
        Some(Value::Array(all)) if all.len() == 1 => all.first(),
        other => other,
    };
    if audience.and_then(Value::as_str) != Some(access.audience.as_str()) {
        return Err("with an assertion for another audience than targetAudience");
    }
    let Some(resource) = &access.resource else { return Ok(()) };
    let is_for = match claims.get("resource") {
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(resource)),
        other => other.and_then(Value::as_str) == Some(resource),
    };
    if is_for { Ok(()) } else { Err("with an assertion for another resource than targetResource") }
}

/// What a JWT says, without a check of who says it.
fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (_header, claims, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(claims).ok().filter(|_| parts.next().is_none())?;
    serde_json::from_slice(&claims).ok().filter(Value::is_object)
}
