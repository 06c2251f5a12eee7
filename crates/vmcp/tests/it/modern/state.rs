//! `requestState`, which clients keep for backends: sealed for one caller and one request, for a while,
//! and good on any replica (specification 2026-07-28, basic/patterns/mrtr).

use serde_json::{Value, json};
use vmcp_testkit::{
    gateway::{Gateway, eventually},
    identity::{AUDIENCE, IdentityProvider},
    modern::Running,
    modern_client::ModernClient,
    peers,
    process::Process,
    redis::RedisServer,
};

use super::modern_client;
use crate::serve;

const OLD: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";
const NEW: &str = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";

const NAMED: &str = r#"{"name":{"action":"accept","content":{"name":"Ann","n":1.10}}}"#;

async fn peer() -> Running {
    peers::modern().start().await.unwrap()
}

/// A state for [`ASKED`].
async fn state_for(client: &ModernClient) -> String {
    let asked = client.call_literally("a_ask", r#"{"a":1.10,"b":[1]}"#).await.unwrap();
    asked.questions().unwrap();
    asked.request_state().unwrap()
}

/// Retries with a state: the code of the error, or none.
async fn retry(
    client: &ModernClient,
    method: &str,
    asked: &str,
    state: &str,
) -> Result<Value, Value> {
    let state = json!(state);
    let params = format!(r#"{{{asked},"inputResponses":{NAMED},"requestState":{state}}}"#);
    let answer = super::ask(client, method, &params).await.json();
    match answer.get("error") {
        None => Ok(answer["result"].clone()),
        Some(error) => Err(error.clone()),
    }
}

const ASKED: &str = r#""name":"a_ask","arguments":{"a":1.10,"b":[1]}"#;

/// The backend gets its own state and the client's answers, byte for byte, however the retry is
/// written.
#[tokio::test]
async fn a_backend_gets_its_own_state_back() {
    let peer = peer().await;
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let client = modern_client(&process);
    for tool in ["ask", "ask_everything", "ask_nothing"] {
        let asked = client.call_literally(&format!("a_{tool}"), r#"{"a":1.10}"#).await.unwrap();
        let state = asked.request_state().unwrap();
        assert!(state.is_ascii() && !state.contains("state"), "it is sealed: {state}");
        let responses: Value = serde_json::from_str(NAMED).unwrap();
        let answered = client.answer(&asked, responses).await.unwrap();
        let back = answered.result().unwrap()["structuredContent"].clone();
        assert_eq!(back["inputResponses"]["name"]["content"]["name"], "Ann");
        // The peer takes nothing but its own state, and says it back.
        assert!(back["requestState"].as_str().unwrap().contains("\u{1F600}"), "{back}");
    }
    // Questions twice over, each with a state of its own.
    let first = client.call("a_ask_twice", json!({})).await.unwrap();
    let responses: Value = serde_json::from_str(NAMED).unwrap();
    let second = client.answer(&first, responses.clone()).await.unwrap();
    assert!(second.questions().unwrap().contains_key("second name"));
    assert_ne!(first.request_state(), second.request_state());
    let last = client.answer(&second, responses.clone()).await.unwrap();
    assert_eq!(last.result().unwrap()["structuredContent"]["requestState"], "second");
    // Prompts and resources ask without one.
    for (method, params) in [
        ("prompts/get", r#"{"name":"a_asking"}"#),
        ("resources/read", r#"{"uri":"modern://asking"}"#),
    ] {
        let asked = client.open_literally(method, params).await.unwrap().answer().await.unwrap();
        assert_eq!(asked.request_state(), None);
        let answered = client.answer(&asked, responses.clone()).await.unwrap();
        assert!(answered.literal_result().unwrap().contains("Ann"), "{answered:?}");
    }
    assert_eq!(peer.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn a_state_is_good_however_the_same_request_is_written() {
    let peer = peer().await;
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let client = modern_client(&process);
    let asked = client.call_literally("a_ask", r#"{"a":1.10,"b":[1]}"#).await.unwrap();
    let state = asked.request_state().unwrap();
    for same in [ASKED, r#""arguments":{ "b" : [ 1 ] , "a":1.10 },"name":"a_\u0061sk""#] {
        let back = retry(&client, "tools/call", same, &state).await.unwrap();
        assert_eq!(back["structuredContent"]["inputResponses"]["name"]["action"], "accept");
    }
    let other = client.clone().meta("progressToken", json!(7)).log_level("debug");
    let other = other.meta("traceparent", json!("00-1"));
    retry(&other, "tools/call", ASKED, &state).await.unwrap();
}

#[tokio::test]
async fn a_state_is_good_for_nothing_else() {
    let (peer, other) = (peer().await, peer().await);
    let process = serve(&Gateway::before(&[("a", peer.url()), ("b", other.url())])).await;
    let client = modern_client(&process);
    let state = state_for(&client).await;
    retry(&client, "tools/call", ASKED, &state).await.unwrap();
    let before = peer.counters().executions("ask");
    let mut refusals = Vec::new();
    for other in [
        r#""name":"a_ask","arguments":{"a":1.1,"b":[1]}"#,
        r#""name":"a_ask","arguments":{"a":1.10,"b":[2]}"#,
        r#""name":"a_ask","arguments":{"a":1.10,"b":[1],"c":null}"#,
        r#""name":"a_ask","arguments":{}"#,
        r#""name":"a_ask""#,
        r#""name":"a_ask","arguments":{"a":1.10,"b":[1]},"x":1"#,
        r#""name":"a_ask_everything","arguments":{"a":1.10,"b":[1]}"#,
        r#""name":"a_ask_nothing","arguments":{"a":1.10,"b":[1]}"#,
        r#""name":"b_ask","arguments":{"a":1.10,"b":[1]}"#,
    ] {
        refusals.push(retry(&client, "tools/call", other, &state).await.unwrap_err());
    }
    refusals.push(retry(&client, "prompts/get", r#""name":"a_prompt""#, &state).await.unwrap_err());
    let read = r#""uri":"modern://one""#;
    refusals.push(retry(&client, "resources/read", read, &state).await.unwrap_err());
    for number in 0..state.len() {
        let mut tampered = state.clone().into_bytes();
        tampered[number] = if tampered[number] == b'A' { b'B' } else { b'A' };
        // The last character has bits that stand for nothing.
        if number % 7 == 0 {
            let tampered = String::from_utf8(tampered).unwrap();
            refusals.push(retry(&client, "tools/call", ASKED, &tampered).await.unwrap_err());
        }
    }
    for forged in ["", "A", "first", "é", &state[1..], &state[..state.len() - 4], &state.repeat(2)]
    {
        refusals.push(retry(&client, "tools/call", ASKED, forged).await.unwrap_err());
    }
    assert_eq!(refusals[0]["code"], -32602, "{}", refusals[0]);
    refusals.dedup();
    assert_eq!(refusals.len(), 1, "all are told the same: {refusals:?}");
    for name in ["ask", "ask_everything", "ask_nothing"] {
        assert!(peer.counters().executions(name) <= before, "nothing of it ran");
    }
    assert_eq!(other.counters().executions("ask"), 0);
    // It has taken no harm.
    retry(&client, "tools/call", ASKED, &state).await.unwrap();
}

/// Legacy backends give no states, so none is good for them.
#[tokio::test]
async fn a_state_is_good_for_no_backend_that_gives_none() {
    let peers = super::Peers::start().await;
    let process = serve(&peers.gateway()).await;
    let client = modern_client(&process);
    let refused = retry(&client, "tools/call", r#""name":"old_echo""#, "mine").await.unwrap_err();
    assert_eq!(refused["code"], -32602);
    assert_eq!(peers.old.counters().calls("echo"), 0);
}

#[tokio::test]
async fn a_state_is_its_owners_alone() {
    let peer = peer().await;
    let provider = IdentityProvider::start().await.unwrap();
    let issuer = provider.issuer();
    let incoming = format!(
        "type: oidc, oidc: {{issuer: '{issuer}', audience: {AUDIENCE}, resource: 'https://mcp.example/mcp', insecureAllowHttp: true, jwksAllowPrivateIp: true}}"
    );
    let process = serve(&Gateway::before(&[("a", peer.url())]).incoming(&incoming)).await;
    let as_who = |subject: &str| {
        let token = format!("Bearer {}", provider.token(subject));
        modern_client(&process).header("authorization", &token)
    };
    let (alice, bob) = (as_who("alice"), as_who("bob"));
    let state = state_for(&alice).await;
    let executions = peer.counters().executions("ask");
    let stolen = retry(&bob, "tools/call", ASKED, &state).await.unwrap_err();
    let forged = retry(&bob, "tools/call", ASKED, "nothing").await.unwrap_err();
    assert_eq!(stolen, forged, "whose it is is not told");
    assert_eq!(peer.counters().executions("ask"), executions);
    retry(&alice, "tools/call", ASKED, &state).await.unwrap();
    // Another token of the same principal is as good.
    retry(&as_who("alice"), "tools/call", ASKED, &state).await.unwrap();
}

/// Its life is `sessions.ttl`.
#[tokio::test]
async fn a_state_expires() {
    let peer = peer().await;
    let gateway = Gateway::before(&[("a", peer.url())]).with("sessions: {ttl: 1s}");
    let process = serve(&gateway).await;
    let client = modern_client(&process);
    let state = state_for(&client).await;
    retry(&client, "tools/call", ASKED, &state).await.unwrap();
    let refused =
        eventually("it expires", async || retry(&client, "tools/call", ASKED, &state).await.err())
            .await;
    let forged = retry(&client, "tools/call", ASKED, "nothing").await.unwrap_err();
    assert_eq!(refused, forged, "that it was good once is not told");
}

/// Replicas with a key in common open each other's states, the ones that have rotated it out do not.
#[tokio::test]
async fn a_state_is_good_on_replicas_that_know_its_key() {
    let peer = peer().await;
    let redis = RedisServer::start().await.unwrap();
    let replica = async |keys: &str| -> Process {
        let storage = format!(
            "sessionStorage: {{provider: redis, address: '{}', keysEnv: KEYS}}",
            redis.address()
        );
        let program = Gateway::before(&[("a", peer.url())])
            .with(&storage)
            .program(env!("CARGO_BIN_EXE_vmcp"));
        program.environment("KEYS", keys).start().await.unwrap()
    };
    let (both, turned) = (format!("{OLD}\n{NEW}"), format!("{NEW}\n{OLD}"));
    let (first, learning, using, last) =
        tokio::join!(replica(OLD), replica(&both), replica(&turned), replica(NEW));
    let client = modern_client(&first);
    let of_old = state_for(&client).await;
    for replica in [&learning, &using] {
        let back = retry(&client.at(&replica.url()), "tools/call", ASKED, &of_old).await;
        assert!(back.is_ok(), "{back:?}");
    }
    let of_new = state_for(&client.at(&using.url())).await;
    for replica in [&learning, &last] {
        let back = retry(&client.at(&replica.url()), "tools/call", ASKED, &of_new).await;
        assert!(back.is_ok(), "{back:?}");
    }
    let outdated = retry(&client.at(&last.url()), "tools/call", ASKED, &of_old).await.unwrap_err();
    let unknown = retry(&client, "tools/call", ASKED, &of_new).await.unwrap_err();
    let forged = retry(&client, "tools/call", ASKED, "nothing").await.unwrap_err();
    assert_eq!((&outdated, &unknown), (&forged, &forged));
    for process in [&first, &learning, &using, &last] {
        assert!(!process.log().contains(&of_old[..20]), "{}", process.log());
    }
}

/// Without a store, keys are a process's own.
#[tokio::test]
async fn a_state_of_another_deployment_is_good_for_nothing() {
    let peer = peer().await;
    let gateway = Gateway::before(&[("a", peer.url())]);
    let (one, other) = tokio::join!(serve(&gateway), serve(&gateway));
    let client = modern_client(&one);
    let state = state_for(&client).await;
    let refused = retry(&client.at(&other.url()), "tools/call", ASKED, &state).await.unwrap_err();
    assert_eq!(refused["code"], -32602);
    retry(&client, "tools/call", ASKED, &state).await.unwrap();
}
