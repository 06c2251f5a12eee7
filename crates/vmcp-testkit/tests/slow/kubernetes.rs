//! The API server of the testkit: that it is a real one, goes and comes back when it is told to, and leaves nothing.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;
use tokio::{net::TcpStream, time::sleep};
use vmcp_testkit::{
    gateway::eventually,
    kubernetes::{ApiServer, Namespace, Rights, objects, tally},
    process::Program,
};

const URL: &str = "http://mcp-alpha-proxy.c01.svc.cluster.local:8080/mcp";

async fn server() -> ApiServer {
    ApiServer::start().await.unwrap()
}

/// A namespace with one group and one server of it.
async fn namespace(server: &ApiServer) -> Namespace {
    let namespace = server.namespace().await.unwrap();
    namespace.apply(objects::group("tools")).await.unwrap();
    namespace.apply(objects::server("alpha", "tools", URL)).await.unwrap();
    namespace
}

#[tokio::test]
async fn objects_have_a_status_of_their_own_and_are_watched() {
    let server = server().await;
    let namespace = namespace(&server).await;
    let mut watch = namespace.watch("mcpservers").await.unwrap();
    let alpha = namespace.get("mcpservers/alpha").await.unwrap();
    assert_eq!(alpha["status"]["url"], URL);
    assert_eq!(alpha["status"]["observedGeneration"], alpha["metadata"]["generation"]);
    // A status that is sent with the object is none, and the object is left alone by its status.
    let patch = json!({"spec": {"image": "other:2"}, "status": {"phase": "Pending"}});
    namespace.merge_patch("mcpservers/alpha", patch.clone()).await.unwrap();
    let changed = watch.until("MODIFIED", "alpha").await.unwrap();
    assert_eq!(
        (&changed["spec"]["image"], &changed["status"]["phase"]),
        (&json!("other:2"), &json!("Ready"))
    );
    namespace.merge_patch("mcpservers/alpha/status", patch).await.unwrap();
    let changed = watch.until("MODIFIED", "alpha").await.unwrap();
    assert_eq!(changed["status"]["phase"], "Pending");
    // What the definition does not know is kept; what it knows is judged.
    let unknown = json!({"status": {"later": {"deep": [1]}}});
    namespace.merge_patch("mcpservers/alpha/status", unknown).await.unwrap();
    assert_eq!(
        namespace.get("mcpservers/alpha").await.unwrap()["status"]["later"]["deep"],
        json!([1])
    );
    let wrong = json!({"spec": {"transport": "pigeon"}});
    let refused = namespace.merge_patch("mcpservers/alpha", wrong).await.unwrap_err();
    assert!(refused.to_string().contains("422"), "{refused}");
    namespace.delete("mcpservers/alpha").await.unwrap();
    watch.until("DELETED", "alpha").await.unwrap();
    assert_eq!(namespace.list("mcpservers").await.unwrap(), Vec::<serde_json::Value>::new());
    // Another namespace knows nothing of all this.
    let other = server.namespace().await.unwrap();
    assert_ne!(other.name(), namespace.name());
    assert!(other.list("mcpgroups").await.unwrap().is_empty());
}

#[tokio::test]
async fn every_kind_is_there_and_is_kept() {
    let server = server().await;
    let namespace = namespace(&server).await;
    let header =
        json!({"headerName": "X-Key", "valueSecretRef": {"name": "login", "key": "value"}});
    for (of, object) in [
        ("mcpremoteproxies/beta", objects::remote_proxy("beta", "tools", "http://127.0.0.1:1")),
        ("mcpserverentries/gamma", objects::entry("gamma", "tools", "http://127.0.0.1:1/mcp")),
        ("mcpexternalauthconfigs/key", objects::auth_config("key", "headerInjection", header)),
        ("mcptoolconfigs/few", objects::tool_config("few", json!({"toolsFilter": ["one"]}))),
        (
            "mcpoidcconfigs/who",
            objects::oidc_config("who", "inline", json!({"issuer": "https://a.test"})),
        ),
        ("virtualmcpservers/hub", objects::virtual_server("hub", "tools")),
    ] {
        let applied = namespace.apply(object.clone()).await.unwrap();
        let read = namespace.get(of).await.unwrap();
        assert_eq!(read["spec"], object["spec"], "{of}");
        assert_eq!(read["status"]["conditions"], object["status"]["conditions"], "{of}");
        // A second time changes nothing.
        let again = namespace.apply(object).await.unwrap();
        assert_eq!(
            again["metadata"]["resourceVersion"], applied["metadata"]["resourceVersion"],
            "{of}"
        );
    }
    namespace.apply(objects::secret("login", &[("value", "s3cret")])).await.unwrap();
    namespace.apply(objects::secret("login", &[("other", "t")])).await.unwrap();
    assert!(namespace.get("secrets/login").await.unwrap()["data"]["other"].is_string());
    namespace.apply(objects::config_map("ca", &[("ca.crt", server.authority())])).await.unwrap();
    let authority = std::fs::read_to_string(server.authority_path()).unwrap();
    assert_eq!(namespace.get("configmaps/ca").await.unwrap()["data"]["ca.crt"], authority);
}

