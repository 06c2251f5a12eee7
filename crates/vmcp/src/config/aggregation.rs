//! How the backends' offers are merged: `aggregation`.

use std::collections::{BTreeMap, BTreeSet};

use vmcp_catalog::{Annotations, NameSet, Naming, Override, Rules, ToolRules, Visibility};
use vmcp_core::status_tool;
use vmcp_model::BackendId;

use super::{backends::Names, reader::Reader, value::Value};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Strategy {
    Prefix,
    Priority,
    Manual,
}

pub(super) fn read(reader: &Reader<'_>, names: &Names) -> Rules {
    let visibility = [Visibility::Allow, Visibility::Deny];
    let set = reader.choice("names", &[NameSet::AsIs, NameSet::Safe]).unwrap_or_default();
    let rules = Rules {
        naming: naming(reader, names, set),
        order: names.ids().collect(),
        names: set,
        name_limit: reader.count("nameLimit"),
        page_size: reader.count("pageSize"),
        exclude_all_tools: reader.flag("excludeAllTools").unwrap_or_default(),
        default_visibility: reader.choice("defaultToolVisibility", &visibility).unwrap_or_default(),
        tools: tools(reader, names),
        own: reader.flag("statusTool").unwrap_or_default().then(status_tool).into_iter().collect(),
        keep_hidden: false,
    };
    refuse_hidden_priorities(reader, &rules);
    rules
}

fn naming(reader: &Reader<'_>, names: &Names, set: NameSet) -> Naming {
    let strategies = [Strategy::Prefix, Strategy::Priority, Strategy::Manual];
    let strategy = reader.choice("conflictResolution", &strategies);
    let config = reader.section("conflictResolutionConfig");
    let format = config.value("prefixFormat").and_then(|value| prefix_format(&value, names));
    let order = config.value("priorityOrder").map(|value| priority_order(&value, names));
    if strategy == Some(Strategy::Prefix) && !config.has("prefixFormat") {
        config.missing("prefixFormat", "is required for conflictResolution: prefix");
    }
    if strategy == Some(Strategy::Priority) && order.is_none() {
        config.missing("priorityOrder", "is required for conflictResolution: priority");
    }
    if matches!(strategy, Some(Strategy::Prefix | Strategy::Manual))
        && let Some(value) = config.value("priorityOrder")
    {
        value.problem("only takes effect with conflictResolution: priority");
    }
    if let (None | Some(Strategy::Prefix), Some(value), Some(format)) =
        (strategy, config.value("prefixFormat"), &format)
    {
        warn_of_likeness(&value, format, names);
        if set == NameSet::AsIs {
            warn_of_characters(&value, format);
        }
    }
    let format = format.unwrap_or_else(|| Naming::DEFAULT_FORMAT.to_owned());
    match strategy {
        None | Some(Strategy::Prefix) => Naming::Prefix { format },
        Some(Strategy::Priority) => Naming::Priority { order: order.unwrap_or_default(), format },
        Some(Strategy::Manual) => Naming::Manual { format },
    }
}

fn prefix_format(value: &Value<'_>, names: &Names) -> Option<String> {
    let format = value.any_text()?;
    if names.len() > 1 && !format.contains("{workload}") {
        value.warning(format!(
            "{} does not contain {{workload}}: all backends have the same prefix, and of tools with \
             equal names none is shown",
            value.quoted()
        ));
    }
    Some(format)
}

/// Warns of a prefix that makes names which many clients and models refuse. A slash is used by some.
fn warn_of_characters(value: &Value<'_>, format: &str) {
    let usual = |c: char| c.is_ascii_alphanumeric() || "_-./".contains(c);
    let rest = format.replace("{workload}", "");
    if let Some(odd) = rest.chars().find(|c| !usual(*c)) {
        value.warning(format!(
            "{} holds {odd:?}, which names of tools may not have, and many clients refuse such tools; \
             use letters, digits, _, - and ., or set names: safe",
            value.quoted()
        ));
    }
}

