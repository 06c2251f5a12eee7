//! `outgoingAuth`.

use super::check;

#[test]
fn a_header_gets_its_value_from_one_place() {
    check(
        "
outgoingAuth:
  default:
    type: header_injection
    headerInjection: {headerName: X-Key, headerValue: plain}
  backends:
    github:
      type: header_injection
      headerInjection: {headerName: X-Key, headerValueFile: '${FIXTURES}/header-value.txt'}",
        "github: http://127.0.0.1:8081/mcp x-key=\"s3cret-from-file\" from \"header-value.txt\" ca 0 {}
         jira: http://127.0.0.1:8082/mcp x-key=\"plain\" ca 0 {}",
    );
    check(
        "
outgoingAuth:
  default:
    type: header_injection
    headerInjection: {headerName: X-Key, headerValueEnv: TOKEN}
  backends:
    jira: {type: unauthenticated}",
        "github: http://127.0.0.1:8081/mcp x-key=\"s3cret-token\" ca 0 {}",
    );
    // Numbers are text here, whatever YAML makes of them.
    for value in ["1e999", "-99999999999999999999999", "99999999999999999999999", "0x1F", ".nan"] {
        check(
            &format!(
                "outgoingAuth: {{backends: {{jira: {{type: header_injection, \
                 headerInjection: {{headerName: X-Key, headerValue: {value}}}}}}}}}"
            ),
            &format!("jira: http://127.0.0.1:8082/mcp x-key=\"{value}\" ca 0 {{}}"),
        );
    }
}

#[test]
fn a_header_needs_exactly_one_source() {
    check(
        "
outgoingAuth:
  default: {type: header_injection}
  backends:
    github: {type: header_injection, headerInjection: {headerName: X-Key}}
    jira:
      type: header_injection
      headerInjection: {headerName: X-Key, headerValue: s3cret, headerValueEnv: TOKEN}",
        "vmcp.yaml:2:12: outgoingAuth.default.headerInjection: is required for type: header_injection
         vmcp.yaml:4:55: outgoingAuth.backends.github.headerInjection: needs exactly one of headerValue, headerValueEnv, headerValueFile
         vmcp.yaml:7:24: outgoingAuth.backends.jira.headerInjection: needs exactly one of headerValue, headerValueEnv, headerValueFile",
    );
    check(
        "outgoingAuth: {default: {type: header_injection, headerInjection: {}}}",
        "vmcp.yaml:1:67: outgoingAuth.default.headerInjection: needs exactly one of headerValue, headerValueEnv, headerValueFile
         vmcp.yaml:1:67: outgoingAuth.default.headerInjection.headerName: is required: the name of the header",
    );
}

/// Checks what is said about one `headerInjection`.
#[track_caller]
fn check_injection(injection: &str, expected: &str) {
    check(
        &format!(
            "outgoingAuth: {{default: {{type: header_injection, headerInjection:\n {injection}}}}}"
        ),
        &format!("vmcp.yaml:2:{expected}"),
    );
}

#[test]
fn headers_of_the_transport_are_refused() {
    let path = "outgoingAuth.default.headerInjection.headerName:";
    for name in ["Host", "content-length", "Mcp-Session-Id", "MCP-Protocol-Version", "Accept"] {
        check_injection(
            &format!("{{headerValue: x, headerName: {name}}}"),
            &format!("31: {path} {name:?} belongs to the transport and cannot be set"),
        );
    }
    check_injection(
        "{headerValue: x, headerName: 'X Key'}",
        &format!("31: {path} \"X Key\" is not the name of a header"),
    );
    check_injection("{headerValue: x, headerName: ''}", &format!("31: {path} is empty"));
}

