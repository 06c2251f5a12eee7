//! What takes long by design; see `.config/nextest.toml`.

#![expect(
    clippy::unwrap_used,
    reason = "what the tests share fails them just as they fail themselves"
)]

mod kubernetes;

use vmcp_testkit::{client::Client, process::Program};

/// A hundred megabytes leave the server without ever having been in its memory.
#[tokio::test]
async fn a_huge_result_is_streamed() {
    let arguments = ["huge", "--port", "{port}"];
    let process = Program::new(env!("CARGO_BIN_EXE_vmcp-testkit"), &arguments).spawn().unwrap();
    let mut client = Client::new(&process.url());
    while client.initialize().await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let mut response = client.open_call("1", "huge", "{}").await.unwrap();
    let (mut received, mut most) = (0, 0);
    while let Some(chunk) = response.chunk().await.unwrap() {
        received += chunk.len();
        most = most.max(process.memory().unwrap());
    }
    assert!(received > 100 * 1024 * 1024);
    assert!(most < 50 * 1024 * 1024, "{most} bytes");
}
