//! The pages of one list: what may be held of them, and whether they get on.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use vmcp_model::{Digest, Item, Kind};

use crate::error::Error;

/// Pages in a row that may hold nothing. Servers that leave out what a caller may not see have such.
const EMPTY: usize = 16;

/// The bytes that all lists of one reading may take.
#[derive(Debug, Clone)]
pub(super) struct Room {
    left: Arc<AtomicUsize>,
    limit: usize,
}

/// What one list has taken of it. Dropped, it is given back: what was read of a list that cannot be
/// used is let go.
#[derive(Debug)]
pub(super) struct Held {
    room: Room,
    bytes: usize,
}

/// The pages of one list that have been read.
#[derive(Debug)]
pub(super) struct Pages {
    kind: Kind,
    held: Held,
    cursors: HashSet<Digest>,
    contents: HashSet<Digest>,
    empty: usize,
}

/// What comes behind a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The page of this cursor (JSON text).
    Page(Bytes),
    /// Nothing.
    End,
    /// The same again, for ever.
    Circle,
}

impl Room {
    pub(super) fn new(limit: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(limit)), limit }
    }
}

impl Pages {
    pub(super) fn new(kind: Kind, room: Room) -> Self {
        Self {
            kind,
            held: Held { room, bytes: 0 },
            cursors: HashSet::new(),
            contents: HashSet::new(),
            empty: 0,
        }
    }

    /// Takes room for a page.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<(), Error> {
        let Room { left, limit } = &self.held.room;
        let take = |left: usize| left.checked_sub(bytes);
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).map_err(|_left| {
            let what = self.kind.list_method();
            Error::Excessive(format!(
                "has lists of more than {limit} bytes (limits.listBytes), given up in {what}"
            ))
        })?;
        self.held.bytes += bytes;
        Ok(())
    }

    /// Adds what a page has brought to what the list holds so far, unless it has been there before, and
    /// tells what comes next. A backend that does not understand its own cursors brings the same for ever.
    pub(super) fn add(
        &mut self,
        items: &mut Vec<Item>,
        page: Vec<Item>,
        next: Option<Bytes>,
    ) -> Next {
        let Some(next) = next else {
            if self.contents.is_empty() || !self.contents.contains(&digest(&page)) {
                items.extend(page);
            }
            return Next::End;
        };
        self.empty = if page.is_empty() { self.empty + 1 } else { 0 };
        let is_new = page.is_empty() || self.contents.insert(digest(&page));
        if is_new {
            items.extend(page);
        }
        let gets_on = is_new && self.empty <= EMPTY;
        if self.cursors.insert(Digest::of(&next)) && gets_on {
            Next::Page(next)
        } else {
            Next::Circle
        }
    }

    /// Keeps what was taken: the list is used.
    pub(super) fn keep(mut self) {
        self.held.bytes = 0;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

fn digest(page: &[Item]) -> Digest {
    Digest::of_parts(page.iter().map(|item| &item.json()[..]))
}
