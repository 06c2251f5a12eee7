//! Entities of entitiesJson that are passed over, and members of theirs.

use serde_json::Value;
use vmcp_model::near::nearest;

use crate::{
    kinds::Action,
    parse,
    problem::{Place, Problem},
    warnings::known::listed,
};

const MEMBERS: [&str; 4] = ["uid", "attrs", "parents", "tags"];

/// All that is odd about entities, in the order in which they stand.
pub(super) fn of(text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (entity, (line, column)) in parse::written_entities(text) {
        let messages = made_for_each_request(&entity).into_iter().chain(unknown_members(&entity));
        problems.extend(messages.map(|message| Problem {
            place: Place::Entities,
            line,
            column,
            policy: None,
            message,
        }));
    }
    problems
}

fn made_for_each_request(entity: &Value) -> Option<String> {
    let uid = &entity["uid"];
    let uid = uid.get("__entity").unwrap_or(uid);
    let (kind, id) = (uid["type"].as_str()?, uid["id"].as_str()?);
    let made = Action::ALL.map(Action::kind).into_iter().chain(["Client", "Action"]);
    made.into_iter().any(|made| made == kind).then(|| {
        format!(
            "`{kind}::{id:?}` is made for each request, so what stands here of it does not count: say it of a \
             group, a backend, this server or something else that policies name"
        )
    })
}

fn unknown_members(entity: &Value) -> impl Iterator<Item = String> {
    let members = entity.as_object().into_iter().flatten();
    members.map(|(member, _)| member.as_str()).filter(|member| !MEMBERS.contains(member)).map(
        |member| {
            let hint = match nearest(member, MEMBERS) {
                Some(near) => format!("did you mean {near:?}?"),
                None if member == "attributes" => "did you mean \"attrs\"?".to_owned(),
                None => format!("there are {}", listed(MEMBERS, "and")),
            };
            format!("an entity has no {member:?}, so what stands there does not count: {hint}")
        },
    )
}
