//! Programs and connections of HTTP+SSE that one replica holds, used from the others.

use std::{fs, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use vmcp_testkit::{
    CHILD,
    client::{Client, Message, Response},
    cluster::Cluster,
    gateway::{Gateway, eventually},
    redis::RedisServer,
};

use super::{over, replicated};
use crate::programs::{Child, children_of};

const REPLICAS: usize = 3;

const SESSIONS: usize = 100;

/// What the issue allows until a holder that is gone is told of.
const NOTICED: Duration = Duration::from_secs(1);

/// Replicas that reach each other, before a program that counts.
async fn counting(redis: &RedisServer) -> Cluster {
    let gateway =
        Gateway::before(&[]).backend(&format!("name: kid, command: python3, args: ['{CHILD}']"));
    let gateway = gateway.with("peer: {listen: '127.0.0.1:0'}");
    let cluster = replicated(REPLICAS, &over(gateway, &redis.address(), "")).await;
    for replica in 0..REPLICAS {
        let client = Client::connect(&cluster.url_of(replica)).await.unwrap();
        eventually("the program's tools are known", async || {
            let list = client.request("1", "tools/list", "{}").await.unwrap();
            list.keys("tools", "name").unwrap().contains(&"kid_count".to_owned()).then_some(())
        })
        .await;
    }
    cluster
}

/// What comes next on a stream, if it comes soon.
async fn soon(stream: &mut Response) -> Option<Message> {
    timeout(Duration::from_secs(1), stream.message()).await.ok()?.unwrap()
}

async fn count(client: &Client, id: &str) -> Result<u64, String> {
    let answer = client.call(id, "kid_count", "{}").await.unwrap();
    match answer.error() {
        Ok(why) => Err(why.to_owned()),
        Err(_) => Ok(answer.text().unwrap().parse().unwrap()),
    }
}

/// The same session on each replica, with a program that the first one holds.
async fn held_by_first(cluster: &Cluster) -> [Client; 3] {
    let client = Client::connect(&cluster.url_of(0)).await.unwrap();
    assert_eq!(count(&client, "1").await, Ok(1));
    [0, 1, 2].map(|replica| client.at(&cluster.url_of(replica)))
}

#[tokio::test]
async fn a_conversation_with_a_program_is_the_same_on_another_replica() {
    let redis = RedisServer::start().await.unwrap();
    let cluster = counting(&redis).await;
    let [first, second, third] = held_by_first(&cluster).await;
    let pid = first.call("2", "kid_pid", "{}").await.unwrap().text().unwrap();
    assert_eq!(second.call("3", "kid_pid", "{}").await.unwrap().text().unwrap(), pid);

    let mut asking = second.open_call("7", "kid_ask", "{}").await.unwrap();
    let question = asking.message().await.unwrap().unwrap();
    assert_eq!(question.method().unwrap(), "sampling/createMessage");
    let sample = r#"{"role":"assistant","content":{"type":"text","text":"4"},"model":"m"}"#;
    assert_eq!(third.answer(&question, sample).await.unwrap(), 202);
    assert!(asking.answer("7").await.unwrap().text().unwrap().contains("assistant"));

    let params = r#"{"name":"kid_progress","arguments":{"steps":3},"_meta":{"progressToken":"p"}}"#;
    let answer = second.request("8", "tools/call", params).await.unwrap();
    let steps: Vec<_> = answer.before.iter().map(|m| m.json()["params"].clone()).collect();
    assert_eq!(steps.len(), 3, "{steps:?}");
    assert!(steps.iter().all(|step| step["progressToken"] == "p"), "{steps:?}");
    let logged = third.call("9", "kid_log", "{}").await.unwrap();
    assert_eq!(logged.before[0].method().unwrap(), "notifications/message");

    // What is large, both ways.
    let big = second.call("10", "kid_big", r#"{"bytes":3000000}"#).await.unwrap();
    assert_eq!(big.text().unwrap().len(), 3_000_000);
    let long = "y".repeat(2_000_000);
    let echoed = third.call("11", "kid_echo", &format!(r#"{{"text":"{long}"}}"#)).await.unwrap();
    assert_eq!(echoed.text().unwrap(), long);

    // A call is cancelled on another replica than the one that has it.
    let calling = second.open_call("12", "kid_sleep", r#"{"ms":3000}"#);
    let cancelling = async {
        sleep(Duration::from_millis(500)).await;
        let params = r#"{"requestId":12,"reason":"bored"}"#;
        assert_eq!(third.notify("notifications/cancelled", params).await.unwrap(), 202);
    };
    let (cancelled, ()) = tokio::join!(calling, cancelling);
    assert!(cancelled.unwrap().answer("12").await.unwrap().error().unwrap().contains("cancelled"));
    let told = eventually("the program was told", async || {
        let told = first.call("13", "kid_cancelled", "{}").await.unwrap().text().unwrap();
        (told != "[]").then_some(told)
    });
    // By the name that the call has there: another replica may have one with the client's id.
    assert!(told.await.contains("vmcp-"));
    assert_eq!(count(&third, "14").await, Ok(2));
}

#[tokio::test]
async fn what_a_program_says_by_itself_reaches_the_stream_on_another_replica() {
    let redis = RedisServer::start().await.unwrap();
    let cluster = counting(&redis).await;
    let [_, second, third] = held_by_first(&cluster).await;
    let mut stream = third.listen(None).await.unwrap();
    let uri = r#"{"uri":"child://one"}"#;
    // It tells of an update whenever somebody subscribes; the third replica has to know of that first.
    let update = eventually("an update comes", async || {
        second.request("2", "resources/subscribe", uri).await.unwrap();
        soon(&mut stream).await
    });
    assert_eq!(update.await.method().unwrap(), "notifications/resources/updated");
    second.call("3", "kid_change", r#"{"late":true}"#).await.unwrap();
    eventually("a change of the list comes", async || {
        let method = soon(&mut stream).await?.method().unwrap().to_owned();
        (method == "notifications/tools/list_changed").then_some(())
    })
    .await;
}

/// Whoever ends the session has its program ended, wherever that is.
#[tokio::test]
async fn a_program_ends_with_its_session_on_another_replica() {
    let redis = RedisServer::start().await.unwrap();
    let cluster = counting(&redis).await;
    for ending in 0..REPLICAS {
        let at = held_by_first(&cluster).await;
        let pid = at[1].call("2", "kid_pid", "{}").await.unwrap().text().unwrap();
        assert!(fs::exists(format!("/proc/{pid}")).unwrap());
        assert_eq!(at[ending].delete().await.unwrap(), 200);
        eventually("the program has ended", async || {
            (!fs::exists(format!("/proc/{pid}")).unwrap()).then_some(())
        })
        .await;
    }
}

/// Counts on all replicas in turn, and begins at the one that is to hold the program.
async fn count_everywhere(session: usize, holder: usize, at: [Client; 3]) -> (usize, [Client; 3]) {
    assert_eq!(count(&at[holder], "0").await, Ok(1), "session {session}");
    for turn in 1..9_usize {
        let replica = (session * 7 + turn * 5) % REPLICAS;
        let counted = count(&at[replica], &turn.to_string()).await;
        assert_eq!(counted, Ok(turn as u64 + 1), "session {session} at {replica}");
    }
    (holder, at)
}

/// What a call is answered whose replica is killed, and when.
async fn call_for_ever(client: Client) -> (String, Instant) {
    let answer = client.call("99", "kid_sleep", r#"{"ms":60000}"#).await.unwrap();
    (answer.error().unwrap().to_owned(), Instant::now())
}

/// Counts on the replicas that are left. Gives how long it took to be told of the loss, if that was.
async fn go_on(session: usize, holder: usize, at: [Client; 3]) -> Option<Duration> {
    let (mut told, mut counts) = (Vec::new(), Vec::new());
    for turn in 10..20_usize {
        let began = Instant::now();
        match count(&at[1 + turn % 2], &turn.to_string()).await {
            Ok(count) => counts.push(count),
            Err(why) => told.push((why, began.elapsed())),
        }
    }
    if holder != 0 {
        assert_eq!((told.len(), counts), (0, (10..20).collect::<Vec<_>>()), "{told:?}");
        return None;
    }
    assert_eq!(counts, (1..=counts.len() as u64).collect::<Vec<_>>(), "{told:?}");
    // Whose call was cut off has been told.
    assert_eq!(told.len(), session % 2, "session {session}: {told:?}");
    let (why, took) = told.pop()?;
    assert!(why.contains("another replica") && why.contains("nothing was sent"), "{why}");
    Some(took)
}

#[tokio::test]
async fn a_program_is_used_from_any_replica_and_its_loss_is_told_once() {
    let redis = RedisServer::start().await.unwrap();
    let mut cluster = counting(&redis).await;
    let mut sessions = Vec::new();
    for session in 0..SESSIONS {
        let first = Client::connect(&cluster.url_of(session % REPLICAS)).await.unwrap();
        let at = [0, 1, 2].map(|replica| first.at(&cluster.url_of(replica)));
        sessions.push((session % REPLICAS, at));
    }
    let mut counting = JoinSet::new();
    for (session, (holder, at)) in sessions.into_iter().enumerate() {
        counting.spawn(count_everywhere(session, holder, at));
    }
    let sessions = counting.join_all().await;
    let programs = children_of(cluster.replica(0).pid());
    assert!(programs.len() > SESSIONS / REPLICAS, "{}", programs.len());
    // Of some, a call is under way there that another replica has.
    let mut cut = JoinSet::new();
    for (session, (holder, at)) in sessions.iter().enumerate() {
        if session % 2 == 0 && *holder == 0 {
            cut.spawn(call_for_ever(at[1].clone()));
        }
    }
    sleep(Duration::from_millis(500)).await;
    let killed = Instant::now();
    cluster.kill(0).await.unwrap();
    let mut cut_off = 0;
    for (why, at) in cut.join_all().await {
        assert!(why.contains("whether the call ran is unknown"), "{why}");
        assert!(at - killed < NOTICED, "{:?}", at - killed);
        cut_off += 1;
    }
    let mut going_on = JoinSet::new();
    for (session, (holder, at)) in sessions.into_iter().enumerate() {
        going_on.spawn(go_on(session, holder, at));
    }
    let told: Vec<_> = going_on.join_all().await.into_iter().flatten().collect();
    let slowest = told.iter().max().unwrap();
    println!(
        "{cut_off} calls were cut off; {} more sessions were told within {slowest:?}",
        told.len()
    );
    assert!(*slowest < NOTICED, "{slowest:?}");
    eventually("no program is left of the replica that was killed", async || {
        let lives = |program: &Child| fs::exists(format!("/proc/{}", program.pid)).unwrap();
        (!programs.iter().any(lives)).then_some(())
    })
    .await;
}

/// A replica that ends in order finishes what others have there; what it held begins anew elsewhere.
#[tokio::test]
async fn calls_on_a_replica_that_ends_in_order_are_finished() {
    let redis = RedisServer::start().await.unwrap();
    let mut cluster = counting(&redis).await;
    let [_, second, third] = held_by_first(&cluster).await;
    let slow = second.clone();
    let calling =
        async move { slow.call("2", "kid_sleep", r#"{"ms":2500}"#).await.unwrap().text().unwrap() };
    let ending = async {
        sleep(Duration::from_millis(500)).await;
        let ended = cluster.terminate(0).await.unwrap();
        assert!(ended.success(), "{ended}");
    };
    let meanwhile = async {
        sleep(Duration::from_millis(1500)).await;
        let told = count(&third, "3").await.unwrap_err();
        assert!(told.contains("another replica"), "{told}");
        assert_eq!(count(&third, "4").await, Ok(1), "it begins anew, and nobody is told twice");
    };
    let (slept, (), ()) = tokio::join!(calling, ending, meanwhile);
    assert_eq!(slept, "slept");
    assert_eq!(count(&second, "5").await, Ok(2));
}

/// Clients may have one id under way twice; each call has its own answer.
#[tokio::test]
async fn calls_of_one_id_on_two_replicas_are_not_mixed_up() {
    let redis = RedisServer::start().await.unwrap();
    let cluster = counting(&redis).await;
    let at = held_by_first(&cluster).await;
    for _round in 0..20 {
        let answers = [0, 1, 2].map(|replica| {
            let client = at[replica].clone();
            async move {
                let text = format!(r#"{{"text":"of {replica}"}}"#);
                client.call("77", "kid_echo", &text).await.unwrap().text().unwrap()
            }
        });
        let [one, two, three] = answers;
        let answers = tokio::join!(one, two, three);
        assert_eq!(answers, ("of 0".into(), "of 1".into(), "of 2".into()));
    }
}

/// A call that another replica has on a program is not cut off by the end of the session.
#[tokio::test]
async fn a_call_is_finished_though_its_session_is_ended_meanwhile() {
    let redis = RedisServer::start().await.unwrap();
    let cluster = counting(&redis).await;
    for ending in 0..REPLICAS {
        let at = held_by_first(&cluster).await;
        let calling = at[1].call("2", "kid_sleep", r#"{"ms":1500}"#);
        let deleting = async {
            sleep(Duration::from_millis(500)).await;
            assert_eq!(at[ending].delete().await.unwrap(), 200);
        };
        let (answer, ()) = tokio::join!(calling, deleting);
        assert_eq!(answer.unwrap().text().unwrap(), "slept", "ended at {ending}");
    }
}
