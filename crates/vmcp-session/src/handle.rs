//! What a session does with a message of its client.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use vmcp_backend::{Backend, Session as BackendSession};
use vmcp_core::{
    BackendSessions as _, Caller, Relay, Reply as CoreReply, Routed, handed_out, level_params,
};
use vmcp_model::{Kind, LogLevel};
use vmcp_store::Change;
use vmcp_wire::{Fault, Id, IdKey, Message, Shape, error::URL_REQUIRED, reply};

use crate::{
    activity::{InFlight, Signal},
    backends::Renaming,
    detach::Detaching,
    handed::remembers_handed,
    log::StreamLog,
    session::Session,
    stream::EventStream,
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
    Relay(Relaying),
    /// A stream of events, the response at its end.
    Stream(EventStream),
}

/// A large response, whose call is in flight until it has been passed on.
pub struct Relaying {
    relay: Box<Relay>,
    in_flight: InFlight,
    since: Instant,
    /// See [`Relaying::poll_over`]. Made when it is asked for first.
    over: Option<Pin<Box<dyn Future<Output = Fault> + Send>>>,
}

impl Relaying {
    /// Polls for the next piece. After an error the answer must be broken off.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        let polled = self.relay.poll_next(context);
        // Looked at with each piece: a backend that brings none is looked at by its deadline.
        if self.in_flight.signal.is_cancelled() {
            return Poll::Ready(Some(Err(Fault::Cancelled)));
        }
        polled
    }

    /// Ready when the call must end though not all of the response has been passed on: its time is up, or
    /// it has been cancelled or cut off. Whoever takes no more for a while asks.
    pub fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<Fault> {
        let Self { in_flight, since, over, .. } = self;
        let over = over.get_or_insert_with(|| Box::pin(in_flight.over(*since)));
        over.as_mut().poll(context)
    }
}

impl Session {
    /// Takes one message. An error of a request is to be told with the request's id.
    pub async fn handle(self: &Arc<Self>, message: Message) -> Result<Reply, Fault> {
        let session = Arc::clone(self);
        let work = Box::pin(async move { session.handle_into(&message, None).await });
        Detaching::new(work, self.shared.background.tasks()).await
    }

    /// Takes one message. A streamed answer goes to `log`, if there is one.
    pub(crate) async fn handle_into(
        self: &Arc<Self>,
        message: &Message,
        log: Option<&Arc<StreamLog>>,
    ) -> Result<Reply, Fault> {
        match message.shape() {
            Shape::Request => self.request(message, log).await,
            // Boxed, as is all that a call would carry room for in vain.
            Shape::Notification => {
                Box::pin(self.notification(message)).await.map(|()| Reply::Accepted)
            }
            Shape::Response => Box::pin(self.answer(message)).await.map(|()| Reply::Accepted),
        }
    }

    async fn request(
        self: &Arc<Self>,
        message: &Message,
        log: Option<&Arc<StreamLog>>,
    ) -> Result<Reply, Fault> {
        let id = message.id().ok_or(Fault::InvalidRequest("a request needs an id".into()))?;
        match &*message.method() {
            "ping" => Ok(Reply::Ready(reply::result(id, b"{}"))),
            "initialize" => {
                Err(Fault::InvalidRequest("initialize cannot be sent within a session".into()))
            }
            "tools/list" => self.list(id, message, Kind::Tool).await,
            "resources/list" => self.list(id, message, Kind::Resource).await,
            "resources/templates/list" => self.list(id, message, Kind::ResourceTemplate).await,
            "prompts/list" => self.list(id, message, Kind::Prompt).await,
            "tasks/list" => {
                let catalog = self.catalog.load_full();
                let caller = self.caller(&catalog);
                let listed = Box::pin(self.shared.vmcp.list_tasks(&caller, message));
                listed.await.map(Reply::Ready)
            }
            "logging/setLevel" => Box::pin(self.set_level(id, message)).await,
            method @ ("resources/subscribe" | "resources/unsubscribe") => {
                let subscribe = method == "resources/subscribe";
                Box::pin(self.subscription(message, subscribe, log)).await
            }
            _ => self.call(message, log).await,
        }
    }

    async fn list(&self, id: Id<'_>, message: &Message, kind: Kind) -> Result<Reply, Fault> {
        if self.lists_are_unsettled() {
            // Whoever has changed them is to see it.
            Box::pin(self.lists_settled()).await;
        }
        let cursor =
            match &message.params().cursor {
                None => None,
                Some(span) if message.slice(span) == b"null"[..] => None,
                span => Some(message.string(span.as_ref()).ok_or(Fault::InvalidParams(
                    "the parameter \"cursor\" must be a string".into(),
                ))?),
            };
        self.shared.vmcp.check_whole(&self.view)?;
        let catalog = self.catalog.load_full();
        self.view.note_shown();
        let page = self.shared.vmcp.list(&catalog, kind, cursor.as_deref())?;
        Ok(Reply::Parts(reply::result_around(id, b"", page)))
    }

