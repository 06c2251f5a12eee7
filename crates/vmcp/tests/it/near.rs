//! Who is near: what proxies are believed, by which URL clients are told to come back, and who may ask as an
//! operator.
//!
//! The client stands for a proxy: it comes from 127.0.0.1 and writes the headers of one.

mod admin;
mod proxies;
mod url;

use bytes::Bytes;
use http::Method;
use serde_json::Value;
use vmcp_testkit::client::{Client, Response};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

/// Asks with more headers than a client has.
async fn get(url: &str, headers: &[(&str, &str)]) -> Response {
    Client::new(url).send(Method::GET, headers, Bytes::new()).await.unwrap()
}

/// The status and the JSON of an answer.
async fn json(url: &str, headers: &[(&str, &str)]) -> (u16, Value) {
    let answer = get(url, headers).await;
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}
