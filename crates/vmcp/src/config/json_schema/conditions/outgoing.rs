//! The same for `outgoingAuth`.

use serde_json::{Value, json};

use super::{any_of, at_most_one, needs, one_of, secure, when, without};

const SECRETS: [&str; 3] = ["clientSecret", "clientSecretEnv", "clientSecretFile"];
const PRIVATE_KEYS: [&str; 2] = ["privateKeyFile", "privateKeyEnv"];
const PROOFS: [&str; 5] = [SECRETS[0], SECRETS[1], SECRETS[2], PRIVATE_KEYS[0], PRIVATE_KEYS[1]];

/// Each type with the section that goes with it.
const SECTIONS: [(&str, &str); 6] = [
    ("unauthenticated", ""),
    ("header_injection", "headerInjection"),
    ("client_credentials", "clientCredentials"),
    ("token_exchange", "tokenExchange"),
    ("obo", "obo"),
    ("xaa", "xaa"),
];

pub(super) fn of_section(path: &str) -> Vec<Value> {
    // A section may be left without a value.
    let conditions = conditions(path).into_iter();
    conditions.map(|one| json!({"if": {"type": "object"}, "then": one})).collect()
}

fn conditions(path: &str) -> Vec<Value> {
    let path = path.strip_prefix("outgoingAuth.").unwrap_or_default();
    let within = path.strip_prefix("default").or_else(|| path.strip_prefix("backends.NAME"));
    match within.map(|within| within.trim_start_matches('.')) {
        Some("") => strategy(),
        Some("headerInjection") => {
            vec![one_of(&["headerValue", "headerValueEnv", "headerValueFile"])]
        }
        Some("clientCredentials") => {
            let mut conditions = client();
            conditions.push(one_of(&PROOFS));
            conditions
        }
        Some("tokenExchange") => {
            let mut conditions = client();
            conditions.push(at_most_one(&PROOFS));
            conditions.push(id("clientId", &PROOFS));
            conditions
        }
        Some("obo") => {
            let mut conditions = client();
            conditions.push(one_of(&PROOFS));
            conditions.push(one_of(&["tokenUrl", "tenantId"]));
            conditions.push(json!({"if": needs("authority"), "then": needs("tenantId")}));
            let key = any_of(&PRIVATE_KEYS);
            conditions.push(json!({"if": needs("certificateFile"), "then": key}));
            let scopes = json!({"properties": {"scopes": {"minItems": 1}}, "required": ["scopes"]});
            conditions.push(json!({"oneOf": [needs("audience"), scopes]}));
            conditions
        }
        Some("xaa") => {
            let secrets = |keys: [&str; 3], name: &str| [at_most_one(&keys), id(name, &keys)];
            let provider = ["idpClientSecret", "idpClientSecretEnv", "idpClientSecretFile"];
            let target = ["targetClientSecret", "targetClientSecretEnv", "targetClientSecretFile"];
            let mut conditions = vec![secure(&["targetTokenUrl"], "insecureTargetTokenUrl")];
            conditions.extend(secrets(provider, "idpClientId"));
            conditions.extend(secrets(target, "targetClientId"));
            conditions
        }
        _ => Vec::new(),
    }
}

fn strategy() -> Vec<Value> {
    let conditions = SECTIONS.iter().map(|(name, own)| {
        let others: Vec<_> =
            SECTIONS.iter().map(|(_, key)| *key).filter(|key| key != own).collect();
        let others = without(&others.into_iter().filter(|key| !key.is_empty()).collect::<Vec<_>>());
        let then = if own.is_empty() { others } else { json!({"allOf": [needs(own), others]}) };
        when("type", &[name], &then)
    });
    conditions.collect()
}

fn client() -> Vec<Value> {
    vec![
        json!({"if": needs("clientAuth"), "then": any_of(&SECRETS)}),
        json!({"if": needs("keyId"), "then": any_of(&PRIVATE_KEYS)}),
    ]
}

/// What proves who a client is needs its name.
fn id(name: &str, proofs: &[&str]) -> Value {
    json!({"if": any_of(proofs), "then": needs(name)})
}
