//! Reads policies and entities, and says of all that is wrong with them where it stands.

use std::{collections::HashMap, ops::Range};

use cedar_policy::{
    Entities, EntityTypeName, ParseErrors, Policy, PolicyId, PolicySet,
    entities_errors::EntitiesError,
};
use miette::Diagnostic;
use serde_json::{Value, json, value::RawValue};

use crate::{
    extent,
    kinds::Kinds,
    problem::{Place, Problem},
    settings::Settings,
};

/// What settings say, read.
pub(crate) struct Parsed {
    pub(crate) kinds: Kinds,
    pub(crate) entities: Entities,
    pub(crate) policies: Vec<Statement>,
}

/// A policy, what it is called and where it stands.
pub(crate) struct Statement {
    pub(crate) name: String,
    pub(crate) policy: Policy,
    pub(crate) place: Place,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// Reads everything.
pub(crate) fn all(settings: &Settings) -> Result<Parsed, Vec<Problem>> {
    let mut problems = Vec::new();
    let policies = policies(&settings.policies, &mut problems);
    let entities = entities(settings.entities.as_deref().unwrap_or("[]"), &mut problems);
    let group = group_entity_type(&settings.group_entity_type, &mut problems);
    match (entities, group) {
        (Some(entities), Some(group)) if problems.is_empty() => {
            Ok(Parsed { kinds: Kinds::new(group), entities, policies })
        }
        _ => Err(problems),
    }
}

fn group_entity_type(name: &str, problems: &mut Vec<Problem>) -> Option<EntityTypeName> {
    let read = name.parse::<EntityTypeName>().ok();
    let plain = read.filter(|kind| kind.basename() == name);
    if plain.is_none() {
        let message = format!(
            "{name:?} is no name of an entity type: write letters, digits and `_` only, with no digit first \
             and no `::`, such as {:?}",
            Settings::GROUP_ENTITY_TYPE
        );
        let place = Place::GroupEntityType;
        problems.push(Problem { place, line: 1, column: 1, policy: None, message });
    }
    plain
}

/// Reads the policies of all texts and names them.
pub(crate) fn policies(texts: &[String], problems: &mut Vec<Problem>) -> Vec<Statement> {
    let mut read = Vec::new();
    let mut count = 0;
    for (number, text) in texts.iter().enumerate() {
        let text = Text { place: Place::Policies(number), text, first: count };
        let statements = text.statements();
        count += statements.len();
        let excess = text.excess(&statements);
        if !excess.is_empty() {
            problems.extend(excess);
            continue;
        }
        match text.text.parse::<PolicySet>() {
            Err(errors) => problems.extend(text.not_read(&errors, &statements)),
            Ok(_) if statements.is_empty() => problems.push(text.problem(
                0,
                None,
                "there is no policy here: write one, such as `permit(principal, action, resource);`, or \
                 leave the text out"
                    .to_owned(),
            )),
            Ok(set) if set.num_of_templates() > 0 => {
                problems.extend(text.templates(&statements));
            }
            Ok(set) => read.extend(text.read(&set, &statements)),
        }
    }
    named(read)
}

/// The number that Cedar gives a policy by its place in a text.
fn number_of(id: &PolicyId) -> Option<usize> {
    AsRef::<str>::as_ref(id).strip_prefix("policy")?.parse().ok()
}

/// Calls each policy that has a number by its `@id`, if no other is called so.
fn named(mut statements: Vec<Statement>) -> Vec<Statement> {
    let mut uses: HashMap<String, usize> = HashMap::new();
    for statement in &statements {
        for name in statement.id().into_iter().chain([statement.name.as_str()]) {
            *uses.entry(name.to_owned()).or_default() += 1;
        }
    }
    for statement in &mut statements {
        if let Some(id) = statement.id().filter(|id| uses[*id] == 1) {
            statement.name = id.to_owned();
        }
    }
    statements
}

impl Statement {
    /// Its `@id`, if it has one.
    pub(crate) fn id(&self) -> Option<&str> {
        self.policy.annotation("id").filter(|id| !id.is_empty())
    }
}

fn numbered(number: usize) -> String {
    format!("policy{number}")
}

/// A text with policies.
struct Text<'a> {
    place: Place,
    text: &'a str,
    /// The number of its first policy.
    first: usize,
}

