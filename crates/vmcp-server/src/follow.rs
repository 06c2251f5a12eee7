//! Begins to note what is known of what clients send, where somebody wants to know.

use std::{borrow::Cow, net::IpAddr, sync::Arc};

use http::{HeaderMap, HeaderName, Request, Response, StatusCode, header};
use http_body::Body as _;
use vmcp_model::{
    Era, Identity, Method,
    raw::{self, Members},
    trace::{MAX_STATE, Parent, Trace},
    trail::{Asked, Details, End, Observer, Trail, Via, Wants},
};
use vmcp_wire::{Fault, Message, Shape, TRACE_PARENT, TRACE_STATE, headers};

use crate::{
    body::Body,
    edge::{Edge, Listens},
    request::RequestBody,
    respond,
    silent::is_stream,
};

/// What a client or a proxy calls a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bytes that are kept of what a client says of itself, of the id of a request and of what it names.
const MAX_AGENT: usize = 256;
const MAX_ID: usize = 128;
const MAX_NAME: usize = 2048;

/// What came in.
#[derive(Clone, Copy)]
pub(crate) struct Came<'a> {
    pub(crate) via: Via,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) address: IpAddr,
    /// `None` of who was not let in.
    pub(crate) identity: Option<&'a Identity>,
}

/// What is noted of one request, as far as the edge does. Nothing, where nobody wants to know.
#[derive(Default)]
pub(crate) struct Followed(Option<Arc<Trail>>);

impl Edge {
    /// Begins to follow what came in.
    pub(crate) fn follow(&self, came: Came<'_>, era: Era, message: Option<&Message>) -> Followed {
        Followed(self.observer.as_ref().and_then(|observer| begin(observer, came, era, message)))
    }

    /// Answers a request that is refused before anybody has looked into it, and follows it if it is meant for the
    /// endpoint of MCP. A page asks first whether it may; it is not told so, and asks for nothing more.
    pub(crate) fn turned_away(
        &self,
        request: &Request<RequestBody>,
        peer: IpAddr,
        listens: Listens,
        fault: &Fault,
    ) -> Response<Body> {
        let response = respond::failed(None, fault);
        let is_endpoint = listens.serves_clients()
            && self.canonical(request.uri().path()) == self.config.endpoint;
        let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_METHOD);
        let asked = asked.and_then(|method| http::Method::from_bytes(method.as_bytes()).ok());
        let method = match (request.method(), &asked) {
            (&http::Method::OPTIONS, Some(asked)) => asked,
            (method, _) => method,
        };
        if let Some(via) = via_of(method).filter(|_| is_endpoint) {
            let headers = request.headers();
            let address = self.proxies.client_address(peer, headers);
            let followed =
                self.follow(Came { via, headers, address, identity: None }, Era::Legacy, None);
            followed.failed(fault);
            followed.responded(&response);
        }
        response
    }
}

/// What a request is by its HTTP method. `None` if MCP does not use it.
pub(crate) fn via_of(method: &http::Method) -> Option<Via> {
    match *method {
        http::Method::POST => Some(Via::Post),
        http::Method::GET => Some(Via::Get),
        http::Method::DELETE => Some(Via::Delete),
        _ => None,
    }
}

impl Followed {
    /// Where to note more.
    pub(crate) fn trail(&self) -> Option<Arc<Trail>> {
        self.0.clone()
    }

    /// Notes that it has failed.
    pub(crate) fn failed(&self, fault: &Fault) {
        if let Some(trail) = &self.0 {
            trail.note_end(|| fault.end(trail.asked().era));
        }
    }

    /// Notes that it was answered, unless something else was noted before.
    pub(crate) fn answered(&self) {
        if let Some(trail) = &self.0 {
            trail.note_end(|| End::Answered);
        }
    }

    /// Notes what its response is. Whoever still has to do with it holds it for longer.
    pub(crate) fn responded(self, response: &Response<Body>) {
        if let Some(trail) = self.0 {
            let has_become_stream = is_stream();
            let status = if has_become_stream { StatusCode::OK } else { response.status() };
            trail.note_status(status.as_u16());
            let body = response.body();
            if let Some(bytes) = body.size_hint().exact() {
                trail.note_size(bytes);
            }
            if has_become_stream
                || matches!(body, Body::Events(_) | Body::AsEvent(_) | Body::Later(_))
            {
                trail.note_streamed();
            }
        }
    }
}

