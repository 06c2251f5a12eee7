//! Bytes in, bodies out.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

/// What a decoder makes of bytes that arrive in these pieces: the body, how it ended, and what was left
/// untouched. Ends when the body does, or with the connection.
fn read<'a>(
    length: Length,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    settles: bool,
) -> (Vec<u8>, Result<(), BadBody>, Vec<u8>) {
    let (mut decoder, mut buffer, mut body) = (Decoder::new(length), BytesMut::new(), Vec::new());
    let mut pieces = pieces.into_iter();
    let ended = loop {
        match decoder.decode(&mut buffer) {
            Ok(Piece::Data(data)) => {
                assert!(!data.is_empty());
                body.extend_from_slice(&data);
            }
            Ok(Piece::End) => break Ok(()),
            Ok(Piece::Starved) => match pieces.next() {
                Some(piece) => buffer.extend_from_slice(piece),
                None => break decoder.closed(),
            },
            Err(error) => {
                assert_eq!(decoder.decode(&mut buffer), Err(error), "it stays wrong");
                break Err(error);
            }
        }
        if settles {
            let _told_again = decoder.settle(&mut buffer);
        }
    };
    let rest = pieces.fold(buffer.to_vec(), |rest, piece| [&rest, piece].concat());
    (body, ended, rest)
}

#[track_caller]
fn check(length: Length, text: &str, expected: Result<(&str, &str), BadBody>) {
    for size in 1..=text.len().max(1) {
        let (body, ended, rest) = read(length, text.as_bytes().chunks(size), size % 2 == 0);
        let (body, rest) = (String::from_utf8(body).unwrap(), String::from_utf8(rest).unwrap());
        assert_eq!(ended.map(|()| (&*body, &*rest)), expected, "in pieces of {size}: {text:?}");
    }
}

#[test]
fn a_known_length_ends_a_body() {
    check(Length::Known(0), "next", Ok(("", "next")));
    check(Length::Known(4), "bodynext", Ok(("body", "next")));
    check(Length::Known(4), "bod", Err(BadBody::Truncated));
    check(Length::Known(u64::MAX), "body", Err(BadBody::Truncated));
}

#[test]
fn the_end_of_the_connection_ends_a_body() {
    check(Length::UntilClose, "", Ok(("", "")));
    check(Length::UntilClose, "body", Ok(("body", "")));
}

#[test]
fn an_empty_chunk_ends_a_body() {
    check(Length::Chunked, "0\r\n\r\nnext", Ok(("", "next")));
    check(Length::Chunked, "4\r\nbody\r\n0\r\n\r\n\r\n", Ok(("body", "\r\n")));
    check(Length::Chunked, "a\r\n0123456789\r\n01;x\r\n!\r\n000\r\n\r\n", Ok(("0123456789!", "")));
    check(Length::Chunked, "1 \t;x=\"y\"\r\n!\r\n0 ;z\r\n\r\n", Ok(("!", "")));
    check(Length::Chunked, "1\r\n!\r\n0\r\na: b\r\nc: d\r\n\r\n!", Ok(("!", "!")));
}

#[test]
fn a_chunk_that_can_be_understood_in_two_ways_is_refused() {
    for size in [
        "", "x", "-1", "+1", "0x1", "1x", " 1", "1 1", "1\r", "\t1", "1,", ";1", "1;\r", "1;a\rb",
        "1;\0",
    ] {
        check(Length::Chunked, &format!("{size}\r\n!\r\n0\r\n\r\n"), Err(BadBody::Size));
    }
    check(Length::Chunked, "1\n!\r\n0\r\n\r\n", Err(BadBody::Size));
    check(Length::Chunked, "1000000000000000\r\n", Err(BadBody::Size));
    check(Length::Chunked, "1\r\n!!\r\n0\r\n\r\n", Err(BadBody::End));
    check(Length::Chunked, "1\r\n!\n0\r\n\r\n", Err(BadBody::End));
    check(Length::Chunked, "0\r\n\n", Err(BadBody::Trailers));
    check(Length::Chunked, "0\r\na: b\n\r\n", Err(BadBody::Trailers));
    // What is no field is not passed over: it may be a request that another reader sees.
    for line in ["GET / HTTP/1.1", "a", ":", " a: b", "a : b", "a\0: b", "a: \x01", "a: b\rc"] {
        check(Length::Chunked, &format!("0\r\nx: y\r\n{line}\r\n\r\n"), Err(BadBody::Trailers));
    }
}

