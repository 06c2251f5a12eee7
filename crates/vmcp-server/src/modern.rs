//! The modern era at the client's edge: every request says who sends it and stands for itself
//! (specification 2026-07-28, basic/transports/streamable-http).

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokio_util::task::task_tracker::TaskTrackerToken;
use vmcp_catalog::Catalog;
use vmcp_core::{
    Borrower, CallEvent, CallStream, Caller as CoreCaller, Lent, NoticeKind, Outcome, Reply,
    Routed, View,
};
use vmcp_model::{Era, Kind, LogLevel, ProtocolVersion, raw};
use vmcp_session::Sessions;
use vmcp_wire::{
    Fault, Id, Message, Shape,
    error::modern_status_of,
    headers::{self, Accepts, PROTOCOL_VERSION},
    lines,
};

use crate::{body::Body, edge::Edge, mcp::Caller, respond, silent::may_stream};

mod answers;
mod following;
mod listen;
mod live;

pub(crate) use live::Live;

/// Bytes that a client may declare: they are kept as long as there are such clients.
const MAX_CAPABILITIES: usize = 64 << 10;

/// Bytes that a client may say of itself: they are kept as long as one of its streams.
const MAX_CLIENT_INFO: usize = 64 << 10;

/// From this size on an answer counts among what clients have not read, in bytes.
const LARGE: usize = 64 << 10;

/// What a modern request says about itself.
struct Request<'a> {
    message: &'a Message,
    id: Id<'a>,
    /// The client's `ClientCapabilities` object.
    capabilities: Bytes,
    /// From there on the client wants to be told.
    level: Option<LogLevel>,
    /// All `Mcp-Param-*` headers.
    parameters: Vec<(HeaderName, HeaderValue)>,
    headers: &'a HeaderMap,
    accepts: Accepts,
}

/// Everything that must stay until the client has its answer.
struct Held {
    lent: Lent,
    sessions: Arc<Sessions>,
    _counted: TaskTrackerToken,
}

/// Whether a message is one of the modern era, by what only that era knows.
pub(crate) fn speaks_modern(headers: &HeaderMap, message: &Message) -> bool {
    let modern = ProtocolVersion::MODERN.name().as_bytes();
    let meta = &message.params().meta;
    if meta.protocol_version.is_some() {
        return true;
    }
    // Whatever else is said with it: a client that begins a session has no other way to say so.
    if message.method() == "initialize" {
        return false;
    }
    let said = headers.get(PROTOCOL_VERSION).map(HeaderValue::as_bytes);
    let is_session = headers.contains_key(headers::SESSION_ID);
    match said {
        Some(said) if said == modern => true,
        // Neither era knows it: the modern one says which there are.
        Some(said) if !is_session => {
            let name = std::str::from_utf8(said).unwrap_or_default();
            ProtocolVersion::from_name(name).is_none()
        }
        Some(_) => false,
        None => !is_session && (meta.client_info.is_some() || meta.client_capabilities.is_some()),
    }
}

impl Edge {
    /// Answers a message of a modern client.
    pub(crate) async fn modern(
        self: &Arc<Self>,
        headers: &HeaderMap,
        message: Message,
        caller: &Caller,
        accepts: Accepts,
    ) -> Response<Body> {
        // The id must outlive the message, which goes down to be sent on.
        let text = message.text().clone();
        let id = message.id().map(|id| text.slice_ref(id.text()));
        let answered = match message.shape() {
            Shape::Request => match Request::read(headers, &message, accepts) {
                Ok(request) => self.modern_request(&request, caller).await,
                Err(fault) => Err(fault),
            },
            // This revision defines none, and what an extension may mean by one is not known here.
            Shape::Notification => Ok(respond::empty(StatusCode::ACCEPTED)),
            Shape::Response => Err(Fault::InvalidRequest(
                "a client of the revision 2026-07-28 sends no responses".into(),
            )),
        };
        answered.unwrap_or_else(|fault| {
            respond::modern_failed(id.as_deref().and_then(Id::parse), &fault)
        })
    }

    async fn modern_request(
        self: &Arc<Self>,
        request: &Request<'_>,
        caller: &Caller,
    ) -> Result<Response<Body>, Fault> {
        let view = self.sessions.modern_view(&caller.key(), &request.capabilities)?;
        match &*request.message.method() {
            "server/discover" => self.discover(request, &view, caller).await,
            "tools/list" => self.modern_list(request, &view, Kind::Tool, caller).await,
            "resources/list" => self.modern_list(request, &view, Kind::Resource, caller).await,
            "resources/templates/list" => {
                self.modern_list(request, &view, Kind::ResourceTemplate, caller).await
            }
            "prompts/list" => self.modern_list(request, &view, Kind::Prompt, caller).await,
            "subscriptions/listen" => self.modern_listen(request, view, caller).await,
            _ => self.modern_call(request, &view, caller).await,
        }
    }

