//! The form in which a catalog is stored.
//!
//! It is JSON with every item's own bytes inside it. It is canonical: equal contents have equal bytes,
//! so its digest names the catalog.
//!
//! Form 1 can say nothing but what backends have and clients see. Its entries are sorted by key; the
//! order of the lists is beside them (`order.rs`). Whatever it can say is written in it, as replicas of
//! the version before read no other. Form 2 has the entries in the order of their lists, then those that
//! are in no list; each says how far away it is, and may lead to a tool of vmcp's own.

use std::{collections::HashSet, fmt};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use vmcp_model::{BackendId, Kind, raw::Members};

use crate::{
    contents::{Contents, Entry},
    order::{ORDER, Order},
    own::OwnTool,
    route::{Reach, Route, Target},
};

/// Bytes that are no stored catalog. What to do: merge again.
#[derive(Debug)]
pub enum InvalidCatalog {
    /// A form that this version of vmcp does not know.
    Version(u64),
    /// Not the stored form at all.
    Malformed(serde_json::Error),
    /// The stored form, but not what [`Catalog::to_bytes`](crate::Catalog::to_bytes) writes.
    Altered,
}

impl Contents {
    pub(crate) fn to_bytes(&self) -> Bytes {
        match self.entries.iter().flatten().all(is_of_first_form) {
            true => self.first_form(),
            false => self.second_form(),
        }
    }

    fn first_form(&self) -> Bytes {
        let (sorted, order) = Order::of(&self.entries);
        let mut out = self.head(1, &order.written_into(&self.capabilities));
        for (kind, entries) in Kind::ALL.into_iter().zip(sorted) {
            write_list(&mut out, kind, entries, |entry| {
                let (backend, name) = target(&entry.route.target);
                format!("{},{},{}", json(&&*entry.key), json(&backend), json(&name))
            });
        }
        out.push(b'}');
        out.into()
    }

    fn second_form(&self) -> Bytes {
        let mut out = self.head(2, &self.capabilities);
        for (kind, entries) in Kind::ALL.into_iter().zip(&self.entries) {
            write_list(&mut out, kind, entries, |entry| {
                let (backend, name) = target(&entry.route.target);
                let (key, reach) = (json(&&*entry.key), json(&entry.reach.text()));
                format!("{key},{reach},{},{}", json(&backend), json(&name))
            });
        }
        out.push(b'}');
        out.into()
    }

    /// The members before the lists.
    fn head(&self, version: u64, capabilities: &[u8]) -> Vec<u8> {
        let backends: Vec<_> = self.backends.iter().map(BackendId::as_str).collect();
        let (page_size, backends) = (self.page_size, json(&backends));
        let head = format!(
            r#"{{"version":{version},"pageSize":{page_size},"backends":{backends},"capabilities":"#
        );
        let instructions = format!(r#","instructions":{}"#, json(&self.instructions));
        [head.as_bytes(), capabilities, instructions.as_bytes()].concat()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidCatalog> {
        let Head { version } = serde_json::from_slice(bytes).map_err(InvalidCatalog::Malformed)?;
        let contents = match version {
            1 => Self::from_first_form(parsed(bytes)?),
            2 => Self::from_second_form(parsed(bytes)?),
            other => return Err(InvalidCatalog::Version(other)),
        };
        let is_ours = |contents: &Self| {
            contents.page_size > 0
                && contents.backends.is_sorted_by(|a, b| a < b)
                && contents.to_bytes() == bytes
        };
        contents.filter(is_ours).ok_or(InvalidCatalog::Altered)
    }

    /// `None` if it cannot have been written by vmcp.
    fn from_first_form(stored: Stored<'_, FirstEntry<'_>>) -> Option<Self> {
        let mut contents = stored.into_contents()?;
        if !contents.entries.iter().all(|kind| kind.is_sorted_by(|a, b| a.key < b.key)) {
            return None;
        }
        let (order, capabilities) = Order::read_from(&contents.capabilities)?;
        contents.capabilities = capabilities;
        contents.entries = order.restored(contents.entries)?;
        Some(contents)
    }

    /// `None` if it cannot have been written by vmcp.
    fn from_second_form(stored: Stored<'_, SecondEntry<'_>>) -> Option<Self> {
        let mut contents = stored.into_contents()?;
        let is_distinct = |entries: &Vec<Entry>| {
            let mut seen = HashSet::new();
            entries.iter().all(|entry| seen.insert(&entry.key))
        };
        // The order of the lists stands there in the first form alone.
        let has_order = Members::parse(&contents.capabilities)?.span(ORDER).is_some();
        if has_order || !contents.entries.iter().all(is_distinct) {
            return None;
        }
        contents.arrange();
        Some(contents)
    }
}

fn is_of_first_form(entry: &Entry) -> bool {
    entry.reach == Reach::Listed && entry.route.backend().is_some()
}

/// A target in two members: its backend, and the backend's own name where that differs from the key; or
/// none, and the tool of vmcp's own.
fn target(target: &Target) -> (Option<&str>, Option<&str>) {
    match target {
        Target::Backend { backend, name, renamed } => {
            (Some(backend.as_str()), renamed.then_some(&**name))
        }
        Target::Own(tool) => (None, Some(tool.text())),
    }
}

fn write_list<'e>(
    out: &mut Vec<u8>,
    kind: Kind,
    entries: impl IntoIterator<Item = &'e Entry>,
    head: impl Fn(&Entry) -> String,
) {
    out.extend_from_slice(format!(r#","{}":["#, kind.list_member()).as_bytes());
    for (index, entry) in entries.into_iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"[" } else { b",[" });
        out.extend_from_slice(head(entry).as_bytes());
        out.push(b',');
        out.extend_from_slice(&entry.json);
        out.push(b']');
    }
    out.push(b']');
}

