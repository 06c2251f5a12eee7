//! Takes records and has them written.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use vmcp_model::trail::{Trail, Wants};

use crate::{
    Also, EventType, Settings, event::Event, event_type::Filter, file::File, line::Lines,
    queue::Queue, writer::Writer,
};

/// Records what it is told of. Cheap to clone; the last one that goes closes it.
#[derive(Clone)]
pub struct Auditor(Arc<Inner>);

struct Inner {
    settings: Settings,
    filter: Filter,
    queue: Arc<Queue>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What has become of records. Those that were recorded and not filtered out are written, dropped or queued.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stats {
    pub written: u64,
    /// For want of room, or because they could not be written.
    pub dropped: u64,
    /// Bytes of all lines.
    pub bytes: u64,
    /// How often a new file was begun because one was full.
    pub rotations: u64,
    pub queued: usize,
    /// What last went wrong.
    pub last_error: Option<String>,
}

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot open the audit log {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    /// A full file could not be renamed.
    #[error("cannot begin new audit logs in {}", folder.display())]
    Rotate { folder: PathBuf, source: io::Error },
    #[error("cannot write audit records to standard output")]
    Stdout(#[source] io::Error),
    #[error("the system has no randomness for the ids of audit records")]
    Randomness,
    #[error("cannot start the thread that writes audit records")]
    Thread(#[source] io::Error),
}

impl Auditor {
    /// How long [`Auditor::close`] waits for what is queued.
    pub const MAX_CLOSING: Duration = Duration::from_secs(5);

    /// Opens the file, and starts the thread that writes.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        Self::start_with(settings, None)
    }

    /// The same; each record is shown to `also` when it is written.
    pub fn start_with(settings: Settings, also: Option<Also>) -> Result<Self, StartError> {
        let file = File::open(&settings)?;
        let lines =
            Lines::new(&settings).map_err(|ring::error::Unspecified| StartError::Randomness)?;
        let queue = Arc::new(Queue::new(&settings));
        let writer = Writer::new(Arc::clone(&queue), file, (lines, also), settings.overflow);
        let thread = thread::Builder::new().name("audit".to_owned());
        let writer = thread.spawn(|| writer.run()).map_err(StartError::Thread)?;
        let filter = Filter::new(&settings.event_types, &settings.exclude);
        let writer = Mutex::new(Some(writer));
        Ok(Self(Arc::new(Inner { settings, filter, queue, writer })))
    }

    /// What trails must note for this, at least.
    pub fn wants(&self) -> Wants {
        self.0.settings.wants()
    }

    /// Records a trail that has ended after so long. It does not wait, unless the queue is full and
    /// [`Overflow::Block`](crate::Overflow::Block) says that it should.
    pub fn record(&self, trail: &Trail, took: Duration) {
        let event_type = EventType::of(trail);
        if self.0.filter.has(event_type) {
            self.0.queue.push(Event::new(event_type, trail, took, &self.0.settings));
        }
    }

    /// Has the file opened anew, and created where there is none: the old one was renamed. It does not wait.
    pub fn reopen(&self) {
        self.0.queue.reopen();
    }

    /// What has become of records so far.
    pub fn stats(&self) -> Stats {
        self.0.queue.stats()
    }

    /// Takes no more records, and waits until those that are queued are written, for
    /// [`Auditor::MAX_CLOSING`] and a little at most. It blocks its thread.
    pub fn close(&self) -> Stats {
        self.0.close();
        self.stats()
    }
}

impl Inner {
    fn close(&self) {
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(writer) = writer else { return };
        if self.queue.close(Auditor::MAX_CLOSING) {
            // It has said that it ends; that it may have panicked is told by the panic.
            let _ended = writer.join();
        } else {
            tracing::error!("audit records cannot be written; those that were left are dropped");
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Auditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auditor")
            .field("output", &self.0.settings.output)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
