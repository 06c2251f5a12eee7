//! How offers are to be merged, as configuration says it.

use std::{collections::BTreeMap, ops::RangeInclusive};

use vmcp_model::{BackendId, Kind};

use crate::own::OwnItem;

/// The rules of one merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How tools and prompts get the names that clients see.
    pub naming: Naming,
    /// The backends in the order in which their items are listed. Those that are not named here come
    /// after, by id.
    pub order: Vec<BackendId>,
    /// What the exposed names of tools and prompts consist of.
    pub names: NameSet,
    /// The longest exposed name of a tool or prompt, in characters. A value outside
    /// [`Rules::NAME_LIMITS`] counts as the nearest one inside.
    pub name_limit: usize,
    /// How many items a list result holds at most. 0 counts as 1.
    pub page_size: usize,
    /// Shows no tool at all.
    pub exclude_all_tools: bool,
    /// Whether the tools of a backend without an entry in `tools` are shown.
    pub default_visibility: Visibility,
    /// What holds for the tools of single backends. An id that no backend has does nothing.
    pub tools: BTreeMap<BackendId, ToolRules>,
    /// The tools of vmcp's own, which are listed after all others. Their names are theirs alone, and no
    /// other rule speaks of them. Of two with one name the first counts.
    pub own: Vec<OwnItem>,
    /// Keeps the tools that are not shown as entries of [`Reach::Hidden`](crate::Reach), each under the
    /// name that it gets once those that are shown have theirs.
    pub keep_hidden: bool,
}

/// How tools and prompts get the names that clients see, and who wins a contested one.
///
/// In every `format`, `{workload}` stands for the backend's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// Every name is prefixed.
    Prefix { format: String },
    /// A name stays as it is. A contested one goes to the claimant that stands first in `order`;
    /// where none of the claimants is listed, each gets its prefix.
    Priority { order: Vec<BackendId>, format: String },
    /// A tool's name stays as it is; a contested one must be settled by overrides, and until then
    /// nobody gets it. Prompts, which have no overrides, are prefixed.
    Manual { format: String },
}

/// What names consist of. Those with anything else are mapped, and their calls mapped back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameSet {
    /// Tools: `A-Z`, `a-z`, `0-9`, `_`, `-` and `.` (specification 2025-11-25, server/tools, "Tool
    /// Names"), but for what the configuration itself gives or puts before them. Prompts: anything.
    #[default]
    AsIs,
    /// `A-Z`, `a-z`, `0-9`, `_` and `-`, prefixes included: what the interfaces of all models take.
    Safe,
}

/// Whether something is shown that no rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Visibility {
    #[default]
    Allow,
    Deny,
}

/// What holds for the tools of one backend.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolRules {
    /// The tools to show, by the names they have after overrides and before any prefix. Empty
    /// shows all.
    pub filter: Vec<String>,
    /// The tools not to show, by the same names.
    pub exclude: Vec<String>,
    /// Shows none of them.
    pub exclude_all: bool,
    /// Changes to single tools, by the name that the backend gives them.
    pub overrides: BTreeMap<String, Override>,
}

/// A change to one tool. What is `None` stays as the backend has it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Override {
    pub name: Option<String>,
    pub description: Option<String>,
    pub annotations: Option<Annotations>,
}

/// Tool annotations (specification 2025-11-25, `ToolAnnotations`), laid member by member over the
/// backend's own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Annotations {
    pub title: Option<String>,
    pub read_only_hint: Option<bool>,
    pub destructive_hint: Option<bool>,
    pub idempotent_hint: Option<bool>,
    pub open_world_hint: Option<bool>,
}

impl Rules {
    /// The name limits that make sense: a shortened name needs room for its hash, and clients
    /// need not take more than 128 characters (specification 2025-11-25, server/tools).
    pub const NAME_LIMITS: RangeInclusive<usize> = 16..=128;

    /// Whether clients see the tool that bears this name after overrides.
    pub(crate) fn shows(&self, backend: &BackendId, name: &str) -> bool {
        if self.exclude_all_tools {
            return false;
        }
        match self.tools.get(backend) {
            None => self.default_visibility == Visibility::Allow,
            Some(rules) if rules.exclude_all => false,
            Some(rules) => {
                let names = |list: &[String]| list.iter().any(|one| one == name);
                (rules.filter.is_empty() || names(&rules.filter)) && !names(&rules.exclude)
            }
        }
    }

    /// The change that is configured for a tool.
    pub(crate) fn override_of(&self, backend: &BackendId, own_name: &str) -> Option<&Override> {
        self.tools.get(backend)?.overrides.get(own_name)
    }

    /// Where a backend stands in the lists, from 0. Those that no order names share the last place.
    pub(crate) fn place(&self, backend: &BackendId) -> usize {
        self.order.iter().position(|listed| listed == backend).unwrap_or(usize::MAX)
    }

