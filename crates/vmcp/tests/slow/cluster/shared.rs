//! What a client does on one replica holds on the others: answers, cancellations, levels,
//! subscriptions, streams.

use std::iter::repeat;

use serde_json::Value;
use tokio::time::{Duration, sleep, timeout};
use vmcp_testkit::{
    client::{Client, Message, Response},
    cluster::Cluster,
    gateway::{Gateway, eventually},
    peers,
    raw::{Answer, Kind, Lost, RawServer, Running, fixed},
    redis::RedisServer,
};

use super::{over, replicated};

/// Three replicas before one backend, `a`.
struct Three {
    backend: Running,
    cluster: Cluster,
    _redis: RedisServer,
}

impl Three {
    async fn before(backend: RawServer) -> Self {
        Self::with(backend, |gateway| gateway).await
    }

    async fn with(backend: RawServer, adapted: impl Fn(Gateway) -> Gateway) -> Self {
        let (backend, redis) =
            (backend.start().await.unwrap(), RedisServer::start().await.unwrap());
        let gateway = adapted(Gateway::before(&[("a", backend.url())]));
        let cluster = replicated(3, &over(gateway, &redis.address(), "")).await;
        Self { backend, cluster, _redis: redis }
    }

    /// The same session on each replica.
    async fn connect(&self) -> [Client; 3] {
        let client = Client::connect(&self.cluster.url_of(0)).await.unwrap();
        [0, 1, 2].map(|replica| client.at(&self.cluster.url_of(replica)))
    }
}

/// Sends an answer to two replicas at once, and to one of them once more.
async fn answer_thrice(at: [&Client; 2], question: &Message, result: &str) {
    let (one, other) = tokio::join!(at[0].answer(question, result), at[1].answer(question, result));
    assert_eq!((one.unwrap(), other.unwrap()), (202.try_into().unwrap(), 202.try_into().unwrap()));
    assert_eq!(at[0].answer(question, result).await.unwrap(), 202);
}

/// The next question on a stream.
async fn question_on(stream: &mut Response) -> Message {
    loop {
        let message = stream.message().await.unwrap().unwrap();
        if message.id().is_some() {
            return message;
        }
    }
}

