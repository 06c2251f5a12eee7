//! Capabilities of several backends, one a line.

use std::sync::Arc;

use super::merged;
use vmcp_model::{BackendId, Offer};

#[track_caller]
fn check(declared: &str, expected: &str) {
    let offer =
        |line: &str| Offer { capabilities: line.trim().to_owned().into(), ..Offer::default() };
    let offers = declared.lines().enumerate().map(|(index, line)| {
        (BackendId::new(&format!("b{index}")).unwrap(), Arc::new(offer(line)))
    });
    let merged = merged(&offers.collect());
    assert_eq!(std::str::from_utf8(&merged).unwrap(), expected);
}

#[test]
fn what_any_backend_has_is_declared() {
    check(
        r#"{"tools":{"listChanged":false},"logging":{"x":1}}
           {"prompts":{},"completions":{}}
           {}"#,
        r#"{"completions":{},"logging":{},"prompts":{"listChanged":true},"tools":{"listChanged":true}}"#,
    );
}

#[test]
fn subscriptions_are_declared_if_any_backend_has_them() {
    check(
        r#"{"resources":{"subscribe":false}}
           {"resources":7}"#,
        r#"{"resources":{"listChanged":true}}"#,
    );
    check(
        r#"{"resources":{}}
           {"resources":{"subscribe": true }}"#,
        r#"{"resources":{"listChanged":true,"subscribe":true}}"#,
    );
}

#[test]
fn task_support_is_merged_in_depth() {
    check(
        r#"{"tasks":{"list":{},"requests":{"tools":{"call":{}}}}}
           {"tasks":{"cancel":{},"requests":{"tools":{"call":{"x":1}},"other":{}}}}
           {"tasks":true}"#,
        r#"{"tasks":{"cancel":{},"list":{},"requests":{"other":{},"tools":{"call":{"x":1}}}}}"#,
    );
}

#[test]
fn experiments_and_extensions_are_merged_by_key() {
    check(
        r#"{"experimental":{"a":{"x":1},"b":1.0}}
           {"experimental":{"a":{"y":2},"c":{}},"extensions":{"e/1":{}}}
           {"extensions":{"e/2":{}}}"#,
        r#"{"experimental":{"a":{"x":1},"b":1.0,"c":{}},"extensions":{"e/1":{},"e/2":{}}}"#,
    );
}

#[test]
fn of_the_unknown_the_first_counts() {
    check(
        r#"{"new":{"x" : 1}, "new":{"x":3}}
           {"new":{"y":2},"newer":[]}"#,
        r#"{"new":{"x" : 1},"newer":[]}"#,
    );
}

#[test]
fn what_is_no_object_declares_nothing() {
    check(
        r#"
           [1]
           null
           {"tools":null,"experimental":3}
           {"tools"#,
        "{}",
    );
}
