//! Frames that are written and read, whole and in pieces.

use bytes::{Bytes, BytesMut};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::{
    Decoded, Decoder, Item, put_cut, put_end, put_frame_header, put_refusal, put_too_large,
};
use crate::error::{Error, Refusal, What};

const LIMIT: usize = 100 << 10;

proptest! {
    /// Whatever is written is read, in pieces of any sizes.
    #[test]
    fn items_survive_the_pieces_they_come_in(
        items in proptest::collection::vec(items(), 0..12),
        cuts in proptest::collection::vec(0_usize..40_000, 0..20),
    ) {
        let written = write(&items);
        assert_eq!(read(&written, &cuts).unwrap(), items);
    }

    /// Nonsense is refused or waits for more; nothing longer than the bound is taken.
    #[test]
    fn nonsense_is_refused(
        bytes in proptest::collection::vec(prop_oneof![0_u8..5, any::<u8>()], 0..200),
        cuts in proptest::collection::vec(0_usize..50, 0..20),
    ) {
        for item in read(&bytes, &cuts).unwrap_or_default() {
            if let Item::Frame(frame) = item {
                assert!(frame.len() <= LIMIT);
            }
        }
    }

    /// All of it but the last byte is not all of it.
    #[test]
    fn what_is_cut_is_not_whole(item in items()) {
        let written = write(&[item]);
        assert_eq!(read(&written[..written.len() - 1], &[]).unwrap(), []);
    }
}

#[test]
fn a_frame_over_the_bound_is_refused_by_its_header() {
    let mut header = BytesMut::new();
    put_frame_header(LIMIT, &mut header).unwrap();
    assert_eq!(read(&header, &[]).unwrap(), [], "it waits for the bytes");
    header.clear();
    put_frame_header(LIMIT + 1, &mut header).unwrap();
    let (bytes, limit) = (LIMIT as u64 + 1, LIMIT as u64);
    let expected = Error::TooLarge { what: What::Frame, bytes, limit };
    assert_eq!(read(&header, &[]), Err(expected));
}

#[test]
fn a_header_tells_how_much_is_to_come() {
    let mut decoder = Decoder::new(LIMIT);
    assert_eq!(decoder.next().unwrap(), Decoded::More(None));
    let mut header = BytesMut::new();
    put_frame_header(90_000, &mut header).unwrap();
    decoder.push(header.freeze());
    assert_eq!(decoder.next().unwrap(), Decoded::More(Some(90_000)));
    assert!(decoder.is_within());
}

#[test]
fn long_refusals_are_cut_between_characters() {
    let refusal = Refusal::new(7, "ä".repeat(4 << 10));
    let mut written = BytesMut::new();
    put_refusal(&refusal, &mut written);
    let read = read(&written, &[]).unwrap();
    assert_eq!(read, [Item::Refused(Refusal::new(7, "ä".repeat(2 << 10)))]);
}

fn items() -> impl Strategy<Value = Item> {
    let bytes = |range| proptest::collection::vec(any::<u8>(), range).prop_map(Bytes::from);
    prop_oneof![
        4 => bytes(0..100).prop_map(Item::Frame),
        2 => bytes(900..1100).prop_map(Item::Frame),
        1 => (70_000_usize..80_000, any::<u8>())
            .prop_map(|(length, byte)| Item::Frame(vec![byte; length].into())),
        1 => prop_oneof![Just(Item::End), Just(Item::Cut)],
        1 => (any::<u16>(), ".{0,100}").prop_map(|(code, text)| Item::Refused(Refusal { code, text })),
        1 => (any::<u32>(), any::<u32>())
            .prop_map(|(bytes, limit)| Item::TooLarge { bytes: bytes.into(), limit: limit.into() }),
    ]
}

fn write(items: &[Item]) -> Vec<u8> {
    let mut into = BytesMut::new();
    for item in items {
        match item {
            Item::Frame(frame) => {
                put_frame_header(frame.len(), &mut into).unwrap();
                into.extend_from_slice(frame);
            }
            Item::End => put_end(&mut into),
            Item::Cut => put_cut(&mut into),
            Item::Refused(refusal) => put_refusal(refusal, &mut into),
            Item::TooLarge { bytes, limit } => {
                put_too_large(
                    usize::try_from(*bytes).unwrap(),
                    usize::try_from(*limit).unwrap(),
                    &mut into,
                );
            }
        }
    }
    into.to_vec()
}

/// Reads what comes in pieces: the first of them have these lengths.
fn read(mut bytes: &[u8], cuts: &[usize]) -> Result<Vec<Item>, Error> {
    let mut decoder = Decoder::new(LIMIT);
    let mut items = Vec::new();
    let mut cuts = cuts.iter();
    loop {
        while let Decoded::Item(item) = decoder.next()? {
            items.push(item);
        }
        if bytes.is_empty() {
            assert!(decoder.piece.is_empty(), "all was read that has come");
            return Ok(items);
        }
        let cut = cuts.next().map_or(bytes.len(), |cut| (*cut).min(bytes.len()));
        let (piece, rest) = bytes.split_at(cut);
        bytes = rest;
        decoder.push(Bytes::copy_from_slice(piece));
    }
}
