//! Headers that every request to a backend carries, out of the file, of other files and of variables.

use super::{super::forwarded::unclaimed, check, complete, environment::with};

/// What is said about a backend `a` whose variable holds this, beside the keys.
fn told(manifest: &str, secrets: &[(&str, &str)], keys: &str) -> Vec<String> {
    let mut variables = vec![(VARIABLE, manifest)];
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests");
    variables.extend(secrets.iter().chain(&[("FIXTURES", fixtures)]));
    let own =
        if keys.contains("backends: [") { "" } else { "backends: [{name: a, url: 'http://h/'}]" };
    match with(&variables, &format!("{own}\n{keys}")) {
        Ok(configuration) => configuration.warnings.iter().map(ToString::to_string).collect(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn they_are_checked_and_set_in_one_place() {
    check(
        "
backends:
  - name: a
    url: http://h/
    headers: {'a b': s3cret, Host: s3cret, X: s3cret, x: s3cret, Y: \"s3cret\\n\"}
  - {name: b, url: 'http://h/', headers: {authorization: s3cret, X-Tenant: s3cret}}
  - name: c
    url: http://h/
    headers: {X: s3cret}
    headersFromFile:
      x: ${FIXTURES}/header-value.txt
      Y: ${FIXTURES}/header-value.txt
      Keep-Alive: ${FIXTURES}/header-value.txt
      Z: ${FIXTURES}/missing.txt
      Z2: ${FIXTURES}/authority.pem
passthroughHeaders: [x-tenant, z3]
outgoingAuth:
  backends: {b: {type: header_injection, headerInjection: {headerName: Authorization, headerValue: s3cret}}}",
        "vmcp.yaml:4:22: backends[0].headers.\"a b\": its key is not the name of a header
         vmcp.yaml:4:36: backends[0].headers.Host: belongs to the transport and cannot be set
         vmcp.yaml:4:58: backends[0].headers.x: stands here in another spelling already
         vmcp.yaml:4:69: backends[0].headers.Y: it holds a character that no header may have
         vmcp.yaml:5:58: backends[1].headers.authorization: outgoingAuth sets this header as well; keep one of the two
         vmcp.yaml:5:76: backends[1].headers.X-Tenant: passthroughHeaders passes the client's own value of this header; keep one of the two
         vmcp.yaml:10:10: backends[2].headersFromFile.x: stands under headers already; keep one of the two
         vmcp.yaml:12:19: backends[2].headersFromFile.Keep-Alive: belongs to the transport and cannot be set
         vmcp.yaml:13:10: backends[2].headersFromFile.Z: \"${FIXTURES}/missing.txt\" does not exist
         vmcp.yaml:14:11: backends[2].headersFromFile.Z2: \"${FIXTURES}/authority.pem\" holds a character that no header may have",
    );
}

#[test]
fn a_variable_gives_a_backend_its_headers() {
    let rest = "connect 5s initialize 30s
         MS: idle 30s absolute 3600s
         MS: response 104857600 event 16777216
         MS: in flight 1024 streams 10000 links 256
         MS: list pages 1000 items 100000 bytes 33554432";
    let lines = |backend: &str, first: &str| {
        format!("MS: {first} ca 0 {{}}\nMS: {rest}").replace("MS", backend)
    };
    check(
        "
backends:
  - {name: other, url: 'http://h/'}
  - {name: my-server.1, url: 'http://h/', transport: sse, headers: {X-Own: a, X-Tenant: red}}",
        &format!(
            "{}\n{}",
            lines("other", "http://h/ unauthenticated"),
            lines(
                "my-server.1",
                "sse http://h/ unauthenticated x-own:\"a\" x-tenant:\"red\" x-key:\"s3cret-of-1\""
            )
        ),
    );
    for nothing in
        ["", " ", "{}", r#"{"addPlaintextHeaders": null}"#, r#"{"addHeadersFromSecret": {}}"#]
    {
        assert_eq!(told(nothing, &[], ""), [""; 0], "{nothing:?}");
    }
}

const VARIABLE: &str = "TOOLHIVE_HEADER_FORWARD_A";

/// Checks what is said where a variable holds this, beside the backend's own keys.
#[track_caller]
fn check_variable(manifest: &str, keys: &str, expected: &[&str]) {
    let secrets = [("TOOLHIVE_SECRET_LINES", "s3cret\ntoken"), ("TOOLHIVE_SECRET_EMPTY", "")];
    let at = format!("vmcp.yaml:1:19: backends[0].name: the variable {VARIABLE}");
    let actual = told(manifest, &secrets, keys);
    let actual: Vec<_> =
        actual.iter().map(|one| one.replace(&at, "$").replace(VARIABLE, "$")).collect();
    assert_eq!(actual, expected, "{manifest}");
    assert!(!actual.iter().any(|one| one.contains("s3cret")), "{actual:?}");
}

#[test]
fn what_is_wrong_with_a_variable_is_told_without_what_it_holds() {
    let object = "$ must hold a JSON object with addPlaintextHeaders and addHeadersFromSecret";
    for (manifest, expected) in [
        ("s3cret", "$ does not hold valid JSON: see its line 1, column 1"),
        ("{\"a\":\n s3cret}", "$ does not hold valid JSON: see its line 2, column 2"),
        ("\"s3cret\"", object),
        ("[]", object),
        (
            r#"{"X-Tenant": "s3cret"}"#,
            "$ has an unknown key \"X-Tenant\"; the keys there are addPlaintextHeaders, addHeadersFromSecret",
        ),
        (r#"{"addPlaintextHeaders": "s3cret"}"#, "$ (addPlaintextHeaders) must be a map of texts"),
        (r#"{"addPlaintextHeaders": {"X": ["s3cret"]}}"#, "$ (addPlaintextHeaders.X) must be text"),
        (
            r#"{"addPlaintextHeaders": {"a b": "s3cret"}}"#,
            "$ (addPlaintextHeaders.\"a b\"): its key is not the name of a header",
        ),
        (
            r#"{"addPlaintextHeaders": {"Host": "s3cret"}}"#,
            "$ (addPlaintextHeaders.Host): belongs to the transport and cannot be set",
        ),
        (
            r#"{"addPlaintextHeaders": {"X": "s3cret\n"}}"#,
            "$ (addPlaintextHeaders.X) holds a character that no header may have",
        ),
        (
            r#"{"addPlaintextHeaders": {"X-A": "s3cret", "x-a": "s3cret"}}"#,
            "$ (addPlaintextHeaders.x-a): the variable $ (addPlaintextHeaders.X-A) is the same header; keep one of the two",
        ),
        (
            r#"{"addHeadersFromSecret": {"X": "UNSET"}}"#,
            "$ (addHeadersFromSecret.X) names the variable TOOLHIVE_SECRET_UNSET, which is not set or empty; backend a is out until vmcp is started with it",
        ),
        (
            r#"{"addHeadersFromSecret": {"X": "EMPTY"}}"#,
            "$ (addHeadersFromSecret.X) names the variable TOOLHIVE_SECRET_EMPTY, which is not set or empty; backend a is out until vmcp is started with it",
        ),
        (
            r#"{"addHeadersFromSecret": {"X": "s3cret!"}}"#,
            "$ (addHeadersFromSecret.X) is not the ID of a secret, which is what stands behind TOOLHIVE_SECRET_ in \
             the name of its variable",
        ),
        (
            r#"{"addHeadersFromSecret": {"X": "LINES"}}"#,
            "$ (addHeadersFromSecret.X) holds a character that no header may have",
        ),
    ] {
        check_variable(manifest, "", &[expected]);
    }
}

#[test]
fn a_variable_and_a_file_that_contradict_each_other_are_refused() {
    let manifest = r#"{"addPlaintextHeaders": {"X-A": "s3cret"}}"#;
    let key = "$ (addPlaintextHeaders.X-A)";
    let text = |own: &str| format!("\nbackends: [{{name: a, {own}}}]");
    let other = format!("the variable {key} gives this header another value; keep one of the two");
    for (keys, expected) in [
        (
            text("url: 'http://h/', headers: {x-a: other}"),
            format!("vmcp.yaml:1:55: backends[0].headers.x-a: {other}"),
        ),
        (
            text("url: 'http://h/', headersFromFile: {x-a: '${FIXTURES}/header-value.txt'}"),
            format!("vmcp.yaml:1:63: backends[0].headersFromFile.x-a: {other}"),
        ),
        (
            text("command: run"),
            format!(
                "{key}: only takes effect with transport: \
                 streamable-http or sse; a program gets its credentials in env"
            ),
        ),
        (
            "passthroughHeaders: [x-a]".to_owned(),
            format!("{key}: passthroughHeaders passes the client's own value of this header; keep one of the two"),
        ),
        (
            "outgoingAuth: {default: {type: header_injection, headerInjection: {headerName: X-A, headerValue: b}}}"
                .to_owned(),
            format!("{key}: outgoingAuth sets this header as well; keep one of the two"),
        ),
        (
            text("url: 'http://h/'}, {name: A, url: 'http://h/'"),
            "vmcp.yaml:1:48: backends[1].name: the variable $ is for a backend of this name, and for \"a\" as well; \
             rename one of the two"
                .to_owned(),
        ),
    ] {
        check_variable(manifest, &keys, &[&expected]);
    }
    check_variable(manifest, &text("url: 'http://h/', headers: {x-a: s3cret}"), &[]);
}

#[test]
fn a_variable_that_is_for_no_backend_is_told() {
    let names = ["PATH", "TOOLHIVE_HEADER_FORWARD_B", "TOOLHIVE_HEADER_FORWARD_C", VARIABLE];
    let environment = |name: &str| (name != "TOOLHIVE_HEADER_FORWARD_C").then(|| "{}".to_owned());
    let backend = vmcp_model::BackendId::new("a").expect("a name");
    let told = unclaimed(names.map(str::to_owned), [&backend], &environment);
    let told: Vec<_> = told.into_iter().map(|one| one.of("vmcp.yaml").to_string()).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("vmcp.yaml: the variable TOOLHIVE_HEADER_FORWARD_B is set"),
        "{told:?}"
    );
}

#[test]
fn none_is_in_what_is_printed_for_debugging() {
    let manifest = r#"{"addPlaintextHeaders": {"X-A": "s3cret"}}"#;
    let text = complete("backends: [{name: a, url: 'http://h/', headers: {X-B: s3cret}}]");
    let configuration = with(&[(VARIABLE, manifest)], &text).expect("it is right");
    let debug = format!("{configuration:?}");
    assert!(debug.contains("x-a") && debug.contains("x-b") && !debug.contains("s3cret"), "{debug}");
}
