//! `vmcp policy test`: a table of cases, and whether the policies decide them as it says.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use vmcp_core::{Explanation, Use, Used, explain};
use vmcp_policy::{Hints, Policy, Right};

use super::{backend_of, policy_of, read_text};
use crate::{
    cli,
    config::Configuration,
    output::{self, BAD, GOOD},
    printable,
};

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// The configuration whose policies are tested; a relative path begins at the table's folder.
    config: Option<String>,
    cases: Vec<Case>,
}

/// Somebody who does something, and what is to come of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: Option<String>,
    claims: Map<String, Value>,
    tool: Option<String>,
    prompt: Option<String>,
    resource: Option<String>,
    template: Option<String>,
    method: Option<String>,
    backend: Option<String>,
    /// Of a tool, as the protocol writes them: `readOnlyHint: true`.
    #[serde(default)]
    hints: BTreeMap<Hint, bool>,
    arguments: Option<Map<String, Value>>,
    expect: Option<Expected>,
    listed: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
enum Hint {
    #[serde(rename = "readOnlyHint")]
    ReadOnly,
    #[serde(rename = "destructiveHint")]
    Destructive,
    #[serde(rename = "idempotentHint")]
    Idempotent,
    #[serde(rename = "openWorldHint")]
    OpenWorld,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Allow,
    Deny,
}

pub(crate) fn run(options: &cli::PolicyTest) -> anyhow::Result<()> {
    let file = &options.file;
    let table = read(file)?;
    let config = match (&options.config, &table.config) {
        (Some(given), _) => given.clone(),
        (None, Some(named)) => file.parent().unwrap_or(Path::new("")).join(named),
        (None, None) => {
            let text = "say whose policies are tested: with --config, or with config: in the table";
            bail!(cli::Misuse(text.to_owned()));
        }
    };
    let configuration = super::configured(&config, false)?;
    let policy = policy_of(&configuration)?;
    let mut failed = Vec::new();
    for (number, case) in table.cases.iter().enumerate() {
        let name = case.name.clone().unwrap_or_else(|| format!("case {}", number + 1));
        let outcome = case
            .outcome(&policy, &configuration)
            .with_context(|| format!("{}: {name}", file.display()))?;
        if let Some(wrong) = outcome {
            failed.push((name, wrong));
        }
    }
    let count = table.cases.len();
    if options.json {
        let failed: Vec<_> = failed
            .iter()
            .map(|(name, (why, found))| json!({"case": name, "problem": why, "found": found.to_json()}))
            .collect();
        output::json(&json!({"cases": count, "failed": failed}))?;
    } else {
        for (name, (why, found)) in &failed {
            let name = printable::line(name);
            output::line(format_args!("{BAD}failed{BAD:#} {name}: {why}"))?;
            super::show(found, true)?;
        }
        if failed.is_empty() {
            output::line(format_args!("{GOOD}ok{GOOD:#} {count} case(s)"))?;
        }
    }
    if !failed.is_empty() {
        bail!("{} of {count} case(s) failed", failed.len());
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Table> {
    let shown = file.display();
    let text = read_text(file).map_err(|why| cli::Misuse(format!("{shown}: {why}")))?;
    let table: Table = serde_saphyr::from_str(&text)
        .map_err(|error| cli::Misuse(format!("{shown}: {}", first_line(&error.to_string()))))?;
    if table.cases.is_empty() {
        bail!(cli::Misuse(format!("{shown} has no cases")));
    }
    Ok(table)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

impl Case {
    /// What is wrong, and what was found.
    fn outcome(
        &self,
        policy: &Policy,
        configuration: &Configuration,
    ) -> anyhow::Result<Option<(String, Explanation)>> {
        let (what, name) = self.used()?;
        if self.expect.is_none() && self.listed.is_none() {
            bail!(cli::Misuse(
                "says nothing about what is expected; write expect: or listed:".into()
            ));
        }
        let backend = backend_of(configuration, self.backend.as_deref(), what, &name)?;
        let hint = |hint| self.hints.get(&hint).copied();
        let hints = Hints {
            read_only: hint(Hint::ReadOnly),
            destructive: hint(Hint::Destructive),
            idempotent: hint(Hint::Idempotent),
            open_world: hint(Hint::OpenWorld),
        };
        let arguments = self.arguments.clone().map(|map| Value::Object(map).to_string().into());
        let claims = Value::Object(self.claims.clone()).to_string();
        let asked = Use { what, name, backend, hints, arguments };
        let found = explain(policy, None, claims.as_bytes(), &asked)
            .map_err(|nobody| cli::Misuse(nobody.to_string()))?;
        let decided = match found.decision.is_allowed {
            true => Expected::Allow,
            false => Expected::Deny,
        };
        let is_listed = found.right != Right::Never;
        let wrong = match (self.expect, self.listed) {
            (Some(Expected::Allow), _) if decided == Expected::Deny => "is denied".to_owned(),
            (Some(Expected::Deny), _) if decided == Expected::Allow => "is allowed".to_owned(),
            (_, Some(true)) if !is_listed => "is not listed".to_owned(),
            (_, Some(false)) if is_listed => "is listed".to_owned(),
            _ => return Ok(None),
        };
        Ok(Some((wrong, found)))
    }

    fn used(&self) -> anyhow::Result<(Used, String)> {
        let Self { tool, prompt, resource, template, method, .. } = self;
        let names = [tool, prompt, resource, template, method].map(Option::as_deref);
        Used::only(names).ok_or_else(|| {
            let text = "must name exactly one of tool, prompt, resource, template and method";
            cli::Misuse(text.to_owned()).into()
        })
    }
}
