//! The stored form.

use std::{collections::BTreeMap, sync::Arc};

use vmcp_backend::ClientView;
use vmcp_core::{Found, Known, KnownKinds};
use vmcp_model::{BackendId, Era, Item, Kind, Offer, ProtocolVersion};

use super::{MOST, MOST_OF_ONE, read, write};

const STORED: &str = r#"{"version":1,"offers":[["a",{"tools":{"listChanged": true}},"use \"it\"",{"version":1,"tools":[{"name":"t", "x":1.10}],"resources":[],"resourceTemplates":[],"prompts":[]}],["b",{},null,{"version":1,"tools":[],"resources":[{"uri":"x://1"}],"resourceTemplates":[],"prompts":[]}]],"kinds":[["2025-06-18",{"sampling": {}},["b"],[["a",{},null,{"version":1,"tools":[{"name":"u"}],"resources":[],"resourceTemplates":[],"prompts":[]}]]]]}"#;

fn item(kind: Kind, json: &str) -> Item {
    Item::parse(kind, Era::Legacy, json.to_owned().into()).unwrap()
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

/// Those of clients that can be asked for samples: `a` offers them something else, `b` does not.
fn known() -> Known {
    let offers = offers();
    let other = Offer {
        capabilities: "{}".into(),
        tools: vec![item(Kind::Tool, r#"{"name":"u"}"#)],
        ..Offer::default()
    };
    let mut kinds = KnownKinds::default();
    let found = |id: &str, own| {
        let compared = Arc::clone(&offers[&BackendId::new(id).unwrap()]);
        (BackendId::new(id).unwrap(), Found { own, compared })
    };
    let kind = [found("a", Some(Arc::new(other))), found("b", None)].into();
    kinds.remember(&sampler(), kind);
    Known { offers, kinds }
}

fn sampler() -> ClientView {
    ClientView::new(ProtocolVersion::V2025_06_18, r#"{"sampling": {}}"#.into())
}

fn large(bytes: usize) -> Arc<Offer> {
    let json = |part| format!(r#"{{"name":"t","description":"{}"}}"#, "x".repeat(part));
    let part = Item::LIMIT - 100;
    let parts = std::iter::repeat_n(part, bytes / part).chain([bytes % part]);
    let tools = parts.map(|part| item(Kind::Tool, &json(part))).collect();
    Arc::new(Offer { capabilities: "{}".into(), tools, ..Offer::default() })
}

#[test]
fn what_was_stored_comes_back() {
    let (bytes, left_out) = write(&known());
    assert_eq!(std::str::from_utf8(&bytes).unwrap(), STORED);
    assert!(left_out.is_empty());
    assert_eq!(read(&bytes).unwrap(), known());
}

#[test]
fn what_was_stored_before_there_were_kinds_comes_back() {
    let (before, _kinds) = STORED.split_once(r#","kinds""#).unwrap();
    let read = read(format!("{before}}}").as_bytes()).unwrap();
    assert_eq!(read, Known { offers: offers(), ..Known::default() });
}

#[test]
fn what_was_found_beside_another_offer_is_not_stored() {
    let mut known = known();
    known.offers.insert(id("a"), large(1));
    let (bytes, _left_out) = write(&known);
    let kinds = read(&bytes).unwrap().kinds;
    let of: Vec<_> = kinds.get(&sampler()).unwrap().keys().map(BackendId::as_str).collect();
    assert_eq!(of, ["b"]);
}

#[test]
fn a_kind_for_which_there_is_no_room_is_left_out() {
    let mut known = known();
    let mut kind = known.kinds.get(&sampler()).unwrap().clone();
    kind.get_mut(&id("a")).unwrap().own = Some(large(MOST_OF_ONE));
    known.kinds.remember(&sampler(), kind);
    let (bytes, left_out) = write(&known);
    assert!(left_out.is_empty(), "the offer itself is stored");
    let kinds = read(&bytes).unwrap().kinds;
    let of: Vec<_> = kinds.get(&sampler()).unwrap().keys().map(BackendId::as_str).collect();
    assert_eq!(of, ["b"]);
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
        (r#"[["2025-06-18""#, r#"[["2026-07-28""#, "is not as vmcp wrote it"),
        (r#"["b"],["#, r#"["c"],["#, "is not as vmcp wrote it"),
        ("]]]]}", "", "is not as vmcp wrote it"),
    ] {
        let altered = STORED.replace(from, to);
        assert_ne!(altered, STORED);
        let refused = read(altered.as_bytes()).unwrap_err().to_string();
        assert_eq!(refused, why, "{altered}");
    }
}

#[test]
fn there_is_room_for_so_much_only() {
    let mut known = known();
    known.offers.insert(id("huge"), large(MOST_OF_ONE));
    let (bytes, left_out) = write(&known);
    assert_eq!(left_out, [id("huge")].into());
    assert_eq!(std::str::from_utf8(&bytes).unwrap(), STORED);

    for number in 0..5 {
        known.offers.insert(id(&format!("c{number}")), large(MOST_OF_ONE - 1000));
    }
    let (bytes, left_out) = write(&known);
    assert!(bytes.len() <= MOST);
    assert!(left_out.contains(&id("c4")), "{left_out:?}");
    let kept = read(&bytes).unwrap().offers;
    assert_eq!(kept.len() + left_out.len(), known.offers.len());
}
