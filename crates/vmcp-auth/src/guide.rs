//! What a caller without a good token is told: where to get one (RFC 9728; RFC 6750, section 3).

use bytes::Bytes;
use http::{HeaderValue, Uri};
use serde_json::json;
use vmcp_wire::Fault;

use crate::{
    config::{InvalidConfig, Oidc, TrustedIssuer},
    signatures::ALGORITHMS,
};

/// Where the metadata of a protected resource stands, before the resource's own path.
pub const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// The way to a token.
pub(crate) struct Guide {
    issuers: Vec<String>,
    /// What clients may ask for, of whichever issuer.
    scopes: Vec<String>,
    /// What a client without a token should ask for: it mostly turns to the first issuer.
    wanted: String,
    /// About the resource of the configuration. Without one, it is the URL by which a client asks.
    fixed: Option<Protected>,
}

/// What is told about one resource.
#[derive(Clone)]
struct Protected {
    /// What it is called.
    resource: String,
    /// Where its metadata is.
    url: String,
    /// The path of the resource; empty if it is the root.
    path: String,
    metadata: Bytes,
}

impl Guide {
    pub(crate) fn new(config: &Oidc) -> Result<Self, InvalidConfig> {
        let mut scopes: Vec<String> = Vec::new();
        for wanted in config.issuers.iter().flat_map(TrustedIssuer::wanted_scopes) {
            if !scopes.contains(&wanted) {
                scopes.push(wanted);
            }
        }
        let wanted = config.issuers.first().map(TrustedIssuer::wanted_scopes).unwrap_or_default();
        let issuers = config.issuers.iter().map(|issuer| issuer.issuer.clone()).collect();
        let guide = Self { issuers, scopes, wanted: wanted.join(" "), fixed: None };
        let fixed = match &config.resource {
            Some(resource) => Some(guide.protected(resource).ok_or(InvalidConfig::Resource)?),
            None => None,
        };
        Ok(Self { fixed, ..guide })
    }

    /// The header `WWW-Authenticate` for a failure. `asked` is the URL of the endpoint as the client has it, if
    /// that can be told.
    pub(crate) fn challenge(
        &self,
        fault: &Fault,
        asked: impl FnOnce() -> Option<String>,
    ) -> Option<HeaderValue> {
        if let Fault::InvalidProof(_) = fault {
            let names = ALGORITHMS.map(|(name, _)| name).join(" ");
            let challenge = format!(
                "DPoP error=\"invalid_dpop_proof\", error_description=\"{fault}\", algs=\"{names}\""
            );
            return HeaderValue::from_str(&challenge).ok();
        }
        let (error, scopes) = match fault {
            Fault::Unauthenticated => (None, &self.wanted),
            Fault::InvalidToken(_) => (Some("invalid_token"), &self.wanted),
            Fault::InsufficientScope { wanted, .. } => (Some("insufficient_scope"), wanted),
            _ => return None,
        };
        let failure =
            error.map(|error| format!("error=\"{error}\", error_description=\"{fault}\""));
        let metadata = self.about(asked).map(|of| format!("resource_metadata=\"{}\"", of.url));
        let scopes = (!scopes.is_empty()).then(|| format!("scope=\"{scopes}\""));
        let parameters: Vec<_> = [metadata, scopes, failure].into_iter().flatten().collect();
        let challenge = format!("Bearer {}", parameters.join(", "));
        HeaderValue::from_str(challenge.trim_end()).ok()
    }

