//! The records that wait to be written, within bounds, and the count of all.

use std::{
    collections::VecDeque,
    mem,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{Overflow, Settings, Stats, event::Event};

/// Between requests, which put records in, and the writer, which takes them out.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    /// The writer has something to do.
    work: Condvar,
    /// There is room, or the writer has ended.
    room: Condvar,
    most: usize,
    most_bytes: usize,
    overflow: Overflow,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    bytes: usize,
    /// What the writer has taken and not yet written. It counts as if it were queued.
    taken: usize,
    taken_bytes: usize,
    writer: WriterWaits,
    /// Whether one has waited for room in vain.
    is_stuck: bool,
    wants_reopening: bool,
    stage: Stage,
    /// Dropped since a line has last said so.
    untold: u64,
    stats: Stats,
    complaint: Complaint,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Open,
    /// Nothing is taken in any more, and the writer ends when it has written what there is, or at this time.
    Closing(Instant),
    /// The same, and nothing is left but to say what is missing, which is tried once.
    Ending(Instant),
    /// The writer has ended, or nobody waits for it any more.
    Closed,
}

/// For what the writer waits. Waking it is a system call, so nobody does who need not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum WriterWaits {
    /// It does not.
    #[default]
    No,
    /// For the next event.
    ForOne,
    /// For many, and not for long.
    ForMany,
}

/// When something was last said that may have to be said often.
#[derive(Debug, Default)]
pub(crate) struct Complaint(Option<Instant>);

/// What the writer is to do.
#[derive(Debug)]
pub(crate) struct Work {
    /// The file is to be opened anew first.
    pub(crate) reopens: bool,
    /// So many records are missing before those that are to be written.
    pub(crate) dropped: u64,
}

/// After a batch the writer lets some more come together, so that few requests have to wake it.
const LINGER: Duration = Duration::from_millis(20);

