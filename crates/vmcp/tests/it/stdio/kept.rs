//! Programs and clients of the modern era: one process for all calls of a client.

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use vmcp_testkit::{
    gateway::{Gateway, eventually},
    modern::META_CLIENT_INFO,
    modern_client::{Answered, ModernClient},
    peers,
};

use super::{Kid, is_running, kid, processes};

/// A client of a gateway that knows its tools.
async fn client(kid: &Kid) -> ModernClient {
    let client = ModernClient::new(&kid.process.url()).capable();
    eventually("the program is known", async || {
        client.learn_tools().await.is_ok_and(|tools| !tools.is_empty()).then_some(())
    })
    .await;
    client
}

async fn call(client: &ModernClient, tool: &str, arguments: Value) -> Answered {
    client.call(&format!("kid_{tool}"), arguments).await.unwrap()
}

async fn text(client: &ModernClient, tool: &str) -> String {
    let answer = call(client, tool, json!({})).await;
    answer.text().unwrap_or_else(|_error| panic!("{answer:?}"))
}

#[tokio::test]
async fn three_calls_are_one_process_which_ends_when_it_is_idle() {
    let kid = kid("", "", "bridge: {idle: 1s}").await;
    let client = client(&kid).await;
    let watching = kid.processes().len();
    let pid: i32 = text(&client, "pid").await.parse().unwrap();
    for expected in ["1", "2", "3"] {
        assert_eq!(text(&client, "count").await, expected);
    }
    assert_eq!(kid.processes().len(), watching + 1);
    assert_eq!(kid.status().await["kept_sessions"], 1);
    eventually("it has ended", async || (!is_running(pid)).then_some(())).await;
    assert_eq!(kid.processes().len(), watching);
    assert_eq!(text(&client, "count").await, "1");
}

/// A process that nobody has called for as long as its own key says ends before that.
#[tokio::test]
async fn a_program_ends_when_its_own_time_is_over() {
    let kid = kid("", ", processIdle: 300ms", "sessions: {ttl: 4s}").await;
    let client = client(&kid).await;
    let pid: i32 = text(&client, "pid").await.parse().unwrap();
    eventually("it has ended", async || (!is_running(pid)).then_some(())).await;
    assert_eq!(text(&client, "count").await, "1");
}

/// The longest idle one ends first, and its process is waited for.
#[tokio::test]
async fn where_there_is_no_room_for_a_process_the_longest_idle_one_makes_room() {
    let limits = "limits: {keptSessionsPerBackend: 2, linksPerBackend: 2}";
    let kid = kid("", "", limits).await;
    let client = client(&kid).await;
    let named = |name: &str| {
        let info = json!({"name": name, "version": "1"});
        client.clone().meta(META_CLIENT_INFO, info)
    };
    for name in ["one", "two", "three", "four"] {
        assert_eq!(text(&named(name), "count").await, "1", "{name}");
        assert!(kid.processes().len() <= 2, "{name}");
    }
    assert_eq!(text(&named("four"), "count").await, "2");
    assert_eq!(text(&named("three"), "count").await, "2");
    assert_eq!(kid.status().await["state"], "healthy");
}

/// Answers that come side by side, and late, go to whom they belong or to nobody.
#[tokio::test]
async fn calls_on_a_program_run_side_by_side() {
    let kid = kid("", "", "operational: {timeouts: {default: 2s}}").await;
    let client = client(&kid).await;
    assert_eq!(text(&client, "count").await, "1");
    let mut calls = JoinSet::new();
    for number in 0..8 {
        // Each begins with the same id.
        let client =
            ModernClient::new(&kid.process.url()).capable().meta("progressToken", json!("t"));
        calls.spawn(async move {
            if number % 2 == 0 {
                let answer = call(&client, "progress", json!({"steps": 3})).await;
                let told = answer.notifications();
                assert_eq!(told.len(), 3, "{told:?}");
                assert!(told.iter().all(|told| told["params"]["progressToken"] == "t"));
            } else {
                let said = format!("text {number}");
                let answer = call(&client, "echo", json!({"text": said})).await;
                assert_eq!(answer.text().unwrap(), said);
            }
        });
    }
    calls.join_all().await;
    let late = call(&client, "sleep", json!({"ms": 2400})).await;
    assert!(late.error().unwrap()["message"].as_str().unwrap().contains("2 s"), "{late:?}");
    // It has been answered when this is, too.
    assert_eq!(call(&client, "sleep", json!({"ms": 800})).await.text().unwrap(), "slept");
    assert_eq!(text(&client, "count").await, "2");
    let cancelled: Value = serde_json::from_str(&text(&client, "cancelled").await).unwrap();
    assert_eq!(cancelled.as_array().unwrap().len(), 1, "{cancelled}");
}

