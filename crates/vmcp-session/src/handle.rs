//! What a session does with a message of its client.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use vmcp_backend::{Backend, Session as BackendSession};
use vmcp_core::{
    Answering, BackendSessions as _, Caller, Relay, Resolved, Ticket, Whole, handed_out,
    level_params,
};
use vmcp_model::{
    Era, Identity, Kind, LogLevel, Method,
    trail::{End, Trail},
};
use vmcp_store::Change;
use vmcp_wire::{Fault, Id, IdKey, Message, Shape, error::URL_REQUIRED, reply};

use crate::{
    activity::InFlight, backends::Renaming, detach::Detaching, early::First,
    handed::remembers_handed, log::StreamLog, session::Session, stream::EventStream,
};

/// Bytes of a URI that is kept as a subscription.
const MAX_URI: usize = 8 << 10;

/// How long a change of the log level waits for the backends to take it.
const LEVEL_WAIT: Duration = Duration::from_millis(500);

/// What the client gets.
pub enum Reply {
    /// The message was taken; there is nothing more to come.
    Accepted,
    /// The whole response.
    Ready(Bytes),
    /// The whole response, in parts.
    Parts([Bytes; 3]),
    /// A large response under way.
    Relay(Box<Relaying>),
    /// A stream of events, the response at its end.
    Stream(EventStream),
}

/// A large response, whose call is in flight until it has been passed on.
pub struct Relaying {
    relay: Relay,
    _in_flight: InFlight,
}

impl Relaying {
    /// Polls for the next piece. After an error the answer must be broken off.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        self.relay.poll_next(context)
    }

    /// See [`Relay::poll_over`].
    pub fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<Fault> {
        self.relay.poll_over(context)
    }

    /// See [`Relay::collect`].
    pub(crate) async fn collect(self, limit: usize) -> Result<Bytes, Fault> {
        self.relay.collect(limit).await
    }
}

/// Notes how a message has ended, as far as its reply says so: that of a call under way says nothing yet.
fn note(reply: &Result<Reply, Fault>, trail: &Trail) {
    match reply {
        Ok(Reply::Relay(_) | Reply::Stream(_)) => return,
        Ok(Reply::Accepted) => {}
        Ok(Reply::Ready(text)) => trail.note_response(text),
        Ok(Reply::Parts(parts)) => parts.iter().for_each(|part| trail.note_response(part)),
        Err(_) => {}
    }
    trail
        .note_end(|| reply.as_ref().map_or_else(|fault| fault.end(Era::Legacy), |_| End::Answered));
}

/// A call that is entered as in flight.
pub(crate) type Entered = (InFlight, Ticket);

impl Session {
    /// Sends a request that was entered as in flight before, and was resolved then. What it leads to may have
    /// changed.
    pub(crate) async fn send_again(
        self: &Arc<Self>,
        identity: &Identity,
        message: &Message,
        log: &Arc<StreamLog>,
        entered: Entered,
    ) -> Result<Reply, Fault> {
        let granted = self.granted(identity).await;
        let caller = self.caller(identity, &granted);
        let resolved = self.shared.vmcp.resolve(&caller, message)?;
        self.send(&caller, &resolved, message, Some(log), Some(entered)).await
    }

