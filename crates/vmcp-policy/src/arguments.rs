//! The arguments of a use, as policies read them.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fmt,
};

use cedar_policy::RestrictedExpression;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::value;

/// What the attributes of arguments are called.
pub(crate) const PREFIX: &str = "arg_";

/// Attributes by their names.
pub(crate) type Attributes = BTreeMap<String, RestrictedExpression>;

/// Which attributes policies read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    These(BTreeSet<String>),
}

/// The longest argument that is judged, in bytes as it is written.
const LONGEST: usize = 64 << 10;

/// A name without its case.
fn folded(name: &str) -> String {
    name.to_uppercase().to_lowercase()
}

impl Wanted {
    /// Whether an attribute is wanted that is called so but for its case.
    fn has_like(&self, folded_name: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.iter().any(|name| {
                let name = folded(name);
                name == *folded_name || name.strip_suffix("_present") == Some(folded_name)
            }),
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::These(names) if names.is_empty())
    }

    pub(crate) fn has(&self, attribute: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(attribute),
        }
    }
}

/// The attributes that these arguments make. What is no object counts as no arguments.
///
/// # Errors
/// What is wrong with the arguments, where policies cannot be sure to read what a backend will read.
pub(crate) fn attributes(text: &[u8], wanted: &Wanted) -> Result<Attributes, String> {
    let mut attributes = Attributes::new();
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Ok(attributes);
    }
    let Fields(fields) = serde_json::from_slice(text)
        .map_err(|error| format!("the arguments cannot be read (column {})", error.column()))?;
    let mut seen = HashSet::new();
    for (name, raw) in &fields {
        let attribute = format!("{PREFIX}{name}");
        let presence = format!("{attribute}_present");
        let is_wanted = wanted.has(&attribute) || wanted.has(&presence);
        // Some readers take names for one that differ in case alone.
        if !seen.insert(folded(name)) && wanted.has_like(&folded(&attribute)) {
            return Err("an argument is given twice, so it is unclear which counts".to_owned());
        }
        if !is_wanted {
            continue;
        }
        if raw.get().len() > LONGEST {
            return Err(format!("an argument that policies read is over {LONGEST} bytes"));
        }
        let scalar = value::scalar(raw)
            .map_err(|error| format!("an argument cannot be read (column {})", error.column()))?;
        match scalar {
            // What says that an argument is there comes before an argument that is called so.
            None => {
                attributes.insert(presence, RestrictedExpression::new_bool(true));
            }
            Some(scalar) => {
                let _kept = attributes.entry(attribute).or_insert(scalar);
            }
        }
    }
    attributes.retain(|attribute, _| wanted.has(attribute));
    Ok(attributes)
}

/// The fields of an object in their order, those of the same name too.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}
