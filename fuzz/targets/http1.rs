//! Requests that come in two pieces are framed as those that come in one.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use vmcp_http1::{Decoder, HeadScan, Piece};

/// Everything that is read out of these pieces: the heads and bodies of requests, until one is
/// refused or more is needed.
fn read(pieces: [&[u8]; 2]) -> Vec<String> {
    let (mut read, mut buffer) = (Vec::new(), BytesMut::new());
    let (mut scan, mut body) = (HeadScan::default(), None::<(Decoder, Vec<u8>)>);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let Some((decoder, text)) = &mut body else {
                match scan.request(&mut buffer) {
                    Ok(None) => break,
                    Ok(Some(head)) => {
                        read.push(format!("{:?} {:?}", head.request, head.length));
                        body = Some((Decoder::new(head.length), Vec::new()));
                        continue;
                    }
                    Err(bad) => {
                        read.push(format!("{bad:?}"));
                        return read;
                    }
                }
            };
            match decoder.decode(&mut buffer) {
                Ok(Piece::Data(data)) => text.extend_from_slice(&data),
                Ok(Piece::Starved) => break,
                Ok(Piece::End) => {
                    read.push(format!("{text:?}"));
                    body = None;
                }
                Err(bad) => {
                    read.push(format!("{bad:?}"));
                    return read;
                }
            }
        }
    }
    read
}

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, text) = input;
    let (head, tail) = text.split_at(if text.is_empty() { 0 } else { cut % text.len() });
    assert_eq!(read([text, b""]), read([head, tail]));
});
