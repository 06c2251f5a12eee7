//! GOAWAY among other frames, in pieces of any size.

use proptest::prelude::{Strategy, any, prop_oneof, proptest};

use super::{Frame, GOAWAY};

proptest! {
    #[test]
    fn the_lowest_number_is_found(
        frames in proptest::collection::vec(frames(), 0..20),
        piece in 1_usize..40,
    ) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        let mut reading = Frame::default();
        let read = bytes.chunks(piece).filter_map(|piece| reading.read(piece)).min();
        assert_eq!(read, frames.iter().filter_map(|(_, last)| *last).min());
    }
}

/// A frame, and the number that it tells.
fn frames() -> impl Strategy<Value = (Vec<u8>, Option<u32>)> {
    let payload = proptest::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        3 => ((0..GOAWAY), payload.clone()).prop_map(|(kind, payload)| (frame(kind, &payload), None)),
        1 => (any::<u32>(), payload).prop_map(|(last, debug)| {
            let payload = [&last.to_be_bytes()[..], &[0; 4], &debug].concat();
            (frame(GOAWAY, &payload), Some(last & 0x7fff_ffff))
        }),
    ]
}

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, 0, 0, 0, 0, 1], payload].concat()
}
