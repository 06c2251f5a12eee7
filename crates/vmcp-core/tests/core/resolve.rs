//! What requests lead to: names, methods, completion; what is denied, and how far a caller reaches.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use vmcp_catalog::{Catalog, Naming, Override, Reach, Rules, ToolRules};
use vmcp_core::Resolved;
use vmcp_model::{Era, Kind as Of};
use vmcp_testkit::raw::{self, Answer, Kind, RawServer};
use vmcp_wire::Fault;

use crate::{
    client::{Client, message, text_of},
    world::{BOTH, Legacy, Setup, client_view, free, id, plain_legacy, plain_modern, tool},
};

/// A server of everything, which says by what name it was asked.
fn server() -> Legacy {
    let named = |member: &'static str, answer: fn(String) -> Answer| {
        raw::handler(
            move |call: raw::Call| async move { answer(call.param::<String>(member).unwrap()) },
        )
    };
    let text = named("name", Answer::text);
    let prompt = named("name", |name| Answer::from(format!(r#"{{"messages":[],"x":"{name}"}}"#)));
    let read = named("uri", |uri| Answer::from(format!(r#"{{"contents":[],"x":"{uri}"}}"#)));
    RawServer::builder()
        .offer(Kind::Tools, &tool("t"), text.clone())
        .offer(Kind::Tools, &tool("u"), text)
        .offer(Kind::Prompts, r#"{"name":"p"}"#, prompt)
        .offer(Kind::Resources, r#"{"uri":"x:r","name":"r"}"#, read.clone())
        .offer(Kind::Templates, r#"{"uriTemplate":"x:t/{id}","name":"t"}"#, read)
        .start_in_memory()
}

fn unknown(what: &str) -> Fault {
    Fault::InvalidParams(format!("unknown {what}").into())
}

/// Rules that give the backend `a` these.
fn rules_of_a(of_a: ToolRules) -> Rules {
    Rules { tools: BTreeMap::from([(id("a"), of_a)]), ..Rules::default() }
}

#[tokio::test(start_paused = true)]
async fn a_backend_is_asked_by_the_name_that_it_knows() {
    let server = server();
    let named = Override { name: Some("other name".to_owned()), ..Override::default() };
    let overrides = BTreeMap::from([("u".to_owned(), named)]);
    let rules = rules_of_a(ToolRules { overrides, ..ToolRules::default() });
    for era in BOTH {
        let setup = Setup { rules: rules.clone(), ..Setup::new() }.with("a", &server);
        let (_world, client) = setup.settled(era).await;
        assert_eq!(text_of(&client.answer("a_t").await), "t", "{era:?}");
        assert_eq!(text_of(&client.answer("a_other name").await), "u");
        assert_eq!(client.call("a_u").await.fault(), unknown("tool: a_u"));
        let prompt = client.send(&client.request("prompts/get", r#""name":"a_p""#)).await.json();
        assert_eq!(prompt["result"]["x"], "p");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_but_the_name_of_a_request_changes() {
    let server = server();
    let (_world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let text = r#"{ "params":{"arguments" : {"name":"a_t"},"name":"\u0061_t" ,"x":1e2},"id":7 ,"method":"tools/call","jsonrpc":"2.0"}"#;
    client.send(&message(text)).await.json();
    let seen = server.seen().into_iter().rfind(|seen| seen.method == "tools/call").unwrap();
    assert_eq!(seen.body, text.replace(r#""\u0061_t""#, r#""t""#));
}

#[tokio::test(start_paused = true)]
async fn the_same_name_leads_to_each_backend_that_has_it() {
    let (one, other) = (server(), plain_modern());
    let world = Setup::new().with("one", &one).with("other", &other).begin();
    for era in BOTH {
        let client = world.client(era).await;
        for backend in ["one", "other"] {
            let params = format!(r#""name":"{backend}_t""#);
            assert_eq!(client.leads_to("tools/call", &params), Ok(backend.to_owned()));
        }
        assert_eq!(client.leads_to("tools/call", r#""name":"t""#), Err(unknown("tool: t")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_contested_name_leads_to_whoever_comes_first() {
    let (one, other) = (server(), server());
    let naming = Naming::Priority { order: vec![id("b"), id("a")], format: "{workload}_".into() };
    let rules = Rules { naming, ..Rules::default() };
    let setup = Setup { rules, ..Setup::new() }.with("a", &one).with("b", &other);
    let (_world, client) = setup.settled(Era::Legacy).await;
    assert_eq!(client.leads_to("tools/call", r#""name":"t""#), Ok("b".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_does_not_say_what_it_is_about_leads_nowhere() {
    let server = server();
    for era in BOTH {
        let (_world, client) = Setup::new().with("a", &server).settled(era).await;
        for (method, params, member) in [
            ("tools/call", "", "name"),
            ("tools/call", r#""name":7"#, "name"),
            ("prompts/get", r#""name":null"#, "name"),
            ("resources/read", r#""uri":["x:r"]"#, "uri"),
        ] {
            let why = format!("the parameter {member:?} is missing or not a string");
            let expected = Err(Fault::InvalidParams(why.into()));
            assert_eq!(client.leads_to(method, params), expected, "{method} {params}");
        }
        let unnamed = client.leads_to("completion/complete", r#""argument":{}"#);
        assert_eq!(unnamed, Err(Fault::InvalidParams("the parameter \"ref\" is missing".into())));
    }
}

#[tokio::test(start_paused = true)]
async fn completion_goes_to_the_backend_of_what_it_is_for() {
    let (one, other) = (server(), plain_legacy());
    let world = Setup::new().with("a", &one).with("b", &other).begin();
    for era in BOTH {
        let client = world.client(era).await;
        let complete = |reference: &str| {
            let argument = r#""argument":{"name":"x","value":"pa"}"#;
            client.leads_to("completion/complete", &format!(r#""ref":{reference},{argument}"#))
        };
        for reference in [
            r#"{"type":"ref/prompt","name":"a_p"}"#,
            r#"{"type":"ref/resource","uri":"x:r"}"#,
            r#"{"type":"ref/resource","uri":"x:t/{id}"}"#,
            r#"{"type":"ref/resource","uri":"x:t/1"}"#,
        ] {
            assert_eq!(complete(reference), Ok("a".to_owned()), "{era:?} {reference}");
        }
        let gone = complete(r#"{"type":"ref/prompt","name":"b_p"}"#);
        assert_eq!(gone, Err(unknown("prompt: b_p")));
        let gone = complete(r#"{"type":"ref/resource","uri":"y:r"}"#);
        assert_eq!(gone, Err(Fault::ResourceNotFound { uri: "y:r".to_owned() }));
        assert!(complete(r#"{"type":"ref/tool","name":"a_t"}"#).is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_completion_names_the_prompt_as_its_backend_does() {
    let server = server();
    let (_world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let params =
        r#""ref":{"type":"ref/prompt","name":"a_p"},"argument":{"name":"x","value":"a_p"}"#;
    let answer = client.send(&client.request("completion/complete", params)).await.json();
    assert_eq!(answer["result"]["completion"]["values"][0], "paris");
    let seen = server.seen().into_iter().rfind(|seen| seen.method.starts_with("completion"));
    let body = String::from_utf8(seen.unwrap().body.to_vec()).unwrap();
    assert!(body.contains(r#""name":"p"},"argument":{"name":"x","value":"a_p"}"#), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_foreign_method_goes_to_the_sole_backend_and_to_none_of_many() {
    for era in BOTH {
        let (one, other) = (server(), plain_legacy());
        let (_world, client) = Setup::new().with("a", &one).settled(era).await;
        assert_eq!(client.leads_to("foreign/method", ""), Ok("a".to_owned()), "{era:?}");
        let setup = Setup::new().with("a", &one).with("b", &other);
        let (_world, client) = setup.settled(era).await;
        let expected = Err(Fault::MethodNotFound("foreign/method".to_owned()));
        assert_eq!(client.leads_to("foreign/method", ""), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_only_backend_is_not_the_sole_one_while_another_is_not_known() {
    let (one, other) = (server(), plain_legacy());
    other.script("initialize", raw::fixed(Answer::Hang));
    let world = Setup::new().with("a", &one).with("b", &other).begin();
    let view = world.vmcp.view(&client_view(Era::Legacy, "{}")).unwrap();
    view.settle(Duration::from_secs(1)).await;
    let client = Client::new(&world.vmcp, view);
    assert_eq!(client.leads_to("tools/call", r#""name":"a_t""#), Ok("a".to_owned()));
    assert!(client.leads_to("foreign/method", "").is_err());
    assert!(client.leads_to("resources/read", r#""uri":"y:unlisted""#).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_modern_client_has_none_of_the_methods_that_its_revision_has_not() {
    let server = server();
    let world = Setup::new().with("a", &server).begin();
    let clients = [world.client(Era::Legacy).await, world.client(Era::Modern).await];
    for (method, params) in [
        ("initialize", ""),
        ("ping", ""),
        ("logging/setLevel", r#""level":"info""#),
        ("resources/subscribe", r#""uri":"x:r""#),
        ("resources/unsubscribe", r#""uri":"x:r""#),
        ("tasks/list", ""),
        ("tasks/result", r#""taskId":"a:1""#),
    ] {
        let [legacy, modern] = clients.each_ref().map(|client| client.leads_to(method, params));
        let expected = format!("{method} (the revision 2026-07-28 has none)");
        assert_eq!(modern, Err(Fault::MethodNotFound(expected)));
        assert!(!matches!(legacy, Err(Fault::MethodNotFound(_))), "{method}: {legacy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_legacy_client_is_offered_of_a_modern_backend_is_what_it_is_carried() {
    let server = plain_modern();
    let (world, client) = Setup::new().with("a", &server).settled(Era::Legacy).await;
    let foreign = client.send(&client.request("foreign/method", "")).await.fault();
    assert!(matches!(foreign, Fault::MethodNotFound(_)), "{foreign}");
    let task = client.request("tools/call", r#""name":"a_t","task":{}"#);
    let fault = client.send(&task).await.fault();
    assert!(matches!(&fault, Fault::InvalidParams(why) if why.contains("task")), "{fault}");
    assert_eq!(server.counters().requests("tools/call"), 0);
    assert_eq!(world.tool_calls("a"), (1, 1, 0));
}

/// A client that is denied what its kind and key are not among these.
fn restricted(client: &Client, allowed: &'static [(Of, &str)]) -> Client {
    let catalog: Arc<Catalog> =
        client.catalog().restricted(free(move |item| allowed.contains(&(item.kind, item.key))));
    Client { catalog: Some(catalog), ..client.clone() }
}

#[tokio::test(start_paused = true)]
async fn what_a_caller_is_denied_is_unknown_to_it_in_every_way() {
    let (one, other) = (server(), server());
    for era in BOTH {
        let world = Setup::new().with("a", &one).with("b", &other).begin();
        let client = world.client(era).await;
        let allowed = &[(Of::Tool, "a_t")];
        let denied = restricted(&client, allowed);
        assert_eq!(denied.leads_to("tools/call", r#""name":"a_t""#), Ok("a".to_owned()));
        for (method, params) in [
            ("tools/call", r#""name":"a_u""#),
            ("prompts/get", r#""name":"a_p""#),
            ("resources/read", r#""uri":"x:r""#),
            ("resources/read", r#""uri":"x:t/1""#),
            // In another spelling, too.
            ("resources/read", r#""uri":"X:r""#),
            ("completion/complete", r#""ref":{"type":"ref/prompt","name":"a_p"}"#),
            ("completion/complete", r#""ref":{"type":"ref/resource","uri":"x:r"}"#),
        ] {
            assert!(client.leads_to(method, params).is_ok(), "{era:?} {method} {params}");
            let fault = denied.leads_to(method, params).unwrap_err();
            let unheard = params.replace("a_", "c_").replace("x:", "y:").replace("X:", "Y:");
            let expected = denied.leads_to(method, &unheard).unwrap_err().to_string();
            let said =
                fault.to_string().replace("a_", "c_").replace("x:", "y:").replace("X:", "Y:");
            assert_eq!(said, expected, "it is told as of what there is not");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_reaches_farther_finds_what_stands_in_no_list() {
    let server = server();
    let hides = ToolRules { exclude: vec!["u".to_owned()], ..ToolRules::default() };
    let rules = Rules { keep_hidden: true, ..rules_of_a(hides) };
    for era in BOTH {
        let setup = Setup { rules: rules.clone(), ..Setup::new() }.with("a", &server);
        let (_world, client) = setup.settled(era).await;
        let catalog = client.catalog().listing(|item| item.key != "a_t");
        let reaches = |reach, name: &str| {
            let client = Client { catalog: Some(Arc::clone(&catalog)), reach, ..client.clone() };
            client.leads_to("tools/call", &format!(r#""name":"{name}""#)).is_ok()
        };
        for (reach, finds_t, finds_u) in [
            (Reach::Listed, false, false),
            (Reach::Callable, true, false),
            (Reach::Hidden, true, true),
        ] {
            assert_eq!((reaches(reach, "a_t"), reaches(reach, "a_u")), (finds_t, finds_u));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_may_go_elsewhere_while_a_contested_name_is_not_certain() {
    let (one, other) = (server(), plain_legacy());
    other.script("initialize", raw::fixed(Answer::Hang));
    let naming = Naming::Priority { order: vec![id("b"), id("a")], format: "{workload}_".into() };
    for (naming, name, certain) in [(naming, "t", false), (Naming::default(), "a_t", true)] {
        let rules = Rules { naming, ..Rules::default() };
        let world = Setup { rules, ..Setup::new() }.with("a", &one).with("b", &other).begin();
        let view = world.vmcp.view(&client_view(Era::Legacy, "{}")).unwrap();
        view.settle(Duration::from_secs(1)).await;
        let client = Client::new(&world.vmcp, view);
        client.resolved(&client.tool_call(name, "{}"), |resolved| {
            let resolved: Resolved<'_> = resolved.unwrap();
            assert_eq!(world.vmcp.is_certain(&client.view, &resolved), certain, "{name}");
        });
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_request_of_a_client_leads_nowhere() {
    let (one, other) = (server(), plain_modern());
    let world = Setup::new().with("a", &one).with("b", &other).begin();
    for era in BOTH {
        let client = world.client(era).await;
        for method in ["sampling/createMessage", "notifications/progress", "tools/list"] {
            let expected = Err(Fault::MethodNotFound(method.to_owned()));
            assert_eq!(client.leads_to(method, ""), expected, "{era:?}");
        }
        let response = message(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#);
        client.resolved(&response, |resolved| {
            assert!(matches!(resolved, Err(Fault::InvalidRequest(_))), "{resolved:?}");
        });
    }
}
