//! Pods that ToolHive's operator has made for a VirtualMCPServer, and what stands beside their configuration.

use std::path::Path;

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
