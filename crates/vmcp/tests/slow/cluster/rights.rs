//! Policies on several replicas: what a caller may do is the same on each of them.

use serde_json::{Value, json};
use vmcp_testkit::{
    client::Client,
    gateway::Gateway,
    identity::{AUDIENCE, IdentityProvider},
    raw::{Answer, RawServer},
    redis::RedisServer,
};

use super::{over, replicated};

const POLICIES: &str = r#"
    permit(principal in THVGroup::"staff", action, resource in Backend::"a")
    unless { resource.name like "*slow*" };"#;

fn showing(client: &Client, provider: &IdentityProvider, groups: &[&str]) -> Client {
    let mut claims = provider.claims("alice");
    claims["groups"] = json!(groups);
    let token = provider.key().sign(&claims);
    client.clone().with_header("authorization", &format!("Bearer {token}"))
}

async fn page(client: &Client, cursor: Option<&Value>) -> Value {
    let params = cursor.map_or_else(|| json!({}), |cursor| json!({"cursor": cursor}));
    let page = client.request("1", "tools/list", &params.to_string()).await.unwrap();
    page.json()["result"].clone()
}

#[tokio::test]
async fn a_session_has_the_rights_of_its_token_on_every_replica() {
    let tool = |name: &str| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
    let names = ["one", "slow", "two", "slower", "three"];
    let server = names
        .iter()
        .fold(RawServer::builder(), |server, name| server.tool(&tool(name), Answer::text("done")));
    let (backend, redis) = (server.start().await.unwrap(), RedisServer::start().await.unwrap());
    let provider = IdentityProvider::start().await.unwrap();
    let incoming = format!(
        "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, insecureAllowHttp: true, jwksAllowPrivateIp: true}}, \
         authz: {{type: cedar, policies: [{}]}}",
        provider.issuer(),
        json!(POLICIES),
    );
    let gateway = Gateway::before(&[("a", backend.url())])
        .incoming(&incoming)
        .aggregation("conflictResolution: prefix\nconflictResolutionConfig: {prefixFormat: '{workload}_'}\npageSize: 1");
    let cluster = replicated(2, &over(gateway, &redis.address(), "")).await;
    let mut first = showing(&Client::new(&cluster.url_of(0)), &provider, &["staff"]);
    first.initialize().await.unwrap();
    let second = first.at(&cluster.url_of(1));

    // What is listed on one is gone on with on the other.
    let (mut names, mut cursor) = (Vec::new(), None);
    for turn in 0.. {
        let client = if turn % 2 == 0 { &first } else { &second };
        let page = page(client, cursor.as_ref()).await;
        let tools = page["tools"].as_array().unwrap().clone();
        names.extend(tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()));
        cursor = page.get("nextCursor").cloned();
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(names, ["a_one", "a_two", "a_three"]);

    second.call("2", "a_one", "{}").await.unwrap().result().unwrap();
    assert_eq!(second.call("3", "a_slow", "{}").await.unwrap().error_code().unwrap(), 403);
    let stranger = showing(&second, &provider, &[]);
    assert!(page(&stranger, None).await["tools"].as_array().unwrap().is_empty());
    assert_eq!(stranger.call("4", "a_one", "{}").await.unwrap().error_code().unwrap(), 403);
    first.call("5", "a_one", "{}").await.unwrap().result().unwrap();
    assert_eq!(backend.counters().calls("one"), 2);
}
