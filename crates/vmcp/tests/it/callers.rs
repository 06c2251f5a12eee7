//! What a backend lists to one caller, that it knows by a credential of the caller's own, no other caller sees.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use vmcp_testkit::{
    client::Client,
    gateway::{Gateway, eventually},
    identity::{AUDIENCE, IdentityProvider},
    peers,
    process::Process,
    raw::{Answer, Call, Running, handler},
    token_endpoint::{Given, TokenEndpoint},
};

use crate::serve;

fn caller(call: &Call) -> String {
    let shown = call.headers.get("authorization").map(|shown| shown.to_str().unwrap());
    shown.and_then(|shown| shown.strip_prefix("Bearer of-")).unwrap_or("nobody").to_owned()
}

/// A server that lists to each caller a tool of its own, and one that says who calls.
async fn of_callers() -> Running {
    let server = peers::stateful().start().await.unwrap();
    server.script(
        "tools/list",
        handler(|call: Call| async move {
            let tool =
                |name: &str| format!(r#"{{"name":"{name}","inputSchema":{{"type":"object"}}}}"#);
            let own = tool(&format!("of_{}", caller(&call)));
            Answer::from(format!(r#"{{"tools":[{own},{}]}}"#, tool("who")))
        }),
    );
    server.script("tools/call", handler(|call: Call| async move { Answer::text(caller(&call)) }));
    server
}

struct World {
    backend: Running,
    provider: IdentityProvider,
    endpoint: TokenEndpoint,
    /// Whose each token is.
    issued: Arc<Mutex<HashMap<String, &'static str>>>,
}

impl World {
    async fn start() -> Self {
        let backend = of_callers().await;
        let provider = IdentityProvider::start().await.unwrap();
        let endpoint = TokenEndpoint::start().await.unwrap();
        let issued: Arc<Mutex<HashMap<String, &'static str>>> = Arc::default();
        let known = Arc::clone(&issued);
        endpoint.set_script(move |asked| {
            let name = known.lock().unwrap().get(asked.field("subject_token")).copied();
            Given::token(&format!("of-{}", name.unwrap_or("vmcp")), 3600)
        });
        Self { backend, provider, endpoint, issued }
    }

    fn gateway(&self) -> Gateway {
        self.gateway_before(&[("a", &self.backend, &self.endpoint)])
    }

    /// One before these backends, for each of which tokens come from an endpoint of its own.
    fn gateway_before(&self, backends: &[(&str, &Running, &TokenEndpoint)]) -> Gateway {
        let urls: Vec<_> =
            backends.iter().map(|(name, backend, _)| (*name, backend.url())).collect();
        let strategies = backends.iter().map(|(name, _, endpoint)| {
            let url = endpoint.url();
            format!("{name}: {{type: token_exchange, tokenExchange: {{tokenUrl: '{url}'}}}}")
        });
        let strategies: Vec<_> = strategies.collect();
        Gateway::before(&urls)
            .incoming(&format!(
                "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, resource: 'https://mcp.example/mcp', \
                 insecureAllowHttp: true, jwksAllowPrivateIp: true}}",
                self.provider.issuer()
            ))
            .with(&format!("outgoingAuth: {{backends: {{{}}}}}", strategies.join(", ")))
    }

    /// A client with a new token of this caller.
    fn client(&self, process: &Process, name: &'static str) -> Client {
        let token = self.provider.token(name);
        let client = Client::new(&process.url());
        let client = client.with_header("authorization", &format!("Bearer {token}"));
        self.issued.lock().unwrap().insert(token, name);
        client
    }

    async fn connect(&self, process: &Process, name: &'static str) -> Client {
        let mut client = self.client(process, name);
        client.initialize().await.unwrap();
        client
    }
}

async fn listed(client: &Client) -> BTreeSet<String> {
    let list = client.request("1", "tools/list", "{}").await.unwrap();
    let tools = list.json()["result"]["tools"].clone();
    let names = tools.as_array().unwrap().iter().map(|tool| tool["name"].as_str().unwrap());
    names.map(str::to_owned).collect()
}

fn own(name: &str) -> BTreeSet<String> {
    [format!("a_of_{name}"), "a_who".to_owned()].into()
}

#[tokio::test]
async fn callers_see_and_call_what_is_theirs_alone() {
    let world = World::start().await;
    let process = serve(&world.gateway()).await;
    let mut clients = Vec::new();
    for name in ["alice", "bob"] {
        clients.push((name, world.connect(&process, name).await));
    }
    for _again in 0..2 {
        for (name, client) in &clients {
            assert_eq!(listed(client).await, own(name));
            let called = client.call("2", "a_who", "{}").await.unwrap();
            assert_eq!(called.text().unwrap(), *name);
        }
    }
    let (alice, bob) = (&clients[0].1, &clients[1].1);
    for (client, other) in [(alice, "a_of_bob"), (bob, "a_of_alice")] {
        let refused = client.call("3", other, "{}").await.unwrap();
        assert!(refused.error().unwrap().contains("-32602"), "{refused:?}");
    }
    // The backend changes what it lists, and says so where somebody listens.
    let get = alice.listen(None).await.unwrap();
    eventually("the backend is listened to", async || {
        world.backend.sessions().iter().any(|session| session.listens()).then_some(())
    })
    .await;
    world.backend.script(
        "tools/list",
        handler(|call: Call| async move {
            let name = caller(&call);
            Answer::from(format!(
                r#"{{"tools":[{{"name":"now_of_{name}","inputSchema":{{"type":"object"}}}}]}}"#
            ))
        }),
    );
    world.backend.notify_all("notifications/tools/list_changed", "{}").await;
    eventually("alice sees what has changed", async || {
        (listed(alice).await == ["a_now_of_alice".to_owned()].into()).then_some(())
    })
    .await;
    let seen = listed(bob).await;
    assert!(seen.iter().all(|name| !name.contains("alice")), "{seen:?}");
    drop(get);
}

/// Hourly renewal is nothing that anybody notices.
#[tokio::test]
async fn a_renewed_token_changes_no_list_and_ends_no_session() {
    let world = World::start().await;
    let process = serve(&world.gateway()).await;
    let alice = world.connect(&process, "alice").await;
    assert_eq!(listed(&alice).await, own("alice"));
    alice.call("2", "a_who", "{}").await.unwrap().result().unwrap();
    let sessions = world.backend.sessions().len();
    let (asked, ended) = (world.endpoint.count(), world.backend.counters().deletes());
    let renewed = world.client(&process, "alice");
    let renewed = renewed.with_session(alice.session().unwrap(), "2025-11-25");
    assert_eq!(listed(&renewed).await, own("alice"));
    assert_eq!(renewed.call("3", "a_who", "{}").await.unwrap().text().unwrap(), "alice");
    assert_eq!(world.endpoint.count(), asked + 1, "the new token is exchanged, once");
    assert_eq!(world.backend.sessions().len(), sessions);
    assert_eq!(world.backend.counters().deletes(), ended);
}

/// What the endpoint says of one caller's token is that caller's trouble, and nobody else learns it.
#[tokio::test]
async fn a_caller_that_is_refused_keeps_nobody_else_out() {
    let world = World::start().await;
    let known = Arc::clone(&world.issued);
    world.endpoint.set_script(move |asked| {
        let name = known.lock().unwrap().get(asked.field("subject_token")).copied();
        match name.unwrap_or("vmcp") {
            "mallory" => Given::error(400, "invalid_scope", "mallory of payroll may not"),
            name => Given::token(&format!("of-{name}"), 3600),
        }
    });
    let process = serve(&world.gateway()).await;
    for _token in 0..6 {
        let mallory = world.connect(&process, "mallory").await;
        let refused = mallory.call("1", "a_who", "{}").await.unwrap();
        let error = refused.error().unwrap();
        assert!(error.contains("its credential is refused for this caller"), "{error}");
        let bob = world.connect(&process, "bob").await;
        assert_eq!(listed(&bob).await, own("bob"));
        assert_eq!(bob.call("2", "a_who", "{}").await.unwrap().text().unwrap(), "bob");
    }
}

/// Callers whose tokens for one backend do not come are shown all others.
#[tokio::test]
async fn a_silent_token_endpoint_takes_no_other_backend_from_callers() {
    let world = World::start().await;
    let silent = TokenEndpoint::start().await.unwrap();
    silent.set_script(|_asked| Given::nothing().after(Duration::from_secs(60)));
    let other = of_callers().await;
    let gateway =
        world.gateway_before(&[("a", &world.backend, &world.endpoint), ("b", &other, &silent)]);
    let process = serve(&gateway.with("sessions: {initializeWait: 1s}")).await;
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..40 {
        let name: &'static str = Box::leak(format!("caller{number}").into_boxed_str());
        let client = world.client(&process, name);
        callers.spawn(async move {
            let mut client = client;
            client.initialize().await.unwrap();
            (name, listed(&client).await)
        });
    }
    while let Some(caller) = callers.join_next().await {
        let (name, listed) = caller.unwrap();
        assert_eq!(listed, own(name));
    }
}
