//! Carries a streamed call from its backend to the log that the client reads.
//!
//! The call goes on when the client's connection breaks: the log keeps what comes, bounded, until
//! the client resumes the stream.

use std::sync::Arc;

use tokio::time::Instant;
use vmcp_core::{CallEvent, CallStream, Whole, handed_out};
use vmcp_wire::{Fault, Id, error::URL_REQUIRED};

use crate::{
    activity::{Asked, InFlight},
    handed::remembers_handed,
    log::StreamLog,
    session::Session,
    stream::EventStream,
};

impl Session {
    /// Begins to carry a streamed call, on this worker.
    pub(crate) fn stream(self: &Arc<Self>, call: CallStream, in_flight: InFlight) -> EventStream {
        let log = self.new_stream();
        let stream = self.attach(&log, None);
        let (session, signal) = (Arc::clone(self), Arc::clone(call.call()));
        // Boxed, or it would be moved about while the task is made.
        self.shared.background.tasks().spawn(Box::pin(async move {
            session.pump(call, in_flight, Arc::clone(&log)).await;
            if signal.is_cancelled() {
                log.forget();
            }
            log.finish();
        }));
        stream
    }

    /// Carries a streamed call to its end. What it asks of the client goes the same way.
    pub(crate) async fn pump(
        &self,
        mut call: CallStream,
        in_flight: InFlight,
        log: Arc<StreamLog>,
    ) {
        let (mut lists_changed, signal) = (false, Arc::clone(call.call()));
        let hands_out = remembers_handed(&self.catalog.load());
        loop {
            let event = tokio::select! {
                biased;
                fault = signal.fired() => Err(fault),
                event = async {
                    log.wait_for_room().await;
                    call.next().await
                } => event,
            };
            if let Ok(CallEvent::Answered(Whole { text, error: Some(URL_REQUIRED) })) = &event {
                self.await_required(call.backend(), text);
            }
            match event {
                Ok(CallEvent::Notice(notice)) => {
                    if self.wants(call.backend(), &notice) && !log.append(&notice.text) {
                        tracing::debug!("there was no room for a notification");
                    }
                }
                Ok(CallEvent::ListChanged) if call.session().is_stateless() => {
                    let subject = self.client_view().subject();
                    self.shared.vmcp.refresh(call.backend().id(), subject);
                }
                Ok(CallEvent::ListChanged) => {
                    self.note_lists_changed(call.backend());
                    lists_changed = true;
                }
                Ok(CallEvent::Asks(question)) => {
                    let asked = Asked {
                        backend: Arc::clone(call.backend()),
                        call: call.asks_itself().then(|| in_flight.id.clone()),
                        log: Arc::clone(&log),
                        since: Instant::now(),
                        kept: false,
                        _rest: Some(call.open_question()),
                        _awaited: None,
                    };
                    self.put(call.backend(), call.session(), question, asked).await;
                }
                Ok(CallEvent::Answered(Whole { text, .. })) => {
                    if hands_out {
                        self.note_handed_out(call.backend(), handed_out(&text)).await;
                    }
                    if lists_changed {
                        // Whoever has the answer may use at once what the call has changed.
                        self.lists_read(call.backend()).await;
                    }
                    log.answer(Id::parse(&in_flight.client_id().to_json()), &text);
                    return;
                }
                // The specification wants no response to a cancelled request.
                Err(Fault::Cancelled) => return,
                Err(fault) => {
                    log.fail(Id::parse(&in_flight.client_id().to_json()), &fault);
                    return;
                }
            }
        }
    }
}
