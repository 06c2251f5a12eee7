//! The calls under way: counted, so that the end of the process waits for them; told when they must end;
//! and recorded when they have ended.

use std::{
    cell::Cell,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
};

use tokio::{sync::Notify, time::Instant};
use vmcp_backend::{Backend, Error, Use, Uses};
use vmcp_model::{
    Method,
    trail::{End, Target, Trail},
};
use vmcp_wire::Fault;

use crate::signal::Signal;

/// Calls are spread over this many tables, so that they do not wait for each other.
const SHARDS: usize = 64;

/// Calls for which each table keeps room when they have ended.
const ROOM: usize = 64;

/// All calls under way.
#[derive(Debug)]
pub struct Calls {
    shards: [Mutex<Shard>; SHARDS],
    /// No more begin.
    is_closed: AtomicBool,
    /// Told whenever one has ended, once no more begin.
    ended: Notify,
}

#[derive(Debug, Default)]
struct Shard {
    calls: Vec<Option<Arc<UnderWay>>>,
    /// Where there is room.
    free: Vec<usize>,
}

/// A call under way, as others see it: they can tell it to end.
#[derive(Debug)]
pub struct UnderWay {
    signal: Signal,
    shard: usize,
    slot: usize,
    method: Method,
    began: Instant,
    /// Where it goes, once that is known.
    destination: OnceLock<Destination>,
    /// How it has ended: [`ABANDONED`], [`ANSWERED`], [`REFUSED`] or [`FAILED`].
    end: AtomicU8,
}

/// Where a call goes, which is where it is recorded.
#[derive(Debug)]
pub(crate) enum Destination {
    Backend(Arc<Backend>),
    /// A tool of vmcp's own.
    Own(Arc<Uses>),
}

/// Nobody waited for the end of the call; what is known of it until something else is.
const ABANDONED: u8 = 0;
const ANSWERED: u8 = 1;
const REFUSED: u8 = 2;
const FAILED: u8 = 3;

/// One call under way, for who makes it. It is under way for as long as this is kept: until its answer
/// has ended, which may be a stream.
#[derive(Debug)]
pub struct Ticket {
    calls: Arc<Calls>,
    call: Arc<UnderWay>,
    /// Where to note what is known of it, if anybody wants to know.
    trail: Option<Arc<Trail>>,
}

thread_local! {
    /// The table of this thread's calls.
    static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Gives each thread a table of its own, as far as there are enough.
static NEXT_SHARD: AtomicUsize = AtomicUsize::new(0);

impl Calls {
    pub(crate) fn new() -> Arc<Self> {
        let shards = std::array::from_fn(|_shard| Mutex::default());
        Arc::new(Self { shards, is_closed: AtomicBool::new(false), ended: Notify::new() })
    }

    /// Enters a call.
    ///
    /// # Errors
    /// If no more may begin, because the process ends.
    pub(crate) fn begin(
        self: &Arc<Self>,
        method: Method,
        trail: Option<Arc<Trail>>,
    ) -> Result<Ticket, Fault> {
        let number = own_shard();
        let mut shard = self.shard(number);
        // Looked at under the lock: who closes looks at each table afterwards.
        if self.is_closed() {
            return Err(Fault::Unavailable("vmcp is shutting down".into()));
        }
        let call = shard.enter(|slot| UnderWay {
            signal: Signal::default(),
            shard: number,
            slot,
            method,
            began: Instant::now(),
            destination: OnceLock::new(),
            end: AtomicU8::new(ABANDONED),
        });
        drop(shard);
        Ok(Ticket { calls: Arc::clone(self), call, trail })
    }

    /// How many calls are under way.
    pub fn count(&self) -> usize {
        (0..SHARDS).map(|shard| self.shard(shard).count()).sum()
    }

    /// Lets no more calls begin.
    pub fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    /// Waits until none is under way. Only once no more begin.
    pub async fn wait(&self) {
        loop {
            let mut ended = std::pin::pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            ended.await;
        }
    }

    /// Ends every call, with this for a reason.
    pub fn cut(&self, why: &'static str) {
        for shard in 0..SHARDS {
            self.shard(shard).calls.iter().flatten().for_each(|call| call.cut(why));
        }
    }

    fn shard(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn enter(&mut self, make: impl FnOnce(usize) -> UnderWay) -> Arc<UnderWay> {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.calls.push(None);
            self.calls.len() - 1
        });
        Arc::clone(self.calls[slot].insert(Arc::new(make(slot))))
    }

    fn leave(&mut self, slot: usize) {
        self.calls[slot] = None;
        self.free.push(slot);
        if self.calls.len() > ROOM && self.count() == 0 {
            // A flood of calls leaves no room behind.
            *self = Self::default();
        }
    }

    fn count(&self) -> usize {
        self.calls.len() - self.free.len()
    }
}

