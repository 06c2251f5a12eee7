//! Roles of AWS.

use std::{fmt::Display, sync::Arc, time::Duration};

use http::Uri;
use vmcp_aws::{Matcher, RoleArn, Roles, Rule, Scope, When, endpoint};
use vmcp_credentials::{AssumeRole, Config as Outgoing};

use super::{
    super::{incoming::optional, reader::Reader, value::Value},
    grants::{ca_bundle, token_url},
};

/// Keys of a mapping that say whom it fits.
const CONDITIONS: [&str; 2] = ["claim", "matcher"];

pub(super) fn assume_role(reader: &Reader<'_>) -> Option<Outgoing> {
    let region = reader.value("region").and_then(|value| label(&value));
    let service = match reader.value("service") {
        Some(value) => label(&value),
        None => Some("aws-mcp".into()),
    };
    let mappings = reader.sections("roleMappings");
    let rules: Vec<_> = mappings.iter().map(rule).collect();
    let fallback = reader.value("fallbackRoleArn").map(|value| parsed(&value, RoleArn::parse));
    if reader.is_present() && rules.is_empty() && fallback.is_none() {
        reader.problem("needs roleMappings, fallbackRoleArn or both: without, nobody has a role");
    }
    let claim = reader.text("roleClaim").unwrap_or_else(|| "groups".to_owned());
    let duration = reader.count("sessionDuration");
    let session_name_claim = reader.text("sessionNameClaim").unwrap_or_else(|| "sub".to_owned());
    let given = token_url(reader, "stsEndpoint");
    let sts = match (given, reader.has("stsEndpoint")) {
        (None, false) => region.as_deref().and_then(of_region),
        (given, _) => given,
    };
    let ca_bundle = ca_bundle(reader);
    let rules = rules.into_iter().collect::<Option<Vec<_>>>();
    let roles = Arc::new(Roles::new(rules?, optional(fallback)?, &claim));
    Some(Outgoing::Aws(Box::new(AssumeRole {
        sts: sts?,
        ca_bundle: ca_bundle?,
        scope: Scope { region: region?, service: service? },
        roles,
        duration: Duration::from_secs(duration as u64),
        session_name_claim,
    })))
}

fn of_region(region: &str) -> Option<Uri> {
    endpoint(region).parse().ok()
}

/// The name of a region or a service.
fn label(value: &Value<'_>) -> Option<Box<str>> {
    let text = value.text()?;
    let is_of_label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !text.chars().all(is_of_label) {
        let quoted = value.quoted();
        value.problem(format!("{quoted} holds something else than a-z, 0-9 and -"));
        return None;
    }
    Some(text.into())
}

fn rule(reader: &Reader<'_>) -> Option<Rule> {
    let role = reader.value("roleArn").and_then(|value| parsed(&value, RoleArn::parse));
    let priority = i64::try_from(reader.count("priority")).ok();
    let [claim, matcher] = CONDITIONS.map(|key| reader.value(key));
    if claim.is_some() == matcher.is_some() {
        reader.problem(format!("needs exactly one of {}", CONDITIONS.join(", ")));
        return None;
    }
    let when = match (claim, matcher) {
        (Some(value), _) => When::Has(value.text()?.into()),
        (None, value) => When::Matches(parsed(&value?, Matcher::parse)?),
    };
    Some(Rule { when, role: role?, priority })
}

/// A text as what it stands for.
fn parsed<T, E: Display>(value: &Value<'_>, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
    let parsed = parse(&value.text()?);
    parsed.map_err(|error| value.problem(format!("{} {error}", value.quoted()))).ok()
}
