//! The order of the lists in the stored form.
//!
//! Replicas of the version before read the same store during an update. They know entries that are
//! sorted by key, and refuse a catalog that holds anything else, so that a session with it would be
//! unknown to them. Of `capabilities` they only ask that it is an object. So the order is written there,
//! as a last member: they keep such a session, and show its lists sorted as they always did. Where the
//! lists are sorted anyway, the form is to the byte what it was.

use bytes::Bytes;
use vmcp_model::raw::{self, Members};

use crate::contents::Entry;

/// The member that holds the order. No client sees it.
pub(crate) const ORDER: &str = "vmcp/order";

/// For each kind the places in its list of the entries that are sorted by key. Empty where the list is
/// sorted itself.
pub(crate) struct Order([Vec<usize>; 4]);

impl Order {
    /// The entries sorted by key, and the order that they had.
    pub(crate) fn of(lists: &[Vec<Entry>; 4]) -> ([Vec<&Entry>; 4], Self) {
        let places = lists.each_ref().map(|entries| {
            let mut places: Vec<usize> = (0..entries.len()).collect();
            places.sort_by_key(|place| &entries[*place].key);
            places
        });
        let mut lists = lists.iter();
        let sorted = places.each_ref().map(|places| {
            let entries = lists.next().map(Vec::as_slice).unwrap_or_default();
            places.iter().map(|place| &entries[*place]).collect()
        });
        let order = places.map(|places| if places.is_sorted() { Vec::new() } else { places });
        (sorted, Self(order))
    }

    /// The object with the order as its last member, if any list needs it.
    pub(crate) fn written_into(&self, capabilities: &Bytes) -> Bytes {
        if self.0.iter().all(Vec::is_empty) {
            return capabilities.clone();
        }
        let inner = capabilities.strip_suffix(b"}").expect("capabilities are an object");
        let separator = if inner.trim_ascii_end() == b"{" { "" } else { "," };
        let order = serde_json::to_string(&self.0).expect("numbers are always valid JSON");
        [inner, format!("{separator}\"{ORDER}\":{order}}}").as_bytes()].concat().into()
    }

    /// What [`Order::written_into`] wrote, and the object without it. `None` if it is no order.
    pub(crate) fn read_from(capabilities: &Bytes) -> Option<(Self, Bytes)> {
        let members = Members::parse(capabilities)?;
        let Some(value) = members.value(capabilities, ORDER) else {
            return Some((Self([const { Vec::new() }; 4]), capabilities.clone()));
        };
        let order = serde_json::from_slice(value).ok()?;
        Some((Self(order), raw::without(capabilities, |name| name == ORDER)))
    }

    /// Sorted entries in the order of their lists. `None` if the places are not those of a list.
    pub(crate) fn restored(&self, sorted: [Vec<Entry>; 4]) -> Option<[Vec<Entry>; 4]> {
        let mut lists = [const { Vec::new() }; 4];
        for ((list, entries), places) in lists.iter_mut().zip(sorted).zip(&self.0) {
            *list = if places.is_empty() { entries } else { placed(entries, places)? };
        }
        Some(lists)
    }
}

fn placed(entries: Vec<Entry>, places: &[usize]) -> Option<Vec<Entry>> {
    if entries.len() != places.len() {
        return None;
    }
    let mut list: Vec<Option<Entry>> = vec![None; places.len()];
    for (entry, place) in entries.into_iter().zip(places) {
        *list.get_mut(*place)? = Some(entry);
    }
    list.into_iter().collect()
}
