//! The scanner of streamed responses against the parser of whole ones: what the parser takes for
//! the answer to the request passes, and of valid JSON nothing else does.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use vmcp_wire::{Id, Message, ResponseScan, Shape};

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, text) = input;
    let key = Id::parse(b"7").expect("an id").key();
    let mut scan = ResponseScan::new(key.clone());
    let (head, tail) = text.split_at(if text.is_empty() { 0 } else { cut % text.len() });
    let passes =
        scan.feed(head).and_then(|()| scan.feed(tail)).and_then(|()| scan.finish()).is_ok();
    let answers = Message::parse(Bytes::copy_from_slice(text)).is_ok_and(|message| {
        message.shape() == Shape::Response && message.id().is_some_and(|id| id.is(&key))
    });
    assert!(!answers || passes, "an answer was refused");
});
