//! The line that an operator reads.

use super::{DropReason, Dropped};
use vmcp_model::{BackendId, Kind};

#[track_caller]
fn check(kind: Kind, reason: DropReason, expected: &str) {
    let dropped = Dropped { kind: Some(kind), key: "t\n".to_owned(), backend: id("a"), reason };
    assert_eq!(dropped.to_string(), expected);
}

fn id(name: &str) -> BackendId {
    BackendId::new(name).unwrap()
}

#[test]
fn a_line_says_what_happened_and_what_to_do() {
    check(
        Kind::Tool,
        DropReason::Contested { name: "x".to_owned(), with: vec![id("b"), id("c")] },
        r#"tool "t\n" of backend a is left out: the name "x" is also claimed by b, c; rename one under aggregation.tools[].overrides"#,
    );
    check(
        Kind::Prompt,
        DropReason::Taken { name: "x".to_owned(), by: id("b") },
        r#"prompt "t\n" of backend a is left out: the name "x" belongs to b; rename one at its backend, or the backend"#,
    );
    check(
        Kind::Tool,
        DropReason::Reserved { name: "x".to_owned() },
        r#"tool "t\n" of backend a is left out: the name "x" is that of a tool of vmcp's own; rename it under aggregation.tools[].overrides, or switch that tool off"#,
    );
    check(
        Kind::Prompt,
        DropReason::Reserved { name: "x".to_owned() },
        r#"prompt "t\n" of backend a is left out: the name "x" is that of a tool of vmcp's own; rename it at its backend, or the backend, or switch that tool off"#,
    );
    check(
        Kind::ResourceTemplate,
        DropReason::Unnamed,
        r#"resource template "t\n" of backend a is left out: its uriTemplate is empty; give it one"#,
    );
    check(
        Kind::Tool,
        DropReason::SameName { name: "x".to_owned() },
        r#"tool "t\n" of backend a is left out: another tool of this backend has the name "x" too; rename one under aggregation.tools[].overrides"#,
    );
    check(
        Kind::Tool,
        DropReason::NotThere { rule: "exclude" },
        r#"tool "t\n" of backend a is not there, though aggregation.tools' exclude speaks of it, which has the names after overrides; correct it"#,
    );
}
