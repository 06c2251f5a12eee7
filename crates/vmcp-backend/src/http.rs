//! Streamable HTTP (specification 2025-11-25, basic/transports, and 2026-07-28,
//! basic/transports/streamable-http): requests, and what a status says.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, header};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use vmcp_credentials::{Credential, Showing, Shown};
use vmcp_model::{Identity, percent_decoded};
use vmcp_wire::{Lines, headers};

use crate::{
    config::{Config, Endpoint, InvalidConfig},
    error::Error,
    gauge::{Gauge, Permit},
    secrets::Secrets,
    session::Session,
    stats::Connections,
    subject::Subject,
};
use body::{Body, Source};
use pool::Pool;
use request::Request;

pub(crate) mod body;
pub(crate) mod challenge;
mod connect;
mod connection;
mod exchange;
mod pool;
mod received;
mod refusal;
mod request;
mod socket;
pub(crate) mod stream;
mod tunnel;
mod unreachable;

/// Characters of an encoding's name that are told.
const SAID: usize = 40;

/// Redirects that are followed, all on the backend's own host.
const MAX_REDIRECTS: usize = 3;

/// The HTTP side of one backend.
#[derive(Debug)]
pub(crate) struct Http {
    url: Uri,
    /// What every request carries.
    base: HeaderMap,
    /// What it carries besides, if that is no fixed header.
    credential: Option<Arc<Credential>>,
    /// Headers of callers are passed on, which this notes.
    passes: Option<Arc<Credential>>,
    /// What nobody else may see of what the backend says.
    secrets: Arc<Secrets>,
    /// Requests are handed to a proxy.
    hands_over: bool,
    pool: Arc<Pool>,
    requests: Gauge,
    /// Answers, cancellations and the like: what frees calls must not wait for room among them.
    errands: Gauge,
    streams: Gauge,
    response_bytes: usize,
    /// When a session was asked for in vain, to find out whether another one was lost.
    refused_aside: Mutex<Option<Instant>>,
}

/// How long after that it is not asked for again: a backend that refuses much must not be asked as much.
const ASIDE: Duration = Duration::from_secs(5);

