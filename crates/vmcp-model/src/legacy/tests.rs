//! Tools and results: those of a modern backend in, those of a legacy client out.

use bytes::Bytes;

use super::{WRAPPED, is_wrapped, legacy_content};
use crate::{
    Era, Item, Kind,
    raw::{self, Members},
};

const INPUT: &str = r#""inputSchema":{"type":"object"}"#;

/// What a legacy client sees of a tool, and whether it lacks its output schema.
fn seen(tool: &str) -> Result<(String, bool), String> {
    let json = Bytes::copy_from_slice(tool.as_bytes());
    let item = Item::parse(Kind::Tool, Era::Modern, json).unwrap();
    let readable = item.readable(Era::Legacy).map_err(ToString::to_string)?;
    Ok((String::from_utf8(readable.json.to_vec()).unwrap(), readable.lacks_output))
}

#[track_caller]
fn check_tool(tool: &str, expected: &str) {
    assert_eq!(seen(tool), Ok((expected.to_owned(), false)));
    assert_eq!(is_wrapped(expected.as_bytes()), tool != expected && expected.contains("result"));
}

/// Checks what becomes of an output schema that is put into an object.
#[track_caller]
fn check_wrapped(schema: &str, dialect: &str, within: &str) {
    check_tool(
        &format!(r#"{{"name":"t", {INPUT},"outputSchema":{schema} ,"x":1.0}}"#),
        &format!(
            r#"{{"name":"t", {INPUT},"outputSchema":{{{dialect}"$comment":"{WRAPPED}","type":"object","properties":{{"result":{within}}},"required":["result"]}} ,"x":1.0}}"#
        ),
    );
}

#[test]
fn what_can_be_read_stays_as_it_is() {
    for tool in [
        format!(r#"{{ "name":"t",{INPUT}, "icons":[], "annotations":{{"x":1.10}}}}"#),
        format!(r##"{{"name":"t",{INPUT},"outputSchema":{{"type":"object","properties":{{"a":{{"$ref":"#"}}}},"required":["a"]}}}}"##),
        r#"{"name":"t","inputSchema":{"$schema":"x","type":"object","additionalProperties":false}}"#.to_owned(),
    ] {
        check_tool(&tool, &tool);
    }
}

#[test]
fn an_output_that_is_no_object_is_put_into_one() {
    check_wrapped(
        r#"{ "type":"array","items":{"type":"integer"}}"#,
        "",
        r#"{ "type":"array","items":{"type":"integer"}}"#,
    );
    check_wrapped(
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","anyOf":[{},true]}"#,
        r#""$schema":"https://json-schema.org/draft/2020-12/schema","#,
        r#"{"$schema":"https://json-schema.org/draft/2020-12/schema","anyOf":[{},true]}"#,
    );
    check_wrapped(r#"{"type":["object","null"]}"#, "", r#"{"type":["object","null"]}"#);
}

#[test]
fn references_lead_where_the_schema_has_gone() {
    check_wrapped(
        r##"{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"$ref":"#"},{"$dynamicRef":"#/x~1y"}]}}}"##,
        "",
        r##"{"$ref":"#/properties/result/$defs/a","$defs":{"a":{"anyOf":[{"$ref":"#/properties/result"},{"$dynamicRef":"#/properties/result/x~1y"}]}}}"##,
    );
    // Names, values, anchors, other documents, and what has an id of its own.
    for schema in [
        r##"{"properties":{"$ref":{"type":"string"},"const":{}}}"##,
        r##"{"const":{"$ref":"#"},"enum":[{"$ref":"#"}],"default":{"$ref":"#/a"}}"##,
        r##"{"items":{"$ref":"#anchor"},"not":{"$ref":"https://x/y#/z"}}"##,
        r##"{"$id":"https://x/","items":{"$ref":"#"}}"##,
        r##"{"items":{"$id":"y","$ref":"#"}}"##,
    ] {
        check_wrapped(schema, "", schema);
    }
    check_wrapped(
        r##"{"properties":{"default":{"$id":"#a","$ref":"#"}}}"##,
        "",
        r##"{"properties":{"default":{"$id":"#a","$ref":"#/properties/result"}}}"##,
    );
}

#[test]
fn schemas_that_are_true_or_false_are_written_out() {
    check_tool(
        r#"{"name":"t","inputSchema":{"type":"object","properties":{"a":true,"b":{},"c":false}}}"#,
        r#"{"name":"t","inputSchema":{"type":"object","properties":{"a":{},"b":{},"c":{"not":{}}}}}"#,
    );
}

#[test]
fn what_cannot_be_put_into_an_object_is_left_out_alone() {
    for schema in [
        r##"{"type":"array","items":{"$recursiveRef":"#"}}"##,
        r#"{"type":"object","properties":[]}"#,
        r#"{"type":"object","required":"a"}"#,
    ] {
        let shown = seen(&format!(r#"{{"name":"t",{INPUT},"outputSchema":{schema}}}"#));
        assert_eq!(shown, Ok((format!(r#"{{"name":"t",{INPUT}}}"#), true)));
    }
}

/// Its results are passed on as they are, so its schema cannot speak of an object around them.
#[test]
fn a_legacy_backends_output_is_not_put_into_an_object() {
    let tool = format!(r#"{{"name":"t",{INPUT},"outputSchema":{{"type":"array"}}}}"#);
    let item = Item::parse(Kind::Tool, Era::Legacy, Bytes::from(tool.clone())).unwrap();
    let readable = item.readable(Era::Legacy).unwrap();
    assert_eq!(readable.json, format!(r#"{{"name":"t",{INPUT}}}"#));
    assert!(readable.lacks_output);
    assert_eq!(item.readable(Era::Modern).unwrap().json, tool);
}

#[test]
fn a_tool_whose_input_is_no_object_is_left_out() {
    for input in [
        r#","inputSchema":true"#,
        r#","inputSchema":{"type":["object"]}"#,
        r#","inputSchema":{}"#,
        r#","inputSchema":{"type":"object"},"inputSchema":{"type":"object"}"#,
        r#","inputSchema":{"type":"object","properties":{"a":1}}"#,
        "",
    ] {
        let why = seen(&format!(r#"{{"name":"t"{input}}}"#)).unwrap_err();
        assert!(why.starts_with("its inputSchema "), "{input}: {why}");
    }
}

#[track_caller]
fn check_content(result: &str, is_wrapped: bool, expected: &str) {
    let edit = legacy_content(result.as_bytes(), is_wrapped);
    let found = raw::splice(result.as_bytes(), edit.into_iter().collect());
    assert_eq!(std::str::from_utf8(&found).unwrap(), expected);
    assert!(Members::parse(&found).is_some());
}

#[test]
fn content_goes_as_its_schema_says_and_is_always_an_object() {
    let plain = r#"{"content":[ ],"structuredContent":{"a":1.0}}"#;
    check_content(plain, false, plain);
    check_content(plain, true, r#"{"content":[ ],"structuredContent":{"result":{"a":1.0}}}"#);
    for value in ["[1,2.50]", "null", "\"x\"", "7"] {
        let result = format!(r#"{{"structuredContent": {value} ,"content":[]}}"#);
        let expected = format!(r#"{{"structuredContent": {{"result":{value}}} ,"content":[]}}"#);
        check_content(&result, false, &expected);
        check_content(&result, true, &expected);
    }
    let none = r#"{"content":[{"type":"text","text":"structuredContent"}]}"#;
    check_content(none, true, none);
}
