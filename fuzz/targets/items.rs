//! An item of a list and a backend's capabilities: whatever clients are shown of them, every reader
//! can read, and to judge it again changes nothing.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, value::RawValue};
use vmcp_model::{Era, Item, Kind, declared, sound};

/// What every reader must be able to read.
fn assert_read(json: &[u8]) {
    let read = serde_json::from_slice::<Value>(json);
    assert!(read.is_ok_and(|value| value.is_object()), "no JSON object is shown");
    assert_eq!(sound::check(json), Ok(()));
}

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, json) = input;
    // Whatever comes here has been read as JSON before.
    if serde_json::from_slice::<&RawValue>(json).is_err() {
        return;
    }
    let json = Bytes::copy_from_slice(json.trim_ascii());
    let kind = Kind::ALL[usize::from(choice) % 4];
    let side = if choice & 4 == 0 { Era::Legacy } else { Era::Modern };
    if let Ok(item) = Item::parse(kind, side, json.clone()) {
        assert_eq!(item.json(), &json);
        for era in [Era::Legacy, Era::Modern] {
            let Ok(readable) = item.readable(era) else { continue };
            assert_read(&readable.json);
            let again = Item::parse(kind, era, readable.json.clone()).expect("still an item");
            assert_eq!(again.key(), item.key());
            let again = again.readable(era).expect("still readable");
            assert_eq!(again.json, readable.json, "read twice, it is another");
        }
    }
    let (fitted, _left_out) = declared::fitted(&json);
    assert!(serde_json::from_slice::<&RawValue>(&fitted).is_ok(), "the capabilities are no JSON");
    let (again, left_out) = declared::fitted(&fitted);
    assert_eq!((again, left_out.len()), (fitted, 0));
});
