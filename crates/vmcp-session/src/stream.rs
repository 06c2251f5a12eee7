//! The streams that a session hands out, and the client's own GET stream.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::Instant;
use vmcp_model::{Identity, ProtocolVersion};
use vmcp_wire::Fault;

use crate::{
    log::{Reader, StreamLog, parse_event_id},
    session::Session,
};

/// The number of every session's GET stream.
const STANDALONE: u64 = 0;

/// How long a finished stream is kept for resumption.
pub(crate) const RESUME: Duration = Duration::from_secs(30);

/// The most finished streams of one session that are kept for resumption.
const KEPT: usize = 8;

/// A stream of server-sent events, ready to be sent. Dropping it ends nothing: what it was meant to
/// carry is kept, bounded, for resumption.
#[derive(Debug)]
pub struct EventStream {
    session: Arc<Session>,
    /// `None` once it has been given back.
    reader: Option<Reader>,
}

impl EventStream {
    /// Polls for bytes to send.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        match &mut self.reader {
            Some(reader) => reader.poll_next(context),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        let Some(reader) = self.reader.take() else { return };
        let (log, newest) = (Arc::clone(reader.log()), reader.is_newest());
        drop(reader);
        if !newest {
            return;
        }
        self.session.touch();
        // Others are kept for a while: what was on its way when a connection broke may be asked for
        // again.
        if log.number() == STANDALONE {
            self.session.stop_listening();
        }
    }
}

impl Session {
    /// Opens the client's GET stream, taking over from one that is open, or goes on with a stream
    /// behind an event that the client has got.
    pub async fn listen(
        self: &Arc<Self>,
        identity: &Identity,
        last_event_id: Option<&str>,
    ) -> Result<EventStream, Fault> {
        self.touch();
        if self.is_ended() {
            return Err(Fault::SessionUnknown);
        }
        // What it may not read any more is not told.
        Box::pin(self.granted(identity)).await;
        let (log, behind) = match last_event_id {
            None => (None, None),
            Some(id) => {
                let gone = || {
                    Fault::InvalidParams(
                        "the stream of this Last-Event-ID is not kept any more; open a new one"
                            .into(),
                    )
                };
                let (stream, event) = parse_event_id(id).ok_or_else(gone)?;
                if stream == STANDALONE {
                    (None, Some(event))
                } else {
                    let log = self.with_activity(|activity| activity.streams.get(&stream).cloned());
                    let log = log.filter(|log| log.has_behind(event)).ok_or_else(gone)?;
                    (Some(log), Some(event))
                }
            }
        };
        if let Some(log) = log {
            return Ok(self.attach(&log, behind));
        }
        let epoch = self.take_stream().await?;
        let log = self.standalone();
        log.begin_epoch(epoch);
        // What is open on other replicas is listened to here from now on.
        self.catch_up().await;
        let stream = self.attach(&log, behind);
        if self.streams_elsewhere() {
            // Another one was opened meanwhile.
            self.end_streams();
        }
        self.hear_backends().await;
        Ok(stream)
    }

    /// The log of the client's GET stream, which is made if there is none.
    pub(crate) fn standalone(&self) -> Arc<StreamLog> {
        let limit = self.shared.config.limits.log_bytes;
        let new = || StreamLog::new(STANDALONE, limit, &self.shared.logs);
        self.with_activity(|activity| Arc::clone(activity.standalone.get_or_insert_with(new)))
    }

    /// Whether the client's GET stream is open, so that another one would take over from it.
    pub fn has_stream(&self) -> bool {
        self.with_activity(|activity| {
            activity.standalone.as_ref().is_some_and(|log| log.is_attached())
        })
    }

    /// The log of a new streamed call.
    pub(crate) fn new_stream(&self) -> Arc<StreamLog> {
        self.forget_old();
        let number = self.shared.next_stream();
        let log = StreamLog::new(number, self.shared.config.limits.log_bytes, &self.shared.logs);
        self.with_activity(|activity| {
            if activity.streams.len() >= KEPT {
                // Calls under way are bounded elsewhere; of what is finished the oldest goes.
                let now = Instant::now();
                let finished = activity.streams.iter().filter(|(_, log)| log.is_over(now));
                if let Some(oldest) = finished.map(|(number, _)| *number).min() {
                    activity.streams.remove(&oldest);
                }
            }
            activity.streams.insert(number, Arc::clone(&log));
        });
        log
    }

    /// A reader of a log, as a stream to be sent. From revision 2025-11-25 on it begins with an
    /// event that makes it resumable; older clients take an event without a message for an error.
    pub(crate) fn attach(
        self: &Arc<Self>,
        log: &Arc<StreamLog>,
        behind: Option<u64>,
    ) -> EventStream {
        let primed = self.version() >= ProtocolVersion::V2025_11_25;
        EventStream { session: Arc::clone(self), reader: Some(log.attach(behind, primed)) }
    }

    /// Ends the client's GET stream; it may open another one.
    pub(crate) fn end_streams(&self) {
        let log = self.with_activity(|activity| activity.standalone.clone());
        if let Some(log) = log {
            log.detach();
        }
    }

    /// Sends a message to the client's GET stream. Without one, now or before, it is dropped.
    pub(crate) fn announce(&self, text: &[u8]) {
        let log = self.with_activity(|activity| activity.standalone.clone());
        if let Some(log) = log
            && !log.append(text)
        {
            tracing::debug!("there was no room for a message to the client");
        }
    }
}
