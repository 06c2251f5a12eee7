//! What there is for policies to speak of.

use std::collections::{BTreeSet, HashSet};

use cedar_policy::pst::EntityUID;
use vmcp_model::near::nearest;

use crate::{kinds::Action, settings::Settings, world::World};

/// Actions that ToolHive has, and that are never asked for here.
const LISTS: [&str; 3] = ["list_tools", "list_prompts", "list_resources"];

/// The entities and types that are there.
pub(super) struct Known<'a> {
    pub(super) server: &'a str,
    /// The type of groups.
    pub(super) group: &'a str,
    backends: &'a [&'a str],
    /// What entitiesJson names, by type and id.
    named: HashSet<(String, String)>,
    types: BTreeSet<String>,
}

impl<'a> Known<'a> {
    pub(super) fn new(settings: &'a Settings, world: &World, backends: &'a [&'a str]) -> Self {
        let named: HashSet<(String, String)> = world
            .named
            .iter()
            .map(|uid| (uid.type_name().to_string(), uid.id().unescaped().to_owned()))
            .collect();
        let mut types: BTreeSet<String> = named.iter().map(|(kind, _)| kind.clone()).collect();
        types.extend(["Client", "Action", "MCP", "Backend"].map(str::to_owned));
        types.extend(Action::ALL.map(|action| action.kind().to_owned()));
        types.insert(settings.group_entity_type.clone());
        Self {
            server: &settings.server,
            group: &settings.group_entity_type,
            backends,
            named,
            types,
        }
    }

    /// Whether entitiesJson names it.
    pub(super) fn is_named(&self, uid: &EntityUID) -> bool {
        self.named.contains(&(uid.ty.to_string(), uid.eid.to_string()))
    }

    /// What is odd about a type.
    pub(super) fn kind(&self, kind: &str) -> Option<String> {
        if self.types.contains(kind) {
            return None;
        }
        let types = self.types.iter().map(String::as_str);
        let lower = kind.to_lowercase();
        let is_like_groups = ["group", "team", "role"].iter().any(|word| lower.contains(word));
        let hint = match nearest(kind, types.clone()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if is_like_groups => self.type_of_groups(kind),
            None => format!("there are {}", listed(types, "and")),
        };
        Some(format!("nothing has the type `{kind}`: {hint}"))
    }

    /// What is odd about a type that stands where a group is meant.
    pub(super) fn group_kind(&self, kind: &str) -> Option<String> {
        if self.types.contains(kind) {
            return None;
        }
        let hint = match nearest(kind, [self.group]) {
            Some(near) => format!("did you mean `{near}`?"),
            None => self.type_of_groups(kind),
        };
        Some(format!("nothing has the type `{kind}`: {hint}"))
    }

    fn type_of_groups(&self, instead_of: &str) -> String {
        let group = self.group;
        match instead_of.contains("::") {
            true => format!("groups are of the type `{group}`, so write that"),
            false => format!(
                "groups are of the type `{group}`, so write that, or set groupEntityType to `{instead_of}`"
            ),
        }
    }

    /// What is odd about an entity.
    pub(super) fn entity(&self, uid: &EntityUID) -> Option<String> {
        let (kind, id) = (uid.ty.to_string(), uid.eid.as_str());
        match kind.as_str() {
            "Action" => action(id),
            "MCP" if id != self.server && !self.is_named(uid) => Some(format!(
                "`{}` is not this server, so nothing is in it: by its `name` it is `MCP::{:?}`",
                shown(uid),
                self.server
            )),
            "Backend" if !self.backends.contains(&id) && !self.is_named(uid) => {
                let near = nearest(id, self.backends.iter().copied());
                let hint = match near {
                    Some(near) => format!("did you mean `Backend::{near:?}`?"),
                    None if self.backends.is_empty() => "there are no backends".to_owned(),
                    None => "write the name of a backend of this configuration".to_owned(),
                };
                Some(format!("there is no `{}`: {hint}", shown(uid)))
            }
            kind => self.kind(kind),
        }
    }
}

/// What is odd about an action of this name.
fn action(name: &str) -> Option<String> {
    let names = Action::ALL.map(Action::name);
    if names.contains(&name) {
        return None;
    }
    let hint = match nearest(name, names) {
        _ if LISTS.contains(&name) => format!(
            "a list shows what its caller may use, so permit or forbid the use itself, `Action::{:?}`",
            match name {
                "list_tools" => "call_tool",
                "list_prompts" => "get_prompt",
                _ => "read_resource",
            }
        ),
        Some(near) => format!("did you mean `Action::{near:?}`?"),
        None => format!("the actions are {}", listed(names, "and")),
    };
    Some(format!("`Action::{name:?}` is never asked for: {hint}"))
}

/// An entity as policies write it.
pub(super) fn shown(uid: &EntityUID) -> String {
    format!("{}::{:?}", uid.ty, uid.eid.as_str())
}

/// `a`, `b` and `c`.
pub(super) fn listed<'a>(names: impl IntoIterator<Item = &'a str>, word: &str) -> String {
    let mut names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.pop() {
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} {word} {last}", names.join(", ")),
        None => String::new(),
    }
}
