//! Rights that change while sessions live: by another token, and by other policies.

use rustix::process::Signal;
use vmcp_testkit::{
    client::Response,
    identity::{AUDIENCE, IdentityProvider},
};

use super::*;

/// What a group may use is called as the group is.
const BY_GROUP: &str = r#"
      permit(principal in Group::"free", action, resource) when { resource.name like "*free*" };
      permit(principal in Group::"closed", action, resource) when { resource.name like "*closed*" };"#;

struct Fixture {
    backend: Running,
    provider: IdentityProvider,
    gateway: Gateway,
    process: Process,
}

async fn fixture() -> Fixture {
    let backend = server().start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let gateway = by_group(&backend, &provider, BY_GROUP);
    let process = serve(&gateway).await;
    Fixture { backend, provider, gateway, process }
}

fn by_group(backend: &Running, provider: &IdentityProvider, policies: &str) -> Gateway {
    let incoming = format!(
        "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, insecureAllowHttp: true, jwksAllowPrivateIp: true}}, \
         authz: {{type: cedar, groupEntityType: Group, policies: [{}]}}",
        provider.issuer(),
        json!(policies),
    );
    Gateway::before(&[("a", backend.url())]).incoming(&incoming)
}

impl Fixture {
    fn token(&self, groups: &[&str]) -> String {
        let mut claims = self.provider.claims("alice");
        claims["groups"] = json!(groups);
        self.provider.key().sign(&claims)
    }

    async fn connect(&self, groups: &[&str]) -> Client {
        let token = format!("Bearer {}", self.token(groups));
        let mut client = Client::new(&self.process.url()).with_header("authorization", &token);
        client.initialize().await.unwrap();
        client
    }

    fn showing(&self, client: &Client, groups: &[&str]) -> Client {
        client.clone().with_header("authorization", &format!("Bearer {}", self.token(groups)))
    }

    /// Serves other policies from now on.
    fn write(&self, policies: &str) {
        let (yaml, now) = (self.gateway.yaml(), json!(BY_GROUP).to_string());
        assert!(yaml.contains(&now));
        self.process.write_config(&yaml.replace(&now, &json!(policies).to_string())).unwrap();
        self.process.signal(Signal::HUP).unwrap();
    }
}

async fn tools(client: &Client) -> Vec<String> {
    let answer = client.request("1", "tools/list", "{}").await.unwrap().json();
    let tools = answer["result"]["tools"].as_array().unwrap().clone();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

/// The methods of as many notifications.
async fn told(stream: &mut Response, count: usize) -> Vec<String> {
    let mut methods = Vec::new();
    while methods.len() < count {
        let message = stream.message().await.unwrap().unwrap();
        methods.push(message.json()["method"].as_str().unwrap().to_owned());
    }
    methods.sort();
    methods
}

const ALL_CHANGED: [&str; 3] = [
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
    "notifications/tools/list_changed",
];

#[tokio::test]
async fn rights_follow_the_token_of_each_request() {
    let fixture = fixture().await;
    let client = fixture.connect(&["free"]).await;
    assert_eq!(tools(&client).await, ["a_free"]);
    let mut stream = client.listen(None).await.unwrap();
    // The same session: its principal shows another token.
    let promoted = fixture.showing(&client, &["free", "closed"]);
    assert_eq!(tools(&promoted).await, ["a_free", "a_closed"]);
    assert_eq!(told(&mut stream, 3).await, ALL_CHANGED);
    promoted.call("2", "a_closed", "{}").await.unwrap().result().unwrap();
    assert_eq!(client.call("3", "a_closed", "{}").await.unwrap().error_code().unwrap(), 403);
    let nobody = fixture.showing(&client, &[]);
    assert!(tools(&nobody).await.is_empty());
}

#[tokio::test]
async fn other_policies_are_told_to_live_sessions_and_drop_no_call() {
    let fixture = fixture().await;
    let client = fixture.connect(&["free"]).await;
    assert_eq!(tools(&client).await, ["a_free"]);
    let mut stream = client.listen(None).await.unwrap();
    let others = BY_GROUP.replace("*closed*", "*judged*").replace("\"closed\"", "\"free\"");
    fixture.write(&others);
    assert_eq!(told(&mut stream, 3).await, ALL_CHANGED);
    assert_eq!(tools(&client).await, ["a_free", "a_judged"]);
    client.call("2", "a_judged", "{}").await.unwrap().result().unwrap();
    fixture.process.logged("other policies say what callers may do").await;
    // What is wrong is refused, and those that hold go on to hold.
    fixture.write("\n      permit(principal, action resource);");
    fixture.process.logged("policy0, line 2, column 32: unexpected token `resource`").await;
    client.call("3", "a_judged", "{}").await.unwrap().result().unwrap();
}

/// What a token of fewer rights may not read is not told to whoever shows it.
#[tokio::test]
async fn subscriptions_end_with_the_rights_to_them() {
    let fixture = fixture().await;
    let client = fixture.connect(&["free"]).await;
    let params = r#"{"uri":"x:free"}"#;
    client.request("1", "resources/subscribe", params).await.unwrap().result().unwrap();
    let nobody = fixture.showing(&client, &[]);
    let mut stream = nobody.listen(None).await.unwrap();
    fixture.backend.update("x:free").await;
    // What comes next is about something else.
    let promoted = fixture.showing(&client, &["closed"]);
    assert_eq!(tools(&promoted).await, ["a_closed"]);
    assert_eq!(told(&mut stream, 3).await, ALL_CHANGED);
}

#[tokio::test]
async fn policies_that_are_gone_are_warned_of() {
    let fixture = fixture().await;
    let yaml = fixture.gateway.yaml();
    let (before, rest) = yaml.split_once(", authz: ").unwrap();
    let (_, after) = rest.split_once("]}").unwrap();
    fixture.process.write_config(&format!("{before}{after}")).unwrap();
    fixture.process.signal(Signal::HUP).unwrap();
    fixture.process.logged("there are no policies any more").await;
}

#[tokio::test]
async fn operators_are_told_what_policies_decide_and_why() {
    let fixture = fixture().await;
    let url = fixture.process.url().replace("/mcp", "/policy/explain");
    let client = Client::new(&url);
    for (groups, decision) in [(json!(["free"]), "allow"), (json!([]), "deny")] {
        let asked = json!({"claims": {"sub": "alice", "groups": groups}, "tool": "a_free"});
        let response = client.post(asked.to_string()).await.unwrap();
        assert_eq!(response.status(), 200);
        let answer: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!((&answer["decision"], &answer["backend"]), (&json!(decision), &json!("a")));
        let decided = if decision == "allow" { json!(["policy0"]) } else { json!([]) };
        assert_eq!(answer["policies"], decided);
    }
    for wrong in ["{}", "[]", r#"{"claims":{"sub":"a"}}"#, r#"{"claims":{},"tool":"x"}"#] {
        assert_eq!(client.post(wrong).await.unwrap().status(), 400, "{wrong}");
    }
}