/// A program's question cannot be told to belong to a call unless there is but one.
#[tokio::test]
async fn a_programs_question_ends_its_call_and_no_other() {
    let kid = kid("", "", "").await;
    let client = client(&kid).await;
    assert_eq!(text(&client, "count").await, "1");
    let asked = call(&client, "ask", json!({})).await;
    let told = asked.error().unwrap()["message"].as_str().unwrap().to_owned();
    assert!(told.contains("asks for sampling/createMessage in mid-call"), "{told}");
    assert_eq!(text(&client, "count").await, "2");
    // So does one that has nothing to do with it, for all that anybody can tell. It is declined, too.
    call(&client, "ask_aside", json!({})).await.error().unwrap();
    eventually("it is declined", async || (text(&client, "aside").await != "null").then_some(()))
        .await;
    // Another call is under way: neither is ended for the question of one.
    let sleeping = call(&client, "sleep", json!({"ms": 1500}));
    let asking = async {
        eventually("it runs", async || (kid.status().await["in_flight"] == 1).then_some(())).await;
        call(&client, "ask", json!({})).await
    };
    let (slept, asked) = tokio::join!(sleeping, asking);
    assert_eq!(slept.text().unwrap(), "slept");
    assert!(asked.text().unwrap().contains("error"), "{asked:?}");
}

#[tokio::test]
async fn a_program_that_dies_is_started_again_for_the_next_call() {
    let kid = kid("", "", "").await;
    let client = client(&kid).await;
    assert_eq!(text(&client, "count").await, "1");
    let broken = call(&client, "die", json!({})).await;
    let told = broken.error().unwrap()["message"].as_str().unwrap().to_owned();
    assert!(told.contains("whether the call ran is unknown"), "{told}");
    assert_eq!(text(&client, "count").await, "1");
}

#[tokio::test]
async fn no_process_is_left_when_the_gateway_ends() {
    let kid = kid("'--stubborn', ", "", "").await;
    let client = client(&kid).await;
    assert_eq!(text(&client, "count").await, "1");
    let Kid { process, tag } = kid;
    assert!(process.terminate().await.unwrap().success());
    assert_eq!(processes(&tag), Vec::<i32>::new());
}

/// A call on a program that is taken out of the configuration ends first, whoever it is for.
#[tokio::test]
async fn a_program_that_is_taken_out_ends_after_its_calls() {
    for bridge in ["", "bridge: {reuse: never}"] {
        let (gateway, tag) = super::gateway("", "");
        let gateway = gateway.with(bridge);
        let kid = Kid { process: crate::serve(&gateway).await, tag };
        let client = client(&kid).await;
        let sleeping = client.clone();
        let mut slept = JoinSet::new();
        slept.spawn(
            async move { call(&sleeping, "sleep", json!({"ms": 1500})).await.text().unwrap() },
        );
        eventually("it runs", async || (kid.status().await["in_flight"] == 1).then_some(())).await;
        let other = peers::stateful().start().await.unwrap();
        let without = Gateway::before(&[("other", other.url())]).with(bridge);
        kid.process.write_config(&without.yaml()).unwrap();
        kid.process.signal(Signal::HUP).unwrap();
        eventually("it is out", async || (kid.status().await["name"] == "other").then_some(()))
            .await;
        assert_eq!(slept.join_all().await, ["slept"], "{bridge}");
        let what = "no process is left";
        eventually(what, async || kid.processes().is_empty().then_some(())).await;
    }
}

/// A program that all share goes on as it is, whoever calls.
#[tokio::test]
async fn a_shared_program_serves_modern_clients_too() {
    let kid = kid("", ", isolation: shared", "").await;
    let client = client(&kid).await;
    let other = kid.client().await;
    assert_eq!(text(&client, "count").await, "1");
    assert_eq!(super::text(&other.call("1", "kid_count", "{}").await.unwrap()), "2");
    assert_eq!(text(&client, "count").await, "3");
    assert_eq!(kid.processes().len(), 1);
}
