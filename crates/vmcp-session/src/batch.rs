//! JSON-RPC batches, which revision 2025-03-26 allows and no other.

use std::{future::poll_fn, sync::Arc};

use bytes::BytesMut;
use vmcp_model::ProtocolVersion;
use vmcp_wire::{Fault, Id, Message, Shape};

use crate::{handle::Reply, log::StreamLog, session::Session};

impl Session {
    /// Takes a batch. Its responses come on one stream, in the order in which they are ready.
    pub async fn handle_batch(self: &Arc<Self>, messages: Vec<Message>) -> Result<Reply, Fault> {
        if self.version() != ProtocolVersion::V2025_03_26 {
            return Err(Fault::InvalidRequest(
                "batches are allowed by revision 2025-03-26 only; send one message at a time"
                    .into(),
            ));
        }
        let (requests, others): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| message.shape() == Shape::Request);
        for message in others {
            if let Err(fault) = self.handle(message).await {
                tracing::debug!(%fault, "a message of a batch could not be taken");
            }
        }
        if requests.is_empty() {
            return Ok(Reply::Accepted);
        }
        let log = self.new_stream();
        let stream = self.attach(&log, None);
        let session = Arc::clone(self);
        self.shared.background.tasks().spawn(async move {
            let mut answering = tokio::task::JoinSet::new();
            for message in requests {
                let (session, log) = (Arc::clone(&session), Arc::clone(&log));
                answering.spawn(async move { session.answer_into(message, &log).await });
            }
            while answering.join_next().await.is_some() {}
            log.finish();
        });
        Ok(Reply::Stream(stream))
    }

    /// Takes one request and puts its response into a log: that of a batch, or one of its own.
    pub(crate) async fn answer_into(self: Arc<Self>, message: Message, log: &Arc<StreamLog>) {
        let id = message.id().map(|id| id.text().to_vec()).unwrap_or_default();
        let text = match self.handle_into(&message, Some(log)).await {
            Ok(Reply::Accepted | Reply::Stream(_)) => return,
            Ok(Reply::Ready(text)) => Ok(text),
            Ok(Reply::Parts(parts)) => Ok(parts.concat().into()),
            Ok(Reply::Relay(mut relaying)) => {
                let mut whole = BytesMut::new();
                loop {
                    match poll_fn(|context| relaying.poll_next(context)).await {
                        Some(Ok(chunk)) => whole.extend_from_slice(&chunk),
                        Some(Err(fault)) => break Err(fault),
                        None => break Ok(whole.freeze()),
                    }
                    let limit = self.shared.config.limits.event_bytes;
                    if whole.len() > limit {
                        break Err(Fault::TooLarge { limit });
                    }
                }
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