fn begin(
    observer: &Arc<dyn Observer>,
    came: Came<'_>,
    era: Era,
    message: Option<&Message>,
) -> Option<Arc<Trail>> {
    let wants = observer.wants();
    let Came { via, headers, address, identity } = came;
    let trace = wants.traces.then(|| trace(observer, headers, message)).flatten();
    if !wants.all && trace.is_none() {
        return None;
    }
    let is_recorded = trace.as_ref().is_some_and(|trace| trace.sampled);
    let has_details = wants.details || is_recorded;
    let asked = Asked {
        via,
        method: message.and_then(recorded_method),
        era,
        identity: identity.cloned(),
        address,
        trace,
        details: has_details.then(|| Box::new(details(headers, message, wants))),
    };
    Some(Trail::new(Arc::clone(observer), asked))
}

/// What a message says of its place in a trace counts before what its headers say: it is by who made it.
fn trace(
    observer: &Arc<dyn Observer>,
    headers: &HeaderMap,
    message: Option<&Message>,
) -> Option<Trace> {
    let meta = message.and_then(|message| {
        let parent = Parent::parse(&message.meta_string(TRACE_PARENT)?)?;
        Some((parent, message.meta_string(TRACE_STATE)))
    });
    let header = || {
        // Whoever sends two of them has no parent.
        let mut lines = headers.get_all(TRACE_PARENT).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        Some((Parent::parse(line.to_str().ok()?)?, state_of(headers)))
    };
    let (parent, state) = meta.or_else(header).unzip();
    // It goes on in headers, of whoever writes them.
    let is_plain = |state: &String| state.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let state = state.flatten().filter(is_plain).and_then(shortened);
    observer.trace(parent, state.as_deref())
}

/// What others have added to a trace. Several lines of a header are one list.
fn state_of(headers: &HeaderMap) -> Option<String> {
    let lines = headers.get_all(TRACE_STATE).iter();
    lines
        .filter_map(|line| line.to_str().ok().map(str::to_owned))
        .reduce(|all, line| all + "," + &line)
}

/// Takes from the end what is more than there may be, each member as a whole (W3C Trace Context, section 3.3.1.5).
fn shortened(mut state: String) -> Option<String> {
    if state.len() > MAX_STATE {
        let most = state.floor_char_boundary(MAX_STATE + 1);
        state.truncate(state[..most].rfind(',')?);
    }
    Some(state)
}

/// The method of a message. A notification that is called as a request, and a request that is called as a
/// notification, are none of the protocol's: nobody does what their name says.
fn recorded_method(message: &Message) -> Option<Method> {
    let method = message.method()?;
    let is_so = method.is_notification() == (message.shape() == Shape::Notification);
    Some(if is_so { method } else { Method::Other })
}

/// What a message names, where its method says that this is looked at.
fn name_of(message: &Message) -> Option<Cow<'_, str>> {
    let params = message.params();
    match message.method()? {
        Method::ToolsCall | Method::PromptsGet => message.string(params.name.as_ref()),
        Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => {
            message.string(params.uri.as_ref())
        }
        Method::TasksGet | Method::TasksResult | Method::TasksUpdate | Method::TasksCancel => {
            message.string(params.task_id.as_ref())
        }
        Method::CompletionComplete => {
            let reference = message.slice(params.reference.as_ref()?);
            let members = Members::parse(&reference)?;
            let named =
                ["name", "uri"].into_iter().find_map(|name| members.value(&reference, name));
            named.and_then(raw::as_string).map(Cow::Owned)
        }
        _ => None,
    }
}

fn details(headers: &HeaderMap, message: Option<&Message>, wants: Wants) -> Details {
    let mut details = Details {
        user_agent: text(headers, header::USER_AGENT, MAX_AGENT),
        request_id: text(headers, REQUEST_ID, MAX_ID),
        session: text(headers, headers::SESSION_ID, MAX_ID),
        ..Details::default()
    };
    let Some(message) = message else { return details };
    details.name = name_of(message).map(|name| cut(&name, MAX_NAME));
    details.id =
        message.id().and_then(|id| std::str::from_utf8(id.text()).ok()).map(|id| cut(id, MAX_ID));
    if recorded_method(message) == Some(Method::Other) {
        details.method_name = Some(cut(&message.method_name(), MAX_ID));
    }
    if wants.request_bytes > 0 {
        details.params = message.params_text(wants.request_bytes);
    }
    details
}

fn text(headers: &HeaderMap, name: impl header::AsHeaderName, most: usize) -> Option<Box<str>> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(|value| cut(value, most))
}

fn cut(text: &str, most: usize) -> Box<str> {
    text[..text.floor_char_boundary(most)].into()
}
