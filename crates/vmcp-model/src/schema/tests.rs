//! Items in; what readers of the two eras take of them out.

use bytes::Bytes;

use super::date::is_date_time;
use crate::{Era, InvalidItem, Item, Kind};

const TOOL: &str = r#""name":"t","inputSchema":{"type":"object"}"#;
const RESOURCE: &str = r#""name":"r","uri":"x:r""#;
const TEMPLATE: &str = r#""name":"r","uriTemplate":"x:{r}""#;
const PROMPT: &str = r#""name":"p""#;

fn parse(kind: Kind, members: &str) -> Item {
    let json = Bytes::from(format!("{{{members}}}"));
    Item::parse(kind, Era::Legacy, json).unwrap()
}

fn read(kind: Kind, members: &str, era: Era) -> Result<String, String> {
    let item = parse(kind, members);
    let readable = item.readable(era).map_err(ToString::to_string)?;
    Ok(String::from_utf8(readable.json.to_vec()).unwrap())
}

/// Readers of both eras see the same.
#[track_caller]
fn check(kind: Kind, members: &str, expected: Result<&str, &str>) {
    let expected = match expected {
        Ok(members) => Ok(format!("{{{members}}}")),
        Err(why) => Err(why.to_owned()),
    };
    for era in [Era::Legacy, Era::Modern] {
        assert_eq!(read(kind, members, era), expected, "{era:?}");
    }
}

#[test]
fn members_that_nobody_knows_pass() {
    for (kind, base) in [
        (Kind::Tool, TOOL),
        (Kind::Resource, RESOURCE),
        (Kind::ResourceTemplate, TEMPLATE),
        (Kind::Prompt, PROMPT),
    ] {
        for more in [
            r#""new":5, "null":null"#,
            r#""title":"T","description":"","_meta":{"x":1.0},"icons":[]"#,
            r#""icons":[{"src":"x","mimeType":"image/png","sizes":["1x1"],"theme":"dark","y":[]}]"#,
            r#""annotations":{"x":5}"#,
        ] {
            let members = format!("{base},{more}");
            check(kind, &members, Ok(&members));
        }
    }
}

