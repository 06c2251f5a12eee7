//! The table of ways × checks. What comes later to use capabilities gets rows here.

use super::*;

/// One way to use something.
struct Way {
    method: &'static str,
    /// How a denial is called.
    word: &'static str,
    /// What the eras have it.
    eras: &'static [&'static str],
    /// Parameters that are allowed, and that are not.
    allowed: Vec<Value>,
    denied: Vec<Value>,
}

const BOTH: &[&str] = &["legacy", "modern"];
const LEGACY: &[&str] = &["legacy"];

/// Parameters with a name, and with the arguments that policies read.
fn named(name: &str, key: &str) -> Value {
    json!({"name": name, "arguments": {"key": key}})
}

fn uri(uri: &str) -> Value {
    json!({"uri": uri})
}

fn reference(reference: Value) -> Value {
    json!({"ref": reference, "argument": {"name": "key", "value": ""}})
}

/// The ways that there are whatever backends there are: `a_` is the prefix of the only one or the first.
fn ways() -> Vec<Way> {
    let prompt = |name: &str| reference(json!({"type": "ref/prompt", "name": name}));
    let template = |uri: &str| reference(json!({"type": "ref/resource", "uri": uri}));
    let subscribing = |method| Way {
        method,
        word: "read",
        eras: LEGACY,
        allowed: vec![uri("x:free"), uri("x:t/free")],
        denied: vec![uri("x:closed"), uri("x:t/closed"), uri("none:closed")],
    };
    vec![
        Way {
            method: "tools/call",
            word: "call",
            eras: BOTH,
            allowed: vec![
                named("a_free", "no"),
                json!({"name": "a_free"}),
                named("a_judged", "yes"),
            ],
            denied: vec![
                named("a_judged", "no"),
                json!({"name": "a_judged"}),
                named("a_closed", "yes"),
                named("a_nothing", "yes"),
                json!({"name": "nothing"}),
            ],
        },
        Way {
            method: "prompts/get",
            word: "prompt",
            eras: BOTH,
            allowed: vec![named("a_free", "no"), named("a_judged", "yes")],
            denied: vec![
                named("a_judged", "no"),
                json!({"name": "a_judged"}),
                named("a_closed", "yes"),
                named("a_nothing", "yes"),
            ],
        },
        Way {
            method: "resources/read",
            word: "read",
            eras: BOTH,
            allowed: vec![uri("x:free"), uri("x:t/free"), uri("x:t/free/%62")],
            denied: vec![uri("x:closed"), uri("x:t/closed"), uri("none:closed")],
        },
        Way {
            method: "completion/complete",
            word: "request",
            eras: BOTH,
            allowed: vec![prompt("a_free"), prompt("a_judged"), template("x:t/{name}")],
            denied: vec![prompt("a_closed"), prompt("a_nothing"), template("y:{name}")],
        },
        subscribing("resources/subscribe"),
        subscribing("resources/unsubscribe"),
        Way {
            method: "tasks/get",
            word: "request",
            eras: LEGACY,
            allowed: vec![],
            denied: vec![json!({"taskId": "none:1"}), json!({"taskId": "c:1"})],
        },
    ]
}

/// Goes each way, and looks at what comes, what has reached a backend and what is counted.
async fn go(process: &Process, backends: &[&Running], ways: &[Way]) {
    for (era, asker) in Asker::both(process).await {
        for way in ways.iter().filter(|way| way.eras.contains(&era)) {
            let method = way.method;
            let all_reached = || backends.iter().map(|backend| reached(backend, method)).sum();
            for params in &way.denied {
                let (before, counted): (usize, _) = (all_reached(), denied(process, method).await);
                let answer = asker.ask(method, params.clone()).await;
                assert!(answer.is_denied(way.word), "{era} {method} {params}: {answer:?}");
                assert_eq!(all_reached(), before, "{era} {method} {params} reached a backend");
                let now = denied(process, method).await;
                assert_eq!(now, counted + 1, "{era} {method} {params} is counted");
            }
            for params in &way.allowed {
                let (before, counted): (usize, _) = (all_reached(), denied(process, method).await);
                let answer = asker.ask(method, params.clone()).await;
                assert_eq!(answer.error(), None, "{era} {method} {params}: {answer:?}");
                assert_eq!(all_reached(), before + 1, "{era} {method} {params} reached none");
                assert_eq!(denied(process, method).await, counted, "{era} {method} {params}");
            }
        }
    }
}

