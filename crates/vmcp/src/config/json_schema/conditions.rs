//! What one key of the file demands of another, section by section.

use serde_json::{Value, json};

use super::{
    super::transports::{OF_HTTP, OF_STDIO},
    patterns,
};

/// What holds for the section at a path, as [`super::map_of`] writes paths.
pub(super) fn of_section(path: &str) -> Vec<Value> {
    match path {
        "" => vec![json!({
            "if": says("bridge", &says("reuse", &json!({"const": "never"}))),
            "then": {"properties": {"limits": without(&["keptSessionsPerBackend"])}},
        })],
        "backends[]" => backend(),
        "incomingAuth" => vec![
            when("type", &["oidc"], &needs("oidc")),
            when("type", &["anonymous", "local"], &without(&["oidc"])),
        ],
        "incomingAuth.oidc" => vec![oidc()],
        "outgoingAuth.default" | "outgoingAuth.backends.NAME" => vec![
            when("type", &["header_injection"], &needs("headerInjection")),
            when("type", &["unauthenticated"], &without(&["headerInjection"])),
        ],
        "outgoingAuth.default.headerInjection" | "outgoingAuth.backends.NAME.headerInjection" => {
            vec![one_of(&["headerValue", "headerValueEnv", "headerValueFile"])]
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
        "bridge" => vec![
            when("reuse", &["all"], &without(&["concurrency"])),
            when("reuse", &["never"], &without(&["concurrency", "idle", "wait"])),
        ],
        _ => Vec::new(),
    }
}

/// Without a word that allows it, nothing is asked without TLS.
fn oidc() -> Value {
    let secure = json!({"pattern": format!("^[Hh][Tt][Tt][Pp][Ss]:|^$|{}", patterns::VARIABLE)});
    let yes = json!({"anyOf": [{"const": true}, {"type": "string", "pattern": "^[TtYyOo]|[$]"}]});
    json!({
        "if": {"not": says("insecureAllowHttp", &yes)},
        "then": {"properties": {"issuer": secure, "jwksUrl": secure}},
    })
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
        json!({"if": needs("caBundlePath"), "then": needs("type")}),
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

fn at_most_one(keys: &[&str; 2]) -> Value {
    json!({"not": {"allOf": [needs(keys[0]), needs(keys[1])]}})
}

/// A duration that is none of these shorter ones.
fn not_less(key: &str, shorter: &str) -> Value {
    let shorter = format!("^0*({shorter})$");
    json!({"properties": {key: {"not": {"type": "string", "pattern": shorter}}}})
}
