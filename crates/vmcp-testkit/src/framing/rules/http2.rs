//! HTTP/2 (RFC 9113).

use super::{
    super::http2::{block, flag, frame, kind, request},
    Gets::{self, Gone, Last, Reset},
    Rule,
};

const PING: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

/// Headers that are changed: those named are left out, and those given stand behind the rest.
type Row = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)], Gets);

const HEADERS: &[Row] = &[
    ("8.3.1: a request", &[], &[], Last(200)),
    ("8.3.1: Host may say the same", &[], &[("host", "LOCALHOST")], Last(200)),
    (
        "8.3.1: Host may stand in for :authority",
        &[":authority"],
        &[("host", "localhost")],
        Last(200),
    ),
    ("8.3.1: Host says nothing else", &[], &[("host", "evil.example")], Last(400)),
    ("8.3.1: Host says nothing else", &[], &[("host", "localhost:81")], Last(400)),
    ("8.3.1: one of them is needed", &[":authority"], &[], Last(400)),
    (
        "8.3.1: Host stands there once",
        &[":authority"],
        &[("host", "localhost"), ("host", "localhost")],
        Last(400),
    ),
    ("9110 7.2: Host has no userinfo", &[":authority"], &[("host", "me@localhost")], Last(400)),
    (
        "9110 7.2: a port has sixteen bits",
        &[":authority"],
        &[("host", "localhost:99999")],
        Last(400),
    ),
    (
        "9110 7.4: a host that is not served",
        &[":authority"],
        &[("host", "evil.example")],
        Last(403),
    ),
    ("6454 6.2: an origin has no path", &[], &[("origin", "http://localhost/path")], Last(403)),
    ("8.2: names have small letters", &[], &[("X-Name", "a")], Gone),
    ("8.2.1: names have no spaces", &[], &[("x name", "a")], Gone),
    ("8.2.1: values have no NUL", &[], &[("x", "a\0")], Gone),
    ("8.2.1: values have no line breaks", &[], &[("x", "a\r\nb: c")], Gone),
    ("8.2.2: no Connection", &[], &[("connection", "close")], Reset),
    ("8.2.2: no Transfer-Encoding", &[], &[("transfer-encoding", "chunked")], Reset),
    ("8.2.2: no Upgrade", &[], &[("upgrade", "h2c")], Reset),
    ("8.2.2: TE is trailers", &[], &[("te", "gzip")], Reset),
    ("8.2.2: TE is trailers", &[], &[("te", "trailers")], Last(200)),
    ("8.3: :method is needed", &[":method"], &[], Reset),
    ("8.3: :path is needed", &[":path"], &[], Reset),
    ("8.3: :scheme is needed", &[":scheme"], &[], Reset),
    ("8.3: pseudo-headers come first", &[":path"], &[(":path", "/mcp")], Reset),
    ("8.3: pseudo-headers are known", &[], &[(":other", "a")], Gone),
    ("8.1.1: the length is what was told", &[], &[("content-length", "41")], Reset),
    ("8.1.1: the length is what was told", &[], &[("content-length", "39")], Reset),
    ("8.1.1: the length is what was told", &[], &[("content-length", "40")], Last(200)),
    ("9110 5.3: one session", &[], &[("mcp-session-id", "other")], Last(400)),
    ("9110 5.3: one media type", &[], &[("content-type", "text/plain")], Last(400)),
    ("9110 15.5.16: no coding is known", &[], &[("content-encoding", "gzip")], Last(415)),
    (
        "9110 12.5.1: the more specific range wins",
        &["accept"],
        &[("accept", "application/json;q=0, text/event-stream;Q=0, */*")],
        Last(406),
    ),
    ("9110 12.5.1: one of two", &["accept"], &[("accept", "text/event-stream")], Last(200)),
];

/// The rules of HTTP/2, for an MCP endpoint at `/mcp` and a session of it that can be pinged.
pub fn http2(session: &str) -> Vec<Rule> {
    let usual = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "localhost"),
        (":path", "/mcp"),
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-session-id", session),
    ];
    let of_headers = HEADERS.iter().map(|(says, without, with, gets)| {
        let kept = usual.iter().filter(|(name, _)| !without.contains(name));
        let headers: Vec<_> = kept.chain(*with).copied().collect();
        rule(says, request(1, &headers, PING), *gets)
    });
    let pseudo = [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":path", "/health")];
    let twice = rule("8.3: pseudo-headers stand there once", request(1, &pseudo, b""), Reset);
    of_headers.chain([twice]).chain(frames(&block(&usual))).collect()
}

