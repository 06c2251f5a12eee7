//! Files that change under a source.

use std::{fs, os::unix::fs::symlink, path::Path};

use super::{Source, Sources};
use crate::{cli, config};

const FILE: &str = "name: example
backends:
  - {name: one, url: 'http://127.0.0.1:1/mcp'}
incomingAuth: {type: anonymous}
outgoingAuth:
  default:
    type: client_credentials
    clientCredentials: {tokenUrl: 'http://127.0.0.1:1/token', clientId: c, clientSecretFile: KEY}
aggregation: {conflictResolution: prefix, conflictResolutionConfig: {prefixFormat: '{workload}_'}}
";

fn sources(config: Option<&Path>, mcp_json: &[&Path]) -> Sources {
    let mcp_json = mcp_json.iter().map(|path| path.to_path_buf()).collect();
    let given = cli::Given { backend: Vec::new(), mcp_json, pass_env: Vec::new() };
    Sources { file: None, config: config.map(Path::to_owned), given, start_timeout: None }
}

fn file(path: &Path) -> Sources {
    sources(Some(path), &[])
}

#[test]
fn editors_files_are_looked_at() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["one.json", "other.json"].map(|name| directory.path().join(name));
    for (index, path) in paths.iter().enumerate() {
        fs::write(path, format!(r#"{{"mcpServers": {{"s{index}": {{"command": "run"}}}}}}"#))
            .unwrap();
    }
    let given = sources(None, &[&paths[0], &paths[1]]);
    let mut source = Source::new(&given);
    assert!(source.has_file());
    assert_eq!(source.load().unwrap().backends.len(), 2);
    assert!(!source.has_changed());
    for path in &paths {
        fs::write(path, "{").unwrap();
        assert!(source.has_changed());
        source.load().unwrap_err();
    }
    let mut none = sources(None, &[]);
    none.given.backend.push("a=run".to_owned());
    assert!(!Source::new(&none).has_file());
}

/// Whoever reads a pipe waits for who writes to it.
#[test]
fn a_file_that_has_become_a_pipe_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mcp.json");
    fs::write(&path, r#"{"mcpServers": {"a": {"command": "run"}}}"#).unwrap();
    let mut source = Source::new(&sources(None, &[&path]));
    source.load().unwrap();
    fs::remove_file(&path).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    assert!(source.has_changed());
    let why = source.load().unwrap_err().to_string();
    assert!(why.ends_with("mcp.json: is not a regular file any more"), "{why}");
    // From the start it is read once.
    assert!(!Source::new(&sources(None, &[&path])).has_file());
}

#[test]
fn what_it_reads_is_looked_at_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let (path, key) = (directory.path().join("vmcp.yaml"), directory.path().join("key"));
    fs::write(&key, "first").unwrap();
    fs::write(&path, FILE.replace("KEY", &key.to_string_lossy())).unwrap();
    let mut source = Source::new(&file(&path));
    source.load().unwrap();
    assert!(!source.has_changed());
    fs::write(directory.path().join("other"), "x").unwrap();
    assert!(!source.has_changed());
    fs::write(&key, "another").unwrap();
    assert!(source.has_changed());
    assert!(!source.has_changed(), "it is the same change");
    fs::remove_file(&path).unwrap();
    assert!(source.has_changed());
    source.load().unwrap_err();
    assert!(!source.has_changed());
    fs::write(&path, "name: [").unwrap();
    assert!(source.has_changed());
}

/// What is exchanged between being looked at and being read must not go unnoticed.
#[test]
fn a_file_is_looked_at_before_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let (path, key) = (directory.path().join("vmcp.yaml"), directory.path().join("key"));
    fs::write(&path, FILE.replace("KEY", &key.to_string_lossy())).unwrap();
    let appear = |noted: &Path| {
        assert_eq!(noted, key);
        fs::write(noted, "first").unwrap();
    };
    config::load_noting(&path, &|_name| None, &appear).unwrap();
}

/// A mounted ConfigMap is a link to a link to a directory, which is exchanged as a whole.
#[test]
fn a_link_that_leads_elsewhere_is_a_change() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for version in ["one", "two"] {
        fs::create_dir(at(version)).unwrap();
        fs::write(
            at(version).join("vmcp.yaml"),
            FILE.replace("clientSecretFile: KEY", "clientSecret: k"),
        )
        .unwrap();
    }
    symlink(at("one"), at("data")).unwrap();
    symlink(at("data").join("vmcp.yaml"), at("vmcp.yaml")).unwrap();
    let mut source = Source::new(&file(&at("vmcp.yaml")));
    source.load().unwrap();
    assert!(!source.has_changed());
    symlink(at("two"), at("next")).unwrap();
    fs::rename(at("next"), at("data")).unwrap();
    assert!(source.has_changed());
}

/// The token of operators is read whenever one asks. While it is bad, the configuration cannot be used.
#[test]
fn the_token_of_operators_is_looked_at_while_it_is_bad() {
    let directory = tempfile::tempdir().unwrap();
    let [path, key, token] = ["vmcp.yaml", "key", "token"].map(|name| directory.path().join(name));
    fs::write(&key, "first").unwrap();
    fs::write(&token, "0123456789abcdef").unwrap();
    let admin = format!("admin: {{auth: {{type: token, tokenFile: '{}'}}}}\n", token.display());
    fs::write(&path, FILE.replace("KEY", &key.to_string_lossy()) + &admin).unwrap();
    let mut source = Source::new(&file(&path));
    source.load().unwrap();
    fs::write(&token, "short").unwrap();
    assert!(!source.has_changed());
    source.load().unwrap_err();
    assert!(!source.has_changed());
    fs::write(&token, "another token is no good").unwrap();
    assert!(source.has_changed());
    fs::write(&token, "fedcba9876543210").unwrap();
    source.load().unwrap();
    fs::write(&token, "fedcba9876543210fedcba9876543210").unwrap();
    assert!(!source.has_changed());
}