#[tokio::test]
async fn every_way_is_judged_before_several_backends() {
    let (a, b) = (server().start().await.unwrap(), server().start().await.unwrap());
    let process = serve(&limited(&[("a", a.url()), ("b", b.url())], POLICIES)).await;
    go(&process, &[&a, &b], &ways()).await;
}

#[tokio::test]
async fn every_way_is_judged_before_a_sole_backend() {
    let only = server().start().await.unwrap();
    let process = serve(&limited(&[("a", only.url())], POLICIES)).await;
    let mut all = ways();
    all.push(Way {
        method: "resources/read",
        word: "read",
        eras: BOTH,
        allowed: vec![uri("unlisted:free")],
        denied: vec![uri("unlisted:closed")],
    });
    for (method, allowed, denied) in [
        ("odd/free", vec![json!({}), json!({"key": "no"})], vec![]),
        ("odd/judged", vec![json!({"key": "yes"})], vec![json!({}), json!({"key": "no"})]),
        ("odd/closed", vec![], vec![json!({}), json!({"key": "yes"})]),
    ] {
        all.push(Way { method, word: "request", eras: BOTH, allowed, denied });
    }
    // They are counted together.
    let (odd, known): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|way| way.method.starts_with("odd/"));
    go(&process, &[&only], &known).await;
    for (era, asker) in Asker::both(&process).await {
        for way in &odd {
            for params in &way.denied {
                let answer = asker.ask(way.method, params.clone()).await;
                assert!(answer.is_denied("request"), "{era} {} {params}: {answer:?}", way.method);
            }
            let before = reached(&only, way.method);
            for params in &way.allowed {
                let answer = asker.ask(way.method, params.clone()).await;
                assert_eq!(answer.error(), None, "{era} {} {params}: {answer:?}", way.method);
            }
            assert_eq!(reached(&only, way.method), before + way.allowed.len(), "{}", way.method);
        }
    }
}

#[tokio::test]
async fn a_uri_that_a_result_hands_out_is_judged() {
    let (a, b) = (server().start().await.unwrap(), server().start().await.unwrap());
    let process = serve(&limited(&[("a", a.url()), ("b", b.url())], POLICIES)).await;
    let [(_, legacy), _modern] = Asker::both(&process).await;
    assert_eq!(legacy.ask("tools/call", named("b_free", "")).await.error(), None);
    let before = reached(&b, "resources/read");
    let refused = legacy.ask("resources/read", uri("odd://closed")).await;
    assert!(refused.is_denied("read"), "{refused:?}");
    assert_eq!(legacy.ask("resources/read", uri("odd://free")).await.error(), None);
    assert_eq!(reached(&b, "resources/read"), before + 1);
    assert_eq!(reached(&a, "resources/read"), 0);
}

#[tokio::test]
async fn tasks_are_those_of_backends_of_which_the_caller_may_call_a_tool() {
    let (a, b) = (
        vmcp_testkit::peers::tasks().start().await.unwrap(),
        vmcp_testkit::peers::tasks().start().await.unwrap(),
    );
    let policies = r#"
      permit(principal, action, resource in Backend::"a");"#;
    let process = serve(&limited(&[("a", a.url()), ("b", b.url())], policies)).await;
    let [(_, legacy), _modern] = Asker::both(&process).await;
    let params = json!({"name": "a_work", "arguments": {"delay_ms": 60_000}, "task": {}});
    let begun = legacy.ask("tools/call", params.clone()).await;
    let task = &begun.body["result"]["task"]["taskId"];
    assert!(task.as_str().is_some_and(|id| id.starts_with("a:")), "{begun:?}");
    assert_eq!(legacy.ask("tasks/get", json!({"taskId": task})).await.error(), None);
    let id = task.as_str().unwrap().replacen("a:", "b:", 1);
    for method in ["tasks/get", "tasks/cancel", "tasks/result"] {
        let answer = legacy.ask(method, json!({"taskId": id})).await;
        assert!(answer.is_denied("request"), "{method}: {answer:?}");
        assert_eq!(reached(&b, method), 0, "{method}");
    }
    let mut of_b = params;
    of_b["name"] = "b_work".into();
    assert!(legacy.ask("tools/call", of_b).await.is_denied("call"));
    let listed = legacy.ask("tasks/list", json!({})).await;
    assert_eq!(listed.body["result"]["tasks"].as_array().map(Vec::len), Some(1), "{listed:?}");
    assert_eq!(reached(&b, "tasks/list"), 0);
}

