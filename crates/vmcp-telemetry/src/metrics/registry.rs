//! All series, of all threads: creates, folds and adds up.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{
    cell::{Cell, Seen, Totals},
    key::{Facts, Key, Sought},
};

/// What stands for the names of series that are folded.
pub(super) const OTHER: &str = "other";

/// What all threads share. Its lock is taken to create a series and to read, not to count.
#[derive(Debug)]
pub(super) struct Registry {
    hashing: RandomState,
    max_series: usize,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    series: HashTable<Series>,
    /// Those that are folded, by what is left of their facts.
    folded: BTreeMap<u64, (Facts, Totals)>,
    /// The cells of each thread whose series are folded. Their thread may just be writing to them, so only it adds
    /// them to the rest, when it next creates one.
    retired: HashMap<u64, Vec<Arc<Cell>>>,
    threads: u64,
    /// Some series that were unused longest, and when they were used last; the one unused longest is the last.
    oldest: Vec<(u64, Arc<Key>, u64)>,
    dropped: u64,
}

#[derive(Debug)]
struct Series {
    key: Arc<Key>,
    word: u64,
    hash: u64,
    /// One for each thread that has counted it.
    cells: Vec<Arc<Cell>>,
    /// Of threads that are gone.
    rest: Totals,
}

/// All series at one moment.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) series: Vec<(Arc<Key>, Totals)>,
    /// How many are told apart.
    pub(super) count: usize,
    /// How often one was folded.
    pub(super) dropped: u64,
}

impl Registry {
    pub(super) fn new(max_series: usize) -> Self {
        let max_series = max_series.max(1);
        Self { hashing: RandomState::default(), max_series, all: Mutex::default() }
    }

    pub(super) fn hash(&self, sought: &Sought<'_>) -> u64 {
        let mut hasher = self.hashing.build_hasher();
        hasher.write_u64(sought.word);
        hasher.write(sought.backend.as_bytes());
        // A byte that no text has.
        hasher.write_u8(0xff);
        hasher.write(sought.name.as_bytes());
        hasher.finish()
    }

    /// Lets a thread count, under the number that this gives to it.
    pub(super) fn enter(&self) -> u64 {
        let mut all = self.all();
        all.threads += 1;
        let thread = all.threads;
        all.retired.insert(thread, Vec::new());
        thread
    }

    /// Ends a thread's counting and keeps what it has counted.
    pub(super) fn leave(&self, thread: u64, cells: &mut HashTable<Arc<Cell>>) {
        let mut all = self.all();
        all.settle(thread, cells);
        all.retired.remove(&thread);
        for cell in cells.drain() {
            let series =
                all.series.find_mut(cell.hash, |series| Arc::ptr_eq(&series.key, &cell.key));
            if let Some(series) = series {
                series.cells.retain(|other| !Arc::ptr_eq(other, &cell));
                series.rest.add_cell(&cell);
            }
        }
    }

    /// A cell of this thread for a series for which it has none, or one that is retired. It is put among its cells.
    pub(super) fn cell(
        &self,
        thread: u64,
        cells: &mut HashTable<Arc<Cell>>,
        sought: &Sought<'_>,
        hash: u64,
        when: u64,
    ) -> Arc<Cell> {
        let mut all = self.all();
        let series = all.series(sought, hash, self.max_series);
        let key = Arc::clone(&series.key);
        let cell = Arc::new(Cell::new(key, sought.word, hash, thread, when));
        series.cells.push(Arc::clone(&cell));
        all.settle(thread, cells);
        cells.insert_unique(hash, Arc::clone(&cell), |cell| cell.hash);
        cell
    }

    /// Counts for a thread that ends, and has no cells any more.
    pub(super) fn count(&self, sought: &Sought<'_>, hash: u64, seen: &Seen) {
        self.all().series(sought, hash, self.max_series).rest.count(seen);
    }

    pub(super) fn read(&self) -> Reading {
        let all = self.all();
        let mut folded = all.folded.clone();
        for cell in all.retired.values().flatten() {
            totals_of(&mut folded, cell.key.facts).add_cell(cell);
        }
        let series = all.series.iter().map(|series| (Arc::clone(&series.key), series.totals()));
        let series: Vec<_> = series.collect();
        let (count, dropped) = (series.len(), all.dropped);
        drop(all);
        let folded = folded.into_values().map(|(facts, totals)| {
            let key = Key { facts, backend: OTHER.into(), name: OTHER.into() };
            (Arc::new(key), totals)
        });
        Reading { series: series.into_iter().chain(folded).collect(), count, dropped }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn series(&mut self, sought: &Sought<'_>, hash: u64, max_series: usize) -> &mut Series {
        let is_it = |series: &Series| series.key.is(sought, series.word);
        let is_new = self.series.find(hash, is_it).is_none();
        while is_new && self.series.len() >= max_series {
            self.fold();
        }
        let new = || Series {
            key: Arc::new(Key::from(sought)),
            word: sought.word,
            hash,
            cells: Vec::new(),
            rest: Totals::default(),
        };
        self.series.entry(hash, is_it, |series| series.hash).or_insert_with(new).into_mut()
    }

    /// Folds the series that was unused longest.
    fn fold(&mut self) {
        let Some(series) = self.take_oldest() else { return };
        totals_of(&mut self.folded, series.key.facts).add(&series.rest);
        for cell in series.cells {
            cell.retire();
            self.retired.entry(cell.thread).or_default().push(cell);
        }
        self.dropped += 1;
    }

    fn take_oldest(&mut self) -> Option<Series> {
        while let Some((used, key, hash)) = self.oldest.pop() {
            let is_it = |series: &Series| Arc::ptr_eq(&series.key, &key) && series.used() == used;
            // Those that were used since are not among the oldest any more, and all others were used later.
            if let Ok(found) = self.series.find_entry(hash, is_it) {
                return Some(found.remove().0);
            }
        }
        let mut oldest: Vec<_> = self
            .series
            .iter()
            .map(|series| (series.used(), Arc::clone(&series.key), series.hash))
            .collect();
        oldest.sort_unstable_by_key(|(used, ..)| std::cmp::Reverse(*used));
        // The oldest sixteenth, so that it is rarely looked for.
        let first = oldest.len() - oldest.len().div_ceil(16);
        self.oldest = oldest.split_off(first);
        let (_, key, hash) = self.oldest.pop()?;
        let found = self.series.find_entry(hash, |series| Arc::ptr_eq(&series.key, &key));
        found.ok().map(|found| found.remove().0)
    }

    /// Adds up the thread's cells whose series are folded, on that thread.
    fn settle(&mut self, thread: u64, cells: &mut HashTable<Arc<Cell>>) {
        let Some(retired) = self.retired.get_mut(&thread) else { return };
        for cell in retired.drain(..) {
            totals_of(&mut self.folded, cell.key.facts).add_cell(&cell);
            if let Ok(found) = cells.find_entry(cell.hash, |other| Arc::ptr_eq(other, &cell)) {
                found.remove();
            }
        }
    }
}

impl Series {
    fn totals(&self) -> Totals {
        let mut totals = self.rest.clone();
        self.cells.iter().for_each(|cell| totals.add_cell(cell));
        totals
    }

    fn used(&self) -> u64 {
        self.cells.iter().map(|cell| cell.used()).max().unwrap_or_default().max(self.rest.used)
    }
}

fn totals_of(folded: &mut BTreeMap<u64, (Facts, Totals)>, facts: Facts) -> &mut Totals {
    let facts = facts.folded();
    &mut folded.entry(facts.word()).or_insert_with(|| (facts, Totals::default())).1
}
