//! The stored form.

use std::sync::Arc;

use super::{BackendId, Catalog, Kind, Rules, id, manual, merge, offers, prefix, target};
use crate::{InvalidCatalog, Reach};
use vmcp_model::{Digest, raw::Members};

const STORED: &str = r#"{"version":1,"pageSize":1000,"backends":["a","b"],"capabilities":{"tools":{"listChanged":true}},"instructions":"use \"it\"","tools":[["a_t","a","t",{"name":"a_t","inputSchema":{"type":"object"}}]],"resources":[["x://1","b",null,{"uri":"x://1","name":"r"}]],"resourceTemplates":[],"prompts":[]}"#;

/// The same, where the lists are not sorted.
const IN_ORDER: &str = r#"{"version":1,"pageSize":1000,"backends":["a","b"],"capabilities":{"tools":{"listChanged":true},"vmcp/order":[[2,0,1],[],[],[]]},"instructions":null,"tools":[["a_u","a","u",{"name":"a_u","inputSchema":{"type":"object"}}],["b_t","b","t",{"name":"b_t","inputSchema":{"type":"object"}}],["b_v","b","v",{"name":"b_v","inputSchema":{"type":"object"}}]],"resources":[["x://1","b",null,{"uri":"x://1","name":"r"}]],"resourceTemplates":[],"prompts":[]}"#;

/// What form 1 cannot say: a tool of vmcp's own, and tools that are in no list.
const SECOND: &str = r#"{"version":2,"pageSize":1000,"backends":["a"],"capabilities":{"tools":{"listChanged":true}},"instructions":null,"tools":[["u","listed","a",null,{"name":"u","inputSchema":{"type":"object"}}],["s","listed",null,"status",{"name":"s","inputSchema":{"type":"object"}}],["a","callable","a",null,{"name":"a","inputSchema":{"type":"object"}}],["x","callable","a","t",{"name":"x","inputSchema":{"type":"object"}}],["h","hidden","a",null,{"name":"h","inputSchema":{"type":"object"}}]],"resources":[],"resourceTemplates":[],"prompts":[]}"#;

fn in_order() -> Catalog {
    let mut offers = offers(
        "a: u
         b: t, v
         b resources: x://1",
    );
    let first = Arc::make_mut(offers.get_mut(&id("a")).unwrap());
    // What is no backend's to say is not taken from one.
    first.capabilities = r#"{"tools":{},"vmcp/order":1}"#.into();
    merge(&offers, &Rules { order: vec![id("b"), id("a")], ..prefix() }).0
}

fn catalog() -> Catalog {
    let mut offers = offers(
        "a: t
         b resources: x://1",
    );
    let first = Arc::make_mut(offers.get_mut(&id("a")).unwrap());
    first.capabilities = r#"{"tools":{}}"#.into();
    first.instructions = Some("use \"it\"".into());
    merge(&offers, &prefix()).0
}

#[test]
fn the_form_stays_as_other_replicas_know_it() {
    assert_eq!(std::str::from_utf8(&catalog().to_bytes()).unwrap(), STORED);
    assert_eq!(catalog().digest(), Digest::of(STORED.as_bytes()));
}

