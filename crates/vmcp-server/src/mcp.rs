//! The MCP endpoint, and the legacy era on it: POST, GET and DELETE (specification 2025-11-25,
//! basic/transports, "Streamable HTTP").

use std::{
    net::IpAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use tokio::time::Instant;
use vmcp_auth::{Asking, Authentication};
use vmcp_core::Denial;
use vmcp_model::{
    Era, Identity, ProtocolVersion,
    trail::{End, Trail, Via},
};
use vmcp_modern::speaks_modern;
use vmcp_session::{ClientKey, Reply, Session};
use vmcp_wire::{
    Fault, Incoming, Malformed, Message, Shape,
    headers::{self, Accepts, MediaType},
};

use crate::{
    accept::Asked,
    body::Body,
    edge::{Edge, Listens},
    follow::{Came, Followed, via_of},
    near::is_from_here,
    request::RequestBody,
    respond,
    silent::{Silent, may_stream},
};

/// How long a client may take to send a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Who sent a request, and from where.
pub(crate) struct Caller {
    pub(crate) identity: Identity,
    pub(crate) address: IpAddr,
    /// Which listener it came to.
    listens: Listens,
}

impl Edge {
    pub(crate) async fn mcp(
        self: &Arc<Self>,
        request: Request<RequestBody>,
        peer: IpAddr,
        listens: Listens,
    ) -> Response<Body> {
        let Some(via) = via_of(request.method()) else {
            return respond::not_taken(&Fault::MethodNotAllowed);
        };
        let address = self.proxies.client_address(peer, request.headers());
        let authentication = self.authentication(&request, peer);
        let identity = match authentication {
            Authentication::Known(identity) => identity,
            Authentication::Wait(known) => known.await,
        };
        let caller = match identity {
            Ok(identity) => {
                let headers = request.headers();
                let values = |name: &HeaderName| headers.get_all(name).iter();
                let identity = self.sessions.vmcp().passing(identity, values);
                Caller { identity, address, listens }
            }
            // The body has not been looked at.
            Err(fault) => {
                let came = Came { via, headers: request.headers(), address, identity: None };
                let followed = self.follow(came, Era::Legacy, None);
                followed.failed(&fault);
                let response = self.not_admitted(&fault, self.asked(&request, peer));
                followed.responded(&response);
                return response;
            }
        };
        let followed = match via {
            Via::Post => {
                // Boxed, so that a connection does not hold room for a call while none is under way.
                let work = Box::pin(Arc::clone(self).message(request, caller));
                return Silent::new(work, self.config.keep_alive).await;
            }
            Via::Get | Via::Delete => {
                self.follow(caller.came(via, request.headers()), Era::Legacy, None)
            }
        };
        let answered = match via {
            Via::Get => Box::pin(self.get(request.headers(), &caller, followed.trail())).await,
            _ => Box::pin(self.delete(request.headers(), &caller)).await,
        };
        let response = match answered {
            Ok(response) => {
                followed.answered();
                response
            }
            // No request is in it that an error could answer, so the status must tell.
            Err(fault) => {
                followed.failed(&fault);
                respond::not_taken(&fault)
            }
        };
        followed.responded(&response);
        response
    }

    /// Finds out who calls.
    fn authentication<B>(&self, request: &Request<B>, peer: IpAddr) -> Authentication {
        let url = || {
            let configured = self.authenticator.resource().map(str::to_owned);
            configured.or_else(self.asked(request, peer))
        };
        let (headers, method) = (request.headers(), request.method());
        self.authenticator.authenticate(&Asking { headers, method, url: &url })
    }

    /// The answer to who may not call, or has not said who it is.
    fn not_admitted(
        &self,
        fault: &Fault,
        asked: impl FnOnce() -> Option<String>,
    ) -> Response<Body> {
        match fault.oauth_error() {
            Some(error) => {
                respond::unauthorized(error, fault, self.authenticator.challenge(fault, asked))
            }
            None => respond::not_taken(fault),
        }
    }

    async fn message(
        self: Arc<Self>,
        request: Request<RequestBody>,
        caller: Caller,
    ) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let accepts = Accepts::of(&parts.headers);
        let incoming = async {
            if MediaType::of(&parts.headers) != MediaType::Json {
                return Err(Fault::UnsupportedMediaType);
            }
            if !headers::is_plain(&parts.headers) {
                return Err(Fault::UnsupportedCoding);
            }
            if !accepts.json && !accepts.events {
                return Err(Fault::NotAcceptable("application/json or text/event-stream"));
            }
            let text = self.read(body).await?;
            Incoming::parse(text).map_err(|malformed| match malformed {
                Malformed::NotJson => Fault::Parse(malformed.to_string().into()),
                Malformed::NotAMessage(why) => Fault::InvalidRequest(why),
            })
        };
        let mut incoming = match incoming.await {
            Ok(incoming) => incoming,
            Err(fault) => {
                let came = caller.came(Via::Post, &parts.headers);
                let followed = self.follow(came, Era::Legacy, None);
                followed.failed(&fault);
                let response = respond::failed(None, &fault);
                followed.responded(&response);
                return response;
            }
        };
        let asked = Asked::of(accepts, &incoming);
        let (headers, caller) = (&parts.headers, &caller);
        // Where they stand: messages are large, and not moved for this.
        let (mut followed, mut others, mut is_modern) = (Followed::default(), Vec::new(), false);
        match &mut incoming {
            Incoming::Single(message) => {
                is_modern = speaks_modern(headers, message);
                followed = self.follow_message(headers, caller, is_modern, message);
            }
            Incoming::Batch(messages) => {
                let messages = messages.iter_mut();
                let follow = |message| self.follow_message(headers, caller, false, message);
                others = messages.map(follow).collect();
            }
        }
        let response = match incoming {
            Incoming::Single(message) if is_modern => {
                // Boxed, so that a call of the legacy era does not carry room for it.
                Box::pin(self.modern(headers, message, caller, accepts)).await
            }
            // In its place, as it is large.
            Incoming::Single(message) => pin!(self.single(headers, message, caller, accepts)).await,
            Incoming::Batch(messages) => {
                let answered = match self.session(headers, caller).await {
                    Ok(session) => {
                        let batch = session.handle_batch(&caller.identity, messages);
                        self.replied(Box::pin(batch).await)
                    }
                    Err(fault) => Err(fault),
                };
                answered.unwrap_or_else(|fault| {
                    others.iter().for_each(|followed| followed.failed(&fault));
                    respond::failed(None, &fault)
                })
            }
        };
        followed.responded(&response);
        others.into_iter().for_each(|followed| followed.responded(&response));
        match asked {
            None => response,
            Some(asked) => Box::pin(asked.fit(response)).await,
        }
    }

    /// Begins to follow a message where it stands.
    fn follow_message(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
        is_modern: bool,
        message: &mut Message,
    ) -> Followed {
        let era = if is_modern { Era::Modern } else { Era::Legacy };
        let followed = self.follow(caller.came(Via::Post, headers), era, Some(message));
        message.follow(followed.trail());
        followed
    }

    async fn single(
        &self,
        headers: &HeaderMap,
        message: Message,
        caller: &Caller,
        accepts: Accepts,
    ) -> Response<Body> {
        let is_request = message.shape() == Shape::Request;
        // The id must outlive the message, which goes down to be sent on.
        let text = message.text().clone();
        let id = message.id().map(|id| text.slice_ref(id.text()));
        let trail = message.trail().cloned();
        let answered = if is_request && message.method() == Some(vmcp_model::Method::Initialize) {
            Box::pin(self.initialize(&message, caller)).await
        } else {
            match self.session(headers, caller).await {
                Ok(session) => {
                    if is_request && accepts.events {
                        may_stream();
                    }
                    self.replied(session.handle(&caller.identity, message).await)
                }
                Err(fault) => Err(fault),
            }
        };
        answered.unwrap_or_else(|fault| {
            if let Some(trail) = &trail {
                trail.note_end(|| fault.end(Era::Legacy));
            }
            if is_request {
                let id = id.as_ref().and_then(|id| vmcp_wire::Id::parse(id));
                match (&fault, self.sessions.vmcp().rights().denial()) {
                    (Fault::Denied(_), Denial::Answer) => respond::answered(id, &fault),
                    _ => respond::failed(id, &fault),
                }
            } else {
                respond::not_taken(&fault)
            }
        })
    }

    async fn initialize(
        &self,
        message: &Message,
        caller: &Caller,
    ) -> Result<Response<Body>, Fault> {
        let opened = self.sessions.initialize(&caller.identity, caller.key(), message);
        let (id, text) = opened.await?;
        if let Some(trail) = message.trail() {
            trail.note_session(&id);
            trail.note_response(&text);
            trail.note_end(|| End::Answered);
        }
        let mut response = respond::json(text);
        let id = HeaderValue::from_str(&id)
            .map_err(|_error| Fault::Internal("the session id is no header value".into()))?;
        response.headers_mut().insert(headers::SESSION_ID, id);
        Ok(response)
    }

    async fn get(
        &self,
        headers: &HeaderMap,
        caller: &Caller,
        trail: Option<Arc<Trail>>,
    ) -> Result<Response<Body>, Fault> {
        if !Accepts::of(headers).events {
            return Err(Fault::NotAcceptable("text/event-stream"));
        }
        let session = self.session(headers, caller).await?;
        if self.is_draining() {
            return Err(Fault::Unavailable("vmcp is shutting down".into()));
        }
        let resumes = headers.contains_key(headers::LAST_EVENT_ID);
        let permit = self.enter_stream(!resumes && session.has_stream(), trail)?;
        let last_event_id = headers.get(headers::LAST_EVENT_ID).map(HeaderValue::to_str);
        let last_event_id = last_event_id.transpose().map_err(|_error| {
            Fault::InvalidRequest("the Last-Event-ID header is not visible ASCII".into())
        })?;
        let stream = session.listen(&caller.identity, last_event_id).await?;
        let body = Body::events(stream, self.config.keep_alive, Some(permit));
        Ok(respond::events(body.until(caller.proved_until())))
    }

    async fn delete(&self, headers: &HeaderMap, caller: &Caller) -> Result<Response<Body>, Fault> {
        check_version(headers)?;
        self.sessions.end(session_id(headers)?, &caller.identity).await?;
        Ok(respond::empty(StatusCode::OK))
    }

    /// The caller's session.
    async fn session(&self, headers: &HeaderMap, caller: &Caller) -> Result<Arc<Session>, Fault> {
        check_version(headers)?;
        self.sessions.find(session_id(headers)?, &caller.identity, caller.key()).await
    }

    fn replied(&self, reply: Result<Reply, Fault>) -> Result<Response<Body>, Fault> {
        Ok(match reply? {
            Reply::Accepted => respond::empty(StatusCode::ACCEPTED),
            Reply::Ready(text) => respond::json(text),
            Reply::Parts(parts) => respond::json_parts(parts),
            Reply::Relay(relaying) => {
                let body = Body::Relay(relaying);
                respond::typed(StatusCode::OK, headers::JSON, body)
            }
            Reply::Stream(stream) => {
                respond::events(Body::events(stream, self.config.keep_alive, None))
            }
        })
    }

    /// Reads a request's body, within its bounds of size and time.
    async fn read(&self, body: RequestBody) -> Result<Bytes, Fault> {
        self.read_at_most(body, self.config.request_bytes).await
    }

    /// The same with a bound of its own.
    pub(crate) async fn read_at_most(
        &self,
        body: RequestBody,
        limit: usize,
    ) -> Result<Bytes, Fault> {
        let reading = body.collect(limit, &self.requests);
        tokio::time::timeout(BODY_TIMEOUT, reading).await.unwrap_or(Err(Fault::TooSlow))
    }
}

