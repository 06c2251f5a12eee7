//! What is wrong with a configuration, for programs: as JSON, and as SARIF.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::config::{Complaint, Place};

/// What was found in a configuration, worst first.
#[derive(Default)]
pub(super) struct Report {
    found: Vec<Found>,
}

struct Found {
    severity: Severity,
    /// `None` for what is wrong with no single file.
    file: Option<String>,
    place: Option<Place>,
    key: String,
    message: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Severity {
    Error,
    Warning,
    Note,
}

impl Report {
    pub(super) fn add_problem(&mut self, complaint: &Complaint) {
        self.found.push(Found::new(Severity::Error, complaint));
    }

    pub(super) fn add_warning(&mut self, complaint: &Complaint) {
        self.found.push(Found::new(Severity::Warning, complaint));
    }

    /// Adds what was left aside.
    pub(super) fn add_note(&mut self, complaint: &Complaint) {
        self.found.push(Found::new(Severity::Note, complaint));
    }

    /// Adds a problem of the whole.
    pub(super) fn add_failure(&mut self, message: String) {
        let (severity, key) = (Severity::Error, String::new());
        self.found.push(Found { severity, file: None, place: None, key, message });
    }

    /// The list `problems` of `vmcp validate --json`.
    pub(super) fn to_json(&self) -> Value {
        let one = |found: &Found| {
            json!({
                "file": found.file,
                "line": found.place.map(|place| place.line),
                "column": found.place.map(|place| place.column),
                "key": found.key,
                "severity": found.severity.word(),
                "message": found.message,
            })
        };
        self.found.iter().map(one).collect()
    }

    /// A log of the Static Analysis Results Interchange Format, version 2.1.0. `whole` is the file to
    /// name for what is wrong with no single one.
    pub(super) fn to_sarif(&self, whole: &str) -> Value {
        let results: Vec<_> = self.found.iter().map(|found| found.to_sarif(whole)).collect();
        json!({
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [{
                "tool": {"driver": {
                    "name": "vmcp",
                    "version": env!("CARGO_PKG_VERSION"),
                    "rules": [{
                        "id": RULE,
                        "shortDescription": {"text": "The configuration of vmcp must be valid"},
                    }],
                }},
                "columnKind": "unicodeCodePoints",
                "results": results,
            }],
        })
    }
}

/// The one rule of this check.
const RULE: &str = "configuration";

impl Found {
    fn new(severity: Severity, complaint: &Complaint) -> Self {
        let Complaint { file, problem } = complaint.clone();
        let (place, key, message) = (problem.place, problem.path, problem.text);
        Self { severity, file: Some(file), place, key, message }
    }

    fn to_sarif(&self, whole: &str) -> Value {
        let key = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        // Code scanning shows nothing without a line.
        let Place { line, column } = self.place.unwrap_or(Place { line: 1, column: 1 });
        json!({
            "ruleId": RULE,
            "ruleIndex": 0,
            "level": self.severity.word(),
            "message": {"text": format!("{key}{}", self.message)},
            "locations": [{"physicalLocation": {
                "artifactLocation": {"uri": uri(self.file.as_deref().unwrap_or(whole))},
                "region": {"startLine": line, "startColumn": column},
            }}],
        })
    }
}

impl Severity {
    /// The word of both formats.
    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A path as a URI reference (RFC 3986), relative where the path is.
fn uri(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    let mut uri = if path.starts_with('/') { "file://".to_owned() } else { String::new() };
    for byte in path.trim_start_matches("./").bytes() {
        if plain(byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _written = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
