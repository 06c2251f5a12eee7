//! Events in any pieces, and what is written is what is read.

use super::{Decoder, Event, encode, encode_priming};

/// Decodes the text in pieces of every size and prints the events.
#[track_caller]
fn check(text: &str, expected: &str) {
    for size in 1..=text.len() {
        let mut decoder = Decoder::new(1 << 16);
        let mut events = Vec::new();
        for chunk in text.as_bytes().chunks(size) {
            decoder.feed(chunk, &mut events).unwrap();
        }
        let printed: Vec<String> = events.iter().map(print).collect();
        assert_eq!(printed.join("; "), expected, "in pieces of {size}");
    }
}

fn print(event: &Event) -> String {
    let mut out = format!("{:?}", String::from_utf8_lossy(&event.data));
    if !event.name.is_empty() {
        out = format!("{} {out}", event.name);
    }
    if let Some(id) = &event.id {
        out += &format!(" id={id}");
    }
    if let Some(retry) = event.retry {
        out += &format!(" retry={retry}");
    }
    out
}

#[test]
fn events_end_with_an_empty_line() {
    check("data: a\n\ndata:b\r\n\r\nevent: x\rid: 1\rdata: c\r\r", r#""a"; "b"; x "c" id=1"#);
}

#[test]
fn data_lines_are_joined() {
    check("data: a\ndata\ndata: b\n\n", "\"a\\n\\nb\"");
}

#[test]
fn comments_unknown_fields_and_unfinished_events_are_dropped() {
    check(": hi\n\nfoo: bar\n\ndata: a\nretry: x\n\ndata: lost", r#""a""#);
}

#[test]
fn an_event_that_only_gives_an_id_is_reported() {
    check("id: 5\nretry: 200\ndata:\n\nid: 6\n\n", r#""" id=5 retry=200; "" id=6"#);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    check("\u{feff}data: a\n\n", r#""a""#);
}

#[test]
fn what_says_nothing_is_counted() {
    let waste_of = |text: &str| {
        let mut decoder = Decoder::new(100);
        decoder.feed(text.as_bytes(), &mut Vec::new()).unwrap();
        let super::Waste { lines, bytes } = decoder.take_waste();
        assert_eq!(decoder.take_waste(), super::Waste::default());
        (lines, bytes)
    };
    let event = "event: message\nid: 7\nretry: 5\ndata: {\ndata: }\n\n";
    assert_eq!(waste_of(event), (0, 0));
    assert_eq!(waste_of(&event.replace('\n', "\r\n")), (0, 0));
    for (useless, bytes) in [(":\n", 2), (": ping\n", 7), ("\n", 1), ("a\n", 2), ("retry: x\n", 9)]
    {
        assert_eq!(waste_of(&useless.repeat(10)), (10, 10 * bytes), "{useless:?}");
        assert_eq!(waste_of(&format!("{event}{useless}{event}")), (1, bytes), "{useless:?}");
    }
    // The last one of these counts, and the first data line.
    for useless in ["event: a\n", "id: a\n", "retry: 9\n", "data\n"] {
        assert_eq!(waste_of(&useless.repeat(10)).0, 9, "{useless:?}");
    }
}

#[test]
fn an_event_over_the_bound_is_refused() {
    let mut decoder = Decoder::new(10);
    let mut events = Vec::new();
    assert!(decoder.feed(b"data: 0123456789abc", &mut events).is_err());
    let mut decoder = Decoder::new(10);
    assert!(decoder.feed(b"data: 01\ndata: 23\ndata: 45\ndata: 67\n", &mut events).is_err());
    assert!(events.is_empty());
}

#[test]
fn all_of_an_event_is_within_the_bound() {
    for text in ["id: 0123\nevent: 45\ndata: 67\n", "event: 0123\ndata: 45\nid: 67\n"] {
        for (limit, is_within) in [(11, false), (18, true)] {
            let mut decoder = Decoder::new(limit);
            assert_eq!(
                decoder.feed(text.as_bytes(), &mut Vec::new()).is_ok(),
                is_within,
                "{text:?}"
            );
            assert!(decoder.held() <= limit);
        }
    }
}

#[test]
fn a_long_id_is_none_and_a_long_name_is_no_messages() {
    let long = "x".repeat(1025);
    let kept = "x".repeat(1024);
    check(&format!("id: 5\nid: {long}\ndata: a\n\nid: {long}\n\n"), r#""a" id=5"#);
    check(&format!("id: {kept}\ndata: a\n\n"), &format!(r#""a" id={kept}"#));
    check(&format!("event: {long}\ndata: a\n\ndata: b\n\n"), &format!(r#"{kept} "a"; "b""#));
    // What is no UTF-8 takes three times its room, and nothing of it stays.
    let mut decoder = Decoder::new(1 << 20);
    let noise = vec![0xff; 1 << 19];
    for field in [&b"id: "[..], b"\nevent: ", b"\n"] {
        decoder.feed(field, &mut Vec::new()).unwrap();
        decoder.feed(&noise, &mut Vec::new()).unwrap();
    }
    decoder.feed(b"\n", &mut Vec::new()).unwrap();
    assert!(decoder.held() < 4 << 10, "{}", decoder.held());
    assert_eq!(decoder.line.capacity(), 0);
}

#[test]
fn priming_events_are_read_back() {
    let text = encode_priming("s:0", 500);
    check(std::str::from_utf8(&text).unwrap(), r#""" id=s:0 retry=500"#);
}

proptest::proptest! {
    #[test]
    fn what_is_encoded_is_decoded(data in "[ -~\n]{0,100}", id in "[a-z0-9:]{1,20}") {
        let mut events = Vec::new();
        Decoder::new(1 << 16).feed(&encode(Some(&id), data.as_bytes()), &mut events).unwrap();
        proptest::prop_assert_eq!(events.len(), 1);
        proptest::prop_assert_eq!(&events[0].data[..], data.as_bytes());
        proptest::prop_assert_eq!(events[0].id.as_deref(), Some(id.as_str()));
    }

    #[test]
    fn any_bytes_in_any_pieces_give_the_same_events(
        bytes in proptest::collection::vec(proptest::sample::select(b"data:id \r\n".to_vec()), 0..80), cut in 0_usize..80,
    ) {
        let mut whole = Vec::new();
        Decoder::new(1 << 16).feed(&bytes, &mut whole).unwrap();
        let (head, tail) = bytes.split_at(cut.min(bytes.len()));
        let mut pieces = Vec::new();
        let mut decoder = Decoder::new(1 << 16);
        decoder.feed(head, &mut pieces).unwrap();
        decoder.feed(tail, &mut pieces).unwrap();
        proptest::prop_assert_eq!(whole, pieces);
    }
}
