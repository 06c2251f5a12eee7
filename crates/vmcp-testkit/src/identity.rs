//! A fake identity provider: a real HTTP server that publishes keys, and signs whatever it is told to.
//!
//! Independent of the code that checks tokens: nothing is shared with it but ring.

mod introspection;
mod keys;
mod proofs;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use serde_json::{Value, json};

use introspection::{Introspections, Question};

pub use introspection::AskingClient;
pub use keys::{SigningKey, assemble, hs256};

use crate::{
    body::{ReplyBody, broken_off, whole},
    host::{Host, Life},
    tls,
};

/// The audience of the tokens that it issues unasked.
pub const AUDIENCE: &str = "vmcp-tests";

/// An identity provider on a loopback port. It ends when this value is dropped.
pub struct IdentityProvider {
    host: Host,
    shared: Arc<Shared>,
    authority: Option<String>,
}

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Up,
    /// Connections are closed without an answer.
    Down,
    /// Everything is answered with this status.
    Failing(u16),
    /// Nothing is answered, for ever.
    Hanging,
    /// The answers are not JSON.
    Babbling,
    /// The answers are larger than anybody would want.
    Flooding,
}

/// What it says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// As OpenID Connect Discovery wants it.
    OpenId,
    /// As RFC 8414 wants it, only.
    OAuth,
    /// In the name of another issuer.
    OfAnother,
    /// As OpenID Connect Discovery wants it, but that it has no keys.
    WithoutKeys,
    /// Nothing.
    None,
}

struct Shared {
    path: String,
    state: Mutex<State>,
    discoveries: AtomicU64,
    key_fetches: AtomicU64,
}

struct State {
    base: String,
    health: Health,
    metadata: Metadata,
    /// The first of them signs.
    keys: Vec<SigningKey>,
    introspections: Introspections,
}

impl IdentityProvider {
    /// Starts one on any port that is free, with one key of ES256.
    pub async fn start() -> io::Result<Self> {
        Self::start_at(0, "").await
    }

    /// Starts one on this port, whose issuer has this path: empty, or `/realm`.
    pub async fn start_at(port: u16, path: &str) -> io::Result<Self> {
        let shared = Shared::new(path);
        let life = Life::default();
        let answering = Arc::clone(&shared);
        let host = Host::http(port, life, move |request| {
            let shared = Arc::clone(&answering);
            async move { shared.answer(request).await }
        })
        .await?;
        shared.state().base = format!("http://{}", host.address());
        Ok(Self { host, shared, authority: None })
    }

    /// Starts one that speaks TLS, with a certificate of an authority of its own.
    pub async fn start_with_tls() -> io::Result<Self> {
        let shared = Shared::new("");
        let answering = Arc::clone(&shared);
        let (host, authority) = tls::host(move |request| {
            let shared = Arc::clone(&answering);
            async move { shared.answer(request).await }
        })
        .await?;
        shared.state().base = format!("https://{}", host.address());
        Ok(Self { host, shared, authority: Some(authority) })
    }

    /// The certificate of the authority that vouches for it, in PEM.
    pub fn authority(&self) -> &str {
        self.authority.as_deref().expect("it speaks TLS")
    }

    pub fn address(&self) -> SocketAddr {
        self.host.address()
    }

    /// Its name, as it stands in tokens.
    pub fn issuer(&self) -> String {
        self.shared.issuer()
    }

    /// Where its keys are.
    pub fn jwks_url(&self) -> String {
        self.url_of("/keys")
    }

