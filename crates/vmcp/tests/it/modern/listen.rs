//! `subscriptions/listen`: what changes at backends of either era reaches those who listen, and nothing
//! else does (specification 2026-07-28, basic/patterns/subscriptions).

use rustix::process::Signal;
use serde_json::{Value, json};
use vmcp_testkit::{
    client::Message,
    gateway::{Gateway, eventually},
    modern::{self, META_CAPABILITIES, META_SUBSCRIPTION, META_VERSION, ModernServer},
    modern_client::ModernClient,
    peers,
    raw::{self, Answer, Kind},
};

use super::{modern_client, modern_peer, status, tool};
use crate::{connect, serve};

fn everything() -> Value {
    json!({"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true})
}

#[tokio::test]
async fn what_can_be_had_is_acknowledged_first() {
    let new = peers::modern().start().await.unwrap();
    let deaf = modern_peer("deaf").deaf_to_updates().start().await.unwrap();
    let old = peers::asking().start().await.unwrap();
    let backends = [("new", new.url()), ("deaf", deaf.url()), ("old", old.url())];
    let process = serve(&Gateway::before(&backends)).await;
    let client = modern_client(&process);
    let mut filter = everything();
    filter["resourceSubscriptions"] =
        json!(["modern://two", "modern://item/7", "nobody://one", "deaf://one"]);
    filter["x-unknown"] = json!(true);
    let listening = client.listen(filter).await.unwrap();
    let mut expected = everything();
    expected["resourceSubscriptions"] = json!(["modern://item/7", "modern://two"]);
    assert_eq!(*listening.granted(), expected);
    let nothing = client.listen(json!({"toolsListChanged": false})).await.unwrap();
    assert_eq!(*nothing.granted(), json!({}));

    // Nothing that no backend has.
    let only_tools = ModernServer::builder().tool(&tool("t"), modern::text("t"));
    let only_tools = only_tools.start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", only_tools.url())])).await;
    let listening = modern_client(&process).listen(everything()).await.unwrap();
    assert_eq!(*listening.granted(), json!({"toolsListChanged": true}));
    for wrong in [json!({}), json!({"notifications": 7}), json!({"notifications": []})] {
        let refused = modern_client(&process).request("subscriptions/listen", wrong).await.unwrap();
        assert_eq!(refused.error_code().unwrap(), -32602);
    }
    let many: Vec<_> = (0..2_000).map(|number| format!("a://{number}")).collect();
    let many = json!({"notifications": {"resourceSubscriptions": many}});
    let refused = modern_client(&process).request("subscriptions/listen", many).await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32602);
}

/// Several at once, each with its own id, whatever JSON it is.
#[tokio::test]
async fn changes_come_under_the_listeners_own_id() {
    let peer = peers::modern().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    // It sees what the listeners see, who can do nothing either.
    let client = ModernClient::new(&process.url());
    let ids = ["7", r#""7""#, "9007199254740993", r#""\u0069d é""#];
    let mut streams = Vec::new();
    for id in ids {
        let params = json!({
            "_meta": {META_VERSION: "2026-07-28", META_CAPABILITIES: {}},
            "notifications":
                {"toolsListChanged": true, "resourceSubscriptions": ["modern://one"]},
        });
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"subscriptions/listen","params":{params}}}"#
        );
        let stream = client.post("subscriptions/listen", &params, body).await.unwrap();
        streams.push((id, stream));
    }
    for (id, stream) in &mut streams {
        assert_eq!(next(stream, id).await, "notifications/subscriptions/acknowledged");
    }
    let arguments = json!({"uri": "modern://one"});
    client.call("a_touch", arguments).await.unwrap().text().unwrap();
    for (id, stream) in &mut streams {
        assert_eq!(next(stream, id).await, "notifications/resources/updated");
    }
    client.call("a_grow", json!({"name": "grown"})).await.unwrap().text().unwrap();
    for (id, stream) in &mut streams {
        assert_eq!(next(stream, id).await, "notifications/tools/list_changed");
    }
    let listed = client.list("tools/list", "tools").await.unwrap();
    assert!(listed.iter().any(|tool| tool["name"] == "a_grown"), "what was told is true by then");
}

