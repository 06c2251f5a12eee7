//! What is said between a client and a program.

use std::{fs, time::Duration};

use serde_json::Value;
use tokio::time::Instant;
use vmcp_testkit::{client::Client, gateway::eventually};

use super::{kid, text};

#[tokio::test]
async fn each_session_has_a_program_of_its_own() {
    let kid = kid("", "", "").await;
    let (one, other) = (kid.client().await, kid.client().await);
    for (client, counts) in [(&one, ["1", "2"]), (&other, ["1", "2"])] {
        for count in counts {
            assert_eq!(text(&client.call("1", "kid_count", "{}").await.unwrap()), count);
        }
    }
    let pid = async |client: &Client| text(&client.call("2", "kid_pid", "{}").await.unwrap());
    assert_ne!(pid(&one).await, pid(&other).await);
    assert_eq!(pid(&one).await, pid(&one).await);
}

#[tokio::test]
async fn a_program_of_one_client_is_told_its_name_and_a_shared_one_is_not() {
    for (keys, name) in [("", "testkit"), (", isolation: shared", "vmcp")] {
        let kid = kid("", keys, "").await;
        let told = text(&kid.client().await.call("1", "kid_client", "{}").await.unwrap());
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["name"], name, "{keys}");
    }
}

#[tokio::test]
async fn a_program_gets_what_configuration_gives_it_and_nothing_else() {
    let directory = fs::canonicalize(std::env::temp_dir()).unwrap();
    let keys = format!(", env: {{GIVEN: 'a b'}}, cwd: '{}'", directory.display());
    let (gateway, _) = super::gateway("--one, '', ", &keys);
    let program = gateway.program(env!("CARGO_BIN_EXE_vmcp")).environment("SECRET", "s3cret");
    let process = program.environment("LC_ALL", "C.UTF-8").start().await.unwrap();
    let client = Client::connect(&process.url()).await.unwrap();
    let found = text(&client.call("1", "kid_environment", "{}").await.unwrap());
    assert!(!found.contains("s3cret"), "{found}");
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["env"]["GIVEN"], "a b");
    assert_eq!(found["env"]["LC_ALL"], "C.UTF-8");
    assert!(found["env"]["PATH"].is_string());
    assert_eq!(found["cwd"], directory.to_str().unwrap());
    assert_eq!(found["argv"].as_array().unwrap()[..2], ["--one", ""]);
}

#[tokio::test]
async fn questions_logs_and_progress_come_on_the_calls_own_stream() {
    let kid = kid("", "", "").await;
    let client = kid.client().await;
    let mut stream = client.open_call("7", "kid_ask", "{}").await.unwrap();
    let question = stream.message().await.unwrap().unwrap();
    assert_eq!(question.method().unwrap(), "sampling/createMessage");
    let sample = r#"{"role":"assistant","content":{"type":"text","text":"4"},"model":"m"}"#;
    assert_eq!(client.answer(&question, sample).await.unwrap(), 202);
    assert!(text(&stream.answer("7").await.unwrap()).contains("assistant"));

    let params = r#"{"name":"kid_progress","arguments":{"steps":3},"_meta":{"progressToken":"p"}}"#;
    let answer = client.request("8", "tools/call", params).await.unwrap();
    let steps: Vec<_> = answer.before.iter().map(|m| m.json()["params"].clone()).collect();
    assert_eq!(steps.len(), 3, "{steps:?}");
    assert!(steps.iter().all(|step| step["progressToken"] == "p"), "{steps:?}");

    let answer = client.call("9", "kid_log", "{}").await.unwrap();
    assert_eq!(answer.before[0].method().unwrap(), "notifications/message");
}

