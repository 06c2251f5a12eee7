//! Objects for [`Namespace::apply`](super::Namespace::apply): a test may change them before.
//!
//! Those of ToolHive have the status that its operator gives them when all is well.

use serde_json::{Map, Value, json};

use super::definitions::{GROUP, VERSION};

/// When every condition here has come to be.
const LONG_AGO: &str = "2026-01-01T00:00:00Z";

/// An MCPGroup that is ready.
pub fn group(name: &str) -> Value {
    let conditions = json!([condition("MCPServersChecked", "ListMCPServersCheckSucceeded")]);
    ours("MCPGroup", name, json!({}), json!({"phase": "Ready", "conditions": conditions}))
}

/// An MCPServer of a group that is ready at this URL.
pub fn server(name: &str, group: &str, url: &str) -> Value {
    let spec = json!({
        "groupRef": {"name": group},
        "image": format!("registry.test/{name}:1"),
        "transport": "streamable-http",
        "proxyPort": 8080,
    });
    let conditions =
        json!([condition("GroupRefValidated", "GroupRefIsValid"), condition("Ready", "Ready")]);
    ours("MCPServer", name, spec, json!({"phase": "Ready", "url": url, "conditions": conditions}))
}

/// An MCPRemoteProxy of a group that is ready at this URL, to which the operator gives no path.
pub fn remote_proxy(name: &str, group: &str, url: &str) -> Value {
    let spec = json!({
        "groupRef": {"name": group},
        "remoteUrl": format!("https://{name}.example.com/mcp"),
        "transport": "streamable-http",
        "proxyPort": 8080,
    });
    let conditions = json!([
        condition("ConfigurationValid", "ConfigurationValid"),
        condition("GroupRefValidated", "GroupRefIsValid"),
        condition("Ready", "DeploymentReady"),
    ]);
    ours(
        "MCPRemoteProxy",
        name,
        spec,
        json!({"phase": "Ready", "url": url, "conditions": conditions}),
    )
}

/// A valid MCPServerEntry of a group: a server elsewhere, at this URL.
pub fn entry(name: &str, group: &str, url: &str) -> Value {
    let spec = json!({
        "groupRef": {"name": group},
        "remoteUrl": url,
        "transport": "streamable-http",
    });
    let conditions = json!([
        condition("RemoteURLValidated", "RemoteURLValid"),
        condition("GroupRefValidated", "GroupRefIsValid"),
        condition("ExternalAuthConfigValidated", "AuthConfigValid"),
        condition("CABundleRefValidated", "CABundleRefValid"),
        condition("Valid", "ConfigValid"),
    ]);
    ours("MCPServerEntry", name, spec, json!({"phase": "Valid", "conditions": conditions}))
}

/// A valid MCPExternalAuthConfig. `block` is the member of the specification that its type wants: for
/// `headerInjection`, `{"headerName": "X-Key", "valueSecretRef": {"name": "login", "key": "value"}}`; null for
/// `unauthenticated`, which has none.
pub fn auth_config(name: &str, auth_type: &str, block: Value) -> Value {
    let mut spec = json!({"type": auth_type});
    if !block.is_null() {
        spec[auth_type] = block;
    }
    let conditions = json!([condition("Valid", "ValidationSucceeded")]);
    let status = json!({"conditions": conditions, "configHash": "0"});
    ours("MCPExternalAuthConfig", name, spec, status)
}

/// An MCPToolConfig with this specification.
pub fn tool_config(name: &str, spec: Value) -> Value {
    let conditions = json!([condition("Valid", "ValidationSucceeded")]);
    ours("MCPToolConfig", name, spec, json!({"conditions": conditions, "configHash": "0"}))
}

/// An MCPOIDCConfig of a type, with the block that it wants, as in [`auth_config`].
pub fn oidc_config(name: &str, oidc_type: &str, block: Value) -> Value {
    let mut spec = json!({"type": oidc_type});
    spec[oidc_type] = block;
    let conditions = json!([condition("Valid", "ConfigValid")]);
    ours("MCPOIDCConfig", name, spec, json!({"conditions": conditions, "configHash": "0"}))
}

/// A VirtualMCPServer of a group, with the status of the operator before any pod has said something.
pub fn virtual_server(name: &str, group: &str) -> Value {
    let spec = json!({"groupRef": {"name": group}, "incomingAuth": {"type": "anonymous"}});
    let conditions = json!([
        condition("GroupRefValidated", "GroupRefValid"),
        condition("CompositeToolRefsValidated", "CompositeToolRefsValid"),
        condition("AuthConfigured", "AuthValid"),
        condition("Ready", "DeploymentReady"),
        condition("Valid", "ValidationSucceeded"),
    ]);
    let status = json!({
        "phase": "Ready",
        "message": "Virtual MCP server is running",
        "url": format!("http://vmcp-{name}.test.svc.cluster.local:4483"),
        "conditions": conditions,
    });
    ours("VirtualMCPServer", name, spec, status)
}

/// A Secret with these keys.
pub fn secret(name: &str, data: &[(&str, &str)]) -> Value {
    let mut object = own("v1", "Secret", name);
    object["stringData"] = keys(data);
    object
}

/// A ConfigMap with these keys.
pub fn config_map(name: &str, data: &[(&str, &str)]) -> Value {
    let mut object = own("v1", "ConfigMap", name);
    object["data"] = keys(data);
    object
}

pub(super) fn own(version: &str, kind: &str, name: &str) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name}})
}

fn keys(data: &[(&str, &str)]) -> Value {
    data.iter().map(|(key, value)| ((*key).to_owned(), json!(value))).collect::<Map<_, _>>().into()
}

fn ours(kind: &str, name: &str, spec: Value, status: Value) -> Value {
    let mut object = own(&format!("{GROUP}/{VERSION}"), kind, name);
    (object["spec"], object["status"]) = (spec, status);
    object
}

fn condition(condition_type: &str, reason: &str) -> Value {
    json!({
        "type": condition_type,
        "status": "True",
        "reason": reason,
        "message": "",
        "lastTransitionTime": LONG_AGO,
    })
}
