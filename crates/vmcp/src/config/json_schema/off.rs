//! What may stand under a key that is not supported yet: values that ask for nothing.

use serde_json::{Value, json};

use super::{super::not_yet::Off, patterns};

/// The values that are off.
pub(super) fn of(off: Off) -> Value {
    let empty = || json!({"enum": [null, "", [], {}]});
    let or_empty = |schema: Value| json!({"anyOf": [empty(), schema]});
    let no = json!({"anyOf": [{"const": false}, {"type": "string", "pattern": patterns::NO}]});
    let or_absent = |keys: &[&str]| {
        let none = json!({"anyOf": [empty(), no]});
        let keys = keys.iter().map(|key| ((*key).to_owned(), none.clone()));
        json!({"type": "object", "properties": keys.collect::<serde_json::Map<_, _>>()})
    };
    match off {
        Off::Empty => empty(),
        Off::Hollow => or_empty(json!({"type": "object", "additionalProperties": empty()})),
        Off::Null => json!({"type": "null"}),
        Off::NotEnabled => or_empty(or_absent(&["enabled"])),
    }
}
