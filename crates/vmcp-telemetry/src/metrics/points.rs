//! The points of metrics: which of them are shown, and what they keep of series that are folded.
//!
//! A point is shown as long as a series has part in it. Until then it keeps all that was ever counted in it, so that
//! it never goes down. When its last series is folded it is gone, and what was counted in it with it. Only what
//! nobody has read yet of that goes on in the point of the series into which it was folded, so that whoever adds up
//! what is new in all points since he last looked finds each request once.

use std::{
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::{
    cell::{Durations, Totals},
    key::{Key, Sought},
    view::View,
};

#[derive(Debug)]
pub(super) struct Points {
    hashing: RandomState,
    views: &'static [View],
    table: HashTable<Point>,
}

#[derive(Debug)]
struct Point {
    hash: u64,
    view: View,
    /// That of the first series that had part in it.
    key: Arc<Key>,
    /// How many series have part in it.
    series: usize,
    kept: Option<Box<Kept>>,
}

/// What was counted in series that are folded.
#[derive(Debug, Default)]
struct Kept {
    all: Durations,
    /// The part of it that nobody has read.
    unread: Durations,
}

/// What a point keeps, read.
#[derive(Debug)]
pub(super) struct History {
    pub(super) view: View,
    /// Of any series that has part in the point.
    pub(super) key: Arc<Key>,
    pub(super) durations: Durations,
}

impl Points {
    pub(super) fn new(views: &'static [View]) -> Self {
        Self { hashing: RandomState::default(), views, table: HashTable::new() }
    }

    /// Begins a series.
    pub(super) fn hold(&mut self, key: &Arc<Key>) {
        for (view, wanted, hash) in self.of(key) {
            let new = || Point { hash, view, key: Arc::clone(key), series: 0, kept: None };
            let is_it = |point: &Point| point.is(view, &wanted);
            let entry = self.table.entry(hash, is_it, |point| point.hash);
            entry.or_insert_with(new).get_mut().series += 1;
        }
    }

    /// Ends a series by folding it into another, which has begun. It has counted `all`, of which somebody has read
    /// a part.
    pub(super) fn fold(&mut self, key: &Key, into: &Key, all: &Totals, read: &Totals) {
        for (view, wanted, hash) in self.of(key) {
            let all = view.durations(all);
            let mut unread = all.since(view.durations(read));
            let is_it = |point: &Point| point.is(view, &wanted);
            let Ok(mut found) = self.table.find_entry(hash, is_it) else { continue };
            let point = found.get_mut();
            point.series -= 1;
            if point.series > 0 {
                point.keep(all, &unread);
                continue;
            }
            let point = found.remove().0;
            let was_shown = all.count_all() > 0 || point.kept.is_some();
            point.kept.iter().for_each(|kept| unread.add(&kept.unread));
            if was_shown && let Some(other) = self.find(view, into) {
                // Also if it is nothing yet: what begins at 0 is seen to go up.
                other.kept.get_or_insert_default();
                other.keep(&unread, &unread);
            }
        }
    }

    /// Adds what a series has counted when it was folded already: to the first of these that a point is of.
    pub(super) fn add(&mut self, keys: &[&Key], totals: &Totals) {
        for view in self.views {
            let held = keys.iter().find(|key| self.find(*view, key).is_some());
            if let Some(point) = held.and_then(|key| self.find(*view, key)) {
                let durations = view.durations(totals);
                point.keep(durations, durations);
            }
        }
    }

    /// What all points keep.
    pub(super) fn read(&mut self) -> Vec<History> {
        let kept = self.table.iter_mut().filter_map(|point| {
            let kept = point.kept.as_mut()?;
            kept.unread = Durations::default();
            let (view, key) = (point.view, Arc::clone(&point.key));
            Some(History { view, key, durations: kept.all.clone() })
        });
        kept.collect()
    }

    /// The points that a series has part in.
    fn of<'a>(&self, key: &'a Key) -> impl Iterator<Item = (View, Sought<'a>, u64)> + use<'a> {
        let (views, hashing, key) = (self.views, self.hashing.clone(), key.sought());
        views.iter().filter_map(move |view| {
            let wanted = view.point(&key)?;
            Some((*view, wanted, hash(&hashing, *view, &wanted)))
        })
    }

    fn find(&mut self, view: View, key: &Key) -> Option<&mut Point> {
        let wanted = view.point(&key.sought())?;
        let hash = hash(&self.hashing, view, &wanted);
        self.table.find_mut(hash, |point| point.is(view, &wanted))
    }
}

impl Point {
    fn is(&self, view: View, wanted: &Sought<'_>) -> bool {
        let own = || view.point(&self.key.sought());
        self.view == view && own().is_some_and(|own| own.is(wanted))
    }

    fn keep(&mut self, all: &Durations, unread: &Durations) {
        if !all.is_nothing() {
            let kept = self.kept.get_or_insert_default();
            kept.all.add(all);
            kept.unread.add(unread);
        }
    }
}

fn hash(hashing: &RandomState, view: View, point: &Sought<'_>) -> u64 {
    let mut hasher = hashing.build_hasher();
    hasher.write_u8(view as u8);
    hasher.write_u64(point.word);
    hasher.write(point.backend.as_bytes());
    // A byte that no text has.
    hasher.write_u8(0xff);
    hasher.write(point.name.as_bytes());
    hasher.finish()
}