/// A program says on one channel what belongs to a call and what does not.
#[tokio::test]
async fn a_question_outlives_the_call_that_it_came_with() {
    let kid = kid("", "", "").await;
    let client = kid.client().await;
    let mut call = client.open_call("1", "kid_ask_aside", "{}").await.unwrap();
    let question = call.message().await.unwrap().unwrap();
    assert_eq!(question.method().unwrap(), "roots/list");
    assert_eq!(text(&call.answer("1").await.unwrap()), "asked");
    let roots = r#"{"roots":[{"uri":"file:///late"}]}"#;
    assert_eq!(client.answer(&question, roots).await.unwrap(), 202);
    eventually("the program has its answer", async || {
        let told = text(&client.call("2", "kid_aside", "{}").await.unwrap());
        told.contains("file:///late").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_slow_call_does_not_hold_up_another() {
    let kid = kid("", "", "").await;
    let client = kid.client().await;
    client.call("1", "kid_echo", "{}").await.unwrap();
    let slow = async {
        let slow = client.call("2", "kid_sleep", r#"{"ms":4000}"#).await.unwrap();
        (slow, Instant::now())
    };
    let quick = async {
        client.call("3", "kid_echo", "{}").await.unwrap();
        Instant::now()
    };
    let ((slow, slow_at), quick_at) = tokio::join!(slow, quick);
    assert_eq!(text(&slow), "slept");
    assert!(quick_at < slow_at, "{quick_at:?}, {slow_at:?}");
}

#[tokio::test]
async fn what_belongs_to_no_call_comes_on_the_get_stream() {
    let kid = kid("", "", "").await;
    let client = kid.client().await;
    let mut get = client.listen(None).await.unwrap();
    let uri = r#"{"uri":"child://one"}"#;
    client.request("1", "resources/subscribe", uri).await.unwrap();
    let update = get.message().await.unwrap().unwrap();
    assert_eq!(update.method().unwrap(), "notifications/resources/updated");
    assert_eq!(text(&client.call("2", "kid_change", "{}").await.unwrap()), "changed");
}

#[tokio::test]
async fn large_messages_and_line_breaks_pass() {
    let kid = kid("", "", "").await;
    let client = kid.client().await;
    let arguments = "{\n  \"bytes\":\r\n 3000000}";
    assert_eq!(text(&client.call("1", "kid_big", arguments).await.unwrap()).len(), 3_000_000);
    let long = "y".repeat(2_000_000);
    let echoed = client.call("2", "kid_echo", &format!(r#"{{"text":"a\n{long}"}}"#)).await.unwrap();
    assert_eq!(text(&echoed), format!("a\n{long}"));
}

#[tokio::test]
async fn while_a_question_is_open_no_call_of_the_session_runs_out_of_time() {
    let sections = "operational: {timeouts: {default: 3s}}";
    let kid = kid("", "", sections).await;
    let client = kid.client().await;
    client.call("0", "kid_echo", "{}").await.unwrap();
    // The first asks, and the second is taken for the one that did.
    let mut asking = client.open_call("1", "kid_ask", "{}").await.unwrap();
    let question = asking.message().await.unwrap().unwrap();
    let params = r#"{"name":"kid_progress","arguments":{"steps":2},"_meta":{"progressToken":"p"}}"#;
    let other = client.request("2", "tools/call", params).await.unwrap();
    assert_eq!(text(&other), "done");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let sample = r#"{"role":"assistant","content":{"type":"text","text":"4"},"model":"m"}"#;
    assert_eq!(client.answer(&question, sample).await.unwrap(), 202);
    assert!(text(&asking.answer("1").await.unwrap()).contains("assistant"));
}

#[tokio::test]
async fn a_change_of_the_level_meanwhile_does_not_swallow_a_question() {
    let kid = kid("", "", "").await;
    let client = kid.client().await;
    client.call("0", "kid_echo", "{}").await.unwrap();
    let level = async {
        for number in 0..20 {
            let level = if number % 2 == 0 { "debug" } else { "info" };
            let params = format!(r#"{{"level":"{level}"}}"#);
            client.request(&number.to_string(), "logging/setLevel", &params).await.unwrap();
        }
    };
    let asking = async {
        for _ in 0..10 {
            let mut stream = client.open_call("\"ask\"", "kid_ask", "{}").await.unwrap();
            let question = stream.message().await.unwrap().unwrap();
            let sample = r#"{"role":"assistant","content":{"type":"text","text":"4"},"model":"m"}"#;
            assert_eq!(client.answer(&question, sample).await.unwrap(), 202);
            assert!(text(&stream.answer("\"ask\"").await.unwrap()).contains("assistant"));
        }
    };
    tokio::join!(level, asking);
}