    /// One of its paths. `/redirect?URL` leads to that URL.
    pub fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.shared.state().base)
    }

    /// From now on it answers like this.
    pub fn set_health(&self, health: Health) {
        self.shared.state().health = health;
    }

    /// From now on it says this of itself.
    pub fn set_metadata(&self, metadata: Metadata) {
        self.shared.state().metadata = metadata;
    }

    /// From now on these are its keys; the first of them signs.
    pub fn set_keys(&self, keys: &[&SigningKey]) {
        self.shared.state().keys = keys.iter().map(|&key| key.clone()).collect();
    }

    /// The key that signs now.
    pub fn key(&self) -> SigningKey {
        self.shared.state().keys.first().cloned().expect("it has a key")
    }

    /// What a good token for this subject says.
    pub fn claims(&self, subject: &str) -> Value {
        let now = now();
        json!({
            "iss": self.issuer(),
            "sub": subject,
            "aud": AUDIENCE,
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
        })
    }

    /// A good token. No two of one subject are the same.
    pub fn token(&self, subject: &str) -> String {
        static ISSUED: AtomicU64 = AtomicU64::new(0);
        let mut claims = self.claims(subject);
        claims["jti"] = json!(ISSUED.fetch_add(1, Relaxed));
        self.key().sign(&claims)
    }

    /// A good token that says nothing itself. No two of one subject are the same.
    pub fn opaque_token(&self, subject: &str) -> String {
        let mut said = self.claims(subject);
        said["active"] = json!(true);
        self.opaque_token_of(said)
    }

    /// A token that says nothing itself, and of which this is said.
    pub fn opaque_token_of(&self, said: Value) -> String {
        static ISSUED: AtomicU64 = AtomicU64::new(0);
        // With what means something in a form.
        let token = format!("opaque+{}/&%=", ISSUED.fetch_add(1, Relaxed));
        self.say_of(&token, said);
        token
    }

    /// From now on this is said of a token.
    pub fn say_of(&self, token: &str, said: Value) {
        self.shared.state().introspections.tokens.insert(token.to_owned(), said);
    }

    /// From now on this token is no good.
    pub fn revoke(&self, token: &str) {
        self.shared.state().introspections.tokens.remove(token);
    }

    /// Where it is asked about tokens.
    pub fn introspection_url(&self) -> String {
        self.url_of("/introspect")
    }

    /// From now on only this client may ask about tokens.
    pub fn set_asking_client(&self, client: AskingClient) {
        self.shared.state().introspections.client = Some(client);
    }

    /// From now on its answers about tokens say that they are of this type.
    pub fn set_answer_type(&self, content_type: &str) {
        self.shared.state().introspections.content_type = Some(content_type.to_owned());
    }

    /// From now on nothing is answered about tokens that it does not know.
    pub fn keep_strangers_waiting(&self) {
        self.shared.state().introspections.keeps_strangers_waiting = true;
    }

    /// How often it was asked about tokens.
    pub fn introspections(&self) -> u64 {
        self.shared.state().introspections.asked
    }

    /// How often it was asked what it is.
    pub fn discoveries(&self) -> u64 {
        self.shared.discoveries.load(Relaxed)
    }

    /// How often it was asked for its keys.
    pub fn key_fetches(&self) -> u64 {
        self.shared.key_fetches.load(Relaxed)
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl Shared {
    fn new(path: &str) -> Arc<Self> {
        let state = State {
            base: String::new(),
            health: Health::Up,
            metadata: Metadata::OpenId,
            keys: vec![SigningKey::es256("first")],
            introspections: Introspections::default(),
        };
        Arc::new(Self {
            path: path.to_owned(),
            state: Mutex::new(state),
            discoveries: AtomicU64::new(0),
            key_fetches: AtomicU64::new(0),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn issuer(&self) -> String {
        format!("{}{}", self.state().base, self.path)
    }

    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<ReplyBody>> {
        let path = request.uri().path();
        let (health, metadata) = {
            let state = self.state();
            (state.health, state.metadata)
        };
        let issuer = self.path.trim_end_matches('/');
        let openid = format!("{issuer}/.well-known/openid-configuration");
        let oauth = format!("/.well-known/oauth-authorization-server{issuer}");
        let wanted = if path == "/keys" {
            self.key_fetches.fetch_add(1, Relaxed);
            Some(self.jwks())
        } else if path == openid || path == oauth {
            self.discoveries.fetch_add(1, Relaxed);
            let served = if metadata == Metadata::OAuth { oauth } else { openid };
            (path == served && metadata != Metadata::None).then(|| self.description(metadata))
        } else {
            None
        };
        match health {
            Health::Up => {}
            Health::Down => return Err(broken_off()),
            Health::Failing(status) => return Ok(status_only(status)),
            Health::Hanging => std::future::pending().await,
            Health::Babbling => return Ok(Response::new(whole("what was the question?"))),
            Health::Flooding => return Ok(Response::new(whole(vec![b' '; 2 << 20]))),
        }
        if let ("/redirect", Some(target)) = (path, request.uri().query()) {
            let mut response = status_only(302);
            let target = target.parse().map_err(io::Error::other)?;
            response.headers_mut().insert(header::LOCATION, target);
            return Ok(response);
        }
        if path == "/introspect" {
            let question = Question::read(request).await?;
            let answer = self.state().introspections.answer(&question);
            return match answer {
                Some(answer) => Ok(answer),
                None => std::future::pending().await,
            };
        }
        Ok(wanted.map_or_else(|| status_only(404), |json| Response::new(whole(json.to_string()))))
    }

    fn jwks(&self) -> Value {
        json!({"keys": self.state().keys.iter().map(SigningKey::jwk).collect::<Vec<_>>()})
    }

    fn description(&self, metadata: Metadata) -> Value {
        let issuer = match metadata {
            Metadata::OfAnother => "https://another.example".to_owned(),
            Metadata::OpenId | Metadata::OAuth | Metadata::WithoutKeys | Metadata::None => {
                self.issuer()
            }
        };
        if metadata == Metadata::WithoutKeys {
            return json!({"issuer": issuer});
        }
        json!({"issuer": issuer, "jwks_uri": format!("{}/keys", self.state().base)})
    }
}

fn status_only(status: u16) -> Response<ReplyBody> {
    let mut response = Response::new(whole(""));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}