    /// Where a backend stands when several offer one URI.
    fn precedence<'a>(&self, backend: &'a BackendId) -> (usize, usize, &'a BackendId) {
        (self.naming.rank(backend).unwrap_or(usize::MAX), self.place(backend), backend)
    }

    /// The backends in the order in which a URI that several offer goes to one: of priority, then of
    /// the lists.
    pub(crate) fn by_precedence<'a>(
        &self,
        backends: impl Iterator<Item = &'a BackendId>,
    ) -> Vec<&'a BackendId> {
        let mut all: Vec<_> = backends.map(|backend| self.precedence(backend)).collect();
        all.sort();
        all.into_iter().map(|(_, _, backend)| backend).collect()
    }

    /// Whether what this backend has of a kind stays its own, whatever those offer that are not known yet.
    pub fn is_certain(&self, kind: Kind, holder: &BackendId, unknown: &[BackendId]) -> bool {
        let rank = |backend: &BackendId| self.naming.rank(backend).unwrap_or(usize::MAX);
        match (&self.naming, kind) {
            (_, Kind::Resource | Kind::ResourceTemplate) => {
                unknown.iter().all(|other| self.precedence(holder) < self.precedence(other))
            }
            (Naming::Prefix { .. }, Kind::Tool | Kind::Prompt)
            | (Naming::Manual { .. }, Kind::Prompt) => true,
            (Naming::Manual { .. }, Kind::Tool) => unknown.is_empty(),
            (Naming::Priority { .. }, Kind::Tool | Kind::Prompt) => {
                unknown.iter().all(|other| rank(holder) < rank(other))
            }
        }
    }

    /// The name limit that counts.
    pub(crate) fn name_limit(&self) -> usize {
        self.name_limit.clamp(*Self::NAME_LIMITS.start(), *Self::NAME_LIMITS.end())
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            naming: Naming::default(),
            order: Vec::new(),
            names: NameSet::default(),
            name_limit: 64,
            page_size: 1000,
            exclude_all_tools: false,
            default_visibility: Visibility::Allow,
            tools: BTreeMap::new(),
            own: Vec::new(),
            keep_hidden: false,
        }
    }
}

impl NameSet {
    pub(crate) fn has(self, letter: char) -> bool {
        letter.is_ascii_alphanumeric()
            || matches!(letter, '_' | '-')
            || (letter == '.' && self == Self::AsIs)
    }
}

impl Naming {
    /// The prefix where configuration gives none.
    pub const DEFAULT_FORMAT: &'static str = "{workload}_";

    /// A name behind the prefix of its backend.
    pub fn prefixed(&self, backend: &BackendId, name: &str) -> String {
        let (Self::Prefix { format } | Self::Priority { format, .. } | Self::Manual { format }) =
            self;
        format.replace("{workload}", backend.as_str()) + name
    }

    /// Where a backend stands in the order of priority, from 0. `None` if it is not listed.
    pub(crate) fn rank(&self, backend: &BackendId) -> Option<usize> {
        match self {
            Self::Prefix { .. } | Self::Manual { .. } => None,
            Self::Priority { order, .. } => order.iter().position(|listed| listed == backend),
        }
    }
}

impl Default for Naming {
    fn default() -> Self {
        Self::Prefix { format: Self::DEFAULT_FORMAT.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_may_still_claim_is_not_certain() {
        let id = |name| BackendId::new(name).unwrap();
        let format = Naming::DEFAULT_FORMAT.to_owned();
        let order = vec![id("m"), id("b")];
        let priority = Naming::Priority { order, format: format.clone() };
        let (prefix, manual) = (Naming::default(), Naming::Manual { format });
        for (naming, kind, holder, unknown, expected) in [
            (&prefix, Kind::Tool, "b", "a", true),
            (&prefix, Kind::Prompt, "b", "a", true),
            (&prefix, Kind::Resource, "b", "a", false),
            (&prefix, Kind::Resource, "b", "c", true),
            (&manual, Kind::Tool, "b", "c", false),
            (&manual, Kind::Prompt, "b", "a", true),
            (&priority, Kind::Tool, "m", "b", true),
            (&priority, Kind::Tool, "b", "m", false),
            (&priority, Kind::Tool, "b", "a", true),
            (&priority, Kind::Tool, "a", "c", false),
            (&priority, Kind::ResourceTemplate, "b", "a", true),
        ] {
            let rules = Rules { naming: naming.clone(), ..Rules::default() };
            let certain = rules.is_certain(kind, &id(holder), &[id(unknown)]);
            assert_eq!(certain, expected, "{naming:?} {kind:?} {holder} {unknown}");
            assert!(rules.is_certain(kind, &id(holder), &[]));
        }
    }

    #[test]
    fn of_a_uri_the_order_of_the_lists_makes_certain() {
        let id = |name| BackendId::new(name).unwrap();
        let rules = Rules { order: vec![id("b"), id("a")], ..Rules::default() };
        assert!(rules.is_certain(Kind::Resource, &id("b"), &[id("a"), id("c")]));
        assert!(!rules.is_certain(Kind::Resource, &id("a"), &[id("b")]));
    }
}
