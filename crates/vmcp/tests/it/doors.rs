//! Who may knock: the Host and Origin headers, and what a browser is told.

use bytes::Bytes;
use http::Method;
use vmcp_testkit::{client::Client, gateway::Gateway, peers, process::Process, raw::Running};

use crate::{connect, serve};

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

async fn fixture(sections: &str) -> (Running, Process, Client) {
    let backend = peers::slow().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())]).with(sections)).await;
    let client = connect(&process).await;
    (backend, process, client)
}

async fn status(client: &Client, verb: Method, header: (&str, &str)) -> u16 {
    let body = if verb == Method::POST { PING } else { "" };
    client.send(verb, &[header], Bytes::from_static(body.as_bytes())).await.unwrap().status().into()
}

#[tokio::test]
async fn strange_hosts_and_origins_are_turned_away_from_every_route_but_the_probes() {
    let (_backend, process, client) = fixture("").await;
    for header in [
        ("host", "evil.example.com"),
        ("host", "127.0.0.1.evil.example.com"),
        ("origin", "https://evil.example.com"),
        ("origin", "http://localhost.evil.example.com"),
        ("origin", "null"),
    ] {
        for verb in [Method::POST, Method::GET, Method::DELETE, Method::OPTIONS] {
            assert_eq!(status(&client, verb.clone(), header).await, 403, "{verb} {header:?}");
        }
        let elsewhere = client.at(&process.url_of("/status"));
        assert_eq!(status(&elsewhere, Method::GET, header).await, 403, "{header:?}");
        for probe in ["/health", "/readyz"] {
            let probe = client.at(&process.url_of(probe));
            assert_eq!(status(&probe, Method::GET, header).await, 200, "{header:?}");
        }
    }
    let port = process.port();
    for host in [format!("localhost:{port}"), "LOCALHOST".to_owned(), format!("[::1]:{port}")] {
        assert_eq!(status(&client, Method::POST, ("host", &host)).await, 200, "{host}");
    }
    assert_eq!(client.delete().await.unwrap(), 200, "the session was not harmed");
}

/// Everybody comes from this machine who comes through a proxy on it.
#[tokio::test]
async fn what_is_for_this_machine_is_not_for_those_whom_a_proxy_lets_in() {
    let (_backend, process, client) = fixture("").await;
    let status_page = client.at(&process.url_of("/status"));
    assert_eq!(status(&status_page, Method::GET, ("x-other", "1")).await, 200);
    for header in [
        ("forwarded", "for=192.0.2.1"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-host", "mcp.example.com"),
        ("x-forwarded-proto", "https"),
        ("x-real-ip", "192.0.2.1"),
        ("via", "1.1 proxy"),
    ] {
        let refused = status_page.send(Method::GET, &[header], Bytes::new()).await.unwrap();
        assert_eq!(refused.status(), 403, "{header:?}");
        let told = refused.bytes().await.unwrap();
        assert!(String::from_utf8_lossy(&told).contains("admin.auth"), "{told:?}");
        assert_eq!(status(&client, Method::POST, header).await, 200, "{header:?}");
    }
}

#[tokio::test]
async fn configured_hosts_and_origins_are_served() {
    let (_backend, _process, client) =
        fixture("allowedHosts: [mcp.example.com]\nallowedOrigins: ['https://console.example.com']")
            .await;
    for (header, expected) in [
        (("host", "mcp.example.com"), 200),
        (("host", "MCP.example.com"), 200),
        (("host", "other.example.com"), 403),
        (("origin", "https://console.example.com"), 200),
        (("origin", "http://console.example.com"), 403),
        (("origin", "https://console.example.com:8443"), 403),
    ] {
        let client = client.clone();
        // A host list of one's own is the whole list.
        let client = if header.0 == "origin" {
            client.with_header("host", "mcp.example.com")
        } else {
            client
        };
        assert_eq!(status(&client, Method::POST, header).await, expected, "{header:?}");
    }
}

#[tokio::test]
async fn a_browser_is_told_what_it_may_send_and_read() {
    let (_backend, _process, client) =
        fixture("allowedOrigins: ['https://console.example.com']").await;
    let origin = ("origin", "https://console.example.com");
    let asked = [
        origin,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "content-type,mcp-session-id,mcp-protocol-version"),
    ];
    let preflight = client.send(Method::OPTIONS, &asked, Bytes::new()).await.unwrap();
    assert!(preflight.status().is_success(), "{}", preflight.status());
    assert_eq!(preflight.header("access-control-allow-origin"), Some(origin.1));
    let methods = preflight.header("access-control-allow-methods").unwrap();
    assert!(["POST", "GET", "DELETE"].iter().all(|verb| methods.contains(verb)), "{methods}");
    let headers = preflight.header("access-control-allow-headers").unwrap().to_lowercase();
    for needed in
        ["content-type", "mcp-session-id", "mcp-protocol-version", "last-event-id", "accept"]
    {
        assert!(headers.contains(needed), "{headers}");
    }
    let ping = Bytes::from_static(PING.as_bytes());
    let answer = client.send(Method::POST, &[origin], ping).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some(origin.1));
    assert!(answer.header("vary").unwrap().to_lowercase().contains("origin"));
    let exposed = answer.header("access-control-expose-headers").unwrap().to_lowercase();
    assert!(exposed.contains("mcp-session-id"), "or no page could open a session: {exposed}");
    let plain = client.post(PING).await.unwrap();
    assert_eq!(plain.header("access-control-allow-origin"), None);
}
