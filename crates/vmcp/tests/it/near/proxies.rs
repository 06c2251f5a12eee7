//! `trustedProxies`: whom anonymous callers are counted as.

use bytes::Bytes;
use http::Method;
use vmcp_testkit::{client::Client, gateway::Gateway, peers, process::Process, raw::Running};

use super::INITIALIZE;
use crate::serve;

async fn fixture(trusted: &str) -> (Running, Process) {
    let backend = peers::stateful().start().await.unwrap();
    let gateway = Gateway::before(&[("a", backend.url())])
        .with(&format!("trustedProxies: {trusted}\nlimits: {{sessionsPerClient: 1}}"));
    (backend, serve(&gateway).await)
}

/// The status of an `initialize` that comes with these headers.
async fn opened(process: &Process, headers: &[(&str, &str)]) -> u16 {
    let body = Bytes::from_static(INITIALIZE.as_bytes());
    let answer = Client::new(&process.url()).send(Method::POST, headers, body).await.unwrap();
    answer.status().as_u16()
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_is_counted_by_its_own_address() {
    let (_backend, process) = fixture("[127.0.0.1]").await;
    for (list, expected) in [
        ("192.0.2.1", 200),
        ("192.0.2.1", 429),
        ("[::ffff:192.0.2.1]:4711", 429),
        ("192.0.2.2", 200),
        // What a client has written itself stands before what the proxy adds.
        ("203.0.113.7, 192.0.2.2", 429),
        ("192.0.2.3, unknown", 200),
        ("192.0.2.4, unknown", 429),
    ] {
        let status = opened(&process, &[("x-forwarded-for", list)]).await;
        assert_eq!(status, expected, "{list}");
    }
    let forwarded = [("forwarded", "for=203.0.113.8, for=\"192.0.2.5:4711\";proto=https")];
    assert_eq!(opened(&process, &forwarded).await, 200);
    assert_eq!(opened(&process, &forwarded).await, 429);
    // One of them is the client's own: it is counted as the proxy, which has a session already.
    let both = [("forwarded", "for=203.0.113.9"), ("x-forwarded-for", "192.0.2.6")];
    assert_eq!(opened(&process, &both).await, 429);
    assert_eq!(opened(&process, &[("x-forwarded-for", "192.0.2.6")]).await, 200);
}

#[tokio::test]
async fn nobody_else_is_believed() {
    for trusted in ["[]", "[10.0.0.0/8, 192.0.2.0/24]"] {
        let (_backend, process) = fixture(trusted).await;
        let mut statuses = Vec::new();
        for address in ["192.0.2.1", "192.0.2.2", "10.0.0.1"] {
            statuses.push(opened(&process, &[("x-forwarded-for", address)]).await);
            let forwarded = format!("for={address}");
            statuses.push(opened(&process, &[("forwarded", &forwarded)]).await);
        }
        assert_eq!(statuses, [200, 429, 429, 429, 429, 429], "{trusted}");
    }
}

/// A proxy on this machine that is trusted makes nobody the user of this machine.
#[tokio::test]
async fn who_comes_through_a_proxy_is_not_from_here() {
    let (_backend, process) = fixture("[127.0.0.0/8]").await;
    for headers in [
        [("x-forwarded-for", "127.0.0.1")],
        [("x-forwarded-for", "")],
        [("forwarded", "for=127.0.0.1")],
        [("via", "1.1 proxy")],
    ] {
        let (status, told) = super::json(&process.url_of("/status"), &headers).await;
        assert_eq!(status, 403, "{headers:?} {told}");
    }
    assert_eq!(super::json(&process.url_of("/status"), &[]).await.0, 200);
}
