//! Hostile cursors, templates and stored catalogs.
#![no_main]

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use vmcp_catalog::{Catalog, Rules, merge};
use vmcp_model::{BackendId, Era, Item, Kind, Offer, raw};

fuzz_target!(|input: (&str, &str, &[u8])| {
    let (template, uri, stored) = input;
    let json = [br#"{"uriTemplate":"#, &raw::string(template)[..], b"}"].concat();
    let item =
        Item::parse(Kind::ResourceTemplate, Era::Legacy, Bytes::from(json)).expect("an item");
    let offer = Offer { templates: vec![item], ..Offer::default() };
    let id = BackendId::new("b").expect("a name");
    let (catalog, _dropped) =
        merge(&BTreeMap::from([(id, Arc::new(offer))]), &Rules::default(), Era::Legacy);
    let _route = catalog.resource(uri);
    for kind in Kind::ALL {
        let _page = catalog.page(kind, Some(uri));
    }
    if let Ok(read) = Catalog::from_bytes(stored) {
        assert_eq!(&read.to_bytes()[..], stored);
    }
});
