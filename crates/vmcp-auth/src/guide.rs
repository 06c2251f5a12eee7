//! What a caller without a good token is told: where to get one (RFC 9728; RFC 6750, section 3).

use bytes::Bytes;
use http::{HeaderValue, Uri};
use serde_json::json;
use vmcp_wire::Fault;

use crate::config::{InvalidConfig, Oidc};

/// Where the metadata of a protected resource stands, before the resource's own path.
pub const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// The way to a token.
pub(crate) struct Guide {
    /// What every challenge says.
    parameters: String,
    metadata: Option<Metadata>,
}

struct Metadata {
    text: Bytes,
    /// The path of the resource; empty if it is the root.
    path: String,
}

impl Guide {
    pub(crate) fn new(config: &Oidc) -> Result<Self, InvalidConfig> {
        let mut parameters = Vec::new();
        let mut metadata = None;
        if let Some(resource) = &config.resource {
            let parsed = resource.parse().map_err(|_error| InvalidConfig::Resource)?;
            let (url, path) = metadata_url(&parsed);
            parameters.push(format!("resource_metadata=\"{url}\""));
            let text = json!({
                "resource": resource,
                "authorization_servers": [config.issuer],
                "scopes_supported": config.scopes,
                "bearer_methods_supported": ["header"],
            });
            metadata = Some(Metadata { text: text.to_string().into(), path });
        }
        if !config.scopes.is_empty() {
            parameters.push(format!("scope=\"{}\"", config.scopes.join(" ")));
        }
        Ok(Self { parameters: parameters.join(", "), metadata })
    }

    /// The header `WWW-Authenticate` for a failure.
    pub(crate) fn challenge(&self, fault: &Fault) -> Option<HeaderValue> {
        let mut parameters = self.parameters.clone();
        match fault {
            Fault::Unauthenticated => {}
            Fault::InvalidToken(_) => {
                let separator = if parameters.is_empty() { "" } else { ", " };
                parameters.push_str(&format!(
                    "{separator}error=\"invalid_token\", error_description=\"{fault}\""
                ));
            }
            _ => return None,
        }
        let challenge = format!("Bearer {parameters}");
        HeaderValue::from_str(challenge.trim_end()).ok()
    }

    /// The metadata for a path behind [`METADATA_PATH`].
    pub(crate) fn metadata(&self, path: &str, endpoint: &str) -> Option<Bytes> {
        let metadata = self.metadata.as_ref()?;
        let known = path.is_empty() || path == endpoint || path == metadata.path;
        known.then(|| metadata.text.clone())
    }
}

/// Where clients look for the metadata of a resource (RFC 9728, section 3.1), and its path.
fn metadata_url(resource: &Uri) -> (String, String) {
    let scheme = resource.scheme_str().unwrap_or("https");
    let authority = resource.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let path = if resource.path() == "/" { "" } else { resource.path() };
    let query = resource.query().map(|query| format!("?{query}")).unwrap_or_default();
    (format!("{scheme}://{authority}{METADATA_PATH}{path}{query}"), path.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use vmcp_wire::Fault;

    use super::Guide;
    use crate::config::Oidc;

    fn guide(resource: Option<&str>, scopes: &[&str]) -> Guide {
        Guide::new(&Oidc {
            issuer: "https://idp.example/realm".to_owned(),
            audience: "api".to_owned(),
            jwks_url: None,
            resource: resource.map(str::to_owned),
            scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
            allow_private_ip: false,
            allow_http: false,
            ca_bundle: None,
        })
        .unwrap()
    }

    fn challenge(guide: &Guide, fault: &Fault) -> String {
        guide.challenge(fault).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_challenge_says_where_to_go_and_what_was_wrong() {
        let full = guide(Some("https://mcp.example/mcp"), &["openid", "tools"]);
        let metadata = "https://mcp.example/.well-known/oauth-protected-resource/mcp";
        let way = format!("Bearer resource_metadata=\"{metadata}\", scope=\"openid tools\"");
        assert_eq!(challenge(&full, &Fault::Unauthenticated), way);
        assert_eq!(
            challenge(&full, &Fault::InvalidToken("has expired")),
            format!(
                "{way}, error=\"invalid_token\", error_description=\"the access token has expired\""
            )
        );
        let bare = guide(None, &[]);
        assert_eq!(challenge(&bare, &Fault::Unauthenticated), "Bearer");
        assert_eq!(
            challenge(&bare, &Fault::InvalidToken("is not a JWT")),
            "Bearer error=\"invalid_token\", error_description=\"the access token is not a JWT\""
        );
        assert_eq!(full.challenge(&Fault::SessionUnknown), None);
    }

    #[test]
    fn metadata_stands_where_clients_look_for_it() {
        let guide_of = |resource| guide(Some(resource), &["openid"]);
        let text = guide_of("https://mcp.example/mcp").metadata("/mcp", "/mcp").unwrap();
        let text: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            text,
            json!({
                "resource": "https://mcp.example/mcp",
                "authorization_servers": ["https://idp.example/realm"],
                "scopes_supported": ["openid"],
                "bearer_methods_supported": ["header"],
            })
        );
        for (resource, path, expected) in [
            ("https://mcp.example/mcp", "", true),
            ("https://mcp.example/team/mcp", "/team/mcp", true),
            ("https://mcp.example/team/mcp", "/mcp", true),
            ("https://mcp.example/mcp", "/other", false),
            ("https://mcp.example", "", true),
            ("https://mcp.example/", "/", false),
        ] {
            let found = guide_of(resource).metadata(path, "/mcp");
            assert_eq!(found.is_some(), expected, "{resource} {path}");
        }
        assert_eq!(guide(None, &[]).metadata("", "/mcp"), None);
        let root = guide_of("https://mcp.example:8443/");
        assert!(
            challenge(&root, &Fault::Unauthenticated)
                .contains("\"https://mcp.example:8443/.well-known/oauth-protected-resource\"")
        );
    }
}
