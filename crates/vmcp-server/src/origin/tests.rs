//! Who is let in.

use http::{HeaderMap, HeaderValue, Request, Version, header};

use super::{AllowedHost, AllowedOrigin, Doors, host_of};

fn doors(hosts: &[&str], origins: &[&str]) -> Doors {
    Doors::new(
        hosts.iter().map(|host| host.parse().unwrap()).collect(),
        origins.iter().map(|origin| origin.parse().unwrap()).collect(),
    )
}

/// The status of a request with these `Host` headers; 200 if it is let in.
fn status(doors: &Doors, version: Version, target: &str, hosts: &[&str]) -> u16 {
    let mut request = Request::builder().version(version).uri(target);
    for host in hosts {
        request = request.header(header::HOST, *host);
    }
    let checked = host_of(&request.body(()).unwrap()).map(|host| doors.check_host(host));
    checked.and_then(|checked| checked).map_or_else(|fault| fault.status().as_u16(), |()| 200)
}

#[track_caller]
fn check_host(doors: &Doors, host: &str, expected: u16) {
    assert_eq!(status(doors, Version::HTTP_11, "/mcp", &[host]), expected, "{host}");
}

#[track_caller]
fn check_origin(doors: &Doors, origin: &str, allowed: bool) {
    let mut headers = HeaderMap::new();
    headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
    assert_eq!(doors.check_origin(&headers).is_ok(), allowed, "{origin}");
}

#[test]
fn loopback_is_always_a_host() {
    let doors = doors(&[], &[]);
    for host in ["localhost", "LOCALHOST:80", "127.0.0.1:4483", "[::1]:4483", "localhost:"] {
        check_host(&doors, host, 200);
    }
    for host in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2"] {
        check_host(&doors, host, 403);
    }
}

#[test]
fn what_is_no_host_is_no_host_that_is_not_allowed() {
    let doors = doors(&["mcp.example"], &[]);
    for host in [
        "",
        "@",
        "evil@localhost",
        "@localhost",
        "localhost@",
        "localhost:abc",
        "localhost:99999",
        "localhost:-1",
        "localhost:+1",
        "localhost:80:80",
        "a b",
        "localhost/mcp",
        "localhost,a b",
        "[::1",
        "[localhost]",
        "[::1]a",
        "[::1]]",
        "http://localhost",
        "::1",
        "loc\"alhost",
    ] {
        check_host(&doors, host, 400);
    }
}

#[test]
fn a_host_may_be_named_with_or_without_a_port() {
    let doors = doors(&["mcp.example", "other.example:8443"], &[]);
    check_host(&doors, "MCP.example:1", 200);
    check_host(&doors, "other.example:8443", 200);
    check_host(&doors, "other.example", 403);
    check_host(&doors, "sub.mcp.example", 403);
}

#[test]
fn a_host_is_told_once() {
    let doors = doors(&["mcp.example"], &[]);
    let absolute = "http://localhost/mcp";
    for (version, target, hosts, expected) in [
        (Version::HTTP_11, "/mcp", &[][..], 400),
        (Version::HTTP_11, "/mcp", &["localhost", "localhost"], 400),
        (Version::HTTP_11, "/mcp", &["localhost", "evil.example"], 400),
        // What the target names counts; Host must be there, and be one.
        (Version::HTTP_11, absolute, &["evil.example"], 200),
        (Version::HTTP_11, "http://evil.example/mcp", &["localhost"], 403),
        (Version::HTTP_11, "http://evil@localhost/mcp", &["localhost"], 400),
        (Version::HTTP_11, absolute, &[], 400),
        (Version::HTTP_11, absolute, &["a b"], 400),
        (Version::HTTP_10, "/mcp", &[], 400),
        (Version::HTTP_10, "/mcp", &["localhost"], 200),
        (Version::HTTP_10, absolute, &[], 200),
        (Version::HTTP_2, absolute, &[], 200),
        (Version::HTTP_2, "/mcp", &["localhost"], 200),
        (Version::HTTP_2, "/mcp", &[], 400),
        (Version::HTTP_2, absolute, &["LOCALHOST"], 200),
        (Version::HTTP_2, absolute, &["mcp.example"], 400),
        (Version::HTTP_2, absolute, &["localhost:80"], 400),
        (Version::HTTP_2, "http://evil@localhost/mcp", &[], 400),
    ] {
        let got = status(&doors, version, target, hosts);
        assert_eq!(got, expected, "{version:?} {target} {hosts:?}");
    }
    // Whoever asks whether vmcp is well by HTTP/1.0 need not name it.
    assert!(host_of(&Request::builder().version(Version::HTTP_10).body(()).unwrap()).is_ok());
}

#[test]
fn loopback_origins_are_let_in_until_others_are_named() {
    for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:1"] {
        check_origin(&doors(&[], &[]), origin, true);
        check_origin(&doors(&[], &["https://app.example"]), origin, false);
    }
    for origin in [
        "null",
        "http://evil.example",
        "file://localhost",
        "http://localhost.evil.example",
        "http://evil.example@localhost",
        "http://localhost/",
        "http://localhost/path",
        "http://localhost:99999",
        "http://localhost:",
        "http://localhost?",
        "localhost",
        "://localhost",
    ] {
        check_origin(&doors(&[], &[]), origin, false);
    }
    check_origin(&doors(&[], &["https://app.example"]), "https://app.example", true);
    check_origin(&doors(&[], &["https://app.example"]), "https://app.example:444", false);
    check_origin(&doors(&[], &["https://app.example"]), "http://app.example", false);
}

#[test]
fn an_origin_that_is_told_twice_is_one() {
    let doors = doors(&[], &["https://app.example"]);
    for (origins, is_allowed) in [
        (&["https://app.example", "https://app.example"][..], true),
        (&["https://app.example", "https://evil.example"], false),
        (&["https://evil.example", "https://app.example"], false),
        (&["https://app.example", "https://app.example", "null"], false),
        (&["https://evil.example", "https://evil.example"], false),
    ] {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(header::ORIGIN, HeaderValue::from_static(origin));
        }
        assert_eq!(doors.check_origin(&headers).is_ok(), is_allowed, "{origins:?}");
    }
}

#[test]
fn patterns_that_can_match_nothing_are_refused() {
    for host in ["", "a b", "user@host", "http://host", "host:port", "host:70000"] {
        assert!(host.parse::<AllowedHost>().is_err(), "{host}");
    }
    for origin in [
        "",
        "app.example",
        "https://app.example/",
        "https://app.example/path",
        "*",
        "https://me@app.example",
        "https://app.example:70000",
    ] {
        assert!(origin.parse::<AllowedOrigin>().is_err(), "{origin}");
    }
}
