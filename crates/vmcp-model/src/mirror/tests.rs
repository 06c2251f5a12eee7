//! Schemas and calls in, the headers they ask for out.

use super::*;

fn tool(schema: &str) -> String {
    format!(r#"{{"name":"t","inputSchema":{schema}}}"#)
}

#[test]
fn marked_parameters_are_found() {
    let tool = tool(
        r#"{"type":"object","properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}},
            "flag":{"x-mcp-header":"Flag","type":"boolean"},
            "plain":{"type":"string","default":{"x-mcp-header":"no mark"}}}}"#,
    );
    let found = Mirror::of_tool(tool.as_bytes()).unwrap();
    let names: Vec<_> = found.iter().map(|mirror| &*mirror.name).collect();
    assert_eq!(names, ["Region", "N", "Flag"]);
    let arguments = br#"{"region":"a b","deep":{"n":42.0},"flag":false}"#;
    let values = Mirror::values(&found, arguments);
    assert_eq!(values, [Some("a b".into()), Some("42".into()), Some("false".into())]);
    for absent in ["{}", r#"{"region":null,"deep":{},"flag":null}"#, r#"{"region":1,"deep":[]}"#] {
        let values = Mirror::values(&found, absent.as_bytes());
        assert_eq!(values, [None, None, None], "{absent}");
    }
    // Text that no header can say is given all the same.
    let values = Mirror::values(&found[..1], br#"{"region":"\ud800"}"#);
    assert_eq!(values, [Some(r#""\ud800""#.into())]);
    assert!(found[1].agrees("42.0", "42") && found[1].agrees("4.2e1", "42"));
    assert!(!found[1].agrees("43", "42") && !found[1].agrees("x", "42"));
    assert!(!found[0].agrees("A b", "a b"));
}

#[test]
fn marks_that_are_not_allowed_are_told() {
    use InvalidMirror::{Name, Place, Twice, Type};
    let on = |mark: &str| {
        format!(r#"{{"properties":{{"p":{{"type":"string","x-mcp-header":{mark}}}}}}}"#)
    };
    let cases = [
        (on(r#""""#), Name),
        (on(r#""a b""#), Name),
        (on(r#""a\r\nb""#), Name),
        (on("1"), Name),
        (r#"{"properties":{"p":{"type":"number","x-mcp-header":"P"}}}"#.to_owned(), Type),
        (r#"{"properties":{"p":{"type":["string"],"x-mcp-header":"P"}}}"#.to_owned(), Type),
        (
            r#"{"properties":{"p":{"type":"string","x-mcp-header":"P"},"q":{"type":"string","x-mcp-header":"p"}}}"#
                .to_owned(),
            Twice,
        ),
        (
            r#"{"properties":{"p":{"items":{"type":"string","x-mcp-header":"P"}}}}"#.to_owned(),
            Place,
        ),
        (
            r#"{"anyOf":[{"properties":{"p":{"type":"string","x-mcp-header":"P"}}}]}"#.to_owned(),
            Place,
        ),
        (r#"{"type":"string","x-mcp-header":"P"}"#.to_owned(), Place),
        (
            r#"{"properties":{"p":{"type":"string","x-mcp-header":"P"},"\ud800":{}}}"#.to_owned(),
            Place,
        ),
        (
            r#"{"properties":{"p":{"type":"string","x-mcp-header":"P","\ud800":0}}}"#.to_owned(),
            Place,
        ),
    ];
    for (schema, why) in cases {
        assert_eq!(Mirror::of_tool(tool(&schema).as_bytes()), Err(why), "{schema}");
    }
}

#[test]
fn a_tool_has_at_most_so_many_marks() {
    let marked = |count: usize| {
        let mark = |index| {
            format!(
                r#""o{index}":{{"properties":{{"p":{{"type":"string","x-mcp-header":"P{index}"}}}}}}"#
            )
        };
        let marks: Vec<_> = (0..count).map(mark).collect();
        Mirror::of_tool(tool(&format!(r#"{{"properties":{{{}}}}}"#, marks.join(","))).as_bytes())
    };
    let found = marked(MOST).unwrap();
    assert_eq!(marked(MOST + 1), Err(InvalidMirror::TooMany));
    assert_eq!(marked(100_000), Err(InvalidMirror::TooMany));
    let arguments =
        br#"{"o1":{"p":"one"},"o1":{"p":"two"},"o63":{"q":1,"p":"last"},"o64":{"p":"none"}}"#;
    let values = Mirror::values(&found, arguments);
    assert_eq!((values[1].as_deref(), values[63].as_deref()), (Some("one"), Some("last")));
    assert_eq!(values.iter().flatten().count(), 2);
}