    /// Sends a request to the backend that it belongs to.
    async fn modern_call(
        self: &Arc<Self>,
        request: &Request<'_>,
        view: &Arc<View>,
        caller: &Caller,
    ) -> Result<Response<Body>, Fault> {
        let vmcp = self.sessions.vmcp();
        let id = request.id.key();
        let held = Held {
            _counted: self.sessions.count_call()?,
            lent: vmcp.lend(view, request.borrower(self, caller), request.level),
            sessions: Arc::clone(&self.sessions),
        };
        let mut catalog = held.lent.catalog();
        if !view.is_settled() {
            // What is not known yet may be known in a moment.
            let found = |catalog: &Arc<_>| {
                let core = request.caller(caller, view, catalog, &held.lent);
                let routed = vmcp.route(&core, request.message);
                routed.is_ok_and(|routed| vmcp.is_certain(view, &routed))
            };
            vmcp.settle(view, found).await;
            catalog = held.lent.catalog();
        }
        // What is not known may be in a list that is being read.
        if let Some(unread) = held.lent.unread()
            && vmcp
                .route(&request.caller(caller, view, &catalog, &held.lent), request.message)
                .is_err()
        {
            unread.read().await;
            catalog = held.lent.catalog();
        }
        let core = request.caller(caller, view, &catalog, &held.lent);
        let routed: Routed<'_> = vmcp.route(&core, request.message)?;
        if request.accepts.events {
            may_stream();
        }
        let reply = vmcp.send(&core, routed, &id).await;
        let mut stream = match reply {
            Ok(Reply::Stream(stream)) => stream,
            Ok(reply) => {
                held.answered().await;
                return self.whole(reply);
            }
            Err(fault) => {
                held.lent.failed();
                return Err(fault);
            }
        };
        // A response that comes before all else can say in its status what it is.
        let first = match next(&mut stream, request.level, &held).await? {
            Step::Told(text) => text,
            Step::Answered(reply) => {
                held.answered().await;
                return self.whole(reply);
            }
        };
        let live =
            Live::of_call(*stream, first, request.level, id, held, self.sessions.vmcp().budget());
        Ok(respond::events(Body::live(live, self.config.keep_alive)))
    }

    /// An answer that is there as a whole. A large one counts for as long as its client has not read it.
    fn whole(&self, reply: Reply) -> Result<Response<Body>, Fault> {
        let count = |text: Bytes| match text.len() > LARGE {
            true => self.sessions.vmcp().budget().count(text).map_err(|_text| Fault::NotHeld),
            false => Ok(text),
        };
        match reply {
            Reply::Ready(text) => Ok(respond::json(count(text)?)),
            Reply::Refused { text, code } => {
                let body = Body::whole(count(text)?);
                Ok(respond::typed(modern_status_of(code), headers::JSON, body))
            }
            // What passes as it is passes between clients and backends of the legacy era only.
            Reply::Relay(_) | Reply::Stream(_) => {
                Err(Fault::Internal("a result was not finished".into()))
            }
        }
    }
}

impl Held {
    /// Notes that the request has been answered. Lists that have changed in the call are read before
    /// the client learns of it: what it does next relies on them.
    async fn answered(&self) {
        self.lent.answered();
        if let Some(unread) = self.lent.unread() {
            unread.read().await;
        }
    }
}

/// What a call's stream brings its client next.
enum Step {
    /// A notification.
    Told(Bytes),
    Answered(Reply),
}

/// The next that a call brings its client. After an answer or an error there is nothing more.
async fn next(call: &mut CallStream, level: Option<LogLevel>, held: &Held) -> Result<Step, Fault> {
    loop {
        let event = tokio::select! {
            event = call.next() => event,
            // It may run on: what it leaves is not to be relied on.
            fault = held.sessions.cut_off() => Err(fault),
        };
        let event = event.inspect_err(|_fault| held.lent.failed())?;
        let reply = match event {
            CallEvent::Notice(notice) => {
                let wanted = match &notice.kind {
                    NoticeKind::Log(_) => level.is_some() && notice.passes(level),
                    // Not about this request.
                    NoticeKind::ResourceUpdated(_)
                    | NoticeKind::Withdrawn(_)
                    | NoticeKind::Completed(_) => false,
                    NoticeKind::Other => true,
                };
                if wanted {
                    return Ok(Step::Told(notice.text));
                }
                continue;
            }
            CallEvent::ListChanged => {
                held.lent.note_lists_changed(call.backend());
                continue;
            }
            CallEvent::Outcome(Outcome::Asks(question)) => {
                match held.lent.asked(call.asks_itself(), question) {
                    Some(fault) => return Err(fault),
                    None => continue,
                }
            }
            CallEvent::Outcome(Outcome::Complete(text)) => Reply::Ready(text),
            CallEvent::Outcome(Outcome::Refused { text, code }) => Reply::Refused { text, code },
        };
        held.lent.answered();
        return Ok(Step::Answered(reply));
    }
}

