//! What is kept of a trail until its record is written.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use vmcp_model::{
    BackendId, Claims, Kind, Method, Principal,
    trail::{Details, End, Trail, Via},
};

use crate::{EventType, Settings, outcome::Outcome, text::cut};

/// One use of vmcp that has ended, without whatever it does not need of its trail. Making it is all that a
/// request waits for.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) event_type: EventType,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<&'static str>,
    /// The code of a JSON-RPC error; its message is [`Text::Message`].
    pub(crate) code: Option<i64>,
    pub(crate) status: Option<u16>,
    /// Of the answer.
    pub(crate) bytes: u64,
    pub(crate) at: SystemTime,
    pub(crate) took: Duration,
    pub(crate) via: Via,
    /// It was answered by a stream.
    pub(crate) is_streamed: bool,
    pub(crate) method: Option<Method>,
    pub(crate) address: IpAddr,
    /// The trace that it belongs to, and its span.
    pub(crate) trace: Option<([u8; 16], [u8; 8])>,
    pub(crate) issuer: Option<Arc<str>>,
    /// What is said of the caller.
    pub(crate) claims: Option<Claims>,
    pub(crate) kind: Option<Kind>,
    pub(crate) backend: Option<BackendId>,
    pub(crate) request: Option<Beginning>,
    pub(crate) response: Option<Beginning>,
    /// All texts in one piece, and where each ends.
    texts: Box<str>,
    ends: [u32; Text::COUNT],
}

/// The beginning of a request's or an answer's data.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) bytes: Box<[u8]>,
    pub(crate) is_whole: bool,
}

/// A text of an event, in the order in which they are kept.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Text {
    UserAgent,
    RequestId,
    Session,
    Name,
    MethodName,
    ClientName,
    ClientVersion,
    Message,
}

impl Text {
    const COUNT: usize = 8;
}

/// The longest texts, in bytes.
const MAX_USER_AGENT: usize = 256;
const MAX_REQUEST_ID: usize = 128;
const MAX_METHOD: usize = 128;
const MAX_NAME: usize = 256;
const MAX_URI: usize = 2048;
const MAX_MESSAGE: usize = 256;
/// Ids of sessions are hashed; vmcp's own are far shorter.
const MAX_SESSION: usize = 1024;

impl Event {
    /// Copies what a record shows of a trail.
    pub(crate) fn new(
        event_type: EventType,
        trail: &Trail,
        took: Duration,
        settings: &Settings,
    ) -> Self {
        let asked = trail.asked();
        let (outcome, reason) = Outcome::of(trail, settings.detect_application_errors);
        let (texts, ends) = packed(texts(trail));
        let target = trail.target();
        let size = settings.data_size();
        let details = asked.details.as_deref();
        let params = details.and_then(|details| details.params.as_ref());
        let request = params.filter(|_| settings.include_request_data);
        let response = trail.response().filter(|_| settings.include_response_data);
        Self {
            event_type,
            outcome,
            reason,
            code: error(trail).map(|(code, _)| code),
            status: trail.status(),
            bytes: trail.bytes(),
            at: SystemTime::now(),
            took,
            via: asked.via,
            is_streamed: trail.is_streamed(),
            method: asked.method,
            address: asked.address,
            trace: asked.trace.as_ref().map(|trace| (trace.trace, trace.span)),
            issuer: asked.identity.as_ref().and_then(|identity| match identity.principal() {
                Principal::Anonymous => None,
                Principal::Subject { issuer, .. } => Some(Arc::clone(issuer)),
            }),
            claims: asked.identity.as_ref().map(|identity| identity.claims().clone()),
            kind: target.and_then(|target| Some(target.capability.as_ref()?.0)),
            backend: target.and_then(|target| target.backend.clone()),
            request: request.map(|json| Beginning::new(json, json.len() as u64, size)),
            response: response.map(|text| Beginning::new(&text, trail.bytes(), size)),
            texts,
            ends,
        }
    }

    /// One of its texts. `None` if there is nothing in it.
    pub(crate) fn text(&self, text: Text) -> Option<&str> {
        let place = text as usize;
        let start = if place == 0 { 0 } else { self.ends[place - 1] };
        let text = &self.texts[start as usize..self.ends[place] as usize];
        Some(text).filter(|text| !text.is_empty())
    }

    /// What it takes of memory at most, in bytes: others may hold the claims, too.
    pub(crate) fn size(&self) -> usize {
        let data = |data: &Option<Beginning>| data.as_ref().map_or(0, |data| data.bytes.len());
        size_of::<Self>()
            + self.texts.len()
            + self.claims.as_ref().map_or(0, |claims| claims.json().len())
            + data(&self.request)
            + data(&self.response)
    }
}

impl Beginning {
    /// The beginning of something of which there are `of` bytes in all.
    fn new(bytes: &[u8], of: u64, most: usize) -> Self {
        let kept = &bytes[..bytes.len().min(most)];
        Self { bytes: kept.into(), is_whole: kept.len() as u64 >= of }
    }
}

/// The texts of a trail within their bounds, in the order of [`Text`].
fn texts(trail: &Trail) -> [&str; Text::COUNT] {
    let details = trail.asked().details.as_deref();
    let detail = |text: fn(&Details) -> &Option<Box<str>>, most| {
        details.and_then(|details| text(details).as_deref()).map_or("", |text| cut(text, most))
    };
    let client = trail.client();
    let most = if names_uri(trail.asked().method) { MAX_URI } else { MAX_NAME };
    let written = detail(|details| &details.name, most);
    let capability = || trail.target()?.capability.as_ref().map(|(_, name)| cut(name, most));
    [
        detail(|details| &details.user_agent, MAX_USER_AGENT),
        detail(|details| &details.request_id, MAX_REQUEST_ID),
        trail.session().map_or("", |id| cut(id, MAX_SESSION)),
        if written.is_empty() { capability().unwrap_or_default() } else { written },
        detail(|details| &details.method_name, MAX_METHOD),
        client.map_or("", |client| cut(&client.name, MAX_NAME)),
        client.map_or("", |client| cut(&client.version, MAX_NAME)),
        error(trail).map_or("", |(_, message)| cut(message, MAX_MESSAGE)),
    ]
}

const fn names_uri(method: Option<Method>) -> bool {
    matches!(
        method,
        Some(Method::ResourcesRead | Method::ResourcesSubscribe | Method::ResourcesUnsubscribe)
    )
}

/// Puts texts into one piece, so that an event needs one allocation for all of them.
fn packed(texts: [&str; Text::COUNT]) -> (Box<str>, [u32; Text::COUNT]) {
    let mut all = String::with_capacity(texts.iter().map(|text| text.len()).sum());
    let ends = texts.map(|text| {
        all.push_str(text);
        u32::try_from(all.len()).unwrap_or(u32::MAX)
    });
    (all.into_boxed_str(), ends)
}

/// The JSON-RPC error that a trail ends with.
fn error(trail: &Trail) -> Option<(i64, &str)> {
    match trail.end()? {
        End::Answered | End::ToolError => None,
        End::Error { code, message } | End::Failed { code, message, .. } => Some((*code, message)),
    }
}
