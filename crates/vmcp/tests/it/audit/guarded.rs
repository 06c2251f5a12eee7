//! Who has asked, and who was not let in.

use bytes::Bytes;
use http::Method;
use vmcp_testkit::identity::{AUDIENCE, IdentityProvider};

use super::*;

const POLICIES: &str =
    r#"permit(principal, action, resource) unless { resource.name like "*wrong*" };"#;

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a_fine","arguments":{}}}"#;

/// Before a server of the legacy era, for those with a token, by policies; with more keys of `authz`.
async fn guarded(authz: &str) -> (raw::Running, IdentityProvider, Audited) {
    let backend = legacy_server("a").start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let incoming = format!(
        "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, resource: 'https://mcp.example/mcp', \
         insecureAllowHttp: true, jwksAllowPrivateIp: true}}, \
         authz: {{type: cedar, policies: [{}]{authz}}}",
        provider.issuer(),
        json!(POLICIES)
    );
    let gateway = Gateway::before(&[("a", backend.url())]).incoming(&incoming);
    let audited = Audited::start(&gateway, "").await;
    (backend, provider, audited)
}

async fn both(audited: &Audited, token: &str) -> [(&'static str, Asker); 2] {
    let bearer = format!("Bearer {token}");
    let legacy = Client::new(&audited.url());
    let mut legacy = legacy.with_header("authorization", &bearer).with_header(NAME, "hello");
    legacy.initialize().await.unwrap();
    let modern = audited.modern().header("authorization", &bearer);
    [("legacy", Asker::Legacy(legacy)), ("modern", Asker::Modern(modern))]
}

#[tokio::test]
async fn who_is_not_let_in_is_recorded_once() {
    let (_backend, provider, audited) = guarded("").await;
    let mut expired = provider.claims("alice");
    expired["exp"] = json!(1);
    let expired = provider.key().sign(&expired);
    let tokens = [("none", None), ("odd", Some("x.y.z")), ("expired", Some(&*expired))];
    let mut expected = Vec::new();
    for (token, value) in tokens {
        let mut client = Client::new(&audited.url()).with_header("mcp-session-id", "none");
        if let Some(value) = value {
            client = client.with_header("authorization", &format!("Bearer {value}"));
        }
        for (verb, body, told) in [
            (Method::POST, CALL, "http_request denied POST unauthenticated code -32600 401"),
            (Method::GET, "", "sse_connection denied GET unauthenticated code -32600 401"),
            (Method::DELETE, "", "http_request denied DELETE unauthenticated code -32600 401"),
        ] {
            let name = format!("{token} {verb}");
            let answer = client.send(verb, &[(NAME, &name)], Bytes::from(body)).await.unwrap();
            assert_eq!(answer.status(), 401);
            expected.push((name, told));
        }
        // One that says which era it speaks is not looked at either.
        let name = format!("{token} modern");
        let params = json!({"name": "a_fine"});
        let modern = audited.modern().header(NAME, &name);
        let modern = match value {
            Some(value) => modern.header("authorization", &format!("Bearer {value}")),
            None => modern,
        };
        assert_eq!(modern.post("tools/call", &params, CALL).await.unwrap().status(), 401);
        expected.push((name, "http_request denied POST unauthenticated code -32600 401"));
    }
    let records = audited.end().await;
    records.assert_each(expected.iter().map(|(name, told)| (&**name, *told)));
    assert_eq!(records.0.len(), expected.len());
    for record in &records.0 {
        assert_eq!(record["subjects"], json!({"user": "anonymous"}), "{record}");
    }
}

#[tokio::test]
async fn what_policies_deny_is_recorded_as_denied() {
    for (authz, status) in [("", 403), (", deniedStatus: 200", 200)] {
        let (_backend, provider, audited) = guarded(authz).await;
        let mut expected = Vec::new();
        for (era, asker) in both(&audited, &provider.token("alice")).await {
            let status = if era == "legacy" { status } else { 403 };
            let told = asker.ask(&format!("{era} denied"), "tools/call", named("a_wrong")).await;
            assert_eq!(told, (status, Some(403)));
            let denied =
                format!("mcp_tool_call denied tools/call tool=a_wrong denied code 403 {status}");
            expected.push((format!("{era} denied"), denied));
            // Nobody learns what there is; whoever reads records does.
            asker.ask(&format!("{era} none"), "tools/call", named("a_nothing")).await;
            let none = format!(
                "mcp_tool_call failure tools/call tool=a_nothing invalid code -32602 {}",
                if era == "legacy" { 200 } else { 400 }
            );
            expected.push((format!("{era} none"), none));
            asker.ask(&format!("{era} fine"), "tools/call", named("a_fine")).await;
            let fine = "mcp_tool_call success tools/call tool=a_fine @a 200".to_owned();
            expected.push((format!("{era} fine"), fine));
        }
        let records = audited.end().await;
        records.assert_each(expected.iter().map(|(name, told)| (&**name, &**told)));
        assert_eq!(records.0.len(), expected.len() + 2);
    }
}

#[tokio::test]
async fn who_asks_and_on_whose_behalf_is_recorded() {
    let (_backend, provider, audited) = guarded("").await;
    let mut claims = provider.claims("alice");
    claims["name"] = json!("Alice \"A\" Ä\n");
    claims["act"] =
        json!({"sub": "agent-1", "client_id": "c", "act": {"sub": "agent-0", "iss": "i"}});
    let token = provider.key().sign(&claims);
    let askers = both(&audited, &token).await;
    for (era, asker) in &askers {
        asker.ask(era, "tools/call", named("a_fine")).await;
    }
    let Asker::Legacy(legacy) = &askers[0].1 else { unreachable!() };
    let session = legacy.session().unwrap().to_owned();
    // Another token of the same caller: what it says now counts.
    claims["name"] = json!("Bob");
    let again = legacy.clone().with_header(NAME, "again");
    let again =
        again.with_header("authorization", &format!("Bearer {}", provider.key().sign(&claims)));
    again.call("9", "a_fine", "{}").await.unwrap();
    let issuer = provider.issuer();
    let records = audited.end().await;
    for name in ["hello", "legacy", "modern", "again"] {
        let record = *records.whole(name).last().unwrap();
        let user = if name == "again" { "Bob" } else { "Alice \"A\" Ä\n" };
        let subjects = json!({
            "user": user, "user_id": "alice", "issuer": issuer,
            "client_name": "testkit", "client_version": "1",
        });
        assert_eq!(record["subjects"], subjects, "{name}");
        let actors = json!([
            {"sub": "agent-1", "client_id": "c"},
            {"sub": "agent-0", "iss": "i"},
        ]);
        assert_eq!(record["delegation"], json!({"actors": actors}), "{name}");
        assert_eq!(record["source"]["value"], "127.0.0.1");
        assert_eq!(record["component"], "vmcp-server");
        assert_eq!(record["target"]["endpoint"], "/mcp");
    }
    // The same session is told by the same digits, and not by its id.
    let digits = |name: &str| records.whole(name)[0]["metadata"]["extra"]["session"].clone();
    assert_eq!(digits("legacy").as_str().map(str::len), Some(16));
    assert_eq!(digits("legacy"), digits("again"));
    assert_eq!(digits("modern"), Value::Null);
    assert!(!records.0.iter().any(|record| record.to_string().contains(&session)));
}
