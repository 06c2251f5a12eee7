//! What is generated from the tables of keys: the JSON Schema, and the reference for people.

use std::sync::LazyLock;

use serde_json::Value;

use super::{
    super::{
        json_schema, keys, parse_with,
        problem::Report,
        reference,
        schema::{Key, Need, Shape},
    },
    complete,
    table::rows,
};

/// A file as an editor reads it, or why that cannot be done.
fn json(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

/// A validator that others have written.
static VALIDATOR: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(&json_schema()).expect("the schema is JSON");
    jsonschema::draft202012::new(&schema).expect("the schema is a schema")
});

/// What the schema has against a file, by place; an error if it is not even YAML.
pub(super) fn found(text: &str) -> Result<Vec<String>, String> {
    let instance = json(text)?;
    let place = |error: jsonschema::ValidationError<'_>| match error.instance_path().as_str() {
        "" => "/".to_owned(),
        place => place.to_owned(),
    };
    let mut places: Vec<_> = VALIDATOR.iter_errors(&instance).map(place).collect();
    places.sort();
    places.dedup();
    Ok(places)
}

/// Checks that the schema has nothing against a file that is accepted.
#[track_caller]
pub(super) fn takes(text: &str) {
    // Not every number of YAML is one of JSON.
    if let Ok(places) = found(text) {
        assert!(places.is_empty(), "{}: {text}", places.join(" "));
    }
}

/// The same in one line, for a file that is YAML.
fn complaints(text: &str) -> String {
    found(text).unwrap_or_else(|error| panic!("{error}: {text}")).join(" ")
}

#[test]
fn the_schema_takes_what_is_accepted() {
    let schema: Value = serde_json::from_str(&json_schema()).expect("the schema is JSON");
    assert!(jsonschema::meta::is_valid(&schema));
    assert_eq!(complaints(include_str!("complete.yaml")), "");
    assert_eq!(complaints(&complete(include_str!("single.yaml"))), "");
    assert_eq!(complaints(&complete(include_str!("cluster.yaml"))), "");
    assert_eq!(complaints(include_str!("toolhive-today.yaml")), "");
    assert_eq!(complaints(&super::super::starter()), "");
    assert_eq!(complaints(&complete("")), "");
    let text = "
limits: {views: '${LIMIT}', requestBytes: '${LIMIT}KiB', streams: '7', responseBytes: 5}
sessions: {ttl: '${LIMIT}m', backendInit: '${HOW}', keepAlive: .5s}
aggregation: {conflictResolution: '${HOW}', excludeAllTools: '${WHETHER}', nameLimit: '64'}
metadata: {a: 1, b: true, c: ''}";
    assert_eq!(complaints(&complete(text)), "");
}

/// Whatever is shown to be written can be written.
#[test]
fn the_schema_takes_the_samples_of_the_documentation() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../");
    let mut samples = 0;
    let mut check = |path: &str, text: &str| {
        let text = complete(text);
        assert_eq!(complaints(&text), "", "{path}: {text}");
        let report = |duplicates| Report::new(&super::environment, duplicates).without_secrets();
        let parsed = parse_with(&text, path, report).map(|_configuration| ());
        assert!(parsed.is_ok(), "{}", parsed.expect_err("a problem"));
        samples += 1;
    };
    let docs = std::fs::read_dir(format!("{root}docs")).expect("docs");
    let docs = docs.map(|entry| entry.expect("an entry").path());
    for path in docs.chain([format!("{root}README.md").into()]) {
        let text = std::fs::read_to_string(&path).expect("a page");
        for block in text.split("```yaml\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            // Files of other programs stand there as well.
            let is_ours = |line: &str| {
                line.split_once(':')
                    .is_some_and(|(word, _)| keys::ROOT.iter().any(|key| key.name == word))
            };
            let is_manifest = block.lines().any(|line| line.starts_with("apiVersion:"));
            let is_left_out =
                is_manifest || (cfg!(not(feature = "aws")) && block.contains("aws_sts"));
            if block.lines().any(is_ours) && !is_left_out {
                check(&path.display().to_string(), block);
            }
        }
    }
    let composed = std::fs::read_to_string(format!("{root}deploy/compose/vmcp.yaml"));
    check("deploy/compose/vmcp.yaml", &composed.expect("a file"));
    assert!(samples >= 8, "{samples} samples");
    for row in rows(include_str!("toolhive-files.txt")).iter().filter(|row| row.word == "taken") {
        takes(&row.text);
    }
}

