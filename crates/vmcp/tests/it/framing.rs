//! Where a request begins and ends, and for whom it is: the RFCs' rules, of both versions of HTTP.

use vmcp_testkit::{
    framing::rules::{broken_http1, broken_http2, http1, http2},
    gateway::Gateway,
    peers,
};

use crate::{connect, serve};

#[tokio::test]
async fn the_rules_of_http1_are_kept() {
    let backend = peers::slow().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    let rules = http1(client.session().unwrap());
    assert!(rules.len() > 200, "{}", rules.len());
    let broken = broken_http1(("127.0.0.1", process.port()), rules).await;
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[tokio::test]
async fn the_rules_of_http2_are_kept() {
    let backend = peers::slow().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", backend.url())])).await;
    let client = connect(&process).await;
    let rules = http2(client.session().unwrap());
    let broken = broken_http2(("127.0.0.1", process.port()), rules).await;
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}
