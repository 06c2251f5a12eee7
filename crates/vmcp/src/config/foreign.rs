//! Files of another kind that are given for a configuration, and what to do with them.

use super::{
    mcp_json,
    problem::{Place, Problem},
    tree::{self, Content, Node},
};

/// What a document is, where it is of a kind that is known and no configuration.
pub(super) fn recognized(root: &Node) -> Option<Problem> {
    if let Some(problem) = of_kubernetes(root) {
        return Some(problem);
    }
    let under = |key: &&str| root.content.under(key);
    // What has one of these keys as well is a configuration with a slip in it.
    if ["name", "backends", "aggregation", "incomingAuth"].iter().any(|key| under(key).is_some()) {
        return None;
    }
    if let Some(at) = mcp_json::LISTS.iter().find_map(under) {
        return Some(problem(at.place, EDITORS.to_owned()));
    }
    if let Some(at) = under(&"issuer")
        && OF_AUTHORIZATION_SERVER.iter().any(|key| under(key).is_some())
    {
        return Some(problem(at.place, AUTHORIZATION_SERVER.to_owned()));
    }
    let at = under(&"spec")?;
    Some(problem(at.place, format!("belongs to a Kubernetes resource; {}", operators(None, None))))
}

/// What a document is that Kubernetes knows, or that stands in one of its resources.
pub(super) fn of_kubernetes(root: &Node) -> Option<Problem> {
    if let Some(group) = root.content.under("groupRef")
        && matches!(group.node.content, Content::Map(_))
    {
        let advice = operators(None, None);
        let text = format!("this is the spec of a VirtualMCPServer, not a configuration; {advice}");
        return Some(problem(group.place, text));
    }
    Some(telling(resources(root))?.problem())
}

/// The same for a text that is not even one document: several resources, or a file with the comments that
/// some editors allow.
pub(super) fn recognized_text(text: &str) -> Option<Problem> {
    let mut all = Vec::new();
    let mut before = 0;
    for document in text.split("\n---") {
        // Up to the end of the line of dashes, which may say something more.
        if let Ok((root, _)) = tree::parse(document) {
            all.extend(resources(&root).into_iter().map(|resource| {
                let line = resource.place.line.saturating_add(before);
                Resource { place: Place { line, ..resource.place }, ..resource }
            }));
        }
        let lines = document.matches('\n').count().saturating_add(1);
        before = before.saturating_add(u64::try_from(lines).unwrap_or(u64::MAX));
    }
    if let Some(resource) = telling(all) {
        return Some(resource.problem());
    }
    let is_json = text.trim_start().starts_with(['{', '/']);
    let servers = mcp_json::LISTS.iter().find_map(|list| text.find(&format!("\"{list}\"")));
    let index = servers.filter(|_| is_json)?;
    let line = text[..index].matches('\n').count().saturating_add(1);
    let place = Place { line: u64::try_from(line).unwrap_or(u64::MAX), column: 1 };
    Some(problem(place, EDITORS.to_owned()))
}

const EDITORS: &str =
    "this lists the servers of an editor; give it with --mcp-json in place of --config";

/// Keys that the configuration of ToolHive's authorization server has, beside its issuer.
const OF_AUTHORIZATION_SERVER: [&str; 4] =
    ["schema_version", "signing_key_config", "upstreams", "allowed_audiences"];

const AUTHORIZATION_SERVER: &str = "this is the configuration of ToolHive's authorization server, which vmcp does not have yet; give the \
     config.yaml that belongs to it";

fn problem(place: Place, text: String) -> Problem {
    Problem { place: Some(place), path: String::new(), text }
}

/// A resource of Kubernetes.
struct Resource {
    place: Place,
    kind: String,
    name: Option<String>,
    namespace: Option<String>,
}

/// The resources that a document holds: one, or those of a list.
fn resources(root: &Node) -> Vec<Resource> {
    let (Some(version), Some(kind)) = (root.content.under("apiVersion"), text(root, "kind")) else {
        return Vec::new();
    };
    let metadata = root.content.under("metadata").map(|entry| &entry.node);
    let of_metadata = |key| metadata.and_then(|node| text(node, key));
    let own = Resource {
        place: version.place,
        name: of_metadata("name"),
        namespace: of_metadata("namespace"),
        kind: kind.clone(),
    };
    let items = root.content.under("items").map(|entry| &entry.node.content);
    match items {
        Some(Content::List(items)) if kind.ends_with("List") && !items.is_empty() => {
            items.iter().flat_map(resources).collect()
        }
        _ => vec![own],
    }
}

/// A word under a key that can be shown, and typed, as it is.
fn text(node: &Node, key: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    match &node.content.under(key)?.node.content {
        Content::Text(text) if !text.is_empty() && text.chars().all(plain) => Some(text.clone()),
        _ => None,
    }
}

/// Of several resources, the one that says what to do.
fn telling(mut all: Vec<Resource>) -> Option<Resource> {
    let of = |wanted: &str| all.iter().position(|resource| resource.kind == wanted);
    let index = of("VirtualMCPServer").or_else(|| of("ConfigMap")).unwrap_or(0);
    (index < all.len()).then(|| all.swap_remove(index))
}

impl Resource {
    fn problem(self) -> Problem {
        let Self { place, kind, name, namespace } = self;
        let (name, namespace) = (name.as_deref(), namespace.as_deref());
        let mut what = kind.clone();
        what.extend(name.map(|name| format!(" {name}")));
        what.extend(namespace.map(|namespace| format!(" in {namespace}")));
        let advice = match &*kind {
            "VirtualMCPServer" => operators(name, namespace),
            "ConfigMap" => {
                let fetch = name.map(|name| format!(": {}", fetch(name, namespace)));
                let fetch = fetch.unwrap_or_default();
                format!(
                    "write what stands under its data, as config.yaml, into a file of its own{fetch}"
                )
            }
            _ => "give the configuration itself".to_owned(),
        };
        let text = format!("this is a Kubernetes resource ({what}), not a configuration; {advice}");
        problem(place, text)
    }
}

/// How to get what the operator makes of a VirtualMCPServer.
fn operators(name: Option<&str>, namespace: Option<&str>) -> String {
    let fetch = fetch(&format!("{}-vmcp-config", name.unwrap_or("NAME")), namespace);
    let whose = if name.is_some() { "" } else { ", with the resource's own NAME" };
    format!("ToolHive's operator makes one of it: {fetch}{whose}")
}

fn fetch(map: &str, namespace: Option<&str>) -> String {
    let namespace = namespace.map(|namespace| format!(" -n {namespace}")).unwrap_or_default();
    format!(
        "kubectl get configmap {map}{namespace} -o jsonpath='{{.data.config\\.yaml}}' > vmcp.yaml"
    )
}
