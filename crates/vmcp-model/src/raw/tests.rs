//! Spans and splices of raw JSON.

use super::{Members, splice};

#[track_caller]
fn check(json: &str, name: &str, value: &str, expected: &str) {
    let members = Members::parse(json.as_bytes()).expect("an object");
    let edited = splice(json.as_bytes(), vec![members.set(name, value.to_owned())]);
    assert_eq!(std::str::from_utf8(&edited).unwrap(), expected);
}

#[test]
fn a_member_is_replaced_where_it_stands() {
    check(
        r#"{ "a":1.10, "name" : "x" ,"z":1E400}"#,
        "name",
        r#""y""#,
        r#"{ "a":1.10, "name" : "y" ,"z":1E400}"#,
    );
}

#[test]
fn an_absent_member_becomes_the_first() {
    check(r#"{"a":1}"#, "b", "2", r#"{"b":2,"a":1}"#);
    check("{ }", "b", "2", r#"{"b":2 }"#);
}

#[test]
fn an_escaped_name_is_the_same_name() {
    check(r#"{"n\u0061me":"x"}"#, "name", r#""y""#, r#"{"n\u0061me":"y"}"#);
}

#[test]
fn names_that_differ_in_case_are_ambiguous() {
    let members = Members::parse(br#"{"name":"a","Name":"b","other":1}"#).unwrap();
    assert!(members.is_ambiguous("name"));
    assert!(!members.is_ambiguous("other"));
}

#[test]
fn names_that_fold_to_the_same_letters_are_ambiguous() {
    let members =
        Members::parse(r#"{"tasK":1,"ta\u017f\u212a":2,"Öl":3,"öl":4}"#.as_bytes()).unwrap();
    assert!(members.is_ambiguous("task"));
    assert!(members.is_ambiguous("ta\u{17f}k"));
    assert!(!members.is_ambiguous("Öl"), "only letters of ASCII are folded");
    assert!(!members.is_ambiguous("tas"));
}

#[test]
fn what_is_not_one_object_is_refused() {
    for text in ["", "[]", "{", "{}x", r#"{"a":}"#, "null"] {
        assert!(Members::parse(text.as_bytes()).is_none(), "{text}");
    }
}