impl Http {
    pub(crate) fn new(
        endpoint: &Endpoint,
        config: &Config,
        tasks: TaskTracker,
        secrets: &Arc<Secrets>,
        credential: &Arc<Credential>,
    ) -> Result<Self, InvalidConfig> {
        let authority = endpoint.url.authority().ok_or(InvalidConfig::Url)?;
        let host =
            HeaderValue::from_str(authority.as_str()).map_err(|_error| InvalidConfig::Url)?;
        let mut base = HeaderMap::with_capacity(8);
        base.insert(header::HOST, host);
        base.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        base.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("vmcp/", env!("CARGO_PKG_VERSION"))),
        );
        let fixed = endpoint.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
        for (name, value) in fixed.chain(credential.fixed()) {
            // In the place of vmcp's own, such as `User-Agent`.
            base.insert(name, value);
        }
        let is_plain = endpoint.url.scheme_str() == Some("http");
        let handed_to = endpoint.proxy.as_ref().filter(|_| is_plain);
        if let Some(value) = handed_to.and_then(|proxy| proxy.authorization.clone()) {
            base.insert(header::PROXY_AUTHORIZATION, value);
        }
        let hands_over = handed_to.is_some();
        let connector = connect::Connector::new(endpoint)?;
        Ok(Self {
            url: endpoint.url.clone(),
            base,
            credential: (!credential.is_fixed()).then(|| Arc::clone(credential)),
            passes: (!endpoint.passthrough.is_empty()).then(|| Arc::clone(credential)),
            secrets: Arc::clone(secrets),
            hands_over,
            pool: Arc::new(Pool::new(connector, config.timeouts.connect, tasks)),
            requests: Gauge::calls(config.limits.in_flight),
            errands: Gauge::errands(),
            streams: Gauge::new("streams open", "limits.streamsPerBackend", config.limits.streams),
            response_bytes: config.limits.response_bytes,
            refused_aside: Mutex::default(),
        })
    }

    /// Sends one message. The answer's status is not judged. Calls have their own bound; what vmcp asks
    /// and tells on its own account is none.
    pub(crate) async fn post(
        &self,
        session: Option<&Session>,
        text: Bytes,
        is_call: bool,
        lines: Option<&Lines>,
    ) -> Result<Response<Body>, Error> {
        let permit = if is_call { self.requests.enter()? } else { self.errands.enter()? };
        let response = self.send_message(session, text, lines).await?;
        Ok(self.bounded(response, permit))
    }

    /// Sends what opens a session, of which the backend is told nothing yet.
    pub(crate) async fn post_first(
        &self,
        session: &Session,
        text: Bytes,
    ) -> Result<Response<Body>, Error> {
        let permit = self.errands.enter()?;
        let accept = Some(headers::ACCEPT_BOTH);
        let request = Request { subject: session.subject(), ..self.request(Method::POST, None) };
        let response = self.send(&Request { text: Some(text), accept, ..request }).await?;
        Ok(self.bounded(response, permit))
    }

    /// Sends a request whose answer is a stream to listen to.
    pub(crate) async fn subscribe(
        &self,
        session: &Session,
        text: Bytes,
        lines: Option<&Lines>,
    ) -> Result<Response<Body>, Error> {
        let permit = self.streams.enter()?;
        let response = self.send_message(Some(session), text, lines).await?;
        Ok(endless(response, permit))
    }

    async fn send_message(
        &self,
        session: Option<&Session>,
        text: Bytes,
        lines: Option<&Lines>,
    ) -> Result<Response<Source>, Error> {
        let accept = Some(headers::ACCEPT_BOTH);
        let request = self.request(Method::POST, session);
        self.send(&Request { text: Some(text), accept, lines, ..request }).await
    }

    /// Sends one message to another place of the same origin, and reads the answer, which counts
    /// by its status only.
    pub(crate) async fn post_to(
        &self,
        target: &Uri,
        text: Bytes,
        subject: Option<&Subject>,
    ) -> Result<StatusCode, Error> {
        let permit = self.errands.enter()?;
        let request = Request { subject, ..self.request(Method::POST, None) };
        let response = self.send(&Request { target, text: Some(text), ..request }).await?;
        let status = response.status();
        self.bounded(response, permit).into_body().collect(1 << 16).await?;
        Ok(status)
    }

    /// Opens a GET stream, or goes on with one behind the event of this id.
    pub(crate) async fn listen(
        &self,
        session: &Session,
        last_event_id: Option<&str>,
    ) -> Result<Response<Body>, Error> {
        let last_event_id = last_event_id.and_then(|id| HeaderValue::from_str(id).ok());
        let request = self.request(Method::GET, Some(session));
        self.open(&Request { last_event_id, ..request }).await
    }

    /// Opens a stream that is all there is of a session.
    pub(crate) async fn listen_first(
        &self,
        subject: Option<&Subject>,
    ) -> Result<Response<Body>, Error> {
        self.open(&Request { subject, ..self.request(Method::GET, None) }).await
    }

    async fn open(&self, request: &Request<'_>) -> Result<Response<Body>, Error> {
        let permit = self.streams.enter()?;
        let accept = Some(headers::EVENT_STREAM);
        let response = self.send(&Request { accept, ..request.clone() }).await?;
        if response.status().is_success() {
            readable(response.headers(), &self.secrets)?;
        }
        Ok(endless(response, permit))
    }

    /// Ends a session.
    pub(crate) async fn delete(&self, session: &Session) -> Result<StatusCode, Error> {
        let permit = self.errands.enter()?;
        let response = self.send(&self.request(Method::DELETE, Some(session))).await?;
        let status = response.status();
        // Reading the body to its end lets the connection be used again.
        let _ended = self.bounded(response, permit).into_body().collect(1 << 16).await;
        Ok(status)
    }

    /// Sends nothing more over the connections that there are, as a session is lost.
    pub(crate) fn leave_connections(&self) {
        self.pool.leave_all();
    }

    /// Closes connections that have been idle for too long.
    pub(crate) fn prune(&self) {
        self.pool.prune();
    }

    /// Where the backend is.
    pub(crate) fn url(&self) -> &Uri {
        &self.url
    }

    /// Connections to the backend.
    pub(crate) fn connections(&self) -> Connections {
        self.pool.counts()
    }

    /// Requests and streams that are under way.
    pub(crate) fn under_way(&self) -> (usize, usize) {
        (self.requests.count(), self.streams.count())
    }

    fn may_look_aside(&self) -> bool {
        self.refused_aside().is_none_or(|at| at.elapsed() >= ASIDE)
    }

    fn looked_aside_in_vain(&self) {
        *self.refused_aside() = Some(Instant::now());
    }

    fn refused_aside(&self) -> MutexGuard<'_, Option<Instant>> {
        self.refused_aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bounded(&self, response: Response<Source>, permit: Permit) -> Response<Body> {
        response.map(|source| Body::new(source, permit, self.response_bytes))
    }

    /// A request for the backend's URL that says nothing yet.
    fn request<'a>(&'a self, method: Method, session: Option<&'a Session>) -> Request<'a> {
        Request {
            method,
            target: &self.url,
            base: &self.base,
            hands_over: self.hands_over,
            session,
            subject: session.and_then(Session::subject),
            shown: OnceLock::new(),
            passed: OnceLock::new(),
            lines: None,
            accept: None,
            last_event_id: None,
            text: None,
        }
    }

    /// Sends a request with what the backend is shown.
    async fn send(&self, request: &Request<'_>) -> Result<Response<Source>, Error> {
        if self.credential.is_none() && self.passes.is_none() {
            return self.follow(request).await;
        }
        let caller = request.subject.map(Subject::caller);
        let passed = caller.as_ref().and_then(|caller| caller.passed());
        if let (Some(credential), Some(passed)) = (&self.passes, passed) {
            credential.seen().note_passed(passed);
            let _unset = request.passed.set(Arc::clone(passed));
        }
        if let Some(credential) = &self.credential
            && let Some(shown) = obtained(credential, caller.as_deref()).await?
        {
            let _unset = request.shown.set(shown);
        }
        let response = self.follow(request).await?;
        let status = response.status();
        if !request.shown.get().is_some_and(|shown| shown.is_refused_by(status)) {
            return Ok(response);
        }
        // Boxed, as it is rare and large.
        Box::pin(self.send_again(request, caller.as_deref(), response)).await
    }

    /// Obtains anew what the backend has not taken, if it was obtained, and sends the request again, once: 401 says
    /// that it did not run.
    async fn send_again(
        &self,
        request: &Request<'_>,
        caller: Option<&Identity>,
        refusal: Response<Source>,
    ) -> Result<Response<Source>, Error> {
        let (Some(credential), Some(shown)) = (&self.credential, request.shown.get()) else {
            return Ok(refusal);
        };
        if !credential.refused(caller, shown) {
            return Ok(refusal);
        }
        match obtained(credential, caller).await? {
            Some(other) => self.follow(&Request { shown: other.into(), ..request.clone() }).await,
            None => Ok(refusal),
        }
    }

    /// Sends a request, and follows it where it is sent on to.
    async fn follow(&self, request: &Request<'_>) -> Result<Response<Source>, Error> {
        let response = self.pool.send(request).await?;
        match redirect(request.target, &response, &self.secrets)? {
            None => Ok(response),
            // Boxed, as it is rare and large.
            Some(target) => Box::pin(self.send_on(request, target)).await,
        }
    }

    async fn send_on(
        &self,
        request: &Request<'_>,
        mut target: Uri,
    ) -> Result<Response<Source>, Error> {
        for _redirect in 0..MAX_REDIRECTS {
            let request = Request { target: &target, ..request.clone() };
            let response = self.pool.send(&request).await?;
            match redirect(&target, &response, &self.secrets)? {
                None => return Ok(response),
                Some(next) => target = next,
            }
        }
        Err(Error::Protocol(format!("redirects more than {MAX_REDIRECTS} times")))
    }
}

