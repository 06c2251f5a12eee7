//! What a modern backend asks its client for, and the state that the client keeps for it meanwhile.

use std::sync::Arc;

use serde_json::Value;
use vmcp_core::Keys;
use vmcp_keys::KeyRing;
use vmcp_model::{Era, Identity, Principal};
use vmcp_testkit::{
    modern::{self, ModernServer},
    raw::Kind,
};
use vmcp_wire::Fault;

use crate::{
    client::{Client, text_of},
    world::{Modern, Setup, World, tool},
};

const NAME: &str =
    r#"{"name":{"method":"elicitation/create","params":{"mode":"form","message":"?"}}}"#;

const ANSWERED: &str = r#""inputResponses":{"name":{"action":"accept","content":{"name":"x"}}}"#;

/// A server whose tools `t` and `u` ask for a name, and tell the state that comes back with it.
fn asking() -> Modern {
    let asking = modern::handler(|call: modern::Call| async move {
        match call.request_state() {
            None => modern::asks(Some(NAME), Some("the state")),
            Some(state) => modern::text(state),
        }
    });
    ModernServer::builder()
        .offer(Kind::Tools, &tool("t"), asking.clone())
        .offer(Kind::Tools, &tool("u"), asking)
        .start_in_memory()
}

fn setup() -> Setup {
    let ring = KeyRing::of([[1; 32]]).map(Arc::new);
    Setup { keys: Keys::new(move || ring.clone()), ..Setup::new() }
}

async fn before(setup: Setup) -> (World, Client) {
    let world = setup.begin();
    let client = world.client_with(Era::Modern, r#"{"elicitation":{}}"#).await;
    (world, client)
}

/// What the client is given to keep.
async fn state_of(client: &Client, tool: &str) -> String {
    let answer = client.answer(tool).await;
    assert_eq!(answer["result"]["resultType"], "input_required");
    answer["result"]["requestState"].as_str().unwrap().to_owned()
}

async fn retried(client: &Client, params: &str, state: &str) -> Result<Value, Fault> {
    let params = format!(r#"{params},"requestState":"{state}",{ANSWERED}"#);
    client.send(&client.request("tools/call", &params)).await.answered()
}

const OF_T: &str = r#""name":"a_t","arguments":{}"#;

#[tokio::test(start_paused = true)]
async fn a_backend_gets_the_state_back_that_it_has_given() {
    let server = asking();
    let (_world, client) = before(setup().with("a", &server)).await;
    let state = state_of(&client, "a_t").await;
    assert!(!state.contains("state"), "nobody else reads it");
    let answer = retried(&client, OF_T, &state).await.unwrap();
    assert_eq!(text_of(&answer), "the state");
    assert_eq!(server.refusals(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_state_is_good_for_the_same_request_of_the_same_caller_only() {
    let (server, other) = (asking(), asking());
    let (_world, client) = before(setup().with("a", &server).with("b", &other)).await;
    let state = state_of(&client, "a_t").await;
    let principal = Principal::Subject { issuer: "https://idp".into(), subject: "eve".into() };
    let eve = Client { identity: Identity::unproved(principal), ..client.clone() };
    let asked = server.counters().requests("tools/call");
    for (who, params, state) in [
        (&eve, OF_T, &*state),
        (&client, r#""name":"a_u","arguments":{}"#, &*state),
        (&client, r#""name":"b_t","arguments":{}"#, &*state),
        (&client, r#""name":"a_t","arguments":{"x":1}"#, &*state),
        (&client, OF_T, "the state"),
        (&client, OF_T, ""),
        (&client, OF_T, &state[1..]),
    ] {
        let fault = retried(who, params, state).await.unwrap_err();
        let Fault::InvalidParams(why) = &fault else { panic!("{fault}") };
        assert!(why.contains("is not good for this request"), "{params}: {why}");
    }
    assert_eq!(server.counters().requests("tools/call"), asked, "no backend sees any of them");
    assert!(retried(&client, OF_T, &state).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_the_shared_keys_no_state_is_given() {
    let server = asking();
    let (world, client) = before(Setup::new().with("a", &server)).await;
    let fault = client.call("a_t").await.fault();
    assert_eq!(fault, Fault::Unavailable("the shared keys are not known yet".into()));
    assert_eq!(world.tool_calls("a"), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_client_is_asked_only_for_what_it_has_declared() {
    let server = asking();
    let (world, client) = setup().with("a", &server).settled(Era::Modern).await;
    let fault = client.call("a_t").await.fault();
    let required = r#"{"elicitation":{}}"#.to_owned();
    assert_eq!(fault, Fault::MissingCapability { required });
    // A legacy client is not asked in this way at all.
    let legacy = world.client_with(Era::Legacy, r#"{"elicitation":{}}"#).await;
    let fault = legacy.call("a_t").await.fault();
    assert!(matches!(fault, Fault::Backend { .. }), "{fault}");
    assert_eq!(world.tool_calls("a"), (2, 2, 0));
}
