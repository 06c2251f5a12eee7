//! Hostile cursors, templates and stored catalogs.
#![no_main]

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use vmcp_catalog::{Catalog, OwnItem, OwnTool, Reach, Rules, merge};
use vmcp_model::{BackendId, Era, Item, Kind, Offer, raw};

fuzz_target!(|input: (&str, &str, &[u8], Vec<(u16, u8)>)| {
    let (template, uri, stored, damage) = input;
    let catalog = Arc::new(merged(template));
    let _route = catalog.resource(uri);
    for kind in Kind::ALL {
        let _page = catalog.page(kind, Some(uri));
    }
    read(stored);
    // Both stored forms, damaged a little.
    let unlisted = catalog.listing(|_, key, _| key != template);
    for catalog in [catalog.restricted(|kind, _, _| kind != Kind::Tool), unlisted] {
        let mut stored = catalog.to_bytes().to_vec();
        assert_eq!(read(&stored).as_deref(), Some(&*catalog));
        for (place, byte) in &damage {
            let place = usize::from(*place) % stored.len();
            stored[place] = *byte;
        }
        read(&stored);
    }
});

/// A catalog with a template and a tool of vmcp's own.
fn merged(template: &str) -> Catalog {
    let json = [br#"{"uriTemplate":"#, &raw::string(template)[..], b"}"].concat();
    let item =
        Item::parse(Kind::ResourceTemplate, Era::Legacy, Bytes::from(json)).expect("an item");
    let offer = Offer { templates: vec![item], ..Offer::default() };
    let id = BackendId::new("b").expect("a name");
    let json = Bytes::from_static(br#"{"name":"s","inputSchema":{"type":"object"}}"#);
    let own = OwnItem::new(OwnTool::Status, json).expect("a definition");
    let rules = Rules { own: vec![own], ..Rules::default() };
    merge(&BTreeMap::from([(id, Arc::new(offer))]), &rules, Era::Legacy).0
}

/// What can be read is canonical, and what it lists is found, whoever restricts it.
fn read(stored: &[u8]) -> Option<Arc<Catalog>> {
    let read = Arc::new(Catalog::from_bytes(stored).ok()?);
    assert_eq!(&read.to_bytes()[..], stored);
    let some = read.restricted(|_, key, _| key.len() % 2 == 0);
    for kind in Kind::ALL {
        for key in read.keys(kind) {
            let found = read.find(kind, key, Reach::Listed);
            assert!(found.is_some());
            assert_eq!(some.find(kind, key, Reach::Hidden), found.filter(|_| key.len() % 2 == 0));
        }
    }
    assert_eq!(Catalog::from_bytes(&some.to_bytes()).ok().as_ref(), Some(&*some));
    Some(read)
}
