//! Bytes in, heads out.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

/// What is made of bytes that arrive in these pieces, and what is left behind the head.
fn read<'a, T>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    read: impl Fn(&mut HeadScan, &mut BytesMut) -> Result<Option<T>, BadHead>,
) -> Option<Result<(T, Vec<u8>), BadHead>> {
    let (mut scan, mut buffer) = (HeadScan::default(), BytesMut::new());
    let mut pieces = pieces.into_iter();
    while let Some(piece) = pieces.next() {
        buffer.extend_from_slice(piece);
        if let Some(head) = read(&mut scan, &mut buffer).transpose() {
            let rest = pieces.fold(buffer.to_vec(), |rest, piece| [&rest, piece].concat());
            return Some(head.map(|head| (head, rest)));
        }
    }
    None
}

/// A head as one line of text.
fn show(headers: &HeaderMap, length: Length, keeps_alive: bool) -> String {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    let goes_on = if keeps_alive { "goes on" } else { "closes" };
    format!("{length:?} {goes_on} [{}]", headers.join(" "))
}

fn request(scan: &mut HeadScan, buffer: &mut BytesMut) -> Result<Option<String>, BadHead> {
    scan.request(buffer).map(|head| {
        head.map(|RequestHead { request, length, keeps_alive, awaits_continue }| {
            let (method, uri) = (request.method(), request.uri());
            let shown = show(request.headers(), length, keeps_alive);
            let waits = if awaits_continue { " waits" } else { "" };
            format!("{method} {uri} {:?} {shown}{waits}", request.version())
        })
    })
}

fn response(scan: &mut HeadScan, buffer: &mut BytesMut) -> Result<Option<String>, BadHead> {
    scan.response(buffer).map(|head| {
        head.map(|ResponseHead { response, length, keeps_alive }| {
            let shown = show(response.headers(), length, keeps_alive);
            format!("{} {:?} {shown}", response.status().as_u16(), response.version())
        })
    })
}

#[track_caller]
fn check_as(
    reader: fn(&mut HeadScan, &mut BytesMut) -> Result<Option<String>, BadHead>,
    text: &str,
    expected: Result<&str, BadHead>,
) {
    let text = text.replace('\n', "\r\n");
    let is_good = expected.is_ok();
    let expected = expected.map(|head| (head.to_owned(), b"rest".to_vec()));
    for size in [1, 2, 3, 7, text.len() + 4] {
        let whole = format!("{text}{}", if is_good { "rest" } else { "" });
        let found = read(whole.as_bytes().chunks(size), reader);
        assert_eq!(found, Some(expected.clone()), "in pieces of {size}: {text:?}");
    }
}

#[track_caller]
fn check_request(text: &str, expected: Result<&str, BadHead>) {
    check_as(request, text, expected);
}

#[track_caller]
fn check_response(text: &str, expected: Result<&str, BadHead>) {
    check_as(response, text, expected);
}

#[test]
fn requests_are_read() {
    check_request("GET / HTTP/1.1\n\n", Ok("GET / HTTP/1.1 Known(0) goes on []"));
    check_request(
        "POST /mcp?a=1 HTTP/1.1\nHost: x:1\nMCP-Session-Id:  one \nx-A: 1\ncontent-length: 3\n\n",
        Ok("POST /mcp?a=1 HTTP/1.1 Known(3) goes on \
            [host=x:1 mcp-session-id=one x-a=1 content-length=3]"),
    );
    check_request(
        "POST / HTTP/1.1\nTransfer-Encoding: Chunked\nExpect: 100-Continue\n\n",
        Ok("POST / HTTP/1.1 Chunked goes on [transfer-encoding=Chunked expect=100-Continue] waits"),
    );
    check_request(
        "\n\nGET / HTTP/1.1\nConnection: a, close\n\n",
        Ok("GET / HTTP/1.1 Known(0) closes [connection=a, close]"),
    );
    check_request("GET / HTTP/1.0\n\n", Ok("GET / HTTP/1.0 Known(0) closes []"));
    check_request(
        "GET / HTTP/1.0\nconnection: Keep-Alive\nexpect: 100-continue\n\n",
        Ok("GET / HTTP/1.0 Known(0) goes on [connection=Keep-Alive expect=100-continue]"),
    );
}

