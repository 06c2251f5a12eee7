//! JSON texts, and what of them some reader would refuse.

use proptest::prelude::*;
use serde_json::Value;

use super::{DEPTH, Unsound, check};

#[test]
fn what_readers_differ_on_is_found() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let digits = "9".repeat(5000);
    for (json, expected) in [
        (nested(DEPTH), Ok(())),
        (nested(DEPTH + 1), Err(Unsound::TooDeep)),
        (format!("[{},{}]", nested(DEPTH - 1), nested(DEPTH - 1)), Ok(())),
        (format!(r#"{{"a":"{}"}}"#, "[".repeat(200)), Ok(())),
        ("1e308".to_owned(), Ok(())),
        ("1e400".to_owned(), Err(Unsound::Number)),
        ("[-1e400]".to_owned(), Err(Unsound::Number)),
        ("9007199254740993".to_owned(), Ok(())),
        (digits.clone(), Err(Unsound::Number)),
        (format!("0.{digits}"), Err(Unsound::Number)),
        (format!(r#""{digits}""#), Ok(())),
        (r#"["\ud83d\ude00","\uD83D\uDE00",1]"#.to_owned(), Ok(())),
        (r#""\ud800""#.to_owned(), Err(Unsound::Surrogate)),
        (r#""\ud800x""#.to_owned(), Err(Unsound::Surrogate)),
        (r#""\ud800\n""#.to_owned(), Err(Unsound::Surrogate)),
        (r#""\ud800x\udc00""#.to_owned(), Err(Unsound::Surrogate)),
        (r#""\ud800\ud800\udc00""#.to_owned(), Err(Unsound::Surrogate)),
        (r#""\udc00""#.to_owned(), Err(Unsound::Surrogate)),
        (r#"{"\udfff":1}"#.to_owned(), Err(Unsound::Surrogate)),
        (r#""\\ud800""#.to_owned(), Ok(())),
        (r#""\\\ud800""#.to_owned(), Err(Unsound::Surrogate)),
        (r#""\"\\" "#.to_owned(), Ok(())),
    ] {
        assert_eq!(check(json.as_bytes()), expected, "{}", &json[..json.len().min(80)]);
    }
}

/// Strings with escapes of all sorts, halves of pairs among them.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\\ud83d\\ude00".to_owned()),
        "(\\\\u[dD][89a-fA-F][0-9a-f]{2})",
        "(\\\\u00[0-9a-f]{2}|\\\\[\"\\\\/bfnrt]|[ a-z\\[{é])",
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

proptest! {
    /// A strict reader takes just the strings and numbers that are sound.
    #[test]
    fn what_is_sound_is_read(strings in proptest::collection::vec(string(), 0..4), exponent in 250..400) {
        let text = format!("[{},1e{exponent}]", strings.iter().map(|text| format!("{{{text}:{text}}}")).chain(["0".to_owned()]).collect::<Vec<_>>().join(","));
        prop_assert_eq!(check(text.as_bytes()).is_ok(), serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
    }
}
