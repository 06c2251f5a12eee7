//! What is counted.

use vmcp_testkit::framing::http2::{PREFACE, flag, frame, kind, request, settings};

use super::{Counted, EACH_REQUEST, Frames, RESET};

/// Frames are found however they are cut.
#[test]
fn frames_cost_what_they_carry_nothing_for() {
    let headers = [(":method", "GET"), (":path", "/")];
    for (sent, expected) in [
        (request(1, &headers, b""), (0, 1)),
        (request(1, &headers, &vec![0; 40_000]), (0, 1)),
        (frame(kind::DATA, 0, 1, b""), (1, 0)),
        (frame(kind::DATA, flag::END_STREAM, 1, b""), (0, 0)),
        (frame(kind::DATA, 8, 1, b"\x03abc"), (1, 0)),
        (frame(kind::PING, 0, 0, &[0; 8]), (1, 0)),
        (settings(&[(4, 0)]), (1, 0)),
        (frame(kind::CONTINUATION, 0, 1, b"abc"), (1, 0)),
        (frame(kind::RST_STREAM, 0, 1, &[0; 4]), (RESET, 0)),
        (frame(0xbb, 0, 0, &[0; 1000]), (1, 0)),
    ] {
        let sent = [PREFACE, &sent].concat();
        for size in [1, 2, 8, 9, 10, 1000, sent.len()] {
            let mut frames = Frames::default();
            let mut all = Counted::default();
            for part in sent.chunks(size) {
                let counted = frames.count(part);
                all.cost += counted.cost;
                all.requests += counted.requests;
            }
            assert_eq!((all.cost, all.requests), expected, "{sent:?} by {size}");
        }
    }
    const { assert!(RESET > EACH_REQUEST, "a request that is taken back must not earn anything") };
}
