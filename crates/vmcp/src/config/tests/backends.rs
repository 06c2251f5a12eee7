//! `backends`, and the timeouts and addresses around them.

use super::{check, check_as_it_is, complete};

#[test]
fn names_are_unique_and_well_formed() {
    check(
        "
backends:
  - {name: a, url: 'http://h/'}
  - {name: a, url: 'http://h/'}
  - {name: 'my server', url: 'http://h/'}
  - {name: '', url: 'http://h/'}",
        "vmcp.yaml:3:12: backends[1].name: \"a\" is the name of another backend already
         vmcp.yaml:4:12: backends[2].name: \"my server\" is not a backend name: \
         use 1 to 64 of the characters A-Z a-z 0-9 . _ -
         vmcp.yaml:5:12: backends[3].name: is empty",
    );
    check(
        "backends: []",
        "vmcp.yaml:1:11: backends: is empty; a virtual server needs at least one backend",
    );
    check("backends: {name: a}", "vmcp.yaml:1:11: backends: must be a list");
    check("backends: [a]", "vmcp.yaml:1:12: backends[0]: must be a map of keys");
}

/// Checks one URL of a backend.
#[track_caller]
fn check_url(url: &str, expected: &str) {
    let text = complete(&format!("backends: [{{name: a, url: {url:?}}}]"));
    let expected = match expected {
        "" => String::new(),
        expected => format!("vmcp.yaml:1:27: backends[0].url: {expected}"),
    };
    match super::parsed(&text) {
        Ok(_) => assert_eq!(expected, "", "{url} is accepted"),
        Err(problems) => assert_eq!(problems.to_string(), expected),
    }
}

#[test]
fn urls_are_http_with_a_host_and_nothing_else_to_hide() {
    for url in ["http://h/mcp", "https://h", "HTTP://h:1/", "http://[::1]:80/x?y", "http://a_b/"] {
        check_url(url, "");
    }
    for url in ["ftp://x", "h", "/mcp", "localhost:8080/mcp", "http://h/a b", "*"] {
        check_url(
            url,
            &format!(
                "{url:?} is not an http or https URL; write it like http://127.0.0.1:8080/mcp"
            ),
        );
    }
    check_url("http://user:s3cret@h/", "holds credentials; move them to outgoingAuth");
    check_url("http://user:${TOKEN}@h/", "holds credentials; move them to outgoingAuth");
    check_url("ftp://user:s3cret@h/", "holds credentials; move them to outgoingAuth");
    check_url(
        "http://user:s3 cret@h/",
        "the value is not an http or https URL; write it like http://127.0.0.1:8080/mcp",
    );
    check_url(
        "ws://${TOKEN}/",
        "\"ws://${TOKEN}/\" is not an http or https URL; write it like http://127.0.0.1:8080/mcp",
    );
    check_url(
        "http:///mcp?key=s3cret&x?y",
        "\"http:///mcp?…\" lacks a host; write it like http://127.0.0.1:8080/mcp",
    );
    for url in ["http:///mcp", "http://:80/", "https://", "HTTP://?x"] {
        let shown = url.split('?').next().expect("a part");
        let shown = if shown == url { url.to_owned() } else { format!("{shown}?…") };
        check_url(
            url,
            &format!("\"{shown}\" lacks a host; write it like http://127.0.0.1:8080/mcp"),
        );
    }
    for url in ["http://h:0/", "http://h:70000/mcp", "http://h:/", "https://[::1]:x"] {
        check_url(url, &format!("{url:?}: its port is not between 1 and 65535"));
    }
    check_url(
        "http://$HOST:80/mcp",
        "no host has a $ in its name; write ${HOST} for the value of the environment variable HOST",
    );
}

#[test]
fn a_fragment_is_taken_off() {
    check(
        "backends: [{name: a, url: 'http://h:1/sse#fetch', transport: sse}]",
        "a: sse http://h:1/sse unauthenticated ca 0 {}
         a: connect 5s initialize 30s
         a: idle 30s absolute 3600s
         a: response 104857600 event 16777216
         a: in flight 1024 streams 10000 links 256
         a: list pages 1000 items 100000 bytes 33554432",
    );
}

