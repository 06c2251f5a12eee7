//! Backends that a pod finds in its cluster, by a real API server: they come, go and change while clients are there.

use std::{collections::BTreeSet, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use vmcp_testkit::{
    client::fetch,
    gateway::eventually,
    kubernetes::{self, ApiServer, Namespace, Rights, objects},
    peers,
    process::Process,
    raw,
};

use super::{
    fixture::{Pod, Running},
    visit::{Caller, Visit, visit},
};

/// Within this a change of the cluster is right for new sessions, and told to open ones.
const SOON: Duration = Duration::from_secs(2);

/// Within this a pod has caught up when the API server is back.
const CAUGHT_UP: Duration = Duration::from_secs(10);

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A namespace with a group, and the pod of a virtual server in it.
pub(super) struct Cluster {
    pub(super) server: ApiServer,
    pub(super) namespace: Namespace,
    pub(super) pod: kubernetes::Pod,
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let server = ApiServer::start().await.unwrap();
        let namespace = server.namespace().await.unwrap();
        namespace.apply(objects::group("office")).await.unwrap();
        namespace.apply(objects::virtual_server("desk", "office")).await.unwrap();
        let pod = namespace.pod("desk", Rights::Discovered).await.unwrap();
        Self { server, namespace, pod }
    }

    pub(super) async fn apply(&self, object: Value) {
        self.namespace.apply(object).await.unwrap();
    }

    /// Starts vmcp in the pod.
    pub(super) async fn run(&self) -> Running {
        pod().in_cluster(&self.pod).start().await
    }
}

/// The smallest pod, which serves while a backend is out.
pub(super) fn pod() -> Pod {
    Pod::read("discovered").edited("partialFailureMode: fail", "partialFailureMode: best_effort")
}

/// A server of the group.
pub(super) fn server(name: &str, backend: &raw::Running) -> Value {
    objects::server(name, "office", &backend.url())
}

/// One that is shown a header, which a Secret holds.
pub(super) fn shown(name: &str, backend: &raw::Running) -> Value {
    let mut object = server(name, backend);
    object["spec"]["externalAuthConfigRef"] = json!({"name": "key"});
    object
}

pub(super) fn key_of(secret: &str) -> Value {
    let header = json!({"headerName": "X-Key", "valueSecretRef": {"name": secret, "key": "value"}});
    objects::auth_config("key", "headerInjection", header)
}

pub(super) fn secret(value: &str) -> Value {
    objects::secret("keys", &[("value", value)])
}

pub(super) async fn backend() -> raw::Running {
    peers::stateful().start().await.unwrap()
}

/// The tools that new sessions see, which are the same in both eras.
pub(super) async fn seen(process: &Process) -> BTreeSet<String> {
    let [legacy, modern] = each_sees(process).await;
    assert_eq!(legacy, modern);
    legacy
}

/// The tools that a new session of each era sees.
pub(super) async fn each_sees(process: &Process) -> [BTreeSet<String>; 2] {
    let mut legacy = Caller::default().legacy(process);
    legacy.initialize().await.unwrap().result().unwrap();
    let listed = legacy.request("1", "tools/list", "{}").await.unwrap();
    let listed: BTreeSet<_> = listed.keys("tools", "name").unwrap().into_iter().collect();
    let shown = Caller::default().modern(process).learn_tools().await.unwrap();
    let shown = shown.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect();
    [listed, shown]
}

/// The tools of these backends.
pub(super) fn tools(backends: &[&str]) -> BTreeSet<String> {
    let of = |backend: &&str| ["count", "slow"].map(|tool| format!("{backend}_{tool}"));
    backends.iter().flat_map(of).collect()
}

/// Those who are there are told within a time that the tools have changed, and new sessions see these then.
async fn changed(visit: &mut Visit, process: &Process, backends: &[&str]) {
    let began = Instant::now();
    let told = timeout(PATIENCE, visit.told()).await;
    assert!(told.is_ok(), "nobody is told\n{}", process.log());
    let told = began.elapsed();
    assert!(told < SOON, "{told:?}\n{}", process.log());
    assert_eq!(seen(process).await, tools(backends), "{}", process.log());
}

/// What becomes of calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Calls {
    Answered,
    Refused,
}

