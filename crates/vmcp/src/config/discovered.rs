//! Backends that were found in a cluster, beside a file that leaves them to it.
//!
//! Each becomes what it would be if it stood in the file, so that the same readers check it. One with which something
//! is wrong is out, and takes no other with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
};

use serde_json::Value as Json;
use vmcp_backend::{Endpoint, Transport};
use vmcp_kubernetes::{Backend, Discovered};

use super::{
    Configuration, Problem, Problems, Report, completed, file, forwarded,
    given::{NOWHERE, text},
    parse_tree,
    tree::{Content, Entry, Node},
    tree_of,
};

/// Reads a file that leaves its backends to the cluster, with those that were found there. Also gives the text of the
/// file.
pub(crate) fn load_discovered(
    path: &Path,
    environment: &dyn Fn(&str) -> Option<String>,
    note: &dyn Fn(&Path),
    found: &Discovered,
) -> Result<(Configuration, String), Problems> {
    let name = path.display().to_string();
    let text = file::read_text(path)
        .map_err(|problem| Problems::new(&name, vec![Problem::of_file(problem)]))?;
    let read = parse(&text, &name, environment, note, found);
    completed(path, read, environment).map(|configuration| (configuration, text))
}

/// Reads such a text again, with those that were found since.
pub(crate) fn reread_discovered(
    text: &str,
    name: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    found: &Discovered,
) -> Result<Configuration, Problems> {
    parse(text, name, environment, &|_path| {}, found)
}

pub(super) fn parse(
    text: &str,
    name: &str,
    environment: &dyn Fn(&str) -> Option<String>,
    note: &dyn Fn(&Path),
    found: &Discovered,
) -> Result<Configuration, Problems> {
    let (root, duplicates) = tree_of(text, name)?;
    if !leaves_it_to_the_cluster(&root) {
        // The file has changed since they were found.
        return super::parse_noting(text, name, environment, note);
    }
    let variable = |name: &str| match found.variables.get(name) {
        Some(secret) => Some(secret.clone()),
        // Their headers stand in their objects, and those in the environment may be older.
        None if forwarded::is_manifest(name) => None,
        None => environment(name),
    };
    let read = |backends: &[&Backend], out: &BTreeMap<String, String>| {
        let report = Report::new(&variable, duplicates.clone());
        let report = report.letting_backends_lack().noting(note).with_discovered(out);
        parse_tree(&with(&root, backends, out), name, report)
    };
    let mut out: BTreeMap<_, _> = found
        .backends
        .iter()
        .filter_map(|backend| Some((backend.name.clone(), why(backend)?)))
        .collect();
    let all: Vec<_> = found.backends.iter().collect();
    let mut configuration = match read(&all, &out) {
        // Nothing is wrong with the file itself if it can be read without them.
        Err(_) if read(&[], &out).is_ok() => {
            let mut usable = Vec::new();
            for backend in all {
                match read(&[backend], &out) {
                    Ok(_) => usable.push(backend),
                    Err(problems) => {
                        out.insert(backend.name.clone(), told(backend, found, &problems));
                        match read(&[backend], &out) {
                            Ok(_) => usable.push(backend),
                            Err(problems) => tracing::warn!(
                                backend = backend.name,
                                "this backend cannot even be shown: {problems}"
                            ),
                        }
                    }
                }
            }
            read(&usable, &out)
        }
        read => read,
    }?;
    vouch(&mut configuration, found, &out);
    Ok(configuration)
}

/// Whether a file has `outgoingAuth.source: discovered`.
fn leaves_it_to_the_cluster(root: &Node) -> bool {
    let source = get(root, "outgoingAuth").and_then(|outgoing| get(outgoing, "source"));
    source.is_some_and(
        |source| matches!(&source.content, Content::Text(word) if word == "discovered"),
    )
}

/// What keeps a backend from being used, as far as its objects say it.
fn why(backend: &Backend) -> Option<String> {
    let holds_none = |bundle: &Vec<u8>| !file::holds_certificate(bundle);
    let bundle = backend.authorities.as_ref().filter(|bundle| holds_none(bundle));
    let bundle = bundle.map(|_| "its caBundleRef leads to no PEM certificate".to_owned());
    backend.lacking.clone().or(bundle)
}

/// What is wrong with a backend, in words of its objects.
fn told(backend: &Backend, found: &Discovered, problems: &Problems) -> String {
    let told = |problem: &Problem| told_of(backend, found, problem);
    let told: BTreeSet<_> = problems.iter().map(|complaint| told(&complaint.problem)).collect();
    told.into_iter().collect::<Vec<_>>().join("; ")
}