#[test]
fn the_schema_refuses_what_is_mistyped() {
    for (text, expected) in [
        ("colour: red", "/"),
        ("audit: {enabled: perhaps}", "/audit/enabled"),
        ("audit: {onOverflow: wait}", "/audit/onOverflow"),
        ("codeMode: {enabled: yes}", "/codeMode"),
        ("optimizer: {}", "/optimizer"),
        ("telemetry: {prometheusPort: 70000}", "/telemetry/prometheusPort"),
        ("rateLimiting: {perUser: {maxTokens: 1}}", "/rateLimiting"),
        ("compositeToolRefs: [{name: a}]", "/compositeToolRefs"),
        ("authzConfig: {type: cedar}", "/"),
        ("incomingAuth: {type: local, authz: {type: none, cedar: {}}}", "/incomingAuth/authz"),
        (
            "incomingAuth: {type: local, authz: {type: none, policies: ['permit(principal, action, resource);']}}",
            "/incomingAuth/authz/policies",
        ),
        ("name: ''", "/name"),
        ("name: [a]", "/name"),
        ("limits: {views: 0}", "/limits/views"),
        ("limits: {views: x}", "/limits/views"),
        ("limits: {requestBytes: 8MB}", "/limits/requestBytes"),
        ("sessions: {ttl: 30}", "/sessions/ttl"),
        ("sessions: {ttl: 30x}", "/sessions/ttl"),
        ("sessions: {ttl: ''}", "/sessions/ttl"),
        ("sessions: {backendInit: lasy}", "/sessions/backendInit"),
        ("incomingAuth: {type: oicd}", "/incomingAuth/type"),
        ("incomingAuth: {type: oidc, oidc: {issuer: 'https://i'}}", "/incomingAuth/oidc"),
        (
            "incomingAuth: {type: oidc, oidc: {issuer: 'https://i', audience: a, introspectionUrl: 'http://b'}}",
            "/incomingAuth/oidc/introspectionUrl",
        ),
        ("incomingAuth: {}", "/incomingAuth"),
        (
            "aggregation: {conflictResolution: manual, excludeAllTools: maybe}",
            "/aggregation/excludeAllTools",
        ),
        ("backends: []", "/backends"),
        ("backends: [{name: a, ulr: x}]", "/backends/0"),
        ("backends: [{url: 'http://h/'}]", "/backends/0"),
        ("backends: [{name: a, command: b, args: c}]", "/backends/0/args"),
        ("backends: [{name: a, command: b, env: [c]}]", "/backends/0/env"),
        (
            "operational: {timeouts: {perWorkload: {github: 5}}}",
            "/operational/timeouts/perWorkload/github",
        ),
    ] {
        let found = complaints(&complete(text));
        assert_eq!(found, expected, "{text}");
        let instance = json(&complete(text)).expect("it is YAML");
        assert!(!VALIDATOR.is_valid(&instance), "{text} is taken");
    }
}