impl Caller {
    /// What has come from it.
    fn came<'a>(&'a self, via: Via, headers: &'a HeaderMap) -> Came<'a> {
        Came { via, headers, address: self.address, identity: Some(&self.identity) }
    }

    /// Whether it is certain who this is: whoever has proved it, or the one user of this machine. Others
    /// may have the same name, or none.
    pub(crate) fn is_certain(&self, edge: &Edge, headers: &HeaderMap) -> bool {
        let is_here =
            || self.listens == Listens::ClientsAndAdmin && is_from_here(self.address, headers);
        edge.authenticator.asks_for_proof() || is_here()
    }

    /// When what it has shown proves nothing any more, if that ends.
    pub(crate) fn proved_until(&self) -> Option<Instant> {
        let expires = Duration::from_secs(self.identity.proof()?.expires);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Instant::now().checked_add(expires.saturating_sub(now))
    }

    /// Whom its sessions are counted for.
    pub(crate) fn key(&self) -> ClientKey {
        ClientKey::of(self.identity.principal(), self.address)
    }
}

fn session_id(headers: &HeaderMap) -> Result<&str, Fault> {
    let id = headers.get(headers::SESSION_ID).ok_or(Fault::SessionMissing)?;
    id.to_str().map_err(|_error| Fault::SessionUnknown)
}

/// A revision that is named must be one that is spoken. None need be: the session knows its own.
fn check_version(headers: &HeaderMap) -> Result<(), Fault> {
    let Some(value) = headers.get(headers::PROTOCOL_VERSION) else { return Ok(()) };
    let name = value.to_str().unwrap_or("?");
    if ProtocolVersion::from_name(name).is_some() {
        return Ok(());
    }
    Err(Fault::UnsupportedVersion { requested: name.to_owned() })
}
