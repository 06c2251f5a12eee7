//! The form in which known offers are stored: JSON with what backends said in their own bytes.
//!
//! Of a kind of clients it holds what differs, and where it was found that nothing does; both only as
//! long as those who can do nothing are offered what they were when that was found.
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
use vmcp_backend::ClientView;
use vmcp_catalog::{InvalidLists, read_lists, write_lists};
use vmcp_core::{Found, Known, KnownKind, KnownKinds};
use vmcp_model::{BackendId, Era, Kind, Offer, ProtocolVersion, declared, raw::Members};

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
pub(super) fn write(known: &Known) -> (Vec<u8>, BTreeSet<BackendId>) {
    let mut left_out = BTreeSet::new();
    let mut out = format!(r#"{{"version":{VERSION},"offers":["#).into_bytes();
    let mut separator = "";
    for (id, offer) in &known.offers {
        let Some(entry) = entry_within(room(&out), id, offer) else {
            left_out.insert(id.clone());
            continue;
        };
        out.extend_from_slice(separator.as_bytes());
        out.extend_from_slice(&entry);
        separator = ",";
    }
    out.extend_from_slice(br#"],"kinds":["#);
    separator = "";
    for (client, kind) in known.kinds.iter() {
        let current = |found: &Found, id: &BackendId| {
            known.offers.get(id) == Some(&found.compared) && !left_out.contains(id)
        };
        let kind: Vec<_> = kind.iter().filter(|(id, found)| current(found, id)).collect();
        let Some(entry) = kind_within(room(&out), client, &kind) else { continue };
        out.extend_from_slice(separator.as_bytes());
        out.extend_from_slice(&entry);
        separator = ",";
    }
    out.extend_from_slice(b"]}");
    (out, left_out)
}

/// Bytes that the next entry may have.
fn room(out: &[u8]) -> usize {
    // What follows it has its place, too.
    MOST_OF_ONE.min(MOST.saturating_sub(out.len() + 32))
}

/// What was found of a kind of clients. `None` if that is nothing, or there is no room for it.
fn kind_within(room: usize, client: &ClientView, kind: &[(&BackendId, &Found)]) -> Option<Vec<u8>> {
    let same = kind.iter().filter(|(_, found)| found.own.is_none());
    let same: Vec<&str> = same.map(|(id, _)| id.as_str()).collect();
    let own = kind.iter().filter_map(|(id, found)| Some((*id, found.own.as_ref()?)));
    let mut out = format!(r#"["{}","#, client.version().name()).into_bytes();
    out.extend_from_slice(client.capabilities_for(Era::Legacy).trim_ascii());
    out.push(b',');
    out.extend_from_slice(&serde_json::to_vec(&same).ok()?);
    out.extend_from_slice(b",[");
    let (mut separator, mut any) = ("", !same.is_empty());
    for (id, offer) in own {
        // What is left out is found again.
        let room = room.saturating_sub(out.len() + 2);
        let Some(entry) = entry_within(room, id, offer) else { continue };
        out.extend_from_slice(separator.as_bytes());
        out.extend_from_slice(&entry);
        (separator, any) = (",", true);
    }
    out.extend_from_slice(b"]]");
    (any && out.len() <= room).then_some(out)
}

/// An offer, if there is room for it.
fn entry_within(room: usize, id: &BackendId, offer: &Offer) -> Option<Vec<u8>> {
    let entry = (least(offer) <= room).then(|| entry(id, offer));
    entry.filter(|entry| entry.len() <= room)
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
pub(super) fn read(bytes: &[u8]) -> Result<Known, Unreadable> {
    let Head { version } = serde_json::from_slice(bytes).map_err(|_error| Unreadable::Altered)?;
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let stored: Stored<'_> = serde_json::from_slice(bytes).map_err(|_error| Unreadable::Altered)?;
    let offers: BTreeMap<_, _> =
        stored.offers.into_iter().map(Entry::into_offer).collect::<Result<_, _>>()?;
    let mut kinds = KnownKinds::default();
    for kind in stored.kinds {
        let (client, kind) = kind.into_kind(&offers)?;
        kinds.remember(&client, kind);
    }
    Ok(Known { offers, kinds })
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
    /// A vmcp that did not look for kinds has written none.
    #[serde(borrow, default)]
    kinds: Vec<StoredKind<'a>>,
}

/// The revision that the clients speak, what they can do, the backends that offer them nothing of their
/// own, and what others do.
#[derive(Deserialize)]
struct StoredKind<'a>(
    Box<str>,
    #[serde(borrow)] &'a RawValue,
    Vec<Box<str>>,
    #[serde(borrow)] Vec<Entry<'a>>,
);

impl StoredKind<'_> {
    fn into_kind(
        self,
        offers: &BTreeMap<BackendId, Arc<Offer>>,
    ) -> Result<(ClientView, KnownKind), Unreadable> {
        let Self(version, capabilities, same, own) = self;
        let version = ProtocolVersion::legacy_from_name(&version).ok_or(Unreadable::Altered)?;
        let capabilities = Bytes::copy_from_slice(capabilities.get().as_bytes());
        Members::parse(&capabilities).ok_or(Unreadable::Altered)?;
        let same = same.iter().map(|id| {
            BackendId::new(id).map(|id| (id, None)).map_err(|_invalid| Unreadable::Altered)
        });
        let own = own.into_iter().map(|entry| {
            let (id, offer) = entry.into_offer()?;
            Ok((id, Some(offer)))
        });
        let found = same.chain(own).map(|found| {
            let (id, own) = found?;
            let compared = offers.get(&id).cloned().ok_or(Unreadable::Altered)?;
            Ok((id, Found { own, compared }))
        });
        Ok((ClientView::new(version, capabilities), found.collect::<Result<_, _>>()?))
    }
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
        let (capabilities, _left_out) = declared::fitted(&capabilities);
        // On which side they were read is not known any more.
        let lists = read_lists(lists.get().as_bytes(), Era::Modern).map_err(Unreadable::Lists)?;
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