#[test]
fn requests_that_are_none_are_refused() {
    for text in [
        "GET /\n\n",
        "GET / HTTP/2\n\n",
        "GET / HTTP/1.2\n\n",
        "GET  / HTTP/1.1\n\n",
        "GET /a#b HTTP/1.1\n\n",
        "G@T / HTTP/1.1\n\n",
        "GET / HTTP/1.1\na\n\n",
        "GET / HTTP/1.1\na : b\n\n",
        "GET / HTTP/1.1\n: b\n\n",
        "GET / HTTP/1.1\n a: b\n\n",
        "GET / HTTP/1.1\na: b\n c\n\n",
        "GET / HTTP/1.1\na: \0\n\n",
        "POST / HTTP/1.1\ncontent-length: +1\n\n",
        "POST / HTTP/1.1\ncontent-length: 1, 1\n\n",
        "POST / HTTP/1.1\ncontent-length:\n\n",
        "POST / HTTP/1.1\ncontent-length: 99999999999999999999\n\n",
    ] {
        check_request(text, Err(BadHead::Malformed));
    }
    assert_eq!(BadHead::Malformed.status(), 400);
}

#[test]
fn a_length_that_can_be_understood_in_two_ways_is_refused() {
    for lines in [
        "content-length: 1\ncontent-length: 2",
        "content-length: 1\ncontent-length: 01",
        "content-length: 1\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\ncontent-length: 1",
        "transfer-encoding: gzip\ncontent-length: 1",
    ] {
        check_request(&format!("POST / HTTP/1.1\n{lines}\n\n"), Err(BadHead::AmbiguousLength));
        check_response(&format!("HTTP/1.1 200 OK\n{lines}\n\n"), Err(BadHead::AmbiguousLength));
    }
    let old = "transfer-encoding: chunked\n\n";
    check_request(&format!("POST / HTTP/1.0\n{old}"), Err(BadHead::AmbiguousLength));
    check_response(&format!("HTTP/1.0 200 OK\n{old}"), Err(BadHead::AmbiguousLength));
    for coding in ["gzip", "gzip, chunked", "chunked, chunked", "xchunked", ""] {
        let lines = format!("transfer-encoding: {coding}\n\n");
        check_request(&format!("POST / HTTP/1.1\n{lines}"), Err(BadHead::UnknownCoding));
        check_response(&format!("HTTP/1.1 200 OK\n{lines}"), Err(BadHead::UnknownCoding));
    }
    check_response(
        "HTTP/1.1 200 OK\ncontent-length: 1\ncontent-length: 1\n\n",
        Ok("200 HTTP/1.1 Known(1) goes on [content-length=1 content-length=1]"),
    );
    assert_eq!(BadHead::AmbiguousLength.status(), 400);
    assert_eq!(BadHead::UnknownCoding.status(), 501);
}

#[test]
fn responses_are_read() {
    check_response(
        "HTTP/1.1 200 OK\nContent-Type: application/json\nContent-Length: 2\n\n",
        Ok("200 HTTP/1.1 Known(2) goes on [content-type=application/json content-length=2]"),
    );
    check_response("HTTP/1.1 299 \n\n", Ok("299 HTTP/1.1 UntilClose closes []"));
    check_response("HTTP/1.1 299\n\n", Ok("299 HTTP/1.1 UntilClose closes []"));
    check_response(
        "HTTP/1.1 200 OK\ntransfer-encoding: chunked\nconnection: close\n\n",
        Ok("200 HTTP/1.1 Chunked closes [transfer-encoding=chunked connection=close]"),
    );
    check_response(
        "HTTP/1.0 200 OK\ncontent-length: 1\n\n",
        Ok("200 HTTP/1.0 Known(1) closes [content-length=1]"),
    );
    check_response(
        "HTTP/1.0 200 OK\ncontent-length: 1\nconnection: keep-alive\n\n",
        Ok("200 HTTP/1.0 Known(1) goes on [content-length=1 connection=keep-alive]"),
    );
    check_response("HTTP/1.1 100 Continue\n\n", Ok("100 HTTP/1.1 Known(0) goes on []"));
    for status in [204, 304] {
        check_response(
            &format!("HTTP/1.1 {status} x\ncontent-length: 5\n\n"),
            Ok(&format!("{status} HTTP/1.1 Known(0) goes on [content-length=5]")),
        );
    }
}