#[tokio::test]
async fn each_request_of_a_batch_is_judged() {
    let backend = server().start().await.unwrap();
    let process = serve(&limited(&[("a", backend.url())], POLICIES)).await;
    let mut client = Client::new(&process.url());
    client.initialize_as("2025-03-26", "{}").await.unwrap();
    let calls = [("a_free", ""), ("a_judged", "yes"), ("a_judged", "no"), ("a_closed", "yes")];
    let calls = calls.iter().enumerate().map(|(id, (name, key))| {
        json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": named(name, key)})
    });
    let body = Value::Array(calls.collect()).to_string();
    let mut response = client.post(body).await.unwrap();
    assert_eq!(response.status(), 200);
    let mut codes = [Some(0); 4];
    while let Some(event) = response.event().await.unwrap() {
        let Ok(answer) = serde_json::from_slice::<Value>(&event.data) else { continue };
        let id = usize::try_from(answer["id"].as_u64().unwrap()).unwrap();
        codes[id] = answer["error"]["code"].as_i64();
    }
    assert_eq!(codes, [None, None, Some(403), Some(403)]);
    assert_eq!(reached(&backend, "tools/call"), 2);
    assert_eq!(denied(&process, "tools/call").await, 2);
}

#[tokio::test]
async fn a_modern_client_listens_to_what_it_may_read() {
    let backend = vmcp_testkit::peers::stateful().start().await.unwrap();
    let process = serve(&limited(&[("a", backend.url())], POLICIES)).await;
    let client = ModernClient::new(&process.url());
    let listening = client.listen(json!({"resourceSubscriptions": ["x:closed"]})).await.unwrap();
    assert_eq!(listening.granted()["resourceSubscriptions"], Value::Null);
    assert_eq!(denied(&process, "subscriptions/listen").await, 1);
}

/// What lists show is what could be allowed with some arguments.
#[tokio::test]
async fn lists_show_what_could_be_used() {
    let backend = server().start().await.unwrap();
    let process = serve(&limited(&[("a", backend.url())], POLICIES)).await;
    for (era, asker) in Asker::both(&process).await {
        for (method, member, key, expected) in [
            ("tools/list", "tools", "name", vec!["a_free", "a_judged"]),
            ("prompts/list", "prompts", "name", vec!["a_free", "a_judged"]),
            ("resources/list", "resources", "uri", vec!["x:free"]),
            ("resources/templates/list", "resourceTemplates", "uriTemplate", vec!["x:t/{name}"]),
        ] {
            let answer = asker.ask(method, json!({})).await;
            let result = &answer.body["result"];
            let listed = result[member].as_array().unwrap();
            let names: Vec<_> = listed.iter().map(|item| item[key].as_str().unwrap()).collect();
            assert_eq!(names, expected, "{era} {method}");
            if era == "modern" {
                assert_eq!(result["cacheScope"], "private", "{method}");
            }
        }
    }
}

