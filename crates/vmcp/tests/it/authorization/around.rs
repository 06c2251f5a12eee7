//! Ways around policies that somebody has tried.

use super::*;

async fn nobody(policies: &str) -> (Running, Process) {
    let backend = server()
        .resource(r#"{"uri":"file:///handbook/intro","name":"i"}"#, r#"{"contents":[]}"#)
        .offer(Kind::Templates, r#"{"uriTemplate":"file:///handbook/{+path}","name":"h"}"#, read())
        .offer(Kind::Templates, r#"{"uriTemplate":"db://{+any}","name":"any"}"#, read())
        .offer(Kind::Templates, r#"{"uriTemplate":"db://secret/{id}","name":"secret"}"#, read())
        .instructions("the secret is in db://secret/1")
        .start()
        .await
        .unwrap();
    let process = serve(&limited(&[("a", backend.url())], policies)).await;
    (backend, process)
}

fn uri(uri: &str) -> Value {
    json!({"uri": uri})
}

/// What is no request is not judged as one, and reaches no backend by that.
#[tokio::test]
async fn notifications_carry_nothing_past_policies() {
    let (backend, process) = nobody(
        r#"
      permit(principal, action, resource == Tool::"a_free");
      permit(principal, action, resource == Method::"notifications/odd");"#,
    )
    .await;
    let client = Client::connect(&process.url()).await.unwrap();
    client.call("1", "a_free", "{}").await.unwrap().result().unwrap();
    for (method, params) in [
        ("tools/call", r#"{"name":"a_closed"}"#),
        ("resources/read", r#"{"uri":"x:closed"}"#),
        ("tasks/update", r#"{"taskId":"1"}"#),
        ("odd/closed", "{}"),
        ("notifications/other", "{}"),
    ] {
        client.notify(method, params).await.unwrap();
    }
    client.notify("notifications/odd", "{}").await.unwrap();
    vmcp_testkit::gateway::eventually("what is allowed comes", async || {
        (reached(&backend, "notifications/odd") == 1).then_some(())
    })
    .await;
    let methods = ["resources/read", "tasks/update", "odd/closed", "notifications/other"];
    assert_eq!(methods.map(|method| reached(&backend, method)), [0; 4]);
    assert_eq!(reached(&backend, "tools/call"), 1);
    // As requests they are judged as any other.
    let [(_, legacy), _modern] = Asker::both(&process).await;
    for method in ["tasks/update", "odd/closed"] {
        let answer = legacy.ask(method, json!({"taskId": "1"})).await;
        assert!(answer.is_denied("request"), "{method}: {answer:?}");
        assert_eq!(reached(&backend, method), 0, "{method}");
    }
}

/// A template that is forbidden forbids what it stands for, whatever other template leads there.
#[tokio::test]
async fn what_a_forbidden_template_stands_for_is_forbidden() {
    let (backend, process) = nobody(
        r#"
      permit(principal, action, resource);
      forbid(principal, action, resource == Resource::"db://secret/{id}");"#,
    )
    .await;
    for (era, asker) in Asker::both(&process).await {
        let answer = asker.ask("resources/read", uri("db://secret/1")).await;
        assert!(answer.is_denied("read"), "{era}: {answer:?}");
        let answer = asker.ask("resources/read", uri("db://public/1")).await;
        assert_eq!(answer.error(), None, "{era}: {answer:?}");
    }
    assert_eq!(reached(&backend, "resources/read"), 2);
}

/// A template's own permit holds for what it expands to, not for where that leads elsewhere.
#[tokio::test]
async fn a_permitted_template_leads_to_nothing_else() {
    let (backend, process) = nobody(
        r#"
      permit(principal, action, resource == Resource::"file:///handbook/{+path}");
      forbid(principal, action, resource) when { resource.uri like "*/../*" };"#,
    )
    .await;
    let long = format!("file:///handbook/x/%2e%2e/%2e%2e/etc/passwd?{}", "a".repeat(9000));
    for (era, asker) in Asker::both(&process).await {
        for elsewhere in [
            "file:///handbook/%2e%2e/etc/passwd",
            "file:///handbook/x/%2e%2e/%2e%2e/etc/passwd",
            "file:///handbook/..",
            "file:///handbook/..%2f..%2fetc/passwd",
            "file:///handbook/x%2F%2e%2E%5c..%5c..%5Cetc/passwd",
            "file:///handbook/../etc/passwd",
            "file:///etc/passwd",
            &long,
        ] {
            let answer = asker.ask("resources/read", uri(elsewhere)).await;
            assert!(answer.is_denied("read"), "{era} {elsewhere}: {answer:?}");
        }
        for inside in ["file:///handbook/a", "file:///handbook/a/%62", "file:///handbook/intro"] {
            let answer = asker.ask("resources/read", uri(inside)).await;
            let expected = (inside == "file:///handbook/intro").then_some(403);
            assert_eq!(answer.error(), expected, "{era} {inside}: {answer:?}");
        }
    }
    assert_eq!(reached(&backend, "resources/read"), 4);
}

/// Some backends take names of arguments for one that differ in case alone.
#[tokio::test]
async fn an_argument_in_two_spellings_is_denied_where_policies_read_it() {
    let (backend, process) = nobody(
        r#"
      permit(principal, action == Action::"call_tool", resource)
      when { context has arg_key && context.arg_key == "yes" };"#,
    )
    .await;
    for (era, asker) in Asker::both(&process).await {
        for arguments in [
            json!({"key": "yes", "Key": "no"}),
            json!({"KEY": "no", "key": "yes"}),
            json!({"key": "yes", "\u{212a}ey": "no"}),
            json!({"key": "yes".repeat(30_000)}),
        ] {
            let params = json!({"name": "a_free", "arguments": arguments});
            let answer = asker.ask("tools/call", params).await;
            assert!(answer.is_denied("call"), "{era}: {answer:?}");
        }
        let params = json!({"name": "a_free", "arguments": {"key": "yes", "other": 1, "Other": 2}});
        assert_eq!(asker.ask("tools/call", params).await.error(), None, "{era}");
    }
    assert_eq!(reached(&backend, "tools/call"), 2);
}

/// Nobody is told how to use what is not for them.
#[tokio::test]
async fn instructions_of_what_may_not_be_used_are_not_told() {
    for (policies, is_told) in [
        ("\n      permit(principal, action, resource);", true),
        ("\n      forbid(principal, action, resource);", false),
    ] {
        let (_backend, process) = nobody(policies).await;
        let mut legacy = Client::new(&process.url());
        let hello = legacy.initialize().await.unwrap().json();
        assert_eq!(hello["result"]["instructions"].is_string(), is_told, "{hello}");
        let modern = ModernClient::new(&process.url());
        let hello = modern.discover().await.unwrap().message().json();
        assert_eq!(hello["result"]["instructions"].is_string(), is_told, "{hello}");
    }
}
