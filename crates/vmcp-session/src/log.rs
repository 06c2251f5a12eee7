//! The bounded log of one stream, from which it is sent and resumed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::Notify, time::Instant};
use vmcp_wire::{Fault, Id, reply, sse};

use crate::logs::Logs;

/// How long a writer waits for a reader that takes nothing before it lets go of it.
const STALL: Duration = Duration::from_secs(30);

/// How long a reader has taken nothing before its log may be emptied when there is no room.
const STALLED: Duration = Duration::from_secs(2);

/// How long a client is to wait before it resumes a stream, in milliseconds.
const RETRY: u64 = 1000;

/// The events of one stream that may still be needed.
#[derive(Debug)]
pub(crate) struct StreamLog {
    /// Names the stream within its session.
    number: u64,
    /// Bytes that are kept. The newest event is kept whatever its size.
    limit: usize,
    state: Mutex<State>,
    /// Wakes a writer that waits for room.
    room: Notify,
    /// Of which it is one, and what it is called among them.
    logs: Arc<Logs>,
    name: u64,
}

/// Logs that may be emptied when there is no room, those first that are needed least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freed {
    /// Complete, and its reader has been given everything.
    Delivered,
    /// Complete, and nobody reads.
    Left,
    /// Nobody reads, or whoever does has taken nothing for a while.
    Stalled,
}

impl Freed {
    pub(crate) const ALL: [Self; 3] = [Self::Delivered, Self::Left, Self::Stalled];
}

#[derive(Debug)]
struct State {
    /// With the number of each; the oldest first.
    events: VecDeque<(u64, Bytes)>,
    bytes: usize,
    /// The number of the next event.
    next: u64,
    /// The first event that was never handed to a reader, and the bytes from it on.
    unsent: u64,
    unsent_bytes: usize,
    /// When the newest event came, and when the reader was given one last.
    appended: Instant,
    taken: Instant,
    /// The first event that may still be there: what was before has been let go.
    kept_from: u64,
    finished: Option<Instant>,
    /// Counts the readers: only the newest one reads.
    epoch: u64,
    attached: bool,
    waker: Option<Waker>,
}

/// The one that reads a log. A newer reader ends it.
#[derive(Debug)]
pub(crate) struct Reader {
    log: Arc<StreamLog>,
    epoch: u64,
    cursor: u64,
    /// To be sent before the first event.
    priming: Option<Bytes>,
}

