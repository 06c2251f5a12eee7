//! Asks an issuer about a token (RFC 7662): one that is no JWT says nothing by itself.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};
use vmcp_fetch::{FetchError, Fetcher, basic, form};

use crate::{
    claims::Claims,
    config::{self, Client},
    verify::{Expected, Refusal, Verified},
};

/// How long one question may take, and how long it may have to wait for its turn.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Questions that are asked at once in one queue.
const AT_ONCE: usize = 32;

/// How often the log says at most that questions fail.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How long an issuer is not asked that could not be reached.
const AGAIN: Duration = Duration::from_secs(1);

/// Where one issuer is asked.
pub(crate) struct Introspection {
    issuer: Arc<str>,
    config: config::Introspection,
    fetcher: Arc<Fetcher>,
    /// Questions about tokens that were good before.
    known: Queue,
    /// Those about others. Anybody can make up tokens, and whoever does keeps no caller waiting who is known.
    new: Queue,
    state: Mutex<State>,
}

/// How the last question fared.
#[derive(Default)]
struct State {
    /// It had no answer that can be used.
    failing: bool,
    /// That was said in the log, and when.
    told: bool,
    told_at: Option<Instant>,
}

/// Questions that have each other in the way.
struct Queue {
    room: Semaphore,
    /// When the issuer could not be reached.
    away: Mutex<Option<Instant>>,
}

/// Why a token is not taken.
pub(crate) enum NotTaken {
    Refused(Refusal),
    /// Nobody can tell now.
    Unanswered,
}

impl Introspection {
    pub(crate) fn new(
        issuer: Arc<str>,
        config: config::Introspection,
        fetcher: Arc<Fetcher>,
    ) -> Self {
        let (known, new) = (Queue::new(), Queue::new());
        Self { issuer, config, fetcher, known, new, state: Mutex::default() }
    }

    /// For how many seconds an answer counts.
    pub(crate) fn interval(&self) -> u64 {
        // Of less than a second nothing would be kept, and each call would ask.
        self.config.interval.as_secs().max(1)
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.state().failing
    }

    /// What the issuer says of a token. `was_good` says that it has said that it is good before.
    pub(crate) async fn ask(
        &self,
        token: &str,
        was_good: bool,
        expected: &Expected,
        now: u64,
    ) -> Result<Verified, NotTaken> {
        let queue = if was_good { &self.known } else { &self.new };
        let Some(_turn) = queue.turn().await else { return Err(NotTaken::Unanswered) };
        let too_slow = FetchError::TooSlow { seconds: ATTEMPT.as_secs() };
        let answer = timeout(ATTEMPT, self.answer(token)).await.unwrap_or(Err(too_slow));
        queue.note(answer.as_ref().is_err_and(|error| {
            // What it answers may have to do with this token alone.
            !matches!(error, FetchError::Status { .. } | FetchError::Unusable { .. })
        }));
        self.note(answer.as_ref().err());
        let said = answer.map_err(|_error| NotTaken::Unanswered)?;
        let (claims, text) = said.ok_or(NotTaken::Refused(Refusal::Inactive))?;
        judged(claims, text, expected, now).map_err(NotTaken::Refused)
    }

    /// Says in the log that questions fail, or are answered again. What is odd about some tokens is not said for each.
    fn note(&self, error: Option<&FetchError>) {
        let mut state = self.state();
        state.failing = error.is_some();
        let issuer = &*self.issuer;
        match error {
            Some(error) if !state.told => {
                if state.told_at.is_none_or(|at| at.elapsed() >= TOLD_EVERY) {
                    (state.told, state.told_at) = (true, Some(Instant::now()));
                    tracing::warn!(issuer, %error, "the issuer cannot be asked about tokens");
                }
            }
            None if state.told => {
                state.told = false;
                tracing::info!(issuer, "the issuer answers questions about tokens again");
            }
            Some(_) | None => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it says of a token; `None` if that is not one that it can say anything of.
    async fn answer(&self, token: &str) -> Result<Option<(Claims, Bytes)>, FetchError> {
        let url = &self.config.url;
        let unusable = |why: &str| FetchError::Unusable { url: url.clone(), why: why.to_owned() };
        let (public, authorization) = match &self.config.client {
            Some(Client { id, secret: Some(secret) }) => (None, Some(basic(id, &secret.now()))),
            Some(Client { id, secret: None }) => (Some(("client_id", id.as_str())), None),
            None => (None, None),
        };
        let members = [("token", token), ("token_type_hint", "access_token")];
        let text = form(members.into_iter().chain(public));
        let answer = {
            let authorization = authorization.as_ref();
            let form = vmcp_fetch::Form { text: &text, authorization, accept: vmcp_fetch::JSON };
            self.fetcher.post_form(url, form).await?
        };
        if answer.status() == StatusCode::BAD_REQUEST && is_of_another_kind(answer.body()) {
            return Ok(None);
        }
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status { url: url.clone(), status: answer.status() });
        }
        if !is_json(answer.headers()) {
            return Err(unusable("it is not of type application/json"));
        }
        let text = answer.into_body();
        // What stands in it is not quoted.
        let claims: Claims = serde_json::from_slice(&text)
            .map_err(|_error| unusable("it is no JSON object that says what a token is"))?;
        if !matches!(claims.active, Some(Value::Bool(_))) {
            return Err(unusable("it does not say whether the token is active"));
        }
        Ok(Some((claims, text)))
    }
}

