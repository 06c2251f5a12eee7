//! Files of another kind that are given for a configuration, and what to do with them.

use super::{
    mcp_json,
    problem::{Place, Problem},
    tree::{Content, Entry, Node},
};

/// What a document is, where it is of a kind that is known and no configuration.
pub(super) fn recognized(root: &Node) -> Option<Problem> {
    let Content::Map(entries) = &root.content else { return None };
    let under = |key: &str| entries.iter().find(|entry| entry.key == key);
    let problem = |at: &Entry, text: String| {
        Some(Problem { place: Some(at.place), path: String::new(), text })
    };
    if let (Some(version), Some(kind)) = (under("apiVersion"), under("kind")) {
        return problem(version, resource(word(kind)));
    }
    // What has one of these keys as well is a configuration with a slip in it.
    if ["name", "backends", "aggregation", "incomingAuth"].iter().any(|key| under(key).is_some()) {
        return None;
    }
    if let Some(at) = mcp_json::LISTS.iter().find_map(|list| under(list)) {
        return problem(at, editors().to_owned());
    }
    let at = under("spec")?;
    problem(at, format!("belongs to a Kubernetes resource; {}", advice("VirtualMCPServer")))
}

/// The same for a text that is not even one document: the first of several resources, or a file with
/// the comments that some editors allow.
pub(super) fn recognized_text(text: &str) -> Option<Problem> {
    let at = |index: usize| {
        let line = text[..index].matches('\n').count();
        Some(Place { line: u64::try_from(line).unwrap_or(u64::MAX).saturating_add(1), column: 1 })
    };
    let mut start = 0;
    let mut kinds = Vec::new();
    for line in text.split_inclusive('\n') {
        kinds.extend(line.strip_prefix("kind:").map(|kind| (start, kind.trim())));
        start += line.len();
    }
    // Of several resources, the one that says what to do.
    let told = |wanted: &str| kinds.iter().find(|(_, kind)| *kind == wanted);
    let kind = told("VirtualMCPServer").or_else(|| told("ConfigMap")).or_else(|| kinds.first());
    if let Some((index, kind)) = kind
        && text.lines().any(|line| line.starts_with("apiVersion:"))
    {
        return Some(Problem { place: at(*index), path: String::new(), text: resource(kind) });
    }
    let is_json = text.trim_start().starts_with(['{', '/']);
    let servers = mcp_json::LISTS.iter().find_map(|list| text.find(&format!("\"{list}\"")));
    let index = servers.filter(|_| is_json)?;
    Some(Problem { place: at(index), path: String::new(), text: editors().to_owned() })
}

/// What a resource of Kubernetes is to be exchanged for.
fn resource(kind: &str) -> String {
    let plain = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric());
    let kind = if plain { kind } else { "one" };
    format!("this is a Kubernetes resource ({kind}), not a configuration; {}", advice(kind))
}

fn advice(kind: &str) -> &'static str {
    match kind {
        "VirtualMCPServer" => {
            "ToolHive's operator makes one of it: kubectl get configmap NAME-vmcp-config \
             -o jsonpath='{.data.config\\.yaml}' > vmcp.yaml, with the resource's own NAME"
        }
        "ConfigMap" => "write what stands under its data, as config.yaml, into a file of its own",
        _ => "give the configuration itself",
    }
}

fn editors() -> &'static str {
    "this lists the servers of an editor; give it with --mcp-json in place of --config"
}

fn word(entry: &Entry) -> &str {
    match &entry.node.content {
        Content::Text(text) => text,
        Content::Null | Content::List(_) | Content::Map(_) => "",
    }
}
