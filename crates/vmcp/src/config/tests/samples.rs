//! Whole files.

use super::{
    super::{
        keys,
        schema::{Key, Shape},
    },
    check, check_as_it_is, complete, outcome, parsed, tidy,
};

const COMPLETE: &str = include_str!("complete.yaml");

/// Keys that cannot stand in one file with all the others.
const OTHERS: [&str; 4] = [
    include_str!("single.yaml"),
    include_str!("cluster.yaml"),
    include_str!("grants.yaml"),
    super::aws::COMPLETE,
];

#[test]
fn every_accepted_key_reaches_its_place() {
    check_as_it_is(COMPLETE, include_str!("complete.txt"));
    check(
        OTHERS[0],
        "admin None Token(Some(\"admin-token.txt\"))
         records in Redis at redis.example.com:6380
         records in db 0 under thv:vmcp:session:
         records as vmcp s3cret-token tls None
         records dial 5s command 3s
         records Bus { max_staleness: 100ms } keys [9, 8]",
    );
    check(
        OTHERS[1],
        "records in Redis cluster at node-0.example.com:6379, node-1.example.com:6379
         records in db 0 under thv:vmcp:session:
         records as - - tls None
         records dial 5s command 3s
         records Bus { max_staleness: 1s } keys []",
    );
    let expected = include_str!("grants.txt");
    let actual = parsed(&complete(OTHERS[2])).expect("it is accepted");
    let actual = outcome::rendered(&actual);
    let shown = actual.iter().filter(|line| line.contains(" ca 0 {}"));
    assert_eq!(shown.cloned().collect::<Vec<_>>().join("\n"), tidy(expected));
}

#[test]
fn the_complete_sample_is_complete() {
    fn names(keys: &[Key], all: &mut Vec<&'static str>) {
        for key in keys.iter().filter(|key| key.is_read()) {
            all.push(key.name);
            match key.shape {
                Shape::Section(keys) | Shape::Sections(keys) | Shape::Named(keys) => {
                    names(keys, all);
                }
                _ => {}
            }
        }
    }
    let mut all = Vec::new();
    names(keys::ROOT, &mut all);
    let texts = [&[COMPLETE], &OTHERS[..]].concat().concat();
    all.retain(|name| !texts.contains(&format!("{name}:")));
    assert!(all.is_empty(), "not in complete.yaml or beside it: {all:?}");
}

#[test]
fn a_minimal_file_gets_the_defaults() {
    let configuration = parsed(&complete("")).expect("the minimum is complete");
    assert_eq!(outcome::rendered(&configuration).join("\n"), tidy(include_str!("defaults.txt")));
}

#[test]
fn a_file_of_the_reference_system_is_taken_as_it_is() {
    check_as_it_is(include_str!("toolhive-today.yaml"), include_str!("toolhive-today.txt"));
}

#[test]
fn a_file_of_the_reference_system_is_told_all_that_is_not_built_yet() {
    check_as_it_is(include_str!("toolhive.yaml"), include_str!("toolhive.txt"));
}

#[test]
fn nothing_that_is_printed_for_debugging_holds_a_secret() {
    let debug = format!("{:?}", parsed(COMPLETE).expect("the sample is accepted"));
    assert!(debug.contains("Sensitive"), "{debug}");
    assert!(!debug.contains("s3cret") && !debug.contains("literal"), "{debug}");
    assert!(!debug.contains("\"github\"}") && !debug.contains("fallback"), "{debug}");
}

/// Whatever stands in a line, the answer is a configuration or a list of problems, and neither a
/// panic nor a secret.
#[test]
fn broken_lines_lead_to_problems() {
    let lines: Vec<&str> = COMPLETE.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let key = line.split_inclusive(':').next().unwrap_or_default();
        for value in ["[]", "{x: ~}", "${"] {
            let broken = format!("{key} {value}");
            let mut lines = lines.clone();
            lines[index] = &broken;
            if let Err(problems) = parsed(&lines.join("\n")) {
                let problems = problems.to_string();
                assert!(!problems.is_empty() && !problems.contains("s3cret"), "{problems}");
            }
        }
    }
}
