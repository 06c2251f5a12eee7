//! The backends: `backends`, and the names by which other parts of the file speak of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use http::HeaderName;
use vmcp_backend::{Config, Limits, Timeouts, Transport};
use vmcp_credentials::Config as Outgoing;
use vmcp_model::BackendId;

use super::{
    BackendSettings,
    forwarded::{self, Claimed},
    operational::CallTimeouts,
    outgoing::{self, OutgoingAuth},
    problem::Problem,
    reader::Reader,
    suggest::did_you_mean,
    transports::{self, Kind},
    tree::Content,
    value::Value,
};

/// A backend as far as its own entry describes it.
pub(super) struct Draft<'a> {
    id: Option<BackendId>,
    transport: transports::Draft<'a>,
    metadata: BTreeMap<String, String>,
    /// What it is shown if variables are not there that its entry names: nothing, as it is out.
    missing: Option<Outgoing>,
}

/// What the rest of the file says about backends.
pub(super) struct Common {
    pub(super) initialize: Duration,
    /// The same for programs.
    pub(super) start: Duration,
    pub(super) limits: Limits,
    pub(super) timeouts: CallTimeouts,
    pub(super) outgoing: OutgoingAuth,
    /// Headers of clients' requests that every backend with a URL is passed.
    pub(super) passthrough: Arc<[HeaderName]>,
}

/// Every name that the file gives to a backend, also those that cannot be used.
#[derive(Default)]
pub(super) struct Names {
    all: Vec<String>,
    /// Those of backends that are programs.
    programs: Vec<String>,
    /// The variables that give them headers.
    forwarded: Claimed,
    /// Some name is not known on this machine, and whatever is spoken of may have it.
    has_unknown: bool,
    /// All were found in a cluster that there are now.
    are_found: bool,
}

/// Reads all backends.
pub(super) fn read<'a>(root: &Reader<'a>) -> (Vec<Draft<'a>>, Names) {
    let mut names = Names::default();
    if are_discovered(root) {
        return (discovered(root, &mut names), names);
    }
    let advice = no_discovery(root);
    if let Some(advice) = &advice
        && !root.has("backends")
    {
        root.leave("backends");
        // What else `source` may be is told there.
        if !has_odd_source(root) {
            root.missing("backends", format!("is required: {advice}"));
        }
        return (Vec::new(), names);
    }
    let readers = root.sections("backends");
    if readers.is_empty()
        && let Some(value) = root.value("backends")
        && value.is_bare()
    {
        value.problem(match advice {
            Some(advice) => format!("is empty, and {advice}"),
            None => "is empty; a virtual server needs at least one backend".to_owned(),
        });
    }
    let drafts = readers.iter().map(|reader| draft(reader, &mut names)).collect();
    (drafts, names)
}

/// Whether the file leaves it to the cluster which backends there are, and they are looked for there.
pub(super) fn are_discovered(root: &Reader<'_>) -> bool {
    cfg!(feature = "kubernetes") && finds_in_cluster(root)
}

/// Those that were found. The file may speak of others, which may come.
fn discovered<'a>(root: &Reader<'a>, names: &mut Names) -> Vec<Draft<'a>> {
    names.has_unknown = true;
    names.are_found = root.report.has_discovered();
    if !root.has("groupRef") {
        root.missing(
            "groupRef",
            "is required for outgoingAuth.source: discovered: the MCPGroup whose servers are the backends",
        );
    }
    if let Some(value) = root.value("groupRef")
        && value.text().is_some_and(|group| !is_object_name(&group))
    {
        value.problem(format!(
            "{} is no name of an MCPGroup: use a-z, 0-9, - and ., at most 253 of them",
            value.quoted()
        ));
    }
    if !root.has("backends") {
        root.leave("backends");
        return Vec::new();
    }
    if let Some(value) = root.value("backends")
        && !root.report.has_discovered()
    {
        value.problem(
            "stands beside outgoingAuth.source: discovered, by which backends are looked for in the cluster; remove \
             it, or write source: inline",
        );
        root.leave("backends");
        return Vec::new();
    }
    let drafts = root.sections("backends");
    drafts.iter().map(|reader| draft(reader, names)).collect()
}

/// Whether an object of a cluster can be called so.
fn is_object_name(name: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_part = |part: &str| {
        part.starts_with(is_alphanumeric)
            && part.ends_with(is_alphanumeric)
            && part.chars().all(|c| is_alphanumeric(c) || c == '-')
    };
    name.len() <= 253 && name.split('.').all(is_part)
}

/// What to do where the reference system would look for backends itself.
fn no_discovery(root: &Reader<'_>) -> Option<String> {
    if finds_in_cluster(root) {
        return Some(FROM_CLUSTER.to_owned());
    }
    let group = root.has("groupRef").then(|| root.text("groupRef").unwrap_or_default())?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_plain = !group.is_empty() && group.chars().all(plain);
    let group = if is_plain { &group } else { "GROUP" };
    Some(format!(
        "groupRef is a label here, by which no backends are found; in its cluster write \
         outgoingAuth: {{source: discovered}}, elsewhere write them with \
         thv list --group {group} --format mcpservers > mcp.json, and vmcp init --mcp-json mcp.json, \
         and take only the list backends of what that writes, as the rest of it lets everybody call"
    ))
}

/// What to do about a file that leaves the backends to the cluster.
const FROM_CLUSTER: &str = "with outgoingAuth.source: discovered they are looked for in the cluster, \
                            which is not done here; add the list backends to this file, for each \
                            MCPServer of the group its name, and its status.url as url, and keep the \
                            rest of the file";

