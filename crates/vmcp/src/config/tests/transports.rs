//! How backends are reached: the keys of each transport, and those that do not fit.

use super::{check, complete, parsed};

#[test]
fn a_command_makes_a_program_and_a_url_an_endpoint() {
    check(
        "
backends:
  - {name: a, command: run}
  - {name: b, command: run, transport: stdio, args: [1, true, ''], isolation: session}
  - {name: c, url: 'http://h/'}
  - {name: d, url: 'http://h/', transport: streamable-http, headers: {Cookie: 'a=b'}}
  - {name: e, url: 'http://h/', transport: sse}
operational: {timeouts: {perWorkload: {a: 31s}}}",
        "a: runs run [] {} in None Session idle 600s {}
         a: connect 5s initialize 120s
         a: idle 31s absolute 3600s
         a: response 104857600 event 16777216
         a: in flight 1024 streams 10000 links 256
         a: list pages 1000 items 100000 bytes 33554432
         b: runs run [\"1\", \"true\", \"\"] {} in None Session idle 600s {}
         b: connect 5s initialize 120s
         b: idle 30s absolute 3600s
         b: response 104857600 event 16777216
         b: in flight 1024 streams 10000 links 256
         b: list pages 1000 items 100000 bytes 33554432
         c: http://h/ unauthenticated ca 0 {}
         c: connect 5s initialize 30s
         c: idle 30s absolute 3600s
         c: response 104857600 event 16777216
         c: in flight 1024 streams 10000 links 256
         c: list pages 1000 items 100000 bytes 33554432
         d: http://h/ unauthenticated cookie:\"a=b\" ca 0 {}
         d: connect 5s initialize 30s
         d: idle 30s absolute 3600s
         d: response 104857600 event 16777216
         d: in flight 1024 streams 10000 links 256
         d: list pages 1000 items 100000 bytes 33554432
         e: sse http://h/ unauthenticated ca 0 {}
         e: connect 5s initialize 30s
         e: idle 30s absolute 3600s
         e: response 104857600 event 16777216
         e: in flight 1024 streams 10000 links 256
         e: list pages 1000 items 100000 bytes 33554432",
    );
}

#[test]
fn keys_of_another_transport_are_refused() {
    check(
        "
backends:
  - {name: a, command: run, url: 'http://h/', headers: {}, headersFromFile: {}, type: entry, caBundlePath: /x}
  - {name: b, url: 'http://h/', args: [], env: {}, cwd: /, isolation: shared, processIdle: 1s}
  - {name: c, transport: sse, command: run}
  - {name: d, transport: stdio, args: [s3cret]}
  - {name: e, args: [s3cret]}",
        "vmcp.yaml:2:34: backends[0].url: only takes effect with transport: streamable-http or sse
         vmcp.yaml:2:56: backends[0].headers: only takes effect with transport: streamable-http or sse
         vmcp.yaml:2:77: backends[0].headersFromFile: only takes effect with transport: streamable-http or sse
         vmcp.yaml:2:87: backends[0].type: only takes effect with transport: streamable-http or sse
         vmcp.yaml:2:108: backends[0].caBundlePath: only takes effect with transport: streamable-http or sse
         vmcp.yaml:3:39: backends[1].args: only takes effect with transport: stdio
         vmcp.yaml:3:48: backends[1].env: only takes effect with transport: stdio
         vmcp.yaml:3:57: backends[1].cwd: only takes effect with transport: stdio
         vmcp.yaml:3:71: backends[1].isolation: only takes effect with transport: stdio
         vmcp.yaml:3:92: backends[1].processIdle: only takes effect with transport: stdio
         vmcp.yaml:4:5: backends[2].url: is required: the URL of its MCP endpoint
         vmcp.yaml:4:40: backends[2].command: only takes effect with transport: stdio
         vmcp.yaml:5:5: backends[3].command: is required for transport: stdio
         vmcp.yaml:6:5: backends[4].command: is required for transport: stdio",
    );
}

#[test]
fn a_default_strategy_passes_programs_by_and_an_entry_is_refused() {
    check(
        "
backends: [{name: a, command: run}]
outgoingAuth: {default: {type: header_injection, headerInjection: {headerName: X, headerValue: y}}}",
        "a: runs run [] {} in None Session idle 600s {}
         a: connect 5s initialize 120s
         a: idle 30s absolute 3600s
         a: response 104857600 event 16777216
         a: in flight 1024 streams 10000 links 256
         a: list pages 1000 items 100000 bytes 33554432",
    );
    check(
        "
backends: [{name: a, command: run}]
outgoingAuth: {backends: {a: {type: unauthenticated}}}",
        "vmcp.yaml:2:30: outgoingAuth.backends.a: only takes effect with transport: \
         streamable-http or sse; a program gets its credentials in env",
    );
}

#[test]
fn what_a_program_cannot_be_given_is_refused() {
    check(
        "
backends:
  - {name: a, command: '', args: [~, \"s3cret\\0\"], env: {'A=B': s3cret, '': s3cret, C: \"s3cret\\0\", D: []}, cwd: x}
  - {name: b, command: \"run\\0\", isolation: alone, processIdle: 200h, cwd: '${FIXTURES}/complete.yaml'}
  - {name: c, command: [run], args: s3cret, env: [s3cret], cwd: /nowhere}",
        "vmcp.yaml:2:24: backends[0].command: is empty
         vmcp.yaml:2:35: backends[0].args[0]: has no value; give it one or remove it
         vmcp.yaml:2:38: backends[0].args[1]: holds a NUL; remove it
         vmcp.yaml:2:64: backends[0].env.\"A=B\": its key is not the name of an environment variable
         vmcp.yaml:2:76: backends[0].env.\"\": its key is not the name of an environment variable
         vmcp.yaml:2:87: backends[0].env.C: holds a NUL; remove it
         vmcp.yaml:2:102: backends[0].env.D: must be text
         vmcp.yaml:2:112: backends[0].cwd: \"x\" is not an absolute path
         vmcp.yaml:3:24: backends[1].command: holds a NUL; remove it
         vmcp.yaml:3:44: backends[1].isolation: must be session or shared, not \"alone\"
         vmcp.yaml:3:64: backends[1].processIdle: \"200h\" is not between 1ms and 168h
         vmcp.yaml:3:75: backends[1].cwd: \"${FIXTURES}/complete.yaml\" is not a directory
         vmcp.yaml:4:24: backends[2].command: must be text
         vmcp.yaml:4:37: backends[2].args: must be a list
         vmcp.yaml:4:50: backends[2].env: must be a map of keys
         vmcp.yaml:4:65: backends[2].cwd: \"/nowhere\" is not a directory",
    );
}

#[test]
fn nothing_secret_of_a_program_is_in_what_is_printed_for_debugging() {
    let text = complete("backends: [{name: a, command: c, args: [s3cret], env: {A: s3cret}}]");
    let debug = format!("{:?}", parsed(&text).expect("it is fine"));
    assert!(debug.contains("\"A\"") && !debug.contains("s3cret"), "{debug}");
}

/// What can be seen before anything is started is told with its place, and keeps nothing else from
/// being served.
#[test]
fn a_command_that_cannot_be_run_is_told() {
    let warnings = |text: &str| {
        let warnings = parsed(&complete(text)).expect("it can be served").warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        warnings(
            "
backends:
  - {name: a, command: npx -y s3cret}
  - {name: b, command: '${FIXTURES}'}
  - {name: c, command: '${FIXTURES}/empty.txt'}
  - {name: d, command: ./empty.txt, cwd: '${FIXTURES}'}
  - {name: e, command: ~/bin/server}"
        ),
        [
            "vmcp.yaml:2:24: backends[0].command: no program is called so; put what follows the first word under args",
            "vmcp.yaml:3:24: backends[1].command: is a directory; name the program in it",
            "vmcp.yaml:4:24: backends[2].command: is a file that may not be run; allow that with chmod +x",
            "vmcp.yaml:5:24: backends[3].command: is a file that may not be run; allow that with chmod +x",
            "vmcp.yaml:6:24: backends[4].command: ~ stands for nothing here; write ${HOME} in its place",
        ]
    );
    // A file may have spaces in its name, and what is not there yet may come.
    let folder = tempfile::tempdir().expect("a directory");
    let program = folder.path().join("my server");
    std::fs::write(&program, "#!/bin/sh\n").expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).expect("allowed");
    for command in [program.to_str().expect("text"), "/not/there/yet", "npx"] {
        let none = warnings(&format!("backends: [{{name: a, command: {command:?}}}]"));
        assert!(none.is_empty(), "{none:?}");
    }
}

#[test]
fn headers_are_passed_on_that_belong_to_no_connection_and_prove_nothing_to_vmcp() {
    check("passthroughHeaders: []", "");
    check(
        "passthroughHeaders: [X-Tenant, X-Request-Source]",
        "github: http://127.0.0.1:8081/mcp unauthenticated passes [\"x-tenant\", \"x-request-source\"] ca 0 {}
         jira: http://127.0.0.1:8082/mcp unauthenticated passes [\"x-tenant\", \"x-request-source\"] ca 0 {}",
    );
    check("passthroughHeaders: [X-Tenant, authorization, a b, Mcp-Param-Region, x-tenant]", 
        "vmcp.yaml:1:32: passthroughHeaders[1]: \"authorization\" is not passed on: it belongs to one connection or to vmcp, or is a credential that is meant for vmcp; for what a backend is shown, see outgoingAuth
         vmcp.yaml:1:47: passthroughHeaders[2]: \"a b\" is not the name of a header
         vmcp.yaml:1:52: passthroughHeaders[3]: \"Mcp-Param-Region\" is not passed on: it belongs to one connection or to vmcp, or is a credential that is meant for vmcp; for what a backend is shown, see outgoingAuth",
    );
    let shown = "outgoingAuth: {backends: {github: {type: header_injection, headerInjection: {headerName: x-tenant, headerValue: a}}}}";
    check(
        &format!("{shown}\npassthroughHeaders: [X-Tenant]"),
        "vmcp.yaml:2:22: passthroughHeaders[0]: \"X-Tenant\" is set by outgoingAuth as well; keep one of the two",
    );
}
