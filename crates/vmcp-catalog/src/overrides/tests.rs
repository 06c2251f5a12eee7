//! Overrides laid over a tool's JSON.

use bytes::Bytes;

use super::{Ambiguous, apply};
use crate::rules::{Annotations, Override};

#[track_caller]
fn check(tool: &str, change: &Override, expected: Result<&str, Ambiguous>) {
    let changed = apply(&Bytes::copy_from_slice(tool.as_bytes()), change);
    let changed = changed.map(|json| String::from_utf8(json.to_vec()).unwrap());
    assert_eq!(changed.as_deref(), expected.as_ref().map(|text| *text));
}

fn description(text: &str) -> Override {
    Override { description: Some(text.to_owned()), ..Override::default() }
}

fn hints() -> Override {
    let annotations = Annotations {
        title: Some("T".to_owned()),
        destructive_hint: Some(false),
        ..Annotations::default()
    };
    Override { annotations: Some(annotations), ..Override::default() }
}

#[test]
fn a_description_is_set_or_added() {
    check(
        r#"{"name":"t","description":null ,"x":1}"#,
        &description("d"),
        Ok(r#"{"name":"t","description":"d" ,"x":1}"#),
    );
    check(r#"{"name":"t"}"#, &description("d"), Ok(r#"{"description":"d","name":"t"}"#));
}

#[test]
fn annotations_are_laid_over_the_backends_own() {
    check(
        r#"{"name":"t","annotations":{"destructiveHint":true,"x":1.0}}"#,
        &hints(),
        Ok(r#"{"name":"t","annotations":{"title":"T","destructiveHint":false,"x":1.0}}"#),
    );
    for none in ["null", "{ }", "[]", "3"] {
        check(
            &format!(r#"{{"name":"t","annotations":{none}}}"#),
            &hints(),
            Ok(r#"{"name":"t","annotations":{"title":"T","destructiveHint":false}}"#),
        );
    }
    check(
        r#"{"name":"t"}"#,
        &hints(),
        Ok(r#"{"annotations":{"title":"T","destructiveHint":false},"name":"t"}"#),
    );
}

#[test]
fn an_override_that_a_reader_could_miss_is_refused() {
    check(
        r#"{"name":"t","description":"a","description":"b"}"#,
        &description("d"),
        Err(Ambiguous("description")),
    );
    check(
        r#"{"name":"t","annotations":{"DestructiveHint":true}}"#,
        &hints(),
        Err(Ambiguous("destructiveHint")),
    );
    // What no override touches is the backend's own affair.
    let twice = r#"{"name":"t","x":1,"x":2}"#;
    check(twice, &Override::default(), Ok(twice));
}