#[tokio::test]
async fn an_answer_may_come_to_any_replica_and_is_delivered_once() {
    let three = Three::before(peers::asking()).await;
    let asked = [
        ("a_ask_form", r#"{"action":"accept","content":{"name":"Ann"}}"#, "Ann"),
        (
            "a_ask_sampling",
            r#"{"role":"assistant","content":{"type":"text","text":"four"},"model":"m"}"#,
            "four",
        ),
        ("a_ask_roots", r#"{"roots":[{"uri":"file:///home/ann"}]}"#, "file:///home/ann"),
    ];
    for round in 0..10 {
        let [first, second, third] = three.connect().await;
        for (tool, result, proof) in asked {
            let mut call = first.open_call("7", tool, "{}").await.unwrap();
            let question = call.message().await.unwrap().unwrap();
            // Every other time one of the two is the replica that has the call.
            let at = if round % 2 == 0 { [&second, &third] } else { [&first, &second] };
            answer_thrice(at, &question, result).await;
            let answer = call.answer("7").await.unwrap();
            assert!(answer.result().unwrap().contains(proof), "{answer:?}");
        }
        // A question on the stream, which is open on another replica than the call.
        let mut stream = second.listen(None).await.unwrap();
        first.call("8", "a_log", "{}").await.unwrap();
        eventually("the backend has a stream", async || {
            three.backend.sessions().iter().any(|session| session.listens()).then_some(())
        })
        .await;
        let calling = first.call("9", "a_ask_form", r#"{"on":"get"}"#);
        let answering = async {
            let question = question_on(&mut stream).await;
            answer_thrice([&third, &first], &question, asked[0].1).await;
        };
        let (answer, ()) = tokio::join!(calling, answering);
        assert!(answer.unwrap().result().unwrap().contains("Ann"));
        assert_eq!(first.delete().await.unwrap(), 200);
    }
    let counters = three.backend.counters();
    assert_eq!(counters.stray_answers(), 0, "no answer was delivered twice");
}

/// The call may be on another replica than the one that hears of its end.
#[tokio::test]
async fn a_call_is_cancelled_from_another_replica() {
    let three = Three::before(peers::slow()).await;
    let [first, second, _] = three.connect().await;
    let calling = first.open_call("17", "a_slow", r#"{"delay_ms":20000}"#);
    let cancelling = async {
        eventually("the call runs", async || {
            (three.backend.counters().calls("slow") > 0).then_some(())
        })
        .await;
        let params = r#"{"requestId":17,"reason":"bored"}"#;
        let status = second.notify("notifications/cancelled", params).await.unwrap();
        assert_eq!(status, 202);
    };
    let (response, ()) = tokio::join!(calling, cancelling);
    let answer = response.unwrap().answer("17").await.unwrap();
    assert!(answer.error().unwrap().contains("cancelled"), "{answer:?}");
    let seen = three.backend.seen();
    let body = |method: &str| -> Value {
        let seen = seen.iter().rev().find(|seen| seen.method == method).unwrap();
        serde_json::from_slice(&seen.body).unwrap()
    };
    let cancelled = body("notifications/cancelled");
    assert_eq!(cancelled["params"]["requestId"], body("tools/call")["id"]);
    assert_eq!(cancelled["params"]["reason"], "bored");
}

/// Set before anything is open at the backend, so that the replica that opens must have heard of it.
#[tokio::test]
async fn a_log_level_holds_on_every_replica() {
    let three = Three::before(peers::asking()).await;
    let [first, second, third] = three.connect().await;
    // It is live there before the level is set, and must hear of it.
    first.request("1", "tools/list", "{}").await.unwrap();
    second.request("2", "logging/setLevel", r#"{"level":"error"}"#).await.unwrap();
    // What is told on the bus takes a moment.
    sleep(Duration::from_millis(200)).await;
    for client in [&first, &third] {
        let answer = client.call("3", "a_log", "{}").await.unwrap();
        let levels = answer.before.iter().map(|message| message.json()["params"]["level"].clone());
        let levels: Vec<Value> = levels.collect();
        assert_eq!(levels, ["error", "critical", "alert", "emergency"], "{answer:?}");
    }
}

#[tokio::test]
async fn a_subscription_is_known_on_every_replica() {
    let three = Three::before(peers::asking()).await;
    let [first, second, third] = three.connect().await;
    // It is live there before the subscription is made.
    third.request("1", "tools/list", "{}").await.unwrap();
    second.request("2", "resources/subscribe", r#"{"uri":"ask://one"}"#).await.unwrap();
    sleep(Duration::from_millis(200)).await;
    let mut stream = third.listen(None).await.unwrap();
    eventually("the backend has a stream", async || {
        let mut sessions = three.backend.sessions().into_iter();
        let ours = sessions.find(|session| !session.subscriptions().is_empty())?;
        ours.listens().then_some(())
    })
    .await;
    first.call("3", "a_touch", r#"{"uri":"ask://one"}"#).await.unwrap();
    let told = stream.message().await.unwrap().unwrap();
    assert_eq!(told.method().unwrap(), "notifications/resources/updated");
    assert_eq!(told.json()["params"]["uri"], "ask://one");
    // Taken back on a third one, it is over everywhere.
    first.request("4", "resources/unsubscribe", r#"{"uri":"ask://one"}"#).await.unwrap();
    let ours = three.backend.sessions();
    assert!(ours.iter().all(|session| session.subscriptions().is_empty()));
}

/// What comes on a stream in a moment.
async fn soon(stream: &mut Response) -> Option<Message> {
    timeout(Duration::from_millis(200), stream.message()).await.ok()?.unwrap()
}

/// A backend has one stream for a session: the replica with the client's stream must have it, whoever
/// subscribes, and whoever opens the session anew.
#[tokio::test]
async fn what_a_backend_says_reaches_the_replica_with_the_stream() {
    let three = Three::before(peers::asking().one_stream()).await;
    let [first, second, third] = three.connect().await;
    let mut stream = first.listen(None).await.unwrap();
    let uri = r#"{"uri":"ask://one"}"#;
    second.request("1", "resources/subscribe", uri).await.unwrap();
    for round in 0..3 {
        if round > 0 {
            three.backend.forget_sessions(Lost::NotFound);
        }
        second.call("2", "a_touch", uri).await.unwrap();
        third.call("3", "a_touch", uri).await.unwrap();
        let told = eventually("the update reaches the stream", async || {
            third.call("4", "a_touch", uri).await.unwrap();
            soon(&mut stream).await
        });
        assert_eq!(told.await.method().unwrap(), "notifications/resources/updated");
        // Those that were asked for besides.
        while soon(&mut stream).await.is_some() {}
    }
}

#[tokio::test]
async fn a_new_stream_ends_the_old_one_on_another_replica() {
    let three = Three::before(peers::changing()).await;
    let [first, second, third] = three.connect().await;
    let mut streams = vec![first.listen(None).await.unwrap()];
    for client in [&second, &third, &first] {
        streams.push(client.listen(None).await.unwrap());
        let mut old = streams.remove(0);
        // Its end is orderly.
        while old.message().await.unwrap().is_some() {}
    }
    // All at once: one of them counts in the end.
    let (one, other) = tokio::join!(second.listen(None), third.listen(None));
    let (mut one, mut other) = (one.unwrap(), other.unwrap());
    let mut first_to_end = async || {
        tokio::select! {
            ended = one.message() => ended.unwrap(),
            ended = other.message() => ended.unwrap(),
        }
    };
    assert!(first_to_end().await.is_none());
}

/// The question outlives the replica that asked it; only the call's own answer is lost with it.
#[tokio::test]
async fn an_answer_reaches_the_backend_though_its_replica_died() {
    let mut three = Three::before(peers::asking()).await;
    let [first, second, third] = three.connect().await;
    let mut call = first.open_call("1", "a_ask_form", "{}").await.unwrap();
    let question = call.message().await.unwrap().unwrap();
    three.cluster.kill(0).await.unwrap();
    answer_thrice([&second, &third], &question, r#"{"action":"accept","content":{"name":"Bea"}}"#)
        .await;
    let answers = eventually("the backend has its answer", async || {
        let seen = three.backend.seen().into_iter();
        let answers = seen.filter(|seen| String::from_utf8_lossy(&seen.body).contains("Bea"));
        Some(answers.count()).filter(|count| *count > 0)
    })
    .await;
    assert_eq!(answers, 1);
    assert_eq!(three.backend.counters().stray_answers(), 0);
}

/// Every replica learns of it from the backend; the client is told by one.
#[tokio::test]
async fn a_changed_list_is_the_same_everywhere_and_told_once() {
    let three = Three::before(peers::stateful()).await;
    let clients = three.connect().await;
    for client in &clients {
        client.call("1", "a_count", "{}").await.unwrap();
    }
    let mut stream = clients[1].listen(None).await.unwrap();
    let added = r#"{"name":"added","inputSchema":{"type":"object"}}"#;
    three.backend.add(Kind::Tools, added, fixed(Answer::text("new"))).await;
    let told = stream.message().await.unwrap().unwrap();
    assert_eq!(told.method().unwrap(), "notifications/tools/list_changed");
    for client in &clients {
        eventually("the tool is listed", async || {
            let list = client.request("2", "tools/list", "{}").await.unwrap();
            list.keys("tools", "name").unwrap().contains(&"a_added".to_owned()).then_some(())
        })
        .await;
        assert_eq!(client.call("3", "a_added", "{}").await.unwrap().text().unwrap(), "new");
    }
    let again = timeout(Duration::from_secs(1), stream.message()).await;
    assert!(again.is_err(), "told again: {again:?}");
}

/// All tools, each page listed by the next of these. `None` if the list has changed meanwhile.
async fn listed(by: impl IntoIterator<Item = &Client>) -> Option<Vec<String>> {
    let (mut names, mut params) = (Vec::new(), "{}".to_owned());
    for client in by {
        let page = client.request("2", "tools/list", &params).await.unwrap();
        names.extend(page.keys("tools", "name").ok()?);
        match page.json()["result"]["nextCursor"].as_str() {
            Some(next) => params = format!(r#"{{"cursor":"{next}"}}"#),
            None => return Some(names),
        }
    }
    unreachable!("there is always another one")
}

/// The replica that is asked for the next page may not have heard yet of what the first page is of.
#[tokio::test]
async fn a_cursor_is_good_on_every_replica_as_soon_as_it_was_given() {
    let mut backend = peers::stateful();
    for number in 0..10 {
        let tool = format!(r#"{{"name":"more{number}","inputSchema":{{"type":"object"}}}}"#);
        backend = backend.offer(Kind::Tools, &tool, fixed(Answer::text("one")));
    }
    let three = Three::with(backend, |gateway| {
        gateway.aggregation("conflictResolution: prefix\nconflictResolutionConfig: {prefixFormat: '{workload}_'}\npageSize: 3")
    })
    .await;
    let clients = three.connect().await;
    for client in &clients {
        client.request("1", "tools/list", "{}").await.unwrap();
    }
    for round in 0..12_usize {
        let (added, knows) = (format!("added{round}"), &clients[round % 3]);
        let tool = format!(r#"{{"name":"{added}","inputSchema":{{"type":"object"}}}}"#);
        three.backend.add(Kind::Tools, &tool, fixed(Answer::text("new"))).await;
        let all = eventually("one of them lists it", async || {
            let all = listed(repeat(knows)).await?;
            all.contains(&format!("a_{added}")).then_some(all)
        });
        let all = all.await;
        let others = repeat(&clients).flatten().skip(round % 3);
        assert_eq!(listed(others).await.as_ref(), Some(&all), "round {round}");
    }
}