fn told_of(backend: &Backend, found: &Discovered, problem: &Problem) -> String {
    let mut text = problem.text.clone();
    for (variable, described) in &found.described {
        for called in ["the environment variable", "the variable"] {
            text = text.replace(&format!("{called} {variable} "), &format!("{described} "));
        }
    }
    let of_strategy = format!("outgoingAuth.backends.{}.", backend.name);
    if let Some(key) = problem.path.strip_prefix(&of_strategy) {
        let auth = backend.auth.as_ref().map_or("", |(name, _)| name);
        let key = match key.strip_suffix("headerValueEnv") {
            Some(section) => format!("{section}valueSecretRef"),
            None => key.strip_suffix("Env").map_or(key.to_owned(), |key| format!("{key}Ref")),
        };
        return format!("{key} of the MCPExternalAuthConfig {auth}: {text}");
    }
    let Some(key) = problem.path.strip_prefix("backends[0].") else {
        return if problem.path.is_empty() { text } else { format!("{}: {text}", problem.path) };
    };
    let field = match (key, backend.kind) {
        ("url", "MCPServerEntry") => "spec.remoteUrl",
        ("url", _) => "status.url",
        ("transport", _) => "spec.transport",
        _ if key.starts_with("headers") => "spec.headerForward",
        _ => key,
    };
    // What stands behind it is advice on how to write the file.
    let what = text.split_once("; ").map_or(text.as_str(), |(what, _)| what);
    format!("{field} of the {} {}: {what}", backend.kind, backend.name)
}

/// Puts the authorities into place that vouch for backends.
fn vouch(configuration: &mut Configuration, found: &Discovered, out: &BTreeMap<String, String>) {
    for settings in &mut configuration.backends {
        let id = settings.config.id.as_str();
        let backend = found.backends.iter().find(|backend| backend.name == id);
        let bundle = backend.and_then(|backend| backend.authorities.as_deref());
        if let (Transport::Http(endpoint) | Transport::Sse(endpoint), Some(bundle)) =
            (&mut settings.config.transport, bundle)
            && !out.contains_key(id)
        {
            endpoint.ca_bundle = Some(Arc::from(bundle));
        }
    }
}

/// The file, as it would be with backends. What it says about one of them itself stays.
fn with(root: &Node, backends: &[&Backend], out: &BTreeMap<String, String>) -> Node {
    let mut root = root.clone();
    let is_out = |backend: &&Backend| out.contains_key(&backend.name);
    let list = backends.iter().map(|backend| entry_of(backend, is_out(backend))).collect();
    set(&mut root, "backends", node(Content::List(list)));
    let mut outgoing = taken(&mut root, "outgoingAuth");
    let mut strategies = taken(&mut outgoing, "backends");
    for backend in backends.iter().filter(|backend| !is_out(backend)) {
        if let Some(strategy) = &backend.strategy
            && get(&strategies, &backend.name).is_none()
        {
            set(&mut strategies, &backend.name, written(strategy));
        }
    }
    set(&mut outgoing, "backends", strategies);
    set(&mut root, "outgoingAuth", outgoing);
    root
}

/// The entry of one. Of one that is out nothing is said but where it would be.
fn entry_of(backend: &Backend, is_out: bool) -> Node {
    let mut entry = written(&backend.entry);
    if is_out {
        set(&mut entry, "url", text(Endpoint::NOWHERE));
        set(&mut entry, "transport", text("streamable-http"));
        return entry;
    }
    let mut headers = node(Content::Map(Vec::new()));
    for (name, variable) in &backend.headers {
        let value = text(&format!("${{{variable}}}"));
        let Content::Map(entries) = &mut headers.content else { continue };
        entries.push(Entry { key: name.clone(), place: NOWHERE, node: value });
    }
    set(&mut entry, "headers", headers);
    entry
}

/// A value as it would be written, so that it is taken as it is: whoever writes an object must not get at
/// variables of this process.
fn written(value: &Json) -> Node {
    node(match value {
        Json::Null => Content::Null,
        Json::String(text) => Content::Text(text.replace("${", "$${")),
        Json::Bool(_) | Json::Number(_) => Content::Text(value.to_string()),
        Json::Array(items) => Content::List(items.iter().map(written).collect()),
        Json::Object(members) => {
            let entry = |(key, value): (&String, &Json)| Entry {
                key: key.clone(),
                place: NOWHERE,
                node: written(value),
            };
            Content::Map(members.iter().map(entry).collect())
        }
    })
}

fn node(content: Content) -> Node {
    Node { place: NOWHERE, content }
}

fn get<'a>(map: &'a Node, key: &str) -> Option<&'a Node> {
    let Content::Map(entries) = &map.content else { return None };
    entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
}

/// Takes a map out of a map; an empty one if there is none.
fn taken(map: &mut Node, key: &str) -> Node {
    let Content::Map(entries) = &mut map.content else { return node(Content::Map(Vec::new())) };
    let at = entries.iter().position(|entry| entry.key == key);
    let found = at.map(|at| entries.remove(at).node);
    found
        .filter(|found| !matches!(found.content, Content::Null))
        .unwrap_or_else(|| node(Content::Map(Vec::new())))
}

/// Puts something into a map, in the place of what stands there.
fn set(map: &mut Node, key: &str, value: Node) {
    let Content::Map(entries) = &mut map.content else { return };
    match entries.iter_mut().find(|entry| entry.key == key) {
        Some(entry) => entry.node = value,
        None => entries.push(Entry { key: key.to_owned(), place: NOWHERE, node: value }),
    }
}
