//! Declarations in; what all clients take of them out, and what is left out.

use bytes::Bytes;

use super::{LIMIT, MEMBER_LIMIT, fitted};

#[track_caller]
fn check(declared: &str, expected: &str, left_out: &[(&str, &str)]) {
    let (found, names) = fitted(&Bytes::from(declared.to_owned()));
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
    let (found, left_out) = fitted(&Bytes::from(declared));
    assert!(found.len() <= LIMIT && found.len() > LIMIT / 2, "{}", found.len());
    assert!(left_out.iter().all(|item| item.why.contains("no room")), "{left_out:?}");
}
