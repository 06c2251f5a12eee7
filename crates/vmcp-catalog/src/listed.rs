//! The form in which the lists of one offer are stored.
//!
//! It is JSON with every item's own bytes inside it, and canonical as that of a catalog is: equal
//! lists have equal bytes, so its digest names them. What a backend says about itself beside its
//! lists is no part of it.

use std::fmt;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use vmcp_model::{Era, Item, Kind, Offer};

/// The stored form that this version writes.
const VERSION: u64 = 1;

/// Bytes that are no stored lists. What to do: read them from the backend again.
#[derive(Debug)]
pub enum InvalidLists {
    /// A form that this version of vmcp does not know.
    Version(u64),
    /// Not the stored form at all.
    Malformed(serde_json::Error),
    /// The stored form, but not what [`write_lists`] writes.
    Altered,
}

/// The stored form of an offer's lists.
pub fn write_lists(offer: &Offer) -> Bytes {
    let mut out = format!(r#"{{"version":{VERSION}"#).into_bytes();
    for kind in Kind::ALL {
        out.extend_from_slice(format!(r#","{}":["#, kind.list_member()).as_bytes());
        for (index, item) in offer.items(kind).iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            // The white space around it is no part of it, and a reader would not see it.
            out.extend_from_slice(item.json().trim_ascii());
        }
        out.push(b']');
    }
    out.push(b'}');
    out.into()
}

/// Reads the stored form: an offer of which nothing is known but its lists, which were read on this `side`
/// of their backend.
///
/// # Errors
/// If this is not, to the byte, what [`write_lists`] writes.
pub fn read_lists(bytes: &[u8], side: Era) -> Result<Offer, InvalidLists> {
    let Head { version } = serde_json::from_slice(bytes).map_err(InvalidLists::Malformed)?;
    if version != VERSION {
        return Err(InvalidLists::Version(version));
    }
    let stored: Stored<'_> = serde_json::from_slice(bytes).map_err(InvalidLists::Malformed)?;
    let read = |kind: Kind, items: Vec<&RawValue>| -> Result<Vec<Item>, InvalidLists> {
        let parse = |item: &RawValue| {
            let json = Bytes::copy_from_slice(item.get().as_bytes());
            Item::parse(kind, side, json).map_err(|_invalid| InvalidLists::Altered)
        };
        items.into_iter().map(parse).collect()
    };
    let offer = Offer {
        tools: read(Kind::Tool, stored.tools)?,
        resources: read(Kind::Resource, stored.resources)?,
        templates: read(Kind::ResourceTemplate, stored.resource_templates)?,
        prompts: read(Kind::Prompt, stored.prompts)?,
        ..Offer::default()
    };
    if write_lists(&offer) == bytes { Ok(offer) } else { Err(InvalidLists::Altered) }
}

/// What every version of the stored form begins with.
#[derive(Deserialize)]
struct Head {
    version: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored<'a> {
    #[serde(borrow)]
    tools: Vec<&'a RawValue>,
    #[serde(borrow)]
    resources: Vec<&'a RawValue>,
    #[serde(borrow)]
    resource_templates: Vec<&'a RawValue>,
    #[serde(borrow)]
    prompts: Vec<&'a RawValue>,
}

impl fmt::Display for InvalidLists {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => {
                write!(f, "the stored lists have form {version}; this vmcp reads form {VERSION}")
            }
            Self::Malformed(_) => f.write_str("the stored lists cannot be read"),
            Self::Altered => f.write_str("the stored lists are not as vmcp wrote them"),
        }
    }
}

impl std::error::Error for InvalidLists {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Malformed(cause) => Some(cause),
            Self::Version(_) | Self::Altered => None,
        }
    }
}
