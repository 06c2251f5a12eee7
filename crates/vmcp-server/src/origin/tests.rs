//! Who is let in.

use http::{HeaderMap, HeaderValue, Uri, header};

use super::{AllowedHost, AllowedOrigin, Doors};

fn doors(hosts: &[&str], origins: &[&str]) -> Doors {
    Doors::new(
        hosts.iter().map(|host| host.parse().unwrap()).collect(),
        origins.iter().map(|origin| origin.parse().unwrap()).collect(),
    )
}

#[track_caller]
fn check_host(doors: &Doors, host: &str, allowed: bool) {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
    let verdict = doors.check_host(&Uri::from_static("/mcp"), &headers);
    assert_eq!(verdict.is_ok(), allowed, "{host}");
}

#[track_caller]
fn check_origin(doors: &Doors, origin: &str, allowed: bool) {
    let mut headers = HeaderMap::new();
    headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
    assert_eq!(doors.check_origin(&headers).is_ok(), allowed, "{origin}");
}

#[test]
fn loopback_is_always_a_host() {
    for host in ["localhost", "LOCALHOST:80", "127.0.0.1:4483", "[::1]:4483"] {
        check_host(&doors(&[], &[]), host, true);
    }
    for host in
        ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.2", "@"]
    {
        check_host(&doors(&[], &[]), host, false);
    }
}

#[test]
fn a_host_may_be_named_with_or_without_a_port() {
    let doors = doors(&["mcp.example", "other.example:8443"], &[]);
    check_host(&doors, "MCP.example:1", true);
    check_host(&doors, "other.example:8443", true);
    check_host(&doors, "other.example", false);
    check_host(&doors, "sub.mcp.example", false);
}

#[test]
fn two_hosts_are_none() {
    let mut headers = HeaderMap::new();
    headers.append(header::HOST, HeaderValue::from_static("localhost"));
    headers.append(header::HOST, HeaderValue::from_static("localhost"));
    assert!(doors(&[], &[]).check_host(&Uri::from_static("/"), &headers).is_err());
    assert!(doors(&[], &[]).check_host(&Uri::from_static("/"), &HeaderMap::new()).is_err());
}

#[test]
fn loopback_origins_are_let_in_until_others_are_named() {
    for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:1"] {
        check_origin(&doors(&[], &[]), origin, true);
        check_origin(&doors(&[], &["https://app.example"]), origin, false);
    }
    for origin in
        ["null", "http://evil.example", "file://localhost", "http://localhost.evil.example"]
    {
        check_origin(&doors(&[], &[]), origin, false);
    }
    check_origin(&doors(&[], &["https://app.example"]), "https://app.example", true);
    check_origin(&doors(&[], &["https://app.example"]), "https://app.example:444", false);
    check_origin(&doors(&[], &["https://app.example"]), "http://app.example", false);
}

#[test]
fn patterns_that_can_match_nothing_are_refused() {
    for host in ["", "a b", "user@host", "http://host"] {
        assert!(host.parse::<AllowedHost>().is_err(), "{host}");
    }
    for origin in ["", "app.example", "https://app.example/", "https://app.example/path", "*"] {
        assert!(origin.parse::<AllowedOrigin>().is_err(), "{origin}");
    }
}
