//! The stored form.

use std::sync::Arc;

use super::{BackendId, Catalog, Kind, Rules, id, manual, merge, offers, prefix};
use crate::InvalidCatalog;
use vmcp_model::Digest;

const STORED: &str = r#"{"version":1,"pageSize":1000,"backends":["a","b"],"capabilities":{"tools":{"listChanged":true}},"instructions":"use \"it\"","tools":[["a_t","a","t",{"name":"a_t"}]],"resources":[["x://1","b",null,{"uri":"x://1"}]],"resourceTemplates":[],"prompts":[]}"#;

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
    check_refused(&with(r#""version":1"#, r#""version":2"#), "version 2");
    check_refused(r#"{"version":2,"new":[]}"#, "version 2");
    check_refused("", "malformed");
    check_refused(&STORED[..STORED.len() - 1], "malformed");
    check_refused(&with("\"prompts\":[]", "\"p\":[]"), "malformed");
    check_refused(&format!("{STORED} "), "altered");
    check_refused(&with("1000", "0"), "altered");
    check_refused(&with(r#""a_t","a""#, r#""a_t","c""#), "altered");
    check_refused(&with(r#"["a","b"]"#, r#"["b","a"]"#), "altered");
    check_refused(&with(r#"{"name":"a_t"}"#, "7"), "altered");
    check_refused(&with(r#""tools":["#, r#""tools":[["b","a","t",{}],"#), "altered");
}