/// Calls go this way within a time, for clients of both eras.
pub(super) async fn calls_are(visit: &Visit, wanted: Calls) {
    let began = Instant::now();
    eventually("calls go as they must", async || {
        let legacy = visit.legacy.call("4", "maps_count", "{}").await.unwrap().text().is_ok();
        let modern = visit.modern.call("maps_count", json!({})).await.unwrap().text().is_ok();
        ([legacy, modern] == [wanted == Calls::Answered; 2]).then_some(())
    })
    .await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

/// The values of a header that a backend was shown with calls.
fn shown_with_calls(backend: &raw::Running) -> Vec<Option<String>> {
    let calls = backend.seen().into_iter().filter(|seen| seen.method == "tools/call");
    calls
        .map(|seen| seen.headers.get("x-key").map(|held| held.to_str().unwrap().to_owned()))
        .collect()
}

#[tokio::test]
async fn backends_come_move_and_go() {
    let cluster = Cluster::start().await;
    let (maps, notes) = (backend().await, backend().await);
    cluster.apply(server("maps", &maps)).await;
    let running = cluster.run().await;
    let process = &running.process;
    let mut visit =
        visit(process, Caller::default(), &["maps_count", "maps_slow"], &["maps_count"]).await;
    // Each kind comes.
    cluster.apply(objects::entry("notes", "office", &notes.url())).await;
    changed(&mut visit, process, &["maps", "notes"]).await;
    cluster.apply(objects::remote_proxy("far", "office", &maps.url())).await;
    changed(&mut visit, process, &["far", "maps", "notes"]).await;
    // One that is elsewhere is asked there.
    let calls = notes.counters().calls("count");
    cluster.apply(objects::remote_proxy("far", "office", &notes.url())).await;
    eventually("it is asked in its new place", async || {
        visit.legacy.call("3", "far_count", "{}").await.unwrap();
        (notes.counters().calls("count") > calls).then_some(())
    })
    .await;
    // Whatever its phase, it stays while it has a URL.
    let phase = json!({"status": {"phase": "Pending"}});
    cluster.namespace.merge_patch("mcpservers/maps/status", phase).await.unwrap();
    // Each goes: deleted, into another group, or not valid any more.
    cluster.namespace.delete("mcpremoteproxies/far").await.unwrap();
    changed(&mut visit, process, &["maps", "notes"]).await;
    let other = json!({"spec": {"groupRef": {"name": "other"}}});
    cluster.namespace.merge_patch("mcpservers/maps", other).await.unwrap();
    changed(&mut visit, process, &["notes"]).await;
    let invalid = json!({"status": {"phase": "Failed"}});
    cluster.namespace.merge_patch("mcpserverentries/notes/status", invalid).await.unwrap();
    changed(&mut visit, process, &[]).await;
    let (rest, log) = visit.end(running.process).await;
    assert!(rest.is_empty(), "{rest:?}\n{log}");
}

#[tokio::test]
async fn a_secret_counts_at_once_and_nothing_is_called_without_it() {
    let cluster = Cluster::start().await;
    let maps = backend().await;
    cluster.apply(key_of("keys")).await;
    cluster.apply(secret("val-one-7f3a")).await;
    cluster.apply(shown("maps", &maps)).await;
    let running = cluster.run().await;
    let process = &running.process;
    let visit =
        visit(process, Caller::default(), &["maps_count", "maps_slow"], &["maps_count"]).await;
    // Another value: the tools stay as they are, so nobody is told.
    let began = Instant::now();
    cluster.apply(secret("val-two-91bc")).await;
    eventually("the new value is shown", async || {
        visit.legacy.call("3", "maps_count", "{}").await.unwrap().text().unwrap();
        (shown_with_calls(&maps).last().unwrap().as_deref() == Some("val-two-91bc")).then_some(())
    })
    .await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    // None, and there again. The tools stay listed, as those of every backend do that is out.
    cluster.namespace.delete("secrets/keys").await.unwrap();
    calls_are(&visit, Calls::Refused).await;
    assert_eq!(seen(process).await, tools(&["maps"]));
    process.logged("the Secret keys does not exist").await;
    cluster.apply(secret("val-three-d04e")).await;
    calls_are(&visit, Calls::Answered).await;
    assert_eq!(shown_with_calls(&maps).last().unwrap().as_deref(), Some("val-three-d04e"));
    // Shown in another way, or in one that is not there.
    let other = objects::auth_config("key", "unauthenticated", json!({}));
    cluster.apply(other).await;
    eventually("it is shown nothing", async || {
        visit.legacy.call("6", "maps_count", "{}").await.unwrap().text().unwrap();
        shown_with_calls(&maps).last().unwrap().is_none().then_some(())
    })
    .await;
    cluster.namespace.delete("mcpexternalauthconfigs/key").await.unwrap();
    calls_are(&visit, Calls::Refused).await;
    let values: BTreeSet<_> = shown_with_calls(&maps).into_iter().collect();
    let expected = [None, Some("val-one-7f3a"), Some("val-two-91bc"), Some("val-three-d04e")];
    assert_eq!(values, expected.map(|value| value.map(str::to_owned)).into());
    let (_, log) = visit.end(running.process).await;
    for value in ["val-one-7f3a", "val-two-91bc", "val-three-d04e"] {
        assert!(!log.contains(value) && !log.contains(&STANDARD.encode(value)), "{log}");
    }
}

#[tokio::test]
async fn what_was_found_holds_while_the_api_server_is_away() {
    let mut cluster = Cluster::start().await;
    let (maps, notes) = (backend().await, backend().await);
    cluster.apply(server("maps", &maps)).await;
    let running = cluster.run().await;
    let process = &running.process;
    let mut visit =
        visit(process, Caller::default(), &["maps_count", "maps_slow"], &["maps_count"]).await;
    cluster.server.stop().await.unwrap();
    let log = process.logged("the API server cannot be asked; what was seen last holds").await;
    let told: Vec<_> = log.lines().filter(|line| line.contains("cannot be asked")).collect();
    assert!(told.len() == 1 && told[0].contains(&cluster.server.url()), "{told:?}");
    visit.legacy.call("3", "maps_count", "{}").await.unwrap().text().unwrap();
    assert_eq!(seen(process).await, tools(&["maps"]));
    let (status, _) = fetch(&process.url_of("/readyz")).await.unwrap();
    assert_eq!(status, 200);
    cluster.server.start_again().await.unwrap();
    cluster.apply(server("notes", &notes)).await;
    let began = Instant::now();
    let told = timeout(PATIENCE, visit.told()).await;
    assert!(told.is_ok(), "nobody is told\n{}", process.log());
    assert!(began.elapsed() < CAUGHT_UP, "{:?}\n{}", began.elapsed(), process.log());
    assert_eq!(seen(process).await, tools(&["maps", "notes"]));
    let log = process.logged("the API server answers again").await;
    assert_eq!(log.matches("answers again").count(), 1, "{log}");
    assert!(!log.contains("grant it"), "it refuses while it starts: {log}");
    let (rest, log) = visit.end(running.process).await;
    assert!(rest.is_empty(), "{rest:?}\n{log}");
}

#[tokio::test]
async fn a_pod_is_ready_when_all_was_listed_and_says_what_it_may_not() {
    let cluster = Cluster::start().await;
    let maps = backend().await;
    cluster.apply(server("maps", &maps)).await;
    let role = "roles/desk-vmcp";
    let path = format!(
        "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/{role}",
        cluster.namespace.name()
    );
    let admin = cluster.server.admin();
    let rules = admin.get(&path).await.unwrap()["rules"].clone();
    admin.merge_patch(&path, &json!({"rules": []})).await.unwrap();
    let waiting = pod().in_cluster(&cluster.pod).begin().await;
    let process = &waiting.process;
    let log = process.logged("grant it get, list and watch on").await;
    let told: Vec<_> = log.lines().filter(|line| line.contains("grant it")).collect();
    let all = "on mcpgroups, mcpservers, mcpremoteproxies, mcpserverentries, mcpexternalauthconfigs, secrets, configmaps";
    assert!(told.len() == 1 && told[0].contains(all), "{told:?}");
    assert!(told[0].contains(cluster.namespace.name()), "{told:?}");
    let (status, body) = fetch(&process.url_of("/readyz")).await.unwrap();
    assert_eq!(status, 503, "{body:?}");
    assert!(String::from_utf8_lossy(&body).contains("have not been looked up"), "{body:?}");
    admin.merge_patch(&path, &json!({"rules": rules})).await.unwrap();
    eventually("it is ready", async || {
        let (status, _) = fetch(&process.url_of("/readyz")).await.unwrap();
        (status == 200).then_some(())
    })
    .await;
    assert_eq!(seen(process).await, tools(&["maps"]));
}

/// How many backends a large group has, unless `VMCP_TEST_DISCOVERED` says how many.
const MANY: usize = 100;

/// For so long a pod at rest is watched.
const REST: Duration = Duration::from_secs(30);

/// So often it may ask the API server in that time: ten times a minute.
const AT_REST: usize = 5;

#[tokio::test]
async fn a_large_group_is_found_and_costs_little_at_rest() {
    let cluster = Cluster::start().await;
    let maps = backend().await;
    let many = many();
    for number in 0..many {
        cluster.apply(server(&format!("maps-{number:03}"), &maps)).await;
    }
    let began = Instant::now();
    let running = cluster.run().await;
    let process = &running.process;
    let (took, worked) = (began.elapsed(), process.cpu_time().unwrap());
    eventually("all are asked", async || {
        (maps.counters().requests("tools/list") >= many as u64).then_some(())
    })
    .await;
    let (all, cpu) = (began.elapsed(), process.cpu_time().unwrap());
    let memory = process.memory().unwrap() >> 20;
    println!(
        "{many} backends: ready after {took:?} ({worked:?} of CPU), all asked after {all:?} ({cpu:?}), {memory} MiB"
    );
    assert_eq!(seen(process).await.len(), 2 * many);
    assert!(memory < 512, "{memory} MiB");
    let asked = || cluster.server.requests(&cluster.pod.account()).unwrap();
    let before = asked().len();
    tokio::time::sleep(REST).await;
    let requests = kubernetes::tally(&asked().split_off(before));
    println!("at rest: {requests:?} in {REST:?}");
    assert!(requests.values().sum::<usize>() <= AT_REST, "{requests:?}");
}

#[expect(clippy::disallowed_methods, reason = "how many there are is no matter of configuration")]
fn many() -> usize {
    let wanted = std::env::var("VMCP_TEST_DISCOVERED").ok();
    wanted.map_or(MANY, |wanted| wanted.parse().expect("a number of backends"))
}

/// Every shape of a pod that finds its backends is served, with nothing but its rights.
#[tokio::test]
async fn every_shape_finds_its_backends() {
    let cluster = Cluster::start().await;
    let (maps, notes) = (backend().await, backend().await);
    cluster.apply(server("maps", &maps)).await;
    cluster.apply(server("notes", &notes)).await;
    for (case, expected) in [
        ("audit", tools(&["maps", "notes"])),
        ("operations", tools(&["maps", "notes"])),
        ("priority", ["count", "slow"].map(str::to_owned).into()),
    ] {
        let running = Pod::read(case).in_cluster(&cluster.pod).start().await;
        eventually(&format!("{case} finds them"), async || {
            let both = each_sees(&running.process).await;
            both.iter().all(|seen| *seen == expected).then_some(())
        })
        .await;
        assert!(running.process.terminate().await.unwrap().success());
    }
}

#[tokio::test]
async fn tokens_of_the_cluster_itself_are_good() {
    let cluster = Cluster::start().await;
    let maps = backend().await;
    cluster.apply(server("maps", &maps)).await;
    // As the operator writes it for accounts of the cluster.
    let issuer = cluster.server.url();
    let oidc = format!(
        "type: oidc
    oidc:
        issuer: {issuer}
        audience: desk
        resource: http://desk.example/mcp
        caBundlePath: /var/run/secrets/kubernetes.io/serviceaccount/ca.crt
        jwksAllowPrivateIp: true"
    );
    let running = pod().edited("type: anonymous", &oidc).in_cluster(&cluster.pod).start().await;
    let process = &running.process;
    // The API server gives its keys to nobody without a token.
    let anonymous = cluster.server.admin().anonymous();
    let keys = anonymous.send(http::Method::GET, "/openid/v1/jwks", None).await.unwrap();
    assert_eq!(keys.status, http::StatusCode::FORBIDDEN);
    let request = json!({
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": ["desk"], "expirationSeconds": 3600},
    });
    let path = cluster.namespace.path("serviceaccounts/desk-vmcp/token");
    let answer = cluster.server.admin().create(&path, &request).await.unwrap();
    let token = answer["status"]["token"].as_str().unwrap();
    let caller = Caller { token: Some(token), ..Caller::default() };
    let visit = visit(process, caller, &["maps_count", "maps_slow"], &["maps_count"]).await;
    let stranger = Caller { token: Some(cluster.pod.token()), ..Caller::default() };
    let refused = stranger.legacy(process).open("1", "ping", "{}").await.unwrap();
    assert_eq!(refused.status(), 401, "a token for somebody else");
    visit.end(running.process).await;
}

#[tokio::test]
async fn what_cannot_be_connected_to_holds_up_nobody_else() {
    let cluster = Cluster::start().await;
    let (maps, notes) = (backend().await, backend().await);
    cluster.apply(server("maps", &maps)).await;
    let bundle = "-----BEGIN CERTIFICATE-----\nno base64\n-----END CERTIFICATE-----\n";
    cluster.apply(objects::config_map("torn", &[("ca.crt", bundle)])).await;
    let mut torn = objects::entry("torn", "office", "https://torn.example/mcp");
    torn["spec"]["caBundleRef"] = json!({"configMapRef": {"name": "torn", "key": "ca.crt"}});
    cluster.apply(torn).await;
    cluster.apply(objects::entry("odd", "office", "https://a..b/mcp")).await;
    let running = cluster.run().await;
    let process = &running.process;
    assert_eq!(seen(process).await, tools(&["maps"]));
    cluster.apply(server("notes", &notes)).await;
    eventually("others are found all the same", async || {
        let both = each_sees(process).await;
        both.iter().all(|seen| *seen == tools(&["maps", "notes"])).then_some(())
    })
    .await;
}