/// Nobody learns by asking what there is that is not for them.
#[tokio::test]
async fn what_is_denied_and_what_is_not_there_are_answered_alike() {
    let (a, b) = (server().start().await.unwrap(), server().start().await.unwrap());
    let policies = r#"
      permit(principal, action, resource);
      forbid(principal, action, resource in Backend::"b");"#;
    let process = serve(&limited(&[("a", a.url()), ("b", b.url())], policies)).await;
    for (era, asker) in Asker::both(&process).await {
        for (method, there, not_there) in [
            ("tools/call", json!({"name": "b_free"}), json!({"name": "b_none"})),
            ("prompts/get", json!({"name": "b_free"}), json!({"name": "b_none"})),
        ] {
            let (denied, none) =
                (asker.ask(method, there).await, asker.ask(method, not_there).await);
            let said = |answer: &Answer| (answer.status, answer.body["error"].clone());
            assert_eq!(said(&denied), said(&none), "{era} {method}");
        }
    }
    // Who may use everything is told what there is not.
    let everything = "\n      permit(principal, action, resource);";
    let process = serve(&limited(&[("a", a.url()), ("b", b.url())], everything)).await;
    for (era, asker) in Asker::both(&process).await {
        let answer = asker.ask("tools/call", json!({"name": "b_none"})).await;
        assert_eq!(answer.error(), Some(-32602), "{era}");
    }
}

/// A resource is the same however its URI is written.
#[tokio::test]
async fn another_spelling_leads_to_nothing_that_is_denied() {
    let backend = RawServer::builder()
        .form(Form::Json)
        .offer(Kind::Templates, r#"{"uriTemplate":"file:///{+path}","name":"t"}"#, read())
        .resource(r#"{"uri":"file:///Listed%2FSecret","name":"x"}"#, "{}")
        .script("resources/read", read())
        .start()
        .await
        .unwrap();
    let policies = r#"
      permit(principal, action, resource);
      forbid(principal, action, resource) when { resource.name like "file:///etc/*" };
      forbid(principal, action, resource == Resource::"file:///Listed%2FSecret");"#;
    let process = serve(&limited(&[("a", backend.url())], policies)).await;
    for (era, asker) in Asker::both(&process).await {
        for secret in [
            "file:///etc/passwd",
            "file:///%65tc/passwd",
            "file:///public/../etc/passwd",
            "file:///public/%2e%2e/etc/passwd",
            "FILE:///etc/passwd",
            "file:///Listed%2FSecret",
            "file:///Listed%2fSecret",
            "file:///%4cisted%2FSecret",
        ] {
            let answer = asker.ask("resources/read", uri(secret)).await;
            assert!(answer.is_denied("read"), "{era} {secret}: {answer:?}");
        }
        let answer = asker.ask("resources/read", uri("file:///public/etc/passwd")).await;
        assert_eq!(answer.error(), None, "{era}");
    }
}

/// Some clients of older revisions take the status for the end of their session.
#[tokio::test]
async fn a_denial_may_be_an_answer_like_any_other() {
    let backend = server().start().await.unwrap();
    let incoming = by_policies(POLICIES).replace("type: cedar", "type: cedar, deniedStatus: 200");
    let process = serve(&Gateway::before(&[("a", backend.url())]).incoming(&incoming)).await;
    let [(_, legacy), (_, modern)] = Asker::both(&process).await;
    let denied = legacy.ask("tools/call", json!({"name": "a_closed"})).await;
    assert_eq!((denied.status, denied.error()), (StatusCode::OK, Some(403)));
    let denied = modern.ask("tools/call", json!({"name": "a_closed"})).await;
    assert_eq!((denied.status, denied.error()), (StatusCode::FORBIDDEN, Some(403)));
}

/// Operators learn of a policy that locks everybody out.
#[tokio::test]
async fn a_policy_that_cannot_be_evaluated_is_told_and_counted() {
    let backend = server().start().await.unwrap();
    let policies = r#"
      permit(principal, action, resource);
      @id("odd") permit(principal, action, resource) when { context.arg_key like "*" };"#;
    let process = serve(&limited(&[("a", backend.url())], policies)).await;
    let [(_, legacy), _modern] = Asker::both(&process).await;
    for _ in 0..2 {
        let answer = legacy.ask("tools/call", json!({"name": "a_free"})).await;
        assert!(answer.is_denied("call"), "{answer:?}");
    }
    let log = process.logged("a policy could not be evaluated").await;
    assert!(log.contains("odd: ") && log.matches("could not be evaluated").count() == 1, "{log}");
    let (_, body) = fetch(&process.url_of("/status")).await.unwrap();
    let status: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(status["authorization"]["failures"], json!({"odd": 2}));
}