fn finds_in_cluster(root: &Reader<'_>) -> bool {
    source(root).is_some_and(|source| source == "discovered")
}

/// Whether `outgoingAuth.source` is none that there is.
fn has_odd_source(root: &Reader<'_>) -> bool {
    let is_odd = |source: &String| {
        !["inline", "discovered"].contains(&source.as_str()) && !source.contains("${")
    };
    source(root).as_ref().is_some_and(is_odd)
}

fn source(root: &Reader<'_>) -> Option<String> {
    let outgoing = root.value("outgoingAuth").and_then(|value| value.entries())?;
    let source = outgoing.iter().find(|entry| entry.key == "source")?;
    match &source.node.content {
        Content::Text(word) => Some(word.clone()),
        _ => None,
    }
}

/// Reads the `metadata` of a map.
pub(super) fn labels(reader: &Reader<'_>) -> BTreeMap<String, String> {
    let pairs = reader.pairs("metadata").into_iter();
    pairs.filter_map(|(key, value)| Some((key.to_owned(), value.any_text()?))).collect()
}

impl Draft<'_> {
    /// Completes a backend. `None` where something about it has been reported.
    pub(super) fn finish(self, common: &Common) -> Option<BackendSettings> {
        let id = self.id?;
        let command = self.transport.command.as_ref();
        let command = command.map(|value| {
            let (place, path) = (Some(value.place()), value.path().to_owned());
            Problem { place, path, text: String::new() }.of("")
        });
        let outgoing = common.outgoing.of(&id);
        let mut transport = self.transport.finish(outgoing, &common.passthrough)?;
        if let (Some(missing), Transport::Http(endpoint) | Transport::Sse(endpoint)) =
            (self.missing, &mut transport)
        {
            endpoint.outgoing = missing;
        }
        let initialize = match &transport {
            Transport::Stdio(_) => common.start,
            Transport::Http(_) | Transport::Sse(_) => common.initialize,
        };
        let timeouts = Timeouts {
            initialize,
            idle: common.timeouts.idle(&id),
            absolute: common.timeouts.absolute,
            ..Timeouts::default()
        };
        let config = Config { id, transport, timeouts, limits: common.limits };
        Some(BackendSettings { config, metadata: self.metadata, is_undecided: false, command })
    }
}

impl Names {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Those that can be used, in the order of the file.
    pub(super) fn ids(&self) -> impl Iterator<Item = BackendId> {
        self.all.iter().filter_map(|name| BackendId::new(name).ok())
    }

    /// Whether a backend is a program that vmcp runs.
    pub(super) fn is_program(&self, name: &str) -> bool {
        self.programs.iter().any(|program| program == name)
    }

    /// The backend that a value names.
    pub(super) fn of_value(&self, value: &Value<'_>) -> Option<BackendId> {
        self.find(&value.text()?, value, &value.quoted())
    }

    /// The backend that the key of a value names.
    pub(super) fn of_key(&self, key: &str, value: &Value<'_>) -> Option<BackendId> {
        self.find(key, value, &format!("{key:?}"))
    }

    fn find(&self, name: &str, value: &Value<'_>, quoted: &str) -> Option<BackendId> {
        if self.all.iter().any(|known| known == name) {
            // A name that cannot be used has been reported where it is given.
            return BackendId::new(name).ok();
        }
        let hint = || did_you_mean(name, self.all.iter().map(String::as_str));
        if self.are_found {
            let hint = hint();
            value.warning(format!(
                "no backend is called {quoted} now, so this has no effect until one is{hint}"
            ));
            return None;
        }
        // Without backends, there is one problem, not one for each mention.
        if !self.all.is_empty() && !self.has_unknown {
            value.problem(format!("no backend is called {quoted}{}", hint()));
        }
        None
    }
}

fn draft<'a>(reader: &Reader<'a>, names: &mut Names) -> Draft<'a> {
    let name = reader.value("name");
    let id = name.as_ref().and_then(|value| id(value, names));
    let ((mut transport, metadata), lacking) = reader.report.lacking(|| {
        let forwarded = name.as_ref().zip(id.as_ref());
        let forwarded = forwarded.map(|(name, id)| forwarded::read(name, id, &mut names.forwarded));
        (transports::read(reader, forwarded.unwrap_or_default()), labels(reader))
    });
    let missing = outgoing::missing(&lacking, || None);
    let out = id.as_ref().and_then(|id| reader.report.why_out(id.as_str()));
    let missing = out.map(|why| Outgoing::Missing { why, header: None }).or(missing);
    if missing.is_some() {
        transport.stand_in();
    }
    let who = id.as_ref().map_or("the backend", BackendId::as_str);
    reader.report.warn_of(lacking, &format!("backend {who} is out until vmcp is started with it"));
    if transport.kind == Some(Kind::Stdio) {
        names.programs.extend(id.as_ref().map(ToString::to_string));
    }
    Draft { id, transport, metadata, missing }
}

fn id(value: &Value<'_>, names: &mut Names) -> Option<BackendId> {
    let Some(name) = value.text() else {
        names.has_unknown |= value.report().is_without_secrets();
        return None;
    };
    if names.all.contains(&name) {
        value.problem(format!("{} is the name of another backend already", value.quoted()));
        return None;
    }
    names.all.push(name.clone());
    if BackendId::new(&name).is_err() {
        value.problem(format!(
            "{} is not a backend name: use 1 to {} of the characters A-Z a-z 0-9 . _ -",
            value.quoted(),
            BackendId::MAX_LENGTH
        ));
    }
    BackendId::new(&name).ok()
}