    /// The metadata for a path behind [`METADATA_PATH`]. `asked` is the URL of the endpoint as the client has it,
    /// if that can be told.
    pub(crate) fn metadata(
        &self,
        path: &str,
        endpoint: &str,
        asked: impl FnOnce() -> Option<String>,
    ) -> Option<Bytes> {
        let of = self.about(asked)?;
        let bare = path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path);
        // A proxy may have taken off what stands before the endpoint's own path.
        let is_known = path.is_empty() || bare == endpoint || [bare, path].contains(&&*of.path);
        is_known.then_some(of.metadata)
    }

    /// The resource of the configuration.
    pub(crate) fn resource(&self) -> Option<&str> {
        self.fixed.as_ref().map(|fixed| &*fixed.resource)
    }

    /// Whether no resource is configured.
    pub(crate) fn goes_by_url(&self) -> bool {
        self.fixed.is_none()
    }

    fn about(&self, asked: impl FnOnce() -> Option<String>) -> Option<Protected> {
        self.fixed.clone().or_else(|| self.protected(&asked()?))
    }

    fn protected(&self, resource: &str) -> Option<Protected> {
        let (url, path) = metadata_url(&resource.parse().ok()?);
        let metadata = json!({
            "resource": resource,
            "authorization_servers": self.issuers,
            "scopes_supported": self.scopes,
            "bearer_methods_supported": ["header"],
            "dpop_signing_alg_values_supported": ALGORITHMS.map(|(name, _)| name),
        });
        let metadata = metadata.to_string().into();
        Some(Protected { resource: resource.to_owned(), url, path, metadata })
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
    use crate::config::{Oidc, TrustedIssuer};

    fn issuer(name: &str, scopes: &[&str], required: &[&str]) -> TrustedIssuer {
        let owned = |scopes: &[&str]| scopes.iter().map(|&scope| scope.to_owned()).collect();
        TrustedIssuer {
            issuer: name.to_owned(),
            audience: "api".to_owned(),
            jwks_url: None,
            introspection: None,
            scopes: owned(scopes),
            required_scopes: owned(required),
            allow_private_ip: false,
            allow_http: false,
            ca_bundle: None,
            account: None,
        }
    }

    fn guide(resource: Option<&str>, scopes: &[&str]) -> Guide {
        let issuers = vec![issuer("https://idp.example/realm", scopes, &[])];
        Guide::new(&Oidc { issuers, resource: resource.map(str::to_owned) }).unwrap()
    }

    fn nobody_knows() -> Option<String> {
        None
    }

    fn challenge(guide: &Guide, fault: &Fault) -> String {
        guide.challenge(fault, nobody_knows).unwrap().to_str().unwrap().to_owned()
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
        assert_eq!(full.challenge(&Fault::SessionUnknown, nobody_knows), None);
    }

    /// A client without a token turns to one of the issuers; one with a token knows which.
    #[test]
    fn scopes_are_those_of_the_issuer() {
        let issuers = vec![
            issuer("https://one.example", &["openid"], &["tools", "openid"]),
            issuer("https://two.example", &["openid", "mcp"], &[]),
        ];
        let resource = Some("https://mcp.example/mcp".to_owned());
        let both = Guide::new(&Oidc { issuers, resource }).unwrap();
        let text = both.metadata("", "/mcp", nobody_knows).unwrap();
        let text: Value = serde_json::from_slice(&text).unwrap();
        let servers = json!(["https://one.example", "https://two.example"]);
        assert_eq!(text["authorization_servers"], servers);
        assert_eq!(text["scopes_supported"], json!(["openid", "tools", "mcp"]));
        let told = challenge(&both, &Fault::Unauthenticated);
        assert!(told.ends_with("scope=\"openid tools\""), "{told}");
        let lacking = Fault::InsufficientScope {
            required: "a b".to_owned(),
            wanted: "openid a b".to_owned(),
        };
        let told = challenge(&both, &lacking);
        let (_, told) = told.split_once(", ").unwrap();
        assert_eq!(
            told,
            "scope=\"openid a b\", error=\"insufficient_scope\", error_description=\"the access token lacks a \
             scope; it must have all of these: a b\""
        );
    }

    #[test]
    fn metadata_stands_where_clients_look_for_it() {
        let guide_of = |resource| guide(Some(resource), &["openid"]);
        let text =
            guide_of("https://mcp.example/mcp").metadata("/mcp", "/mcp", nobody_knows).unwrap();
        let text: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(
            text,
            json!({
                "resource": "https://mcp.example/mcp",
                "authorization_servers": ["https://idp.example/realm"],
                "scopes_supported": ["openid"],
                "bearer_methods_supported": ["header"],
                "dpop_signing_alg_values_supported": [
                    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
                ],
            })
        );
        for (resource, path, expected) in [
            ("https://mcp.example/mcp", "", true),
            ("https://mcp.example/team/mcp", "/team/mcp", true),
            ("https://mcp.example/team/mcp", "/mcp", true),
            ("https://mcp.example/team/mcp", "/team/mcp/", true),
            ("https://mcp.example/team/mcp/", "/team/mcp/", true),
            ("https://mcp.example/team/mcp", "/mcp/", true),
            ("https://mcp.example/team/mcp", "/team", false),
            ("https://mcp.example/mcp", "/other", false),
            ("https://mcp.example", "", true),
            ("https://mcp.example/", "/", false),
        ] {
            let found = guide_of(resource).metadata(path, "/mcp", nobody_knows);
            assert_eq!(found.is_some(), expected, "{resource} {path}");
        }
        assert_eq!(guide(None, &[]).metadata("", "/mcp", nobody_knows), None);
        let root = guide_of("https://mcp.example:8443/");
        assert!(
            challenge(&root, &Fault::Unauthenticated)
                .contains("\"https://mcp.example:8443/.well-known/oauth-protected-resource\"")
        );
    }

    #[test]
    fn without_a_resource_it_is_the_url_by_which_a_client_asks() {
        let asked = || Some("https://mcp.example:8443/mcp".to_owned());
        let url = "https://mcp.example:8443/.well-known/oauth-protected-resource/mcp";
        let open = guide(None, &["openid"]);
        let told = open.challenge(&Fault::Unauthenticated, asked).unwrap();
        assert_eq!(told, format!("Bearer resource_metadata=\"{url}\", scope=\"openid\""));
        for path in ["", "/mcp"] {
            let text = open.metadata(path, "/mcp", asked).unwrap();
            let text: Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(text["resource"], "https://mcp.example:8443/mcp", "{path}");
        }
        assert_eq!(open.metadata("/other", "/mcp", asked), None);
        let fixed = guide(Some("https://other.example/mcp"), &[]);
        let told = fixed.challenge(&Fault::Unauthenticated, asked).unwrap();
        assert!(told.to_str().unwrap().contains("//other.example/"), "{told:?}");
    }
}
