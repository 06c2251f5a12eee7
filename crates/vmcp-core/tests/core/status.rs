//! `vmcp_status`, the tool of vmcp's own.

use std::time::Duration;

use serde_json::{Value, json};
use vmcp_catalog::{OwnTool, Rules};
use vmcp_core::status_tool;
use vmcp_model::{Era, Kind as Of, Method};
use vmcp_testkit::raw::{self, Answer, Kind, RawServer};
use vmcp_wire::Fault;

use crate::{
    client::{Client, text_of},
    world::{BOTH, Legacy, Setup, World, client_view, free, idle, tool},
};

fn server() -> Legacy {
    RawServer::builder()
        .tool(&tool("t"), Answer::text(""))
        .tool(&tool("u"), Answer::text(""))
        .prompt(r#"{"name":"p"}"#, r#"{"messages":[]}"#)
        .resource(r#"{"uri":"x:r","name":"r"}"#, r#"{"contents":[]}"#)
        .offer(Kind::Templates, r#"{"uriTemplate":"x:{id}","name":"t"}"#, raw::fixed("{}"))
        .start_in_memory()
}

fn setup() -> Setup {
    Setup { rules: Rules { own: vec![status_tool()], ..Rules::default() }, ..Setup::new() }
}

async fn status_of(client: &Client) -> Value {
    client.answer("vmcp_status").await["result"]["structuredContent"].clone()
}

/// How the tool was used: calls, errors, and calls that were left.
fn uses(world: &World) -> (u64, u64, u64) {
    let of = world.vmcp.own_uses(OwnTool::Status).of(Method::ToolsCall);
    (of.calls, of.errors, of.abandoned)
}

#[tokio::test(start_paused = true)]
async fn it_tells_what_each_backend_has_for_the_caller() {
    let server = server();
    for era in BOTH {
        let (_world, client) = setup().with("a", &server).settled(era).await;
        let answer = client.answer("vmcp_status").await;
        let status = &answer["result"]["structuredContent"];
        let expected = json!({
            "servers": [{
                "name": "a", "state": "healthy", "sinceSeconds": 0,
                "tools": 2, "resources": 1, "resourceTemplates": 1, "prompts": 1,
            }],
            "missing": [],
        });
        assert_eq!((status, &answer["id"]), (&expected, &7.into()), "{era:?}");
        assert_eq!(text_of(&answer), "a: healthy, 2 tools, 1 resources, 1 prompts");
        let is_modern = answer["result"]["resultType"] == "complete";
        assert_eq!(is_modern, era == Era::Modern);
    }
}

#[tokio::test(start_paused = true)]
async fn it_counts_only_what_the_caller_may_use() {
    let server = server();
    for era in BOTH {
        let (_world, client) = setup().with("a", &server).settled(era).await;
        let allowed = ["a_t", "vmcp_status"];
        let catalog = client.catalog().restricted(free(|item| allowed.contains(&item.key)));
        let few = Client { catalog: Some(catalog), ..client };
        let of_a = status_of(&few).await["servers"][0].clone();
        let counts = ["tools", "resources", "resourceTemplates", "prompts"];
        assert_eq!(counts.map(|kind| of_a[kind].clone()), [1, 0, 0, 0].map(Value::from), "{era:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_names_what_is_missing_and_why() {
    let server = server();
    let dead = RawServer::builder().start_in_memory();
    let world = setup().with("a", &server).with("dead", &dead).begin();
    drop(dead);
    for era in BOTH {
        let view = world.vmcp.view(&client_view(era, "{}")).unwrap();
        view.settle(Duration::from_secs(1)).await;
        let client = Client::new(&world.vmcp, view);
        let answer = client.answer("vmcp_status").await;
        let status = &answer["result"]["structuredContent"];
        assert_eq!(status["missing"], json!(["dead"]), "{era:?}");
        let of_dead = &status["servers"][1];
        assert_eq!((&of_dead["name"], &of_dead["tools"]), (&json!("dead"), &json!(0)));
        assert!(of_dead["problem"].as_str().unwrap().contains("refused"), "{of_dead}");
        assert!(text_of(&answer).ends_with("missing from the lists: dead"), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_tells_that_a_backend_does_not_answer_any_more() {
    let server = server();
    let (world, client) = setup().with("a", &server).settled(Era::Legacy).await;
    drop(server);
    idle().await;
    let mut of_a = Value::Null;
    for _attempt in 0..20 {
        client.call("a_t").await.fault();
        tokio::time::sleep(Duration::from_secs(10)).await;
        of_a = status_of(&client).await["servers"][0].clone();
        if of_a["state"] != "healthy" && of_a["problem"].is_string() {
            break;
        }
    }
    assert!(of_a["problem"].is_string(), "{of_a}");
    assert_eq!(of_a["tools"], 2, "what it has offered last is still listed");
    assert_eq!(world.under_way(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_takes_no_arguments_and_does_not_run_as_a_task() {
    let server = server();
    for era in BOTH {
        let (world, client) = setup().with("a", &server).settled(era).await;
        for arguments in ["{}", "null"] {
            client.send(&client.tool_call("vmcp_status", arguments)).await.json();
        }
        client.send(&client.request("tools/call", r#""name":"vmcp_status""#)).await.json();
        for params in [
            r#""name":"vmcp_status","arguments":{"x":1}"#,
            r#""name":"vmcp_status","arguments":[]"#,
            r#""name":"vmcp_status","task":{}"#,
        ] {
            let fault = client.send(&client.request("tools/call", params)).await.fault();
            assert!(matches!(fault, Fault::InvalidParams(_)), "{era:?} {params}: {fault}");
        }
        assert_eq!(uses(&world), (6, 3, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn its_calls_are_recorded_as_its_own() {
    let server = server();
    let world = setup().with("a", &server).begin();
    for era in BOTH {
        status_of(&world.client(era).await).await;
    }
    assert_eq!((uses(&world), world.tool_calls("a"), world.under_way()), ((2, 0, 0), (0, 0, 0), 0));
    assert_eq!(server.counters().requests("tools/call"), 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_refused_when_the_process_ends() {
    let server = server();
    let (world, client) = setup().with("a", &server).settled(Era::Legacy).await;
    world.vmcp.calls().close();
    let fault = client.call("vmcp_status").await.fault();
    assert!(matches!(fault, Fault::Unavailable(_)), "{fault}");
    assert_eq!(uses(&world), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn it_is_listed_last_and_only_where_it_is_switched_on() {
    let server = server();
    for era in BOTH {
        let (world, client) = setup().with("a", &server).settled(era).await;
        let catalog = client.catalog();
        let names: Vec<_> = catalog.keys(Of::Tool).collect();
        assert_eq!(names, ["a_t", "a_u", "vmcp_status"], "{era:?}");
        assert_eq!(world.vmcp.own_tools().len(), 1);
        let (_world, client) = Setup::new().with("a", &server).settled(era).await;
        let fault = client.call("vmcp_status").await.fault();
        assert_eq!(fault, Fault::InvalidParams("unknown tool: vmcp_status".into()));
    }
}
