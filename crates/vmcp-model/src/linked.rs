//! URIs of resources that a server hands out in other things than its lists of resources: a client may
//! read them, though nobody lists them.

use crate::raw::{self, Members};

/// Those that the metadata of an object names, as the extension for user interfaces has it: of a tool's
/// definition, or of a result.
pub fn of_object(object: &[u8]) -> Vec<String> {
    let mut uris = Vec::new();
    meta(object, &mut uris);
    uris
}

/// Those in the result of a request (JSON text): links, what is embedded, and what metadata names. At
/// most `most`, the first ones.
pub fn of_result(result: &[u8], most: usize) -> Vec<String> {
    let mut uris = of_object(result);
    for block in items(result, "content") {
        of_block(block, &mut uris);
    }
    for message in items(result, "messages") {
        let Some(content) = value(message, "content") else { continue };
        match raw::elements(content) {
            Some(blocks) => {
                blocks.into_iter().for_each(|block| of_block(&content[block], &mut uris));
            }
            None => of_block(content, &mut uris),
        }
    }
    for contents in items(result, "contents") {
        meta(contents, &mut uris);
    }
    uris.truncate(most);
    uris
}

fn of_block(block: &[u8], uris: &mut Vec<String>) {
    meta(block, uris);
    let uri = match string(block, "type").as_deref() {
        Some("resource_link") => string(block, "uri"),
        Some("resource") => value(block, "resource").and_then(|inner| string(inner, "uri")),
        _ => None,
    };
    uris.extend(uri);
}

fn meta(object: &[u8], uris: &mut Vec<String>) {
    let Some(meta) = value(object, "_meta") else { return };
    uris.extend(value(meta, "ui").and_then(|ui| string(ui, "resourceUri")));
    uris.extend(string(meta, "ui/resourceUri"));
}

fn items<'a>(object: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    let array = value(object, name).unwrap_or_default();
    raw::elements(array).into_iter().flatten().map(|item| &array[item])
}

fn string(object: &[u8], name: &str) -> Option<String> {
    value(object, name).and_then(raw::as_string)
}

fn value<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    Members::parse(object)?.value(object, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(result: &str, expected: &[&str]) {
        assert_eq!(of_result(result.as_bytes(), 8), expected, "{result}");
    }

    #[test]
    fn links_are_found_wherever_a_result_has_them() {
        check(r#"{"content":[{"type":"resource_link","uri":"a:1","name":"x"}]}"#, &["a:1"]);
        check(r#"{"content":[{"type":"resource","resource":{"uri":"a:2","text":""}}]}"#, &["a:2"]);
        check(r#"{"content":[],"_meta":{"ui":{"resourceUri":"ui://a"}}}"#, &["ui://a"]);
        check(r#"{"content":[],"_meta":{"ui/resourceUri":"ui://a"}}"#, &["ui://a"]);
        check(
            r#"{"messages":[{"role":"user","content":{"type":"resource_link","uri":"a:1"}},{"content":[{"type":"resource_link","uri":"a:2"}]}]}"#,
            &["a:1", "a:2"],
        );
        check(
            r#"{"contents":[{"uri":"a:1","_meta":{"ui":{"resourceUri":"ui://b"}}}]}"#,
            &["ui://b"],
        );
    }

    #[test]
    fn what_only_looks_like_one_is_none() {
        check(
            r#"{"content":[{"type":"text","text":"{\"type\":\"resource_link\",\"uri\":\"a:1\"}"}]}"#,
            &[],
        );
        check(r#"{"structuredContent":{"type":"resource_link","uri":"a:1"}}"#, &[]);
        check(r#"{"content":{"type":"resource_link","uri":"a:1"}}"#, &[]);
        check(r#"{"content":[{"type":"resource_link","uri":1}],"_meta":{"ui":7}}"#, &[]);
        check("[]", &[]);
        check("", &[]);
    }

    #[test]
    fn there_are_never_too_many() {
        let link = r#"{"type":"resource_link","uri":"a:1"}"#;
        let many = format!(r#"{{"content":[{}]}}"#, vec![link; 100].join(","));
        assert_eq!(of_result(many.as_bytes(), 8).len(), 8);
    }
}
