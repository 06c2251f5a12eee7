//! The rules of the house that no lint checks: which crate may use which, and how files look.
//!
//! A new edge or an exception is a change of the design: it is made here and in ARCHITECTURE.md.

mod generated;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use vmcp_model::Method;

/// Which crates of this workspace a crate may use, development aside.
const EDGES: &[(&str, &[&str])] = &[
    ("vmcp-model", &[]),
    ("vmcp-wire", &["model"]),
    ("vmcp-catalog", &["model"]),
    ("vmcp-policy", &["model"]),
    ("vmcp-http1", &[]),
    ("vmcp-keys", &["model"]),
    ("vmcp-peer", &["keys"]),
    ("vmcp-store", &["keys", "model"]),
    ("vmcp-fetch", &["model"]),
    ("vmcp-telemetry", &["fetch", "model"]),
    ("vmcp-audit", &["model"]),
    ("vmcp-auth", &["fetch", "model", "wire"]),
    ("vmcp-aws", &["fetch"]),
    ("vmcp-kubernetes", &[]),
    ("vmcp-credentials", &["aws", "fetch", "model"]),
    ("vmcp-backend", &["credentials", "model", "http1", "wire"]),
    ("vmcp-core", &["model", "keys", "wire", "catalog", "policy", "backend"]),
    ("vmcp-session", &["model", "wire", "peer", "store", "core", "backend", "catalog"]),
    ("vmcp-modern", &["model", "wire", "core", "backend", "catalog"]),
    (
        "vmcp-server",
        &[
            "model",
            "http1",
            "wire",
            "auth",
            "catalog",
            "core",
            "session",
            "modern",
            "backend",
            "telemetry",
        ],
    ),
    (
        "vmcp",
        &[
            "model",
            "wire",
            "audit",
            "auth",
            "aws",
            "credentials",
            "catalog",
            "policy",
            "peer",
            "store",
            "backend",
            "core",
            "session",
            "server",
            "telemetry",
            "kubernetes",
        ],
    ),
    ("vmcp-testkit", &["model", "wire"]),
    ("vmcp-bench", &[]),
];

/// Who may name a crate from outside, in any kind of dependency; nobody else may.
const ONLY: &[(&str, &[&str])] = &[
    ("rmcp", &["vmcp-testkit"]),
    ("redis", &["vmcp-store"]),
    ("cedar-policy", &["vmcp-policy"]),
    ("cel", &["vmcp-aws"]),
    ("kube", &["vmcp-kubernetes"]),
    ("k8s-openapi", &["vmcp-kubernetes"]),
    ("prost", &["vmcp-telemetry"]),
    ("reqwest", &[]),
    ("openssl-sys", &[]),
    ("native-tls", &[]),
];

/// Lines of a file. What is longer wants to become two.
const MAX_LINES: usize = 450;

