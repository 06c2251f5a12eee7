//! How operators prove who they are: nobody need to, by a token that they share, or by one of the issuer's that
//! gives them a role.

use std::{fmt, future::ready, io, path::PathBuf, pin::Pin};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use ring::{hmac, rand::SecureRandom as _, rand::SystemRandom};
use serde_json::Value;
use vmcp_model::Identity;
use vmcp_wire::Fault;

use crate::{
    authenticator::{Asking, Authentication, Authenticator},
    bearer,
};
use token_file::TokenFile;

mod token_file;

/// How operators prove who they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OperatorAuth {
    /// Nobody is asked, and nothing can be changed.
    #[default]
    None,
    /// By a token that stands in a file, or by one that is made at the start.
    Token(Option<PathBuf>),
    /// As callers do, by a token that gives them a role.
    Oidc(Roles),
}

/// Roles that make somebody an operator; one is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    /// Where a token says what roles its subject has: the name of a claim, or names with dots between them
    /// where one is within another.
    pub claim: String,
    pub any_of: Vec<String>,
}

/// Knows who is an operator.
pub struct Operators(Kind);

enum Kind {
    Anybody,
    Token(Shared),
    Roles(Roles),
}

/// A token that operators share.
struct Shared {
    kept: Kept,
    /// Makes comparisons take the same time, whatever is compared.
    comparing: hmac::Key,
}

/// Where it is kept.
enum Kept {
    Made(String),
    InFile(TokenFile),
}

/// Bytes of a token that is made here.
const MADE: usize = 32;

impl Operators {
    /// Makes a token where one is asked for that is in no file.
    pub fn new(auth: &OperatorAuth) -> io::Result<Self> {
        let kept = match auth {
            OperatorAuth::None => return Ok(Self(Kind::Anybody)),
            OperatorAuth::Oidc(roles) => return Ok(Self(Kind::Roles(roles.clone()))),
            OperatorAuth::Token(Some(path)) => Kept::InFile(TokenFile::new(path)),
            OperatorAuth::Token(None) => Kept::Made(made()?),
        };
        let comparing = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new());
        let comparing = comparing.map_err(|_unspecified| no_randomness())?;
        Ok(Self(Kind::Token(Shared { kept, comparing })))
    }

    /// The token that was made, for those who start vmcp. Nobody else may see it.
    pub fn made_token(&self) -> Option<&str> {
        match &self.0 {
            Kind::Token(Shared { kept: Kept::Made(token), .. }) => Some(token),
            Kind::Token(Shared { kept: Kept::InFile(_), .. }) | Kind::Anybody | Kind::Roles(_) => {
                None
            }
        }
    }

    /// Whether operators prove who they are.
    pub fn ask_for_proof(&self) -> bool {
        !matches!(self.0, Kind::Anybody)
    }

    /// Checks that an operator sent a request. `callers` knows those who call.
    pub fn check<'o>(
        &'o self,
        request: &Asking<'_>,
        callers: &Authenticator,
    ) -> Pin<Box<dyn Future<Output = Result<(), Fault>> + Send + 'o>> {
        match &self.0 {
            Kind::Anybody => Box::pin(ready(Ok(()))),
            Kind::Token(shared) => {
                let shown = bearer::token(request.headers).map(str::to_owned);
                Box::pin(async move { shared.check(&shown?).await })
            }
            Kind::Roles(roles) => {
                let authentication = callers.authenticate(request);
                Box::pin(async move {
                    let identity = match authentication {
                        Authentication::Known(identity) => identity?,
                        Authentication::Wait(known) => known.await?,
                    };
                    roles.check(&identity)
                })
            }
        }
    }

    /// The header `WWW-Authenticate` for a failure (RFC 6750, section 3).
    pub fn challenge(fault: &Fault) -> Option<HeaderValue> {
        let mut challenge = "Bearer realm=\"vmcp admin\"".to_owned();
        match fault {
            Fault::Unauthenticated => {}
            Fault::InvalidToken(_) => {
                challenge += &format!(", error=\"invalid_token\", error_description=\"{fault}\"");
            }
            Fault::InvalidProof(_) => {
                challenge =
                    format!("DPoP error=\"invalid_dpop_proof\", error_description=\"{fault}\"");
            }
            Fault::InsufficientScope { wanted, .. } => {
                challenge += &format!(
                    ", scope=\"{wanted}\", error=\"insufficient_scope\", error_description=\"{fault}\""
                );
            }
            _ => return None,
        }
        HeaderValue::from_str(&challenge).ok()
    }
}

impl Shared {
    async fn check(&self, shown: &str) -> Result<(), Fault> {
        let expected = match &self.kept {
            Kept::Made(token) => token.clone(),
            Kept::InFile(file) => file.token().await?,
        };
        let expected = hmac::sign(&self.comparing, expected.as_bytes());
        hmac::verify(&self.comparing, shown.as_bytes(), expected.as_ref())
            .map_err(|_unspecified| Fault::InvalidToken("is not that of operators"))
    }
}

impl Roles {
    fn check(&self, identity: &Identity) -> Result<(), Fault> {
        let claims = identity.proof().map(|proof| serde_json::from_slice(proof.claims.json()));
        let has = |role: &Value| self.any_of.iter().any(|wanted| role.as_str() == Some(wanted));
        let is_operator = match claims {
            Some(Ok(claims)) => match self.of(&claims) {
                Some(Value::Array(roles)) => roles.iter().any(has),
                Some(role) => has(role),
                None => false,
            },
            Some(Err(_)) | None => false,
        };
        let none = "the access token has none of the roles of operators (admin.auth.roles)";
        is_operator.then_some(()).ok_or(Fault::Forbidden(none.into()))
    }

    /// What a token says of its subject's roles. Names of claims may have dots in them, too.
    fn of<'c>(&self, claims: &'c Value) -> Option<&'c Value> {
        let within = || self.claim.split('.').try_fold(claims, |within, name| within.get(name));
        claims.get(&self.claim).or_else(within)
    }
}

/// The token that stands in the bytes of a file, or why none does.
pub fn token_in(bytes: &[u8]) -> Result<String, &'static str> {
    const LEAST: usize = 16;
    let token = str::from_utf8(bytes).map_err(|_error| "does not hold text")?.trim();
    // What a header cannot carry as it is would be shown in vain.
    if token.bytes().any(|byte| !byte.is_ascii_graphic()) {
        return Err("holds spaces or letters outside of ASCII, which no token has");
    }
    if token.len() < LEAST {
        return Err(
            "holds fewer than 16 characters, which can be guessed; make one with `openssl rand -base64 32`",
        );
    }
    Ok(token.to_owned())
}

fn made() -> io::Result<String> {
    let mut bytes = [0; MADE];
    SystemRandom::new().fill(&mut bytes).map_err(|_unspecified| no_randomness())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

fn no_randomness() -> io::Error {
    io::Error::other("the system gives no random numbers")
}

impl fmt::Debug for Operators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the token.
        f.debug_struct("Operators").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
