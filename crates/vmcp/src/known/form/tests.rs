//! The stored form.

use std::{collections::BTreeMap, sync::Arc};

use vmcp_model::{BackendId, Item, Kind, Offer};

use super::{MOST, MOST_OF_ONE, read, write};

const STORED: &str = r#"{"version":1,"offers":[["a",{"tools":{"listChanged": true}},"use \"it\"",{"version":1,"tools":[{"name":"t", "x":1.10}],"resources":[],"resourceTemplates":[],"prompts":[]}],["b",{},null,{"version":1,"tools":[],"resources":[{"uri":"x://1"}],"resourceTemplates":[],"prompts":[]}]]}"#;

fn item(kind: Kind, json: &str) -> Item {
    Item::parse(kind, json.to_owned().into()).unwrap()
}

fn id(name: &str) -> BackendId {
    BackendId::new(name).unwrap()
}

fn offers() -> BTreeMap<BackendId, Arc<Offer>> {
    let a = Offer {
        capabilities: r#"{"tools":{"listChanged": true}}"#.into(),
        instructions: Some(r#"use "it""#.into()),
        tools: vec![item(Kind::Tool, r#"{"name":"t", "x":1.10}"#)],
        ..Offer::default()
    };
    let b = Offer {
        capabilities: "{}".into(),
        resources: vec![item(Kind::Resource, r#"{"uri":"x://1"}"#)],
        ..Offer::default()
    };
    [(id("a"), Arc::new(a)), (id("b"), Arc::new(b))].into()
}

fn large(bytes: usize) -> Arc<Offer> {
    let json = format!(r#"{{"name":"t","description":"{}"}}"#, "x".repeat(bytes));
    let tools = vec![item(Kind::Tool, &json)];
    Arc::new(Offer { capabilities: "{}".into(), tools, ..Offer::default() })
}

#[test]
fn what_was_stored_comes_back() {
    let (bytes, left_out) = write(&offers());
    assert_eq!(std::str::from_utf8(&bytes).unwrap(), STORED);
    assert!(left_out.is_empty());
    assert_eq!(read(&bytes).unwrap(), offers());
}

#[test]
fn what_is_not_the_stored_form_is_refused() {
    for (from, to, why) in [
        (r#"{"version":1,"#, r#"{"version":2,"#, "has form 2, and this vmcp reads form 1"),
        (r#"["a","#, r#"["no name","#, "is not as vmcp wrote it"),
        (r#"["b",{}"#, r#"["b",[]"#, "is not as vmcp wrote it"),
        (
            r#""uri""#,
            r#""no""#,
            "is not as vmcp wrote it (the stored lists are not as vmcp wrote them)",
        ),
        ("]}", "", "is not as vmcp wrote it"),
    ] {
        let altered = STORED.replace(from, to);
        assert_ne!(altered, STORED);
        let refused = read(altered.as_bytes()).unwrap_err().to_string();
        assert_eq!(refused, why, "{altered}");
    }
}

#[test]
fn there_is_room_for_so_much_only() {
    let mut offers = offers();
    offers.insert(id("huge"), large(MOST_OF_ONE));
    let (bytes, left_out) = write(&offers);
    assert_eq!(left_out, [id("huge")].into());
    assert_eq!(std::str::from_utf8(&bytes).unwrap(), STORED);

    for number in 0..5 {
        offers.insert(id(&format!("c{number}")), large(MOST_OF_ONE - 1000));
    }
    let (bytes, left_out) = write(&offers);
    assert!(bytes.len() <= MOST);
    assert!(left_out.contains(&id("c4")), "{left_out:?}");
    let kept = read(&bytes).unwrap();
    assert_eq!(kept.len() + left_out.len(), offers.len());
}
