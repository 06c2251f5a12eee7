//! Tasks of revision 2025-11-25 on two backends that use the same task ids.

use serde_json::Value;
use vmcp_testkit::{
    client::{Client, Message},
    gateway::{Gateway, eventually},
    peers,
    process::Process,
    raw::Running,
};

use crate::{connect, serve};

const RELATED: &str = "io.modelcontextprotocol/related-task";

struct Fixture {
    backends: [Running; 2],
    process: Process,
    client: Client,
}

async fn two_with_tasks() -> Fixture {
    let backends = [peers::tasks().start().await.unwrap(), peers::tasks().start().await.unwrap()];
    let gateway = Gateway::before(&[("a", backends[0].url()), ("b", backends[1].url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    Fixture { backends, process, client }
}

/// Calls a tool as a task and gives the task as the client sees it.
async fn begin(client: &Client, tool: &str, delay_ms: u64) -> Value {
    let params = format!(
        r#"{{"name":"{tool}","arguments":{{"delay_ms":{delay_ms}}},"task":{{"ttl":60000}}}}"#
    );
    let answer = client.request("1", "tools/call", &params).await.unwrap();
    answer.json()["result"]["task"].clone()
}

async fn about(client: &Client, method: &str, task: &Value) -> Message {
    let params = format!(r#"{{"taskId":{}}}"#, task["taskId"]);
    client.request("2", method, &params).await.unwrap()
}

#[tokio::test]
async fn the_same_id_on_two_backends_is_two_tasks() {
    let Fixture { client, .. } = &two_with_tasks().await;
    let (of_a, of_b) = (begin(client, "a_work", 60_000).await, begin(client, "b_work", 10).await);
    assert_ne!(of_a["taskId"], of_b["taskId"]);
    assert_eq!(of_a["status"], "working");
    let result = about(client, "tasks/result", &of_b).await.json();
    assert_eq!(result["result"]["content"][0]["text"], "worked");
    assert_eq!(result["result"]["_meta"][RELATED]["taskId"], of_b["taskId"]);
    let got = about(client, "tasks/get", &of_b).await.json();
    assert_eq!(got["result"]["status"], "completed");
    assert_eq!(got["result"]["taskId"], of_b["taskId"]);
    assert_eq!(about(client, "tasks/get", &of_a).await.json()["result"]["status"], "working");

    let cancelled = about(client, "tasks/cancel", &of_a).await.json();
    assert_eq!(cancelled["result"]["status"], "cancelled");
    assert_eq!(cancelled["result"]["taskId"], of_a["taskId"]);
    assert_eq!(about(client, "tasks/get", &of_b).await.json()["result"]["status"], "completed");
    for wrong in ["1", "c:1", "a:99", ""] {
        let params = format!(r#"{{"taskId":"{wrong}"}}"#);
        let refused = client.request("3", "tasks/get", &params).await.unwrap();
        assert_eq!(refused.error_code().unwrap(), -32602, "{wrong}");
    }
}

#[tokio::test]
async fn the_list_holds_the_tasks_of_all_backends_once() {
    let Fixture { client, .. } = &two_with_tasks().await;
    let empty = client.request("1", "tasks/list", "{}").await.unwrap();
    assert!(empty.items("tasks").unwrap().is_empty());
    let wrong = client.request("0", "tasks/list", r#"{"cursor":"a:7"}"#).await.unwrap();
    assert_eq!(wrong.error_code().unwrap(), -32602, "there is nothing to page through");
    let mut begun = Vec::new();
    for tool in ["a_work", "b_work", "a_work"] {
        let task = begin(client, tool, 60_000).await;
        begun.push(task["taskId"].as_str().unwrap().to_owned());
    }
    begun.sort();
    let (mut listed, mut params) = (Vec::new(), "{}".to_owned());
    loop {
        let page = client.request("2", "tasks/list", &params).await.unwrap();
        listed.extend(page.keys("tasks", "taskId").unwrap());
        let Some(cursor) = page.json()["result"].get("nextCursor").cloned() else { break };
        params = format!(r#"{{"cursor":{cursor}}}"#);
    }
    listed.sort();
    assert_eq!(listed, begun);
    let wrong = client.request("3", "tasks/list", r#"{"cursor":"nonsense"}"#).await.unwrap();
    assert_eq!(wrong.error_code().unwrap(), -32602);
}

#[tokio::test]
async fn the_end_of_a_task_is_told_on_the_get_stream() {
    let fixture = two_with_tasks().await;
    let Fixture { client, backends: [_, b], .. } = &fixture;
    let mut get = client.listen(None).await.unwrap();
    let task = begin(client, "b_work", 50).await;
    eventually("the backend is listened to", async || {
        b.sessions().iter().any(|session| session.listens()).then_some(())
    })
    .await;
    let told = get.message().await.unwrap().unwrap().json();
    assert_eq!(told["method"], "notifications/tasks/status");
    assert_eq!(told["params"]["taskId"], task["taskId"]);
    assert_eq!(told["params"]["status"], "completed");
}

/// The question of a task comes on the stream of `tasks/result`, and names the task by the id that
/// the client knows; the answer's own related-task reaches the backend in its words.
#[tokio::test]
async fn a_task_asks_its_client() {
    let Fixture { client, .. } = &two_with_tasks().await;
    begin(client, "a_work", 60_000).await;
    let task = begin(client, "b_confirm", 0).await;
    assert_eq!(task["status"], "input_required");
    let params = format!(r#"{{"taskId":{}}}"#, task["taskId"]);
    let mut stream = client.open("7", "tasks/result", &params).await.unwrap();
    let question = stream.message().await.unwrap().unwrap();
    let asked = question.json();
    assert_eq!(asked["params"]["_meta"][RELATED]["taskId"], task["taskId"]);
    assert_eq!(asked["params"]["message"], "Really?");
    let answer = format!(
        r#"{{"action":"accept","content":{{"sure":true}},"_meta":{{"{RELATED}":{{"taskId":{}}}}}}}"#,
        task["taskId"]
    );
    assert_eq!(client.answer(&question, &answer).await.unwrap(), 202);
    let result = stream.answer("7").await.unwrap().json();
    assert_eq!(result["result"]["content"][0]["text"], "worked");
    assert_eq!(result["result"]["_meta"][RELATED]["taskId"], task["taskId"]);
}

/// Task ids are those of a session: another client cannot look at them.
#[tokio::test]
async fn tasks_belong_to_their_session() {
    let fixture = two_with_tasks().await;
    let task = begin(&fixture.client, "a_work", 60_000).await;
    let stranger = connect(&fixture.process).await;
    let refused = about(&stranger, "tasks/get", &task).await;
    assert_eq!(refused.error_code().unwrap(), -32602);
    assert_eq!(
        about(&fixture.client, "tasks/get", &task).await.json()["result"]["status"],
        "working"
    );
}