/// An editor shows a key that is not supported yet where, and only where, it would be refused.
#[test]
fn the_schema_and_the_reader_agree_on_what_is_off() {
    const VALUES: [&str; 20] = [
        "",
        "''",
        "[]",
        "{}",
        "x",
        "[x]",
        "'[]'",
        "' [] '",
        "0",
        "false",
        "{a: b}",
        "{a: [], b: null}",
        "{a: false}",
        "{enabled: false}",
        "{enabled: 'no'}",
        "{enabled: no, a: b}",
        "{enabled: true}",
        "{enabled: ''}",
        "{enabled: null}",
        "{enabled: x}",
    ];
    const OIDC: &str = "issuer: 'https://i', audience: a, resource: 'https://r'";
    let (mut off, mut on) = (0, 0);
    let mut check = |text: &str| {
        let text = complete(text);
        let refused = match super::parsed(&text) {
            Ok(_) => false,
            Err(problems) => {
                let problems = problems.to_string();
                assert!(problems.contains("is not supported yet"), "{text}{problems}");
                true
            }
        };
        assert_eq!(!complaints(&text).is_empty(), refused, "{text}");
        *(if refused { &mut on } else { &mut off }) += 1;
    };
    let not_yet = |keys: &'static [Key]| {
        let names = keys.iter().filter(|key| matches!(key.need, Need::NotYet { .. }));
        names.map(|key| key.name)
    };
    let within = |name: &str| keys::ROOT.iter().find(|key| key.name == name).map(|key| key.shape);
    let Some(Shape::Section(incoming)) = within("incomingAuth") else { unreachable!() };
    let Some(Shape::Section(outgoing)) = within("outgoingAuth") else { unreachable!() };
    let inner = |keys: &'static [Key], name: &str| {
        let key = keys.iter().find(|key| key.name == name).expect("a key");
        let Shape::Section(keys) = key.shape else { unreachable!() };
        keys
    };
    for value in VALUES {
        for name in not_yet(keys::ROOT) {
            check(&format!("{name}: {value}"));
        }
        for name in not_yet(inner(incoming, "oidc")) {
            check(&format!("incomingAuth: {{type: oidc, oidc: {{{OIDC}, {name}: {value}}}}}"));
        }
        for name in not_yet(inner(incoming, "authz")) {
            check(&format!(
                "incomingAuth: {{type: local, authz: {{type: none, {name}: {value}}}}}"
            ));
        }
        for name in not_yet(inner(outgoing, "default")) {
            check(&format!(
                "outgoingAuth: {{default: {{type: unauthenticated, {name}: {value}}}}}"
            ));
        }
        check(&format!(
            "aggregation: {{conflictResolution: manual, tools: [{{workload: github, toolConfigRef: {value}}}]}}"
        ));
    }
    assert!(off > 30 && on > 120, "{off} off, {on} on");
}

#[test]
fn the_schema_explains_itself() {
    let schema: Value = serde_json::from_str(&json_schema()).expect("the schema is JSON");
    let ttl = &schema["properties"]["sessions"]["properties"]["ttl"];
    assert_eq!(ttl["default"], "30m");
    assert_eq!(ttl["description"], "how long a session lives that nobody uses; from 1ms to 720h");
    let required = schema["required"].as_array().expect("a list");
    assert!(required.iter().eq(["name", "incomingAuth", "aggregation"]));
    assert_eq!(
        schema["properties"]["aggregation"]["properties"]["excludeAllTools"]["default"],
        false
    );
    assert_eq!(schema["properties"]["limits"]["properties"]["views"]["default"], 256);
}

#[test]
fn the_reference_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == reference(),
        "docs/configuration.md is not what the tables of keys say; write it anew:\n\
         cargo run -p vmcp -- schema --markdown > docs/configuration.md"
    );
}

/// A default that the tables name is what the readers take.
#[test]
fn defaults_are_true() {
    for text in [
        "sessions: {backendInit: lazy}",
        "outgoingAuth: {source: inline}",
        "operational: {failureHandling: {partialFailureMode: best_effort, circuitBreaker: {enabled: false}}}",
        "operational: {reload: {watchFile: true, allowCommands: false}}",
        "aggregation: {conflictResolution: prefix, conflictResolutionConfig: {prefixFormat: '{workload}_'}, \
         excludeAllTools: false, defaultToolVisibility: allow}",
    ] {
        super::check(text, "");
    }
    super::check(
        "incomingAuth: {type: oidc, oidc: {issuer: 'https://i', audience: a, resource: 'https://r', \
         scopes: [openid], jwksAllowPrivateIp: false, protectedResourceAllowPrivateIp: false, \
         insecureAllowHttp: false}}",
        "callers of https://i for a keys - resource https://r scopes [\"openid\"] private false http false ca 0",
    );
    super::check("operational: {logLevel: info}", "log level Some(Level(Info))");
    // Those of Redis that are not numbers or times.
    super::check(
        "sessionStorage: {provider: redis, address: 'r:1', keyPrefix: 'thv:vmcp:session:', \
         tls: {enabled: true}, validation: bus}",
        "records in Redis at r:1
         records in db 0 under thv:vmcp:session:
         records as - - tls Some(0)
         records dial 5s command 3s
         records Bus { max_staleness: 1s } keys []",
    );
}
