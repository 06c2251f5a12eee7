//! Who knows the users: an issuer, what exchanges its tokens, and the backends that take the exchanged ones.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use vmcp_testkit::{
    gateway::Gateway,
    identity::{AUDIENCE, IdentityProvider},
    raw::{Answer, Call, RawServer, Running, handler},
    token_endpoint::{Given, TokenEndpoint},
};

use super::user::{Era, User};

pub(super) const BACKENDS: usize = 10;
/// Tools of each, of which one is the user's own.
pub(super) const TOOLS: usize = 10;
/// What the sessions of a backend are bounded by that are kept for users without sessions.
const MOST_KEPT: usize = 256;

const SCHEMA: &str = r#"{"type":"object","properties":{"query":{"type":"string","description":"What to look for, as words or as a phrase in quotes"},"limit":{"type":"integer","minimum":1,"maximum":100}},"required":["query"]}"#;

pub(super) struct World {
    backends: Vec<Running>,
    provider: IdentityProvider,
    pub(super) endpoint: TokenEndpoint,
}

impl World {
    pub(super) async fn start() -> Self {
        let provider = IdentityProvider::start().await.unwrap();
        let endpoint = TokenEndpoint::start().await.unwrap();
        let (key, issuer) = (provider.key(), provider.issuer());
        endpoint.set_script(move |asked| {
            let subject = claims(asked.field("subject_token"))["sub"].clone();
            let said = json!({"iss": issuer, "sub": subject, "aud": asked.field("audience")});
            Given::token(&key.sign(&said), 3600)
        });
        let mut backends = Vec::new();
        for number in 0..BACKENDS {
            backends.push(backend(number).start().await.unwrap());
        }
        Self { backends, provider, endpoint }
    }

    /// vmcp before all backends, with sessions that live so long.
    pub(super) fn gateway(&self, ttl: Duration) -> Gateway {
        let names: Vec<_> = (0..BACKENDS).map(name).collect();
        let backends = names.iter().zip(&self.backends);
        let urls: Vec<_> = backends.map(|(name, it)| (name.as_str(), it.url())).collect();
        let strategies: Vec<_> = names
            .iter()
            .map(|name| {
                format!(
                    "{name}: {{type: token_exchange, tokenExchange: {{tokenUrl: '{}', clientId: vmcp, audience: {name}}}}}",
                    self.endpoint.url()
                )
            })
            .collect();
        let ttl = ttl.as_secs();
        Gateway::before(&urls)
            .incoming(&format!(
                "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, resource: 'https://mcp.example/mcp', \
                 insecureAllowHttp: true, jwksAllowPrivateIp: true}}",
                self.provider.issuer()
            ))
            .with(&format!("outgoingAuth: {{backends: {{{}}}}}", strategies.join(", ")))
            // Nobody is to be missed a list on a machine that is busy.
            .with(&format!("sessions: {{ttl: {ttl}s, initializeWait: 60s, offerMaxAge: 1h}}"))
            .with(&format!("bridge: {{idle: {ttl}s}}"))
            .with(&format!("limits: {{keptSessionsPerBackend: {MOST_KEPT}}}"))
    }

    /// Users, of whom each tenth calls nothing, and each second of those who have a session ends it.
    pub(super) fn users(&self, prefix: &str, count: usize) -> Vec<Arc<User>> {
        let user = |number: usize| {
            let calls = (number % 10 != 9).then_some(number / 10 % BACKENDS);
            self.user(format!("{prefix}{number}"), calls, number.is_multiple_of(2))
        };
        (0..count).map(user).collect()
    }

    /// Users who call nothing, and end their sessions.
    pub(super) fn visitors(&self, prefix: &str, count: usize) -> Vec<Arc<User>> {
        (0..count).map(|number| self.user(format!("{prefix}{number}"), None, true)).collect()
    }

    fn user(&self, subject: String, calls: Option<usize>, leaves: bool) -> Arc<User> {
        let token = self.provider.token(&subject);
        Arc::new(User { subject, token, calls, leaves })
    }

    /// How many sessions the backends have.
    pub(super) fn sessions(&self) -> usize {
        self.backends.iter().map(|backend| backend.sessions().len()).sum()
    }

    /// How many there are when these users have come: of those who have called something and are still there.
    pub(super) fn expected(here: &[Arc<User>], era: Era) -> usize {
        let of = |backend: usize| {
            let using = here.iter().filter(|user| user.calls == Some(backend));
            match era {
                Era::Legacy => using.filter(|user| !user.leaves).count(),
                Era::Modern => using.count().min(MOST_KEPT),
            }
        };
        (0..BACKENDS).map(of).sum()
    }
}

pub(super) fn name(backend: usize) -> String {
    format!("b{backend}")
}

/// A backend that lists to each user a tool which is named after the user, and answers with the name.
fn backend(number: usize) -> RawServer {
    let server = RawServer::builder().capabilities(r#"{"tools":{}}"#);
    let list = handler(move |call: Call| async move {
        let Some(user) = user_of(&call, number) else { return unauthorized() };
        let shared = (1..TOOLS).map(|tool| format!("tool{tool}"));
        let names = std::iter::once(format!("of_{user}")).chain(shared);
        let tools: Vec<_> = names
            .map(|name| {
                format!(
                    r#"{{"name":"{name}","description":"Looks through what {name} knows and gives the best matches first","inputSchema":{SCHEMA}}}"#
                )
            })
            .collect();
        Answer::from(format!(r#"{{"tools":[{}]}}"#, tools.join(",")))
    });
    let answer = handler(move |call: Call| async move {
        user_of(&call, number).map_or_else(unauthorized, Answer::text)
    });
    server.script("tools/list", list).script("tools/call", answer)
}

/// Whose token a backend is shown, if it is one for that backend.
fn user_of(call: &Call, number: usize) -> Option<String> {
    let shown = call.headers.get("authorization")?.to_str().ok()?;
    let claims = claims(shown.strip_prefix("Bearer ")?);
    (claims["aud"] == name(number)).then(|| claims["sub"].as_str().map(str::to_owned))?
}

fn unauthorized() -> Answer {
    Answer::Http { status: 401, content_type: None, body: "".into() }
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
    payload.and_then(|payload| serde_json::from_slice(&payload).ok()).unwrap_or_default()
}
