//! Questions that are open when Redis goes away.

use tokio::time::{Duration, sleep};
use vmcp_testkit::{
    client::Client,
    cluster::{Relay, Silent},
    gateway::{Gateway, eventually},
    peers,
    redis::RedisServer,
};

use crate::cluster::{of_each, over};

const ANSWER: &str = r#"{"action":"accept","content":{"name":"Ann"}}"#;

/// Where the call is, an answer is delivered during the outage; elsewhere it is refused and may be
/// sent again.
#[tokio::test]
async fn an_answer_during_an_outage_is_delivered_or_refused() {
    let backend = peers::asking().start().await.unwrap();
    let redis = RedisServer::start().await.unwrap();
    let gateway = || over(Gateway::before(&[("a", backend.url())]), &redis.address(), "").yaml();
    let cluster = of_each([gateway(), gateway()]).await;
    let clients = [
        Client::connect(&cluster.url_of(0)).await.unwrap(),
        Client::connect(&cluster.url_of(0)).await.unwrap(),
    ];
    let (mut calls, mut questions) = (Vec::new(), Vec::new());
    for client in &clients {
        let mut call = client.open_call("1", "a_ask_form", "{}").await.unwrap();
        questions.push(call.message().await.unwrap().unwrap());
        calls.push(call);
    }
    let elsewhere = clients[1].at(&cluster.url_of(1));
    redis.pause().unwrap();
    assert_eq!(clients[0].answer(&questions[0], ANSWER).await.unwrap(), 202);
    assert_eq!(elsewhere.answer(&questions[1], ANSWER).await.unwrap(), 503);
    let answer = calls[0].answer("1").await.unwrap();
    assert!(answer.result().unwrap().contains("Ann"), "{answer:?}");
    redis.resume().unwrap();
    eventually("it can be sent again", async || {
        (elsewhere.answer(&questions[1], ANSWER).await.unwrap() == 202).then_some(())
    })
    .await;
    let answer = calls[1].answer("1").await.unwrap();
    assert!(answer.result().unwrap().contains("Ann"), "{answer:?}");
    assert_eq!(backend.counters().stray_answers(), 0);
}

/// It was delivered while its replica could not say so.
#[tokio::test]
async fn an_answer_that_was_delivered_while_cut_off_is_not_delivered_again() {
    let backend = peers::asking().start().await.unwrap();
    let redis = RedisServer::start().await.unwrap();
    let relay = Relay::to(redis.port()).await.unwrap();
    let configurations = [relay.address(), redis.address()]
        .map(|address| over(Gateway::before(&[("a", backend.url())]), &address, "").yaml());
    let cluster = of_each(configurations).await;
    let client = Client::connect(&cluster.url_of(0)).await.unwrap();
    let elsewhere = client.at(&cluster.url_of(1));
    let mut call = client.open_call("1", "a_ask_form", "{}").await.unwrap();
    let question = call.message().await.unwrap().unwrap();
    relay.silence(Silent::Everything);
    assert_eq!(client.answer(&question, ANSWER).await.unwrap(), 202);
    call.answer("1").await.unwrap();
    relay.silence(Silent::Nothing);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(elsewhere.answer(&question, ANSWER).await.unwrap(), 202);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(backend.counters().stray_answers(), 0);
}
