//! A strict reader of the text format, made from its description.

use std::collections::{BTreeMap, BTreeSet};

/// What a text says.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// The types of families.
    pub(crate) types: BTreeMap<String, String>,
    pub(crate) samples: Vec<Sample>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// Reads a text. Panics where it is not as the format wants it.
pub(crate) fn parse(text: &str) -> Parsed {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line does not end");
    let mut parsed = Parsed::default();
    let (mut family, mut seen) = (String::new(), BTreeSet::new());
    let mut helps = BTreeSet::new();
    for line in text.split_terminator('\n') {
        assert!(!line.contains(|c: char| c.is_control()), "control character in {line:?}");
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, _) = help.split_once(' ').expect(line);
            assert!(helps.insert(name.to_owned()), "HELP twice: {line}");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect(line);
            assert!(helps.contains(name), "TYPE without HELP: {line}");
            let twice = parsed.types.insert(name.to_owned(), kind.to_owned());
            assert_eq!(twice, None, "TYPE twice: {line}");
            name.clone_into(&mut family);
        } else {
            let sample = sample(line);
            let suffixes: &[&str] = match parsed.types[&family].as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            let belongs = suffixes.iter().any(|suffix| sample.name == format!("{family}{suffix}"));
            assert!(belongs, "{line} stands among {family}");
            assert!(seen.insert((sample.name.clone(), sample.labels.clone())), "twice: {line}");
            parsed.samples.push(sample);
        }
    }
    parsed
}

fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect(line);
    let (name, mut rest) = line.split_at(end);
    assert_name(name);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").expect(line);
            assert_name(label);
            let (value, after) = quoted(after);
            assert_eq!(labels.insert(label.to_owned(), value), None, "label twice: {line}");
            if let Some(after) = after.strip_prefix('}') {
                rest = after;
                break;
            }
            rest = after.strip_prefix(',').expect(line);
        }
    }
    let value = rest.strip_prefix(' ').expect(line);
    let value = match value {
        "+Inf" => f64::INFINITY,
        _ => value.parse().expect(line),
    };
    Sample { name: name.to_owned(), labels, value }
}

/// Reads up to the quote that ends it.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((place, character)) = characters.next() {
        match character {
            '"' => return (value, &text[place + 1..]),
            '\\' => value.push(match characters.next().expect(text).1 {
                'n' => '\n',
                escaped @ ('\\' | '"') => escaped,
                other => panic!("\\{other} is no escape"),
            }),
            other => value.push(other),
        }
    }
    panic!("{text:?} has no end");
}

fn assert_name(name: &str) {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    assert!(name.starts_with(is_first), "{name:?} is no name");
    assert!(name.chars().all(|c| is_first(c) || c.is_ascii_digit()), "{name:?} is no name");
    assert!(!name.contains("__"), "{name:?} is not for us");
}