impl Text<'_> {
    /// Where each policy stands, as far as semicolons tell.
    fn statements(&self) -> Vec<Range<usize>> {
        let mut statements = Vec::new();
        let mut start = None;
        let mut rest = self.text.char_indices().peekable();
        while let Some((at, letter)) = rest.next() {
            match letter {
                '/' if rest.peek().is_some_and(|(_, next)| *next == '/') => {
                    let _comment = rest.find(|(_, letter)| *letter == '\n');
                    continue;
                }
                '"' => skip_string(&mut rest),
                letter if letter.is_whitespace() => continue,
                _ => {}
            }
            let begin = *start.get_or_insert(at);
            if letter == ';' {
                statements.push(begin..at + 1);
                start = None;
            }
        }
        statements.extend(start.map(|begin| begin..self.text.len()));
        statements
    }

    /// What would take too much of whoever reads it.
    fn excess(&self, statements: &[Range<usize>]) -> Vec<Problem> {
        let excess = |(number, range): (usize, &Range<usize>)| {
            let (at, why) = extent::excess(self.text, range)?;
            Some(self.problem(at, Some((number, range)), why))
        };
        statements.iter().enumerate().filter_map(excess).collect()
    }

    /// Its policies, each called by its number.
    fn read(&self, set: &PolicySet, statements: &[Range<usize>]) -> Vec<Statement> {
        let mut policies: Vec<Policy> = set.policies().cloned().collect();
        policies.sort_by_key(|policy| number_of(policy.id()));
        let statement = |(number, policy): (usize, Policy)| {
            let start = statements.get(number).map_or(0, |range| range.start);
            let (line, column) = line_and_column(self.text, start);
            let name = numbered(self.first + number);
            Statement { name, policy, place: self.place, line, column }
        };
        policies.into_iter().enumerate().map(statement).collect()
    }

    fn not_read(&self, errors: &ParseErrors, statements: &[Range<usize>]) -> Vec<Problem> {
        let problem = |error: &cedar_policy::ParseError| {
            let label = error.labels().and_then(|mut labels| labels.next());
            let at = label.as_ref().map_or(0, |label| label.offset());
            let mut message = first_line(&error.to_string());
            let label = label.as_ref().and_then(|label| label.label().map(first_line));
            let help = error.help().map(|help| first_line(&help.to_string()));
            for more in label.into_iter().chain(help).filter(|more| !more.is_empty()) {
                if !message.contains(&more) {
                    message = format!("{message}: {more}");
                }
            }
            self.problem(at, statement_at(statements, at), message)
        };
        errors.iter().map(problem).collect()
    }

    fn templates(&self, statements: &[Range<usize>]) -> Vec<Problem> {
        let slot = |(number, range): (usize, &Range<usize>)| {
            let statement = &self.text[range.clone()];
            let at =
                ["?principal", "?resource"].iter().filter_map(|slot| statement.find(slot)).min();
            let message = "this is a template, which stands for nothing by itself: write a principal or a \
                           resource where it has `?principal` or `?resource`";
            Some(self.problem(range.start + at?, Some((number, range)), message.to_owned()))
        };
        statements.iter().enumerate().filter_map(slot).collect()
    }

    fn problem(
        &self,
        at: usize,
        statement: Option<(usize, &Range<usize>)>,
        message: String,
    ) -> Problem {
        let (line, column) = line_and_column(self.text, at);
        let policy = statement.map(|(number, range)| {
            id_in(&self.text[range.clone()]).unwrap_or_else(|| numbered(self.first + number))
        });
        Problem { place: self.place, line, column, policy, message }
    }
}

