//! The stored form of one offer's lists.

use vmcp_model::{Era, Kind, Offer};

use super::{item, raw_item};
use crate::{InvalidLists, read_lists, write_lists};

const STORED: &str = r#"{"version":1,"tools":[{"name":"b", "n":1.0},{"name":"a","inputSchema":{"type":"object"}}],"resources":[{"uri":"x://1","name":"r"}],"resourceTemplates":[{"uriTemplate":"x://{n}","name":"r"}],"prompts":[{"name":"p"}]}"#;

fn offer() -> Offer {
    Offer {
        tools: vec![raw_item(Kind::Tool, " {\"name\":\"b\", \"n\":1.0}\n"), item(Kind::Tool, "a")],
        resources: vec![item(Kind::Resource, "x://1")],
        templates: vec![item(Kind::ResourceTemplate, "x://{n}")],
        prompts: vec![item(Kind::Prompt, "p")],
        ..Offer::default()
    }
}

#[test]
fn the_form_stays_as_other_replicas_know_it() {
    let told = Offer { capabilities: "{}".into(), instructions: Some("i".into()), ..offer() };
    assert_eq!(std::str::from_utf8(&write_lists(&told)).unwrap(), STORED);
}

#[test]
fn what_was_stored_comes_back_in_its_order() {
    let back = read_lists(STORED.as_bytes(), Era::Legacy).unwrap();
    for kind in Kind::ALL {
        let keys = |offer: &Offer| -> Vec<String> {
            offer.items(kind).iter().map(|item| item.key().to_owned()).collect()
        };
        assert_eq!(keys(&back), keys(&offer()));
    }
    assert_eq!(write_lists(&back), STORED);
    let empty = read_lists(&write_lists(&Offer::default()), Era::Legacy).unwrap();
    assert_eq!(empty, Offer::default());
}

#[track_caller]
fn check_refused(stored: &str, expected: &str) {
    let found = match read_lists(stored.as_bytes(), Era::Legacy).unwrap_err() {
        InvalidLists::Version(version) => format!("version {version}"),
        InvalidLists::Malformed(_) => "malformed".to_owned(),
        InvalidLists::Altered => "altered".to_owned(),
    };
    assert_eq!(found, expected, "{stored}");
}

#[test]
fn what_vmcp_did_not_write_is_refused() {
    let with = |from: &str, to: &str| STORED.replacen(from, to, 1);
    check_refused(r#"{"version":2,"new":[]}"#, "version 2");
    check_refused("", "malformed");
    check_refused(&STORED[..STORED.len() - 1], "malformed");
    check_refused(&with("\"prompts\":[", "\"p\":["), "malformed");
    check_refused(&format!("{STORED} "), "altered");
    check_refused(&with(r#"{"name":"a","inputSchema":{"type":"object"}}"#, "7"), "altered");
    check_refused(
        &with(r#"{"name":"a","inputSchema":{"type":"object"}}"#, r#"{"name":7}"#),
        "altered",
    );
    check_refused(
        &with(
            r#"{"name":"a","inputSchema":{"type":"object"}}"#,
            r#" {"name":"a","inputSchema":{"type":"object"}}"#,
        ),
        "altered",
    );
}