/// A variable as a shell has it stays as it stands, and whoever wrote it is told.
#[test]
fn variables_without_braces_are_warned_of() {
    let warning = "holds a $ and a name without braces, which stays as it stands; \
                   write ${NAME} for the value of the environment variable NAME";
    check(
        "
backends:
  - {name: github, url: 'http://127.0.0.1:8081/mcp'}
  - {name: jira, url: 'http://127.0.0.1:8082/mcp', headers: {X-Tenant: $TENANT, X-Price: 5$}}
outgoingAuth: {default: {type: header_injection, headerInjection: {headerName: X, headerValue: Bearer $TOKEN}}}",
        &format!(
            "github: http://127.0.0.1:8081/mcp x=\"Bearer $TOKEN\" ca 0 {{}}
             jira: http://127.0.0.1:8082/mcp x=\"Bearer $TOKEN\" x-tenant:\"$TENANT\" x-price:\"5$\" ca 0 {{}}
             warning vmcp.yaml:3:72: backends[1].headers.X-Tenant: {warning}
             warning vmcp.yaml:4:96: outgoingAuth.default.headerInjection.headerValue: {warning}"
        ),
    );
}

#[test]
fn transports_and_types_are_known() {
    check(
        "
backends:
  - {name: a, url: 'http://h/', transport: sse, type: remote}
  - {name: b, url: 'ftp://h/', args: 1, transport: ssh}",
        "vmcp.yaml:2:55: backends[0].type: must be entry or left out, not \"remote\"
         vmcp.yaml:3:52: backends[1].transport: must be streamable-http or sse or stdio, not \"ssh\"; did you mean \"sse\"?",
    );
}

