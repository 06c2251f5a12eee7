//! What one key of the file demands of another, section by section.

mod outgoing;

use serde_json::{Value, json};

use super::{
    super::transports::{OF_HTTP, OF_STDIO},
    patterns,
};

/// What holds for the section at a path, as [`super::map_of`] writes paths.
pub(super) fn of_section(path: &str) -> Vec<Value> {
    match path {
        "" => vec![
            json!({
                "if": says("outgoingAuth", &says("source", &json!({"const": "discovered"}))),
                "then": {"required": ["groupRef"], "properties": {"backends": false}},
                "else": needs("backends"),
            }),
            json!({
                "if": says("bridge", &says("reuse", &json!({"const": "never"}))),
                "then": {"properties": {"limits": without(&["keptSessionsPerBackend"])}},
            }),
            json!({
                "if": says("admin", &says("auth", &says("type", &json!({"const": "oidc"})))),
                "then": {"properties": {"incomingAuth": says(
                    "type",
                    &json!({"not": {"enum": ["anonymous", "local"]}}),
                )}},
            }),
        ],
        "backends[]" => backend(),
        "incomingAuth" => vec![
            when("type", &["oidc"], &json!({"anyOf": [needs("oidc"), needs("issuers")]})),
            when("type", &["anonymous", "local"], &without(&["oidc", "issuers"])),
        ],
        "incomingAuth.oidc" | "incomingAuth.issuers[]" => issuer(),
        "incomingAuth.authz" => {
            let none = json!({"properties": {"policies": {"maxItems": 0}}});
            vec![when("type", &["none"], &none)]
        }
        "aggregation" => aggregation(),
        "aggregation.tools[].overrides.NAME" => {
            let changes = ["name", "description", "annotations"];
            vec![json!({"anyOf": changes.map(needs)})]
        }
        "aggregation.tools[].overrides.NAME.annotations" => vec![json!({"minProperties": 1})],
        "operational.failureHandling.circuitBreaker" => {
            vec![not_less("timeout", "[0-9]{1,3}ms|[0-9]{1,6}[uµμ]s|[0-9]{1,9}ns")]
        }
        "sessionStorage" => session_storage(),
        "sessionStorage.sentinel" => sentinel(),
        "sessionStorage.tls" => vec![json!({
            "if": says("enabled", &json!({"enum": [false, "false", "no", "off"]})),
            "then": without(&["caBundlePath"]),
        })],
        "admin.auth" => vec![
            when("type", &["none", "oidc"], &without(&["tokenFile"])),
            when("type", &["none", "token"], &without(&["roles", "rolesClaim"])),
            when("type", &["oidc"], &needs_as("roles", &json!({"minItems": 1}))),
        ],
        "bridge" => vec![
            when("reuse", &["all"], &without(&["concurrency"])),
            when("reuse", &["never"], &without(&["concurrency", "idle", "wait"])),
        ],
        _ => outgoing::of_section(path),
    }
}

/// Without a word that allows it, these URLs are not asked without TLS.
fn secure(keys: &[&str], unless: &str) -> Value {
    let secure = json!({"pattern": format!("^[Hh][Tt][Tt][Pp][Ss]:|^$|{}", patterns::VARIABLE)});
    let yes = json!({"anyOf": [{"const": true}, {"type": "string", "pattern": "^[TtYyOo]|[$]"}]});
    let urls = keys.iter().map(|key| ((*key).to_owned(), secure.clone()));
    json!({
        "if": {"not": says(unless, &yes)},
        "then": {"properties": urls.collect::<serde_json::Map<_, _>>()},
    })
}

fn issuer() -> Vec<Value> {
    let secret = ["clientSecretEnv", "clientSecretFile"];
    vec![
        secure(&["issuer", "jwksUrl", "introspectionUrl"], "insecureAllowHttp"),
        json!({
            "if": {"not": needs("introspectionUrl")},
            "then": without(&["introspectionInterval"]),
            "else": {"allOf": [
                at_most_one(&secret),
                {"if": {"anyOf": secret.map(needs)}, "then": needs("clientId")},
                not_less("introspectionInterval", "[0-9]{1,3}ms|[0-9]{1,6}[uµμ]s|[0-9]{1,9}ns"),
            ]},
        }),
    ]
}

