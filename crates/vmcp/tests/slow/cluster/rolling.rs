//! Replicas are given another configuration one after the other: for a while their files differ.

use rustix::process::Signal;
use vmcp_testkit::{
    client::Client,
    cluster::Cluster,
    gateway::{Gateway, eventually},
    peers,
    redis::RedisServer,
};

use super::{over, replicated};

async fn tools(client: &Client) -> Vec<String> {
    client.request("1", "tools/list", "{}").await.unwrap().keys("tools", "name").unwrap()
}

async fn until(client: &Client, expected: &[&str]) {
    let what = format!("the tools are {expected:?}");
    eventually(&what, async || (tools(client).await == expected).then_some(())).await;
}

fn reload(cluster: &Cluster, replica: usize, gateway: &Gateway) {
    cluster.replica(replica).write_config(&gateway.yaml()).unwrap();
    cluster.replica(replica).signal(Signal::HUP).unwrap();
}

/// A session that begins while they differ, and is used on both, is the same on both in the end.
#[tokio::test]
async fn sessions_that_begin_while_files_differ_are_the_same_everywhere_in_the_end() {
    let [a, b] =
        [peers::stateful().start().await.unwrap(), peers::stateful().start().await.unwrap()];
    let redis = RedisServer::start().await.unwrap();
    let (before, after) = ([("a", a.url())], [("a", a.url()), ("b", b.url())]);
    let [before, after] =
        [&before[..], &after].map(|backends| over(Gateway::before(backends), &redis.address(), ""));
    let cluster = replicated(2, &before).await;
    let (old, new) = (["a_slow", "a_count"], ["a_slow", "a_count", "b_slow", "b_count"]);
    // Both know what is offered.
    for replica in [0, 1] {
        until(&Client::connect(&cluster.url_of(replica)).await.unwrap(), &old).await;
    }
    reload(&cluster, 0, &after);
    until(&Client::connect(&cluster.url_of(0)).await.unwrap(), &new).await;

    let mut begun = Vec::new();
    for _session in 0..5 {
        let first = Client::connect(&cluster.url_of(0)).await.unwrap();
        let second = first.at(&cluster.url_of(1));
        assert_eq!(tools(&first).await, new);
        // The other replica shows what its file says, and may write that into the record.
        assert_eq!(second.call("2", "a_count", "{}").await.unwrap().text().unwrap(), "1");
        begun.push((first, second));
    }
    reload(&cluster, 1, &after);
    // The sessions may show there what the record says before the backend can be called.
    until(&Client::connect(&cluster.url_of(1)).await.unwrap(), &new).await;
    for (first, second) in &begun {
        until(second, &new).await;
        until(first, &new).await;
        let text = async |client: &Client| {
            client.call("3", "b_count", "{}").await.unwrap().text().unwrap()
        };
        assert_eq!((text(first).await, text(second).await), ("1".into(), "2".into()));
    }
}
