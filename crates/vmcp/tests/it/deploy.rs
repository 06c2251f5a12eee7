//! What `deploy/` and docs/scaling.md show is what works: every file is read, every configuration in
//! them is checked by vmcp itself, and what they name (ports, paths, flags, secrets) is there.

mod manifests;
mod proxies;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// A key of a deployment, and a password, where files only say where they come from.
const KEYS: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
const PASSWORD: &str = "s3cret";

/// The environment that the manifests give vmcp.
const ENVIRONMENT: [(&str, &str); 2] =
    [("VMCP_SESSION_HMAC_SECRET", KEYS), ("THV_SESSION_REDIS_PASSWORD", PASSWORD)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(name: &str) -> String {
    let path = root().join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The documents of a YAML file.
fn documents(name: &str) -> Vec<Value> {
    let text = read(name);
    let parts = text.split("\n---\n").filter(|part| !part.trim().is_empty());
    parts
        .map(|part| serde_saphyr::from_str(part).unwrap_or_else(|error| panic!("{name}: {error}")))
        .collect()
}

/// Has vmcp check a configuration.
fn validate(text: &str, environment: &[(&str, &str)]) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("vmcp.yaml");
    fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_vmcp"));
    command.args(["validate", "--config"]).arg(&file).envs(environment.iter().copied());
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("warning"), "{said}\n{text}");
}

/// Checks that `vmcp serve` takes these arguments.
fn check_arguments(arguments: &[&str]) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_vmcp")).args(["serve", "--help"]).output().unwrap();
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(arguments.first(), Some(&"serve"));
    for flag in arguments.iter().filter(|argument| argument.starts_with('-')) {
        let flag = flag.split('=').next().unwrap();
        assert!(help.contains(&format!("{flag} <")), "vmcp serve has no {flag}");
    }
}

/// What follows a flag, as an argument of its own or behind `=`.
fn argument<'a>(arguments: &[&'a str], flag: &str) -> &'a str {
    let behind = |argument: &&'a str| argument.strip_prefix(flag)?.strip_prefix('=');
    if let Some(value) = arguments.iter().find_map(behind) {
        return value;
    }
    let at = arguments.iter().position(|argument| *argument == flag);
    arguments[at.unwrap_or_else(|| panic!("no {flag}")) + 1]
}

/// The texts of a list.
fn texts(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Commands in the guides are commands.
#[test]
fn shell_pieces_are_well_formed() {
    let mut pieces = 0;
    let guides = ["scaling", "operating", "quickstart", "kubernetes"];
    for guide in guides.map(|name| format!("docs/{name}.md")) {
        let text = read(&guide);
        for piece in text.split("```sh\n").skip(1) {
            let piece = piece.split("```").next().unwrap_or_default();
            let shell = Command::new("bash").args(["-n", "-c", piece]).output().unwrap();
            let said = String::from_utf8_lossy(&shell.stderr);
            assert!(shell.status.success(), "{guide}: {said}\n{piece}");
            pieces += 1;
        }
    }
    assert!(pieces > 3, "the pieces were not found");
}

/// The configurations of docs/scaling.md are whole sections, which need only what every file has.
#[test]
fn configurations_in_the_guide_are_valid() {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in [("keys", KEYS), ("redis-password", PASSWORD)] {
        fs::write(directory.path().join(name), text).unwrap();
    }
    let authority = root().join("crates/vmcp/src/config/tests/authority.pem");
    fs::copy(authority, directory.path().join("redis-ca.pem")).unwrap();
    let guide = read("docs/scaling.md");
    let mut sections = 0;
    for piece in guide.split("```yaml\n").skip(1) {
        let piece = piece.split("```").next().unwrap_or_default();
        let piece = piece.replace("/etc/vmcp/secrets", &directory.path().to_string_lossy());
        let required = "name: guide\nbackends: [{name: a, url: 'http://h/'}]\n\
            incomingAuth: {type: anonymous}\naggregation: {conflictResolution: prefix, \
            conflictResolutionConfig: {prefixFormat: '{workload}_'}}\n";
        validate(&format!("{required}{piece}"), &ENVIRONMENT);
        sections += 1;
    }
    assert!(sections > 2, "the sections were not found");
}