#[test]
fn the_order_of_the_lists_is_stored() {
    let catalog = in_order();
    assert_eq!(std::str::from_utf8(&catalog.to_bytes()).unwrap(), IN_ORDER);
    let back = Catalog::from_bytes(IN_ORDER.as_bytes()).unwrap();
    assert_eq!(back, catalog);
    assert_eq!(back.keys(Kind::Tool).collect::<Vec<_>>(), ["b_t", "b_v", "a_u"]);
    assert_eq!(back.page(Kind::Tool, None), catalog.page(Kind::Tool, None));
    assert_eq!(back.tool("a_u"), catalog.tool("a_u"));
    assert_eq!(&back.capabilities()[..], br#"{"tools":{"listChanged":true}}"#);
}

/// What a replica asks of a stored catalog that knows lists only as sorted: the form to the byte, any
/// object for the capabilities, and strictly sorted entries.
#[test]
fn a_reader_that_knows_no_order_takes_the_form_that_has_one() {
    let form: serde_json::Value = serde_json::from_str(IN_ORDER).unwrap();
    let members: Vec<_> = Members::parse(IN_ORDER.as_bytes())
        .unwrap()
        .iter()
        .map(|member| member.name.to_string())
        .collect();
    let known = ["version", "pageSize", "backends", "capabilities", "instructions", "tools"];
    assert_eq!(members[..6], known);
    assert_eq!(members[6..], ["resources", "resourceTemplates", "prompts"]);
    assert!(form["version"] == 1 && form["capabilities"].is_object());
    for kind in Kind::ALL {
        let entries = form[kind.list_member()].as_array().unwrap();
        assert!(entries.iter().all(|entry| entry.as_array().is_some_and(|parts| parts.len() == 4)));
        assert!(entries.is_sorted_by(|a, b| a[0].as_str() < b[0].as_str()));
    }
    // Without the order it is what such a replica writes itself, so it differs there alone.
    let plain = IN_ORDER.replacen(r#","vmcp/order":[[2,0,1],[],[],[]]"#, "", 1);
    let sorted = Catalog::from_bytes(plain.as_bytes()).unwrap();
    assert_eq!(sorted.keys(Kind::Tool).collect::<Vec<_>>(), ["a_u", "b_t", "b_v"]);
}

#[test]
fn what_was_stored_comes_back() {
    let catalog = catalog();
    let back = Catalog::from_bytes(&catalog.to_bytes()).unwrap();
    assert_eq!(back, catalog);
    assert_eq!(back.tool("a_t"), catalog.tool("a_t"));
    assert_eq!(back.resource("x://1"), catalog.resource("x://1"));
    assert_eq!(back.instructions(), catalog.instructions());
    assert_eq!(back.capabilities(), catalog.capabilities());
    assert_eq!(back.backends().iter().map(BackendId::as_str).collect::<Vec<_>>(), ["a", "b"]);
    for kind in Kind::ALL {
        assert_eq!(back.page(kind, None), catalog.page(kind, None));
    }
}

#[test]
fn the_digest_covers_routes_and_page_size() {
    let digest = |text: &str, rules: &Rules| merge(&offers(text), rules).0.digest();
    assert_ne!(digest("a: t\nb:", &manual()), digest("a:\nb: t", &manual()));
    let paged = Rules { page_size: 7, ..manual() };
    assert_ne!(digest("a: t", &manual()), digest("a: t", &paged));
}

#[test]
fn what_only_the_second_form_can_say_comes_back() {
    let catalog = Catalog::from_bytes(SECOND.as_bytes()).unwrap();
    assert_eq!(catalog.to_bytes(), SECOND);
    assert_eq!(catalog.digest(), Digest::of(SECOND.as_bytes()));
    assert_eq!(catalog.keys(Kind::Tool).collect::<Vec<_>>(), ["u", "s"]);
    let found = |key, within| catalog.find(Kind::Tool, key, within).map(target);
    for (key, reach, expected) in [
        ("u", Reach::Listed, "a/u"),
        ("s", Reach::Listed, "own: status"),
        ("a", Reach::Callable, "a/a"),
        ("x", Reach::Callable, "a/t"),
        ("h", Reach::Hidden, "a/h"),
    ] {
        for within in Reach::ALL {
            let expected = (reach <= within).then_some(expected);
            assert_eq!(found(key, within).as_deref(), expected, "{key} within {within:?}");
        }
        assert_eq!(catalog.tool(key).is_some(), reach == Reach::Listed, "{key}");
    }
    let page = catalog.page(Kind::Tool, None).unwrap().json;
    let expected = r#"{"tools":[{"name":"u","inputSchema":{"type":"object"}},{"name":"s","inputSchema":{"type":"object"}}]}"#;
    assert_eq!(page, expected);
}

#[test]
fn the_second_form_is_refused_where_vmcp_would_have_written_another() {
    let with = |from: &str, to: &str| {
        assert!(SECOND.contains(from), "{from}");
        SECOND.replacen(from, to, 1)
    };
    check_refused(&with(r#""version":2"#, r#""version":1"#), "malformed");
    check_refused(&with(r#""version":2"#, r#""version":3"#), "version 3");
    // What the first form can say is not written in the second.
    let plain = STORED.replacen(r#""version":1"#, r#""version":2"#, 1);
    let plain = plain.replacen(r#"["a_t","#, r#"["a_t","listed","#, 1);
    check_refused(&plain.replacen(r#"["x://1","#, r#"["x://1","listed","#, 1), "altered");
    let order = r#"{"tools":{"listChanged":true},"vmcp/order":[[1,0],[],[],[]]}"#;
    check_refused(&with(r#"{"tools":{"listChanged":true}}"#, order), "altered");
    check_refused(&with(r#"["x","callable""#, r#"["x","hidden""#), "altered");
    check_refused(&with(r#"["x","callable""#, r#"["A","callable""#), "altered");
    check_refused(&with(r#"["x","callable""#, r#"["x","far""#), "altered");
    check_refused(&with(r#"["x","#, r#"["u","#), "altered");
    check_refused(&with(r#"null,"status""#, r#"null,"other""#), "altered");
    check_refused(&with(r#"null,"status""#, "null,null"), "altered");
    check_refused(&with(r#""a","t""#, r#""b","t""#), "altered");
    check_refused(&with(r#"["a"]"#, "[]"), "altered");
    check_refused(&format!("{SECOND} "), "altered");
}

#[track_caller]
fn check_refused(stored: &str, expected: &str) {
    let refused = Catalog::from_bytes(stored.as_bytes()).unwrap_err();
    let found = match refused {
        InvalidCatalog::Version(version) => format!("version {version}"),
        InvalidCatalog::Malformed(_) => "malformed".to_owned(),
        InvalidCatalog::Altered => "altered".to_owned(),
    };
    assert_eq!(found, expected, "{stored}");
}

#[test]
fn what_vmcp_did_not_write_is_refused() {
    let with = |from: &str, to: &str| STORED.replacen(from, to, 1);
    check_refused(&with(r#""version":1"#, r#""version":2"#), "malformed");
    check_refused(&with(r#""version":1"#, r#""version":3"#), "version 3");
    check_refused(r#"{"version":3,"new":[]}"#, "version 3");
    let order = |to: &str| IN_ORDER.replacen("[[2,0,1],[],[],[]]", to, 1);
    check_refused(&order("[[0,1,2],[],[],[]]"), "altered");
    check_refused(&order("[[2,0],[],[],[]]"), "altered");
    check_refused(&order("[[2,0,3],[],[],[]]"), "altered");
    check_refused(&order("[[2,0,0],[],[],[]]"), "altered");
    check_refused(&order("[[],[],[],[]]"), "altered");
    check_refused(&order("[]"), "altered");
    check_refused("", "malformed");
    check_refused(&STORED[..STORED.len() - 1], "malformed");
    check_refused(&with("\"prompts\":[]", "\"p\":[]"), "malformed");
    check_refused(&format!("{STORED} "), "altered");
    check_refused(&with("1000", "0"), "altered");
    check_refused(&with(r#""a_t","a""#, r#""a_t","c""#), "altered");
    check_refused(&with(r#"["a","b"]"#, r#"["b","a"]"#), "altered");
    check_refused(&with(r#"{"name":"a_t","inputSchema":{"type":"object"}}"#, "7"), "altered");
    check_refused(&with(r#""tools":["#, r#""tools":[["b","a","t",{}],"#), "altered");
}
