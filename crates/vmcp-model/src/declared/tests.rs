//! Declarations in; what all clients take of them out, and what is left out.

use super::{LIMIT, MAX_INSTRUCTIONS, MEMBER_LIMIT, TOLD, bounded_instructions, fitted};

#[track_caller]
fn check(declared: &str, expected: &str, left_out: &[(&str, &str)]) {
    let (found, names) = fitted(declared.as_bytes());
    assert_eq!(std::str::from_utf8(&found).unwrap(), expected);
    let names: Vec<_> = names.iter().map(|item| (&*item.name, &*item.why)).collect();
    assert_eq!(names, left_out);
}

#[test]
fn what_readers_take_stays_as_it_is() {
    for declared in [
        r#"{ "tools":{},"logging":{}, "new":[1.0,null],"experimental":{"a":{"b":5}}}"#,
        r#"{"tasks":{"list":{},"requests":{"tools":{"call":{}},"x":5}},"extensions":{}}"#,
        r#"{"tools":true,"resources":{"subscribe":"yes"}}"#,
        "{}",
        "5",
    ] {
        check(declared, declared, &[]);
    }
}

#[test]
fn what_some_reader_refuses_is_left_out_alone() {
    let deep = format!("{}{}", r#"{"a":"#.repeat(200), "1".to_owned() + &"}".repeat(200));
    let not_object = "it is not an object";
    check(
        &format!(r#"{{"tools":{{}},"experimental":{{"x":5,"y":{{}},"deep":{deep}}}}}"#),
        r#"{"tools":{},"experimental":{"y":{}}}"#,
        &[
            ("experimental.x", not_object),
            ("experimental.deep", "it is nested deeper than 60 levels"),
        ],
    );
    check(r#"{"extensions":[],"prompts":{}}"#, r#"{"prompts":{}}"#, &[("extensions", not_object)]);
    check(
        r#"{"tasks":{"list":5},"new":"\ud800","newer":1e999,"logging":{}}"#,
        r#"{"logging":{}}"#,
        &[
            ("tasks", "its list is not an object"),
            ("new", "it has half of a surrogate pair in a string"),
            ("newer", "it has a number that many readers cannot take"),
        ],
    );
}

#[test]
fn what_nobody_knows_is_bounded() {
    let long = "x".repeat(MEMBER_LIMIT);
    check(
        &format!(r#"{{"new":"{long}","tools":{{}}}}"#),
        r#"{"tools":{}}"#,
        &[("new", "it is longer than 16384 bytes")],
    );
    let half = "x".repeat(MEMBER_LIMIT / 2);
    let many: Vec<_> = (0..20).map(|n| format!(r#""n{n}":{{"x":"{half}"}}"#)).collect();
    let declared = format!(r#"{{"experimental":{{{}}}}}"#, many.join(","));
    let (found, left_out) = fitted(declared.as_bytes());
    assert!(found.len() <= LIMIT && found.len() > LIMIT / 2, "{}", found.len());
    assert!(left_out.iter().all(|item| item.why.contains("no room")), "{left_out:?}");
}

#[test]
fn of_a_capability_that_is_too_long_its_flags_are_taken() {
    let long = "x".repeat(MEMBER_LIMIT);
    check(
        &format!(
            r#"{{"tools":{{"listChanged":true,"x":"{long}"}},"prompts":"{long}","logging":{{}}}}"#
        ),
        r#"{"tools":{"listChanged":true},"prompts":{},"logging":{}}"#,
        &["tools", "prompts"]
            .map(|name| (name, "it is longer than 16384 bytes: only its flags are taken")),
    );
}

#[test]
fn whatever_is_declared_is_bounded() {
    let many = |member: &str| vec![member; 100_000].join(",");
    let names: Vec<_> = (0..100_000).map(|number| format!(r#""x.{number}":{{}}"#)).collect();
    let space = " ".repeat(2 << 20);
    for declared in [
        many(r#""tools":{}"#),
        many(r#""experimental":{}"#),
        many(r#""x":{}"#),
        format!(r#""extensions":{{{}}}"#, names.join(",")),
        names.join(","),
        format!(r#""tools":{{}},{space}"extensions":{{{space}"x":{{{space}}}}}"#),
        format!(r#""tools":{{{space}}},"resources":{{"subscribe":true{space}}}"#),
    ] {
        let (found, left_out) = fitted(format!("{{{declared}}}").as_bytes());
        assert!(found.len() < 4 * LIMIT, "{}", found.len());
        assert!(left_out.len() <= TOLD + 1, "{}", left_out.len());
        let again = fitted(&found);
        assert_eq!(again, (found, vec![]));
    }
}

#[test]
fn instructions_are_cut_between_characters_with_a_note() {
    let fits = "x".repeat(MAX_INSTRUCTIONS);
    assert_eq!(bounded_instructions(&fits), fits);
    let long = "€".repeat(MAX_INSTRUCTIONS);
    let cut = bounded_instructions(&long);
    assert!(cut.len() <= MAX_INSTRUCTIONS && cut.ends_with(']'));
    assert_eq!(bounded_instructions(&cut), cut);
}
