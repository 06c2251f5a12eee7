//! Headers in, the client's address and URL out.

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

/// The proxies of most tests: two networks, and this machine.
const TRUSTED: [&str; 4] = ["10.0.0.0/8", "2001:db8:aaaa::/48", "127.0.0.1", "::1"];

fn trusting(networks: &[&str]) -> TrustedProxies {
    TrustedProxies::new(networks.iter().map(|network| network.parse().unwrap()).collect())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Headers, a line each: `name: value`.
fn headers(lines: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.trim().as_bytes()).unwrap());
    }
    headers
}

#[track_caller]
fn check(peer: &str, lines: &[&str], expected: &str) {
    let found = trusting(&TRUSTED).client_address(ip(peer), &headers(lines));
    assert_eq!(found, ip(expected), "{peer} {lines:?}");
}

#[test]
fn a_stranger_says_nothing_of_its_address() {
    for lines in [
        &[][..],
        &["x-forwarded-for: 192.0.2.1"],
        &["x-forwarded-for: 10.0.0.1"],
        &["forwarded: for=127.0.0.1"],
        &["x-forwarded-for: 192.0.2.1", "forwarded: for=192.0.2.1", "x-real-ip: 192.0.2.1"],
    ] {
        check("198.51.100.7", lines, "198.51.100.7");
        check("2001:db8:bbbb::1", lines, "2001:db8:bbbb::1");
        assert_eq!(
            trusting(&[]).client_address(ip("127.0.0.1"), &headers(lines)),
            ip("127.0.0.1"),
            "nobody is trusted unless configured"
        );
    }
}

