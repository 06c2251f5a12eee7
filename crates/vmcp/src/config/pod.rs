//! Pods that ToolHive's operator has made for a VirtualMCPServer, and what stands beside their configuration.

use std::path::Path;

use http::Uri;
use vmcp_auth::Account;

use super::{Configuration, Problems};

/// The file from which the reference system's authorization server is configured, beside the
/// configuration.
const AUTHORIZATION_SERVER: &str = "authserver-config.yaml";

/// Refuses a configuration with a file beside it that the reference system would read.
pub(super) fn beside(
    path: &Path,
    read: Result<Configuration, Problems>,
) -> Result<Configuration, Problems> {
    let other = path.with_file_name(AUTHORIZATION_SERVER);
    if other == path || !other.try_exists().unwrap_or(false) {
        return read;
    }
    let text = "is not supported yet: vmcp has no authorization server, and nobody could log in through it; \
                to serve the configuration beside it with another issuer of tokens, remove this file";
    let refused = Problems::of_file(&other.display().to_string(), text);
    Err(match read {
        Ok(configuration) => refused.with_warnings(configuration.warnings),
        Err(problems) => Problems::joined(Some(problems), refused),
    })
}

/// Whether this is a pod that ToolHive's operator has made for a VirtualMCPServer.
pub(crate) fn is_in_pod(environment: &dyn Fn(&str) -> Option<String>) -> bool {
    let names = ["VMCP_NAME", "VMCP_NAMESPACE"];
    names.iter().all(|name| environment(name).is_some_and(|held| !held.is_empty()))
}

/// The file that holds the token of the pod's account.
const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// The names that the API server of a cluster has there.
const API_SERVER: [&str; 3] =
    ["kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "kubernetes.default"];

/// As whom an issuer is asked for its keys that is the API server of the pod's own cluster: that gives them to accounts
/// of the cluster only. The token goes nowhere else.
pub(super) fn account(
    issuer: &str,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Option<Account> {
    let server = environment("KUBERNETES_SERVICE_HOST")?;
    let url: Uri = issuer.parse().ok()?;
    let host = url.host()?;
    let is_it = API_SERVER.contains(&host) || host.trim_matches(['[', ']']) == server;
    let bracketed = if server.contains(':') { format!("[{server}]") } else { server };
    is_it.then(|| Account { token: TOKEN.into(), hosts: vec![host.to_owned(), bracketed] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_token_is_for_its_own_api_server() {
        let inside =
            |name: &str| (name == "KUBERNETES_SERVICE_HOST").then(|| "10.0.0.1".to_owned());
        let hosts = |issuer| account(issuer, &inside).map(|account| account.hosts);
        let name = "kubernetes.default.svc";
        let expected = Some(vec![name.to_owned(), "10.0.0.1".to_owned()]);
        assert_eq!(hosts("https://kubernetes.default.svc"), expected);
        assert_eq!(hosts("https://10.0.0.1:443"), Some(vec!["10.0.0.1".to_owned(); 2]));
        for other in [
            "https://idp.example.com",
            "https://kubernetes.default.svc.example.com",
            "https://10.0.0.2",
        ] {
            assert_eq!(hosts(other), None, "{other}");
        }
        assert_eq!(account("https://kubernetes.default.svc", &|_name| None), None);
    }
}