impl StreamLog {
    pub(crate) fn new(number: u64, limit: usize, logs: &Arc<Logs>) -> Arc<Self> {
        let state = State {
            events: VecDeque::new(),
            bytes: 0,
            next: 1,
            unsent: 1,
            unsent_bytes: 0,
            appended: Instant::now(),
            taken: Instant::now(),
            kept_from: 1,
            finished: None,
            epoch: 0,
            attached: false,
            waker: None,
        };
        let (name, logs) = (logs.name(), Arc::clone(logs));
        let (state, room) = (Mutex::new(state), Notify::new());
        let log = Arc::new(Self { number, limit, state, room, logs, name });
        log.logs.enter(name, &log);
        log
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Appends an event. What is oldest goes when there is too much. `false` if all logs together hold so
    /// much that there is no room for it.
    pub(crate) fn append(&self, data: &[u8]) -> bool {
        if self.try_append(data) {
            return true;
        }
        // Without this log's lock: it empties others.
        self.logs.free(data.len());
        self.try_append(data)
    }

    fn try_append(&self, data: &[u8]) -> bool {
        let state = self.state();
        let event = sse::encode(Some(&event_id(self.number, state.next)), data);
        let Ok(event) = self.logs.budget().count(event) else { return false };
        self.enter(state, event);
        true
    }

    /// Appends the response to a request, or says that there is no room for it.
    pub(crate) fn answer(&self, id: Option<Id<'_>>, text: &[u8]) {
        if self.append(text) {
            return;
        }
        tracing::warn!(
            bytes = text.len(),
            "let go of an answer: all that clients do not read is as much as may be held (limits.heldBytes)"
        );
        self.fail(id, &Fault::NotHeld);
    }

    /// Appends an error, which always has room.
    pub(crate) fn fail(&self, id: Option<Id<'_>>, fault: &Fault) {
        let state = self.state();
        let event_id = event_id(self.number, state.next);
        let event = sse::encode(Some(&event_id), &reply::error(id, fault));
        self.enter(state, event.into());
    }

    /// Enters the event that has the next number.
    fn enter(&self, mut state: MutexGuard<'_, State>, event: Bytes) {
        let number = state.next;
        state.next += 1;
        state.appended = Instant::now();
        state.bytes += event.len();
        state.unsent_bytes += event.len();
        state.events.push_back((number, event));
        while state.bytes > self.limit && state.events.len() > 1 {
            // What a reader that is there has not got yet is never dropped: writers wait for it.
            let waited_for = |(number, _): &(u64, Bytes)| state.attached && *number >= state.unsent;
            if state.events.front().is_some_and(waited_for) {
                break;
            }
            let Some((number, gone)) = state.events.pop_front() else { break };
            state.bytes -= gone.len();
            if number >= state.unsent {
                state.unsent = number + 1;
                state.unsent_bytes -= gone.len();
                tracing::debug!(stream = self.number, "dropped an event that nobody read in time");
            }
        }
        wake(state);
    }

    /// Waits until a reader that is there has taken what is too much. One that takes nothing for
    /// long is let go: it can resume.
    pub(crate) async fn wait_for_room(&self) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            room.as_mut().enable();
            {
                let state = self.state();
                if !state.attached || state.unsent_bytes < self.limit {
                    return;
                }
            }
            if tokio::time::timeout(STALL, room).await.is_err() {
                self.detach();
            }
        }
    }

    /// Numbers events from here on so that no other replica's log of the same stream has the same
    /// numbers: it had another epoch.
    pub(crate) fn begin_epoch(&self, epoch: u64) {
        let mut state = self.state();
        let first = (epoch << 32) | 1;
        if state.next < first {
            if state.unsent == state.next {
                state.unsent = first;
            }
            state.next = first;
        }
    }

    /// Drops whatever is kept: nobody is to be given it any more.
    pub(crate) fn forget(&self) {
        let mut state = self.state();
        state.events.clear();
        (state.bytes, state.unsent, state.unsent_bytes) = (0, state.next, 0);
    }

    /// Marks the stream as complete: nothing will be appended.
    pub(crate) fn finish(&self) {
        let mut state = self.state();
        state.finished.get_or_insert_with(Instant::now);
        wake(state);
    }

    /// Whether nobody reads, and everything had been appended by then.
    pub(crate) fn is_over(&self, by: Instant) -> bool {
        let state = self.state();
        state.finished.is_some_and(|finished| !state.attached && finished <= by)
    }

    /// Lets go of all that is kept, if the log is one of those that may be emptied like this. Who then
    /// resumes behind something that is gone is told so. `false` if there was nothing to let go of.
    pub(crate) fn empty(&self, which: Freed) -> bool {
        let mut state = self.state();
        let is_done = state.finished.is_some();
        let may = match which {
            Freed::Delivered => is_done && state.unsent_bytes == 0,
            Freed::Left => is_done && !state.attached,
            Freed::Stalled => {
                !state.attached || (state.unsent_bytes > 0 && state.taken.elapsed() >= STALLED)
            }
        };
        if !may || state.events.is_empty() {
            return false;
        }
        state.events = VecDeque::new();
        (state.bytes, state.unsent_bytes) = (0, 0);
        (state.unsent, state.kept_from) = (state.next, state.next);
        if which == Freed::Stalled && state.attached {
            tracing::debug!(stream = self.number, "ends a stream whose client does not read");
            state.epoch += 1;
            state.attached = false;
            wake(state);
            self.room.notify_waiters();
        }
        true
    }

    /// Whether what follows an event is still there, or is still to come. A client that is given an end
    /// without an event may listen to everything else instead, for want of an id to resume from.
    pub(crate) fn has_behind(&self, event: u64) -> bool {
        let state = self.state();
        let is_there = state.events.back().is_some_and(|(newest, _)| *newest > event);
        event.saturating_add(1) >= state.kept_from && (is_there || state.finished.is_none())
    }

    /// Forgets what a reader has had for longer than `age`.
    pub(crate) fn forget_sent(&self, age: Duration) {
        let mut state = self.state();
        if state.appended.elapsed() < age {
            return;
        }
        while state.events.front().is_some_and(|(number, _)| *number < state.unsent) {
            if let Some((_, gone)) = state.events.pop_front() {
                state.bytes -= gone.len();
            }
        }
        state.events.shrink_to_fit();
    }

    /// Whether somebody reads.
    pub(crate) fn is_attached(&self) -> bool {
        self.state().attached
    }

    /// Whether somebody reads who waits for more: behind an answer nobody looks.
    pub(crate) fn takes_more(&self) -> bool {
        let state = self.state();
        state.attached && state.finished.is_none()
    }

    /// Reads on behind an event, or from the first event that nobody was given. Whoever reads now
    /// is ended. `primed` sends an event at once that gives the client an id to resume from.
    pub(crate) fn attach(self: &Arc<Self>, behind: Option<u64>, primed: bool) -> Reader {
        let mut state = self.state();
        let cursor = behind.map_or(state.unsent, |behind| behind.saturating_add(1).min(state.next));
        state.epoch += 1;
        state.attached = true;
        let epoch = state.epoch;
        wake(state);
        let priming = primed
            .then(|| sse::encode_priming(&event_id(self.number, cursor.saturating_sub(1)), RETRY));
        Reader { log: Arc::clone(self), epoch, cursor, priming }
    }

    /// Ends whoever reads.
    pub(crate) fn detach(&self) {
        let mut state = self.state();
        state.epoch += 1;
        state.attached = false;
        wake(state);
        self.room.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Polls for bytes to send. `None` at the end, or when another reader took over.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.log.state();
        if state.epoch != self.epoch {
            return Poll::Ready(None);
        }
        if let Some(priming) = self.priming.take() {
            return Poll::Ready(Some(priming));
        }
        let first = state.events.front().map_or(state.next, |(number, _)| *number);
        let at = usize::try_from(self.cursor.saturating_sub(first)).unwrap_or(usize::MAX);
        if let Some((number, event)) = state.events.get(at).cloned() {
            self.cursor = number + 1;
            if number >= state.unsent {
                state.unsent = number + 1;
                state.unsent_bytes -= event.len();
                state.taken = Instant::now();
                self.log.room.notify_waiters();
            }
            return Poll::Ready(Some(event));
        }
        if state.finished.is_some() {
            return Poll::Ready(None);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }

    pub(crate) fn log(&self) -> &Arc<StreamLog> {
        &self.log
    }

    /// Whether no other reader has taken over.
    pub(crate) fn is_newest(&self) -> bool {
        self.log.state().epoch == self.epoch
    }
}

impl Drop for StreamLog {
    fn drop(&mut self) {
        self.logs.leave(self.name);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.log.state();
        if state.epoch == self.epoch {
            state.attached = false;
            state.waker = None;
            drop(state);
            self.log.room.notify_waiters();
        }
    }
}

/// The id of an event: names the stream and the event's place in it.
fn event_id(stream: u64, event: u64) -> String {
    format!("{stream:x}-{event:x}")
}

/// The stream and the place out of an event id.
pub(crate) fn parse_event_id(id: &str) -> Option<(u64, u64)> {
    let (stream, event) = id.split_once('-')?;
    Some((u64::from_str_radix(stream, 16).ok()?, u64::from_str_radix(event, 16).ok()?))
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests;
