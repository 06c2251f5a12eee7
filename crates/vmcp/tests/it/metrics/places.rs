//! Where metrics are read, and by whom.

use std::fs;

use bytes::Bytes;
use vmcp_testkit::{
    gateway::Gateway,
    peers,
    process::{Process, free_port},
    raw::Running,
};

use super::*;
use crate::serve;

const TOKEN: &str = "a-token-of-operators";
const PASSED_ON: (&str, &str) = ("x-forwarded-for", "192.0.2.1");

/// A gateway with these sections.
async fn with(sections: &str) -> (Running, Process) {
    let backend = peers::stateful().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())]).with(sections)).await;
    (backend, process)
}

async fn status(url: &str, headers: &[(&str, &str)]) -> u16 {
    read(url, headers).await.status().as_u16()
}

/// Nothing can be changed there.
async fn assert_only_reads(url: &str, headers: &[(&str, &str)]) {
    for verb in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = Client::new(url).send(verb, headers, Bytes::from("{}")).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.header("allow")), (405, Some("GET, HEAD")));
    }
}

#[tokio::test]
async fn whoever_reaches_the_clients_listener_may_read_them_there() {
    let (_backend, process) = with("telemetry: {enablePrometheusMetricsPath: true}").await;
    let url = process.url_of("/metrics");
    let answer = read(&url, &[]).await;
    assert_eq!(answer.status(), 200);
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(answer.header("cache-control").is_some_and(|text| text.contains("no-store")));
    let head = Client::new(&url).send(Method::HEAD, &[], Bytes::new()).await.unwrap();
    assert_eq!((head.status().as_u16(), head.bytes().await.unwrap().len()), (200, 0));
    for headers in [
        ("host", "10.1.2.3"),
        ("host", "10.1.2.3:9090"),
        ("host", "[2001:db8::1]:9090"),
        ("host", "localhost"),
        PASSED_ON,
        ("authorization", "Bearer whatever"),
    ] {
        assert_eq!(status(&url, &[headers]).await, 200, "{headers:?}");
    }
    for headers in [
        ("host", "evil.example.com"),
        ("host", "10.1.2.3.evil.example.com"),
        ("origin", "https://evil.example.com"),
    ] {
        assert_eq!(status(&url, &[headers]).await, 403, "{headers:?}");
    }
    assert_only_reads(&url, &[]).await;
    assert_eq!(status(&process.url_of("/metrics/"), &[]).await, 404);
    // What else is there is not for other names of this machine.
    for path in ["/status", "/mcp"] {
        let status = status(&process.url_of(path), &[("host", "10.1.2.3")]).await;
        assert_eq!(status, 403, "{path}");
    }
}

#[tokio::test]
async fn where_clients_are_not_to_read_them_operators_do() {
    let keys = "telemetry: {enablePrometheusMetricsPath: true, metricsOnTransportPort: false}";
    let admin = free_port().unwrap();
    let sections = format!("{keys}\nadmin: {{listen: '127.0.0.1:{admin}'}}");
    let (_backend, process) = with(&sections).await;
    for url in [process.url_of("/metrics"), format!("http://127.0.0.1:{admin}/metrics")] {
        assert_eq!(status(&url, &[]).await, 200, "{url}");
        assert_eq!(status(&url, &[PASSED_ON]).await, 403, "{url}");
        assert_eq!(status(&url, &[("host", "10.1.2.3")]).await, 403, "{url}");
        assert_only_reads(&url, &[]).await;
    }
}

#[tokio::test]
async fn operators_prove_who_they_are_where_they_must() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    fs::write(&file, TOKEN).unwrap();
    let good = ("authorization", &*format!("Bearer {TOKEN}"));
    for to_clients in [true, false] {
        let admin = free_port().unwrap();
        let sections = format!(
            "telemetry: {{enablePrometheusMetricsPath: true, metricsOnTransportPort: {to_clients}}}\n\
             admin: {{listen: '127.0.0.1:{admin}', auth: {{type: token, tokenFile: '{}'}}}}",
            file.display()
        );
        let (_backend, process) = with(&sections).await;
        let (clients, admin) =
            (process.url_of("/metrics"), format!("http://127.0.0.1:{admin}/metrics"));
        for url in [&clients, &admin] {
            let is_free = to_clients && *url == clients;
            let expected = if is_free { 200 } else { 401 };
            assert_eq!(status(url, &[]).await, expected, "{url} {to_clients}");
            assert_eq!(status(url, &[("authorization", "Bearer no")]).await, expected, "{url}");
            assert_eq!(status(url, &[good]).await, 200, "{url}");
            assert_eq!(status(url, &[good, PASSED_ON]).await, 200, "{url}");
            assert_only_reads(url, &[good]).await;
        }
    }
}

#[tokio::test]
async fn a_port_of_their_own_serves_nothing_else() {
    let port = free_port().unwrap();
    let sections = format!(
        "telemetry: {{enablePrometheusMetricsPath: true, metricsOnTransportPort: false, prometheusPort: {port}}}\n\
         admin: {{auth: {{type: token}}}}"
    );
    let (_backend, process) = with(&sections).await;
    let base = format!("http://127.0.0.1:{port}");
    let url = format!("{base}/metrics");
    for headers in [&[][..], &[("host", "10.1.2.3:1")], &[PASSED_ON]] {
        assert_eq!(status(&url, headers).await, 200, "{headers:?}");
    }
    assert_eq!(status(&url, &[("host", "evil.example.com")]).await, 403);
    assert_only_reads(&url, &[]).await;
    for path in ["/status", "/mcp", "/api/backends/health", "/policy/explain", "/"] {
        let answer = read(&format!("{base}{path}"), &[]).await;
        assert_eq!(answer.status(), 404, "{path}");
    }
    for probe in ["/health", "/ping", "/readyz"] {
        assert_eq!(status(&format!("{base}{probe}"), &[]).await, 200, "{probe}");
    }
    assert_eq!(status(&process.url_of("/metrics"), &[]).await, 401);
}

#[tokio::test]
async fn nobody_reads_them_where_they_are_not_wanted() {
    let admin = free_port().unwrap();
    for keys in ["", "telemetry: {enablePrometheusMetricsPath: false}", "audit: {}"] {
        let sections = format!("{keys}\nadmin: {{listen: '127.0.0.1:{admin}'}}");
        let (_backend, process) = with(&sections).await;
        for url in [process.url_of("/metrics"), format!("http://127.0.0.1:{admin}/metrics")] {
            assert_eq!(status(&url, &[]).await, 404, "{keys} {url}");
        }
    }
}
