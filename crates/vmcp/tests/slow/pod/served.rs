//! Each shape that can be served is: as it was made, or with the backends that it would find in the cluster in the file.

use http::HeaderMap;
use serde_json::{Value, json};
use vmcp_testkit::{heeding::Heeding, identity::IdentityProvider, raw::Seen, redis::RedisServer};

use super::{
    Backends, Pod,
    visit::{Caller, json_of, monitor, visit},
};

const BOTH: [&str; 4] = ["maps_count", "maps_slow", "notes_count", "notes_slow"];
const CALLED: [&str; 2] = ["maps_count", "notes_slow"];
const HEALTHY: [(&str, &str); 2] = [("maps", "healthy"), ("notes", "healthy")];

/// The names by which the operator's Service is known, the pod itself, and an Ingress of which vmcp knows nothing.
const HOSTS: [&str; 4] =
    ["vmcp-desk", "vmcp-desk.floor.svc.cluster.local:4483", "10.1.2.3:4483", "tools.example"];

/// Visits the pod and ends it, and gives what it has said.
async fn served(pod: &Pod, tools: &[&str], called: &[&str]) -> String {
    let running = pod.start().await;
    let visit = visit(&running.process, Caller::default(), tools, called).await;
    monitor(&running.process, &HEALTHY).await;
    visit.end(running.process).await.1
}

/// The values of a header of all requests for a tool.
fn calls(seen: &[Seen], header: &str) -> Vec<String> {
    let of =
        |headers: &HeaderMap| headers.get(header).map(|held| held.to_str().unwrap().to_owned());
    let calls = seen.iter().filter(|seen| seen.method == "tools/call");
    calls.map(|seen| of(&seen.headers).unwrap_or_default()).collect()
}

#[tokio::test]
async fn a_pod_is_reached_by_any_name_and_by_no_page_of_another_site() {
    let backends = Backends::start().await;
    let running = backends.pod("discovered").start().await;
    for host in HOSTS {
        let caller = Caller { host: Some(host), ..Caller::default() };
        let _visit = visit(&running.process, caller, &BOTH, &["maps_slow"]).await;
    }
    // A page can have its own name lead to the pod.
    let page = Caller { host: Some("pages.example"), ..Caller::default() }.legacy(&running.process);
    let page = page.with_header("origin", "http://pages.example");
    assert_eq!(page.open("1", "ping", "{}").await.unwrap().status(), 403);
    let visit = visit(&running.process, Caller::default(), &BOTH, &CALLED).await;
    monitor(&running.process, &HEALTHY).await;
    visit.end(running.process).await;
}

#[tokio::test]
async fn tools_are_named_and_hidden_as_the_file_says() {
    let backends = Backends::start().await;
    let all = ["count_maps", "count_notes", "slow_maps", "slow_notes"];
    // Of those that both have, the one of the first; what a filter hides there is that of the other.
    let first = ["count", "slow"];
    let (manual, priority) = (backends.pod("manual"), backends.pod("priority"));
    tokio::join!(served(&manual, &all, &all), served(&priority, &first, &first));
    let pod = backends.pod("tool-config");
    let running = pod.start().await;
    let visit = visit(&running.process, Caller::default(), &["maps.tally"], &["maps.tally"]).await;
    let listed = visit.legacy.request("3", "tools/list", "{}").await.unwrap().json();
    let tool = &listed["result"]["tools"][0];
    assert_eq!(tool["description"], "How often it was called");
    assert_eq!(tool["annotations"], json!({"title": "Tally", "readOnlyHint": true}));
    visit.end(running.process).await;
}

#[tokio::test]
async fn tokens_are_checked_by_keys_and_by_asking() {
    let backends = Backends::start().await;
    let provider = IdentityProvider::start_with_tls().await.unwrap();
    provider.set_asking_client(("desk-client".to_owned(), Some("of-login".to_owned())));
    let pod = backends
        .pod("oidc")
        .with("issuer", &provider.issuer())
        .with("keys", &provider.jwks_url())
        .with("introspection", &provider.introspection_url())
        .with("authority", provider.authority());
    let running = pod.start().await;
    let nobody = Caller::default().legacy(&running.process);
    assert_eq!(nobody.open("1", "ping", "{}").await.unwrap().status(), 401);
    let opaque = provider.opaque_token("alice");
    let caller = Caller { token: Some(&opaque), ..Caller::default() };
    let _asked = visit(&running.process, caller, &BOTH, &CALLED).await;
    assert!(provider.introspections() > 0);
    let token = provider.token("alice");
    let caller = Caller { token: Some(&token), ..Caller::default() };
    let visit = visit(&running.process, caller, &BOTH, &CALLED).await;
    monitor(&running.process, &HEALTHY).await;
    visit.end(running.process).await;
}

