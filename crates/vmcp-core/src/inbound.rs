//! What a backend sends of its own accord: notices, and questions to the client.

use std::sync::Arc;

use bytes::Bytes;
use vmcp_backend::{Backend, Declined, Session};
use vmcp_model::{
    BackendId, LogLevel, Method, Topic,
    raw::{self, Edit, Members},
};
use vmcp_wire::{Fault, Id, Message, Shape, question_id, reply, split_question_id, task};

use crate::caller::ClientCapabilities;

/// A message of a backend, as a client may get it.
#[derive(Debug)]
pub enum Inbound {
    Notice(Notice),
    /// The backend needs input.
    Asks(Question),
    /// The response to a request.
    Response(Box<Message>),
    /// Lists of the backend have changed; the client is told when its catalog has.
    ListChanged,
}

/// A notification for the client.
#[derive(Debug, Clone)]
pub struct Notice {
    pub kind: NoticeKind,
    pub text: Bytes,
}

/// What decides whether a client gets a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoticeKind {
    /// Only if the client wants messages of this level.
    Log(Option<LogLevel>),
    /// Only if the client has subscribed to the URI.
    ResourceUpdated(String),
    /// The backend takes back the question that the client knows by this id.
    Withdrawn(String),
    /// That is done which the client was asked to do at a URL, under the backend's id for it.
    Completed(String),
    Other,
}

/// A request for the client.
#[derive(Debug, Clone)]
pub struct Question {
    pub backend: BackendId,
    pub method: Method,
    /// The name of the method, which need not be one of the protocol's.
    pub method_name: String,
    /// The id that the client sees, which names the backend and the backend's own id.
    pub id: String,
    /// The request with that id. The token under which the client may report progress names the
    /// backend and the backend's own token in the same way.
    pub text: Bytes,
}

/// Takes a message that came on a session of a backend. What the client cannot be asked, and
/// pings, are answered at once; `None` then, and for what a client has no use for.
pub async fn receive(
    backend: &Arc<Backend>,
    session: &Session,
    capabilities: ClientCapabilities,
    message: Message,
) -> Option<Inbound> {
    if message.shape() == Shape::Request
        && (message.method() == Some(Method::Ping) || !capabilities.allow(message.topic()))
    {
        if let Err(error) = Box::pin(backend.decline(session, &message, Declined::Incapable)).await
        {
            tracing::debug!(backend = %backend.id(), %error, "could not decline what the backend asked");
        }
        return None;
    }
    Inbound::of(message, backend.id())
}

impl Question {
    /// The response that tells the backend that nobody will answer.
    pub fn refusal(&self, why: &'static str) -> Bytes {
        let id = split_question_id(&self.id).map(|(_backend, id)| id.as_bytes().to_vec());
        reply::error(id.as_deref().and_then(Id::parse), &Fault::Unavailable(why.into()))
    }
}

impl Inbound {
    /// Decides what a message of a backend is. Ids that only the backend would understand are
    /// replaced by ones that name it. `None` for what a client has no use for.
    pub(crate) fn of(message: Message, backend: &BackendId) -> Option<Self> {
        match message.shape() {
            Shape::Response => Some(Self::Response(Box::new(message))),
            Shape::Request => question(&message, backend).map(Self::Asks),
            Shape::Notification => notification(message, backend),
        }
    }
}

fn question(message: &Message, backend: &BackendId) -> Option<Question> {
    let (method, method_name) = (message.method()?, message.method_name().into_owned());
    let own = message.id()?;
    let id = question_id(backend.as_str(), own);
    let mut edits = vec![Edit {
        span: raw::span_in(message.text(), own.text()),
        with: raw::string(&id).into(),
    }];
    // Whoever asks the client is vmcp, so its tokens must be unique (specification 2025-11-25,
    // basic/utilities/progress); those of two backends need not be.
    if let Some(span) = message.params().meta.progress_token.clone()
        && let Some(token) = Id::parse(&message.text()[span.clone()])
    {
        edits.push(Edit { span, with: raw::string(&question_id(backend.as_str(), token)).into() });
    }
    let text = raw::splice(message.text(), edits);
    // A request about a task is about one that the client keeps.
    let text = task::publish(&text, backend.as_str(), message.topic() != Topic::Tasks);
    Some(Question { backend: backend.clone(), method, method_name, id, text })
}

fn notification(message: Message, backend: &BackendId) -> Option<Inbound> {
    let params = message.params();
    let notice = |kind, text| Some(Inbound::Notice(Notice { kind, text }));
    match message.method()? {
        Method::ToolsListChanged | Method::ResourcesListChanged | Method::PromptsListChanged => {
            Some(Inbound::ListChanged)
        }
        Method::Message => {
            let level = message.string(params.level.as_ref());
            let level = level.and_then(|level| LogLevel::from_name(&level));
            notice(NoticeKind::Log(level), task::publish(message.text(), backend.as_str(), true))
        }
        Method::ResourcesUpdated => {
            let uri = message.string(params.uri.as_ref())?.into_owned();
            notice(NoticeKind::ResourceUpdated(uri), message.into_text())
        }
        Method::Cancelled => {
            // The backend takes a question back.
            let span = params.request_id.clone()?;
            let id = question_id(backend.as_str(), Id::parse(&message.text()[span.clone()])?);
            let text = message.with_string(&span, &id);
            notice(NoticeKind::Withdrawn(id), text)
        }
        Method::ElicitationComplete => {
            let id = member_string(message.text(), "elicitationId")?;
            notice(NoticeKind::Completed(id), message.into_text())
        }
        _ => notice(NoticeKind::Other, task::publish(message.text(), backend.as_str(), true)),
    }
}

/// A string among the parameters of a message.
fn member_string(message: &[u8], name: &str) -> Option<String> {
    let params = Members::parse(message)?.value(message, "params")?;
    Members::parse(params)?.value(params, name).and_then(raw::as_string)
}