fn aggregation() -> Vec<Value> {
    const KEY: &str = "conflictResolution";
    let config = |schema: Value| needs_as("conflictResolutionConfig", &schema);
    let no_order = json!({"properties": {"conflictResolutionConfig": without(&["priorityOrder"])}});
    // A prefix may be empty.
    let format = says("prefixFormat", &json!({"not": {"type": "null"}}));
    vec![
        when(KEY, &["prefix"], &config(format)),
        when(KEY, &["priority"], &config(needs("priorityOrder"))),
        when(KEY, &["prefix", "manual"], &no_order),
    ]
}

fn sentinel() -> Vec<Value> {
    let password = ["passwordEnv", "passwordFile"];
    vec![
        at_most_one(&password),
        json!({"if": needs("username"), "then": {"anyOf": password.map(needs)}}),
    ]
}

fn backend() -> Vec<Value> {
    let has = |key: &&str| json!({"required": [key]});
    // As the reader guesses it.
    let guessed = json!({
        "not": {"required": ["transport"]},
        "anyOf": [
            {"required": ["command"]},
            {"not": {"required": ["url"]}, "anyOf": OF_STDIO.iter().map(has).collect::<Vec<_>>()},
        ],
    });
    let stdio = json!({"anyOf": [says("transport", &json!({"const": "stdio"})), guessed]});
    let http = json!({"anyOf": [
        says("transport", &json!({"enum": ["streamable-http", "sse"]})),
        {"not": {"anyOf": [{"required": ["transport"]}, guessed]}},
    ]});
    let both = |one: Value, other: Value| json!({"allOf": [one, other]});
    vec![
        json!({"if": stdio, "then": both(needs("command"), without(&OF_HTTP))}),
        json!({"if": http, "then": both(needs("url"), without(&OF_STDIO))}),
    ]
}

fn session_storage() -> Vec<Value> {
    let keys = super::keys::SESSION_STORAGE.iter().map(|key| key.name);
    let of_redis: Vec<_> = keys.filter(|name| *name != "provider").collect();
    vec![
        when("provider", &["memory"], &without(&of_redis)),
        when("provider", &["redis"], &one_of(&["address", "sentinel", "cluster"])),
        at_most_one(&["passwordEnv", "passwordFile"]),
        at_most_one(&["keysEnv", "keysFile"]),
        json!({"if": needs("cluster"), "then": without(&["db"])}),
        when("validation", &["perRequest"], &without(&["maxStaleness"])),
        not_less("maxStaleness", "[0-9]{1,2}ms|[0-9]{1,5}[uµμ]s|[0-9]{1,8}ns"),
    ]
}

/// A value that is the same as none.
fn nothing() -> Value {
    json!({"enum": [null, "", 0, "0"]})
}

/// A key stands there, and its value is so.
fn says(key: &str, value: &Value) -> Value {
    json!({"properties": {key: value}, "required": [key]})
}

/// Where a key has one of these words, something holds.
fn when(key: &str, words: &[&str], then: &Value) -> Value {
    json!({"if": says(key, &json!({"enum": words})), "then": then})
}

/// A key stands there, and not without a value.
fn needs(key: &str) -> Value {
    says(key, &json!({"not": {"enum": [null, ""]}}))
}

/// The same, and its value is so.
fn needs_as(key: &str, value: &Value) -> Value {
    json!({"allOf": [needs(key), says(key, value)]})
}

/// None of these keys stands there with a value.
fn without(keys: &[&str]) -> Value {
    let nothing = keys.iter().map(|key| ((*key).to_owned(), nothing()));
    json!({"properties": nothing.collect::<serde_json::Map<_, _>>()})
}

/// One of these keys stands there, and no other.
fn one_of(keys: &[&str]) -> Value {
    json!({"oneOf": keys.iter().map(|key| needs(key)).collect::<Vec<_>>()})
}

fn at_most_one(keys: &[&str]) -> Value {
    let pairs = keys.iter().enumerate().flat_map(|(index, one)| {
        let others = keys.iter().skip(index + 1);
        others.map(|other| json!({"allOf": [needs(one), needs(other)]}))
    });
    json!({"not": {"anyOf": pairs.collect::<Vec<_>>()}})
}

/// One of these keys stands there, or several.
fn any_of(keys: &[&str]) -> Value {
    json!({"anyOf": keys.iter().map(|key| needs(key)).collect::<Vec<_>>()})
}

/// A duration that is none of these shorter ones.
fn not_less(key: &str, shorter: &str) -> Value {
    let shorter = format!("^0*({shorter})$");
    json!({"properties": {key: {"not": {"type": "string", "pattern": shorter}}}})
}
