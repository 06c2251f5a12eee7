//! What pods report in the status of their VirtualMCPServer, to a real API server.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;
use vmcp_testkit::{
    gateway::eventually,
    kubernetes::{objects, tally},
    redis::RedisServer,
};

use super::{
    discovered::{Cluster, backend, pod, server},
    fixture::{Pod, Running},
};

/// The pod of a replica that reports at each second.
fn replica(cluster: &Cluster, name: &str) -> Pod {
    pod()
        .edited("statusReportingInterval: 30s", "statusReportingInterval: 1s")
        .edited("healthCheckInterval: 30s", "healthCheckInterval: 1s")
        .edited("unhealthyThreshold: 3", "unhealthyThreshold: 1")
        .in_cluster(&cluster.pod)
        .having("HOSTNAME", name)
}

async fn status(cluster: &Cluster) -> Value {
    cluster.namespace.get("virtualmcpservers/desk").await.unwrap()["status"].clone()
}

/// The phase, how many are ready, and each backend with its state and message.
fn said(status: &Value) -> Value {
    let backends = status["discoveredBackends"].as_array().cloned().unwrap_or_default();
    let backends = backends
        .iter()
        .map(|backend| json!([backend["name"], backend["status"], backend["message"]]));
    json!([status["phase"], status["backendCount"], backends.collect::<Vec<_>>()])
}

/// Waits until the status says so.
async fn until(cluster: &Cluster, running: &[&Running], expected: Value) -> Value {
    eventually(&format!("the status says {expected}"), async || {
        let status = status(cluster).await;
        if said(&status) == expected {
            return Some(status);
        }
        let logs: Vec<_> = running.iter().map(|running| running.process.log()).collect();
        assert!(logs.iter().all(|log| !log.contains("panicked")), "{logs:?}");
        None
    })
    .await
}

/// Waits until nobody writes the object: one may still have something to say that changes nothing for others.
async fn settled(cluster: &Cluster) {
    let mut before = json!(null);
    loop {
        let object = cluster.namespace.get("virtualmcpservers/desk").await.unwrap();
        let version = &object["metadata"]["resourceVersion"];
        if std::mem::replace(&mut before, version.clone()) == *version {
            return;
        }
        sleep(Duration::from_secs(8)).await;
    }
}

/// The lines that replicas keep in the status.
fn lines(status: &Value) -> String {
    condition(status, "VMCPReplicas").map(|kept| kept["message"].to_string()).unwrap_or_default()
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    let mut conditions = status["conditions"].as_array()?.iter();
    conditions.find(|condition| condition["type"] == kind)
}

#[tokio::test]
async fn the_status_says_how_backends_are() {
    let cluster = Cluster::start().await;
    let (maps, notes) = (backend().await, backend().await);
    cluster.apply(server("maps", &maps)).await;
    cluster.apply(server("notes", &notes)).await;
    let running = replica(&cluster, "desk-1").start().await;
    let both = json!(["Ready", 2, [["maps", "ready", "Healthy"], ["notes", "ready", "Healthy"]]]);
    let status_now = until(&cluster, &[&running], both.clone()).await;
    let first = &status_now["discoveredBackends"][0];
    assert_eq!((&first["url"], &first["mcpRevision"]), (&json!(maps.url()), &json!("2025-11-25")));
    assert_eq!(first["circuitBreakerState"], "closed");
    assert!(first["lastHealthCheck"].is_string(), "{first}");
    assert_eq!(condition(&status_now, "Ready").unwrap()["status"], "True");
    assert_eq!(condition(&status_now, "BackendsDiscovered").unwrap()["status"], "True");
    // What the operator keeps there is left as it is.
    assert!(condition(&status_now, "GroupRefValidated").is_some(), "{status_now}");
    assert!(status_now["url"].is_string());
    // One that is gone takes its place in the status with it, and one that is out is told.
    cluster.namespace.delete("mcpservers/notes").await.unwrap();
    until(&cluster, &[&running], json!(["Ready", 1, [["maps", "ready", "Healthy"]]])).await;
    drop(maps);
    let out = eventually("the status says that maps is out", async || {
        let status = status(&cluster).await;
        (status["discoveredBackends"][0]["status"] == "unavailable").then_some(status)
    })
    .await;
    assert_eq!(out["backendCount"], 0, "{out}");
    assert_ne!(out["phase"], "Ready");
    assert_eq!(condition(&out, "Ready").unwrap()["status"], "False");
    assert!(out["discoveredBackends"][0]["consecutiveFailures"].as_u64() > Some(0), "{out}");
    // Who goes in order takes its line along.
    assert!(lines(&out).contains("desk-1"));
    let ended = running.process.terminate().await.unwrap();
    assert_eq!(ended.code(), Some(0));
    let left = status(&cluster).await;
    assert!(!lines(&left).contains("desk-1"), "{left}");
    assert_eq!(said(&left), json!(["Pending", 0, [["maps", "unknown", null]]]));
    assert_eq!(left["message"], "no replica is running");
    assert_eq!(condition(&left, "Ready").unwrap()["status"], "False");
}