#[test]
fn dependencies_point_down() {
    let allowed: BTreeMap<&str, BTreeSet<String>> = EDGES
        .iter()
        .map(|(name, uses)| (*name, uses.iter().map(|used| format!("vmcp-{used}")).collect()))
        .collect();
    let mut wrong = Vec::new();
    for package in packages() {
        let name = text(&package["name"]);
        let Some(allowed) = allowed.get(name) else {
            wrong.push(format!("{name}: add it to the table here and to ARCHITECTURE.md"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = text(&dependency["name"]);
            let for_tests = dependency["kind"] == "dev";
            if used.starts_with("vmcp") && !for_tests && !allowed.contains(used) {
                wrong.push(format!("{name} may not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn some_crates_are_named_in_one_place_only() {
    let mut wrong = Vec::new();
    for package in packages() {
        let name = text(&package["name"]);
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = text(&dependency["name"]);
            let rule = ONLY.iter().find(|(banned, _)| *banned == used);
            if rule.is_some_and(|(_, users)| !users.contains(&name)) {
                wrong.push(format!("{name} may not use {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is() {
    check_files(|_path, text| {
        (!text.starts_with("//!")).then(|| "does not open by saying what it is".to_owned())
    });
}

#[test]
fn no_file_is_too_long() {
    check_files(|_path, text| {
        let lines = text.lines().count();
        (lines > MAX_LINES).then(|| format!("has {lines} lines; make it two files"))
    });
}

#[test]
fn nothing_is_left_for_later() {
    // In pieces, so that this file does not find itself.
    let words = [["#[ig", "nore"], ["TO", "DO"], ["FIX", "ME"], ["unimple", "mented!"]];
    let words = words.map(|word| word.concat());
    check_files(|_path, text| {
        words.iter().find(|word| text.contains(word.as_str())).map(|word| format!("says {word}"))
    });
}

/// A name that is written once cannot be written in two ways, and a `match` over an enum says what it
/// leaves out.
#[test]
fn methods_are_named_in_one_place_only() {
    let methods = Method::ALL.into_iter().filter(|method| *method != Method::Other);
    let written = methods.map(|method| {
        let name = method.name();
        // Within a literal, quotes may have a backslash before them.
        (name, [format!("\"{name}\""), format!("\"{name}\\\"")])
    });
    let written: Vec<_> = written.collect();
    check_files(|path, text| {
        let may_name = path.ends_with("vmcp-model/src/method.rs") || !is_production(path);
        let text = if may_name { String::new() } else { production(text) };
        let found = written.iter().find(|(_, ways)| ways.iter().any(|way| text.contains(way)));
        found.map(|(name, _)| format!("writes {name:?}; use vmcp_model::Method"))
    });
}

/// What a client wants of a backend goes one way, on which all that is decided about it is decided.
#[test]
fn one_file_sends_calls_to_backends() {
    only_in(&["vmcp-backend/", "vmcp-core/src/call.rs"], &[".post("]);
}

/// A record says whose session it is, so it is read only where that is checked, or known.
#[test]
fn few_files_read_the_store() {
    let readers = [
        "vmcp-store/",
        // By its id, of whoever owns it.
        "vmcp-session/src/factory.rs",
        "vmcp-session/src/far/holder.rs",
        "vmcp-session/src/sessions.rs",
        // Of a session that is live here.
        "vmcp-session/src/kept.rs",
        "vmcp-session/src/own_offers.rs",
        "vmcp-session/src/replicas.rs",
        "vmcp-session/src/shown.rs",
    ];
    only_in(&readers, &[".load(key", ".load(session.key", ".load(self.key", "store.load("]);
    only_in(&readers, &["store.catalog(", "store.backend("]);
}

/// Checks that some code stands in these files only, or below these folders.
#[track_caller]
fn only_in(places: &[&str], code: &[&str]) {
    check_files(|path, text| {
        let path = path.strip_prefix(root().join("crates")).expect("sources are among the crates");
        let name = path.to_string_lossy();
        let is_free = !is_production(&root().join("crates").join(path))
            || places.iter().any(|place| name.starts_with(place));
        let text = if is_free { String::new() } else { production(text) };
        // However it is broken into lines.
        let text: String = text.split_whitespace().collect();
        let found = code.iter().find(|code| text.contains(**code))?;
        Some(format!("has {found:?}, which is for {places:?} only"))
    });
}

/// Whether a file is part of what is shipped.
fn is_production(path: &Path) -> bool {
    let is_of_tests = |part: &OsStr| part == "tests" || part == "tests.rs";
    let path = path.strip_prefix(root().join("crates")).expect("sources are among the crates");
    !path.starts_with("vmcp-testkit")
        && !path.starts_with("vmcp-bench")
        && !path.iter().any(is_of_tests)
}

/// The code of a file without its comments and its tests.
fn production(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            let has_body = lines.next().is_some_and(|item| item.ends_with('{'));
            let _end = has_body.then(|| lines.by_ref().find(|line| *line == "}"));
        } else if !line.trim_start().starts_with("//") {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Checks every source file; the check says what is wrong with one.
#[track_caller]
fn check_files(check: impl Fn(&Path, &str) -> Option<String>) {
    let mut files = Vec::new();
    collect(&root().join("crates"), &mut files);
    assert!(files.len() > 50, "the sources were not found");
    let wrong: Vec<String> = files
        .iter()
        .filter_map(|path| {
            let text = fs::read_to_string(path).expect("a source file can be read");
            check(path, &text).map(|why| format!("{} {why}", path.display()))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a source directory can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo can be run");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo speaks JSON");
    metadata["packages"].as_array().cloned().expect("there are packages")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo gives a string")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