    /// Sends a request to the backend that it belongs to.
    async fn call(
        self: &Arc<Self>,
        message: &Message,
        log: Option<&Arc<StreamLog>>,
    ) -> Result<Reply, Fault> {
        let catalog = self.catalog.load_full();
        let caller = self.caller(&catalog);
        match self.shared.vmcp.route(&caller, message) {
            Ok(routed) => self.send(&caller, routed, message, log).await,
            // It may name what has just been unlocked.
            Err(_unknown) if self.is_reading_lists() => {
                Box::pin(self.call_when_read(message, log)).await
            }
            Err(fault) => Err(fault),
        }
    }

    /// Sends a request that names what is not known yet, when lists that have changed have been read.
    async fn call_when_read(
        self: &Arc<Self>,
        message: &Message,
        log: Option<&Arc<StreamLog>>,
    ) -> Result<Reply, Fault> {
        self.all_lists_read().await;
        let catalog = self.catalog.load_full();
        let caller = self.caller(&catalog);
        let routed = self.shared.vmcp.route(&caller, message)?;
        self.send(&caller, routed, message, log).await
    }

    async fn send(
        self: &Arc<Self>,
        caller: &Caller<'_>,
        routed: Routed<'_>,
        message: &Message,
        log: Option<&Arc<StreamLog>>,
    ) -> Result<Reply, Fault> {
        let id = message.id().ok_or(Fault::InvalidRequest("a request needs an id".into()))?.key();
        if self.capabilities.roots
            && !self.slots().is_open(&routed.backend)
            && self.open(&routed.backend).is_none()
        {
            let first = Box::pin(self.first_call(message, &routed.backend, log));
            if let Some(reply) = first.await? {
                return Ok(reply);
            }
        }
        let in_flight = self.begin_call(&id, &routed.backend)?;
        if let (Some(_), Some(token)) = (&message.params().task, message.requested_token()) {
            self.with_activity(|activity| activity.remember_token(token));
        }
        let renaming = in_flight.alias.as_ref().map(|doubled| Renaming::new(self, doubled));
        let caller = match &renaming {
            Some(sessions) => &Caller { sessions, ..*caller },
            None => caller,
        };
        let signal = Arc::clone(&in_flight.signal);
        let answered = tokio::select! {
            biased;
            answered = self.shared.vmcp.send(caller, routed, &id) => answered?,
            fault = signal.fired() => return Err(fault),
        };
        if signal.is_cancelled() {
            return Err(Fault::Cancelled);
        }
        match answered {
            CoreReply::Ready(text) => {
                let uris =
                    if remembers_handed(caller.catalog) { handed_out(&text) } else { vec![] };
                if !uris.is_empty()
                    && let Some(backend) = in_flight.backend()
                {
                    Box::pin(self.note_handed_out(&backend, uris)).await;
                }
                Ok(Reply::Ready(text))
            }
            CoreReply::Refused { text, code } => {
                if code == URL_REQUIRED
                    && let Some(backend) = in_flight.backend()
                {
                    self.await_required(&backend, &text);
                }
                Ok(Reply::Ready(text))
            }
            CoreReply::Relay(relay) => {
                let since = Instant::now();
                Ok(Reply::Relay(Relaying { relay, in_flight, since, over: None }))
            }
            CoreReply::Stream(stream) => match log {
                Some(log) => {
                    Box::pin(self.pump(*stream, in_flight, Arc::clone(log))).await;
                    Ok(Reply::Accepted)
                }
                None => Ok(Reply::Stream(self.stream(*stream, in_flight))),
            },
        }
    }

    /// Enters a call as in flight.
    pub(crate) fn begin_call(
        self: &Arc<Self>,
        id: &IdKey,
        backend: &Arc<Backend>,
    ) -> Result<InFlight, Fault> {
        // Counted first: a drain that has begun refuses the call, one that begins now waits for it.
        let counted = self.shared.calls.token();
        if self.shared.calls.is_closed() {
            return Err(Fault::Unavailable("vmcp is shutting down".into()));
        }
        let signal: Arc<Signal> = Arc::default();
        let call = (Arc::clone(backend), Arc::clone(&signal));
        let limit = self.shared.config.limits.calls_per_session;
        let alias = self.with_activity(|activity| activity.begin(id, call, limit))?;
        let id = alias.as_ref().map_or(id, |doubled| doubled.alias.id()).clone();
        Ok(InFlight { session: Arc::clone(self), id, alias, signal, _counted: counted })
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
                    async move { backend.ask(&session, "logging/setLevel", Some(&params)).await },
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
        message: &Message,
        subscribe: bool,
        log: Option<&Arc<StreamLog>>,
    ) -> Result<Reply, Fault> {
        let catalog = self.catalog.load_full();
        // As its backend writes it, which is how updates name it.
        let uri = message.string(message.params().uri.as_ref()).map(|uri| {
            let spelled = catalog.spelled(&uri);
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
        let reply = self.call(message, log).await;
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
