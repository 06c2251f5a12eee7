//! The cursor takes what serde_json takes, and nothing else.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::{Cursor, NotJson};

/// Where the whole of a text's value stands; `None` if the text is not JSON.
fn whole(text: &str) -> Option<&str> {
    let mut cursor = Cursor::new(text);
    let span = cursor.value().ok()?;
    cursor.end().ok()?;
    Some(&text[span])
}

#[track_caller]
fn check(text: &str) {
    let expected: Option<&RawValue> = serde_json::from_str(text).ok();
    assert_eq!(whole(text), expected.map(RawValue::get), "{text:?}");
}

#[test]
fn a_control_character_is_found_wherever_it_stands() {
    for length in [1, 15, 16, 1023, 1024, 1025, 2240, 5000] {
        for (at, control) in [(0, 0), (length / 2, 0x1f), (length - 1, b'\n')] {
            let mut text = vec![b' '; length];
            assert!(!super::has_control(&text), "{length}");
            text[at] = control;
            assert!(super::has_control(&text), "{at} of {length}");
        }
    }
    assert!(!super::has_control(&[]));
}

#[test]
fn what_is_json_and_what_is_not() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[",
        "]",
        "{}",
        " { } ",
        "[ ]",
        "[1,]",
        "[,1]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":{\"b\":[1,{\"c\":[]}]}}",
        "[[[[[[]]]]]]",
        "[}",
        "{]",
        "[1}",
        "1",
        "-1",
        "-",
        "01",
        "-01",
        "0",
        "-0",
        "1.",
        "1.5",
        ".5",
        "1e5",
        "1E+5",
        "1e-",
        "1e",
        "0x1",
        "+1",
        "1 2",
        "true",
        "tru",
        "truex",
        "null",
        "nul",
        "false",
        "\"",
        "\"a",
        "\"a\"",
        "\"\\\"",
        "\"\\\\\"",
        "\"\\n\\u00e9\\/\"",
        "\"\\u12\"",
        "\"\\u12G4\"",
        "\"\\x\"",
        "\"\t\"",
        "\"a\u{1}b\"",
        "\"é\u{10348}\"",
        "\"\\ud800\"",
        "NaN",
        "'a'",
        "[1] ]",
        "// x\n1",
        "{\"a\":1}{}",
        "\u{feff}1",
    ] {
        check(text);
    }
}

#[test]
fn depth_costs_no_stack() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    assert_eq!(whole(&deep), Some(&*deep));
}

#[test]
fn members_are_told_in_order() {
    let text = r#" { "a" : [1, 2] , "\u0062":{"c":"}"}, "a":null } "#;
    let mut cursor = Cursor::new(text);
    let mut found = Vec::new();
    let read = cursor.object::<NotJson>(|cursor, name| {
        let value = cursor.value()?;
        found.push(format!("{}={}", cursor.unquoted(name)?, &text[value]));
        Ok(())
    });
    assert_eq!((read, cursor.end()), (Ok(()), Ok(())));
    assert_eq!(found, ["a=[1, 2]", r#"b={"c":"}"}"#, "a=null"]);
}

#[test]
fn elements_are_told_in_order() {
    let text = r#" [ 1, [2 ,3],"]" , {} ] "#;
    let mut cursor = Cursor::new(text);
    let mut found = Vec::new();
    let read = cursor.array::<NotJson>(|cursor| {
        found.push(&text[cursor.value()?]);
        Ok(())
    });
    assert_eq!((read, cursor.end()), (Ok(()), Ok(())));
    assert_eq!(found, ["1", "[2 ,3]", r#""]""#, "{}"]);
    for (text, is_one) in
        [("[]", true), ("[ ]", true), ("[1,]", false), ("[1", false), ("{}", false)]
    {
        let read = Cursor::new(text).array::<NotJson>(|cursor| cursor.value().map(drop));
        assert_eq!(read.is_ok(), is_one, "{text}");
    }
}

#[test]
fn a_name_that_is_no_text_is_noticed() {
    for (text, expected) in [
        (r#"{"\ud800":0}"#, true),
        (r#"[1,{"a":{"b\uDC00\ud800":"x"}},{}]"#, true),
        (r#"{"\ud83d\ude00":{"\\ud800":0}}"#, false),
        (r#"{"a":["\ud800"]}"#, false),
    ] {
        let mut cursor = Cursor::new(text);
        cursor.value().unwrap();
        assert_eq!(cursor.has_nameless(), expected, "{text}");
    }
}

/// Any JSON value, written with spaces.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<f64>().prop_map(|value| serde_json::json!(value).to_string()),
        "\\PC{0,12}".prop_map(|text| serde_json::json!(text).to_string()),
        any::<String>().prop_map(|text| serde_json::json!(text).to_string()),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        let name = "\\PC{0,4}".prop_map(|text| serde_json::json!(text).to_string());
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..5), "[ \n\t]{0,2}").prop_map(
                |(items, space)| format!("[{space}{}{space}]", items.join(&format!("{space},")))
            ),
            (prop::collection::vec((name, inner), 0..5), "[ \r\n]{0,2}").prop_map(
                |(members, space)| {
                    let members: Vec<String> = members
                        .iter()
                        .map(|(name, value)| format!("{name}{space}:{space}{value}"))
                        .collect();
                    format!("{{{space}{}{space}}}", members.join(","))
                }
            ),
        ]
    })
}

proptest! {
    #[test]
    fn it_takes_what_is_json(text in json()) {
        check(&text);
    }

    #[test]
    fn it_refuses_what_is_nearly_json(
        text in json(), at in any::<prop::sample::Index>(), put in "[]\\[{}\",:\\\\0-9eE+.u \u{1}a-f-]{0,2}",
        taken in 0_usize..2,
    ) {
        let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let begin = *at.get(&places);
        let end = text[begin..].chars().take(taken).map(char::len_utf8).sum::<usize>() + begin;
        check(&format!("{}{put}{}", &text[..begin], &text[end..]));
    }

    #[test]
    fn it_reads_anything(text in "\\PC{0,40}") {
        check(&text);
    }
}
