//! Clients of the modern era keep their state on backends of the legacy era: whose calls share a
//! backend session, and whose do not.

mod calls;
mod ends;
mod lists;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use serde_json::{Value, json};
use vmcp_testkit::{
    gateway::Gateway,
    identity::{AUDIENCE, IdentityProvider},
    modern::META_CLIENT_INFO,
    modern_client::{Answered, ModernClient},
    peers,
    process::{Process, Program},
    raw::{Answer, Call, Form, Handler, Kind, RawServer, Running, handler},
};

use super::{modern_client, tool};
use crate::serve;

/// A gateway in front of one legacy server, which has been looked at.
struct Kept {
    peer: Running,
    process: Process,
    client: ModernClient,
    /// Sessions that the gateway has for itself.
    watching: usize,
    /// `initialize` requests so far.
    opened: u64,
}

impl Kept {
    async fn before(peer: RawServer, sections: &str) -> Self {
        let peer = peer.start().await.unwrap();
        let process = serve(&Gateway::before(&[("a", peer.url())]).with(sections)).await;
        Self::of(peer, process).await
    }

    async fn of(peer: Running, process: Process) -> Self {
        let client = modern_client(&process);
        client.learn_tools().await.unwrap();
        let (watching, opened) = (peer.sessions().len(), peer.counters().initializes());
        Self { peer, process, client, watching, opened }
    }

    /// The same client under another name.
    fn named(&self, name: &str) -> ModernClient {
        named(&self.client, name, "1")
    }

    /// Sessions that the backend has given for calls since the beginning.
    fn opened(&self) -> u64 {
        self.peer.counters().initializes() - self.opened
    }

    /// Sessions that are open for calls.
    fn open(&self) -> usize {
        self.peer.sessions().len() - self.watching
    }

    /// How many `/status` says.
    async fn told(&self) -> Value {
        let url = self.process.url_of("/status");
        let (_, body) = vmcp_testkit::client::fetch(&url).await.unwrap();
        let status: Value = serde_json::from_slice(&body).unwrap();
        status["backends"][0]["kept_sessions"].clone()
    }
}

fn named(client: &ModernClient, name: &str, version: &str) -> ModernClient {
    client.clone().meta(META_CLIENT_INFO, json!({"name": name, "version": version}))
}

async fn call(client: &ModernClient, tool: &str, arguments: Value) -> Answered {
    client.call(tool, arguments).await.unwrap()
}

async fn count(client: &ModernClient) -> String {
    let answer = call(client, "a_count", json!({})).await;
    answer.text().unwrap_or_else(|_error| panic!("{answer:?}"))
}

#[tokio::test]
async fn state_is_kept_for_one_client_and_seen_by_no_other() {
    for form in [Form::Json, Form::Sse] {
        let kept = Kept::before(peers::stateful().form(form), "").await;
        for expected in ["1", "2", "3"] {
            assert_eq!(count(&kept.client).await, expected);
        }
        assert_eq!(kept.opened(), 1);
        // What else a client says about itself does not matter.
        let titled = json!({"version": "1", "title": "Test", "name": "testkit"});
        assert_eq!(count(&kept.client.clone().meta(META_CLIENT_INFO, titled)).await, "4");
        let nameless = kept.client.clone().without_meta(META_CLIENT_INFO);
        let others = [
            kept.named("other"),
            named(&kept.client, "testkit", "2"),
            nameless,
            kept.client.clone().capabilities(json!({})),
        ];
        for other in &others {
            assert_eq!([count(other).await, count(other).await], ["1", "2"]);
        }
        assert_eq!(count(&kept.client).await, "5");
        assert_eq!(kept.told().await, 5);
    }
}

#[tokio::test]
async fn state_is_seen_by_no_other_principal() {
    let peer = peers::stateful().start().await.unwrap();
    let provider = IdentityProvider::start().await.unwrap();
    let oidc = format!(
        "type: oidc, oidc: {{issuer: '{}', audience: {AUDIENCE}, insecureAllowHttp: true, jwksAllowPrivateIp: true}}",
        provider.issuer()
    );
    let process = serve(&Gateway::before(&[("a", peer.url())]).incoming(&oidc)).await;
    let client = |subject: &str| {
        let token = format!("Bearer {}", provider.token(subject));
        // Whoever has proved who it is may come by any way.
        let client = modern_client(&process).header("x-forwarded-for", "192.0.2.1");
        client.header("authorization", &token)
    };
    let (alice, bob) = (client("alice"), client("bob"));
    assert_eq!([count(&alice).await, count(&bob).await], ["1", "1"]);
    // Another token of the same subject.
    assert_eq!([count(&client("alice")).await, count(&bob).await], ["2", "2"]);
}

/// Nobody can tell these from one another, so none finds what another has left.
#[tokio::test]
async fn strangers_have_a_session_for_each_call() {
    let headers = ["forwarded", "x-forwarded-for", "X-Forwarded-Proto", "x-real-ip", "via"];
    for incoming in ["type: anonymous", "type: local"] {
        let peer = peers::stateful().start().await.unwrap();
        let gateway = Gateway::before(&[("a", peer.url())]).incoming(incoming);
        let kept = Kept::of(peer, serve(&gateway).await).await;
        for header in headers {
            let forwarded = kept.client.clone().header(header, "for=192.0.2.1");
            assert_eq!([count(&forwarded).await, count(&forwarded).await], ["1", "1"], "{header}");
        }
        assert_eq!([count(&kept.client).await, count(&kept.client).await], ["1", "2"]);
        assert_eq!(kept.told().await, 1);

        // A listener that others may reach.
        let peer = peers::stateful().start().await.unwrap();
        let gateway = Gateway::before(&[("a", peer.url())]).incoming(incoming);
        let arguments = ["serve", "--config", "{config}", "--host", "0.0.0.0", "--port", "{port}"];
        let program = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments);
        let process = program.config(&gateway.yaml()).start().await.unwrap();
        let client = modern_client(&process);
        assert_eq!([count(&client).await, count(&client).await], ["1", "1"]);
    }
}

/// A tool that waits until so many calls of it are under way, and one that says how many were at most.
#[derive(Clone)]
struct Together {
    wanted: usize,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    all: tokio::sync::watch::Sender<bool>,
}

impl Together {
    fn new(wanted: usize) -> Self {
        let (now, most) = (Arc::default(), Arc::default());
        Self { wanted, now, most, all: tokio::sync::watch::Sender::new(false) }
    }

    /// Answers with its argument `text`, after progress if that is wanted.
    fn tool(&self) -> Handler {
        let together = self.clone();
        handler(move |call: Call| {
            let together = together.clone();
            async move {
                let now = together.now.fetch_add(1, SeqCst) + 1;
                together.most.fetch_max(now, SeqCst);
                if now == together.wanted {
                    together.all.send_replace(true);
                }
                together.all.subscribe().wait_for(|all| *all).await.unwrap();
                let text: String = call.argument("text").unwrap();
                if let Some(token) = call.progress_token() {
                    let params =
                        format!(r#"{{"progressToken":{token},"progress":1,"message":"{text}"}}"#);
                    call.notify("notifications/progress", &params).await.unwrap();
                }
                together.now.fetch_sub(1, SeqCst);
                Answer::text(text)
            }
        })
    }

    fn server(&self) -> RawServer {
        peers::stateful().offer(Kind::Tools, &tool("together"), self.tool())
    }
}
