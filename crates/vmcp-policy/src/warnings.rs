//! What is odd about policies and entities although they can be read: they speak of what is never there. A policy
//! that permits then permits nobody, and one that forbids forbids nothing.

mod attributes;
mod conditions;
mod decimals;
mod entities;
mod known;

use std::collections::{HashMap, HashSet};

use cedar_policy::Effect;

use crate::{
    parse::{self, Statement},
    problem::Problem,
    settings::Settings,
    warnings::known::Known,
    world::World,
};

/// All that is odd, in the order in which it stands: policies before entities.
pub(crate) fn of(settings: &Settings, world: &World, backends: &[&str]) -> Vec<Problem> {
    let known = Known::new(settings, world, backends);
    // Whatever could not be read would have been refused.
    let statements = parse::policies(&settings.policies, &mut Vec::new());
    let mut problems: Vec<Problem> = nothing_is_permitted(&statements).into_iter().collect();
    let mut ids: HashMap<&str, &Statement> = HashMap::new();
    for statement in &statements {
        let twice = statement.id().and_then(|id| Some((id, *ids.get(id)?)));
        let twice = twice.map(|(id, first)| {
            format!(
                "`@id({id:?})` is given to {} as well, so both are called by their numbers: give each an id of \
                 its own",
                first.name
            )
        });
        if let Some(id) = statement.id() {
            ids.entry(id).or_insert(statement);
        }
        let messages = twice.into_iter().chain(conditions::of(&known, &statement.policy));
        let mut said = HashSet::new();
        let messages = messages.filter(|message| said.insert(message.clone()));
        problems.extend(messages.map(|message| Problem {
            place: statement.place,
            line: statement.line,
            column: statement.column,
            policy: Some(statement.name.clone()),
            message,
        }));
    }
    problems.extend(settings.entities.iter().flat_map(|text| entities::of(text)));
    problems
}

fn nothing_is_permitted(statements: &[Statement]) -> Option<Problem> {
    let first = statements.first()?;
    let permits = |statement: &Statement| statement.policy.effect() == Effect::Permit;
    (!statements.iter().any(permits)).then(|| Problem {
        place: first.place,
        line: first.line,
        column: first.column,
        policy: None,
        message: "all policies forbid, and what no policy permits is denied: nobody may do anything. Add one that \
                  permits, such as `permit(principal, action, resource);`"
            .to_owned(),
    })
}
