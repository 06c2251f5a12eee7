//! What callers may do: `incomingAuth.authz`.

use std::sync::Arc;

use vmcp_core::Denial;
use vmcp_policy::{Place, Policy, Problem, Settings};

use super::{Authorization, file, reader::Reader, value::Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    None,
    Cedar,
}

/// What goes with cedar, and says nothing without it.
const OF_CEDAR: [&str; 6] = [
    "policiesFile",
    "entitiesJson",
    "groupClaimName",
    "roleClaimName",
    "groupEntityType",
    "deniedStatus",
];

/// Reads what callers may do. `server` is the name of this server, which policies may speak of, as they may of
/// `backends`.
pub(super) fn read(reader: &Reader<'_>, server: &str, backends: &[&str]) -> Authorization {
    let denial = reader.choice("deniedStatus", &[Denial::Forbidden, Denial::Answer]);
    Authorization { policy: policy(reader, server, backends), denial: denial.unwrap_or_default() }
}

/// Reads the policies; `None` lets everybody do everything.
fn policy(reader: &Reader<'_>, server: &str, backends: &[&str]) -> Option<Arc<Policy>> {
    let kind = reader.choice("type", &[Kind::None, Kind::Cedar]);
    if kind != Some(Kind::Cedar) {
        only_with_cedar(reader);
        return None;
    }
    let texts = reader.texts("policies");
    let in_file = reader.value("policiesFile");
    let text = |name| reader.text(name);
    let (entities, group_claim) = (text("entitiesJson"), text("groupClaimName"));
    let (role_claim, group_type) = (text("roleClaimName"), text("groupEntityType"));
    if texts.is_empty() && in_file.is_none() {
        let why = "is required for type: cedar, unless policiesFile names a file; without a policy nothing is \
                   allowed to anybody";
        reader.missing("policies", why);
        return None;
    }
    let from_file = match &in_file {
        // What is wrong has been told.
        Some(value) => Some(text_of(value)?),
        None => None,
    };
    let settings = Settings {
        server: server.to_owned(),
        policies: texts.iter().map(|(_, text)| text.clone()).chain(from_file).collect(),
        entities,
        group_claim,
        role_claim,
        group_entity_type: group_type.unwrap_or_else(|| Settings::GROUP_ENTITY_TYPE.to_owned()),
    };
    // Where something stands, and what is to be told of it. Without a value, a default is what is wrong.
    let told = |problem: &Problem| match problem.place {
        Place::Policies(number) => match (texts.get(number), &in_file) {
            (Some((value, _)), _) => (Some(value.clone()), problem.to_string()),
            (None, Some(file)) => (Some(file.clone()), format!("{}: {problem}", file.quoted())),
            (None, None) => (None, problem.to_string()),
        },
        Place::Entities => (reader.value("entitiesJson"), problem.to_string()),
        Place::GroupEntityType => (reader.value("groupEntityType"), problem.message.clone()),
    };
    match Policy::new(&settings) {
        Ok(policy) => {
            for (value, text) in policy.warnings(backends).iter().map(told) {
                if let Some(value) = value {
                    value.warning(text);
                }
            }
            Some(Arc::new(policy))
        }
        Err(problems) => {
            for (value, text) in problems.iter().map(told) {
                match value {
                    Some(value) => value.problem(text),
                    None => reader.problem(text),
                }
            }
            None
        }
    }
}

/// Tells of what has no effect: whoever writes it wants callers to be told apart.
fn only_with_cedar(reader: &Reader<'_>) {
    let texts = reader.texts("policies");
    let others = OF_CEDAR.iter().filter_map(|key| reader.value(key));
    // What the reference system writes for none.
    let others = others.filter(|value| value.any_text().is_none_or(|text| text.trim() != "[]"));
    let first_text = texts.first().map(|_| reader.value("policies"));
    for value in first_text.into_iter().flatten().chain(others) {
        value.problem("only takes effect with type: cedar");
    }
}

fn text_of(value: &Value<'_>) -> Option<String> {
    let text = String::from_utf8(file::referenced(value)?).ok();
    if text.is_none() {
        value.problem(format!("{} is not UTF-8 text", value.quoted()));
    }
    text
}
