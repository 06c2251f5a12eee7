//! Configurations in, their problems or what they come to out.
//!
//! A test gives the keys it is about; [`complete`] adds the required ones behind them, so that
//! lines count from the test's own text. What is expected is either every problem, or each line
//! in which the outcome differs from that of the bare minimum.

mod aggregation;
mod aws;
mod backends;
mod discovered;
mod editors;
mod environment;
mod fixed_headers;
mod given;
mod grants;
mod incoming;
mod mistyped;
mod outcome;
mod outgoing;
mod reached;
mod samples;
mod scalars;
mod schema;
mod storage;
mod structure;
mod table;
mod toolhive;
mod transports;

use super::{Configuration, Problems, parse};

/// The required keys, with two backends.
const REQUIRED: [(&str, &str); 4] = [
    ("name", "name: example\n"),
    (
        "backends",
        "backends:
  - {name: github, url: 'http://127.0.0.1:8081/mcp'}
  - {name: jira, url: 'http://127.0.0.1:8082/mcp'}\n",
    ),
    ("incomingAuth", "incomingAuth: {type: anonymous}\n"),
    (
        "aggregation",
        "aggregation: {conflictResolution: prefix, \
         conflictResolutionConfig: {prefixFormat: '{workload}_'}}\n",
    ),
];

/// Two keys of a deployment.
const KEYS: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=
                    CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";

/// What every test finds in its environment.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        "TOKEN" => "s3cret-token",
        "EMPTY" => "",
        "OF_A_FILE" => "s3cret-of-a-file\r\n",
        "BLANK" => "\n",
        "TWO_LINES" => "s3cret\ntoken",
        "PORT" => "8081",
        "LIMIT" => "32",
        "KEYS" => KEYS,
        "PRIVATE_KEY" => include_str!("tests/private-key.pem"),
        "BACKEND" => "github",
        "TOOLHIVE_HEADER_FORWARD_MY_SERVER_1" => {
            r#"{"addPlaintextHeaders": {"X-Tenant": "red"}, "addHeadersFromSecret": {"X-Key": "OF_1"}}"#
        }
        "TOOLHIVE_SECRET_OF_1" => "s3cret-of-1",
        "FIXTURES" => concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests"),
        _ => return None,
    };
    Some(value.to_owned())
}

/// Adds the required keys that a text leaves out.
fn complete(text: &str) -> String {
    let mut text = text.trim_start_matches('\n').to_owned();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    for (key, lines) in REQUIRED {
        let is_found = cfg!(feature = "kubernetes") && text.contains("source: discovered");
        if is_found && key == "backends" {
            continue;
        }
        if !text.lines().any(|line| line.starts_with(&format!("{key}:"))) {
            text += lines;
        }
    }
    text
}

fn parsed(text: &str) -> Result<Configuration, Problems> {
    parse(text, "vmcp.yaml", &environment)
}

/// Checks what a configuration comes to, the required keys aside.
#[track_caller]
fn check(text: &str, expected: &str) {
    check_as_it_is(&complete(text), expected);
}

/// The same for a text that is not to be completed.
#[track_caller]
fn check_as_it_is(text: &str, expected: &str) {
    let actual = match parsed(text) {
        Err(problems) => problems.to_string(),
        Ok(configuration) => {
            schema::takes(text);
            outcome::difference(&configuration)
        }
    };
    assert_eq!(tidy(&actual), tidy(expected), "\n{actual}\n");
}

/// Without the indentation that fits the source of a test.
fn tidy(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join("\n")
}
