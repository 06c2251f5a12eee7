//! Notifications of the client, and those to it.

use std::{borrow::Cow, ops::Range, sync::Arc};

use bytes::Bytes;
use vmcp_backend::Backend;
use vmcp_core::{BackendSessions as _, UnderWay};
use vmcp_model::{
    Identity, Kind, Method,
    raw::{self, Edit},
};
use vmcp_store::News;
use vmcp_wire::{Fault, Id, IdKey, Message, reply, split_question_id};

use crate::{questions::accepted, session::Session};

/// Up to this size, in bytes, other replicas are told a cancellation as its client has written it.
const TOLD_WHOLE: usize = 4 << 10;

/// A call that is cancelled.
struct Cancelled {
    /// `None` if vmcp answers it itself.
    backend: Option<Arc<Backend>>,
    /// Tells it to end.
    signal: Arc<UnderWay>,
    /// What its backend is told.
    text: Bytes,
}

impl Session {
    pub(crate) async fn notification(
        self: &Arc<Self>,
        identity: &Identity,
        message: &Message,
    ) -> Result<(), Fault> {
        let Some(method) = message.method() else { return Ok(()) };
        match method {
            Method::Initialized => Ok(()),
            Method::Cancelled => self.cancel(message).await,
            Method::Progress => self.progress(message).await,
            Method::RootsListChanged | Method::TasksStatus => {
                self.tell_all(message).await;
                Ok(())
            }
            // What clients of this era do not say, or nobody knows.
            _ => {
                self.tell_sole(identity, message).await;
                Ok(())
            }
        }
    }

    /// Passes a notification on that nobody knows. It can only be meant for a backend if there is just one.
    async fn tell_sole(&self, identity: &Identity, message: &Message) {
        let is_sole = self.catalog.load().backends().len() == 1;
        if is_sole && self.granted(identity).await.may_send(message) {
            self.tell_all(message).await;
        } else {
            let method = message.method_name();
            tracing::debug!(
                method = &*method,
                "dropped a notification that names no backend, or that the client may not send"
            );
        }
    }

    /// Passes on that the client does not wait for a request any more.
    async fn cancel(&self, message: &Message) -> Result<(), Fault> {
        let call = self.cancelled(message)?;
        let Some(cancelled) = call else {
            // It may have ended meanwhile, which is no error, or be under way elsewhere.
            let text = told_elsewhere(message, &requested(message)?.1);
            self.shared.tell(News::Cancelled { key: self.key, text }).await;
            return Ok(());
        };
        self.end_cancelled(cancelled).await
    }

    /// The same for a request that is cancelled on another replica. Whoever has it passes it on.
    pub(crate) async fn cancel_here(&self, message: &Message) -> Result<(), Fault> {
        let Some(cancelled) = self.cancelled(message)? else { return Ok(()) };
        self.end_cancelled(cancelled).await
    }

    async fn end_cancelled(&self, cancelled: Cancelled) -> Result<(), Fault> {
        let Cancelled { backend, signal, text } = cancelled;
        signal.cancel();
        let Some(backend) = backend else { return Ok(()) };
        let Some(open) = self.open(&backend) else { return Ok(()) };
        accepted(&backend, backend.tell(&open, text).await)
    }

    /// The call that a notification cancels, if it is under way here: the newest, if the client has given
    /// several the same id.
    fn cancelled(&self, message: &Message) -> Result<Option<Cancelled>, Fault> {
        let (span, id) = requested(message)?;
        let cancelled = self.with_activity(|activity| {
            let (own, call, count) = activity.named(&id)?;
            let with = (*own != id).then(|| own.to_json().into());
            let text = match with {
                None => message.text().clone(),
                Some(with) => raw::splice(message.text(), vec![Edit { span, with }]),
            };
            let (backend, signal) = (call.backend.clone(), Arc::clone(&call.signal));
            Some((Cancelled { backend, signal, text }, count))
        });
        Ok(cancelled.map(|(cancelled, count)| {
            if count > 1 {
                let backend = cancelled.backend.as_ref().map(|backend| tracing::field::display(backend.id()));
                tracing::warn!(backend, requests = count, "a client has cancelled one of several requests under way with the same id; the newest is taken to be meant. Clients must use an id once in a session");
            }
            cancelled
        }))
    }

