//! What is not built is refused at start, by file, line and key.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::fixture::Pod;

/// The cases that are served as the operator has made them.
const SERVED: [&str; 6] =
    ["entry", "inline-auth", "manual", "missing-secret", "redis", "tool-config"];

/// What each of the others is told: the file of `/etc/vmcp-config`, the place there, and the key.
const REFUSED: &str = "\
audit config.yaml:1:1 backends
audit config.yaml:6:13 outgoingAuth.source
auth-server authserver-config.yaml
auth-server config.yaml:36:19 outgoingAuth.backends.maps.type
auth-server config.yaml:37:13 outgoingAuth.backends.maps.upstreamInject
code-mode config.yaml:1:1 backends
code-mode config.yaml:35:1 codeMode
code-mode config.yaml:6:13 outgoingAuth.source
composite config.yaml:30:1 compositeTools
composite config.yaml:40:1 compositeToolRefs
discovered config.yaml:1:1 backends
discovered config.yaml:6:13 outgoingAuth.source
discovered-backend config.yaml:19:19 outgoingAuth.backends.maps.type
limits config.yaml:46:1 rateLimiting
oidc config.yaml:1:1 backends
oidc config.yaml:21:13 outgoingAuth.source
operations config.yaml:1:1 backends
operations config.yaml:6:13 outgoingAuth.source
optimizer config.yaml:1:1 backends
optimizer config.yaml:22:1 optimizer
optimizer config.yaml:6:13 outgoingAuth.source
optimizer-alone config.yaml:1:1 backends
optimizer-alone config.yaml:22:1 optimizer
optimizer-alone config.yaml:6:13 outgoingAuth.source
policies config.yaml:1:1 backends
policies config.yaml:26:13 outgoingAuth.source
priority config.yaml:1:1 backends
priority config.yaml:6:13 outgoingAuth.source
telemetry config.yaml:1:1 backends
telemetry config.yaml:6:13 outgoingAuth.source
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
        let why = ["is not supported yet", "which is not done here"];
        assert!(why.iter().any(|why| told.contains(why)), "{case}: {said}");
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
    let cases = Pod::cases().into_iter().filter(|case| !SERVED.contains(&case.as_str()));
    check(REFUSED, cases.map(|case| (case.clone(), Pod::read(&case)))).await;
    let listing = ["code-mode", "optimizer", "optimizer-alone"];
    let listing = listing.map(|case| (case.to_owned(), Pod::read(case).listing(&["maps"])));
    check(REFUSED_LISTING, listing.into_iter()).await;
}