#[test]
fn responses_that_are_none_are_refused() {
    for text in [
        "HTTP/1.1 OK\n\n",
        "HTTP/1.1 20 OK\n\n",
        "HTTP/1.1 2000 OK\n\n",
        "HTTP/1.1 099 OK\n\n",
        "HTTP/2 200 OK\n\n",
        "ICY 200 OK\n\n",
        "HTTP/1.1 200 OK\na\n\n",
        "HTTP/1.1 200 OK\na : b\n\n",
        "HTTP/1.1 200 OK\na: b\n c\n\n",
        "HTTP/1.1 200 OK\ncontent-length: -1\n\n",
        "\n\nHTTP/1.1 200 OK\n\n",
    ] {
        check_response(text, Err(BadHead::Malformed));
    }
}

#[test]
fn heads_have_a_bound() {
    let head = |bytes: usize| {
        let around = "GET / HTTP/1.1\r\na: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(bytes - around))
    };
    for size in [1 << 20, 4096, 4095] {
        let read = |text: &str| {
            read(text.as_bytes().chunks(size), request).map(|found| found.map(|_head| ()))
        };
        assert_eq!(read(&head(MAX_HEAD)), Some(Ok(())));
        assert_eq!(read(&head(MAX_HEAD + 1)), Some(Err(BadHead::TooLarge)));
        assert_eq!(read(&"x".repeat(MAX_HEAD)), Some(Err(BadHead::TooLarge)));
        let lines = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(count));
        assert_eq!(read(&lines(MAX_LINES)), Some(Ok(())));
        assert_eq!(read(&lines(MAX_LINES + 1)), Some(Err(BadHead::TooLarge)));
    }
    assert_eq!(BadHead::TooLarge.status(), 431);
}

#[test]
fn what_is_not_whole_is_waited_for() {
    let whole = "HTTP/1.1 200 OK\r\na: b\r\n\r\n";
    for end in 0..whole.len() {
        assert_eq!(read([&whole.as_bytes()[..end]], response), None, "{end}");
    }
}

/// Bytes in pieces that end where `cuts` say.
fn pieces<'a>(bytes: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(bytes.len());
    let mut from = 0;
    cuts.into_iter().map(|cut| &bytes[std::mem::replace(&mut from, cut)..cut]).collect()
}

const PARTS: &[&str] = &[
    "GET / HTTP/1.1",
    "POST /a HTTP/1.0",
    "HTTP/1.1 200 OK",
    "HTTP/1.0 404",
    "\r\n",
    "\r\n",
    "\r\n\r\n",
    "\n",
    "\r",
    "a: b\r\n",
    "content-length: 3\r\n",
    "transfer-encoding: chunked\r\n",
    "connection: close\r\n",
    " ",
    ":",
    "x",
];

proptest! {
    #[test]
    fn cuts_make_no_difference(
        parts in vec(select(PARTS), 0..12),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let text = parts.concat().into_bytes();
        for reader in [request, response] {
            let whole = read([&*text], reader);
            prop_assert_eq!(read(pieces(&text, &cuts), reader), whole);
        }
    }

    #[test]
    fn what_is_written_is_read(
        names in vec("[a-z][a-z0-9-]{0,12}", 0..8),
        values in vec("[!-~]([ -~]{0,20}[!-~])?", 8),
        bytes in any::<u64>(),
        rest in vec(any::<u8>(), 0..20),
        cuts in vec(any::<usize>(), 0..12),
    ) {
        let framing = ["content-length", "transfer-encoding", "connection", "expect"];
        let mut text = BytesMut::new();
        crate::write::request_line(&mut text, &Method::POST, "/mcp?a=1");
        let mut expected = HeaderMap::new();
        for (name, value) in names.iter().zip(&values) {
            if !framing.contains(&name.as_str()) {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                let value = HeaderValue::from_str(value).unwrap();
                crate::write::header(&mut text, &name, &value);
                expected.append(name, value);
            }
        }
        crate::write::content_length(&mut text, bytes);
        expected.append(header::CONTENT_LENGTH, bytes.into());
        crate::write::head_end(&mut text);
        text.extend_from_slice(&rest);
        let found = read(pieces(&text, &cuts), |scan, buffer| scan.request(buffer));
        let (head, behind) = found.unwrap().unwrap();
        prop_assert_eq!(head.request.headers(), &expected);
        prop_assert_eq!((head.length, behind), (Length::Known(bytes), rest));
    }
}
