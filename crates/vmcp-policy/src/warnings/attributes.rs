//! Attributes that the four variables never have.

use cedar_policy::pst::Var;
use vmcp_model::near::{distance, nearest};

use crate::{kinds::Action, warnings::known::listed};

const CLAIM: &str = "claim_";
const ARGUMENT: &str = "arg_";

/// What people write for the arguments where these are not attributes of their own.
const ARGUMENTS: [&str; 8] =
    ["arguments", "args", "arg", "argument", "params", "parameters", "input", "inputs"];

/// What people write for the claims.
const CLAIMS: [&str; 2] = ["claims", "claim"];

const HINTS: [&str; 4] = ["readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"];
const URI: &str = "uri";
const OPERATION: &str = "operation";

/// What resources have, besides arguments.
const OF_RESOURCES: [&str; 8] =
    ["name", OPERATION, "feature", URI, HINTS[0], HINTS[1], HINTS[2], HINTS[3]];

/// What is odd about an attribute of a variable, and those that are looked for in it.
pub(super) fn of(var: &Var, path: &[&str], actions: &[Action]) -> Option<String> {
    let (name, inner) = path.split_first()?;
    let hint = match var {
        Var::Principal if name.starts_with(CLAIM) => return None,
        Var::Context if is_claim_or_argument(name) => return None,
        Var::Resource if name.starts_with(ARGUMENT) => return None,
        Var::Resource if OF_RESOURCES.contains(name) => of_another_action(name, actions)?,
        Var::Action if *name == OPERATION => return None,
        Var::Principal => of_principal(name, inner.first().copied()),
        Var::Context => of_context(name, inner.first().copied()),
        Var::Resource => of_resource(name, inner.first().copied()),
        Var::Action => {
            format!("actions have `{}` alone, which is their name", shown(var, OPERATION))
        }
    };
    Some(format!("`{}` is never there: {hint}", shown_path(var, path)))
}

pub(super) fn is_claim_or_argument(name: &str) -> bool {
    name.starts_with(CLAIM) || name.starts_with(ARGUMENT)
}

/// An attribute as policies write it.
pub(super) fn shown(var: &Var, name: &str) -> String {
    shown_path(var, &[name])
}

/// An attribute, one of it, and so on.
fn shown_path(var: &Var, path: &[&str]) -> String {
    let mut text = word(var).to_owned();
    for name in path {
        let plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        match name.chars().all(plain) && !name.starts_with(|letter: char| letter.is_ascii_digit()) {
            true => text.extend([".", name]),
            false => text.push_str(&format!("[{name:?}]")),
        }
    }
    text
}

fn word(var: &Var) -> &'static str {
    match var {
        Var::Principal => "principal",
        Var::Action => "action",
        Var::Resource => "resource",
        Var::Context => "context",
    }
}

/// That another kind of resource has it.
fn of_another_action(name: &str, actions: &[Action]) -> Option<String> {
    let (owner, those) = match name {
        URI => (Action::Read, "resources have it"),
        hint if HINTS.contains(&hint) => (Action::Call, "tools have it"),
        _ => return None,
    };
    let asked = listed(actions.iter().map(|action| action.name()), "or");
    (!actions.contains(&owner))
        .then(|| format!("only {those}, which nobody asks for with the action {asked}"))
}

fn of_principal(name: &str, inner: Option<&str>) -> String {
    if ["groups", "group", "roles", "role"].contains(&name) {
        return format!(
            "for a group write `principal in` and the group, for the claim itself `{}`",
            claim(&Var::Principal, name)
        );
    }
    if name.starts_with(ARGUMENT) {
        return format!("arguments are in the context, so write `{}`", shown(&Var::Context, name));
    }
    claims(&Var::Principal, name, inner)
}

fn of_context(name: &str, inner: Option<&str>) -> String {
    let var = Var::Context;
    let begins_like = |prefix| near_prefix(name, prefix).is_some();
    if OF_RESOURCES.contains(&name) {
        return format!(
            "what is asked for has it, so write `{}`; an argument of that name is `{}`",
            shown(&Var::Resource, name),
            argument(&var, name)
        );
    }
    if ARGUMENTS.contains(&name) || begins_like(ARGUMENT) {
        return arguments(&var, name, inner);
    }
    if CLAIMS.contains(&name) || begins_like(CLAIM) {
        return claims(&var, name, inner);
    }
    format!(
        "an argument of that name is `{}`, and a claim is `{}`",
        argument(&var, name),
        claim(&var, name)
    )
}

fn of_resource(name: &str, inner: Option<&str>) -> String {
    let var = Var::Resource;
    if name.starts_with(CLAIM) {
        return format!("claims are the caller's, so write `{}`", shown(&Var::Principal, name));
    }
    if let Some(near) = nearest(name, OF_RESOURCES) {
        return format!("did you mean `{}`?", shown(&var, near));
    }
    if ARGUMENTS.contains(&name) || near_prefix(name, ARGUMENT).is_some() {
        return arguments(&var, name, inner);
    }
    match name {
        "id" => "the name is `resource.name`".to_owned(),
        "type" | "kind" => "write `resource is Tool`, or read `resource.feature`".to_owned(),
        "backend" | "server" => {
            "for what a backend has write `resource in Backend::\"<name>\"`".to_owned()
        }
        _ => format!(
            "there are {}; an argument of that name is `{}`",
            listed(OF_RESOURCES, "and"),
            argument(&var, name)
        ),
    }
}

fn arguments(var: &Var, name: &str, inner: Option<&str>) -> String {
    let all = format!("arguments are `{}.arg_<name>`", word(var));
    match part(name, inner, &ARGUMENTS) {
        Some(name) => format!("{all}, so write `{}`", argument(var, name)),
        None => all,
    }
}

fn claims(var: &Var, name: &str, inner: Option<&str>) -> String {
    let all = format!("claims are `{}.claim_<name>`", word(var));
    match part(name, inner, &CLAIMS) {
        Some(name) => format!("{all}, so write `{}`", claim(var, name)),
        None => all,
    }
}

fn argument(var: &Var, name: &str) -> String {
    let name = near_prefix(name, ARGUMENT).unwrap_or(name);
    shown(var, &format!("{ARGUMENT}{name}"))
}

fn claim(var: &Var, name: &str) -> String {
    let name = near_prefix(name, CLAIM).unwrap_or(name);
    shown(var, &format!("{CLAIM}{name}"))
}

/// What is looked for: the name itself, or if that stands for all of them, the one that is read of it.
fn part<'a>(name: &'a str, inner: Option<&'a str>, all: &[&str]) -> Option<&'a str> {
    if all.contains(&name) { inner } else { Some(name) }
}

/// What follows a misspelt prefix: `email` of `claims_email`.
fn near_prefix<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (beginning, rest) = name.split_once(['_', '-'])?;
    let is_meant = match prefix {
        // So short a word is near to many that are meant: `org_id`.
        ARGUMENT => ["arg", "args", "agr", "argument", "arguments"].contains(&beginning),
        _ => distance(beginning, "claim") <= 1,
    };
    is_meant.then_some(rest)
}
