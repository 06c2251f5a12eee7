//! A YAML document as a tree in which every value knows its place.
//!
//! Nothing here knows what a configuration holds. No type derives `Debug`: values may be secrets.

use std::{collections::HashMap, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{
    DuplicateKeyPolicy, Error, Location, MessageFormatter, NonFiniteFloatPolicy, Spanned,
    UserMessageFormatter, budget::BudgetBreach,
};

use super::problem::{Place, Problem};

/// How many nodes aliases may add to a document.
const MAX_ALIASED: usize = 10_000;

/// How many lists and maps may stand in one another: several times what a configuration has, and no
/// more than a thread's stack is good for.
const MAX_DEPTH: usize = 32;

/// One value.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) content: Content,
}

/// What a value is. A number or a truth value is the text that stands in the file: the key under
/// which it stands says how to read it.
#[derive(Clone)]
pub(super) enum Content {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl Content {
    /// What stands under a key of a map.
    pub(super) fn under(&self, key: &str) -> Option<&Entry> {
        match self {
            Self::Map(entries) => entries.iter().find(|entry| entry.key == key),
            Self::Null | Self::Text(_) | Self::List(_) => None,
        }
    }
}

/// One key of a map, with its value.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

/// Reads one document. Beside the tree, which holds the first of several equal keys, comes a
/// problem for each of the others.
pub(super) fn parse(source: &str) -> Result<(Node, Vec<Problem>), Problem> {
    let mut duplicates = Vec::new();
    let error = match read(source, DuplicateKeyPolicy::Error) {
        Ok(raw) => return Ok((adopt(raw, source, &mut duplicates), duplicates)),
        Err(error) => error,
    };
    let problem = tab_of(source, &error).unwrap_or_else(|| problem_of(&error));
    if !matches!(error.without_snippet(), Error::DuplicateMappingKey { .. }) {
        return Err(problem);
    }
    // Go on without the duplicates, so that all other problems are told too. Keys that are equal
    // as numbers are merged before they reach the tree, which leaves only the first error.
    let raw = read(source, DuplicateKeyPolicy::LastWins).map_err(|error| problem_of(&error))?;
    let root = adopt(raw, source, &mut duplicates);
    if duplicates.iter().all(|duplicate| duplicate.place != problem.place) {
        duplicates.push(problem);
    }
    Ok((root, duplicates))
}

fn read(source: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Spanned<Raw>, Error> {
    let options = serde_saphyr::options! {
        duplicate_keys: duplicate_keys,
        strict_booleans: true,
        reject_unsupported_tags: true,
        // Such numbers are text here, and the library's own refusal would quote a secret.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(source, options)
}

/// Turns what serde made into our tree.
fn adopt(raw: Spanned<Raw>, source: &str, duplicates: &mut Vec<Problem>) -> Node {
    let place = place_of(raw.referenced);
    let content = match raw.value {
        Raw::Null => Content::Null,
        Raw::Text(text) => Content::Text(text),
        Raw::Other(fallback) => {
            Content::Text(written(source, raw.defined).map_or(fallback, str::to_owned))
        }
        Raw::List(items) => {
            Content::List(items.into_iter().map(|item| adopt(item, source, duplicates)).collect())
        }
        Raw::Map(pairs) => Content::Map(entries(pairs, source, duplicates)),
    };
    Node { place, content }
}

fn entries(
    pairs: Vec<(Spanned<String>, Spanned<Raw>)>,
    source: &str,
    duplicates: &mut Vec<Problem>,
) -> Vec<Entry> {
    let mut first = HashMap::new();
    let mut entries = Vec::new();
    for (key, value) in pairs {
        let place = place_of(key.referenced);
        let node = adopt(value, source, duplicates);
        if let Some(line) = first.get(&key.value) {
            let text = format!("the key {:?} stands on line {line} already", key.value);
            duplicates.push(Problem { place: Some(place), path: String::new(), text });
        } else {
            first.insert(key.value.clone(), place.line);
            entries.push(Entry { key: key.value, place, node });
        }
    }
    entries
}

/// The text of the file that a value was made of.
fn written(source: &str, location: Location) -> Option<&str> {
    let span = location.span();
    let start = usize::try_from(span.byte_offset()?).ok()?;
    let length = usize::try_from(span.byte_len()?).ok()?;
    source.get(start..start.checked_add(length)?)
}

fn place_of(location: Location) -> Place {
    Place { line: location.line().max(1), column: location.column().max(1) }
}

fn problem_of(error: &Error) -> Problem {
    let text = match error.without_snippet() {
        Error::DuplicateMappingKey { .. } => "this key stands in the same map already".to_owned(),
        Error::MultipleDocuments { .. } => {
            "a second YAML document starts here; a configuration is one document".to_owned()
        }
        Error::Unexpected { expected: "string scalar", .. } | Error::NullIntoString { .. } => {
            "a key must be text".to_owned()
        }
        Error::AliasError { error, .. } => return problem_of(error),
        Error::AliasReplayLimitExceeded { .. } => {
            format!("aliases (*) repeat more than {MAX_ALIASED} values; write less of them")
        }
        Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => {
            format!("more than {MAX_DEPTH} lists and maps stand in one another here")
        }
        Error::Budget { .. } => "the file holds more than a configuration can".to_owned(),
        other => {
            let text = UserMessageFormatter.format_message(other);
            let text = text.replace(char::is_control, " ");
            format!("not valid YAML: {text}{}", cure(&text))
        }
    };
    Problem { place: error.location().map(place_of), path: String::new(), text }
}

/// What to do about what the library found.
fn cure(text: &str) -> &'static str {
    const CURES: [(&str, &str); 6] = [
        ("did not find expected", "; look at how far the lines here are indented"),
        (
            "indentation",
            "; look at how far the lines here are indented, and whether a quote is open",
        ),
        (
            "mapping values are not allowed",
            "; write a space after the colon of each key, and texts with a colon in quotes",
        ),
        (
            "placement of ':'",
            "; look for a bracket that is open, and write texts with a colon in quotes",
        ),
        ("unknown value", "; write a text that begins with * in quotes"),
        ("unsupported tag", "; write a text that begins with ! in quotes"),
    ];
    CURES.iter().find(|(found, _)| text.contains(found)).map_or("", |(_, cure)| cure)
}

/// The tab by which a line is indented, if it is what the library stumbles over: it tells of the line
/// before.
fn tab_of(source: &str, error: &Error) -> Option<Problem> {
    let found = place_of(error.location()?);
    let lines = source.lines().zip(1_u64..).skip_while(|(_, line)| *line < found.line).take(2);
    let (indentation, line) = lines
        .map(|(text, line)| (&text[..text.len() - text.trim_start().len()], line))
        .find(|(indentation, _)| indentation.contains('\t'))?;
    let column = u64::try_from(indentation.find('\t')?).ok()?.saturating_add(1);
    let text = "a tab indents this line; write spaces".to_owned();
    Some(Problem { place: Some(Place { line, column }), path: String::new(), text })
}

/// What serde makes of a value.
enum Raw {
    Null,
    Text(String),
    /// A number or a truth value, in case its place in the file is not known.
    Other(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

struct RawVisitor;

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Other(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Other(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Other(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Other(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = access.next_entry()? {
            pairs.push(pair);
        }
        Ok(Raw::Map(pairs))
    }
}