/// Names the backends that can make each other's names: a tool of one, behind its prefix, may have the
/// name of a tool of the other, and then neither is shown.
fn warn_of_likeness(value: &Value<'_>, format: &str, names: &Names) {
    let naming = Naming::Prefix { format: format.to_owned() };
    let prefixes: Vec<_> = names.ids().map(|id| (naming.prefixed(&id, ""), id)).collect();
    for (short, one) in &prefixes {
        for (long, other) in &prefixes {
            if long.len() > short.len() && long.starts_with(short.as_str()) {
                value.warning(format!(
                    "a tool of {one} may have the name of one of {other}, as {long:?} begins with \
                     {short:?}, and then neither is shown; end the prefix with what no backend's \
                     name has, such as \"__\", or rename a backend"
                ));
            }
        }
    }
}

fn priority_order(value: &Value<'_>, names: &Names) -> Vec<BackendId> {
    let mut order = Vec::new();
    if value.is_bare() {
        value.problem("is empty; list the backends, the one that wins first");
    }
    for value in value.items() {
        let Some(id) = names.of_value(&value) else { continue };
        if order.contains(&id) {
            value.problem(format!("{} is listed twice", value.quoted()));
        } else {
            order.push(id);
        }
    }
    order
}

/// Refuses a backend that would win names with tools that nobody sees.
fn refuse_hidden_priorities(reader: &Reader<'_>, rules: &Rules) {
    let Naming::Priority { order, .. } = &rules.naming else { return };
    if rules.default_visibility != Visibility::Deny {
        return;
    }
    for id in order.iter().filter(|id| !rules.tools.contains_key(*id)) {
        reader.missing(
            "tools",
            format!(
                "needs an entry for {:?}, which stands in priorityOrder: with \
                 defaultToolVisibility: deny its tools are hidden",
                id.as_str()
            ),
        );
    }
}

fn tools(reader: &Reader<'_>, names: &Names) -> BTreeMap<BackendId, ToolRules> {
    let mut all = BTreeMap::new();
    for section in reader.sections("tools") {
        let rules = tool_rules(&section);
        let Some(value) = section.value("workload") else { continue };
        let Some(id) = names.of_value(&value) else { continue };
        if all.insert(id, rules).is_some() {
            value.problem(format!("{} has an entry already", value.quoted()));
        }
    }
    all
}

fn tool_rules(section: &Reader<'_>) -> ToolRules {
    let (filter, exclude) = (tool_names(section, "filter"), tool_names(section, "exclude"));
    let exclude_all = section.flag("excludeAll").unwrap_or_default();
    for (key, names) in [("filter", &filter), ("exclude", &exclude)] {
        if exclude_all
            && !names.is_empty()
            && let Some(value) = section.value(key)
        {
            value.warning("has no effect, because of excludeAll");
        }
    }
    let overrides = section.named("overrides").into_iter();
    let overrides =
        overrides.map(|(tool, value, reader)| (tool.to_owned(), change(&value, &reader)));
    ToolRules { filter, exclude, exclude_all, overrides: overrides.collect() }
}

/// The names of tools under a key, each once.
fn tool_names(section: &Reader<'_>, key: &str) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for (value, name) in section.texts(key) {
        if seen.insert(name.clone()) {
            names.push(name);
        } else {
            value.warning(format!("{} is listed twice", value.quoted()));
        }
    }
    names
}

fn change(value: &Value<'_>, reader: &Reader<'_>) -> Override {
    let keys = ["name", "description", "annotations"];
    if value.entries().is_some() && !keys.iter().any(|key| reader.has(key)) {
        value.problem("changes nothing; give it a name, a description or annotations");
    }
    if let Some(value) = reader.value("annotations")
        && value.is_bare()
    {
        value.problem("is empty; set at least one annotation");
    }
    Override {
        name: reader.text("name"),
        description: reader.text("description"),
        annotations: annotations(&reader.section("annotations"), reader.has("annotations")),
    }
}

fn annotations(reader: &Reader<'_>, given: bool) -> Option<Annotations> {
    let annotations = Annotations {
        title: reader.text("title"),
        read_only_hint: reader.flag("readOnlyHint"),
        destructive_hint: reader.flag("destructiveHint"),
        idempotent_hint: reader.flag("idempotentHint"),
        open_world_hint: reader.flag("openWorldHint"),
    };
    given.then_some(annotations)
}
