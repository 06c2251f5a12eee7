//! A fake token endpoint: a real HTTP server that gives tokens, or whatever else it is told to.
//!
//! It remembers what it was asked. Independent of the code that asks: nothing is shared with it.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::{
    body::{ReplyBody, broken_off, whole},
    host::{Host, Life},
    tls,
};

/// A token endpoint on a loopback port. It ends when this value is dropped.
pub struct TokenEndpoint {
    host: Host,
    shared: Arc<Shared>,
    authority: Option<String>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What the form holds.
    pub form: BTreeMap<String, String>,
    pub authorization: Option<String>,
    /// How many there were before.
    pub number: u64,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Given {
    status: u16,
    kind: Option<String>,
    body: Vec<u8>,
    location: Option<String>,
    delay: Duration,
    is_broken_off: bool,
}

type Script = Arc<dyn Fn(&Asked) -> Given + Send + Sync>;

struct Shared {
    script: Mutex<Script>,
    asked: Mutex<Vec<Asked>>,
    count: AtomicU64,
}

impl TokenEndpoint {
    /// Starts one that gives `token-0`, `token-1` and so on, each for an hour.
    pub async fn start() -> io::Result<Self> {
        let shared = Shared::new();
        let answering = Arc::clone(&shared);
        let host = Host::http(0, Life::default(), move |request| {
            let shared = Arc::clone(&answering);
            async move { shared.answer(request).await }
        })
        .await?;
        Ok(Self { host, shared, authority: None })
    }

    /// The same over TLS, with a certificate of an authority of its own.
    pub async fn start_with_tls() -> io::Result<Self> {
        let shared = Shared::new();
        let answering = Arc::clone(&shared);
        let (host, authority) = tls::host(move |request| {
            let shared = Arc::clone(&answering);
            async move { shared.answer(request).await }
        })
        .await?;
        Ok(Self { host, shared, authority: Some(authority) })
    }

    /// The certificate of the authority that vouches for it, in PEM.
    pub fn authority(&self) -> &str {
        self.authority.as_deref().expect("it speaks TLS")
    }

    pub fn url(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}/token", self.host.address())
    }

    /// From now on it answers like this.
    pub fn set_script(&self, script: impl Fn(&Asked) -> Given + Send + Sync + 'static) {
        *lock(&self.shared.script) = Arc::new(script);
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        lock(&self.shared.asked).clone()
    }

    /// How often it was asked.
    pub fn count(&self) -> u64 {
        self.shared.count.load(Relaxed)
    }
}

impl Asked {
    /// What the form holds under a name; empty if nothing.
    pub fn field(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }
}

impl Given {
    /// A token for so many seconds.
    pub fn token(token: &str, seconds: u64) -> Self {
        Self::json(
            200,
            &json!({
                "access_token": token,
                "token_type": "Bearer",
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "expires_in": seconds,
            }),
        )
    }

    /// The next of many tokens, each for an hour.
    pub fn next(asked: &Asked) -> Self {
        Self::token(&format!("token-{}", asked.number), 3600)
    }

    /// An error (RFC 6749, section 5.2).
    pub fn error(status: u16, error: &str, description: &str) -> Self {
        Self::json(status, &json!({"error": error, "error_description": description}))
    }

    pub fn json(status: u16, body: &Value) -> Self {
        Self::text(status, "application/json", body.to_string())
    }

    pub fn text(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            kind: Some(kind.to_owned()),
            body: body.into(),
            location: None,
            delay: Duration::ZERO,
            is_broken_off: false,
        }
    }

    /// Sends whoever asks to another place.
    pub fn redirect(location: &str) -> Self {
        Self { location: Some(location.to_owned()), ..Self::text(307, "text/plain", "") }
    }

    /// The connection is closed without an answer.
    pub fn nothing() -> Self {
        Self { is_broken_off: true, ..Self::text(500, "text/plain", "") }
    }

    /// The same, after a while.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

impl Shared {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            script: Mutex::new(Arc::new(Given::next)),
            asked: Mutex::default(),
            count: AtomicU64::new(0),
        })
    }

    async fn answer(&self, request: Request<Incoming>) -> io::Result<Response<ReplyBody>> {
        let authorization = request.headers().get(header::AUTHORIZATION);
        let authorization = authorization.and_then(|value| Some(value.to_str().ok()?.to_owned()));
        let text = request.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
        let form = url::form_urlencoded::parse(&text);
        let form = form.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let number = self.count.fetch_add(1, Relaxed);
        let asked = Asked { form, authorization, number };
        lock(&self.asked).push(asked.clone());
        let script = Arc::clone(&lock(&self.script));
        let Given { status, kind, body, location, delay, is_broken_off } = script(&asked);
        tokio::time::sleep(delay).await;
        if is_broken_off {
            return Err(broken_off());
        }
        let mut response = Response::new(whole(body));
        *response.status_mut() = StatusCode::from_u16(status).map_err(io::Error::other)?;
        for (name, value) in [(header::CONTENT_TYPE, kind), (header::LOCATION, location)] {
            if let Some(value) = value {
                response.headers_mut().insert(name, value.parse().map_err(io::Error::other)?);
            }
        }
        Ok(response)
    }
}

fn lock<T>(value: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