#[test]
fn a_body_that_breaks_off_is_none() {
    let whole = "1;x\r\n!\r\n0\r\na: b\r\n\r\n";
    check(Length::Chunked, whole, Ok(("!", "")));
    for end in 0..whole.len() {
        check(Length::Chunked, &whole[..end], Err(BadBody::Truncated));
    }
}

#[test]
fn lines_have_a_bound() {
    let size = |bytes: usize| format!("0;{}\r\n\r\n", "x".repeat(bytes - 2));
    let read = |text: String| read(Length::Chunked, [text.as_bytes()], true).1;
    assert_eq!(read(size(MAX_SIZE_LINE)), Ok(()));
    assert_eq!(read(size(MAX_SIZE_LINE + 1)), Err(BadBody::Size));
    assert_eq!(read("1".repeat(MAX_SIZE_LINE + 2)), Err(BadBody::Size));
    let trailers = |lines: usize| format!("0\r\n{}\r\n", "a: 3456789012\r\n".repeat(lines));
    let most = MAX_TRAILERS / "a: 3456789012\r\n".len();
    assert_eq!(read(trailers(most)), Ok(()));
    assert_eq!(read(trailers(most + 1)), Err(BadBody::Trailers));
    let endless = format!("0\r\n{}", "x".repeat(2 * MAX_TRAILERS));
    assert_eq!(read(endless), Err(BadBody::Trailers));
}

#[test]
fn what_is_expected_is_told() {
    let mut decoder = Decoder::new(Length::Known(4));
    assert_eq!(decoder.expected(), 4);
    decoder.decode(&mut BytesMut::from("bod")).unwrap();
    assert_eq!(decoder.expected(), 1);
    let mut decoder = Decoder::new(Length::Chunked);
    decoder.settle(&mut BytesMut::from("10\r\n")).unwrap();
    assert_eq!((decoder.expected(), decoder.is_over()), (16, false));
}

#[test]
fn the_end_is_known_with_the_last_piece() {
    let mut buffer = BytesMut::from("1\r\n!\r\n0\r\n\r\nnext");
    let mut decoder = Decoder::new(Length::Chunked);
    assert_eq!(decoder.decode(&mut buffer), Ok(Piece::Data("!".into())));
    assert!(!decoder.is_over());
    decoder.settle(&mut buffer).unwrap();
    assert!(decoder.is_over());
    assert_eq!(buffer, "next");
}

/// Bytes in pieces that end where `cuts` say.
fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(bytes.len());
    let mut from = 0;
    cuts.into_iter().map(|cut| &bytes[std::mem::replace(&mut from, cut)..cut]).collect()
}

proptest! {
    #[test]
    fn a_chunked_body_comes_out_as_it_went_in(
        chunks in vec(vec(any::<u8>(), 1..40), 0..6),
        trailers in select(vec!["", "a: b\r\n", "a: b\r\nc:\r\n"]),
        rest in vec(any::<u8>(), 0..20),
        cuts in vec(any::<usize>(), 0..12),
        settles: bool,
    ) {
        let mut text = BytesMut::new();
        for chunk in &chunks {
            crate::write::chunk_size(&mut text, chunk.len());
            text.extend_from_slice(chunk);
            text.extend_from_slice(CHUNK_END);
        }
        text.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
        text.extend_from_slice(&rest);
        let expected = (chunks.concat(), Ok(()), rest);
        prop_assert_eq!(read(Length::Chunked, pieces(&text, &cuts), settles), expected);
    }

    #[test]
    fn a_body_of_known_length_comes_out_as_it_went_in(
        body in vec(any::<u8>(), 0..60),
        rest in vec(any::<u8>(), 0..20),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let text = [&*body, &*rest].concat();
        let length = Length::Known(body.len() as u64);
        prop_assert_eq!(read(length, pieces(&text, &cuts), true), (body, Ok(()), rest));
    }

    #[test]
    fn cuts_make_no_difference(
        text in vec(select(b"0012f;\r\n\r\n\r\n:a ".to_vec()), 0..60),
        cuts in vec(any::<usize>(), 0..12),
        settles: bool,
    ) {
        let whole = read(Length::Chunked, [&*text], false);
        let (body, ended, rest) = read(Length::Chunked, pieces(&text, &cuts), settles);
        prop_assert_eq!((&body, ended), (&whole.0, whole.1));
        if ended.is_ok() {
            prop_assert_eq!(rest, whole.2);
        }
    }
}
