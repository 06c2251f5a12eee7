//! What a backend is shown by its MCPExternalAuthConfig, as the operator writes it into a configuration.
//!
//! Only what is named here is taken over: whoever may write such an object must not reach files or variables of
//! this process by a key that a configuration has and the object has not.

use serde_json::{Map, Value, json};

use crate::{found::Secrets, kind::Kind, seen::Object};

/// How a type of authentication is written.
struct Strategy {
    /// The type in the object, which is also the name of its block there.
    type_of_object: &'static str,
    /// The type and the key of its section in a configuration.
    names: (&'static str, &'static str),
    /// The members that are the same.
    same: &'static [&'static str],
    /// Those that refer to a Secret, and the keys that name the variable which holds it.
    secrets: &'static [(&'static str, &'static str)],
}

const STRATEGIES: [Strategy; 5] = [
    Strategy {
        type_of_object: "headerInjection",
        names: ("header_injection", "headerInjection"),
        same: &["headerName"],
        secrets: &[("valueSecretRef", "headerValueEnv")],
    },
    Strategy {
        type_of_object: "tokenExchange",
        names: ("token_exchange", "tokenExchange"),
        same: &[
            "tokenUrl",
            "clientId",
            "audience",
            "scopes",
            "subjectTokenType",
            "subjectProviderName",
        ],
        secrets: &[("clientSecretRef", "clientSecretEnv")],
    },
    Strategy {
        type_of_object: "obo",
        names: ("obo", "obo"),
        same: &[
            "tokenUrl",
            "tenantId",
            "authority",
            "clientId",
            "audience",
            "scopes",
            "subjectTokenProviderName",
        ],
        secrets: &[("clientSecretRef", "clientSecretEnv")],
    },
    Strategy {
        type_of_object: "xaa",
        names: ("xaa", "xaa"),
        same: &[
            "idpTokenUrl",
            "idpClientId",
            "targetTokenUrl",
            "insecureTargetTokenUrl",
            "targetClientId",
            "targetAudience",
            "targetResource",
            "scopes",
            "subjectTokenType",
            "subjectProviderName",
        ],
        secrets: &[
            ("idpClientSecretRef", "idpClientSecretEnv"),
            ("targetClientSecretRef", "targetClientSecretEnv"),
        ],
    },
    Strategy {
        type_of_object: "awsSts",
        names: ("aws_sts", "awsSts"),
        same: &[
            "region",
            "service",
            "fallbackRoleArn",
            "roleMappings",
            "roleClaim",
            "sessionDuration",
            "sessionNameClaim",
            "subjectProviderName",
        ],
        secrets: &[],
    },
];

/// The type of an object, as a configuration has it.
pub(crate) fn type_name(chosen: &str) -> &str {
    let strategy = STRATEGIES.iter().find(|strategy| strategy.type_of_object == chosen);
    strategy.map_or(chosen, |strategy| strategy.names.0)
}

/// The strategy that an object describes, or what keeps it from being used.
pub(crate) fn written(
    name: &str,
    object: &Object,
    secrets: &mut Secrets<'_>,
) -> Result<Value, String> {
    let who = || format!("the {} {name}", Kind::AuthConfig.name());
    let chosen = object.spec["type"].as_str().unwrap_or_default();
    if chosen == "unauthenticated" {
        return Ok(json!({"type": "unauthenticated"}));
    }
    let strategy = STRATEGIES.iter().find(|strategy| strategy.type_of_object == chosen);
    let Some(strategy) = strategy else {
        let all: Vec<_> = STRATEGIES.iter().map(|strategy| strategy.type_of_object).collect();
        return Err(format!(
            "{} has the type {chosen:?}, which is not supported; there are unauthenticated, {}",
            who(),
            all.join(", ")
        ));
    };
    let block = object.spec[strategy.type_of_object].as_object();
    let block = block.ok_or_else(|| format!("{} has no {}", who(), strategy.type_of_object))?;
    let mut section = Map::new();
    for (member, value) in block {
        let is_empty = value.is_null() || value.as_str() == Some("");
        if is_empty {
            continue;
        }
        if strategy.same.contains(&member.as_str()) {
            section.insert(member.clone(), value.clone());
        } else if let Some((_, key)) = strategy.secrets.iter().find(|(from, _)| from == member) {
            section.insert((*key).to_owned(), secrets.variable(value)?.into());
        } else {
            let path = format!("{}.{member}", strategy.type_of_object);
            return Err(format!("{path} of {} is not supported", who()));
        }
    }
    let (kind, key) = strategy.names;
    Ok(json!({"type": kind, key: section}))
}