/// Frames that must not be.
fn frames(block: &[u8]) -> Vec<Rule> {
    let whole = flag::END_HEADERS | flag::END_STREAM;
    let large = vec![0; 16_385];
    let room = |bytes: u32| bytes.to_be_bytes();
    let open = frame(kind::HEADERS, flag::END_HEADERS, 1, block);
    let after = |next: Vec<u8>| [&open[..], &next].concat();
    vec![
        rule(
            "4.1: unknown frames are passed over",
            [
                frame(0xbb, 0xff, 0, b"x"),
                request(
                    1,
                    &[
                        (":method", "GET"),
                        (":scheme", "http"),
                        (":path", "/health"),
                        (":authority", "localhost"),
                    ],
                    b"",
                ),
            ]
            .concat(),
            Last(200),
        ),
        rule("4.2: frames have a bound", frame(kind::HEADERS, whole, 1, &large), Gone),
        rule(
            "4.3: what is compressed can be read",
            frame(kind::HEADERS, whole, 1, b"\xff\xff\xff\xff\xff\xff"),
            Gone,
        ),
        rule("5.1: no data before a request", frame(kind::DATA, 0, 1, b"x"), Gone),
        rule("5.1: no room for what is not open", frame(kind::WINDOW_UPDATE, 0, 1, &room(1)), Gone),
        rule("5.1: nothing to take back", frame(kind::RST_STREAM, 0, 1, &room(8)), Gone),
        rule("5.1.1: clients have odd streams", frame(kind::HEADERS, whole, 2, block), Gone),
        rule("6.1: data belongs to a stream", frame(kind::DATA, 0, 0, b"x"), Gone),
        rule(
            "6.1: padding is shorter than its frame",
            after(frame(kind::DATA, 8, 1, b"\x05abc")),
            Gone,
        ),
        rule("6.2: requests belong to a stream", frame(kind::HEADERS, whole, 0, block), Gone),
        rule("6.4: a reason has four bytes", after(frame(kind::RST_STREAM, 0, 1, b"abc")), Gone),
        rule("6.5: settings belong to the connection", frame(kind::SETTINGS, 0, 1, b""), Gone),
        rule("6.5: settings have six bytes each", frame(kind::SETTINGS, 0, 0, b"abcde"), Gone),
        rule(
            "6.5: what acknowledges says nothing",
            frame(kind::SETTINGS, flag::ACK, 0, &[0; 6]),
            Gone,
        ),
        rule(
            "6.5.2: windows have 31 bits",
            frame(kind::SETTINGS, 0, 0, &[0, 4, 0xff, 0, 0, 0]),
            Gone,
        ),
        rule("6.6: clients push nothing", frame(5, flag::END_HEADERS, 1, &[0, 0, 0, 2]), Gone),
        rule("6.7: pings belong to the connection", frame(kind::PING, 0, 1, &[0; 8]), Gone),
        rule("6.7: pings have eight bytes", frame(kind::PING, 0, 0, &[0; 7]), Gone),
        rule("6.9: room is not none", frame(kind::WINDOW_UPDATE, 0, 0, &room(0)), Gone),
        rule(
            "6.9.1: windows have 31 bits",
            frame(kind::WINDOW_UPDATE, 0, 0, &room(0x7fff_ffff)),
            Gone,
        ),
        rule(
            "6.10: a block goes on with itself only",
            [frame(kind::HEADERS, flag::END_STREAM, 1, block), frame(kind::PING, 0, 0, &[0; 8])]
                .concat(),
            Gone,
        ),
        rule(
            "6.10: nothing goes on that has not begun",
            frame(kind::CONTINUATION, flag::END_HEADERS, 1, block),
            Gone,
        ),
    ]
}

fn rule(says: &str, sent: Vec<u8>, gets: Gets) -> Rule {
    Rule { says: format!("RFC 9113, {says}"), sent, gets }
}
