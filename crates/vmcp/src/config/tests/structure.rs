//! The file as a whole: syntax, keys, kinds of values, several problems at once.

use super::{super::load, check, check_as_it_is, environment};

#[test]
fn syntax_errors_have_a_place() {
    check_as_it_is(
        "name: [1\nbackends: 2",
        "vmcp.yaml:2:9: not valid YAML: illegal placement of ':' indicator; look for a bracket that is open, and write texts with a colon in quotes",
    );
    check_as_it_is(
        "name: a\n---\nname: b\n",
        "vmcp.yaml:3:1: a second YAML document starts here; a configuration is one document",
    );
    check_as_it_is("? [a]\n: b\n", "vmcp.yaml:1:3: a key must be text");
    check_as_it_is("~: b\n", "vmcp.yaml:1:1: a key must be text");
    check_as_it_is(
        "name: *nobody\n",
        "vmcp.yaml:1:7: not valid YAML: reference to unknown value; write a text that begins with * in quotes",
    );
    check_as_it_is(
        "name: !env X\n",
        "vmcp.yaml:1:12: not valid YAML: unsupported tag `!env`; write a text that begins with ! in quotes",
    );
}

#[test]
fn a_file_must_be_a_map_that_is_not_empty() {
    let empty = "vmcp.yaml: is empty; \
                 at least name, backends, incomingAuth and aggregation are needed";
    check_as_it_is("", empty);
    check_as_it_is("# nothing yet\n", empty);
    check_as_it_is("- name: a\n", "vmcp.yaml:1:1: must be a map of keys");
    check_as_it_is("name\n", "vmcp.yaml:1:1: must be a map of keys");
}

#[test]
fn what_is_required_is_asked_for_at_once() {
    check_as_it_is(
        "metadata: {a: b}\n",
        "vmcp.yaml:1:1: aggregation: is required: how the backends' offers are merged
         vmcp.yaml:1:1: backends: is required: the MCP servers behind this one; absent with outgoingAuth.source: discovered
         vmcp.yaml:1:1: incomingAuth: is required: how clients prove who they are
         vmcp.yaml:1:1: name: is required: the name under which clients see this server",
    );
    check(
        "
backends:
  - transport: streamable-http
incomingAuth: {}
aggregation: {}",
        "vmcp.yaml:2:5: backends[0].name: is required: the backend's name
         vmcp.yaml:2:5: backends[0].url: is required: the URL of its MCP endpoint
         vmcp.yaml:3:15: incomingAuth.type: is required: \
         who may call: everybody, everybody as the user who runs vmcp, or whoever shows a token
         vmcp.yaml:4:14: aggregation.conflictResolution: is required: \
         what happens to a name that several backends use",
    );
}