#[tokio::test]
async fn a_pod_may_do_what_its_role_says_and_is_counted() {
    let server = server().await;
    let namespace = namespace(&server).await;
    namespace.apply(objects::virtual_server("hub", "tools")).await.unwrap();
    let mut pod = namespace.pod("hub", Rights::Discovered).await.unwrap();
    assert_eq!(server.requests(&pod.account()).unwrap(), []);
    pod.api().list(&namespace.path("mcpservers")).await.unwrap();
    let mut watch = pod.api().watch(&namespace.path("secrets?resourceVersion=0")).await.unwrap();
    namespace.apply(objects::secret("login", &[("value", "s3cret")])).await.unwrap();
    watch.until("ADDED", "login").await.unwrap();
    drop(watch);
    let status = namespace.path("virtualmcpservers/hub/status");
    let patch =
        json!({"status": {"discoveredBackends": [{"name": "alpha", "status": "ready", "new": 1}]}});
    pod.api().merge_patch(&status, &patch).await.unwrap();
    let hub = namespace.get("virtualmcpservers/hub").await.unwrap();
    assert_eq!(hub["status"]["discoveredBackends"], patch["status"]["discoveredBackends"]);
    assert_eq!(hub["status"]["message"], "Virtual MCP server is running");
    for of in ["leases", "virtualmcpservers"] {
        let answer = pod.api().send(Method::GET, &namespace.path(of), None).await.unwrap();
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{of}");
    }
    let old = pod.token().to_owned();
    pod.renew_token().await.unwrap();
    assert_ne!(pod.token(), old);
    assert_eq!(std::fs::read_to_string(pod.folder().join("token")).unwrap(), pod.token());
    // The cluster's own issuer tells its keys to whoever has a token.
    let answer = pod.api().get("/.well-known/openid-configuration").await.unwrap();
    assert_eq!(answer["issuer"], server.url());
    let anybody = pod.api().anonymous().send(Method::GET, "/openid/v1/jwks", None).await.unwrap();
    assert_eq!(anybody.status, StatusCode::FORBIDDEN);
    let requests = eventually("six requests in the log", async || {
        let requests = server.requests(&pod.account()).unwrap();
        (requests.len() >= 6).then_some(requests)
    })
    .await;
    let counted = tally(&requests);
    let expected = [
        ("get /.well-known/openid-configuration", 1),
        ("list leases", 1),
        ("list mcpservers", 1),
        ("list virtualmcpservers", 1),
        ("patch virtualmcpservers/status", 1),
        ("watch secrets", 1),
    ];
    assert_eq!(counted, expected.map(|(what, count)| (what.to_owned(), count)).into());
    assert_eq!(requests.iter().filter(|request| request.status == 403).count(), 2);
    // One whose backends are in its file reads nothing but its own object.
    let inline = namespace.pod("lone", Rights::Inline).await.unwrap();
    let secrets = inline.api().send(Method::GET, &namespace.path("secrets"), None).await.unwrap();
    assert_eq!(secrets.status, StatusCode::FORBIDDEN);
    inline.api().get(&namespace.path("virtualmcpservers/hub")).await.unwrap();
}

#[tokio::test]
async fn it_goes_away_and_comes_back_with_all_it_had() {
    let mut server = server().await;
    let namespace = namespace(&server).await;
    let pod = namespace.pod("hub", Rights::Discovered).await.unwrap();
    let servers = namespace.path("mcpservers");
    let list = pod.api().get(&servers).await.unwrap();
    let version = list["metadata"]["resourceVersion"].as_str().unwrap();
    namespace.apply(objects::server("gamma", "tools", URL)).await.unwrap();
    let mut watch = namespace.watch("mcpservers").await.unwrap();
    let (url, port) = (server.url(), server.port());
    server.stop().await.unwrap();
    assert!(!matches!(watch.next().await, Ok(Some(_))), "the watch goes on");
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
    server.start_again().await.unwrap();
    assert_eq!(server.url(), url);
    // The same token, the same objects.
    assert_eq!(
        pod.api().list(&servers).await.unwrap(),
        namespace.list("mcpservers").await.unwrap()
    );
    namespace.apply(objects::server("beta", "tools", URL)).await.unwrap();
    // What it has forgotten with the restart is gone for a watch.
    let mut watch = pod.api().watch(&format!("{servers}?resourceVersion={version}")).await.unwrap();
    let event = watch.next().await.unwrap().unwrap();
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    // Paused, it takes connections and says nothing.
    server.pause().unwrap();
    let asked = tokio::time::timeout(Duration::from_millis(300), namespace.list("mcpservers"));
    assert!(asked.await.is_err());
    server.resume().unwrap();
    assert_eq!(namespace.list("mcpservers").await.unwrap().len(), 3);
}

#[tokio::test]
async fn it_leaves_nothing() {
    let server = server().await;
    let ports = [server.port(), server.etcd().port()];
    let folder = server.authority_path().parent().unwrap().to_owned();
    drop(server);
    until_refused(ports).await;
    assert!(!folder.exists());
    // Nor when whoever started it is killed.
    let folder = tempfile::tempdir().unwrap();
    let holder = Program::new(env!("CARGO_BIN_EXE_kubernetes"), &[])
        .environment("TMPDIR", folder.path().to_str().unwrap());
    let holder = holder.spawn().unwrap();
    let log = holder.logged("kubeconfig ").await;
    let ports = ["listening on https", "etcd http"].map(|what| {
        let line = log.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.rsplit(':').next().unwrap().parse().unwrap()
    });
    for port in ports {
        TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    }
    holder.kill().await.unwrap();
    until_refused(ports).await;
}

async fn until_refused(ports: [u16; 2]) {
    for port in ports {
        eventually("nobody listens", async || {
            let refused = TcpStream::connect(("127.0.0.1", port)).await.is_err();
            if !refused {
                sleep(Duration::from_millis(20)).await;
            }
            refused.then_some(())
        })
        .await;
    }
}
