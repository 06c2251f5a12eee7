//! Single values: durations, sizes, numbers, flags, and what the environment puts into them.

use std::time::Duration;

use super::{
    super::{
        expand::{Unexpanded, expand},
        suggest::nearest,
        units,
    },
    check, complete, environment, parsed,
};

#[test]
fn durations_are_written_as_in_go() {
    let read = |text| units::duration(text).map(|time| time.as_nanos());
    for (text, nanoseconds) in [
        ("30s", 30_000_000_000),
        ("1m30s", 90_000_000_000),
        ("1.5h", 5_400_000_000_000),
        (".5s", 500_000_000),
        ("1.s", 1_000_000_000),
        ("500ms", 500_000_000),
        ("1us", 1000),
        ("1µs", 1000),
        ("1μs", 1000),
        ("7ns", 7),
        ("1h0m0s", 3_600_000_000_000),
        ("0s", 0),
    ] {
        assert_eq!(read(text), Some(nanoseconds), "{text}");
    }
    for text in [
        "",
        "30",
        "s",
        "30 s",
        "-30s",
        "+1s",
        "1d",
        "1S",
        ".s",
        "1.2.3s",
        "1s2",
        "1e3s",
        " 1s",
        "99999999999999999999s",
        "9999999999999h",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
    for text in ["1h30m", "90s", "1m30s", "500ms", "1us7ns", "0s"] {
        let shown = units::show_duration(units::duration(text).unwrap());
        assert_eq!(units::duration(&shown), units::duration(text), "{text}");
    }
    assert_eq!(units::show_duration(Duration::from_secs(5400)), "1h30m");
}

#[test]
fn sizes_are_bytes_or_binary_multiples() {
    for (text, bytes) in
        [("1", 1), ("1048576", 1 << 20), ("64KiB", 64 << 10), ("8MiB", 8 << 20), ("1GiB", 1 << 30)]
    {
        assert_eq!(units::size(text), Some(bytes), "{text}");
    }
    for text in ["", "MiB", "8MB", "8 MiB", "8mib", "+1", "1-1", "1.5MiB", "1e6", "0x10"] {
        assert_eq!(units::size(text), None, "{text}");
    }
    assert_eq!(units::show_size(8 << 20), "8MiB");
    assert_eq!(units::show_size(1000), "1000 bytes");
}

#[test]
fn what_cannot_be_read_or_is_out_of_bounds_is_told() {
    check(
        "
sessions:
  ttl: 30
  initializeWait: 0s
  keepAlive: -1s
  drainTimeout: 2h
  offerMaxAge: 999us
  eventLogBytes: 8MB
  maxBackendInitConcurrency: 1001
limits: {requestBytes: 0, responseBytes: 2GiB, streams: 1.5, views: many}
aggregation:
  conflictResolution: manual
  nameLimit: 15
  pageSize: 0
  excludeAllTools: maybe",
        "vmcp.yaml:2:8: sessions.ttl: \"30\" is not a duration; write it like 30s, 1m30s or 500ms
         vmcp.yaml:3:19: sessions.initializeWait: \"0s\" is not between 1ms and 1h
         vmcp.yaml:4:14: sessions.keepAlive: \"-1s\" is not between 1ms and 1h
         vmcp.yaml:5:17: sessions.drainTimeout: \"2h\" is not between 1ms and 1h
         vmcp.yaml:6:16: sessions.offerMaxAge: \"999us\" is not between 1ms and 24h
         vmcp.yaml:7:18: sessions.eventLogBytes: \"8MB\" is not a size; write a number of bytes, or one with KiB, MiB or GiB
         vmcp.yaml:8:30: sessions.maxBackendInitConcurrency: \"1001\" is not between 1 and 1000
         vmcp.yaml:9:24: limits.requestBytes: \"0\" is not between 1 bytes and 1GiB
         vmcp.yaml:9:42: limits.responseBytes: \"2GiB\" is not between 1 bytes and 1GiB
         vmcp.yaml:9:57: limits.streams: \"1.5\" is not a whole number
         vmcp.yaml:9:69: limits.views: \"many\" is not a whole number
         vmcp.yaml:12:14: aggregation.nameLimit: \"15\" is not between 16 and 128
         vmcp.yaml:13:13: aggregation.pageSize: \"0\" is not between 1 and 10000
         vmcp.yaml:14:20: aggregation.excludeAllTools: \"maybe\" is not true or false",
    );
}

#[test]
fn words_are_taken_from_their_list() {
    check(
        "
operational: {logLevel: wran}
sessions: {backendInit: ''}
sessionStorage: {provider: file}",
        "vmcp.yaml:1:25: operational.logLevel: must be error or warn or info or debug or trace, not \"wran\"; did you mean \"warn\"?
         vmcp.yaml:2:25: sessions.backendInit: must be lazy or eager, not \"\"
         vmcp.yaml:3:28: sessionStorage.provider: must be memory or redis, not \"file\"",
    );
    check("operational: {logLevel: error}", "log level Some(Level(Error))");
    check("operational: {logLevel: trace}", "log level Some(Level(Trace))");
}

#[test]
fn variables_are_put_into_any_value_but_no_key() {
    check(
        "
groupRef: a${BACKEND}-${PORT}b${EMPTY}
metadata: {'${BACKEND}': '$${BACKEND} $$ $ $x'}
limits: {views: '${LIMIT}', requestBytes: '${LIMIT}KiB'}
sessions: {ttl: '${LIMIT}m'}",
        "group Some(\"agithub-8081b\")
         metadata {\"${BACKEND}\": \"${BACKEND} $$ $ $x\"}
         ttl 1920s
         request 32768
         views 32",
    );
    check(
        "'${LIMIT}': 1",
        "vmcp.yaml:1:1: unknown key \"${LIMIT}\"; the keys here are name, \
        groupRef, metadata, backends, incomingAuth, outgoingAuth, aggregation, operational, \
        sessionStorage, peer, sessions, bridge, limits, admin, allowedHosts, allowedOrigins, publicUrl, trustedProxies, passthroughHeaders, telemetry, audit",
    );
}

#[test]
fn a_variable_must_be_set_and_well_written() {
    let malformed =
        "\"${\" is not followed by a variable's name and \"}\"; write $${ if it means itself";
    check(
        "
name: ${NOBODY}
groupRef: ${BACKEND
metadata: {a: '${}', b: '${BACKEND:-x}', c: '${1}', d: '${1:-x}', e: '${BACKEND:x}', f: '${A:-${B}}'}
limits: {views: '${TOKEN}'}
sessions: {ttl: '${EMPTY}'}",
        &format!(
            "vmcp.yaml:1:7: name: the environment variable NOBODY is not set; set it, or write $${{ for ${{
             vmcp.yaml:2:11: groupRef: {malformed}
             vmcp.yaml:3:15: metadata.a: {malformed}
             vmcp.yaml:3:45: metadata.c: {malformed}
             vmcp.yaml:3:56: metadata.d: {malformed}
             vmcp.yaml:3:70: metadata.e: {malformed}
             vmcp.yaml:3:89: metadata.f: a default cannot hold \"${{\", as variables do not nest; write the default itself, or set the variable
             vmcp.yaml:4:17: limits.views: \"${{TOKEN}}\" is not a whole number
             vmcp.yaml:5:17: sessions.ttl: is empty"
        ),
    );
}

#[test]
fn expansion_is_not_repeated() {
    let variable = |name: &str| (name == "A").then(|| "${A}".to_owned());
    assert_eq!(expand("${A}${A}", variable), Ok("${A}${A}".to_owned()));
    assert_eq!(expand("$$${A}", variable), Ok("$${A}".to_owned()));
    assert_eq!(expand("é$", environment), Ok("é$".to_owned()));
    assert_eq!(expand("${B}", variable), Err(Unexpanded::Unset("B".to_owned())));
    assert_eq!(expand("${A", variable), Err(Unexpanded::Malformed));
    assert_eq!(expand("${A:-x} ${B:-$A} ${B:-}", variable), Ok("${A} $A ".to_owned()));
    for nested in ["${A:-${B}}", "${B:-${A}}", "${B:-$${A}}"] {
        assert_eq!(expand(nested, variable), Err(Unexpanded::Nested), "{nested}");
    }
    assert_eq!(expand("${EMPTY:-x}", environment), Ok("x".to_owned()));
}

#[test]
fn a_suggestion_must_be_near() {
    let names = ["backends", "name", "aggregation", "url"];
    assert_eq!(nearest("bakcends", names), Some("backends"));
    assert_eq!(nearest("Name", names), Some("name"));
    assert_eq!(nearest("agregations", names), Some("aggregation"));
    assert_eq!(nearest("uri", names), Some("url"));
    assert_eq!(nearest("x", names), None);
    assert_eq!(nearest("plugins", names), None);
    assert_eq!(nearest("", names), None);
    assert_eq!(nearest(&"n".repeat(1 << 20), names), None);
}

#[test]
fn what_has_no_effect_beside_the_others_is_a_mistake() {
    check(
        "
bridge: {reuse: never, concurrency: 4, idle: 1m, wait: 1s}
limits: {keptSessionsPerBackend: 9}",
        "vmcp.yaml:1:37: bridge.concurrency: has no effect: with reuse: never, no backend session is kept
         vmcp.yaml:1:46: bridge.idle: has no effect: with reuse: never, no backend session is kept
         vmcp.yaml:1:56: bridge.wait: has no effect: with reuse: never, no backend session is kept
         vmcp.yaml:2:34: limits.keptSessionsPerBackend: has no effect: with bridge.reuse: never, no backend session is kept",
    );
    check(
        "bridge: {reuse: all, concurrency: 4}",
        "vmcp.yaml:1:35: bridge.concurrency: has no effect: with reuse: all, calls run one at a time",
    );
}

/// All the words that YAML has had for truth values.
#[test]
fn flags_have_many_words() {
    for (words, value) in [
        (["true", "True", "TRUE", "yes", "Yes", "YES", "y", "Y", "on", "On", "ON"], true),
        (["false", "False", "FALSE", "no", "No", "NO", "n", "N", "off", "Off", "OFF"], false),
    ] {
        for word in words {
            let text = complete(&format!("operational: {{reload: {{watchFile: {word}}}}}"));
            let configuration = parsed(&text).expect(word);
            assert_eq!(configuration.reload.watch_file, value, "{word}");
        }
    }
    check(
        "operational: {reload: {watchFile: yEs}}",
        "vmcp.yaml:1:35: operational.reload.watchFile: \"yEs\" is not true or false",
    );
}

#[test]
fn numbers_out_of_reach_are_told_their_bounds() {
    for number in [
        "-1",
        "-99999999999999999999999999999999999999999999",
        "99999999999999999999999999999999999999999999",
    ] {
        check(
            &format!("limits: {{sessions: {number}, eventBytes: {number}KiB}}"),
            &format!(
                "vmcp.yaml:1:20: limits.sessions: \"{number}\" is not between 1 and 10000000
                 vmcp.yaml:1:{}: limits.eventBytes: \"{number}KiB\" is not between 1 bytes and 1GiB",
                34 + number.len()
            ),
        );
    }
    check(
        "sessions: {ttl: -30s}",
        "vmcp.yaml:1:17: sessions.ttl: \"-30s\" is not between 1ms and 720h",
    );
}

/// What editors fill in themselves.
#[test]
fn variables_of_editors_are_told_how_they_are_written_here() {
    for (text, expected) in [
        ("${env:TOKEN}", "${env:TOKEN} is an editor's form; write ${TOKEN}"),
        ("${localEnv:A_B}/x", "${localEnv:A_B} is an editor's form; write ${A_B}"),
        (
            "${workspaceFolder}/x",
            "${workspaceFolder} is filled in by editors only; write the folder itself",
        ),
        (
            "${workspaceFolder:api}",
            "${workspaceFolder} is filled in by editors only; write the folder itself",
        ),
        ("${userHome}/.x", "${userHome} is filled in by editors only; write ${HOME}"),
        ("a${/}b", "${/} is filled in by editors only; write /"),
        (
            "${input:token}",
            "${input} is filled in by editors only; write ${NAME}, and set the environment variable NAME",
        ),
        (
            "${env:s3cret!}",
            "\"${\" is not followed by a variable's name and \"}\"; write $${ if it means itself",
        ),
    ] {
        check(&format!("groupRef: '{text}'"), &format!("vmcp.yaml:1:11: groupRef: {expected}"));
    }
}
