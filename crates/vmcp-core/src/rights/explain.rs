//! Says what somebody may do and why, for whoever writes policies.

use serde_json::{Value, json};
use vmcp_catalog::{Catalog, Reach, Route, could_expand};
use vmcp_model::Kind;
use vmcp_policy::{Decision, Feature, Hints, NoSubject, Object, Policy, Right};

use super::object_of;
use crate::admission::readable;

/// One use that is asked about.
#[derive(Debug, Clone)]
pub struct Use {
    pub what: Used,
    /// What clients call it.
    pub name: String,
    /// The backend that has it, where that cannot be seen in a catalog.
    pub backend: Option<String>,
    /// What it says of itself, if it is a tool that stands in no catalog.
    pub hints: Hints,
    /// A JSON object.
    pub arguments: Option<Vec<u8>>,
}

/// Of what kind it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Used {
    Tool,
    Prompt,
    /// Named by a URI.
    Resource,
    /// A template in a list, named by its text.
    Template,
    /// A method that is none of the protocol's.
    Method,
}

/// What somebody may do, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// As policies see it.
    pub action: &'static str,
    pub entity_type: &'static str,
    pub name: String,
    pub backend: Option<String>,
    /// Whether it stands in a catalog, or could be what a template there expands to.
    pub is_listed: bool,
    /// With which arguments it is allowed; a list shows it unless with none.
    pub right: Right,
    /// The use with the arguments that were given.
    pub decision: Decision,
}

impl Used {
    pub const ALL: [Self; 5] =
        [Self::Tool, Self::Prompt, Self::Resource, Self::Template, Self::Method];

    /// The only one that is named, of names in the order of [`Used::ALL`].
    pub fn only(names: [Option<&str>; 5]) -> Option<(Self, String)> {
        let named = Self::ALL.into_iter().zip(names);
        let mut named = named.filter_map(|(what, name)| Some((what, name?.to_owned())));
        named.next().filter(|_| named.next().is_none())
    }

    /// The word for it: `tool`, `prompt`, `resource`, `template` or `method`.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::Template => "template",
            Self::Method => "method",
        }
    }
}

/// Explains one use by a caller with these claims (a JSON object). What a catalog says of it counts, if there
/// is one.
///
/// # Errors
/// If the claims say of nobody who it is.
pub fn explain(
    policy: &Policy,
    catalog: Option<&Catalog>,
    claims: &[u8],
    asked: &Use,
) -> Result<Explanation, NoSubject> {
    let subject = policy.subject(claims)?;
    let listed = catalog.and_then(|catalog| {
        let kind = match asked.what {
            Used::Tool => Kind::Tool,
            Used::Prompt => Kind::Prompt,
            Used::Resource => Kind::Resource,
            Used::Template => Kind::ResourceTemplate,
            Used::Method => return None,
        };
        catalog.item(kind, &asked.name, Reach::Listed)
    });
    let expanded = catalog.filter(|_| asked.what == Used::Resource && listed.is_none());
    let expanded = expanded.and_then(|catalog| catalog.resource(&asked.name));
    let fits = |uri: &str| could_expand(&asked.name, uri);
    let (action, entity_type, feature) = match asked.what {
        Used::Tool => ("call_tool", "Tool", Feature::Tool(asked.hints)),
        Used::Prompt => ("get_prompt", "Prompt", Feature::Prompt),
        Used::Resource => {
            let template = expanded.and_then(Route::backend_name);
            ("read_resource", "Resource", Feature::Resource { template })
        }
        Used::Template => ("read_resource", "Resource", Feature::Template { fits: &fits }),
        Used::Method => ("send_request", "Method", Feature::Method),
    };
    let object = match &listed {
        Some(item) => object_of(item, &fits),
        None => {
            let known = expanded.and_then(Route::backend).map(|id| id.as_str());
            Object { feature, name: &asked.name, backend: asked.backend.as_deref().or(known) }
        }
    };
    Ok(Explanation {
        action,
        entity_type,
        name: asked.name.clone(),
        backend: object.backend.map(str::to_owned),
        is_listed: listed.is_some() || expanded.is_some(),
        right: policy.right(&subject, &object),
        decision: match (asked.what, catalog) {
            (Used::Resource, Some(catalog)) => {
                let judge = |object: &Object<'_>| policy.decide(&subject, object, None);
                readable(catalog, catalog, &judge, &asked.name, object.backend)
            }
            _ => policy.decide(&subject, &object, asked.arguments.as_deref()),
        },
    })
}

impl Explanation {
    /// The same for programs.
    pub fn to_json(&self) -> Value {
        let Self { action, entity_type, name, backend, is_listed: _, right, decision } = self;
        let right = match right {
            Right::Never => "never",
            Right::ByArguments => "by arguments",
            Right::Always => "always",
        };
        json!({
            "action": action,
            "type": entity_type,
            "name": name,
            "backend": backend,
            "decision": if decision.is_allowed { "allow" } else { "deny" },
            "allowed": right,
            "policies": decision.policies,
            "errors": decision.errors,
        })
    }
}