impl<'a> Request<'a> {
    /// Who calls, as the core takes a caller.
    fn caller<'c>(
        &'c self,
        caller: &'c Caller,
        view: &View,
        catalog: &'c Arc<Catalog>,
        lent: &'c Lent,
    ) -> CoreCaller<'c> {
        CoreCaller {
            principal: &caller.principal,
            catalog,
            era: Era::Modern,
            log_level: self.level,
            parameters: &self.parameters,
            capabilities: view.capabilities(),
            sessions: lent,
        }
    }

    /// Whose backend sessions it uses.
    fn borrower(&self, edge: &Edge, caller: &Caller) -> Borrower {
        Borrower { principal: caller.known(edge, self.headers), client_info: self.client_info() }
    }

    /// What the client says of itself. It is kept by streams, which must not keep the whole request alive.
    fn client_info(&self) -> Bytes {
        let info = self.message.params().meta.client_info.clone();
        info.map(|span| Bytes::copy_from_slice(&self.message.text()[span])).unwrap_or_default()
    }

    /// Reads a request, whose headers must say what its body says.
    fn read(headers: &'a HeaderMap, message: &'a Message, accepts: Accepts) -> Result<Self, Fault> {
        let id = message.id().ok_or(Fault::InvalidRequest("a request needs an id".into()))?;
        let meta = &message.params().meta;
        check_version(headers, message)?;
        lines::check(headers, message)?;
        let capabilities = meta.client_capabilities.as_ref().map(|span| message.slice(span));
        let capabilities = capabilities
            .filter(|capabilities| raw::Members::parse(capabilities).is_some())
            .ok_or(Fault::InvalidParams(
                "params._meta[\"io.modelcontextprotocol/clientCapabilities\"] must be an object; send {} if there are none".into(),
            ))?;
        if capabilities.len() > MAX_CAPABILITIES {
            let why =
                format!("the client's capabilities must not be over {MAX_CAPABILITIES} bytes");
            return Err(Fault::InvalidParams(why.into()));
        }
        if meta.client_info.as_ref().is_some_and(|info| info.len() > MAX_CLIENT_INFO) {
            let why = format!("clientInfo must not be over {MAX_CLIENT_INFO} bytes");
            return Err(Fault::InvalidParams(why.into()));
        }
        let level = match &meta.log_level {
            None => None,
            span => Some(
                message.string(span.as_ref()).and_then(|name| LogLevel::from_name(&name)).ok_or(
                    Fault::InvalidParams(
                        "params._meta[\"io.modelcontextprotocol/logLevel\"] must be one of debug, info, notice, warning, error, critical, alert, emergency".into(),
                    ),
                )?,
            ),
        };
        let parameters = headers
            .iter()
            .filter(|(name, _)| name.as_str().starts_with(lines::PARAMETER))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        Ok(Self { message, id, capabilities, level, parameters, headers, accepts })
    }
}

/// The revision must be said twice, the same both times, and be the modern one.
fn check_version(headers: &HeaderMap, message: &Message) -> Result<(), Fault> {
    let said = lines::single(headers, &PROTOCOL_VERSION)?;
    let meta = message.params().meta.protocol_version.as_ref();
    let Some(span) = meta else {
        return Err(match said.and_then(|said| said.to_str().ok()) {
            // One that nobody speaks is told so, whatever else is missing.
            Some(name) if ProtocolVersion::from_name(name).is_none() => {
                Fault::UnsupportedVersion { requested: name.to_owned() }
            }
            _ => Fault::InvalidParams(
                "params._meta[\"io.modelcontextprotocol/protocolVersion\"] is missing".into(),
            ),
        });
    };
    let version = message.string(Some(span)).ok_or(Fault::InvalidParams(
        "params._meta[\"io.modelcontextprotocol/protocolVersion\"] must be a string".into(),
    ))?;
    let said = said.ok_or(Fault::HeaderMismatch(
        "the MCP-Protocol-Version header is missing; send the revision that the body names".into(),
    ))?;
    if said.as_bytes() != version.as_bytes() {
        let why = "the MCP-Protocol-Version header differs from the revision that the body names";
        return Err(Fault::HeaderMismatch(why.into()));
    }
    if version != ProtocolVersion::MODERN.name() {
        let requested = version.into_owned();
        return Err(Fault::UnsupportedVersion { requested });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
