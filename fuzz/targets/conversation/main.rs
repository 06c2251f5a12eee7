//! Whole conversations: the server before an honest backend and one that answers whatever the fuzzer
//! likes. Nothing panics, no call outlives its deadline, what reaches the client is the answer to its
//! request, and the honest backend's calls are answered all the while.
#![no_main]

mod answers;
mod client;
mod odd;
mod peer;
mod play;
mod said;
mod script;
mod world;

use std::{future::Future, sync::Arc, time::Duration};

use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use client::Client;
use script::{Category, Feed, Script};
use world::World;

/// What any request may take: the hostile peer's 600 ms, and three seconds for the answers to what it
/// asks before its first call, which it may refuse.
const DEADLINE: Duration = Duration::from_secs(5);

/// What a call of the neighbour may take.
const SOON: Duration = Duration::from_secs(2);

/// How long the neighbour may take to be listed.
const APPEARS: Duration = Duration::from_secs(2);

/// Steps of one client.
const STEPS: usize = 12;

fuzz_target!(|bytes: &[u8]| {
    let script = Arc::new(Script::parse(bytes));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(converse(&script));
    runtime.shutdown_background();
});

async fn converse(script: &Arc<Script>) {
    let world = World::start(script).await;
    let client = Arc::new(soon(Client::open(world.address, script.setup)).await);
    tokio::join!(follow(&client, script), beside(&world, script));
    soon(client.close()).await;
    world.stop().await;
}

/// Another client, that has nothing to do with the hostile peer.
async fn beside(world: &World, script: &Script) {
    let client = soon(Client::open(world.address, script.setup)).await;
    for _call in 0..3 {
        neighbour(&client).await;
        sleep(Duration::from_millis(3)).await;
    }
    listed(&client).await;
    soon(client.close()).await;
}

/// What the script has the client do.
async fn follow(client: &Arc<Client>, script: &Script) {
    let mut steps = script.next(Category::Client).unwrap_or_else(|| Feed::new(vec![0, 4, 6]));
    let mut streams = JoinSet::new();
    for _step in 0..STEPS {
        if steps.is_over() {
            break;
        }
        match steps.next() % 16 {
            0 => request(client, "tools/list", json!({})).await,
            1 => request(client, "resources/list", json!({})).await,
            2 => request(client, "resources/templates/list", json!({})).await,
            3 => request(client, "prompts/list", json!({})).await,
            4 | 5 => hostile(client).await,
            6 => drop(tokio::join!(hostile(client), neighbour(client), hostile(client))),
            7 => request(client, "resources/read", json!({"uri": "evil://r"})).await,
            8 => request(client, "prompts/get", json!({"name": "evil_p"})).await,
            9 => {
                let reference = json!({"type": "ref/prompt", "name": "evil_p"});
                let argument = json!({"name": "a", "value": ""});
                let params = json!({"ref": reference, "argument": argument});
                request(client, "completion/complete", params).await;
            }
            10 => {
                let client = Arc::clone(client);
                streams.spawn(async move { client.listen().await });
            }
            11 if !script.setup.client_is_modern() => {
                request(client, "resources/subscribe", json!({"uri": "evil://r"})).await;
            }
            12 if !script.setup.client_is_modern() => {
                request(client, "logging/setLevel", json!({"level": "debug"})).await;
            }
            13 => soon(client.abandon("tools/call", json!({"name": "evil_t"}))).await,
            14 => sleep(Duration::from_millis((steps.next() % 64).into())).await,
            _ => neighbour(client).await,
        }
    }
    neighbour(client).await;
    listed(client).await;
}

/// What must not take longer than anything may.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(DEADLINE, work).await.expect("it takes too long")
}

async fn request(client: &Client, method: &str, params: Value) {
    drop(soon(client.request(method, params)).await);
}

/// Calls the hostile peer; asks again, as a modern client does, if it wants to know something.
async fn hostile(client: &Client) {
    let mut params = json!({"name": "evil_t", "arguments": {}});
    for _round in 0..2 {
        let answer = soon(client.request("tools/call", params.clone())).await;
        let result = answer.and_then(|mut answer| answer.remove("result"));
        let result = result.and_then(|result| serde_json::from_str::<Value>(&result).ok());
        let Some(state) = result.and_then(|result| result.get("requestState").cloned()) else {
            return;
        };
        params["requestState"] = state;
        params["inputResponses"] = json!({});
    }
}

/// What vmcp lists can be read, and has the neighbour in it.
async fn listed(client: &Client) {
    let answer = soon(client.request("tools/list", json!({}))).await.expect("a list is sent whole");
    let result = answer.get("result").expect("there is always a list");
    let read: Value = serde_json::from_str(result).expect("everybody can read it");
    let tools = read["tools"].as_array().expect("a list");
    assert!(tools.iter().all(|tool| tool["inputSchema"]["type"] == "object"), "{tools:?}");
    assert!(tools.iter().any(|tool| tool["name"] == "good_echo"), "{tools:?}");
}

/// The neighbour answers, once it is listed.
async fn neighbour(client: &Client) {
    let began = Instant::now();
    loop {
        let params = json!({"name": "good_echo", "arguments": {}});
        let answer = timeout(SOON, client.request("tools/call", params)).await;
        let answer = answer.expect("the neighbour is held up").expect("a short answer");
        if answer.get("result").is_some_and(|result| result.contains(answers::GREETING)) {
            return;
        }
        let is_unlisted = answer.get("error").is_some_and(|error| error.contains("unknown tool"));
        assert!(is_unlisted && began.elapsed() < APPEARS, "the neighbour is lost: {answer:?}");
        sleep(Duration::from_millis(20)).await;
    }
}