/// Goes on behind a string whose first quote was read.
fn skip_string(rest: &mut impl Iterator<Item = (usize, char)>) {
    while let Some((_, letter)) = rest.next() {
        match letter {
            '"' => return,
            '\\' => {
                let _escaped = rest.next();
            }
            _ => {}
        }
    }
}

/// The statement that something stands in, or the last one before it.
fn statement_at(statements: &[Range<usize>], at: usize) -> Option<(usize, &Range<usize>)> {
    let before = statements.iter().enumerate().take_while(|(_, range)| range.start <= at);
    before.last().or_else(|| statements.iter().enumerate().next())
}

/// The `@id` of a policy that could not be read.
fn id_in(statement: &str) -> Option<String> {
    let (_, rest) = statement.split_once("@id(")?;
    let (id, _) = rest.trim_start().strip_prefix('"')?.split_once('"')?;
    (!id.is_empty()).then(|| id.to_owned())
}

/// Reads entities.
fn entities(text: &str, problems: &mut Vec<Problem>) -> Option<Entities> {
    let items: Vec<&RawValue> = match serde_json::from_str(text) {
        Ok(items) => items,
        Err(error) => {
            let (line, column) = (error.line().max(1), error.column().max(1));
            let message = format!("this is no JSON array of entities: {}", without_place(&error));
            problems.push(Problem { place: Place::Entities, line, column, policy: None, message });
            return None;
        }
    };
    let all: Value = items.iter().map(|item| completed(item)).collect();
    match Entities::from_json_value(all, None) {
        Ok(entities) => Some(entities),
        Err(error) => {
            let wrong = wrong_items(text, &items);
            let together = wrong.is_empty().then(|| entities_problem((1, 1), &error));
            problems.extend(wrong.into_iter().chain(together));
            None
        }
    }
}

/// The entities that cannot be read by themselves.
fn wrong_items(text: &str, items: &[&RawValue]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (item, place) in items.iter().zip(places(text, items)) {
        if let Err(error) = Entities::from_json_value(json!([completed(item)]), None) {
            problems.push(entities_problem(place, &error));
        }
    }
    problems
}

/// Entities as they are written, each with its line and column. None of what cannot be read.
pub(crate) fn written_entities(text: &str) -> Vec<(Value, (usize, usize))> {
    let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    let values = items.iter().map(|item| serde_json::from_str(item.get()).unwrap_or_default());
    values.zip(places(text, &items)).collect()
}

/// Where each item stands.
fn places(text: &str, items: &[&RawValue]) -> Vec<(usize, usize)> {
    let mut after = 0;
    let place = |item: &&RawValue| {
        // Items stand in their order, so each is the next that reads like it.
        let at = after + text[after..].find(item.get()).expect("an item is a part of its text");
        after = at + item.get().len();
        line_and_column(text, at)
    };
    items.iter().map(place).collect()
}

/// An entity with all its members. Other implementations of Cedar take one without attributes and parents.
fn completed(item: &RawValue) -> Value {
    let mut item: Value = serde_json::from_str(item.get()).expect("it is a part of a JSON text");
    if let Value::Object(members) = &mut item {
        members.entry("attrs").or_insert_with(|| json!({}));
        members.entry("parents").or_insert_with(|| json!([]));
    }
    item
}

/// What is wrong with entities, and where.
pub(crate) fn entities_problem((line, column): (usize, usize), error: &EntitiesError) -> Problem {
    let message = full(error);
    Problem { place: Place::Entities, line, column, policy: None, message }
}

/// What an error says, its causes and its help.
fn full(error: &impl Diagnostic) -> String {
    let mut message = first_line(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = first_line(&error.to_string());
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    match error.help() {
        Some(help) => format!("{message}: {}", first_line(&help.to_string())),
        None => message,
    }
}

fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// The line and the column of a byte, in characters from 1.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let at = text.floor_char_boundary(at);
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    (line, before[start..].chars().count() + 1)
}
