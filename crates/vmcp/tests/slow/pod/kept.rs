//! What a pod keeps to itself, and what it goes on with: no secret of its own is shown to a backend that it finds, and a
//! file that cannot be used changes nothing.

use std::collections::BTreeSet;

use serde_json::Value;
use vmcp_testkit::{client::fetch, gateway::eventually, kubernetes::objects, process::Process};

use super::{
    discovered::{
        Calls, Cluster, backend, calls_are, each_sees, key_of, pod, secret, seen, shown, tools,
    },
    fixture::{ENVIRONMENT, Pod},
    visit::{Caller, visit},
};

#[tokio::test]
async fn a_file_that_cannot_be_used_keeps_no_credential_alive() {
    let cluster = Cluster::start().await;
    let maps = backend().await;
    cluster.apply(key_of("keys")).await;
    cluster.apply(secret("val-one-7f3a")).await;
    cluster.apply(shown("maps", &maps)).await;
    let mut running = served().in_cluster(&cluster.pod).start().await;
    let visit =
        visit(&running.process, Caller::default(), &["maps_count", "maps_slow"], &["maps_count"])
            .await;
    running.exchange(&served().edited("name: desk", "name: [").in_cluster(&cluster.pod));
    running.process.logged("the configuration was not reloaded").await;
    cluster.namespace.delete("secrets/keys").await.unwrap();
    calls_are(&visit, Calls::Refused).await;
    cluster.apply(secret("val-two-91bc")).await;
    calls_are(&visit, Calls::Answered).await;
    // What was found since does not make it a good one.
    let status = reloaded(&running.process).await;
    assert_eq!(status["succeeded"], false, "{status}");
    assert!(!status["problem"].is_null(), "{status}");
    let told = |line: &str| running.process.log().matches(line).count();
    assert_eq!(told("the configuration was not reloaded"), 1);
    // Nor does one that would have its backends elsewhere: that is for the next start.
    let inline = served().edited("source: discovered", "source: inline").followed_by(
        "backends: [{name: other, url: 'http://127.0.0.1:9/mcp', transport: streamable-http}]\n",
    );
    running.exchange(&inline.in_cluster(&cluster.pod));
    running.process.logged("counts from a start on").await;
    assert_eq!(seen(&running.process).await, tools(&["maps"]));
    cluster.namespace.delete("secrets/keys").await.unwrap();
    calls_are(&visit, Calls::Refused).await;
    // Nor one of another group, and none of its backends come with the next change.
    let others = backend().await;
    cluster.apply(objects::server("others", "other", &others.url())).await;
    running
        .exchange(&served().edited("groupRef: office", "groupRef: other").in_cluster(&cluster.pod));
    running.process.logged("groupRef is another than at the start").await;
    cluster.apply(secret("val-three-d04e")).await;
    calls_are(&visit, Calls::Answered).await;
    assert_eq!(seen(&running.process).await, tools(&["maps"]));
    assert_eq!(reloaded(&running.process).await["succeeded"], false);
    running.exchange(&served().in_cluster(&cluster.pod));
    eventually("the file can be used again", async || {
        (reloaded(&running.process).await["succeeded"] == true).then_some(())
    })
    .await;
}

/// The pod, with a listener for operators.
fn served() -> Pod {
    pod().followed_by("admin: {listen: '127.0.0.1:0'}\n")
}

/// What operators are told of the last reload.
async fn reloaded(process: &Process) -> Value {
    let log = process.logged("serving operators").await;
    let line = log.lines().find(|line| line.contains("serving operators")).unwrap();
    let (_, url) = line.split_once("http://").unwrap();
    let (address, _) = url.split_once("/status").unwrap();
    let (status, body) = fetch(&format!("http://{address}/status")).await.unwrap();
    assert_eq!(status, 200);
    serde_json::from_slice::<Value>(&body).unwrap()["reload"].clone()
}

/// The keys of its sessions above all, whatever their Secret is called.
#[tokio::test]
async fn what_vmcp_lives_by_is_shown_to_no_backend() {
    let cluster = Cluster::start().await;
    let maps = backend().await;
    let own = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
    assert_eq!(ENVIRONMENT[2], ("VMCP_SESSION_HMAC_SECRET", own));
    cluster.apply(key_of("keys")).await;
    cluster.apply(objects::secret("keys", &[("value", "harmless"), ("else", own)])).await;
    cluster.apply(shown("maps", &maps)).await;
    let running = cluster.run().await;
    running.process.logged("the Secret keys is shown no backend").await;
    cluster.apply(key_of("other-hmac-secret")).await;
    cluster.apply(objects::secret("other-hmac-secret", &[("value", "of-another")])).await;
    running.process.logged("the Secret other-hmac-secret is shown no backend").await;
    cluster.apply(objects::secret("plain", &[("value", "of-nobody")])).await;
    cluster.apply(key_of("plain")).await;
    eventually("it is called with another Secret", async || {
        let both = each_sees(&running.process).await;
        both.iter().all(|seen| *seen == tools(&["maps"])).then_some(())
    })
    .await;
    let shown = maps.seen().into_iter().filter_map(|seen| seen.headers.get("x-key").cloned());
    let shown: BTreeSet<_> = shown.map(|held| held.to_str().unwrap().to_owned()).collect();
    assert_eq!(shown, ["of-nobody".to_owned()].into());
}
