//! Tasks of revision 2025-11-25.

use vmcp_testkit::{client::Client, peers};

const RELATED: &str = r#""_meta":{"io.modelcontextprotocol/related-task":{"taskId":"1"}}"#;

#[tokio::test]
async fn a_task_works_and_gives_its_result() {
    let (one, two) = (peers::tasks().start().await.unwrap(), peers::tasks().start().await.unwrap());
    for server in [one, two] {
        let mut client = Client::new(&server.url());
        client.initialize().await.unwrap();
        let mut stream = client.listen(None).await.unwrap();
        let begin = r#"{"name":"work","arguments":{"delay_ms":1},"task":{"ttl":60000}}"#;
        let created = client.request("1", "tools/call", begin).await.unwrap();
        assert!(
            created.result().unwrap().starts_with(r#"{"task":{"taskId":"1","status":"working""#)
        );
        let result = client.request("2", "tasks/result", r#"{"taskId":"1"}"#).await.unwrap();
        assert!(result.result().unwrap().contains(RELATED), "{result:?}");
        let note = stream.message().await.unwrap().unwrap();
        assert_eq!(note.method().unwrap(), "notifications/tasks/status");
        assert!(note.params().unwrap().starts_with(r#"{"taskId":"1","status":"completed""#));
        let state = client.request("3", "tasks/get", r#"{"taskId":"1"}"#).await.unwrap();
        assert!(state.result().unwrap().contains("completed"));
        let list = client.request("4", "tasks/list", "{}").await.unwrap().json();
        assert_eq!(list["result"]["tasks"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_task_asks_and_can_be_cancelled() {
    let server = peers::tasks().start().await.unwrap();
    let mut client = Client::new(&server.url());
    client.initialize().await.unwrap();
    let begin = r#"{"name":"confirm","arguments":{},"task":{}}"#;
    client.request("1", "tools/call", begin).await.unwrap().result().unwrap();
    let mut stream = client.open("2", "tasks/result", r#"{"taskId":"1"}"#).await.unwrap();
    let question = stream.message().await.unwrap().unwrap();
    assert!(question.params().unwrap().contains(RELATED), "{question:?}");
    client.answer(&question, r#"{"action":"accept","content":{"sure":true}}"#).await.unwrap();
    stream.answer("2").await.unwrap().result().unwrap();

    client.request("3", "tools/call", begin).await.unwrap();
    let cancelled = client.request("4", "tasks/cancel", r#"{"taskId":"2"}"#).await.unwrap();
    assert!(cancelled.result().unwrap().contains("cancelled"));
    let again = client.request("5", "tasks/cancel", r#"{"taskId":"2"}"#).await.unwrap();
    assert!(again.error().unwrap().contains("-32602"));
    let unknown = client.request("6", "tasks/get", r#"{"taskId":"9"}"#).await.unwrap();
    assert!(unknown.error().unwrap().contains("-32602"));
}
