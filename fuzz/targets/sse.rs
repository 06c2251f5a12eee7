//! A stream in two pieces gives the same events as in one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use vmcp_wire::sse::Decoder;

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, text) = input;
    let decode = |pieces: [&[u8]; 2]| {
        let (mut decoder, mut events) = (Decoder::new(1 << 10), Vec::new());
        let fed = pieces.into_iter().try_for_each(|piece| decoder.feed(piece, &mut events));
        fed.map(|()| events)
    };
    let (head, tail) = text.split_at(if text.is_empty() { 0 } else { cut % text.len() });
    let (whole, pieces) = (decode([text, b""]), decode([head, tail]));
    assert_eq!(whole.is_ok(), pieces.is_ok());
    if let (Ok(whole), Ok(pieces)) = (whole, pieces) {
        assert_eq!(whole, pieces);
    }
});
