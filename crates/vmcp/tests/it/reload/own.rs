//! What is a session's own when the configuration changes.

use vmcp_testkit::{
    gateway::{Gateway, eventually},
    peers,
    raw::Running,
};

use super::{connect, next, quiet, reloaded, serve, text, tools};

async fn unlocking() -> Running {
    peers::unlocking().0.start().await.unwrap()
}

/// A rule about what only one session is shown is no matter of the view's.
#[tokio::test]
async fn other_rules_hold_for_it_too() {
    let backend = unlocking().await;
    let gateway = Gateway::before(&[("a", backend.url())]);
    let process = serve(&gateway).await;
    let client = connect(&process).await;
    let mut get = client.listen(None).await.unwrap();
    assert_eq!(text(&client, "a_unlock").await, "done");
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    assert_eq!(tools(&client).await, ["a_unlock", "a_lock", "a_secret"]);
    let renamed = "conflictResolution: prefix\nconflictResolutionConfig: {prefixFormat: '{workload}_'}\ntools: [{workload: a, overrides: {secret: {name: treasure}}}]";
    reloaded(&process, &gateway.clone().aggregation(renamed)).await;
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    assert_eq!(tools(&client).await, ["a_unlock", "a_lock", "a_treasure"]);
    assert_eq!(text(&client, "a_treasure").await, "the secret");
    let hidden = "conflictResolution: prefix\nconflictResolutionConfig: {prefixFormat: '{workload}_'}\ntools: [{workload: a, filter: [lock, unlock]}]";
    reloaded(&process, &gateway.clone().aggregation(hidden)).await;
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    assert_eq!(tools(&client).await, ["a_unlock", "a_lock"]);
    let refused = client.call("3", "a_treasure", "{}").await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32602);
    reloaded(&process, &gateway).await;
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    assert_eq!(text(&client, "a_secret").await, "the secret");
    quiet(&mut get).await;
}

#[tokio::test]
async fn it_goes_with_the_backend_that_has_listed_it() {
    let (old, new, other) = (unlocking().await, unlocking().await, unlocking().await);
    let process = serve(&Gateway::before(&[("a", old.url()), ("b", other.url())])).await;
    let client = connect(&process).await;
    for tool in ["a_unlock", "b_unlock"] {
        assert_eq!(text(&client, tool).await, "done");
    }
    let both = ["a_unlock", "a_lock", "a_secret", "b_unlock", "b_lock", "b_secret"];
    assert_eq!(tools(&client).await, both);
    let mut get = client.listen(None).await.unwrap();
    // Another server of the same name and with the same lists.
    reloaded(&process, &Gateway::before(&[("a", new.url()), ("b", other.url())])).await;
    assert_eq!(next(&mut get).await, "notifications/tools/list_changed");
    let one = ["a_unlock", "a_lock", "b_unlock", "b_lock", "b_secret"];
    eventually("it is gone", async || (tools(&client).await == one).then_some(())).await;
    let refused = client.call("3", "a_secret", "{}").await.unwrap();
    assert_eq!(refused.error_code().unwrap(), -32602);
    assert_eq!(text(&client, "b_secret").await, "the secret");

    reloaded(&process, &Gateway::before(&[("a", new.url())])).await;
    eventually("the other is gone", async || {
        (tools(&client).await == ["a_unlock", "a_lock"]).then_some(())
    })
    .await;
}
