//! What items hold.

use bytes::Bytes;

use super::{Item, Kind};
use crate::Era;

#[test]
fn items_that_are_gathered_hold_nothing_but_themselves() {
    let texts = [
        r#"{"name":"one","inputSchema":{"type":"object"}}"#,
        r#"{"name":"two","inputSchema":{"type":"object"},"outputSchema":{"type":"string"}}"#,
    ];
    let list = Bytes::from(texts.join(&" ".repeat(1_000)));
    let spans = [0..texts[0].len(), list.len() - texts[1].len()..list.len()];
    let read = || {
        let items = spans.clone().map(|span| list.slice(span));
        items.map(|json| Item::parse(Kind::Tool, Era::Modern, json).unwrap())
    };
    let (before, mut after) = (read(), read());
    Item::gather(&mut after);
    assert_eq!(before, after);
    drop(before);
    assert!(list.is_unique(), "an item holds the list");
    Item::gather(&mut []);
}