#[test]
fn messages_hold_no_value_of_a_header() {
    let path = "outgoingAuth.default.headerInjection";
    for (injection, expected) in [
        (
            "{headerName: X, headerValue: \"s3cret\\n\"}",
            "headerValue: it holds a character that no header may have",
        ),
        ("{headerName: X, headerValue: [s3cret]}", "headerValue: must be text"),
        (
            "{headerName: X, headerValue: '${TWO_LINES}'}",
            "headerValue: it holds a character that no header may have",
        ),
        ("{headerName: X, headerValue: '  '}", "headerValue: is empty"),
        (
            "{headerName: X, headerValueEnv: TWO_LINES}",
            "headerValueEnv: the variable TWO_LINES holds a character that no header may have",
        ),
        (
            "{headerName: X, headerValueEnv: 's3cret!'}",
            "headerValueEnv: is not the name of an environment variable",
        ),
        (
            "{headerName: X, headerValueFile: '${FIXTURES}/empty.txt'}",
            "headerValueFile: \"${FIXTURES}/empty.txt\" is empty",
        ),
        (
            "{headerName: X, headerValueFile: '${FIXTURES}/authority.pem'}",
            "headerValueFile: \"${FIXTURES}/authority.pem\" holds a character that no header may have",
        ),
        (
            "{headerName: X, headerValueFile: header-value.txt}",
            "headerValueFile: \"header-value.txt\" is not an absolute path",
        ),
    ] {
        let column = 2 + injection.rfind(": ").unwrap() + 2;
        check_injection(injection, &format!("{column}: {path}.{expected}"));
    }
    check(
        "outgoingAuth: {default: {type: header_injection, headerInjection: s3cret}}",
        "vmcp.yaml:1:67: outgoingAuth.default.headerInjection: must be a map of keys",
    );
}

/// Secrets that were made out of a file often end with a line break.
#[test]
fn a_line_break_at_the_end_of_a_variable_is_no_part_of_a_secret() {
    let injected = |variable: &str| {
        format!(
            "outgoingAuth: {{backends: {{github: {{type: header_injection, headerInjection: {{headerName: X-Key, \
             headerValueEnv: {variable}}}}}}}}}"
        )
    };
    check(
        &injected("OF_A_FILE"),
        "github: http://127.0.0.1:8081/mcp x-key=\"s3cret-of-a-file\" ca 0 {}",
    );
    check(
        &injected("BLANK"),
        "github: http://127.0.0.1:8081/mcp missing \"the environment variable BLANK is not set or empty\" ca 0 {}
         warning vmcp.yaml:1:113: outgoingAuth.backends.github.headerInjection.headerValueEnv: the environment variable BLANK \
         is not set or empty; backend github is out until vmcp is started with it",
    );
}

#[test]
fn strategies_and_their_backends_are_known() {
    check(
        "
outgoingAuth:
  source: inline
  default: {type: header_injektion}
  backends:
    gihub: {type: unauthenticated}
    nobody-knows: {type: upstream_inject, upstreamInject: {}}
    jira: {headerInjection: {headerName: X, headerValue: s3cret}}
    github: {type: unauthenticated, headerInjection: {headerName: X, headerValue: s3cret}}",
        "vmcp.yaml:3:19: outgoingAuth.default.type: must be unauthenticated or header_injection or client_credentials or token_exchange or obo or xaa or aws_sts, not \"header_injektion\"; did you mean \"header_injection\"?
         vmcp.yaml:5:12: outgoingAuth.backends.gihub: no backend is called \"gihub\"; did you mean \"github\"?
         vmcp.yaml:6:19: outgoingAuth.backends.nobody-knows: no backend is called \"nobody-knows\"
         vmcp.yaml:6:26: outgoingAuth.backends.nobody-knows.type: \"upstream_inject\" is not supported yet: it needs the embedded authorization server, which vmcp does not have yet; leave this backend out until then
         vmcp.yaml:6:43: outgoingAuth.backends.nobody-knows.upstreamInject: is not supported yet: it needs the embedded authorization server, which vmcp does not have yet; leave this backend out until then
         vmcp.yaml:7:11: outgoingAuth.backends.jira.type: is required: what the backend is shown
         vmcp.yaml:8:54: outgoingAuth.backends.github.headerInjection: only takes effect with type: header_injection",
    );
}
