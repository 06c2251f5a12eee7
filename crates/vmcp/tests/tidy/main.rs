//! The rules of the house that no lint checks: which crate may use which, and how files look.
//!
//! A new edge or an exception is a change of the design: it is made here and in ARCHITECTURE.md.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// Which crates of this workspace a crate may use, development aside.
const EDGES: &[(&str, &[&str])] = &[
    ("vmcp-model", &[]),
    ("vmcp-wire", &["model"]),
    ("vmcp-catalog", &["model"]),
    ("vmcp-http1", &[]),
    ("vmcp-keys", &["model"]),
    ("vmcp-store", &["keys", "model"]),
    ("vmcp-auth", &["model", "wire"]),
    ("vmcp-backend", &["model", "http1", "wire"]),
    ("vmcp-core", &["model", "keys", "wire", "catalog", "backend"]),
    ("vmcp-session", &["model", "wire", "store", "core", "backend", "catalog"]),
    ("vmcp-server", &["model", "http1", "wire", "auth", "catalog", "core", "session", "backend"]),
    (
        "vmcp",
        &["model", "wire", "auth", "catalog", "store", "backend", "core", "session", "server"],
    ),
    ("vmcp-testkit", &["model", "wire"]),
    ("vmcp-bench", &[]),
];

/// Who may name a crate from outside, in any kind of dependency; nobody else may.
const ONLY: &[(&str, &[&str])] = &[
    ("rmcp", &["vmcp-testkit"]),
    ("redis", &["vmcp-store"]),
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
    check_files(|text| {
        (!text.starts_with("//!")).then(|| "does not open by saying what it is".to_owned())
    });
}

#[test]
fn no_file_is_too_long() {
    check_files(|text| {
        let lines = text.lines().count();
        (lines > MAX_LINES).then(|| format!("has {lines} lines; make it two files"))
    });
}

#[test]
fn nothing_is_left_for_later() {
    // In pieces, so that this file does not find itself.
    let words = [["#[ig", "nore"], ["TO", "DO"], ["FIX", "ME"], ["unimple", "mented!"]];
    let words = words.map(|word| word.concat());
    check_files(|text| {
        words.iter().find(|word| text.contains(word.as_str())).map(|word| format!("says {word}"))
    });
}

/// Checks every source file; the check says what is wrong with one.
#[track_caller]
fn check_files(check: impl Fn(&str) -> Option<String>) {
    let mut files = Vec::new();
    collect(&root().join("crates"), &mut files);
    assert!(files.len() > 50, "the sources were not found");
    let wrong: Vec<String> = files
        .iter()
        .filter_map(|path| {
            let text = fs::read_to_string(path).expect("a source file can be read");
            check(&text).map(|why| format!("{} {why}", path.display()))
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
