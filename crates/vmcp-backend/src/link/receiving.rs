//! Hands on what comes in on a link: to calls and listeners, or to nobody.

use std::sync::{Arc, PoisonError, atomic::Ordering};

use vmcp_model::Method;
use vmcp_wire::{Message, Shape};

use super::{
    Link, ListsChanged, PATIENCE, REFUSAL,
    inbox::{Arrival, Queue, Whose},
};
use crate::own::{Declined, refusal};

impl Link {
    /// Tells of changes of the lists when nobody listens and no call is under way, and in the place of
    /// those who only overhear. On a link that is shared they are nobody's own.
    pub(crate) fn tell_of_lists(&self, told: ListsChanged) {
        if !self.shared {
            *self.lists_changed.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        }
    }

    /// Takes a message that the backend has sent. `true` if it is an answer that somebody waits for.
    pub(crate) async fn receive(&self, message: Message) -> bool {
        let whose = self.inbox().whose(message, self.shared);
        match whose {
            Whose::Answer(waiting, message) => {
                self.touch();
                self.answers.fetch_add(1, Ordering::Relaxed);
                let message = match waiting.own_id() {
                    Some(id) => self.conduct.retyped(&self.backend, message, id),
                    None => message,
                };
                waiting.answer(message);
                return true;
            }
            Whose::Of(queues, message) => {
                for queue in queues {
                    // Told at once, it is known before the answer comes that the backend sends next.
                    if !(queue.overhears() && self.note_lists(&message)) {
                        self.put(&queue, message.clone()).await;
                    }
                }
            }
            Whose::Nobodys(message) => {
                if !self.note_lists(&message) {
                    self.refuse(&message);
                }
            }
        }
        false
    }

    /// Keeps what the backend asks before anybody is there to be asked, for whoever comes first.
    pub(crate) fn hold_early(&self) {
        if !self.shared {
            self.inbox().hold_early();
        }
    }

    /// Declines what was kept: nobody will be there.
    pub(crate) fn decline_early(&self) {
        let early = self.inbox().take_early();
        early.iter().for_each(|message| self.refuse(message));
    }

    /// Tells of a change of the lists. `false` if it is none, or there is nobody to be told.
    fn note_lists(&self, message: &Message) -> bool {
        if !message.method().is_some_and(Method::is_list_change) {
            return false;
        }
        let told = self.lists_changed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(ListsChanged(told)) = &told {
            told();
        }
        told.is_some()
    }

    /// Hands a message to a receiver, if it has room for it before long.
    async fn put(&self, queue: &Queue, message: Message) {
        let kilobytes = u32::try_from(message.text().len() >> 10).unwrap_or(u32::MAX);
        // A shared link waits for nobody: its other users would have to wait as well. One that did
        // not read for as long as it may is not waited for again until it does.
        let taken = if self.shared || queue.is_slow() {
            let room = Arc::clone(&self.room).try_acquire_many_owned(kilobytes).ok();
            room.is_some_and(|room| queue.try_put(Arrival::Message(message, Some(room))))
        } else {
            let handing = async {
                let room = Arc::clone(&self.room).acquire_many_owned(kilobytes).await.ok()?;
                queue.put(Arrival::Message(message, Some(room))).await
            };
            // A receiver that is gone misses nothing.
            tokio::time::timeout(PATIENCE, handing).await.is_ok()
        };
        if !taken && !queue.mark_slow() {
            tracing::warn!(backend = %self.backend, "drops messages of the backend, whose receiver does not read");
        }
    }

    /// Answers a question that nobody is there to be asked.
    fn refuse(&self, message: &Message) {
        if message.shape() != Shape::Request {
            return;
        }
        let (Some(text), Ok(place)) =
            (refusal(message, Declined::NoClient), Arc::clone(&self.refusals).try_acquire_owned())
        else {
            return;
        };
        // In a task of its own: a backend that does not read must not keep vmcp from reading.
        let (outbox, backend) = (self.outbox.clone(), self.backend.clone());
        let closing = self.closing.clone();
        self.tasks.spawn(async move {
            let refusing = tokio::time::timeout(REFUSAL, outbox.send(text));
            if let Some(Ok(Err(error))) = closing.run_until_cancelled(refusing).await {
                tracing::debug!(%backend, %error, "could not decline what the backend asked");
            }
            drop(place);
        });
    }
}
