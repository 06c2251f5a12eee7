//! Decides the corpus of cases (`tests/corpus`). `tools/policies` lets Cedar's Go implementation do so too.

use std::{fs, path::Path};

use serde::Deserialize;
use vmcp_policy::{Policy, Settings};

use crate::case::Case;

/// A corpus that shrank was lost.
const AT_LEAST: usize = 400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Table {
    about: String,
    policies: Vec<String>,
    entities: Option<String>,
    server: Option<String>,
    group_claim: Option<String>,
    role_claim: Option<String>,
    group_entity_type: Option<String>,
    claims: Option<String>,
    backend: Option<String>,
    cases: Vec<Case>,
}

#[test]
fn every_case_is_decided_as_it_says() {
    let (mut cases, mut wrong) = (0, Vec::new());
    for (file, table) in tables() {
        cases += table.cases.len();
        let found = table.differences();
        wrong.extend(found.iter().map(|found| format!("{file}: {found}")));
    }
    assert!(wrong.is_empty(), "{} of {cases} cases:\n{}", wrong.len(), wrong.join("\n"));
    assert!(cases >= AT_LEAST, "there are only {cases} cases");
}

#[test]
fn only_tables_about_what_is_never_there_have_warnings() {
    let mut odd = Vec::new();
    for (_, table) in tables() {
        let policy = Policy::new(&table.settings()).expect("its policies can be read");
        if !policy.warnings(&["github", "gitlab", "jira"]).is_empty() {
            odd.push(table.about);
        }
    }
    assert_eq!(
        odd,
        [
            "The actions that ask for lists are never judged, so they permit nothing.",
            "Without a policy that permits, everything is denied.",
            "Annotations change no decision.",
            "Every claim is an attribute of the caller, and of the context.",
            "Callers are told apart by their name and by nothing else.",
            "Kinds of resources, with `is` and `is in`.",
            "The entity type of groups can be another one.",
            "Everything is in the server.",
            "The name of another server says nothing here.",
            "Entities of callers, actions and what is asked for are made for each request, and stand before those \
             that are given.",
            "Hints are on tools only.",
        ]
    );
}

/// All tables of the corpus, each with the name of its file.
fn tables() -> Vec<(String, Table)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let files: Vec<fs::DirEntry> =
        fs::read_dir(folder).and_then(Iterator::collect).expect("the corpus is there");
    let mut files: Vec<_> = files.iter().map(fs::DirEntry::path).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("a file of the corpus is text");
        let tables: Vec<Table> =
            serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        all.extend(tables.into_iter().map(|table| (name.clone(), table)));
    }
    all
}

impl Table {
    fn settings(&self) -> Settings {
        let usual = Settings::default();
        Settings {
            server: self.server.clone().unwrap_or(usual.server),
            policies: self.policies.clone(),
            entities: self.entities.clone(),
            group_claim: self.group_claim.clone(),
            role_claim: self.role_claim.clone(),
            group_entity_type: self.group_entity_type.clone().unwrap_or(usual.group_entity_type),
        }
    }

    fn differences(self) -> Vec<String> {
        let policy = match Policy::new(&self.settings()) {
            Ok(policy) => policy,
            Err(problems) => return vec![format!("{}: {problems:?}", self.about)],
        };
        let mut differences = Vec::new();
        for mut case in self.cases {
            case.claims = case.claims.or_else(|| self.claims.clone());
            case.backend = case.backend.or_else(|| self.backend.clone());
            let found = case.differences(&policy);
            differences.extend(
                found.iter().map(|found| format!("{} / {}: {found}", self.about, case.case)),
            );
        }
        differences
    }
}