/// What every version of the stored form begins with.
#[derive(Deserialize)]
struct Head {
    version: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "E: Deserialize<'de>"))]
struct Stored<'a, E> {
    page_size: usize,
    backends: Vec<String>,
    #[serde(borrow)]
    capabilities: &'a RawValue,
    instructions: Option<Box<str>>,
    tools: Vec<E>,
    resources: Vec<E>,
    resource_templates: Vec<E>,
    prompts: Vec<E>,
}

/// The exposed key, the backend, its own name where that differs, the advertised object.
#[derive(Deserialize)]
struct FirstEntry<'a>(Box<str>, Box<str>, Option<Box<str>>, #[serde(borrow)] &'a RawValue);

/// The exposed key, the reach, the two members of the target, the advertised object.
#[derive(Deserialize)]
struct SecondEntry<'a>(
    Box<str>,
    Box<str>,
    Option<Box<str>>,
    Option<Box<str>>,
    #[serde(borrow)] &'a RawValue,
);

impl<'a> From<FirstEntry<'a>> for SecondEntry<'a> {
    fn from(FirstEntry(key, backend, name, item): FirstEntry<'a>) -> Self {
        Self(key, Reach::Listed.text().into(), Some(backend), name, item)
    }
}

impl<'a, E: Into<SecondEntry<'a>>> Stored<'_, E> {
    /// `None` if it cannot have been written by vmcp.
    fn into_contents(self) -> Option<Contents> {
        let backends: Option<Vec<_>> =
            self.backends.iter().map(|name| BackendId::new(name).ok()).collect();
        let backends = backends?;
        let read = |entries: Vec<E>| -> Option<Vec<Entry>> {
            entries.into_iter().map(|entry| entry.into().into_entry(&backends)).collect()
        };
        let entries = [
            read(self.tools)?,
            read(self.resources)?,
            read(self.resource_templates)?,
            read(self.prompts)?,
        ];
        Some(Contents {
            page_size: self.page_size,
            capabilities: object(self.capabilities)?,
            instructions: self.instructions,
            entries,
            backends,
        })
    }
}

impl SecondEntry<'_> {
    fn into_entry(self, backends: &[BackendId]) -> Option<Entry> {
        let Self(key, reach, backend, name, item) = self;
        let target = match backend {
            None => Target::Own(OwnTool::from_text(&name?)?),
            Some(backend) => {
                let place = backends.binary_search_by(|known| known.as_str().cmp(&backend)).ok()?;
                let renamed = name.is_some();
                let name = name.unwrap_or_else(|| key.clone());
                Target::Backend { backend: backends[place].clone(), name, renamed }
            }
        };
        let (reach, json) = (Reach::from_text(&reach)?, object(item)?);
        Some(Entry { key: key.into(), reach, route: Route::to(target), json })
    }
}

fn parsed<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, InvalidCatalog> {
    serde_json::from_slice(bytes).map_err(InvalidCatalog::Malformed)
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("text is always valid JSON")
}

fn object(value: &RawValue) -> Option<Bytes> {
    let bytes = value.get().as_bytes();
    Members::parse(bytes).map(|_| Bytes::copy_from_slice(bytes))
}

impl fmt::Display for InvalidCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "the stored catalog has form {version}; this vmcp reads forms 1 and 2")
            }
            Self::Malformed(_) => f.write_str("the stored catalog cannot be read"),
            Self::Altered => f.write_str("the stored catalog is not as vmcp wrote it"),
        }
    }
}

impl std::error::Error for InvalidCatalog {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(cause) => Some(cause),
            Self::Version(_) | Self::Altered => None,
        }
    }
}