    /// Passes the client's progress on to the backend whose question it is about, under the backend's own
    /// token.
    async fn progress(&self, message: &Message) -> Result<(), Fault> {
        let Some(span) = message.params().progress_token.clone() else { return Ok(()) };
        let token = message.string(Some(&span)).map(Cow::into_owned).unwrap_or_default();
        let found = split_question_id(&token)
            .and_then(|(backend, token)| Some((self.shared.vmcp.backend(backend)?, token)));
        // One that vmcp has not given out is about nothing.
        let Some((backend, token)) = found else { return Ok(()) };
        let Some(open) = self.open(&backend) else { return Ok(()) };
        let token = Bytes::copy_from_slice(token.as_bytes());
        let text = raw::splice(message.text(), vec![Edit { span, with: token }]);
        accepted(&backend, backend.tell(&open, text).await)
    }

    /// Passes a notification on to every backend on which the session has a session. None is
    /// waited for.
    async fn tell_all(&self, message: &Message) {
        self.catch_up().await;
        for (backend, open) in self.open_backends() {
            let text = message.text().clone();
            self.shared.background.spawn(async move {
                if let Err(error) = backend.tell(&open, text).await {
                    tracing::debug!(backend = %backend.id(), %error, "could not pass a notification on");
                }
            });
        }
    }

    /// Announces to the client that every list is to be read again that it has anything in.
    pub(crate) fn announce_everything(&self) {
        let catalog = self.catalog.load();
        let any = |kinds: &[Kind]| kinds.iter().any(|kind| catalog.len(*kind) > 0);
        self.announce_changes(vmcp_catalog::Changed {
            tools: any(&[Kind::Tool]),
            resources: any(&[Kind::Resource, Kind::ResourceTemplate]),
            prompts: any(&[Kind::Prompt]),
        });
    }

    /// Announces to the client which lists have changed.
    pub(crate) fn announce_changes(&self, changed: vmcp_catalog::Changed) {
        for method in changed.announcements() {
            self.announce(&reply::notification(method, None));
        }
    }
}

/// The request that a cancellation is about, and where its id stands.
fn requested(message: &Message) -> Result<(Range<usize>, IdKey), Fault> {
    let missing = || Fault::InvalidParams("the parameter \"requestId\" is missing".into());
    let span = message.params().request_id.clone().ok_or_else(missing)?;
    let id = Id::parse(&message.text()[span.clone()]).ok_or_else(missing)?.key();
    Ok((span, id))
}

/// A cancellation as every replica is told it, most of which have nothing to do with it: of a large one
/// no more than what it is about.
fn told_elsewhere(message: &Message, id: &IdKey) -> Bytes {
    if message.text().len() <= TOLD_WHOLE {
        return message.text().clone();
    }
    id.cancellation("its client has cancelled it, for a reason that is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_replicas_are_told_no_more_than_they_need() {
        let cancellation = |id: &str, reason: &str| {
            let text = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id},"reason":"{reason}"}}}}"#
            );
            Message::parse(text.into()).unwrap()
        };
        let long = "x".repeat(1020);
        for id in ["7", r#""a\"b\u00e4""#, &format!("\"{long}\"")] {
            let own = Id::parse(id.as_bytes()).unwrap().key();
            let small = cancellation(id, "enough");
            assert_eq!(told_elsewhere(&small, &own), *small.text());
            let large = cancellation(id, &"x".repeat(1 << 20));
            let told = Message::parse(told_elsewhere(&large, &own)).unwrap();
            assert!(told.text().len() <= TOLD_WHOLE, "{}", told.text().len());
            assert_eq!(told.method(), Some(Method::Cancelled));
            assert_eq!(requested(&told).unwrap().1, requested(&large).unwrap().1);
        }
    }
}