impl Queue {
    fn new() -> Self {
        Self { room: Semaphore::new(AT_ONCE), away: Mutex::default() }
    }

    /// Waits until there is room for a question. `None` if there is none in time, or the issuer is away.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let turn = timeout(ATTEMPT, self.room.acquire()).await.ok()?.ok()?;
        let away = *self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.is_none_or(|since| since.elapsed() >= AGAIN).then_some(turn)
    }

    fn note(&self, is_away: bool) {
        let since = is_away.then(Instant::now);
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

/// Whether an error says that no token of this kind is asked about here (RFC 7009, section 2.2.1).
fn is_of_another_kind(error: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Told {
        error: String,
    }
    let told = serde_json::from_slice::<Told>(error);
    told.is_ok_and(|told| told.error == "unsupported_token_type")
}

/// What comes of an answer. Whoever was asked need not say who it is; the claims of a caller always do.
fn judged(
    mut claims: Claims,
    mut text: Bytes,
    expected: &Expected,
    now: u64,
) -> Result<Verified, Refusal> {
    if claims.active != Some(Value::Bool(true)) {
        return Err(Refusal::Inactive);
    }
    // RFC 7662, section 2.2: how the token is to be shown. Whoever has shown it has done so as a bearer or with a
    // proof; what a proof must be for stands in `cnf`.
    if let Some(kind) = claims.token_type.as_ref().filter(|kind| !kind.is_null()) {
        // Some say `access_token`, which is what it is, and not how it is shown.
        let known = ["bearer", "dpop", "access_token"];
        let is_known = |kind: &str| known.iter().any(|one| one.eq_ignore_ascii_case(kind));
        if !kind.as_str().is_some_and(is_known) {
            return Err(Refusal::Inactive);
        }
    }
    if claims.iss.is_none() {
        let issuer = Value::from(&*expected.issuer);
        let mut all: Map<String, Value> =
            serde_json::from_slice(&text).map_err(|_error| Refusal::Claims)?;
        all.insert("iss".to_owned(), issuer.clone());
        text = Value::from(all).to_string().into();
        claims.iss = Some(issuer);
    }
    claims.judge(text, expected, now)
}

fn is_json(headers: &HeaderMap) -> bool {
    let said = headers.get(header::CONTENT_TYPE).map(HeaderValue::to_str);
    let Some(Ok(said)) = said else { return false };
    let essence = said.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(answer: &Value, expected: Result<&str, Refusal>) {
        let text = Bytes::from(answer.to_string());
        let claims = serde_json::from_slice(&text).unwrap();
        let wanted = Expected {
            issuer: "https://idp.example".to_owned(),
            audience: "api".to_owned(),
            scopes: vec!["tools".to_owned()],
        };
        let found = judged(claims, text, &wanted, 1_000);
        if let Ok(verified) = &found {
            let claims: Value = serde_json::from_slice(&verified.claims).unwrap();
            assert_eq!(claims["iss"], wanted.issuer, "{answer}");
            assert_eq!(claims["exp"], answer["exp"], "{answer}");
        }
        let found = found.as_ref().map(|verified| &*verified.subject).map_err(|refusal| *refusal);
        assert_eq!(found, expected, "{answer}");
    }

    #[test]
    fn an_answer_is_judged_as_claims_are() {
        let good = json!({
            "active": true, "sub": "alice", "aud": ["api"], "exp": 2_000, "scope": "openid tools",
        });
        check(&good, Ok("alice"));
        let with = |member: &str, value: Value| {
            let mut answer = good.clone();
            answer[member] = value;
            answer
        };
        check(&with("iss", json!("https://idp.example")), Ok("alice"));
        check(&with("iss", Value::Null), Ok("alice"));
        check(&with("nbf", json!(1_030)), Ok("alice"));
        check(&with("token_type", json!("bearer")), Ok("alice"));
        check(&with("token_type", json!("DPoP")), Ok("alice"));
        check(&with("token_type", json!("access_token")), Ok("alice"));
        check(&with("exp", json!(941)), Ok("alice"));
        for (member, value, refusal) in [
            ("active", json!(false), Refusal::Inactive),
            ("token_type", json!("mac"), Refusal::Inactive),
            ("token_type", json!(["Bearer"]), Refusal::Inactive),
            ("exp", json!(940), Refusal::Expired),
            ("exp", Value::Null, Refusal::NoExpiry),
            ("nbf", json!(1_090), Refusal::NotYetValid),
            ("aud", json!("other"), Refusal::Audience),
            ("aud", Value::Null, Refusal::Audience),
            ("iss", json!("https://other.example"), Refusal::Issuer),
            ("sub", Value::Null, Refusal::Subject),
            ("sub", json!(""), Refusal::Subject),
            ("scope", json!("openid"), Refusal::Scope),
            ("cnf", json!({"x5t#S256": "x"}), Refusal::BoundToCertificate),
        ] {
            check(&with(member, value), Err(refusal));
        }
    }
}
