//! Headers that the reference system's operator hands to its server for a backend, in a variable that is named
//! after the backend: `TOOLHIVE_HEADER_FORWARD_MY_SERVER` for `my-server`.
//!
//! It holds `{"addPlaintextHeaders": {NAME: VALUE}, "addHeadersFromSecret": {NAME: ID}}` as JSON, where the value of
//! a secret stands in the variable `TOOLHIVE_SECRET_ID`. No message holds a value.

use std::collections::BTreeMap;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value as Json};
use vmcp_model::BackendId;

use super::{
    expand, fixed_headers, outgoing,
    problem::Problem,
    secret,
    value::{Value, join},
};

/// How the variables begin.
const MANIFEST: &str = "TOOLHIVE_HEADER_FORWARD_";

/// How those begin that hold a secret.
const SECRET: &str = "TOOLHIVE_SECRET_";

const PLAINTEXT: &str = "addPlaintextHeaders";
const FROM_SECRET: &str = "addHeadersFromSecret";

/// A header that a variable gives a backend.
pub(super) struct Forwarded<'a> {
    pub(super) name: HeaderName,
    pub(super) content: HeaderValue,
    /// What messages call it: the variable, and the keys that lead to it there.
    pub(super) key: String,
    backend: Value<'a>,
}

/// The variables that were looked into, each with the backend for which that was.
#[derive(Default)]
pub(super) struct Claimed(BTreeMap<String, String>);

/// The variable of one backend.
struct Manifest<'a, 'b> {
    variable: &'b str,
    backend: &'b Value<'a>,
}

/// Reads what the variable of a backend holds, if it is set.
pub(super) fn read<'a>(
    backend: &Value<'a>,
    id: &BackendId,
    claimed: &mut Claimed,
) -> Vec<Forwarded<'a>> {
    let variable = variable_of(id);
    let Some(text) = backend.report().variable(&variable).filter(|text| is_given(text)) else {
        return Vec::new();
    };
    if let Some(other) = claimed.0.get(&variable) {
        backend.problem(format!(
            "the variable {variable} is for a backend of this name, and for {other:?} as well; rename one of the two"
        ));
        return Vec::new();
    }
    let manifest = Manifest { variable: &variable, backend };
    let headers = manifest.headers(&text);
    claimed.0.insert(variable, id.to_string());
    headers
}

/// Whether nobody has to set this variable, whatever the backends are called.
pub(crate) fn is_manifest(variable: &str) -> bool {
    variable.starts_with(MANIFEST)
}

/// Tells of variables that are for none of these backends. `names` are those of all variables.
pub(super) fn unclaimed<'a>(
    names: impl IntoIterator<Item = String>,
    backends: impl IntoIterator<Item = &'a BackendId>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Vec<Problem> {
    let claimed: Vec<_> = backends.into_iter().map(variable_of).collect();
    let is_unclaimed = |name: &String| {
        is_manifest(name)
            && !claimed.contains(name)
            && environment(name).is_some_and(|text| is_given(&text))
    };
    let mut unclaimed: Vec<_> = names.into_iter().filter(is_unclaimed).collect();
    unclaimed.sort();
    let told = |name| {
        let text = format!(
            "the variable {name} is set, and its headers are sent to nobody, as it is named after no backend of this \
             file; unset it, or name the backend so"
        );
        Problem::of_file(text)
    };
    unclaimed.into_iter().map(told).collect()
}

/// The variable of a backend. What a variable's name cannot hold is a `_` there, as the reference system has it.
fn variable_of(id: &BackendId) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = id.as_str().chars().map(letter).collect();
    format!("{MANIFEST}{name}")
}

fn is_given(text: &str) -> bool {
    !text.trim().is_empty()
}

impl<'a> Manifest<'a, '_> {
    fn headers(&self, text: &str) -> Vec<Forwarded<'a>> {
        let variable = self.variable;
        let members = match serde_json::from_str(text) {
            Ok(Json::Object(members)) => members,
            Ok(_) => {
                let wanted = format!("must hold a JSON object with {PLAINTEXT} and {FROM_SECRET}");
                self.backend.problem(format!("the variable {variable} {wanted}"));
                return Vec::new();
            }
            // The error's own text may quote what stands there.
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                self.backend.problem(format!(
                    "the variable {variable} does not hold valid JSON: see its line {line}, column {column}"
                ));
                return Vec::new();
            }
        };
        for name in members.keys().filter(|name| ![PLAINTEXT, FROM_SECRET].contains(&name.as_str()))
        {
            self.backend.problem(format!(
                "the variable {variable} has an unknown key {name:?}; the keys there are {PLAINTEXT}, {FROM_SECRET}"
            ));
        }
        let plaintext = self.texts(&members, PLAINTEXT).into_iter();
        let plaintext = plaintext.filter_map(|(name, value)| {
            self.header(PLAINTEXT, name, |key| {
                outgoing::header_value(self.backend, value.as_bytes(), key)
            })
        });
        let secret = self.texts(&members, FROM_SECRET).into_iter();
        let secret = secret.filter_map(|(name, id)| {
            self.header(FROM_SECRET, name, |key| {
                outgoing::header_value(self.backend, self.secret(key, id)?.as_bytes(), key)
            })
        });
        plaintext.chain(secret).collect()
    }

    /// What one of its maps holds.
    fn texts<'c>(&self, members: &'c Map<String, Json>, member: &str) -> Vec<(&'c str, &'c str)> {
        let map = match members.get(member) {
            Some(Json::Object(map)) => map,
            // As the operator's language has it.
            Some(Json::Null) | None => return Vec::new(),
            Some(_) => {
                self.backend.problem(format!("{} must be a map of texts", self.key(member)));
                return Vec::new();
            }
        };
        let pair = |(name, value): (&'c String, &'c Json)| {
            let text = value.as_str();
            if text.is_none() {
                let key = self.key(&join(member, name));
                self.backend.problem(format!("{key} must be text"));
            }
            Some((name.as_str(), text?))
        };
        map.iter().filter_map(pair).collect()
    }

    fn header(
        &self,
        member: &str,
        text: &str,
        content: impl FnOnce(&str) -> Option<HeaderValue>,
    ) -> Option<Forwarded<'a>> {
        let key = self.key(&join(member, text));
        match fixed_headers::name(text) {
            Ok(name) => {
                let content = content(&key)?;
                Some(Forwarded { name, content, key, backend: self.backend.clone() })
            }
            Err(why) => {
                self.backend.problem(format!("{key}: {why}"));
                None
            }
        }
    }

    /// What the variable of a secret holds.
    fn secret(&self, key: &str, id: &str) -> Option<String> {
        let variable = format!("{SECRET}{id}");
        if !expand::is_name(&variable) {
            // It may be the secret itself, in the wrong place.
            self.backend.problem(format!(
                "{key} is not the ID of a secret, which is what stands behind {SECRET} in the name of its variable"
            ));
            return None;
        }
        let secret = self.backend.report().variable(&variable).and_then(secret::held);
        if secret.is_none() {
            self.backend.no_variable(format!(
                "{key} names the variable {variable}, which is not set or empty"
            ));
        }
        secret
    }

    /// What messages call something in it.
    fn key(&self, path: &str) -> String {
        format!("the variable {} ({path})", self.variable)
    }
}

impl Forwarded<'_> {
    pub(super) fn problem(&self, text: &str) {
        self.backend.problem(format!("{}: {text}", self.key));
    }
}
