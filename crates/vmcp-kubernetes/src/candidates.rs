//! Which objects of a group are backends, and why the others are none.

use std::collections::BTreeMap;

use crate::{
    kind::Kind,
    seen::{Object, Objects},
};

/// The longest name of a backend, in characters.
pub const MAX_NAME: usize = 64;

/// The kinds of which backends are, of which the first has it where several have an object of the same name.
const KINDS: [Kind; 3] = [Kind::Server, Kind::RemoteProxy, Kind::Entry];

/// What can be a backend.
pub(crate) struct Candidate<'a> {
    pub(crate) kind: Kind,
    pub(crate) name: &'a str,
    pub(crate) object: &'a Object,
    pub(crate) url: &'a str,
}

/// Objects of the group that are no backends, and why: `MCPServerEntry maps`.
pub(crate) type LeftOut = BTreeMap<String, String>;

/// The objects of a group that are backends, by name, and those that are none.
pub(crate) fn candidates<'a>(
    objects: &'a Objects,
    group: &str,
) -> (BTreeMap<&'a str, Candidate<'a>>, LeftOut) {
    let mut candidates: BTreeMap<&str, Candidate<'_>> = BTreeMap::new();
    let mut left_out = LeftOut::new();
    for kind in KINDS {
        let of_kind = objects.get(&kind).into_iter().flat_map(|objects| objects.iter());
        for (name, object) in of_kind.filter(|(_, object)| group_of(object) == Some(group)) {
            let taken = candidates.get(name.as_str()).map(|other| other.kind);
            match usable(kind, name, object, taken) {
                Ok(url) => {
                    candidates.insert(name, Candidate { kind, name, object, url });
                }
                Err(why) => {
                    left_out.insert(format!("{} {name}", kind.name()), why);
                }
            }
        }
    }
    (candidates, left_out)
}

/// The URL of an object that is a backend, or why it is none.
fn usable<'a>(
    kind: Kind,
    name: &str,
    object: &'a Object,
    taken: Option<Kind>,
) -> Result<&'a str, String> {
    let phase = object.status["phase"].as_str().filter(|phase| !phase.is_empty());
    let phase =
        phase.map_or("it has no phase yet".to_owned(), |phase| format!("its phase is {phase}"));
    let text = |text: &'a serde_json::Value| text.as_str().filter(|text| !text.is_empty());
    let url = match kind {
        // While it has a URL it is one, whatever its phase: that changes with each of its pods.
        Kind::Server | Kind::RemoteProxy => {
            text(&object.status["url"]).ok_or_else(|| format!("it has no status.url, and {phase}"))
        }
        // The operator has looked at what it refers to.
        _ if object.status["phase"] == "Valid" => {
            text(&object.spec["remoteUrl"]).ok_or_else(|| "it has no spec.remoteUrl".to_owned())
        }
        _ => Err(format!("{phase}, not Valid")),
    }?;
    if let Some(other) = taken {
        return Err(format!("there is an {} of the same name", other.name()));
    }
    if name.len() > MAX_NAME {
        return Err(format!("its name has more than {MAX_NAME} characters"));
    }
    Ok(url)
}

/// The group to which an object says that it belongs.
fn group_of(object: &Object) -> Option<&str> {
    let group = &object.spec["groupRef"];
    group["name"].as_str().or(group.as_str())
}
