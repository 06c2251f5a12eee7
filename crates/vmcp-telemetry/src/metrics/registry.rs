//! All series, of all threads: creates, folds and adds up.
//!
//! Where there is no room for one more series, the one that was unused longest is folded: first those of tools and
//! prompts, into what stands for all of these of their backend; when there are no others left, what stands for a
//! backend, into what stands for all backends. What was counted in them is kept by the points that it was shown in.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{
    cell::{Cell, Seen, Totals},
    key::{Key, Sought},
    points::{History, Points},
    view::View,
};

/// What all threads share. Its lock is taken to create a series and to read, not to count.
#[derive(Debug)]
pub(super) struct Registry {
    hashing: RandomState,
    all: Mutex<All>,
}

#[derive(Debug)]
struct All {
    max_series: usize,
    series: HashTable<Series>,
    /// What stands for series of a backend that are folded, by facts and backend. Counts among the series.
    backends: BTreeMap<(u64, Box<str>), Remains>,
    /// What stands for those of all backends, by facts. There is a fixed number of them.
    others: BTreeMap<u64, Arc<Key>>,
    /// What all of these are shown in.
    points: Points,
    /// The cells of each thread whose series are folded. Their thread may just be writing to them, and lets go of
    /// them when it next creates one.
    retired: HashMap<u64, Vec<Retired>>,
    threads: u64,
    /// Some series that were unused longest, and when they were used last; the one unused longest is the last.
    oldest: Vec<(u64, Arc<Key>, u64)>,
    dropped: u64,
}

/// A series that has no cells: what is left of those that were folded.
#[derive(Debug)]
struct Remains {
    key: Arc<Key>,
    /// When one of them was used last, in nanoseconds.
    used: u64,
}

/// A cell whose series is folded.
#[derive(Debug)]
struct Retired {
    cell: Arc<Cell>,
    /// What of it is in points already.
    counted: Totals,
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
    /// What it had counted when somebody read it last.
    read: Totals,
}

/// All series at one moment.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) series: Vec<(Arc<Key>, Totals)>,
    pub(super) histories: Vec<History>,
    /// How many are told apart.
    pub(super) count: usize,
    /// How often one was folded.
    pub(super) dropped: u64,
}

impl Registry {
    /// One for metrics that are shown in these views.
    pub(super) fn new(max_series: usize, views: &'static [View]) -> Self {
        let all = All {
            max_series: max_series.max(1),
            series: HashTable::new(),
            backends: BTreeMap::new(),
            others: BTreeMap::new(),
            points: Points::new(views),
            retired: HashMap::new(),
            threads: 0,
            oldest: Vec::new(),
            dropped: 0,
        };
        Self { hashing: RandomState::default(), all: Mutex::new(all) }
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
        let series = all.series(sought, hash);
        let key = Arc::clone(&series.key);
        let cell = Arc::new(Cell::new(key, sought.word, hash, thread, when));
        series.cells.push(Arc::clone(&cell));
        all.settle(thread, cells);
        cells.insert_unique(hash, Arc::clone(&cell), |cell| cell.hash);
        cell
    }

    /// Counts for a thread that ends, and has no cells any more.
    pub(super) fn count(&self, sought: &Sought<'_>, hash: u64, seen: &Seen) {
        self.all().series(sought, hash).rest.count(seen);
    }

    pub(super) fn read(&self) -> Reading {
        let all = &mut *self.all();
        for retired in all.retired.values_mut().flatten() {
            retired.settle(&mut all.points);
        }
        let series = all.series.iter_mut().map(|series| {
            series.read = series.totals();
            (Arc::clone(&series.key), series.read.clone())
        });
        Reading {
            series: series.collect(),
            histories: all.points.read(),
            count: all.count(),
            dropped: all.dropped,
        }
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn count(&self) -> usize {
        self.series.len() + self.backends.len()
    }

    fn series(&mut self, sought: &Sought<'_>, hash: u64) -> &mut Series {
        let is_it = |series: &Series| series.key.is(sought, series.word);
        let mut key = None;
        if self.series.find(hash, is_it).is_none() {
            let new = key.insert(Arc::new(Key::from(sought)));
            // It comes before others go, so that the points that it shares with them stay.
            self.points.hold(new);
            while self.count() >= self.max_series {
                self.fold();
            }
        }
        let new = || Series {
            key: key.unwrap_or_else(|| Arc::new(Key::from(sought))),
            word: sought.word,
            hash,
            cells: Vec::new(),
            rest: Totals::default(),
            read: Totals::default(),
        };
        self.series.entry(hash, is_it, |series| series.hash).or_insert_with(new).into_mut()
    }

    /// Folds one.
    fn fold(&mut self) {
        match self.take_oldest() {
            Some(series) => self.fold_series(series),
            None => self.fold_backend(),
        }
        self.dropped += 1;
    }

    fn fold_series(&mut self, series: Series) {
        let used = series.used();
        let Series { key, cells, rest: mut totals, read, .. } = series;
        for cell in cells {
            cell.retire();
            let counted = Totals::of_cell(&cell);
            totals.add(&counted);
            self.retired.entry(cell.thread).or_default().push(Retired { cell, counted });
        }
        let into = key.without_name();
        let remains = self.backends.entry((into.facts.word(), into.backend.clone()));
        let remains = remains.or_insert_with(|| {
            let key = Arc::new(into);
            self.points.hold(&key);
            Remains { key, used }
        });
        remains.used = remains.used.max(used);
        self.points.fold(&key, &remains.key, &totals, &read);
    }

    /// Folds what stands for the backend that was unused longest.
    fn fold_backend(&mut self) {
        let oldest = self.backends.iter().min_by_key(|(_, remains)| remains.used);
        let Some(place) = oldest.map(|(place, _)| place.clone()) else { return };
        let Some(Remains { key, .. }) = self.backends.remove(&place) else { return };
        let into = self.others.entry(key.facts.word()).or_insert_with(|| {
            let key = Arc::new(key.without_backend());
            self.points.hold(&key);
            key
        });
        // It has counted nothing itself: points have kept all.
        let nothing = Totals::default();
        self.points.fold(&key, into, &nothing, &nothing);
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

    /// Lets go of the thread's cells whose series are folded, on that thread.
    fn settle(&mut self, thread: u64, cells: &mut HashTable<Arc<Cell>>) {
        let Some(retired) = self.retired.get_mut(&thread) else { return };
        for mut retired in retired.drain(..) {
            retired.settle(&mut self.points);
            let cell = &retired.cell;
            if let Ok(found) = cells.find_entry(cell.hash, |other| Arc::ptr_eq(other, cell)) {
                found.remove();
            }
        }
    }
}

impl Retired {
    /// Adds to points what its thread has counted since it was folded.
    fn settle(&mut self, points: &mut Points) {
        let now = Totals::of_cell(&self.cell);
        let late = now.since(&self.counted);
        if !late.is_nothing() {
            let key = &self.cell.key;
            points.add(&[key, &key.without_name(), &key.without_backend()], &late);
        }
        self.counted = now;
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

#[cfg(test)]
mod tests;