fn own_shard() -> usize {
    SHARD.with(|shard| {
        shard.get().unwrap_or_else(|| {
            let own = NEXT_SHARD.fetch_add(1, Ordering::Relaxed) % SHARDS;
            shard.set(Some(own));
            own
        })
    })
}

impl Deref for UnderWay {
    type Target = Signal;

    fn deref(&self) -> &Signal {
        &self.signal
    }
}

impl Ticket {
    /// The call, as others see it.
    pub fn call(&self) -> &Arc<UnderWay> {
        &self.call
    }

    /// Waits until the call must end, whatever still comes, and says why: it has been cancelled or cut
    /// off, or it began to be answered then and takes longer than its backend may.
    pub(crate) fn over(&self, since: Instant) -> impl Future<Output = Fault> + Send + use<> {
        let call = Arc::clone(&self.call);
        async move {
            let Some(Destination::Backend(backend)) = call.destination.get() else {
                return call.fired().await;
            };
            let absolute = backend.timeouts().absolute;
            tokio::select! {
                fault = call.fired() => fault,
                () = tokio::time::sleep_until(since + absolute) => {
                    Error::Timeout(absolute).fault(backend.id())
                }
            }
        }
    }

    /// Notes where the call goes.
    pub(crate) fn goes_to(&self, destination: Destination) {
        self.call.destination.get_or_init(|| destination);
    }

    /// Where to note what is known of it, if anybody wants to know.
    pub(crate) fn trail(&self) -> Option<&Arc<Trail>> {
        self.trail.as_ref()
    }

    /// Notes that the call has been answered, with an error if `is_error`. `end` says how, to whoever wants to
    /// know.
    pub(crate) fn note_answer(&self, is_error: bool, end: impl FnOnce() -> End) {
        let how = if is_error { REFUSED } else { ANSWERED };
        self.call.end.store(how, Ordering::Relaxed);
        if let Some(trail) = &self.trail {
            trail.note_end(end);
        }
    }

    /// Notes that the call has been answered with an error of vmcp's own.
    pub(crate) fn note_refusal(&self, fault: &Fault) {
        self.call.end.store(REFUSED, Ordering::Relaxed);
        if let Some(trail) = &self.trail {
            trail.note_end(|| fault.end(trail.asked().era));
        }
    }

    /// Notes that the call has failed on its way to a backend.
    pub fn note_failure_at(&self, backend: &Arc<Backend>, fault: &Fault) {
        self.goes_to(Destination::Backend(Arc::clone(backend)));
        if let Some(trail) = &self.trail {
            trail.note_target(|| Target { backend: Some(backend.id().clone()), capability: None });
        }
        self.note_failure(fault);
    }

    /// Notes that the call has failed: there is no answer.
    pub(crate) fn note_failure(&self, fault: &Fault) {
        self.call.end.store(FAILED, Ordering::Relaxed);
        if let Some(trail) = &self.trail {
            trail.note_end(|| fault.end(trail.asked().era));
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let UnderWay { shard, slot, method, began, destination, end, .. } = &*self.call;
        self.calls.shard(*shard).leave(*slot);
        if self.calls.is_closed() {
            self.calls.ended.notify_waiters();
        }
        if let Some(trail) = &self.trail
            && let Some(fault) = self.call.signal.fault()
        {
            trail.note_end(|| fault.end(trail.asked().era));
        }
        let how = match end.load(Ordering::Relaxed) {
            ANSWERED => Use::Answered(*began, began.elapsed()),
            REFUSED => Use::Refused(*began, began.elapsed()),
            FAILED => Use::Failed,
            _ => Use::Abandoned,
        };
        match destination.get() {
            Some(Destination::Backend(backend)) => backend.note_use(*method, how),
            Some(Destination::Own(uses)) => uses.note(*method, how),
            // It was refused before that.
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
