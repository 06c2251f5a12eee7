//! Calls that are longer than any default.

use tokio::time::Duration;
use vmcp_testkit::{gateway::Gateway, peers, raw::Form};

use crate::{connect, serve};

/// 30 s is where a timeout that nobody asked for would strike.
#[tokio::test]
async fn a_call_of_31_seconds_succeeds_where_40_are_allowed() {
    let (json, events) = (
        peers::slow().start().await.unwrap(),
        peers::slow().form(Form::Sse).start().await.unwrap(),
    );
    let gateway = Gateway::before(&[("json", json.url()), ("sse", events.url())])
        .with("operational: {timeouts: {default: 40s}}");
    let process = serve(&gateway).await;
    let client = connect(&process).await.with_patience(Duration::from_secs(45));
    let calling = async |id: &str, tool: &str, meta: &str| {
        let params = format!(r#"{{"name":"{tool}","arguments":{{"delay_ms":31000}}{meta}}}"#);
        client.request(id, "tools/call", &params).await.unwrap().text().unwrap()
    };
    let progress = r#","_meta":{"progressToken":1}"#;
    let (json, events, progressing) = tokio::join!(
        calling("1", "json_slow", ""),
        calling("2", "sse_slow", ""),
        calling("3", "json_slow", progress)
    );
    assert_eq!([json, events, progressing], ["done"; 3]);
}
