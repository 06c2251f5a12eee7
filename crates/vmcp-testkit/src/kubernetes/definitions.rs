//! Definitions of the kinds of `toolhive.stacklok.dev/v1beta1`, as far as a virtual server reads and writes them.
//!
//! Members that are not named here are kept as they are.

use std::time::Duration;

use anyhow::{Result, ensure};
use http::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::api::Api;

pub(super) const GROUP: &str = "toolhive.stacklok.dev";
pub(super) const VERSION: &str = "v1beta1";

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// Each kind, its singular, its plural, and a short name.
pub(super) const KINDS: [(&str, &str, &str, &str); 8] = [
    ("MCPGroup", "mcpgroup", "mcpgroups", "mcpg"),
    ("MCPServer", "mcpserver", "mcpservers", "mcps"),
    ("MCPRemoteProxy", "mcpremoteproxy", "mcpremoteproxies", "mcprp"),
    ("MCPServerEntry", "mcpserverentry", "mcpserverentries", "mcpentry"),
    ("MCPExternalAuthConfig", "mcpexternalauthconfig", "mcpexternalauthconfigs", "mcpextauth"),
    ("MCPToolConfig", "mcptoolconfig", "mcptoolconfigs", "mcptc"),
    ("MCPOIDCConfig", "mcpoidcconfig", "mcpoidcconfigs", "mcpoidc"),
    ("VirtualMCPServer", "virtualmcpserver", "virtualmcpservers", "vmcp"),
];

/// Makes all kinds known.
pub(super) async fn apply(admin: &Api) -> Result<()> {
    for kind in KINDS {
        let definition = definition(kind);
        admin
            .create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition)
            .await?;
    }
    Ok(())
}

/// Waits until all kinds are served, which they are a while after the rest.
pub(super) async fn until_served(admin: &Api) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for (kind, _singular, plural, _short) in KINDS {
        let list = format!("/apis/{GROUP}/{VERSION}/{plural}");
        while !admin.send(Method::GET, &list, None).await?.is_success() {
            ensure!(Instant::now() < deadline, "{kind} is not served");
            sleep(POLL).await;
        }
    }
    Ok(())
}

fn definition((kind, singular, plural, short): (&str, &str, &str, &str)) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}")},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": format!("{kind}List"),
                "singular": singular,
                "plural": plural,
                "shortNames": [short],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": object(json!({
                    "spec": object(spec(kind)),
                    "status": object(status(kind)),
                }))},
            }],
        },
    })
}

/// An object with these members and any others.
fn object(properties: Value) -> Value {
    json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": properties,
    })
}

/// A list whose items are told apart by one member.
fn list_by(key: &str, properties: Value) -> Value {
    let mut items = object(properties);
    items["required"] = json!([key]);
    json!({
        "type": "array",
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
    })
}

fn reference() -> Value {
    let mut reference = object(json!({"name": {"type": "string", "minLength": 1}}));
    reference["required"] = json!(["name"]);
    reference
}

fn spec(kind: &str) -> Value {
    let text = json!({"type": "string"});
    let url = json!({"type": "string", "pattern": "^https?://"});
    match kind {
        "MCPServer" => json!({
            "groupRef": reference(),
            "image": text,
            "transport": {"type": "string", "enum": ["stdio", "streamable-http", "sse"]},
            "proxyPort": {"type": "integer"},
            "externalAuthConfigRef": reference(),
        }),
        "MCPRemoteProxy" => json!({
            "groupRef": reference(),
            "remoteUrl": url,
            "transport": {"type": "string", "enum": ["sse", "streamable-http"]},
            "proxyPort": {"type": "integer"},
            "externalAuthConfigRef": reference(),
        }),
        "MCPServerEntry" => json!({
            "groupRef": reference(),
            "remoteUrl": url,
            "transport": {"type": "string", "enum": ["sse", "streamable-http"]},
            "externalAuthConfigRef": reference(),
        }),
        "VirtualMCPServer" => json!({"groupRef": reference()}),
        "MCPExternalAuthConfig" | "MCPOIDCConfig" => json!({"type": text}),
        _ => json!({}),
    }
}

fn status(kind: &str) -> Value {
    let text = json!({"type": "string"});
    let count = json!({"type": "integer"});
    let time = json!({"type": "string", "format": "date-time"});
    let condition = json!({
        "type": text,
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": text,
        "message": text,
        "lastTransitionTime": time,
        "observedGeneration": count,
    });
    let mut status = json!({
        "phase": text,
        "message": text,
        "observedGeneration": count,
        "conditions": list_by("type", condition),
    });
    if kind == "VirtualMCPServer" {
        let backend = json!({
            "name": text,
            "url": text,
            "status": text,
            "message": text,
            "lastHealthCheck": time,
            "consecutiveFailures": count,
        });
        status["url"] = text;
        status["backendCount"] = count;
        status["discoveredBackends"] = list_by("name", backend);
    }
    status
}