#[test]
fn a_ca_bundle_is_read_whatever_the_type() {
    check(
        "
backends:
  - {name: a, url: 'http://h/', caBundlePath: '${FIXTURES}/authority.pem'}
  - {name: b, url: 'http://h/', type: '', caBundlePath: '${FIXTURES}/authority.pem'}
  - {name: c, url: 'http://h/', type: entry, caBundlePath: authority.pem}
  - {name: d, url: 'http://h/', type: entry, caBundlePath: '${FIXTURES}/../authority.pem'}
  - {name: e, url: 'http://h/', type: entry, caBundlePath: \"/etc/\\0\"}
  - {name: f, url: 'http://h/', type: entry, caBundlePath: '${FIXTURES}/header-value.txt'}
  - {name: g, url: 'http://h/', type: entry, caBundlePath: '${FIXTURES}/nothing.pem'}
  - {name: h, url: 'http://h/', type: enrty, caBundlePath: '${FIXTURES}/authority.pem'}",
        "vmcp.yaml:4:60: backends[2].caBundlePath: \"authority.pem\" is not an absolute path
         vmcp.yaml:5:60: backends[3].caBundlePath: \"${FIXTURES}/../authority.pem\" holds \"..\" or a NUL; write the path itself
         vmcp.yaml:6:60: backends[4].caBundlePath: \"/etc/\\0\" holds \"..\" or a NUL; write the path itself
         vmcp.yaml:7:60: backends[5].caBundlePath: \"${FIXTURES}/header-value.txt\" holds no PEM certificate
         vmcp.yaml:8:60: backends[6].caBundlePath: \"${FIXTURES}/nothing.pem\" does not exist
         vmcp.yaml:9:39: backends[7].type: must be entry or left out, not \"enrty\"; did you mean \"entry\"?",
    );
}

#[test]
fn labels_are_text() {
    check(
        "backends: [{name: a, url: 'http://h/', metadata: {group: x, tags: [a], none: ''}}]",
        "vmcp.yaml:1:67: backends[0].metadata.tags: must be text",
    );
}

#[test]
fn a_call_as_a_whole_takes_longest() {
    check(
        "operational: {timeouts: {default: 1m, absolute: 30s}}",
        "vmcp.yaml:1:49: operational.timeouts.absolute: a call as a whole (absolute: 30s) may not \
         be shorter than its time without a sign of life (default and perWorkload: up to 1m)",
    );
    check(
        "operational: {timeouts: {absolute: 10s}}",
        "vmcp.yaml:1:36: operational.timeouts.absolute: a call as a whole (absolute: 10s) may not \
         be shorter than its time without a sign of life (default and perWorkload: up to 30s)",
    );
    check(
        "operational: {timeouts: {default: 2h}}",
        "github: idle 7200s absolute 7200s
         jira: idle 7200s absolute 7200s",
    );
    check(
        "operational: {timeouts: {perWorkload: {jira: 2h}}}",
        "github: idle 30s absolute 7200s
         jira: idle 7200s absolute 7200s",
    );
    check(
        "operational: {timeouts: {perWorkload: {jira: 2h}, absolute: 1h}}",
        "vmcp.yaml:1:61: operational.timeouts.absolute: a call as a whole (absolute: 1h) may not \
         be shorter than its time without a sign of life (default and perWorkload: up to 2h)",
    );
    check(
        "
operational:
  timeouts:
    perWorkload: {jira: 2h, gihub: 5s, github: 0s, 'a.b': 1}",
        "vmcp.yaml:3:36: operational.timeouts.perWorkload.gihub: no backend is called \"gihub\"; \
         did you mean \"github\"?
         vmcp.yaml:3:48: operational.timeouts.perWorkload.github: \"0s\" is not between 1ms and 168h
         vmcp.yaml:3:59: operational.timeouts.perWorkload.\"a.b\": \"1\" is not a duration; \
         write it like 30s, 1m30s or 500ms
         vmcp.yaml:3:59: operational.timeouts.perWorkload.\"a.b\": no backend is called \"a.b\"",
    );
    check(
        "operational: {timeouts: {default: 5s, perWorkload: {jira: 10s}, absolute: 10s}}",
        "github: idle 5s absolute 10s
         jira: idle 10s absolute 10s",
    );
}

#[test]
fn addresses_are_checked() {
    check(
        "
admin: {listen: 'localhost:9090'}
allowedHosts: ['*', 'http://h', 'h:0', 'h:', '::1', 'a b', '*.example.com', ok, OK]
allowedOrigins: ['*', 'null', h, 'http://h/', 'http://', '1x://h', 'http://u@h']",
        "vmcp.yaml:1:17: admin.listen: \"localhost:9090\" is not an IP address and port; write 127.0.0.1:9090
         vmcp.yaml:2:16: allowedHosts[0]: \"*\" is not host or host:port
         vmcp.yaml:2:21: allowedHosts[1]: \"http://h\" is not host or host:port
         vmcp.yaml:2:33: allowedHosts[2]: \"h:0\" is not host or host:port
         vmcp.yaml:2:40: allowedHosts[3]: \"h:\" is not host or host:port
         vmcp.yaml:2:46: allowedHosts[4]: \"::1\" is not host or host:port
         vmcp.yaml:2:53: allowedHosts[5]: \"a b\" is not host or host:port
         vmcp.yaml:2:60: allowedHosts[6]: \"*.example.com\" is not host or host:port
         vmcp.yaml:3:18: allowedOrigins[0]: \"*\" is not an origin; write scheme://host or scheme://host:port
         vmcp.yaml:3:23: allowedOrigins[1]: \"null\" is not an origin; write scheme://host or scheme://host:port
         vmcp.yaml:3:31: allowedOrigins[2]: \"h\" is not an origin; write scheme://host or scheme://host:port
         vmcp.yaml:3:34: allowedOrigins[3]: \"http://h/\" is not an origin; write scheme://host or scheme://host:port
         vmcp.yaml:3:47: allowedOrigins[4]: \"http://\" is not an origin; write scheme://host or scheme://host:port
         vmcp.yaml:3:58: allowedOrigins[5]: \"1x://h\" is not an origin; write scheme://host or scheme://host:port
         vmcp.yaml:3:68: allowedOrigins[6]: \"http://u@h\" is not an origin; write scheme://host or scheme://host:port",
    );
    check(
        "
admin: {listen: '[::1]:0'}
allowedHosts: [ok, OK]
allowedOrigins: ['http://h:80', 'http://h:8080', 'http://H']",
        "admin Some([::1]:0) None
         hosts [\"ok\"]
         origins [\"http://h\", \"http://h:8080\"]
         warning vmcp.yaml:2:20: allowedHosts[1]: \"OK\" is listed twice
         warning vmcp.yaml:3:50: allowedOrigins[2]: \"http://H\" is listed twice",
    );
    check("admin: {}", "");
}

#[test]
fn problems_of_all_parts_come_in_the_order_of_the_file() {
    check_as_it_is(
        "
name: [a]
backends:
  - name: a
    url: ftp://x
  - name: b
    ulr: http://h
incomingAuth: {type: oicd}
aggregation:
  conflictResolution: prefix
optimizer: {}
limits: {views: 0}"
            .trim_start(),
        "vmcp.yaml:1:7: name: must be text
         vmcp.yaml:4:10: backends[0].url: \"ftp://x\" is not an http or https URL; write it like http://127.0.0.1:8080/mcp
                  vmcp.yaml:6:5: backends[1]: unknown key \"ulr\"; did you mean \"url\"?
         vmcp.yaml:7:22: incomingAuth.type: must be anonymous or local or oidc, not \"oicd\"; did you mean \"oidc\"?
         vmcp.yaml:9:3: aggregation.conflictResolutionConfig.prefixFormat: is required for conflictResolution: prefix
         vmcp.yaml:10:1: optimizer: is not supported yet; remove it to show all tools in place of find_tool and call_tool
         vmcp.yaml:11:17: limits.views: \"0\" is not between 1 and 1000000",
    );
}

#[test]
fn a_check_takes_less_than_the_time_between_two() {
    check(
        "operational: {failureHandling: {healthCheckInterval: 10s, healthCheckTimeout: 10s}}",
        "vmcp.yaml:1:79: operational.failureHandling.healthCheckTimeout: \"10s\" is not less than \
         healthCheckInterval (10s)",
    );
    check(
        "operational: {failureHandling: {healthCheckInterval: 5s}}",
        "checks each 5s in 2.5s, 3 fail",
    );
    for zero in ["0", "0s"] {
        check(&format!("operational: {{failureHandling: {{healthCheckTimeout: {zero}}}}}"), "");
    }
}

#[test]
fn a_backend_is_left_alone_for_a_second_at_least() {
    check(
        "operational: {failureHandling: {circuitBreaker: {timeout: 999ms, failureThreshold: 0}}}",
        "vmcp.yaml:1:59: operational.failureHandling.circuitBreaker.timeout: \"999ms\" is less than 1s
         vmcp.yaml:1:84: operational.failureHandling.circuitBreaker.failureThreshold: \"0\" is not \
         between 1 and 100000",
    );
    check("operational: {failureHandling: {circuitBreaker: {timeout: 2s}}}", "");
    check(
        "operational: {failureHandling: {circuitBreaker: {enabled: true}}}",
        "breaker Some(BreakerSettings { failure_threshold: 5, timeout: 60s })",
    );
}

/// Wherever the variable is named: it is that backend's trouble alone.
#[test]
fn a_backend_whose_variable_is_not_there_is_out_and_no_other() {
    let unset = "the environment variable NOBODY is not set; set it, or write $${ for ${";
    let entry = |entry: &str| {
        format!(
            "backends:\n  - {{name: github, url: 'http://127.0.0.1:8081/mcp'}}\n  - {{name: jira, {entry}}}\n"
        )
    };
    for (entry, path, place) in [
        ("url: 'http://${NOBODY}/mcp'", "url", "http://unknown.invalid/"),
        ("url: 'http://b/', headers: {X-Key: '${NOBODY}'}", "headers.X-Key", "http://b/"),
        ("command: run, args: ['--key', '${NOBODY}']", "args[1]", "http://unknown.invalid/"),
        ("command: run, env: {KEY: '${NOBODY}'}", "env.KEY", "http://unknown.invalid/"),
    ]
    .map(|(text, path, place)| (entry(text), path, place))
    {
        let line = entry.lines().nth(2).unwrap();
        let column = line.find("'${NOBODY}'").or(line.find("'http://${")).unwrap() + 1;
        check(
            &entry,
            &format!(
                "jira: {place} missing \"{unset}\" ca 0 {{}}
                 warning vmcp.yaml:3:{column}: backends[1].{path}: {unset}; backend jira is out until vmcp is started with it"
            ),
        );
    }
    // Of a default, all that go by it.
    check(
        "outgoingAuth: {default: {type: header_injection, headerInjection: {headerName: X, headerValueEnv: EMPTY}}, \
         backends: {jira: {type: unauthenticated}}}",
        "github: http://127.0.0.1:8081/mcp missing \"the environment variable EMPTY is not set or empty\" ca 0 {}
         warning vmcp.yaml:1:99: outgoingAuth.default.headerInjection.headerValueEnv: the environment variable EMPTY is not \
         set or empty; each backend that it is for is out until vmcp is started with it",
    );
    // A header that two set is wrong before the variable is there, and not only then.
    check(
        "outgoingAuth: {default: {type: header_injection, headerInjection: {headerName: X-Key, headerValueEnv: EMPTY}}}
passthroughHeaders: [X-Key]",
        "vmcp.yaml:2:22: passthroughHeaders[0]: \"X-Key\" is set by outgoingAuth as well; keep one of the two",
    );
    // What is wrong besides is wrong, and a backend without a name is none.
    check(
        "backends:\n  - {name: '${NOBODY}', url: 'http://h/'}",
        &format!("vmcp.yaml:2:12: backends[0].name: {unset}"),
    );
    check(
        &entry("url: 'http://${NOBODY}/', transport: carrier"),
        "vmcp.yaml:3:55: backends[1].transport: must be streamable-http or sse or stdio, not \"carrier\"",
    );
}