#[tokio::test]
async fn policies_know_the_groups_of_callers() {
    let backends = Backends::start().await;
    let provider = IdentityProvider::start().await.unwrap();
    let running = backends.pod("policies").with("issuer", &provider.issuer()).start().await;
    let token = provider.token("alice");
    let caller = Caller { token: Some(&token), ..Caller::default() };
    let _visit = visit(&running.process, caller, &["maps_count"], &["maps_count"]).await;
    let mut claims = provider.claims("bob");
    claims["crews"] = json!(["owls"]);
    let token = provider.key().sign(&claims);
    // Where the metadata of the resource have sent its client.
    let caller = Caller { token: Some(&token), host: Some("desk.example") };
    visit(&running.process, caller, &BOTH, &CALLED).await.end(running.process).await;
}

#[tokio::test]
async fn calls_are_recorded_on_standard_output() {
    let backends = Backends::start().await;
    let log = served(&backends.pod("audit"), &BOTH, &CALLED).await;
    let records = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let calls: Vec<_> = records.filter(|record| record["type"] == "mcp_tool_call").collect();
    assert_eq!(calls.len(), 2 * CALLED.len(), "{log}");
    assert!(calls.iter().all(|call| call["component"] == "desk"), "{log}");
}

#[tokio::test]
async fn a_collector_gets_the_secret_that_no_key_names() {
    let backends = Backends::start().await;
    let collector = Heeding::start().await.unwrap();
    let pod = backends
        .pod("telemetry")
        .with("collector", &collector.address())
        .with("authority", collector.authority());
    let running = pod.start().await;
    let visit = visit(&running.process, Caller::default(), &BOTH, &CALLED).await;
    let (status, metrics) =
        vmcp_testkit::client::fetch(&running.process.url_of("/metrics")).await.unwrap();
    assert_eq!(status, 200);
    assert!(!metrics.is_empty());
    let log = visit.end(running.process).await.1;
    let heard = collector.heard();
    assert!(heard.iter().any(|heard| heard.uri.path() == "/v1/metrics"), "{heard:?}\n{log}");
    for heard in heard {
        assert_eq!(
            (&heard.headers["x-desk-key"], &heard.headers["x-crew"]),
            (&"of-collector".parse().unwrap(), &"owls".parse().unwrap())
        );
    }
    assert!(!log.contains("of-collector"));
}

/// What a pod's template adds troubles nobody.
#[tokio::test]
async fn debug_headers_and_a_variable_of_the_template() {
    let backends = Backends::start().await;
    let running = backends.pod("operations").start().await;
    let caller = Caller::default();
    let visit = visit(&running.process, caller, &BOTH, &CALLED).await;
    let legacy = visit.legacy.clone().with_header("x-floor", "2").with_header("x-other", "no");
    legacy.call("3", "maps_count", "{}").await.unwrap().result().unwrap();
    let modern = visit.modern.clone().header("x-asked-by", "carol");
    modern.call("maps_count", json!({})).await.unwrap().result().unwrap();
    let seen = backends.maps.seen();
    assert!(calls(&seen, "x-floor").contains(&"2".to_owned()));
    assert!(calls(&seen, "x-asked-by").contains(&"carol".to_owned()));
    assert!(calls(&seen, "x-other").iter().all(String::is_empty));
    monitor(&running.process, &HEALTHY).await;
    let log = visit.end(running.process).await.1;
    let levels = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let levels: Vec<_> = levels.map(|line| line["level"].to_string()).collect();
    assert!(levels.iter().any(|level| level == "\"DEBUG\""), "{log}");
}

#[tokio::test]
async fn an_entry_has_its_own_authority_and_headers() {
    let server = Backends::start().await;
    // Over plain HTTP it does no harm.
    let authority = Heeding::start().await.unwrap();
    let pod = server.pod("entry").with("authority", authority.authority());
    let running = pod.start().await;
    let tools = ["far-maps_count", "far-maps_slow"];
    let visit = visit(&running.process, Caller::default(), &tools, &tools).await;
    monitor(&running.process, &[("far-maps", "healthy")]).await;
    let seen = server.maps.seen();
    assert!(calls(&seen, "x-key").iter().all(|held| held == "of-entry"));
    assert!(calls(&seen, "x-floor").iter().all(|held| held == "2"));
    visit.end(running.process).await;
}

#[tokio::test]
async fn sessions_are_in_redis() {
    let backends = Backends::start().await;
    let redis = RedisServer::with("requirepass of-redis").await.unwrap();
    let running = backends.pod("redis").with("redis", &redis.address()).start().await;
    assert_eq!(json_of(&running.process, "/readyz").await["store"], "ok");
    let visit = visit(&running.process, Caller::default(), &BOTH, &CALLED).await;
    monitor(&running.process, &HEALTHY).await;
    visit.end(running.process).await;
}

/// A Deployment that does not set a variable: the backend is out, and everybody else is served.
#[tokio::test]
async fn a_missing_secret_puts_one_backend_out() {
    let backends = Backends::start().await;
    let running = backends.pod("missing-secret").start().await;
    let notes = ["notes_count", "notes_slow"];
    let visit = visit(&running.process, Caller::default(), &notes, &notes).await;
    monitor(&running.process, &[("maps", "unhealthy"), ("notes", "healthy")]).await;
    let log = visit.end(running.process).await.1;
    assert!(log.contains("MAPS_KEY"), "{log}");
    assert!(backends.maps.seen().is_empty(), "it was asked without its credential");
}