/// The method of the next message, which carries this id.
async fn next(stream: &mut vmcp_testkit::client::Response, id: &str) -> String {
    let message: Message = stream.message().await.unwrap().unwrap();
    let key = format!(r#""{META_SUBSCRIPTION}":{id}"#);
    assert!(message.params().unwrap().contains(&key), "{id}: {message:?}");
    message.method().unwrap()
}

#[tokio::test]
async fn nothing_comes_that_was_not_asked_for() {
    let peer = peers::modern().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let client = modern_client(&process);
    let filter = json!({"promptsListChanged": true, "resourceSubscriptions": ["modern://two"]});
    let mut listening = client.listen(filter).await.unwrap();
    // Everything else first, and noise on the backend's own streams.
    peer.add(Kind::Tools, &tool("more"), modern::fixed(modern::text("more")));
    let more = r#"{"uri":"modern://more","name":"more"}"#;
    peer.add(Kind::Resources, more, modern::fixed(modern::complete(r#""contents":[]"#)));
    peer.updated("modern://one");
    peer.push("notifications/message", &json!({"level": "emergency", "data": "x"}));
    peer.push("notifications/progress", &json!({"progressToken": 1, "progress": 1}));
    peer.push("notifications/x-vendor", &json!({}));
    eventually("the changes have come through", async || {
        let listed = client.list("resources/list", "resources").await.unwrap();
        listed.iter().any(|resource| resource["uri"] == "modern://more").then_some(())
    })
    .await;
    peer.updated("modern://two");
    let first = listening.next().await.unwrap();
    assert_eq!(first["method"], "notifications/resources/updated");
    assert_eq!(first["params"]["uri"], "modern://two");
    peer.add(
        Kind::Prompts,
        r#"{"name":"more"}"#,
        modern::fixed(modern::complete(r#""messages":[]"#)),
    );
    let second = listening.next().await.unwrap();
    assert_eq!(second["method"], "notifications/prompts/list_changed");
}

#[tokio::test]
async fn changes_cross_the_eras_both_ways() {
    let (new, old) =
        (modern_peer("new").start().await.unwrap(), peers::asking().start().await.unwrap());
    let process = serve(&Gateway::before(&[("new", new.url()), ("old", old.url())])).await;
    let legacy = connect(&process).await;
    let mut stream = legacy.listen(None).await.unwrap();
    let mut listening = modern_client(&process).listen(everything()).await.unwrap();
    new.add(Kind::Tools, &tool("more"), modern::fixed(modern::text("more")));
    let told = stream.message().await.unwrap().unwrap();
    assert_eq!(told.method().unwrap(), "notifications/tools/list_changed");
    listening.until("notifications/tools/list_changed").await.unwrap();
    old.add(Kind::Tools, &tool("more"), raw::fixed(Answer::text("more"))).await;
    let told = stream.message().await.unwrap().unwrap();
    assert_eq!(told.method().unwrap(), "notifications/tools/list_changed");
    listening.until("notifications/tools/list_changed").await.unwrap();
}

#[tokio::test]
async fn a_stream_ends_with_its_result_when_vmcp_does() {
    let peer = peers::modern().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let client = modern_client(&process);
    let idle = client.listen(everything()).await.unwrap();
    let busy = client.listen(json!({"resourceSubscriptions": ["modern://one"]})).await.unwrap();
    process.signal(Signal::TERM).unwrap();
    for listening in [idle, busy] {
        let result = listening.ended().await.unwrap().expect("a result ends it");
        assert_eq!(result["resultType"], "complete");
        assert!(result["_meta"][META_SUBSCRIPTION].as_str().unwrap().starts_with("r-"));
    }
    let mut process = process;
    assert!(process.wait().await.unwrap().success());
    peer.until_subscriptions(0).await.unwrap();
}

#[tokio::test]
async fn an_idle_stream_shows_that_it_is_alive() {
    let peer = peers::modern().start().await.unwrap();
    let gateway = Gateway::before(&[("a", peer.url())]).with("sessions: {keepAlive: 30ms}");
    let process = serve(&gateway).await;
    let client = modern_client(&process);
    let params = json!({"notifications": everything()});
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen",
        "params": {"_meta": {META_VERSION: "2026-07-28", META_CAPABILITIES: {}}, "notifications": {}},
    });
    let mut stream = client.post("subscriptions/listen", &params, body.to_string()).await.unwrap();
    let mut comments = 0;
    while comments < 3 {
        let chunk = stream.chunk().await.unwrap().unwrap();
        comments += usize::from(chunk.starts_with(b":"));
    }
}

#[tokio::test]
async fn streams_are_bounded_and_given_back() {
    let peer = peers::modern().start().await.unwrap();
    let gateway = Gateway::before(&[("a", peer.url())]).with("limits: {streams: 3}");
    let process = serve(&gateway).await;
    let legacy = connect(&process).await;
    let client = modern_client(&process);
    let get = legacy.listen(None).await.unwrap();
    let resources = json!({"resourceSubscriptions": ["modern://one"]});
    let (one, two) = (
        client.listen(resources.clone()).await.unwrap(),
        client.listen(everything()).await.unwrap(),
    );
    assert_eq!(status(&process, "get_streams").await, 3);
    let listen = json!({"notifications": everything()});
    let refused = client.request("subscriptions/listen", listen).await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.error_code().unwrap()), (503, -32603));
    assert!(refused.headers().contains_key("retry-after"));
    // What a listener costs at the backend goes with it.
    let with_resources = || {
        peer.subscriptions()
            .iter()
            .filter(|one| !one.asked.resource_subscriptions.is_empty())
            .count()
    };
    assert_eq!(with_resources(), 1);
    drop(one);
    eventually("its room is free", async || {
        (status(&process, "get_streams").await == 2).then_some(())
    })
    .await;
    eventually("the backend is left alone", async || (with_resources() == 0).then_some(())).await;
    let three = client.listen(resources).await.unwrap();
    drop((get, two, three));
    eventually("all is given back", async || {
        (status(&process, "get_streams").await == 0).then_some(())
    })
    .await;
    eventually("the backend is left alone", async || (with_resources() == 0).then_some(())).await;
}

/// A backend whose streams break, or that restarts: those who listen stay, and learn what may have
/// changed meanwhile.
#[tokio::test]
async fn listeners_outlive_the_streams_of_a_backend() {
    let mut peer = peers::modern().start().await.unwrap();
    let port = peer.address().port();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let client = modern_client(&process);
    let filter = json!({"toolsListChanged": true, "resourceSubscriptions": ["modern://one", "modern://two"]});
    let mut listening = client.listen(filter).await.unwrap();
    for (round, name) in ["broken", "restarted"].into_iter().enumerate() {
        match name {
            "broken" => peer.break_subscriptions(),
            _ => {
                drop(peer);
                peer = eventually("the port is free", async || {
                    peers::modern().port(port).start().await.ok()
                })
                .await;
            }
        }
        // Without a word, while nobody listens.
        peer.put(Kind::Tools, &tool(&format!("t{round}")), modern::fixed(modern::text("t")));
        let mut heard = std::collections::BTreeSet::new();
        while heard.len() < 3 {
            let told = listening.next().await.unwrap();
            heard.insert(format!("{} {}", told["method"], told["params"]["uri"]));
        }
        let tools = client.list("tools/list", "tools").await.unwrap();
        assert!(tools.iter().any(|tool| tool["name"] == *format!("a_t{round}")), "{name}");
        peer.updated("modern://two");
        let told = listening.until("notifications/resources/updated").await.unwrap();
        assert_eq!(told["params"]["uri"], "modern://two", "{name}");
    }
}

/// Somebody who does not read delays nobody else, and is told the latest when reading again.
#[tokio::test]
async fn a_listener_that_does_not_read_delays_nobody() {
    let peer = peers::modern().start().await.unwrap();
    let process = serve(&Gateway::before(&[("a", peer.url())])).await;
    let client = modern_client(&process);
    let filter = json!({"resourceSubscriptions": ["modern://one"]});
    let asleep = client.listen(filter.clone()).await.unwrap();
    let mut awake = client.listen(filter).await.unwrap();
    for _ in 0..500 {
        peer.updated("modern://one");
        awake.next().await.unwrap();
    }
    client.call("a_echo", json!({})).await.unwrap();
    drop(asleep);
}

/// The configuration changes under those who listen: a backend that is gone is left alone, one that has
/// changed is listened to as it is now.
#[tokio::test]
async fn listeners_outlive_other_configurations() {
    let (one, two) =
        (peers::modern().start().await.unwrap(), peers::modern().start().await.unwrap());
    let other = modern_peer("b").start().await.unwrap();
    let gateway = |url: String| Gateway::before(&[("a", url), ("b", other.url())]);
    let process = serve(&gateway(one.url())).await;
    let filter = json!({"resourceSubscriptions": ["modern://one", "b://one"]});
    let mut listening = modern_client(&process).listen(filter).await.unwrap();
    let listened_to = |peer: &modern::Running| {
        let all = peer.subscriptions();
        all.iter().filter(|one| !one.asked.resource_subscriptions.is_empty()).count()
    };
    assert_eq!((listened_to(&one), listened_to(&other)), (1, 1));
    process.write_config(&gateway(two.url()).yaml()).unwrap();
    process.signal(Signal::HUP).unwrap();
    eventually("the other one is listened to", async || (listened_to(&two) == 1).then_some(()))
        .await;
    eventually("the one that is gone is left alone", async || {
        one.subscriptions().is_empty().then_some(())
    })
    .await;
    let told = listening.next().await.unwrap();
    assert_eq!(told["params"]["uri"], "modern://one", "it may have changed");
    two.updated("modern://one");
    assert_eq!(listening.next().await.unwrap()["params"]["uri"], "modern://one");
    process.write_config(&Gateway::before(&[("b", other.url())]).yaml()).unwrap();
    process.signal(Signal::HUP).unwrap();
    eventually("the one that is gone is left alone", async || {
        two.subscriptions().is_empty().then_some(())
    })
    .await;
    other.updated("b://one");
    assert_eq!(listening.next().await.unwrap()["params"]["uri"], "b://one");
}
