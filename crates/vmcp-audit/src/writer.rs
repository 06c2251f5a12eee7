//! The thread that makes lines of records and writes them.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use crate::{
    Also, Overflow, Shown,
    event::Event,
    file::{File, Interrupted},
    line::Lines,
    queue::{Complaint, Queue},
};

/// Takes events out of the queue until that is closed.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    file: File,
    lines: Lines,
    also: Option<Also>,
    overflow: Overflow,
    complaint: Complaint,
    /// Whether it was told that records cannot be written, and not yet that they are again.
    is_told: bool,
    chunk: Chunk,
}

/// Lines that are written at once.
#[derive(Debug, Default)]
struct Chunk {
    text: Vec<u8>,
    lines: VecDeque<Line>,
}

/// One line of a chunk.
#[derive(Debug, Clone, Copy)]
struct Line {
    length: usize,
    of: Of,
}

/// What a line tells of.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// An event that has this size in the queue.
    Event(usize),
    /// So many that were dropped.
    Gap(u64),
}

/// From how many bytes on lines are written.
const CHUNK: usize = 256 << 10;

/// How long it waits until it tries again to write what could not be written.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LAST_PAUSE: Duration = Duration::from_secs(1);

impl Writer {
    pub(crate) fn new(
        queue: Arc<Queue>,
        file: File,
        (lines, also): (Lines, Option<Also>),
        overflow: Overflow,
    ) -> Self {
        let (complaint, chunk) = (Complaint::default(), Chunk::default());
        Self { queue, file, lines, also, overflow, complaint, is_told: false, chunk }
    }

    /// Writes until the queue is closed.
    pub(crate) fn run(mut self) {
        /// Says that the writer has ended, however it does.
        struct Ended(Arc<Queue>);
        impl Drop for Ended {
            fn drop(&mut self) {
                self.0.end();
            }
        }
        let ended = Ended(Arc::clone(&self.queue));
        let mut events = VecDeque::new();
        while let Some(work) = ended.0.next(&mut events) {
            if work.reopens {
                self.reopen();
            }
            if work.dropped > 0 {
                self.tell_gap(work.dropped);
            }
            while !events.is_empty() || !self.chunk.lines.is_empty() {
                self.fill(&mut events);
                self.deliver();
                if self.queue.is_closed() {
                    return;
                }
            }
        }
    }

    fn reopen(&mut self) {
        if let Err(error) = self.file.reopen() {
            self.complain(&error);
        }
    }

    fn tell_gap(&mut self, dropped: u64) {
        let start = self.chunk.text.len();
        self.lines.push_gap(dropped, &mut self.chunk.text);
        self.chunk.note(start, Of::Gap(dropped));
    }

    /// Makes lines of the next events.
    fn fill(&mut self, events: &mut VecDeque<Event>) {
        while self.chunk.text.len() < CHUNK {
            let Some(event) = events.pop_front() else { break };
            let start = self.chunk.text.len();
            self.lines.push(&event, &mut self.chunk.text);
            if let Some(also) = &self.also {
                let line = self.chunk.text[start..].trim_ascii_end();
                also(&Shown { at: event.at, line, trace: event.trace });
            }
            self.chunk.note(start, Of::Event(event.size()));
        }
    }

    /// Writes the chunk. What cannot be written is kept and tried again, or dropped.
    fn deliver(&mut self) {
        let mut pause = FIRST_PAUSE;
        while !self.chunk.lines.is_empty() {
            let (written, error) = match self.file.write(&self.chunk.text) {
                Ok(()) => (self.chunk.text.len(), None),
                Err(Interrupted { written, error }) => (written, Some(error)),
            };
            let done = self.chunk.take(written);
            self.queue.written(done.events, done.size, done.length, self.file.rotations());
            let Some(error) = error else {
                if std::mem::take(&mut self.is_told) {
                    tracing::info!("audit records are written again");
                }
                continue;
            };
            self.complain(&error);
            if self.overflow == Overflow::Drop || !self.queue.pause(pause) {
                let rest = self.chunk.take(usize::MAX);
                self.queue.untell(rest.dropped);
                self.queue.lost(rest.events, rest.size);
            }
            pause = (pause * 2).min(LAST_PAUSE);
            if self.queue.takes_reopening() {
                self.reopen();
            }
        }
    }

    fn complain(&mut self, error: &dyn std::fmt::Display) {
        self.queue.note_error(error);
        if self.complaint.is_due() {
            tracing::error!(%error, "audit records cannot be written");
            self.is_told = true;
        }
    }
}

/// What the first lines of a chunk amount to.
#[derive(Debug, Default)]
struct Sum {
    events: usize,
    /// Of the events in the queue.
    size: usize,
    /// Of the lines.
    length: usize,
    /// What lines of gaps tell.
    dropped: u64,
}

impl Chunk {
    /// Notes the line that was appended.
    fn note(&mut self, start: usize, of: Of) {
        self.lines.push_back(Line { length: self.text.len() - start, of });
    }

    /// Takes out the lines that are whole within so many bytes.
    fn take(&mut self, bytes: usize) -> Sum {
        let mut sum = Sum::default();
        while let Some(line) = self.lines.front().copied()
            && sum.length + line.length <= bytes
        {
            self.lines.pop_front();
            sum.length += line.length;
            match line.of {
                Of::Event(size) => {
                    sum.events += 1;
                    sum.size += size;
                }
                Of::Gap(dropped) => sum.dropped += dropped,
            }
        }
        self.text.drain(..sum.length);
        sum
    }
}
