//! The form in which known offers are stored: JSON with what backends said in their own bytes.
//!
//! It holds what backends list to somebody without credentials of his own, and nothing of how they are
//! reached.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use vmcp_catalog::{InvalidLists, read_lists, write_lists};
use vmcp_model::{BackendId, Kind, Offer, raw::Members};

/// The stored form that this version writes.
const VERSION: u64 = 1;

/// Bytes of the whole.
pub(super) const MOST: usize = 16 << 20;

/// Bytes of one offer.
const MOST_OF_ONE: usize = 4 << 20;

/// Why bytes are not known offers.
#[derive(Debug)]
pub(super) enum Unreadable {
    /// A form that this version of vmcp does not know.
    Version(u64),
    /// Not what vmcp writes. The parser's own words are left out: they may quote the file.
    Altered,
    Lists(InvalidLists),
}

/// The stored form, and the backends whose offers are left out as there is no room for them.
pub(super) fn write(offers: &BTreeMap<BackendId, Arc<Offer>>) -> (Vec<u8>, BTreeSet<BackendId>) {
    let mut left_out = BTreeSet::new();
    let mut out = format!(r#"{{"version":{VERSION},"offers":["#).into_bytes();
    let mut separator = "";
    for (id, offer) in offers {
        // What follows it has its place, too.
        let room = MOST_OF_ONE.min(MOST.saturating_sub(out.len() + 8));
        let entry = (least(offer) <= room).then(|| entry(id, offer));
        let Some(entry) = entry.filter(|entry| entry.len() <= room) else {
            left_out.insert(id.clone());
            continue;
        };
        out.extend_from_slice(separator.as_bytes());
        out.extend_from_slice(&entry);
        separator = ",";
    }
    out.extend_from_slice(b"]}");
    (out, left_out)
}

/// Bytes that an offer has at least, so that nothing large is written only to be thrown away.
fn least(offer: &Offer) -> usize {
    let items = Kind::ALL.into_iter().flat_map(|kind| offer.items(kind));
    items.map(|item| item.json().trim_ascii().len()).sum()
}

fn entry(id: &BackendId, offer: &Offer) -> Vec<u8> {
    let json = |text: Option<&str>| serde_json::Value::from(text).to_string();
    let mut out = format!("[{},", json(Some(id.as_str()))).into_bytes();
    // A backend that says nothing about itself can do nothing.
    let capabilities = Members::parse(&offer.capabilities).map(|_| offer.capabilities.trim_ascii());
    out.extend_from_slice(capabilities.unwrap_or(b"{}"));
    out.extend_from_slice(format!(",{},", json(offer.instructions.as_deref())).as_bytes());
    out.extend_from_slice(&write_lists(offer));
    out.push(b']');
    out
}

/// Reads the stored form.
pub(super) fn read(bytes: &[u8]) -> Result<BTreeMap<BackendId, Arc<Offer>>, Unreadable> {
    let Head { version } = serde_json::from_slice(bytes).map_err(|_error| Unreadable::Altered)?;
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let stored: Stored<'_> = serde_json::from_slice(bytes).map_err(|_error| Unreadable::Altered)?;
    stored.offers.into_iter().map(Entry::into_offer).collect()
}

/// What every version of the stored form begins with.
#[derive(Deserialize)]
struct Head {
    version: u64,
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    offers: Vec<Entry<'a>>,
}

/// The backend, its capabilities, its instructions, its lists.
#[derive(Deserialize)]
struct Entry<'a>(
    Box<str>,
    #[serde(borrow)] &'a RawValue,
    Option<Box<str>>,
    #[serde(borrow)] &'a RawValue,
);

impl Entry<'_> {
    fn into_offer(self) -> Result<(BackendId, Arc<Offer>), Unreadable> {
        let Self(id, capabilities, instructions, lists) = self;
        let id = BackendId::new(&id).map_err(|_invalid| Unreadable::Altered)?;
        let capabilities = Bytes::copy_from_slice(capabilities.get().as_bytes());
        Members::parse(&capabilities).ok_or(Unreadable::Altered)?;
        let lists = read_lists(lists.get().as_bytes()).map_err(Unreadable::Lists)?;
        Ok((id, Arc::new(Offer { capabilities, instructions, ..lists })))
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "has form {version}, and this vmcp reads form {VERSION}")
            }
            Self::Altered => f.write_str("is not as vmcp wrote it"),
            Self::Lists(why) => write!(f, "is not as vmcp wrote it ({why})"),
        }
    }
}

#[cfg(test)]
mod tests;
