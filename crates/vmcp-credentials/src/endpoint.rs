//! A token endpoint: what it is asked, how vmcp proves there who it is, and what it answers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};
use vmcp_fetch::{Fetcher, Rules};

use crate::{
    credential::Unavailable,
    form::Form,
    grant::{Client, ClientProof, TokenEndpoint},
    signing::{SigningKey, nonce},
    told::told,
};

/// How long what a client says of itself is good, in seconds.
const ASSERTED: u64 = 120;

/// The longest life of a token that is believed, in seconds.
const LONGEST: u64 = i32::MAX as u64;

/// Errors that are about vmcp or the endpoint, whatever a caller has shown (RFC 6749, section 5.2; OpenID Connect
/// Core, section 3.1.2.6). All others may be about the caller's token, and stand for that caller alone.
const OF_CLIENT: [&str; 5] = [
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "server_error",
    "temporarily_unavailable",
];

/// The longest token, in bytes: many are kept.
const LONGEST_TOKEN: usize = 16 << 10;

pub(crate) struct Endpoint {
    url: Uri,
    client: Client,
    fetcher: Fetcher,
}

/// What a token endpoint gives.
pub(crate) struct Answer {
    pub(crate) token: String,
    /// How it is shown (RFC 6749, section 7.1).
    pub(crate) token_type: String,
    /// What it is (RFC 8693, section 2.2.1).
    pub(crate) issued_type: Option<String>,
    pub(crate) lifetime: Option<Duration>,
}

#[derive(Deserialize)]
struct Body {
    access_token: Option<String>,
    token_type: Option<String>,
    issued_token_type: Option<String>,
    expires_in: Option<Value>,
    error: Option<String>,
    error_description: Option<String>,
}

impl Endpoint {
    pub(crate) fn new(config: &TokenEndpoint) -> Self {
        let TokenEndpoint { url, client, ca_bundle } = config.clone();
        // Its URL is the operator's own word.
        let rules = Rules {
            ca_bundle: ca_bundle.as_deref(),
            allow_private_ip: true,
            private_ip_key: "",
            allow_http: true,
        };
        Self { url, client, fetcher: Fetcher::new(rules) }
    }

    /// Asks for a token. `of_caller` says that it is asked for with what a caller has shown.
    pub(crate) async fn ask(&self, mut form: Form, of_caller: bool) -> Result<Answer, Unavailable> {
        let authorization = self.prove(&mut form)?;
        let (text, authorization) = (form.text(), authorization.as_ref());
        let sent = vmcp_fetch::Form { text: &text, authorization, accept: vmcp_fetch::JSON };
        let answer = self.fetcher.post_form(&self.url, sent).await;
        let answer = answer.map_err(|error| unavailable(&error.to_string()))?;
        self.read(&answer, &form, of_caller)
    }

    /// What is wrong with an answer that came.
    pub(crate) fn unusable(&self, why: &str) -> Unavailable {
        unavailable(&format!("{} answers {why}", self.shown()))
    }

    /// Adds what proves who vmcp is, or gives it as a header.
    fn prove(&self, form: &mut Form) -> Result<Option<HeaderValue>, Unavailable> {
        let Some(id) = &self.client.id else { return Ok(None) };
        match &self.client.proof {
            ClientProof::Basic(secret) => {
                form.keep_secret(secret.expose());
                let shown = vmcp_fetch::basic(id, secret.expose());
                let both = shown.to_str().ok().and_then(|shown| shown.strip_prefix("Basic "));
                both.into_iter().for_each(|both| form.keep_secret(both));
                return Ok(Some(shown));
            }
            ClientProof::None => form.add("client_id", id),
            ClientProof::Post(secret) => {
                form.add("client_id", id);
                form.add_secret("client_secret", secret.expose());
            }
            ClientProof::Key(key) => {
                let assertion = self.assertion(id, key);
                let assertion =
                    assertion.ok_or_else(|| unavailable("the system has no randomness"))?;
                let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                form.add("client_id", id);
                form.add("client_assertion_type", kind);
                form.add_secret("client_assertion", &assertion);
            }
        }
        Ok(None)
    }

