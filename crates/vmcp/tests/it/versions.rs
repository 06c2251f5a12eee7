//! Every revision of the legacy era at the client meets every revision at the backend.

use vmcp_testkit::{client::Client, gateway::Gateway, peers, raw::RawServer};

use crate::serve;

const REVISIONS: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];

async fn agreed(client: &mut Client, version: &str) -> String {
    let answer = client.initialize_as(version, "{}").await.unwrap().json();
    answer["result"]["protocolVersion"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_clients_revision_is_taken_if_it_is_known() {
    let backend = peers::slow().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    for version in REVISIONS {
        let mut client = Client::new(&process.url());
        assert_eq!(agreed(&mut client, version).await, version);
        client.call("1", "a_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    }
    for unknown in ["1999-01-01", "2026-07-28", "", "latest"] {
        let mut client = Client::new(&process.url());
        assert_eq!(agreed(&mut client, unknown).await, "2025-11-25", "{unknown}");
        client.call("1", "a_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    }
}

/// The raw peer refuses a request whose version header is not the one that it agreed to.
#[tokio::test]
async fn a_backend_is_spoken_to_in_the_revision_that_it_agreed_to() {
    let mut backends = Vec::new();
    for version in REVISIONS {
        backends.push(peers::stateful().versions(&[version]).start().await.unwrap());
    }
    let names = ["v0", "v1", "v2", "v3"];
    let list: Vec<_> =
        names.into_iter().zip(&backends).map(|(name, backend)| (name, backend.url())).collect();
    let process = serve(&Gateway::before(&list)).await;
    for version in REVISIONS {
        let mut client = Client::new(&process.url());
        agreed(&mut client, version).await;
        for name in names {
            let answer = client.call("1", &format!("{name}_count"), "{}").await.unwrap();
            assert_eq!(answer.text().unwrap(), "1", "{version} to {name}");
        }
        assert_eq!(client.delete().await.unwrap(), 200);
    }
    for backend in &backends {
        assert_eq!(backend.counters().refusals(), 0);
    }
}

#[tokio::test]
async fn a_backend_without_sessions_is_served_too() {
    let backend = RawServer::builder()
        .sessionless()
        .tool(r#"{"name":"t","inputSchema":{"type":"object"}}"#, r#"{"content":[]}"#)
        .start()
        .await
        .unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let mut client = Client::new(&process.url());
    agreed(&mut client, "2025-11-25").await;
    for id in ["1", "2"] {
        client.call(id, "a_t", "{}").await.unwrap().result().unwrap();
    }
    assert_eq!(client.delete().await.unwrap(), 200);
    assert_eq!(backend.counters().refusals(), 0);
}

/// Since the header is younger than the protocol, a client need not send it.
#[tokio::test]
async fn a_request_without_a_version_header_is_served() {
    let backend = peers::slow().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let mut client = Client::new(&process.url());
    agreed(&mut client, "2025-03-26").await;
    let session = client.session().unwrap().to_owned();
    let plain = Client::new(&process.url()).with_header("mcp-session-id", &session);
    plain.call("1", "a_slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
}
