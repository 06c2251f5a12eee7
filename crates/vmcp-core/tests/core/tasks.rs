//! Tasks: their ids name their backends, and lead nowhere for who is not shown these.

use vmcp_model::Era;
use vmcp_testkit::{
    modern::{self, ModernServer},
    raw::{self, Answer, Kind, RawServer},
};
use vmcp_wire::Fault;

use crate::{
    client::Client,
    world::{BOTH, Legacy, Modern, Setup, World, plain_legacy, tool},
};

const DECLARED: &str =
    r#"{"extensions":{"io.modelcontextprotocol/tasks":{}},"tasks":{"list":{},"cancel":{}}}"#;

/// A server that has tasks, and says of which it was asked.
fn server() -> Legacy {
    let about = raw::handler(|call: raw::Call| async move {
        let id: String = call.param("taskId").unwrap();
        Answer::from(format!(r#"{{"taskId":"{id}","status":"working"}}"#))
    });
    let list = raw::handler(|call: raw::Call| async move {
        match call.param::<String>("cursor").as_deref() {
            None => Answer::from(r#"{"tasks":[{"taskId":"1"}],"nextCursor":"more"}"#),
            Some("more") => Answer::from(r#"{"tasks":[{"taskId":"2"}]}"#),
            Some(_) => Answer::error(-32602, "a cursor that was never given out"),
        }
    });
    RawServer::builder()
        .tool(&tool("t"), r#"{"task":{"taskId":"9","status":"working"}}"#)
        .capabilities(r#"{"tools":{},"tasks":{"list":{},"cancel":{}}}"#)
        .script("tasks/get", about.clone())
        .script("tasks/cancel", about.clone())
        .script("tasks/result", about)
        .script("tasks/list", list)
        .start_in_memory()
}

/// The same of the modern era.
fn modern_server() -> Modern {
    let about = modern::handler(|call: modern::Call| async move {
        let id: String = call.param("taskId").unwrap();
        modern::complete(&format!(r#""taskId":"{id}","status":"working""#))
    });
    ModernServer::builder()
        .offer(Kind::Tools, &tool("t"), modern::fixed(modern::text("")))
        .script("tasks/get", about.clone())
        .script("tasks/cancel", about.clone())
        .script("tasks/update", about)
        .start_in_memory()
}

async fn before_two(era: Era) -> (World, Client, (Legacy, Legacy)) {
    let (one, other) = (server(), server());
    let world = Setup::new().with("a", &one).with("b", &other).begin();
    let client = world.client_with(era, DECLARED).await;
    (world, client, (one, other))
}

fn unknown(id: &str) -> Result<String, Fault> {
    Err(Fault::InvalidParams(format!("unknown task: {id}").into()))
}

#[tokio::test(start_paused = true)]
async fn a_task_is_asked_for_at_its_backend_by_the_id_that_it_has_there() {
    let (_world, client, servers) = before_two(Era::Legacy).await;
    for method in ["tasks/get", "tasks/cancel", "tasks/result"] {
        for name in ["a", "b"] {
            let message = client.request(method, &format!(r#""taskId":"{name}:1""#));
            let answer = client.send(&message).await.json();
            assert_eq!(answer["result"]["taskId"], format!("{name}:1"), "{method}");
        }
    }
    for server in [&servers.0, &servers.1] {
        let seen = server.seen();
        let asked = seen.iter().filter(|seen| seen.method.starts_with("tasks/"));
        let bodies: Vec<_> = asked.map(|seen| String::from_utf8_lossy(&seen.body)).collect();
        assert!(bodies.len() == 3 && bodies.iter().all(|body| body.contains(r#""taskId":"1""#)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_modern_clients_task_is_asked_for_the_same_way() {
    let (one, other) = (modern_server(), modern_server());
    let world = Setup::new().with("a", &one).with("b", &other).begin();
    let client = world.client_with(Era::Modern, DECLARED).await;
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let message = client.request(method, r#""taskId":"b:1""#);
        let answer = client.send(&message).await.json();
        assert_eq!(answer["result"]["taskId"], "b:1", "{method}");
        assert_eq!(other.last(method).unwrap().header("mcp-name"), Some("1"));
    }
    assert_eq!((one.refusals(), other.refusals()), (vec![], vec![]));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_a_tool_begins_is_told_by_its_public_id() {
    let (_world, client, _servers) = before_two(Era::Legacy).await;
    let message = client.request("tools/call", r#""name":"b_t","task":{}"#);
    let answer = client.send(&message).await.json();
    assert_eq!(answer["result"]["task"]["taskId"], "b:9");
}

#[tokio::test(start_paused = true)]
async fn tasks_of_backends_that_a_caller_is_not_shown_are_unknown() {
    let lacking = server();
    for era in BOTH {
        let (_world, client, _servers) = before_two(era).await;
        let of_one = Setup::new().with("a", &lacking).settled(era).await.1.catalog();
        let few = Client { catalog: Some(of_one), ..client.clone() };
        let asks =
            |client: &Client, id| client.leads_to("tasks/get", &format!(r#""taskId":"{id}""#));
        assert_eq!(asks(&client, "b:1"), Ok("b".to_owned()), "{era:?}");
        assert_eq!(asks(&few, "a:1"), Ok("a".to_owned()));
        for id in ["b:1", "c:1", "1", "", ":"] {
            assert_eq!(asks(&few, id), unknown(id), "{era:?}");
        }
        assert!(few.leads_to("tasks/get", "").is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_modern_client_must_have_declared_tasks() {
    let server = modern_server();
    let (_world, client) = Setup::new().with("a", &server).settled(Era::Modern).await;
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let fault = client.leads_to(method, r#""taskId":"a:1""#).unwrap_err();
        let Fault::MissingCapability { required } = &fault else { panic!("{fault}") };
        assert!(required.contains("io.modelcontextprotocol/tasks"), "{required}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_tasks_of_all_backends_are_one_list() {
    let (world, client, _servers) = before_two(Era::Legacy).await;
    let catalog = client.catalog();
    assert!(!world.vmcp.may_have_tasks(&client.caller(&catalog, None)), "no session is open");
    for name in ["a", "b"] {
        client.sessions.on(&world.backend(name)).await.unwrap();
    }
    assert!(world.vmcp.may_have_tasks(&client.caller(&catalog, None)));
    let (mut cursor, mut listed) = (String::new(), Vec::new());
    loop {
        let message = client.request("tasks/list", &cursor);
        let answer = client.send(&message).await.json();
        let tasks = answer["result"]["tasks"].as_array().unwrap();
        listed.extend(tasks.iter().map(|task| task["taskId"].as_str().unwrap().to_owned()));
        let Some(next) = answer["result"]["nextCursor"].as_str() else { break };
        cursor = format!(r#""cursor":"{next}""#);
    }
    assert_eq!(listed, ["a:1", "a:2", "b:1", "b:2"]);
    for wrong in ["c:", "more", "c:more"] {
        let fault = client.leads_to("tasks/list", &format!(r#""cursor":"{wrong}""#)).unwrap_err();
        assert!(matches!(fault, Fault::InvalidParams(_)), "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn backends_without_tasks_have_none_in_the_list() {
    let (one, other) = (plain_legacy(), server());
    let (world, client) = Setup::new().with("a", &one).with("b", &other).settled(Era::Legacy).await;
    for name in ["a", "b"] {
        client.sessions.on(&world.backend(name)).await.unwrap();
    }
    assert_eq!(client.leads_to("tasks/list", ""), Ok("b".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_about_a_task_names_it_as_the_backend_does() {
    let (_world, client, servers) = before_two(Era::Legacy).await;
    let params =
        r#""name":"a_t","_meta":{"io.modelcontextprotocol/related-task":{"taskId":"a:1"}}"#;
    client.send(&client.request("tools/call", params)).await.json();
    let seen = servers.0.seen().into_iter().rfind(|seen| seen.method == "tools/call").unwrap();
    let body = String::from_utf8(seen.body.to_vec()).unwrap();
    assert!(body.contains(r#""name":"t""#) && body.contains(r#"{"taskId":"1"}"#), "{body}");
}
