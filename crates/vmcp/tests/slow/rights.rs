//! What rights of many callers hold in memory.

use serde_json::{Value, json};
use tokio::task::JoinSet;
use vmcp_testkit::{
    gateway::Gateway,
    identity::{AUDIENCE, IdentityProvider},
    modern_client::ModernClient,
    process::Process,
    raw::{Answer, RawServer, Running},
};

use crate::serve;

const TOOLS: usize = 1000;
const GROUPS: usize = 50;
const CALLERS: usize = 4000;

/// What so many callers may add.
const HELD: u64 = 64 << 20;

async fn fixture(provider: &IdentityProvider) -> (Running, Process) {
    let tool = |number: usize| {
        let group = number % GROUPS;
        format!(r#"{{"name":"t{number}_of{group}","inputSchema":{{"type":"object"}}}}"#)
    };
    let tools = (0..TOOLS).map(tool);
    let server =
        tools.fold(RawServer::builder(), |server, tool| server.tool(&tool, Answer::text("")));
    let backend = server.start().await.unwrap();
    let policies: Vec<_> = (0..GROUPS)
        .map(|group| {
            format!(
                r#"permit(principal in THVGroup::"g{group}", action, resource) when {{ resource.name like "*_of{group}" }};"#
            )
        })
        .collect();
    let incoming = format!(
        "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, insecureAllowHttp: true, jwksAllowPrivateIp: true}}, \
         authz: {{type: cedar, policies: {}}}",
        provider.issuer(),
        json!(policies),
    );
    let process = serve(&Gateway::before(&[("a", backend.url())]).incoming(&incoming)).await;
    (backend, process)
}

async fn listed(url: String, token: String) -> usize {
    let client = ModernClient::new(&url).header("authorization", &format!("Bearer {token}"));
    let answered = client.request("tools/list", json!({})).await.unwrap();
    let result: Value = answered.result().unwrap();
    result["tools"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_with_the_same_rights_share_what_they_are_shown() {
    let provider = IdentityProvider::start().await.unwrap();
    let (_backend, process) = fixture(&provider).await;
    let token = |number: usize| {
        let mut claims = provider.claims(&format!("u{number}"));
        claims["groups"] = json!([format!("g{}", number % GROUPS)]);
        provider.key().sign(&claims)
    };
    // Every set of rights has been worked out then.
    for number in 0..GROUPS {
        assert_eq!(listed(process.url(), token(number)).await, TOOLS / GROUPS);
    }
    let before = process.memory().unwrap();
    let mut asking = JoinSet::new();
    for number in 0..CALLERS {
        if asking.len() >= 32 {
            assert_eq!(asking.join_next().await.unwrap().unwrap(), TOOLS / GROUPS);
        }
        asking.spawn(listed(process.url(), token(number)));
    }
    assert!(asking.join_all().await.iter().all(|count| *count == TOOLS / GROUPS));
    let added = process.memory().unwrap().saturating_sub(before);
    println!("{added} bytes for {CALLERS} callers");
    assert!(added < HELD, "{added} bytes");
}