#[test]
fn duplicate_keys_do_not_hide_other_problems() {
    check(
        "
name: a
limits: {views: 0, views: 2}
name: b
metadata: {1: a, 1: b}",
        "vmcp.yaml:2:17: limits.views: \"0\" is not between 1 and 1000000
         vmcp.yaml:2:20: the key \"views\" stands on line 2 already
         vmcp.yaml:3:1: the key \"name\" stands on line 1 already",
    );
    // Equal as numbers: found by the parser, which tells the first such pair only.
    check("metadata: {1: a, 0x1: b}", "vmcp.yaml:1:18: this key stands in the same map already");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    check(
        "
agregation: {}
aggregation:
  conflictResolution: prefix
  conflictresolutionconfig: {prefixFormat: '{workload}_'}
sessions: {tll: 1m, wait: 3s}
admin: {listen: '127.0.0.1:1', port: 2}",
        "vmcp.yaml:1:1: unknown key \"agregation\"; did you mean \"aggregation\"?
         vmcp.yaml:3:3: aggregation.conflictResolutionConfig.prefixFormat: \
         is required for conflictResolution: prefix
         vmcp.yaml:4:3: aggregation: unknown key \"conflictresolutionconfig\"; \
         did you mean \"conflictResolutionConfig\"?
         vmcp.yaml:5:12: sessions: unknown key \"tll\"; did you mean \"ttl\"?
         vmcp.yaml:5:21: sessions: unknown key \"wait\"; the keys here are ttl, initializeWait, \
         backendInit, maxBackendInitConcurrency, backendInitTimeout, keepAlive, eventLogBytes, \
         drainTimeout, offerMaxAge
         vmcp.yaml:6:32: admin: unknown key \"port\"; the keys here are listen, auth",
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_never_quoted() {
    check(
        "
groupRef: [s3cret]
metadata: s3cret
sessions: s3cret
allowedHosts: s3cret
limits: [s3cret]
aggregation:
  conflictResolution: {s3cret: x}
  excludeAllTools: [s3cret]
  tools: {s3cret: x}",
        "vmcp.yaml:1:11: groupRef: must be text
         vmcp.yaml:2:11: metadata: must be a map of keys
         vmcp.yaml:3:11: sessions: must be a map of keys
         vmcp.yaml:4:15: allowedHosts: must be a list
         vmcp.yaml:5:9: limits: must be a map of keys
         vmcp.yaml:7:23: aggregation.conflictResolution: must be text
         vmcp.yaml:8:20: aggregation.excludeAllTools: must be true or false
         vmcp.yaml:9:10: aggregation.tools: must be a list",
    );
}

#[test]
fn a_key_without_a_value_is_refused() {
    check(
        "
name:
sessions: ~
metadata: {a: null}
allowedHosts:
allowedOrigins: [null]
groupRef: ''",
        "vmcp.yaml:1:5: name: has no value; give it one or remove it
         vmcp.yaml:3:15: metadata.a: has no value; give it one or remove it
         vmcp.yaml:5:18: allowedOrigins[0]: has no value; give it one or remove it
         vmcp.yaml:6:11: groupRef: is empty",
    );
}

#[test]
fn anchors_and_merges_are_resolved_where_they_are_used() {
    check(
        "
backends:
  - &first {name: one, url: 'http://h/1', metadata: {a: b}}
  - <<: *first
    name: two
    url: http://h/2
groupRef: &label shared
metadata: {same: *label}",
        "group Some(\"shared\")
         metadata {\"same\": \"shared\"}
         one: http://h/1 unauthenticated ca 0 {\"a\": \"b\"}
         one: connect 5s initialize 30s
         one: idle 30s absolute 3600s
         one: response 104857600 event 16777216
         one: in flight 1024 streams 10000 links 256
         one: list pages 1000 items 100000 bytes 33554432
         two: http://h/2 unauthenticated ca 0 {\"a\": \"b\"}
         two: connect 5s initialize 30s
         two: idle 30s absolute 3600s
         two: response 104857600 event 16777216
         two: in flight 1024 streams 10000 links 256
         two: list pages 1000 items 100000 bytes 33554432",
    );
    check(
        "
groupRef: &label ''
name: *label",
        "vmcp.yaml:1:18: groupRef: is empty
         vmcp.yaml:2:7: name: is empty",
    );
}

#[test]
fn aliases_cannot_multiply_a_document() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..6 {
        let before = format!("*a{}, ", level - 1).repeat(10);
        text += &format!("a{level}: &a{level} [{before}]\n");
    }
    let problems = super::parsed(&text).expect_err("a bomb").to_string();
    assert_eq!(
        problems,
        "vmcp.yaml:1:31: aliases (*) repeat more than 10000 values; write less of them"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let fixtures = environment("FIXTURES").expect("set above");
    let failure = |name: &str| {
        let path = std::path::Path::new(&fixtures).join(name);
        let problems = load(&path, &environment).expect_err("no configuration").to_string();
        problems.replace(&fixtures, "")
    };
    let missing = failure("nothing.yaml");
    assert!(missing.starts_with("/nothing.yaml: cannot be read: "), "{missing}");
    let directory = failure("");
    assert!(directory.starts_with("/: cannot be read: "), "{directory}");
    let path = std::path::Path::new(&fixtures).join("complete.yaml");
    let loaded = load(&path, &environment).expect("the sample is accepted");
    assert_eq!(loaded.name, "full");
}

#[cfg(target_os = "linux")]
#[test]
fn a_file_without_end_is_not_read_to_the_end() {
    let path = std::path::Path::new("/dev/zero");
    let problems = load(path, &environment).expect_err("endless").to_string();
    assert_eq!(problems, "/dev/zero: is larger than 1MiB");
}

/// The parser tells of tabs where they lead to; they are told where they stand.
#[test]
fn a_tab_that_indents_is_told_where_it_stands() {
    for (text, place) in [
        ("a: 1\nb:\n  - x\n\tc: 1\n", "4:1"),
        ("a: 1\nb:\n\tc: 1\n", "3:1"),
        ("backends:\n  - name: a\n\turl: http://h\n", "3:1"),
        ("a:\n  b: 1\n \tc: 2\n", "3:2"),
        ("a: [\n\t1\n]\n", "2:1"),
    ] {
        let problems = super::parsed(text).expect_err("a tab").to_string();
        assert_eq!(problems, format!("vmcp.yaml:{place}: a tab indents this line; write spaces"));
    }
}

#[test]
fn a_document_has_a_depth() {
    let problems = super::parsed(&format!("a: {}{}", "[".repeat(80), "]".repeat(80)))
        .expect_err("too deep")
        .to_string();
    assert_eq!(problems, "vmcp.yaml:1:35: more than 32 lists and maps stand in one another here");
}

#[test]
fn a_group_alone_finds_no_backends() {
    let advice = "groupRef is a label here, by which no backends are found; in its cluster write \
                  outgoingAuth: {source: discovered}, elsewhere write them with thv list \
                  --group g.1 --format mcpservers > mcp.json, and vmcp init --mcp-json mcp.json, and take only \
                  the list backends of what that writes, as the rest of it lets everybody call";
    let rest = "groupRef: g.1\nname: a\nincomingAuth: {type: anonymous}\naggregation: {conflictResolution: manual}\n";
    check_as_it_is(rest, &format!("vmcp.yaml:1:1: backends: is required: {advice}"));
    check(
        &format!("{rest}backends: []\n"),
        &format!("vmcp.yaml:5:11: backends: is empty, and {advice}"),
    );
}

/// Files of another kind are told what they are.
#[test]
fn an_editors_file_is_no_configuration() {
    let told = "this lists the servers of an editor; give it with --mcp-json in place of --config";
    check_as_it_is(
        "{\"mcpServers\": {\"a\": {\"command\": \"x\"}}}",
        &format!("vmcp.yaml:1:2: {told}"),
    );
    check_as_it_is("inputs: []\nservers:\n  a: {command: x}", &format!("vmcp.yaml:2:1: {told}"));
    check_as_it_is(
        "// as some editors allow\n{\n\t\"servers\": {\"a\": {\"command\": \"x\"}}, // a\n}",
        &format!("vmcp.yaml:3:1: {told}"),
    );
    check_as_it_is("{\"context_servers\": {}}", &format!("vmcp.yaml:1:2: {told}"));
    // A configuration with a slip in it.
    check_as_it_is(
        &super::complete("servers: {}"),
        "vmcp.yaml:1:1: unknown key \"servers\"; the keys here are name, groupRef, metadata, backends, \
         incomingAuth, outgoingAuth, aggregation, operational, sessionStorage, peer, sessions, bridge, limits, \
         admin, allowedHosts, allowedOrigins, publicUrl, trustedProxies, passthroughHeaders, telemetry, audit",
    );
}