/// What a request is to carry, if that is anything.
async fn obtained(
    credential: &Credential,
    caller: Option<&Identity>,
) -> Result<Option<Shown>, Error> {
    match credential.shown(caller) {
        Showing::Nothing => Ok(None),
        Showing::Now(shown) => Ok(Some(shown)),
        Showing::Wait(obtaining) => obtaining.await.map(Some).map_err(Error::NoCredential),
    }
}

/// Refuses a body that is encoded in a way that nobody has asked for.
fn readable(headers: &HeaderMap, secrets: &Secrets) -> Result<(), Error> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else { return Ok(()) };
    let encoding = encoding.to_str().unwrap_or("unknown");
    if encoding.is_empty() || encoding.eq_ignore_ascii_case("identity") {
        return Ok(());
    }
    let encoding = secrets.told(encoding.as_bytes(), SAID);
    Err(Error::Protocol(format!(
        "answered with Content-Encoding {encoding}, though it was asked for identity; turn compression off there"
    )))
}

/// A stream that is listened to has no length: each event is bounded instead.
fn endless(response: Response<Source>, permit: Permit) -> Response<Body> {
    response.map(|source| Body::new(source, permit, usize::MAX))
}

/// Where a response sends the request on to. Only the backend's own host may be named, so that no
/// redirect carries a credential elsewhere.
fn redirect<T>(
    from: &Uri,
    response: &Response<T>,
    secrets: &Secrets,
) -> Result<Option<Uri>, Error> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let Some(location) = location.and_then(|location| location.parse::<Uri>().ok()) else {
        return Err(Error::Protocol("redirects without a usable Location".to_owned()));
    };
    let shown = shown(&location, secrets);
    let target = location.into_parts();
    let same_host = target.authority.is_none()
        || (target.authority.as_ref() == from.authority()
            && target.scheme.as_ref() == from.scheme());
    if !same_host {
        return Err(Error::Protocol(format!(
            "redirects to {shown}, which is not followed, as its credential is not for another host; if that is its address, write it as its URL"
        )));
    }
    if !matches!(response.status().as_u16(), 307 | 308) {
        let said = format!("redirects to {shown}; if that is its address, write it as its URL");
        let status = response.status().as_u16();
        return Err(Error::Refused { status, said: Some(said.into()), denial: None });
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = target.path_and_query;
    Uri::from_parts(parts)
        .map(Some)
        .map_err(|_error| Error::Protocol("redirects to an unusable path".to_owned()))
}

/// An address without what may be a secret in it.
fn shown(address: &Uri, secrets: &Secrets) -> String {
    let scheme = address.scheme_str().map(|scheme| format!("{scheme}://")).unwrap_or_default();
    let host = address.host().unwrap_or_default();
    let port = address.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
    // A path may hold in its own way what the backend was shown.
    let path = address.path();
    let path = if secrets.are_in(&String::from_utf8_lossy(&percent_decoded(path.as_bytes()))) {
        "/***"
    } else {
        path
    };
    let whole = format!("{scheme}{host}{port}{path}");
    let whole: String = whole.chars().filter(|c| !c.is_control()).collect();
    secrets.excerpt(whole.as_bytes())
}

#[cfg(test)]
mod tests;
