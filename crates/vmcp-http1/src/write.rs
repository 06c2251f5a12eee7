//! Writes heads and the marks between chunks.

use std::{cell::RefCell, time::SystemTime};

use bytes::{BufMut as _, BytesMut};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

/// What stands behind each chunk.
pub const CHUNK_END: &[u8] = b"\r\n";

/// The last chunk, with no trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Tells a client to go on with its body (RFC 9110, section 15.2.1).
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The first line of a request. `target` is its path and query.
pub fn request_line(out: &mut BytesMut, method: &Method, target: &str) {
    out.put_slice(method.as_str().as_bytes());
    out.put_slice(b" ");
    out.put_slice(target.as_bytes());
    out.put_slice(b" HTTP/1.1\r\n");
}

/// The first line of a response.
pub fn status_line(out: &mut BytesMut, status: StatusCode) {
    if status == StatusCode::OK {
        out.put_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.put_slice(b"HTTP/1.1 ");
    out.put_slice(status.as_str().as_bytes());
    out.put_slice(b" ");
    out.put_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.put_slice(b"\r\n");
}

/// One header line.
pub fn header(out: &mut BytesMut, name: &HeaderName, value: &HeaderValue) {
    line(out, name, value.as_bytes());
}

/// The length of the body that follows.
pub fn content_length(out: &mut BytesMut, bytes: u64) {
    line(out, &header::CONTENT_LENGTH, itoa::Buffer::new().format(bytes).as_bytes());
}

/// The body that follows comes in chunks.
pub fn chunked(out: &mut BytesMut) {
    line(out, &header::TRANSFER_ENCODING, b"chunked");
}

/// When this response is made (RFC 9110, section 6.6.1).
pub fn date(out: &mut BytesMut) {
    with_date(|date| line(out, &header::DATE, date.as_bytes()));
}

/// The same for who does not write lines.
pub fn date_value() -> HeaderValue {
    with_date(|date| HeaderValue::from_str(date).expect("a date is visible ASCII"))
}

fn with_date<R>(with: impl FnOnce(&str) -> R) -> R {
    thread_local! {
        /// The last date that was written, and its second: most responses share it.
        static LAST: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    LAST.with_borrow_mut(|(last, text)| {
        if *last != second || text.is_empty() {
            (*last, *text) = (second, httpdate::fmt_http_date(now));
        }
        with(text)
    })
}

/// The empty line behind the last header.
pub fn head_end(out: &mut BytesMut) {
    out.put_slice(b"\r\n");
}

/// What stands before a chunk of so many bytes.
pub fn chunk_size(out: &mut BytesMut, bytes: usize) {
    let digits = (usize::BITS - bytes.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.put_u8(b"0123456789abcdef"[(bytes >> (4 * digit)) & 0xf]);
    }
    out.put_slice(b"\r\n");
}

fn line(out: &mut BytesMut, name: &HeaderName, value: &[u8]) {
    let name = name.as_str().as_bytes();
    // There are a dozen lines in each message: room is made once, where each piece would look for it.
    let start = out.len();
    out.resize(start + name.len() + 2 + value.len() + 2, b' ');
    let (written, rest) = out[start..].split_at_mut(name.len());
    written.copy_from_slice(name);
    let [colon, _space, rest @ ..] = rest else { return };
    *colon = b':';
    let (written, end) = rest.split_at_mut(value.len());
    written.copy_from_slice(value);
    end.copy_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests;
