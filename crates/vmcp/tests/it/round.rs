//! Each kind of capability once around: client, gateway, backend and back.

use serde_json::Value;
use vmcp_testkit::{
    client::{Client, Message},
    conformance::{self, Part},
    gateway::Gateway,
    peers,
    raw::{Answer, Call, Kind, Running, Server, handler},
};

use crate::{connect, serve};

/// The names (or URIs) that a list holds.
async fn listed(client: &Client, method: &str, member: &str, key: &str) -> Vec<String> {
    let list = client.request("1", method, "{}").await.unwrap();
    let mut all = list.keys(member, key).unwrap();
    all.sort();
    all
}

/// The parameters of the last request of this method that the backend got, as it got them.
fn last_params(backend: &Server, method: &str) -> Value {
    let seen = backend.seen();
    let last = seen.iter().rev().find(|seen| seen.method == method).unwrap();
    let message: Value = serde_json::from_slice(&last.body).unwrap();
    message["params"].clone()
}

async fn stateful_and_faithful() -> (Running, Running) {
    (peers::stateful().start().await.unwrap(), peers::fidelity().start().await.unwrap())
}

#[tokio::test]
async fn tools_have_their_backends_prefix_and_are_called_by_their_own_name() {
    let (counting, faithful) = stateful_and_faithful().await;
    let gateway = Gateway::before(&[("one", counting.url()), ("two", faithful.url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let names = listed(&client, "tools/list", "tools", "name").await;
    let expected = [
        "one_count",
        "one_slow",
        "two_big",
        "two_echo",
        "two_failure",
        "two_numbers",
        "two_order",
        "two_unicode",
        "two_unknown",
    ];
    assert_eq!(names, expected);
    assert_eq!(client.call("2", "one_count", "{}").await.unwrap().text().unwrap(), "1");
    let echoed = client.call("3", "two_echo", r#"{"a":1}"#).await.unwrap().json();
    assert_eq!(echoed["result"]["structuredContent"]["name"], "echo");
    let unknown = client.call("4", "echo", "{}").await.unwrap();
    assert_eq!(unknown.error_code().unwrap(), -32602);
}

#[tokio::test]
async fn with_priority_names_stay_bare_and_the_first_backend_wins() {
    let (first, second) =
        (peers::stateful().start().await.unwrap(), peers::slow().start().await.unwrap());
    let gateway = Gateway::before(&[("one", second.url()), ("two", first.url())]);
    let process = serve(&gateway.priority(&["two", "one"])).await;
    let client = connect(&process).await;
    assert_eq!(listed(&client, "tools/list", "tools", "name").await, ["count", "slow"]);
    client.call("2", "slow", r#"{"delay_ms":1}"#).await.unwrap().result().unwrap();
    assert_eq!((first.counters().calls("slow"), second.counters().calls("slow")), (1, 0));
}

#[tokio::test]
async fn resources_templates_and_prompts_of_all_backends_are_listed_read_and_got() {
    let a = conformance::start(Part::A, 0).await.unwrap();
    let b = conformance::start(Part::B, 0).await.unwrap();
    let gateway = Gateway::before(&[("a", a.url()), ("b", b.url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let uris = ["test://static-binary", "test://static-text", "test://watched-resource"];
    assert_eq!(listed(&client, "resources/list", "resources", "uri").await, uris);
    for uri in uris.iter().chain(&["test://template/7/data"]) {
        let params = format!(r#"{{"uri":"{uri}"}}"#);
        let read = client.request("2", "resources/read", &params).await.unwrap().json();
        assert_eq!(read["result"]["contents"][0]["uri"], *uri, "{read}");
    }
    let templates =
        listed(&client, "resources/templates/list", "resourceTemplates", "uriTemplate").await;
    assert_eq!(templates, ["test://template/{id}/data"]);
    let unknown = client.request("3", "resources/read", r#"{"uri":"test://no"}"#).await.unwrap();
    assert_eq!(unknown.error_code().unwrap(), -32002);

    let prompts = [
        "a_test_prompt_with_embedded_resource",
        "a_test_simple_prompt",
        "b_test_prompt_with_arguments",
        "b_test_prompt_with_image",
    ];
    assert_eq!(listed(&client, "prompts/list", "prompts", "name").await, prompts);
    let params = r#"{"name":"b_test_prompt_with_arguments","arguments":{"arg1":"x","arg2":"y"}}"#;
    let got = client.request("4", "prompts/get", params).await.unwrap();
    assert!(got.result().unwrap().contains("arg1='x', arg2='y'"), "{got:?}");
    let unknown = client.request("5", "prompts/get", r#"{"name":"nobody"}"#).await.unwrap();
    assert_eq!(unknown.error_code().unwrap(), -32602);
}

#[tokio::test]
async fn completion_reaches_the_backend_of_its_prompt_or_template() {
    let (other, faithful) = stateful_and_faithful().await;
    let process = serve(&Gateway::before(&[("one", other.url()), ("two", faithful.url())])).await;
    let client = connect(&process).await;
    let complete = async |reference: &str| {
        let params = format!(
            r#"{{"ref":{reference},"argument":{{"name":"a","value":"par"}},"context":{{"arguments":{{"b":"c"}}}}}}"#
        );
        client.request("1", "completion/complete", &params).await.unwrap()
    };
    let answer = complete(r#"{"type":"ref/prompt","name":"two_prompt"}"#).await.json();
    assert_eq!(answer["result"]["completion"]["values"][0], "paris");
    let sent = last_params(&faithful, "completion/complete");
    assert_eq!(sent["ref"]["name"], "prompt");
    assert_eq!(sent["context"]["arguments"]["b"], "c");
    let template = r#"{"type":"ref/resource","uri":"fidelity://item/{id}"}"#;
    complete(template).await.result().unwrap();
    assert_eq!(last_params(&faithful, "completion/complete")["ref"]["uri"], "fidelity://item/{id}");
    let unknown = complete(r#"{"type":"ref/prompt","name":"prompt"}"#).await;
    assert_eq!(unknown.error_code().unwrap(), -32602);
    assert_eq!(faithful.counters().requests("completion/complete"), 2);
    assert_eq!(other.counters().requests("completion/complete"), 0);
}

#[tokio::test]
async fn messages_below_the_log_level_do_not_come_even_if_the_backend_sends_them() {
    let everything = handler(|call: Call| async move {
        for level in ["debug", "info", "warning", "error", "x-level"] {
            let params = format!(r#"{{"level":"{level}","data":"x"}}"#);
            call.notify("notifications/message", &params).await.unwrap();
        }
        Answer::text("logged")
    });
    let chatty = peers::asking()
        .offer(Kind::Tools, r#"{"name":"shout","inputSchema":{"type":"object"}}"#, everything)
        .start()
        .await
        .unwrap();
    let process = serve(&Gateway::before(&[("a", chatty.url())])).await;
    let client = connect(&process).await;
    let levels = async |tool: &str| -> Vec<String> {
        let answer = client.call("9", tool, "{}").await.unwrap();
        let notes = answer.before.iter().map(Message::json);
        notes.map(|note| note["params"]["level"].as_str().unwrap().to_owned()).collect()
    };
    let all = ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"];
    assert_eq!(levels("a_log").await, all);
    client.request("1", "logging/setLevel", r#"{"level":"error"}"#).await.unwrap();
    assert_eq!(levels("a_log").await, all[4..]);
    let loud = levels("a_shout").await;
    assert_eq!(loud.iter().filter(|level| *level != "x-level").collect::<Vec<_>>(), ["error"]);
    client.request("2", "logging/setLevel", r#"{"level":"debug"}"#).await.unwrap();
    assert_eq!(levels("a_log").await, all);
    let wrong = client.request("3", "logging/setLevel", r#"{"level":"loud"}"#).await.unwrap();
    assert_eq!(wrong.error_code().unwrap(), -32602);
}

#[tokio::test]
async fn ping_is_answered_in_both_directions() {
    let pinging = handler(|call: Call| async move {
        let answer = call.ask("ping", "{}").await.unwrap();
        Answer::text(format!("{}", answer.ends_with(br#""result":{}}"#)))
    });
    let server = peers::slow()
        .offer(Kind::Tools, r#"{"name":"ping","inputSchema":{"type":"object"}}"#, pinging)
        .start()
        .await
        .unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let client = connect(&process).await;
    let pong = client.request(r#""p""#, "ping", "{}").await.unwrap();
    assert_eq!(pong.result().unwrap(), "{}");
    let pinged = client.call("2", "a_ping", "{}").await.unwrap();
    assert!(pinged.before.is_empty(), "the gateway answers for itself: {pinged:?}");
    assert_eq!(pinged.text().unwrap(), "true");
}

#[tokio::test]
async fn progress_comes_on_the_calls_own_stream_with_the_clients_token() {
    let server = peers::slow().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", server.url())])).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    for token in [r#""a token""#, "17"] {
        let params = format!(
            r#"{{"name":"a_slow","arguments":{{"delay_ms":20}},"_meta":{{"progressToken":{token}}}}}"#
        );
        let answer = client.request("1", "tools/call", &params).await.unwrap();
        assert_eq!(answer.text().unwrap(), "done");
        let [progress] = &answer.before[..] else { panic!("one progress: {answer:?}") };
        let expected = format!(r#"{{"progressToken":{token},"progress":1,"total":2}}"#);
        assert_eq!(progress.params().unwrap(), expected);
    }
    assert_eq!(client.delete().await.unwrap(), 200);
    assert!(get.message().await.unwrap().is_none(), "nothing went to the GET stream");
}