    /// Takes one message. An error of a request is to be told with the request's id.
    pub fn handle(
        self: &Arc<Self>,
        identity: &Identity,
        message: Message,
    ) -> impl Future<Output = Result<Reply, Fault>> + Send + use<'_> {
        // The message, which is large, goes nowhere between its caller and the work.
        let (session, identity) = (Arc::clone(self), identity.clone());
        let work = Box::pin(async move { session.handle_into(&identity, &message, None).await });
        Detaching::new(work, self.shared.background.tasks())
    }

    /// Takes one message. A streamed answer goes to `log`, if there is one.
    pub(crate) async fn handle_into(
        self: &Arc<Self>,
        identity: &Identity,
        message: &Message,
        log: Option<&Arc<StreamLog>>,
    ) -> Result<Reply, Fault> {
        self.note_caller(identity);
        // In place, as another future around it would have the reply moved once more.
        let reply = match message.shape() {
            Shape::Request => {
                let reply = self.request(identity, message, log).await;
                reply.inspect_err(|fault| self.note_refused(identity, message, fault))
            }
            // Boxed, as is all that a call would carry room for in vain.
            Shape::Notification => {
                Box::pin(self.notification(identity, message)).await.map(|()| Reply::Accepted)
            }
            Shape::Response => Box::pin(self.answer(message)).await.map(|()| Reply::Accepted),
        };
        if let Some(trail) = message.trail() {
            trail.note_version(self.version());
            trail.note_client(|| self.named_client());
            note(&reply, trail);
        }
        reply
    }

    async fn request(
        self: &Arc<Self>,
        identity: &Identity,
        message: &Message,
        log: Option<&Arc<StreamLog>>,
    ) -> Result<Reply, Fault> {
        let id = || message.id().ok_or(Fault::InvalidRequest("a request needs an id".into()));
        let Some(method) = message.method() else {
            return Err(Fault::InvalidRequest("a request needs a method".into()));
        };
        match method {
            Method::Ping => Ok(Reply::Ready(reply::result(id()?, b"{}"))),
            Method::Initialize => {
                Err(Fault::InvalidRequest("initialize cannot be sent within a session".into()))
            }
            Method::ToolsList => self.list(identity, id()?, message, Kind::Tool).await,
            Method::ResourcesList => self.list(identity, id()?, message, Kind::Resource).await,
            Method::ResourcesTemplatesList => {
                self.list(identity, id()?, message, Kind::ResourceTemplate).await
            }
            Method::PromptsList => self.list(identity, id()?, message, Kind::Prompt).await,
            Method::TasksList => {
                let granted = self.granted(identity).await;
                let is_first = message.cursor()?.is_none_or(|cursor| cursor.is_empty());
                if is_first && !self.shared.vmcp.may_have_tasks(&self.caller(identity, &granted)) {
                    return Ok(Reply::Ready(reply::result(id()?, br#"{"tasks":[]}"#)));
                }
                self.call(identity, message, log).await
            }
            Method::LoggingSetLevel => Box::pin(self.set_level(id()?, message)).await,
            Method::ResourcesSubscribe | Method::ResourcesUnsubscribe => {
                let subscribe = method == Method::ResourcesSubscribe;
                Box::pin(self.subscription(identity, message, subscribe, log)).await
            }
            // Everything else leads somewhere, or is refused, as `Vmcp::resolve` says.
            _ => self.call(identity, message, log).await,
        }
    }

    async fn list(
        &self,
        identity: &Identity,
        id: Id<'_>,
        message: &Message,
        kind: Kind,
    ) -> Result<Reply, Fault> {
        if self.lists_are_unsettled() {
            // Whoever has changed them is to see it.
            Box::pin(self.lists_settled()).await;
        }
        let cursor = message.cursor()?;
        self.shared.vmcp.check_whole(&self.view)?;
        let shown = self.catalog.load().digest();
        let granted = self.granted(identity).await;
        self.view.note_shown();
        let listed = self.shared.vmcp.list(granted.catalog(), kind, cursor.as_deref());
        let page = match listed {
            // It may be one of lists that another replica has given out a moment ago.
            Err(_unknown)
                if cursor.is_some() && Box::pin(self.is_shown_others_than(shown)).await =>
            {
                let granted = self.granted(identity).await;
                self.shared.vmcp.list(granted.catalog(), kind, cursor.as_deref())?
            }
            listed => listed?,
        };
        Ok(Reply::Parts(reply::result_around(id, b"", page)))
    }

    /// Sends a request to the backend that it belongs to.
    async fn call(
        self: &Arc<Self>,
        identity: &Identity,
        message: &Message,
        log: Option<&Arc<StreamLog>>,
    ) -> Result<Reply, Fault> {
        let granted = self.granted(identity).await;
        let caller = self.caller(identity, &granted);
        match self.shared.vmcp.resolve(&caller, message) {
            // In its place, as it is large: without this it is made elsewhere and copied here.
            Ok(resolved) => pin!(self.send(&caller, &resolved, message, log, None)).await,
            // It may name what has just been unlocked.
            Err(_unknown) if self.is_reading_lists() => {
                Box::pin(self.call_when_read(identity, message, log)).await
            }
            Err(fault) => Err(self.view.explained(&granted, message, fault)),
        }
    }

    /// Sends a request that names what is not known yet, when lists that have changed have been read.
    async fn call_when_read(
        self: &Arc<Self>,
        identity: &Identity,
        message: &Message,
        log: Option<&Arc<StreamLog>>,
    ) -> Result<Reply, Fault> {
        self.all_lists_read().await;
        let granted = self.granted(identity).await;
        let caller = self.caller(identity, &granted);
        let resolved = self.shared.vmcp.resolve(&caller, message);
        let resolved = resolved.map_err(|fault| self.view.explained(&granted, message, fault))?;
        self.send(&caller, &resolved, message, log, None).await
    }

    /// Sends a request where it leads. It may be `entered` as in flight already.
    async fn send(
        self: &Arc<Self>,
        caller: &Caller<'_>,
        resolved: &Resolved<'_>,
        message: &Message,
        log: Option<&Arc<StreamLog>>,
        entered: Option<Entered>,
    ) -> Result<Reply, Fault> {
        let id = message.id().ok_or(Fault::InvalidRequest("a request needs an id".into()))?.key();
        let backend = resolved.backend();
        let mut entered = match entered {
            Some(entered) => entered,
            None => self.begin_call(message, &id, backend)?,
        };
        if self.capabilities.roots
            && let Some(backend) = backend
            && !self.slots().is_open(backend)
            && self.open(backend).is_none()
        {
            let first = self.first_call(caller.identity, message, backend, log, entered);
            entered = match Box::pin(first).await? {
                First::Answered(reply) => return Ok(reply),
                First::GoOn(entered) => entered,
            };
        }
        let (in_flight, ticket) = entered;
        if let (Some(_), Some(token)) = (&message.params().task, message.requested_token()) {
            self.with_activity(|activity| activity.remember_token(token));
        }
        let renaming = in_flight.alias.as_ref().map(|doubled| Renaming::new(self, doubled));
        let caller = match &renaming {
            Some(sessions) => &Caller { sessions, ..*caller },
            None => caller,
        };
        let answering = pin!(self.shared.vmcp.call(caller, resolved, &id, ticket)).await?;
        match answering {
            Answering::Whole(Whole { text, error }) => {
                let Some(backend) = backend else { return Ok(Reply::Ready(text)) };
                let uris =
                    if remembers_handed(caller.catalog) { handed_out(&text) } else { vec![] };
                if !uris.is_empty() {
                    Box::pin(self.note_handed_out(backend, uris)).await;
                }
                if error == Some(URL_REQUIRED) {
                    self.await_required(backend, &text);
                }
                Ok(Reply::Ready(text))
            }
            Answering::Relay(relay) => {
                Ok(Reply::Relay(Box::new(Relaying { relay, _in_flight: in_flight })))
            }
            Answering::Stream(stream) => match log {
                Some(log) => {
                    Box::pin(self.pump(stream, in_flight, Arc::clone(log))).await;
                    Ok(Reply::Accepted)
                }
                None => Ok(Reply::Stream(self.stream(stream, in_flight))),
            },
        }
    }

    /// Enters a call as in flight.
    pub(crate) fn begin_call(
        self: &Arc<Self>,
        message: &Message,
        id: &IdKey,
        backend: Option<&Arc<Backend>>,
    ) -> Result<Entered, Fault> {
        let ticket = self.shared.vmcp.begin_call(message)?;
        let call = (backend.cloned(), Arc::clone(ticket.call()));
        let limit = self.shared.config.limits.calls_per_session;
        let shares_link = backend.is_some_and(|backend| self.may_share_link(backend));
        let alias = self.with_activity(|activity| activity.begin(id, call, shares_link, limit))?;
        let id = alias.as_ref().map_or(id, |doubled| doubled.alias.id()).clone();
        Ok((InFlight { session: Arc::clone(self), id, alias }, ticket))
    }

    async fn set_level(&self, id: Id<'_>, message: &Message) -> Result<Reply, Fault> {
        let level = message.string(message.params().level.as_ref());
        let level = level.and_then(|name| LogLevel::from_name(&name)).ok_or(Fault::InvalidParams(
            "the parameter \"level\" must be one of debug, info, notice, warning, error, critical, alert, emergency".into(),
        ))?;
        self.keep(Change::LogLevel(level)).await?;
        self.set_log_level(level);
        self.catch_up().await;
        let params: Arc<[u8]> = level_params(level).into();
        let mut telling = tokio::task::JoinSet::new();
        for (backend, session) in self.open_backends() {
            if session.facts().has.logging {
                let params = Arc::clone(&params);
                telling.spawn_on(
                    async move { backend.ask(&session, Method::LoggingSetLevel, Some(&params)).await },
                    self.shared.background.runtime(),
                );
            }
        }
        // Backends that are slow to take it are told all the same; what they send meanwhile is
        // held to the level here.
        let told = tokio::time::timeout(LEVEL_WAIT, async {
            while telling.join_next().await.is_some() {}
        });
        if told.await.is_err() {
            telling.detach_all();
        }
        Ok(Reply::Ready(reply::result(id, b"{}")))
    }

    /// Subscribes to a resource, or ends that, at its backend.
    async fn subscription(
        self: &Arc<Self>,
        identity: &Identity,
        message: &Message,
        subscribe: bool,
        log: Option<&Arc<StreamLog>>,
    ) -> Result<Reply, Fault> {
        let granted = self.granted(identity).await;
        // As its backend writes it, which is how updates name it.
        let uri = message.string(message.params().uri.as_ref()).map(|uri| {
            let spelled = granted.catalog().spelled(&uri);
            Box::<str>::from(spelled.as_deref().unwrap_or(&uri))
        });
        if uri.as_ref().is_some_and(|uri| uri.len() > MAX_URI) {
            let why = format!("a URI to subscribe to must not be over {MAX_URI} bytes");
            return Err(Fault::InvalidParams(why.into()));
        }
        if let (true, Some(uri)) = (subscribe, &uri) {
            let limit = self.shared.config.limits.subscriptions;
            let mut subscriptions = self.subscriptions();
            if !subscriptions.contains(uri) {
                if subscriptions.len() >= limit {
                    return Err(Fault::TooMany { what: "subscriptions of one session", limit });
                }
                // Entered before the backend is asked: its first update may come with its answer.
                subscriptions.push(uri.clone());
            }
        }
        let reply = self.call(identity, message, log).await;
        let accepted = match &reply {
            Ok(Reply::Ready(text)) => !is_error(text),
            Ok(Reply::Accepted | Reply::Parts(_) | Reply::Relay(_) | Reply::Stream(_)) => true,
            Err(_) => false,
        };
        let Some(uri) = uri else { return reply };
        if subscribe == accepted {
            if subscribe {
                self.keep(Change::Subscribe(uri.clone())).await?;
                // Another replica's change may have been taken up meanwhile.
                let mut subscriptions = self.subscriptions();
                if !subscriptions.contains(&uri) {
                    subscriptions.push(uri);
                }
                drop(subscriptions);
                drop(self.listen_to_backends());
            }
            return reply;
        }
        self.subscriptions().retain(|other| *other != uri);
        if accepted {
            self.keep(Change::Unsubscribe(uri)).await?;
            self.stop_listening();
        }
        reply
    }

    /// The backends on which the session has a session of its own.
    pub(crate) fn open_backends(&self) -> Vec<(Arc<Backend>, BackendSession)> {
        let open = self.slots().open();
        let open = open.into_iter().filter_map(|(id, lineage, session)| {
            let backend = self.shared.vmcp.backend(id.as_str())?;
            let session = session.informed(&backend);
            (backend.lineage() == lineage).then_some((backend, session))
        });
        open.collect()
    }
}

/// Whether a response is an error.
fn is_error(text: &Bytes) -> bool {
    Message::parse(text.clone()).is_ok_and(|message| message.result().is_none())
}
