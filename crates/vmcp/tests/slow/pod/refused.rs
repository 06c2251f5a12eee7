//! What is not built is refused at start, by file, line and key.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::fixture::Pod;

/// The cases that are served as the operator has made them.
const SERVED: [&str; 6] =
    ["entry", "inline-auth", "manual", "missing-secret", "redis", "tool-config"];

/// Those that find their backends in a cluster. With the feature `kubernetes` they wait for one.
const DISCOVERED: [&str; 7] =
    ["audit", "discovered", "oidc", "operations", "policies", "priority", "telemetry"];

/// What each of the others is told: the file of `/etc/vmcp-config`, the place there, and the key.
const REFUSED: &str = "\
auth-server authserver-config.yaml
auth-server config.yaml:36:19 outgoingAuth.backends.maps.type
auth-server config.yaml:37:13 outgoingAuth.backends.maps.upstreamInject
code-mode config.yaml:35:1 codeMode
composite config.yaml:30:1 compositeTools
composite config.yaml:40:1 compositeToolRefs
discovered-backend config.yaml:19:19 outgoingAuth.backends.maps.type
limits config.yaml:46:1 rateLimiting
optimizer config.yaml:22:1 optimizer
optimizer-alone config.yaml:22:1 optimizer
";

/// The same of cases that find their backends in the cluster, where the file lists them instead. Those that are not here are
/// served then.
const REFUSED_LISTING: &str = "\
code-mode config.yaml:35:1 codeMode
optimizer config.yaml:22:1 optimizer
optimizer-alone config.yaml:22:1 optimizer
";

/// What nobody asks, as nothing is served.
const ELSEWHERE: [(&str, &str); 8] = [
    ("maps", "http://mcp-maps-proxy.floor.svc.cluster.local:8080/mcp"),
    ("notes", "http://mcp-notes-proxy.floor.svc.cluster.local:8080/mcp"),
    ("redis", "redis:6379"),
    ("issuer", "https://login.example"),
    ("keys", "https://login.example/keys"),
    ("introspection", "https://login.example/ask"),
    ("collector", "collector.example:4318"),
    ("authority", include_str!("../../../src/config/tests/authority.pem")),
];

/// What a case is told, in the form of the tables.
async fn refusals(case: String, pod: Pod) -> BTreeSet<String> {
    let pod = ELSEWHERE.iter().fold(pod, |pod, (name, text)| pod.with(name, text));
    let (status, said) = pod.end().await;
    assert_eq!(status.code(), Some(2), "{case}: {said}");
    // error: FILE:LINE:COLUMN: KEY: what is wrong
    let told = said.lines().filter_map(|line| {
        let (_, told) = line.split_once("/etc/vmcp-config/")?;
        assert!(told.contains("is not supported yet"), "{case}: {said}");
        let mut parts = told.splitn(3, ": ");
        let (place, key) = (parts.next()?, parts.next()?);
        let key = if parts.next().is_some() && place.contains(':') { key } else { "" };
        Some(format!("{case} {place} {key}").trim_end().to_owned())
    });
    told.collect()
}

async fn check(expected: &str, pods: impl Iterator<Item = (String, Pod)>) {
    let mut all = JoinSet::new();
    for (case, pod) in pods {
        all.spawn(refusals(case, pod));
    }
    let told: BTreeSet<_> = all.join_all().await.into_iter().flatten().collect();
    let told: String = told.into_iter().map(|line| line + "\n").collect();
    assert_eq!(told, expected);
}

#[tokio::test]
async fn what_is_not_built_is_refused_by_file_line_and_key() {
    let is_left = |case: &String| {
        let case = case.as_str();
        !SERVED.contains(&case) && !DISCOVERED.contains(&case)
    };
    let cases = Pod::cases().into_iter().filter(is_left);
    check(REFUSED, cases.map(|case| (case.clone(), Pod::read(&case)))).await;
    let listing = ["code-mode", "optimizer", "optimizer-alone"];
    let listing = listing.map(|case| (case.to_owned(), Pod::read(case).listing(&["maps"])));
    check(REFUSED_LISTING, listing.into_iter()).await;
}
