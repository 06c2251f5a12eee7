//! JSON-RPC batches, which revision 2025-03-26 allows and no other.

use std::sync::Arc;

use vmcp_model::{Identity, ProtocolVersion};
use vmcp_wire::{Fault, Id, Message, Shape};

use crate::{handle::Reply, log::StreamLog, session::Session};

impl Session {
    /// Takes a batch. Its responses come on one stream, in the order in which they are ready.
    pub async fn handle_batch(
        self: &Arc<Self>,
        identity: &Identity,
        messages: Vec<Message>,
    ) -> Result<Reply, Fault> {
        if self.version() != ProtocolVersion::V2025_03_26 {
            return Err(Fault::InvalidRequest(
                "batches are allowed by revision 2025-03-26 only; send one message at a time"
                    .into(),
            ));
        }
        let (requests, others): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| message.shape() == Shape::Request);
        for message in others {
            if let Err(fault) = self.handle(identity, message).await {
                tracing::debug!(%fault, "a message of a batch could not be taken");
            }
        }
        if requests.is_empty() {
            return Ok(Reply::Accepted);
        }
        let log = self.new_stream();
        let stream = self.attach(&log, None);
        let (session, identity) = (Arc::clone(self), identity.clone());
        self.shared.background.tasks().spawn(async move {
            let mut answering = tokio::task::JoinSet::new();
            for message in requests {
                let (session, log) = (Arc::clone(&session), Arc::clone(&log));
                let identity = identity.clone();
                answering.spawn(async move { session.answer_into(&identity, message, &log).await });
            }
            while answering.join_next().await.is_some() {}
            log.finish();
        });
        Ok(Reply::Stream(stream))
    }

    /// Takes one request and puts its response into a log: that of a batch, or one of its own.
    pub(crate) async fn answer_into(
        self: Arc<Self>,
        identity: &Identity,
        message: Message,
        log: &Arc<StreamLog>,
    ) {
        let reply = self.handle_into(identity, &message, Some(log)).await;
        self.put_reply(&message, reply, log).await;
    }

    /// Puts the reply to a request into a log.
    pub(crate) async fn put_reply(
        &self,
        message: &Message,
        reply: Result<Reply, Fault>,
        log: &Arc<StreamLog>,
    ) {
        let id = message.id().map(|id| id.text().to_vec()).unwrap_or_default();
        let text = match reply {
            Ok(Reply::Accepted | Reply::Stream(_)) => return,
            Ok(Reply::Ready(text)) => Ok(text),
            Ok(Reply::Parts(parts)) => Ok(parts.concat().into()),
            Ok(Reply::Relay(relaying)) => {
                relaying.collect(self.shared.config.limits.event_bytes).await
            }
            Err(fault) => Err(fault),
        };
        log.wait_for_room().await;
        match text {
            Ok(text) => log.answer(Id::parse(&id), &text),
            Err(fault) => log.fail(Id::parse(&id), &fault),
        }
    }
}