    /// RFC 7523, section 3.
    fn assertion(&self, id: &str, key: &SigningKey) -> Option<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        key.sign(&json!({
            "iss": id,
            "sub": id,
            "aud": self.url.to_string(),
            "jti": nonce()?,
            "iat": now,
            "exp": now + ASSERTED,
        }))
    }

    fn read(
        &self,
        answer: &Response<Bytes>,
        form: &Form,
        of_caller: bool,
    ) -> Result<Answer, Unavailable> {
        let status = answer.status();
        let body: Option<Body> = serde_json::from_slice(answer.body()).ok();
        if let Some(Body { error: Some(error), error_description, .. }) = &body {
            let said = told(error, error_description.as_deref(), form.secrets());
            let why = format!("{} answers {}: {said}", self.shown(), status.as_u16());
            let is_refusal = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS
                || status.is_success();
            if of_caller && is_refusal && !OF_CLIENT.contains(&error.as_str()) {
                return Err(Unavailable::Caller(
                    format!("is refused for this caller: {why}").into(),
                ));
            }
            return Err(unavailable(&why));
        }
        if status.is_redirection() {
            return Err(self.unusable(&format!("{}, which is not followed", status.as_u16())));
        }
        if !status.is_success() {
            return Err(self.unusable(status.as_str()));
        }
        if !is_json(answer) {
            return Err(self.unusable("with something that is not called JSON"));
        }
        let body =
            body.ok_or_else(|| self.unusable("no object with what a token endpoint says"))?;
        let token = body.access_token.filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| self.unusable("without an access_token"))?;
        if token.len() > LONGEST_TOKEN {
            return Err(self.unusable("with a token of more than 16384 bytes"));
        }
        let token_type = body.token_type.filter(|kind| !kind.is_empty());
        let token_type = token_type.ok_or_else(|| self.unusable("without a token_type"))?;
        let lifetime = match body.expires_in {
            None | Some(Value::Null) => None,
            Some(value) => Some(
                lifetime(&value)
                    .ok_or_else(|| self.unusable("with an expires_in that is no number"))?,
            ),
        };
        Ok(Answer { token, token_type, issued_type: body.issued_token_type, lifetime })
    }

    /// Where it is, without its query.
    fn shown(&self) -> String {
        let authority = self.url.authority().map(ToString::to_string).unwrap_or_default();
        format!("{}://{authority}{}", self.url.scheme_str().unwrap_or("https"), self.url.path())
    }
}

fn unavailable(why: &str) -> Unavailable {
    Unavailable::Source(format!("cannot be obtained: {why}").into())
}

/// A number of seconds, which may stand in quotes. What is below zero is over.
fn lifetime(value: &Value) -> Option<Duration> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => {
            text.trim().parse::<f64>().ok().filter(|number| number.is_finite())?
        }
        _ => return None,
    };
    #[expect(clippy::cast_precision_loss, reason = "it is exact")]
    Some(Duration::from_secs_f64(seconds.clamp(0.0, LONGEST as f64)))
}

/// Whether it says that it is JSON, or does not say what it is.
fn is_json(answer: &Response<Bytes>) -> bool {
    let Some(kind) = answer.headers().get(header::CONTENT_TYPE) else { return true };
    let kind = kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let kind = kind.trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lives_are_numbers_in_quotes_or_not() {
        for (value, expected) in [
            (json!(3600), Some(3600.0)),
            (json!("3600"), Some(3600.0)),
            (json!(0), Some(0.0)),
            (json!(-5), Some(0.0)),
            (json!(1.5), Some(1.5)),
            (json!(1e30), Some(f64::from(i32::MAX))),
            (json!("soon"), None),
            (json!("inf"), None),
            (json!("NaN"), None),
            (json!([]), None),
        ] {
            assert_eq!(lifetime(&value).map(|time| time.as_secs_f64()), expected, "{value}");
        }
    }
}
