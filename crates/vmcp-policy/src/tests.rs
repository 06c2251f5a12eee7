//! Policies in, answers out.

mod callers;
mod decisions;
mod grammar;
mod oracle;
mod problems;
mod properties;
mod rights;
mod warnings;

use crate::{Decision, Feature, Hints, Object, Policy, Right, Settings, Subject};

pub(crate) const TOOL: Object<'_> = tool("search");

pub(crate) const fn tool(name: &str) -> Object<'_> {
    let none = Hints { read_only: None, destructive: None, idempotent: None, open_world: None };
    Object { feature: Feature::Tool(none), name, backend: Some("github") }
}

pub(crate) fn settings(policies: &str) -> Settings {
    Settings { policies: vec![policies.to_owned()], ..Settings::default() }
}

#[track_caller]
pub(crate) fn made(settings: &Settings) -> Policy {
    match Policy::new(settings) {
        Ok(policy) => policy,
        Err(problems) => panic!("{problems:?}"),
    }
}

#[track_caller]
pub(crate) fn subject(policy: &Policy, claims: &str) -> Subject {
    policy.subject(claims.as_bytes()).expect("somebody")
}

/// What is decided about a use by somebody with these claims.
#[track_caller]
pub(crate) fn decided(
    settings: &Settings,
    claims: &str,
    object: &Object<'_>,
    arguments: &str,
) -> Decision {
    let policy = made(settings);
    let arguments = (!arguments.is_empty()).then_some(arguments.as_bytes());
    policy.decide(&subject(&policy, claims), object, arguments)
}

/// Checks whether this condition is satisfied, or fails.
#[track_caller]
pub(crate) fn check(condition: &str, claims: &str, object: &Object<'_>, arguments: &str, is: &str) {
    let settings =
        settings(&format!("permit(principal, action, resource) when {{ {condition} }};"));
    let decision = decided(&settings, claims, object, arguments);
    let found = match (decision.is_allowed, decision.errors.is_empty()) {
        (true, true) => "yes",
        (false, true) => "no",
        (false, false) => "error",
        (true, false) => "allowed with errors",
    };
    assert_eq!(found, is, "{condition} of {claims} with {arguments}: {:?}", decision.errors);
}

/// Checks the right that somebody has.
#[track_caller]
pub(crate) fn check_right(policies: &str, claims: &str, object: &Object<'_>, right: Right) {
    let policy = made(&settings(policies));
    let found = policy.right(&subject(&policy, claims), object);
    assert_eq!(found, right, "{policies} for {claims}");
}
