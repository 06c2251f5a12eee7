//! What is written, as text.

use super::*;

#[track_caller]
fn check(write: impl FnOnce(&mut BytesMut), expected: &str) {
    let mut out = BytesMut::new();
    write(&mut out);
    assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
}

#[test]
fn first_lines() {
    check(|out| request_line(out, &Method::POST, "/mcp?a=1"), "POST /mcp?a=1 HTTP/1.1\r\n");
    check(|out| status_line(out, StatusCode::OK), "HTTP/1.1 200 OK\r\n");
    check(|out| status_line(out, StatusCode::NOT_FOUND), "HTTP/1.1 404 Not Found\r\n");
    check(|out| status_line(out, StatusCode::from_u16(299).unwrap()), "HTTP/1.1 299 \r\n");
}

#[test]
fn header_lines() {
    let value = HeaderValue::from_static("application/json");
    check(|out| header(out, &header::CONTENT_TYPE, &value), "content-type: application/json\r\n");
    check(|out| content_length(out, u64::MAX), "content-length: 18446744073709551615\r\n");
    check(chunked, "transfer-encoding: chunked\r\n");
    check(head_end, "\r\n");
}

#[test]
fn sizes_of_chunks() {
    for bytes in [0, 1, 9, 10, 15, 16, 255, 256, 0xabc_def, usize::MAX] {
        check(|out| chunk_size(out, bytes), &format!("{bytes:x}\r\n"));
    }
}

#[test]
fn the_date_is_now() {
    let mut out = BytesMut::new();
    date(&mut out);
    date(&mut out);
    let text = std::str::from_utf8(&out).unwrap();
    for line in text.lines() {
        let date = httpdate::parse_http_date(line.strip_prefix("date: ").unwrap()).unwrap();
        let age = SystemTime::now().duration_since(date).unwrap();
        assert!(age.as_secs() < 60, "{line}");
    }
    assert_eq!(text.lines().count(), 2);
}
