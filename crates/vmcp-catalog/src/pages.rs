//! One kind's list results, rendered once and then only handed out.

use std::{collections::HashMap, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use vmcp_model::{Digest, Kind, raw};

use crate::{contents::Entry, cursor, route::Reach};

/// The pages of one kind, and where each entry is.
pub(crate) struct Pages {
    /// At least one.
    pages: Vec<Bytes>,
    page_size: usize,
    /// How many of the entries are listed.
    listed: usize,
    /// Of all entries.
    places: HashMap<Arc<str>, usize>,
}

impl Pages {
    /// Renders all pages, of the entries that are listed, which stand first. From then on their objects
    /// are slices of the pages, so that each is in memory once.
    pub(crate) fn render(
        kind: Kind,
        catalog: &Digest,
        page_size: usize,
        entries: &mut [Entry],
    ) -> Self {
        let places =
            entries.iter().enumerate().map(|(place, entry)| (entry.key.clone(), place)).collect();
        let listed = entries.partition_point(|entry| entry.reach == Reach::Listed);
        let mut pages: Vec<_> = entries[..listed]
            .chunks_mut(page_size)
            .enumerate()
            .map(|(number, chunk)| {
                let end = number * page_size + chunk.len();
                let next = (end < listed).then(|| cursor::encode(kind, catalog, end));
                page(kind, chunk, next.as_deref())
            })
            .collect();
        if pages.is_empty() {
            pages.push(page(kind, &mut [], None));
        }
        Self { pages, page_size, listed, places }
    }

    /// The page that begins with the entry at `offset`, if one does.
    pub(crate) fn at(&self, offset: usize) -> Option<&Bytes> {
        if !offset.is_multiple_of(self.page_size) {
            return None;
        }
        self.pages.get(offset / self.page_size)
    }

    /// How many entries are listed.
    pub(crate) fn listed(&self) -> usize {
        self.listed
    }

    /// Where the entry of this key stands among all.
    pub(crate) fn place(&self, key: &str) -> Option<usize> {
        self.places.get(key).copied()
    }
}

fn page(kind: Kind, entries: &mut [Entry], next: Option<&str>) -> Bytes {
    let length: usize = entries.iter().map(|entry| entry.json.len() + 1).sum();
    let mut out = BytesMut::with_capacity(length + 100);
    out.put_slice(b"{\"");
    out.put_slice(kind.list_member().as_bytes());
    out.put_slice(b"\":[");
    let mut spans = Vec::with_capacity(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        if index > 0 {
            out.put_u8(b',');
        }
        let start = out.len();
        out.put_slice(&entry.json);
        spans.push(start..out.len());
    }
    out.put_u8(b']');
    if let Some(next) = next {
        out.put_slice(b",\"nextCursor\":");
        out.put_slice(&raw::string(next));
    }
    out.put_u8(b'}');
    let out = out.freeze();
    for (entry, span) in entries.iter_mut().zip(spans) {
        entry.json = out.slice(span);
    }
    out
}