impl Queue {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            state: Mutex::default(),
            work: Condvar::new(),
            room: Condvar::new(),
            most: settings.queue.max(1),
            most_bytes: settings.queue_bytes,
            overflow: settings.overflow,
        }
    }

    /// Puts an event in, or drops and counts it.
    pub(crate) fn push(&self, event: Event) {
        let size = event.size();
        let mut state = self.lock();
        let is_open = state.stage == Stage::Open;
        if is_open && self.overflow == Overflow::Block && !self.has_room(&state, size) {
            state = self.wait_for_room(state, size);
        }
        let is_closed = state.stage == Stage::Closed;
        if is_open && !is_closed && self.has_room(&state, size) {
            state.bytes += size;
            state.events.push_back(event);
            let wakes = match state.writer {
                WriterWaits::No => false,
                WriterWaits::ForOne => true,
                WriterWaits::ForMany => self.is_half_full(&state),
            };
            if wakes {
                state.writer = WriterWaits::No;
                drop(state);
                self.work.notify_one();
            }
            return;
        }
        state.drop_some(1);
        let complains = state.complaint.is_due();
        let dropped = state.stats.dropped;
        let why = match state.stage {
            Stage::Open => "they come faster than they are written",
            Stage::Closing(_) | Stage::Ending(_) | Stage::Closed => "nothing writes them any more",
        };
        drop(state);
        if complains {
            tracing::error!(dropped, why, "audit records are dropped");
        }
    }

    fn wait_for_room<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        size: usize,
    ) -> MutexGuard<'a, State> {
        self.work.notify_one();
        let in_vain = |state: &mut State| {
            !self.has_room(state, size) && !state.is_stuck && state.stage != Stage::Closed
        };
        let waited = self.room.wait_timeout_while(state, Settings::MAX_WAIT, in_vain);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if !self.has_room(&state, size) && !mem::replace(&mut state.is_stuck, true) {
            self.room.notify_all();
        }
        state
    }

    /// Waits until there is something to do, and puts it into `events`, which is empty. `None` if the writer is
    /// to end.
    pub(crate) fn next(&self, events: &mut VecDeque<Event>) -> Option<Work> {
        let waits = |state: &mut State| {
            state.stage == Stage::Open && !state.wants_reopening && !self.is_half_full(state)
        };
        let mut state = self.lock();
        state.writer = WriterWaits::ForMany;
        let lingered = self.work.wait_timeout_while(state, LINGER, waits);
        state = lingered.unwrap_or_else(PoisonError::into_inner).0;
        while state.events.is_empty() && waits(&mut state) {
            state.writer = WriterWaits::ForOne;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.writer = WriterWaits::No;
        match state.stage {
            Stage::Open => {}
            Stage::Closing(_) if !state.events.is_empty() => {}
            Stage::Closing(end) if state.untold > 0 => state.stage = Stage::Ending(end),
            Stage::Closing(_) | Stage::Ending(_) | Stage::Closed => return None,
        }
        mem::swap(&mut state.events, events);
        state.taken = events.len();
        state.taken_bytes = mem::take(&mut state.bytes);
        let dropped = mem::take(&mut state.untold);
        Some(Work { reopens: mem::take(&mut state.wants_reopening), dropped })
    }

    /// So many of those that were taken are written, in so many bytes.
    pub(crate) fn written(&self, count: usize, size: usize, bytes: usize, rotations: u64) {
        self.settle(count, size, |state| {
            state.stats.written += count as u64;
            state.stats.bytes += bytes as u64;
            state.stats.rotations = rotations;
        });
    }

    /// So many of those that were taken cannot be written.
    pub(crate) fn lost(&self, count: usize, size: usize) {
        self.settle(count, size, |state| state.drop_some(count as u64));
    }

    fn settle(&self, count: usize, size: usize, note: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        if state.stage != Stage::Closed {
            state.taken -= count;
            state.taken_bytes -= size;
            state.is_stuck = false;
            note(&mut state);
        }
        drop(state);
        self.room.notify_all();
    }

    /// No line has told of so many after all.
    pub(crate) fn untell(&self, dropped: u64) {
        self.lock().untold += dropped;
    }

    /// Notes why something could not be done.
    pub(crate) fn note_error(&self, error: &dyn std::fmt::Display) {
        self.lock().stats.last_error = Some(error.to_string());
    }

    /// Waits for so long, or until the file is to be opened anew. False if it is too late for whatever is left.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let state = self.lock();
        let stage = state.stage;
        let time = match stage {
            Stage::Open => time,
            Stage::Closing(end) | Stage::Ending(end) => {
                time.min(end.saturating_duration_since(Instant::now()))
            }
            Stage::Closed => Duration::ZERO,
        };
        let waits = |state: &mut State| state.stage == stage && !state.wants_reopening;
        let paused = self.work.wait_timeout_while(state, time, waits);
        match paused.unwrap_or_else(PoisonError::into_inner).0.stage {
            Stage::Open => true,
            Stage::Closing(end) | Stage::Ending(end) => Instant::now() < end,
            Stage::Closed => false,
        }
    }

    /// Whether it is too late for whatever is left.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().stage == Stage::Closed
    }

    /// Whether the file is to be opened anew, which is done by whoever asks.
    pub(crate) fn takes_reopening(&self) -> bool {
        mem::take(&mut self.lock().wants_reopening)
    }

    pub(crate) fn reopen(&self) {
        self.lock().wants_reopening = true;
        self.work.notify_one();
    }

    /// Takes nothing in any more, and waits for so long until what there is has been written. What has not is
    /// dropped; false tells that the writer still runs.
    pub(crate) fn close(&self, time: Duration) -> bool {
        let mut state = self.lock();
        if state.stage == Stage::Open {
            state.stage = Stage::Closing(Instant::now() + time);
        }
        self.work.notify_all();
        // The writer gives up by itself at the same time, unless it cannot.
        let time = time + time / 10;
        let waits = |state: &mut State| state.stage != Stage::Closed;
        let waited = self.room.wait_timeout_while(state, time, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let has_ended = state.stage == Stage::Closed;
        if !has_ended {
            state.end();
            drop(state);
            self.room.notify_all();
        }
        has_ended
    }

    /// The writer ends.
    pub(crate) fn end(&self) {
        self.lock().end();
        self.work.notify_all();
        self.room.notify_all();
    }

    pub(crate) fn stats(&self) -> Stats {
        let state = self.lock();
        Stats { queued: state.events.len() + state.taken, ..state.stats.clone() }
    }

    fn has_room(&self, state: &State, size: usize) -> bool {
        let (count, bytes) = (state.events.len() + state.taken, state.bytes + state.taken_bytes);
        count == 0 || count < self.most && bytes + size <= self.most_bytes
    }

    fn is_half_full(&self, state: &State) -> bool {
        state.events.len() > self.most / 2 || state.bytes > self.most_bytes / 2
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn drop_some(&mut self, count: u64) {
        self.stats.dropped += count;
        self.untold += count;
    }

    /// Drops what is left.
    fn end(&mut self) {
        if self.stage != Stage::Closed {
            let left = self.events.len() + mem::take(&mut self.taken);
            self.drop_some(left as u64);
            self.events = VecDeque::new();
            (self.bytes, self.taken_bytes) = (0, 0);
            self.stage = Stage::Closed;
        }
    }
}

impl Complaint {
    /// Whether it is time to say it again: once a minute.
    pub(crate) fn is_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.0.is_none_or(|last| now - last >= Duration::from_mins(1));
        if is_due {
            self.0 = Some(now);
        }
        is_due
    }
}
