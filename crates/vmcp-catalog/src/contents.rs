//! What a catalog holds, and the form in which it is stored.
//!
//! The stored form is JSON with every item's own bytes inside it. It is canonical: equal contents
//! have equal bytes, so its digest names the catalog. Entries stand in it sorted by key; the order of
//! the lists is beside them (`order.rs`).

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use vmcp_model::{BackendId, Kind, Mirror, raw::Members};

use crate::order::Order;

/// Where a call of an exposed capability goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    pub backend: BackendId,
    /// The backend's own name or URI for it.
    pub name: Box<str>,
    /// Whether clients know it by another name.
    pub renamed: bool,
    /// The parameters of a tool that its callers repeat in headers.
    pub mirrors: Box<[Mirror]>,
    /// Clients see the tool's output in an object, in which its backend does not give it.
    pub is_wrapped: bool,
}

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

/// All that clients and routers can see.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    /// At least 1.
    pub(crate) page_size: usize,
    /// Sorted.
    pub(crate) backends: Vec<BackendId>,
    pub(crate) capabilities: Bytes,
    pub(crate) instructions: Option<Box<str>>,
    /// In the order of [`Kind::ALL`], each in the order of its list and without a key that stands twice.
    pub(crate) entries: [Vec<Entry>; 4],
}

/// One capability as clients see it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The exposed name, URI or URI template.
    pub(crate) key: Arc<str>,
    pub(crate) route: Route,
    /// The advertised object, without white space around it.
    pub(crate) json: Bytes,
}

/// The stored form that this version writes.
const VERSION: u64 = 1;

impl Contents {
    pub(crate) fn to_bytes(&self) -> Bytes {
        let (backends, entries) = (&self.backends, &self.entries);
        let mut out = format!(
            r#"{{"version":{VERSION},"pageSize":{},"backends":{},"capabilities":"#,
            self.page_size,
            json(&backends.iter().map(BackendId::as_str).collect::<Vec<_>>()),
        )
        .into_bytes();
        let (sorted, order) = Order::of(entries);
        out.extend_from_slice(&order.written_into(&self.capabilities));
        out.extend_from_slice(br#","instructions":"#);
        out.extend_from_slice(json(&self.instructions).as_bytes());
        for (kind, entries) in Kind::ALL.into_iter().zip(sorted) {
            out.extend_from_slice(format!(r#","{}":["#, kind.list_member()).as_bytes());
            for (index, Entry { key, route, json: item }) in entries.into_iter().enumerate() {
                let separator = if index == 0 { "" } else { "," };
                let own_name = route.renamed.then_some(&route.name);
                let (key, own_name) = (json(&&**key), json(&own_name));
                let backend = json(&route.backend.as_str());
                let head = format!("{separator}[{key},{backend},{own_name},");
                out.extend_from_slice(head.as_bytes());
                out.extend_from_slice(item);
                out.push(b']');
            }
            out.push(b']');
        }
        out.push(b'}');
        out.into()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidCatalog> {
        let Head { version } = serde_json::from_slice(bytes).map_err(InvalidCatalog::Malformed)?;
        if version != VERSION {
            return Err(InvalidCatalog::Version(version));
        }
        let stored: Stored<'_> =
            serde_json::from_slice(bytes).map_err(InvalidCatalog::Malformed)?;
        let mut contents = stored.into_contents().ok_or(InvalidCatalog::Altered)?;
        let sorted = contents.backends.is_sorted_by(|a, b| a < b)
            && contents.entries.iter().all(|kind| kind.is_sorted_by(|a, b| a.key < b.key));
        let (order, capabilities) =
            Order::read_from(&contents.capabilities).ok_or(InvalidCatalog::Altered)?;
        contents.capabilities = capabilities;
        contents.entries = order.restored(contents.entries).ok_or(InvalidCatalog::Altered)?;
        if !sorted || contents.page_size == 0 || contents.to_bytes() != bytes {
            return Err(InvalidCatalog::Altered);
        }
        Ok(contents)
    }
}

/// What every version of the stored form begins with.
#[derive(Deserialize)]
struct Head {
    version: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored<'a> {
    page_size: usize,
    backends: Vec<String>,
    #[serde(borrow)]
    capabilities: &'a RawValue,
    instructions: Option<Box<str>>,
    #[serde(borrow)]
    tools: Vec<StoredEntry<'a>>,
    #[serde(borrow)]
    resources: Vec<StoredEntry<'a>>,
    #[serde(borrow)]
    resource_templates: Vec<StoredEntry<'a>>,
    #[serde(borrow)]
    prompts: Vec<StoredEntry<'a>>,
}

/// The exposed key, the backend, its own name where that differs, the advertised object.
#[derive(Deserialize)]
struct StoredEntry<'a>(Box<str>, Box<str>, Option<Box<str>>, #[serde(borrow)] &'a RawValue);

impl Stored<'_> {
    /// `None` if it cannot have been written by vmcp.
    fn into_contents(self) -> Option<Contents> {
        let backends: Option<Vec<_>> =
            self.backends.iter().map(|name| BackendId::new(name).ok()).collect();
        let backends = backends?;
        let read = |entries: Vec<StoredEntry<'_>>| -> Option<Vec<Entry>> {
            entries.into_iter().map(|entry| entry.into_entry(&backends)).collect()
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

impl StoredEntry<'_> {
    fn into_entry(self, backends: &[BackendId]) -> Option<Entry> {
        let Self(key, backend, own_name, item) = self;
        let place = backends.binary_search_by(|known| known.as_str().cmp(&backend)).ok()?;
        let renamed = own_name.is_some();
        let name = own_name.unwrap_or_else(|| key.clone());
        let mirrors = Box::default();
        let backend = backends[place].clone();
        let route = Route { backend, name, renamed, mirrors, is_wrapped: false };
        Some(Entry { key: key.into(), route, json: object(item)? })
    }
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
                write!(f, "the stored catalog has form {version}; this vmcp reads form {VERSION}")
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