#[test]
fn the_last_address_that_is_not_trusted_counts() {
    for (list, expected) in [
        ("192.0.2.1", "192.0.2.1"),
        ("203.0.113.9, 192.0.2.1", "192.0.2.1"),
        ("203.0.113.9, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("203.0.113.9,192.0.2.1 ,\t10.0.0.2,10.9.9.9", "192.0.2.1"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("127.0.0.1", "127.0.0.1"),
        // What cannot be read is the end of what is known.
        ("192.0.2.1, unknown", "10.0.0.1"),
        ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
        ("192.0.2.1, _hidden, 10.0.0.2", "10.0.0.2"),
        // Empty pieces are none.
        ("192.0.2.1, , 10.0.0.2", "192.0.2.1"),
        ("192.0.2.1,", "192.0.2.1"),
        ("192.0.2.1, \t,,", "192.0.2.1"),
        ("", "10.0.0.1"),
        ("192.0.2.1 10.0.0.2", "10.0.0.1"),
        ("256.0.0.1", "10.0.0.1"),
        ("fe80::1%eth0", "10.0.0.1"),
        // Ports and brackets.
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("192.0.2.1:_port", "192.0.2.1"),
        ("192.0.2.1:", "10.0.0.1"),
        ("192.0.2.1:65536", "10.0.0.1"),
        ("192.0.2.1:+80", "10.0.0.1"),
        ("[192.0.2.1]", "10.0.0.1"),
        ("[2001:db8::1]4711", "10.0.0.1"),
        ("[2001:db8::1", "10.0.0.1"),
        // What maps IPv4 is IPv4.
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("192.0.2.1, ::ffff:10.0.0.2", "192.0.2.1"),
        ("[::ffff:192.0.2.1]:80", "192.0.2.1"),
    ] {
        let line = format!("x-forwarded-for: {list}");
        check("10.0.0.1", &[&line], expected);
        check("::ffff:10.0.0.1", &[&line], expected);
    }
}

#[test]
fn several_lines_are_one_list() {
    check("10.0.0.1", &["x-forwarded-for: 203.0.113.9", "x-forwarded-for: 192.0.2.1"], "192.0.2.1");
    let lines = ["x-forwarded-for: 192.0.2.1", "x-forwarded-for: 10.0.0.3, 10.0.0.2"];
    check("10.0.0.1", &lines, "192.0.2.1");
    let lines = ["forwarded: for=192.0.2.1;proto=https", "forwarded: for=10.0.0.2"];
    check("10.0.0.1", &lines, "192.0.2.1");
}

#[test]
fn forwarded_is_read_as_its_specification_says() {
    for (list, expected) in [
        ("for=192.0.2.1", "192.0.2.1"),
        ("For=\"192.0.2.1:4711\"", "192.0.2.1"),
        ("for=\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
        ("proto=https;for=192.0.2.1; by=203.0.113.43", "192.0.2.1"),
        ("for=203.0.113.9, for=192.0.2.1, for=10.0.0.2", "192.0.2.1"),
        ("for=192.0.2.1;host=\"a,b;c\", for=\"[2001:db8:aaaa::1]\"", "192.0.2.1"),
        // What cannot be read is the end of what is known.
        ("for=192.0.2.1, for=unknown", "10.0.0.1"),
        ("for=192.0.2.1, for=_secret, for=10.0.0.2", "10.0.0.2"),
        ("for=192.0.2.1, proto=https", "10.0.0.1"),
        ("for=192.0.2.1;for=192.0.2.2", "10.0.0.1"),
        ("for=192.0.2.1;host=\"a\\\"b\"", "10.0.0.1"),
        ("for=\"192.0.2.1", "10.0.0.1"),
        ("for", "10.0.0.1"),
        ("", "10.0.0.1"),
        // Empty pieces are none.
        (" , for=192.0.2.1,, for=10.0.0.2,", "192.0.2.1"),
    ] {
        check("10.0.0.1", &[&format!("forwarded: {list}")], expected);
    }
}

/// A proxy that writes one of them may pass the other one on as the client wrote it.
#[test]
fn headers_that_disagree_both_say_nothing() {
    let agree = ["x-forwarded-for: 192.0.2.1", "forwarded: for=\"192.0.2.1:80\""];
    check("10.0.0.1", &agree, "192.0.2.1");
    for other in ["for=192.0.2.2", "for=unknown", "for=10.0.0.9", "for=127.0.0.1", "for=\"", "for"]
    {
        let lines = ["x-forwarded-for: 192.0.2.1", &format!("forwarded: {other}")];
        check("10.0.0.1", &lines, "10.0.0.1");
    }
    // Who leaves out where a request came from does not contradict who says it.
    for other in
        ["", ",", "proto=https", "proto=https;host=a.example", "for=192.0.2.9, proto=https"]
    {
        let lines = ["x-forwarded-for: 192.0.2.1", &format!("forwarded: {other}")];
        check("10.0.0.1", &lines, "192.0.2.1");
        check("10.0.0.1", &["x-forwarded-for: ", lines[1]], "10.0.0.1");
    }
}

/// What a client writes before the piece of a proxy must not decide how that is read.
#[test]
fn a_quote_that_a_client_leaves_open_hides_nothing() {
    for written in
        ["for=\"", "for=203.0.113.9;host=\"", "for=203.0.113.9;x=\"a, for=10.0.0.9;y=\"", "\\"]
    {
        let list = format!("forwarded: {written}, for=192.0.2.1");
        check("10.0.0.1", &[&list], "192.0.2.1");
        let list = format!("forwarded: {written}, for=\"[2001:db8::1]:4711\"");
        check("10.0.0.1", &[&list], "2001:db8::1");
    }
    // A proxy has escaped what a client wants to be read as a piece of its own.
    let list = r#"forwarded: for=192.0.2.1;host="a\", for=203.0.113.9;x=\"b""#;
    check("10.0.0.1", &[list], "10.0.0.1");
}

#[test]
fn bytes_that_are_no_text_say_nothing() {
    let mut headers = HeaderMap::new();
    let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).unwrap();
    headers.append(X_FORWARDED_FOR, value(b"\xff, 192.0.2.1"));
    let proxies = trusting(&TRUSTED);
    assert_eq!(proxies.client_address(ip("10.0.0.1"), &headers), ip("192.0.2.1"));
    headers.append(X_FORWARDED_FOR, value(b"192.0.2.9, \xff"));
    assert_eq!(proxies.client_address(ip("10.0.0.1"), &headers), ip("10.0.0.1"));
}

#[test]
fn networks_are_written_in_several_ways() {
    for (written, shown) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("192.0.2.1", "192.0.2.1/32"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:192.0.2.1", "192.0.2.1/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ] {
        let network: TrustedNetwork = written.parse().unwrap();
        assert_eq!(network.to_string(), shown, "{written}");
        assert_eq!(network.is_everything(), shown.ends_with("/0"), "{written}");
        assert!(!network.names_an_address(), "{written}");
    }
    assert!("10.1.2.3/8".parse::<TrustedNetwork>().unwrap().names_an_address());
    assert!(trusting(&["10.1.2.3/8"]).trusts(ip("10.9.9.9")));
    for wrong in ["", "10.0.0.0/33", "10/8", "example.com", "10.0.0.0/8 ", "10.0.0.0-10.0.0.9"] {
        assert!(wrong.parse::<TrustedNetwork>().is_err(), "{wrong}");
    }
}

#[track_caller]
fn check_asked(peer: &str, lines: &[&str], expected: Option<&str>) {
    let headers = headers(lines);
    let host = Named::parse("vmcp.internal:4483").unwrap();
    let asked = trusting(&TRUSTED).asked(ip(peer), &headers, host);
    let asked = asked.map(|(scheme, host)| format!("{scheme}://{}", host.text));
    assert_eq!(asked.as_deref(), expected, "{peer} {lines:?}");
}

#[test]
fn a_client_asks_by_the_url_that_trusted_proxies_tell() {
    let own = "http://vmcp.internal:4483";
    check_asked("198.51.100.7", &[], Some(own));
    check_asked("10.0.0.1", &[], Some(own));
    for (lines, expected) in [
        (&["x-forwarded-proto: https"][..], Some("https://vmcp.internal:4483")),
        (&["x-forwarded-host: mcp.example.com"], Some("http://mcp.example.com")),
        (
            &["x-forwarded-proto: HTTPS", "x-forwarded-host: mcp.example.com:8443"],
            Some("https://mcp.example.com:8443"),
        ),
        (
            &["forwarded: for=192.0.2.1;proto=https;host=mcp.example.com"],
            Some("https://mcp.example.com"),
        ),
        // The nearest proxy wrote the last one.
        (&["x-forwarded-host: evil.example, mcp.example.com"], Some("http://mcp.example.com")),
        (
            &["x-forwarded-host: evil.example", "x-forwarded-host: b.example"],
            Some("http://b.example"),
        ),
        // As many pieces from the end as trusted proxies are on the way, or the first.
        (
            &[
                "x-forwarded-for: 203.0.113.9, 192.0.2.1, 10.0.0.2",
                "x-forwarded-proto: ftp, https, http",
                "x-forwarded-host: evil.example, mcp.example.com",
                "x-forwarded-host: inner",
            ],
            Some("https://mcp.example.com"),
        ),
        (
            &[
                "x-forwarded-for: 192.0.2.1, 10.0.0.3, 10.0.0.2",
                "x-forwarded-proto: https, http",
                "x-forwarded-host: mcp.example.com",
            ],
            Some("https://mcp.example.com"),
        ),
        (
            &["x-forwarded-for: 192.0.2.1, unknown, 10.0.0.2", "x-forwarded-host: a, b, c"],
            Some("http://b"),
        ),
        (&["x-forwarded-for: 10.0.0.9", "x-forwarded-host: a, b"], Some("http://b")),
        // The first proxy on the way says how the client asked, the others how proxies did.
        (
            &[
                "forwarded: for=203.0.113.9;host=evil.example, for=192.0.2.1;proto=https;host=mcp.example.com, for=10.0.0.2;proto=http;host=inner",
            ],
            Some("https://mcp.example.com"),
        ),
        (
            &["forwarded: for=192.0.2.1;proto=https", "x-forwarded-proto: https"],
            Some("https://vmcp.internal:4483"),
        ),
        // Contradictions, and what is no origin.
        (&["forwarded: for=192.0.2.1;proto=https", "x-forwarded-proto: http"], None),
        (&["forwarded: for=192.0.2.1;host=a.example", "x-forwarded-host: b.example"], None),
        (&["x-forwarded-proto: wss"], None),
        (&["x-forwarded-host: a b"], None),
        (&["x-forwarded-host: user@a.example"], None),
        (&["x-forwarded-host: a.example/path"], None),
        (&["x-forwarded-host: a\".example"], None),
    ] {
        check_asked("10.0.0.1", lines, expected);
        check_asked("198.51.100.7", lines, None);
    }
}

#[test]
fn what_is_passed_on_is_not_from_here() {
    for (address, lines, expected) in [
        ("127.0.0.1", &[][..], true),
        ("127.9.9.9", &[], true),
        ("::1", &[], true),
        ("::ffff:127.0.0.1", &[], true),
        ("192.0.2.1", &[], false),
        ("127.0.0.1", &["x-forwarded-for: 127.0.0.1"], false),
        ("127.0.0.1", &["x-forwarded-anything: 1"], false),
        ("127.0.0.1", &["forwarded: for=127.0.0.1"], false),
        ("127.0.0.1", &["via: 1.1 proxy"], false),
        ("127.0.0.1", &["x-real-ip: 127.0.0.1"], false),
        ("127.0.0.1", &["cf-connecting-ip: 127.0.0.1"], false),
        ("127.0.0.1", &["x-forwarded: for=127.0.0.1"], false),
        ("127.0.0.1", &["x-original-forwarded-for: 127.0.0.1"], false),
        ("127.0.0.1", &["x-cluster-client-ip: 127.0.0.1"], false),
        ("127.0.0.1", &["fastly-client-ip: 127.0.0.1"], false),
        ("127.0.0.1", &["forwarded-for: 127.0.0.1"], false),
    ] {
        assert_eq!(is_from_here(ip(address), &headers(lines)), expected, "{address} {lines:?}");
    }
}

/// Whatever a client may write in one of the two headers.
fn written() -> impl Strategy<Value = String> {
    const ADDRESSES: &[&str] =
        &["192.0.2.9", "10.0.0.1", "127.0.0.1", "::1", "unknown", "for=192.0.2.9", "for=10.0.0.9"];
    prop_oneof![
        proptest::collection::vec(proptest::sample::select(ADDRESSES), 1..4)
            .prop_map(|pieces| pieces.join(", ")),
        "[ -~]{0,60}",
        "((for=|proto=|host=|by=)?\"?(10\\.0\\.0\\.1|127\\.0\\.0\\.1|203\\.0\\.113\\.9|\\[::1\\]:80|unknown|_a|\\\\\")\"?[,; ]?){0,6}",
    ]
}

proptest! {
    #[test]
    fn who_is_not_trusted_never_chooses_its_address(
        peer in any::<[u8; 4]>(),
        lines in proptest::collection::vec((0..2_usize, written()), 0..4),
    ) {
        let peer = IpAddr::from(peer);
        let proxies = trusting(&TRUSTED);
        prop_assume!(!proxies.trusts(peer));
        let lines: Vec<_> = lines.iter().map(|(kind, value)| line(*kind, value)).collect();
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        prop_assert_eq!(proxies.client_address(peer, &headers(&lines)), peer);
    }

    /// Trusted proxies on the way write one of the two headers; the client writes both as it likes.
    #[test]
    fn who_comes_through_trusted_proxies_never_chooses_its_address(
        client in any::<[u8; 4]>(),
        kind in 0..2_usize,
        hops in 1..4_u8,
        is_one_line in any::<bool>(),
        own in written(),
        other in proptest::option::of(written()),
    ) {
        let client = IpAddr::from(client);
        let proxies = trusting(&TRUSTED);
        prop_assume!(!proxies.trusts(client));
        let peer = IpAddr::from([10, 0, 0, hops]);
        // The client's own text, and then what each proxy adds: from where it had the request.
        let mut before = vec![client];
        before.extend((1..hops).map(|hop| IpAddr::from([10, 0, 0, hop])));
        let pieces: Vec<_> = before.iter().map(|address| piece(kind, *address)).collect();
        let at_worst = if other.is_some() { peer } else { client };
        let mut lines = match is_one_line {
            true => vec![line(kind, &format!("{own}, {}", pieces.join(", ")))],
            false => vec![line(kind, &own), line(kind, &pieces.join(", "))],
        };
        lines.extend(other.map(|other| line(1 - kind, &other)));
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let found = proxies.client_address(peer, &headers(&lines));
        prop_assert!(found == client || found == at_worst, "{found} {lines:?}");
    }
}

fn line(kind: usize, value: &str) -> String {
    format!("{}: {value}", [X_FORWARDED_FOR, FORWARDED][kind])
}

fn piece(kind: usize, address: IpAddr) -> String {
    if kind == 0 { address.to_string() } else { format!("for={address};proto=https") }
}