/// Each known member of each kind, with a value that it must not have.
#[test]
fn one_member_of_another_type_makes_an_item_unfit() {
    let common = [
        ("title", "5", "its title is not a string"),
        ("description", "{}", "its description is not a string"),
        ("_meta", "5", "its _meta is not an object"),
        ("icons", "5", "its icons is not an array"),
        ("icons", "[5]", "its icons[0] is not an object"),
        ("icons", "[{}]", "its icons[0].src is missing"),
        ("icons", r#"[{"src":"x"},{"src":1}]"#, "its icons[1].src is not a string"),
        ("icons", r#"[{"src":"x","sizes":"1x1"}]"#, "its icons[0].sizes is not an array"),
        ("icons", r#"[{"src":"x","sizes":[1]}]"#, "its icons[0].sizes[0] is not a string"),
        (
            "icons",
            r#"[{"src":"x","theme":"red"}]"#,
            "its icons[0].theme is none of the values that it may have",
        ),
        ("annotations", "5", "its annotations is not an object"),
        ("annotations", "[]", "its annotations is not an object"),
    ];
    for (kind, base) in [
        (Kind::Tool, TOOL),
        (Kind::Resource, RESOURCE),
        (Kind::ResourceTemplate, TEMPLATE),
        (Kind::Prompt, PROMPT),
    ] {
        for (name, value, why) in common {
            if kind != Kind::Prompt || name != "annotations" {
                check(kind, &format!(r#"{base},"{name}":{value}"#), Err(why));
            }
        }
    }
    for (kind, members, why) in [
        (Kind::Tool, r#""name":"t""#, "its inputSchema is missing"),
        (
            Kind::Tool,
            r#""name":"t","inputSchema":{"type":"array"}"#,
            "its inputSchema is not the schema of an object",
        ),
        (Kind::Tool, r#""name":"t","inputSchema":null"#, "its inputSchema is not an object"),
        (
            Kind::Tool,
            r#""name":"t","inputSchema":{"type":"object","type":"array"}"#,
            "its inputSchema is not the schema of an object",
        ),
        (
            Kind::Tool,
            &format!(r#"{TOOL},"annotations":{{"readOnlyHint":"yes"}}"#),
            "its annotations.readOnlyHint is not true or false",
        ),
        (Kind::Tool, &format!(r#"{TOOL},"outputSchema":5"#), "its outputSchema is not an object"),
        (Kind::Tool, &format!(r#"{TOOL},"title":"a","title":"b""#), "its title stands there twice"),
        (Kind::Tool, &format!(r#"{TOOL},"Title":5"#), "its title is not a string"),
        (Kind::Tool, &format!(r#"{TOOL},"execution":5"#), "its execution is not an object"),
        (
            Kind::Tool,
            &format!(r#"{TOOL},"execution":{{"taskSupport":"now"}}"#),
            "its execution.taskSupport is none of the values that it may have",
        ),
        (Kind::Resource, r#""uri":"x:r""#, "its name is missing"),
        (Kind::Resource, r#""uri":"no uri","name":"r""#, "its uri is not a URI"),
        (Kind::Resource, r#""uri":"http://[/","name":"r""#, "its uri is not a URI"),
        (Kind::Resource, &format!(r#"{RESOURCE},"size":"1""#), "its size is not a number"),
        (Kind::Resource, &format!(r#"{RESOURCE},"mimeType":5"#), "its mimeType is not a string"),
        (
            Kind::Resource,
            &format!(r#"{RESOURCE},"annotations":{{"priority":1.5}}"#),
            "its annotations.priority is not a number from 0 to 1",
        ),
        (
            Kind::ResourceTemplate,
            &format!(r#"{TEMPLATE},"annotations":{{"audience":["user","all"]}}"#),
            "its annotations.audience[1] is none of the values that it may have",
        ),
        (Kind::Prompt, &format!(r#"{PROMPT},"arguments":{{}}"#), "its arguments is not an array"),
        (
            Kind::Prompt,
            &format!(r#"{PROMPT},"arguments":[{{"name":"a","required":1}}]"#),
            "its arguments[0].required is not true or false",
        ),
    ] {
        check(kind, members, Err(why));
    }
}

#[test]
fn null_counts_as_absent() {
    check(Kind::Tool, &format!(r#"{TOOL},"title":null,"_meta":null"#), Ok(TOOL));
    check(
        Kind::Tool,
        &format!(r#"{TOOL},"annotations":{{"title":null,"readOnlyHint":true}}"#),
        Ok(&format!(r#"{TOOL},"annotations":{{"readOnlyHint":true}}"#)),
    );
    check(
        Kind::Prompt,
        &format!(r#"{PROMPT},"arguments":[{{"name":"a","description":null}},{{"name":"b"}}]"#),
        Ok(&format!(r#"{PROMPT},"arguments":[{{"name":"a"}},{{"name":"b"}}]"#)),
    );
    check(
        Kind::Prompt,
        r#""name":"p","arguments":[{"name":null}]"#,
        Err("its arguments[0].name is not a string"),
    );
}

#[test]
fn what_many_readers_cannot_take_of_a_size_or_date_is_left_out() {
    for size in ["-1", "1.5", "1e3", "9007199254740993"] {
        check(Kind::Resource, &format!(r#"{RESOURCE},"size":{size}"#), Ok(RESOURCE));
    }
    let good = format!(r#"{RESOURCE},"size":5000000000"#);
    check(Kind::Resource, &good, Ok(&good));
    check(
        Kind::Resource,
        &format!(r#"{RESOURCE},"annotations":{{"lastModified":"yesterday","priority":1}}"#),
        Ok(&format!(r#"{RESOURCE},"annotations":{{"priority":1}}"#)),
    );
}

#[test]
fn dates_are_those_of_rfc_3339() {
    for date in
        ["2025-01-12T15:00:58Z", "2024-02-29T00:00:00.123456789+05:30", "2000-02-29T23:59:59-00:00"]
    {
        assert!(is_date_time(format!("{date:?}").as_bytes()), "{date}");
    }
    for date in [
        "",
        "2025-01-12",
        "2025-01-12 15:00:58Z",
        "2025-01-12T15:00:58",
        "2025-02-29T15:00:58Z",
        "1900-02-29T15:00:58Z",
        "2025-13-01T15:00:58Z",
        "2025-04-31T15:00:58Z",
        "2025-01-12T24:00:00Z",
        "2025-01-12T15:00:58.Z",
        "2025-01-12T15:00:58+0530",
        "2025-01-12T15:00:58Zx",
    ] {
        assert!(!is_date_time(format!("{date:?}").as_bytes()), "{date}");
    }
}

#[test]
fn what_only_one_era_reads_is_left_out_for_the_other() {
    let members = r#""name":"t","inputSchema":{"type":"object","properties":{"a":5}}"#;
    assert_eq!(
        read(Kind::Tool, members, Era::Legacy).unwrap_err(),
        "its inputSchema is not that of an object"
    );
    assert_eq!(read(Kind::Tool, members, Era::Modern).unwrap(), format!("{{{members}}}"));
}

#[test]
fn what_no_reader_could_take_is_no_item() {
    let check = |members: &str, expected: &str| {
        let json = Bytes::from(format!("{{{members}}}"));
        let why: InvalidItem = Item::parse(Kind::Tool, Era::Legacy, json).unwrap_err();
        assert_eq!(why.to_string(), expected);
    };
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    check(&format!(r#"{TOOL},"x":{deep}"#), "it is nested deeper than 60 levels");
    check(&format!(r#"{TOOL},"x":1e400"#), "it has a number that many readers cannot take");
    check(&format!(r#"{TOOL},"x":"\ud800""#), "it has half of a surrogate pair in a string");
    let long = "x".repeat(Item::LIMIT);
    check(&format!(r#"{TOOL},"x":"{long}""#), "it is longer than 1048576 bytes");
    check(r#""name":"t","name":"u""#, "its name stands there twice");
    check(r#""name":5"#, "its name is missing or not a string");
}