/// What is missing is told where users look who may not read logs.
#[tokio::test]
async fn the_status_says_what_a_server_waits_for() {
    let cluster = Cluster::start().await;
    let maps = backend().await;
    let role = format!(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles/desk-vmcp",
        cluster.namespace.name()
    );
    let admin = cluster.server.admin();
    let rules = admin.get(&role).await.unwrap()["rules"].clone();
    let all = rules.as_array().unwrap();
    let reports = |rule: &&Value| rule["resources"].to_string().contains("virtualmcpservers");
    let of_status: Vec<_> = all.iter().filter(reports).collect();
    admin.merge_patch(&role, &json!({"rules": of_status})).await.unwrap();
    cluster.namespace.delete("mcpgroups/office").await.unwrap();
    let waiting = replica(&cluster, "desk-1").begin().await;
    let pending = async |message: &str| {
        eventually(&format!("the status says {message}"), async || {
            let status = status(&cluster).await;
            let is_said = status["message"].as_str().is_some_and(|said| said.contains(message));
            (is_said && status["phase"] == "Pending").then_some(())
        })
        .await;
    };
    pending("have not been looked up: the service account may not watch mcpgroups").await;
    admin.merge_patch(&role, &json!({"rules": rules})).await.unwrap();
    pending("the MCPGroup office does not exist").await;
    cluster.apply(objects::group("office")).await;
    cluster.apply(server("maps", &maps)).await;
    until(&cluster, &[&waiting], json!(["Ready", 1, [["maps", "ready", "Healthy"]]])).await;
}

#[tokio::test]
async fn replicas_that_see_different_things_say_one_thing() {
    let cluster = Cluster::start().await;
    let (maps, notes) = (backend().await, backend().await);
    cluster.apply(server("notes", &notes)).await;
    let elsewhere = maps.url().replace("127.0.0.1", "maps.example");
    cluster.apply(objects::server("maps", "office", &elsewhere)).await;
    // The name leads one of them to the backend, and the other to nobody.
    let knowing = |name, address| {
        replica(&cluster, name)
            .holding(
                "/etc/hosts",
                &format!(
                    "{address} maps.example
"
                ),
            )
            .holding(
                "/etc/nsswitch.conf",
                "hosts: files
",
            )
    };
    let one = knowing("desk-1", "127.0.0.1").start().await;
    let other = knowing("desk-2", "127.0.0.2").begin().await;
    let steady = json!([
        "Degraded",
        1,
        [["maps", "degraded", "ready on 1 of 2 replicas"], ["notes", "ready", "Healthy"],]
    ]);
    let status_now = until(&cluster, &[&one, &other], steady.clone()).await;
    settled(&cluster).await;
    let version = async || {
        let object = cluster.namespace.get("virtualmcpservers/desk").await.unwrap();
        assert_eq!(said(&object["status"]), steady, "it flaps");
        object["metadata"]["resourceVersion"].clone()
    };
    // Nothing is written while nothing changes.
    let before = version().await;
    let requests = cluster.server.requests(&cluster.pod.account()).unwrap().len();
    for _ in 0..10 {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(version().await, before);
    }
    let all = cluster.server.requests(&cluster.pod.account()).unwrap();
    let since = tally(&all[requests..]);
    assert!(since.keys().all(|what| what == "get virtualmcpservers"), "{since:?}");
    assert!(condition(&status_now, "Degraded").is_some(), "{status_now}");
    for replica in [one, other] {
        replica.process.terminate().await.unwrap();
    }
}

/// They say in their Redis that they live, so a line of one that does not is taken out soon, not after a quarter of an
/// hour.
#[tokio::test]
async fn replicas_that_share_a_redis_see_at_once_who_is_gone() {
    let cluster = Cluster::start().await;
    let maps = backend().await;
    cluster.apply(server("maps", &maps)).await;
    let redis = RedisServer::start().await.unwrap();
    // Each pod has an address of its own; these two share one.
    let storage = format!(
        "sessionStorage: {{provider: redis, address: '{}', keyPrefix: 'desk:'}}\npeer: {{listen: '127.0.0.1:0'}}\n",
        redis.address()
    );
    let start = async |name| replica(&cluster, name).followed_by(&storage).start().await;
    let (one, other) = (start("desk-1").await, start("desk-2").await);
    until(&cluster, &[&one, &other], json!(["Ready", 1, [["maps", "ready", "Healthy"]]])).await;
    let both = |status: &Value| {
        let lines = lines(status);
        ["desk-1", "desk-2"].map(|replica| lines.contains(replica))
    };
    eventually("both have a line", async || {
        (both(&status(&cluster).await) == [true, true]).then_some(())
    })
    .await;
    settled(&cluster).await;
    other.process.kill().await.unwrap();
    eventually("the line of the one that was killed is gone", async || {
        (both(&status(&cluster).await) == [true, false]).then_some(())
    })
    .await;
    one.process.terminate().await.unwrap();
}
