//! Configurations: checked, written, served from wherever they come.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};
use vmcp_testkit::{chatting_sse, client::Client, gateway::eventually, process::Program};

use super::{Desk, configuration, shop};

#[tokio::test]
async fn a_valid_file_is_told_to_be() {
    let desk = Desk::new()
        .with("good.yaml", &configuration("  - {name: a, url: 'http://h/'}\n"))
        .with(
            "odd.yaml",
            &format!(
                "{}allowedHosts: [a, A]\n",
                configuration("  - {name: a, url: 'http://h/'}\n")
            ),
        )
        .with(
            "both.yaml",
            &format!(
                "{}allowedHosts: [a, A]\n",
                configuration("  - {name: a, ulr: 'http://h/'}\n")
            ),
        )
        .with("bad.yaml", &configuration("  - {name: a, ulr: 'http://h/'}\n"));
    let validate = async |arguments: &[&str], expected: &str| {
        desk.check(&[&["validate"], arguments].concat(), expected).await;
    };
    validate(&["--config", "good.yaml"], "good.yaml is valid: shops with 1 backend(s)\n").await;
    validate(
        &["-c", "odd.yaml"],
        "warning: odd.yaml:6:19: allowedHosts[1]: \"A\" is listed twice\nodd.yaml is valid: shops with 1 backend(s)\n",
    )
    .await;
    validate(
        &["-c", "bad.yaml"],
        "! error: bad.yaml:3:15: backends[0]: unknown key \"ulr\"; did you mean \"url\"?\nexit 2\n",
    )
    .await;
    validate(
        &["-c", "both.yaml"],
        "warning: both.yaml:6:19: allowedHosts[1]: \"A\" is listed twice\n\
         ! error: both.yaml:3:15: backends[0]: unknown key \"ulr\"; did you mean \"url\"?\nexit 2\n",
    )
    .await;
    let (out, _, _) = desk.run(&["validate", "-c", "both.yaml", "--json"]).await;
    let result: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(result["problems"][0]["severity"], "error", "{out}");
    assert_eq!(result["problems"][1]["severity"], "warning", "{out}");
    validate(
        &["--backend", "a=http://h/", "--backend", "b=http://h/ x"],
        "! error: --backend b: url: \"http://h/ x\" is not an http or https URL; write it like http://127.0.0.1:8080/mcp\nexit 2\n",
    )
    .await;
    let (out, _, code) = desk.run(&["validate", "-c", "odd.yaml", "--json"]).await;
    let result: Value = serde_json::from_str(&out).unwrap();
    let warning = json!({
        "file": "odd.yaml", "line": 6, "column": 19, "key": "allowedHosts[1]",
        "severity": "warning", "message": "\"A\" is listed twice",
    });
    assert_eq!((result, code), (json!({"valid": true, "name": "shops", "problems": [warning]}), 0));
    let (out, _, code) = desk.run(&["validate", "-c", "bad.yaml", "--json"]).await;
    let result: Value = serde_json::from_str(&out).unwrap();
    let problem = json!({
        "file": "bad.yaml", "line": 3, "column": 15, "key": "backends[0]",
        "severity": "error", "message": "unknown key \"ulr\"; did you mean \"url\"?",
    });
    assert_eq!((&result["valid"], code), (&json!(false), 2));
    assert_eq!(result["problems"].as_array().unwrap().len(), 1, "{out}");
    assert_eq!(result["problems"][0], problem);
}

/// What code scanning reads has all members that its format requires, and a line for everything.
#[tokio::test]
async fn problems_are_told_as_sarif() {
    let desk = Desk::new()
        .with(
            "my file.yaml",
            &format!("{}colour: red\n", configuration("  - {name: a, ulr: 'http://h/'}\n")),
        )
        .with("empty.yaml", "")
        .with("good.yaml", &configuration("  - {name: a, url: 'http://h/'}\n"));
    for (file, uri, places) in [
        ("my file.yaml", "my%20file.yaml", &[(3, 15), (6, 1)][..]),
        ("empty.yaml", "empty.yaml", &[(1, 1)]),
        ("good.yaml", "", &[]),
    ] {
        let (out, _, code) = desk.run(&["validate", "-c", file, "--sarif"]).await;
        assert_eq!(code, if places.is_empty() { 0 } else { 2 }, "{file}");
        let log: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        assert_eq!(run["tool"]["driver"]["name"], "vmcp");
        let results = run["results"].as_array().expect("results");
        assert_eq!(results.len(), places.len(), "{out}");
        for (result, (line, column)) in results.iter().zip(places) {
            assert_eq!(result["level"], "error");
            assert_eq!(result["ruleId"], run["tool"]["driver"]["rules"][0]["id"]);
            assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
            let place = &result["locations"][0]["physicalLocation"];
            assert_eq!(place["artifactLocation"]["uri"], uri);
            let region = json!({"startLine": line, "startColumn": column});
            assert_eq!(place["region"], region);
        }
    }
}

/// The hook of pre-commit checks each file that it is given, and fails with any of them.
#[tokio::test]
async fn files_are_checked_before_they_are_committed() {
    let hooks = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.pre-commit-hooks.yaml");
    let hooks = std::fs::read_to_string(hooks).unwrap();
    let entry = hooks.lines().find_map(|line| line.strip_prefix("  entry: ")).expect("an entry");
    let entry = shlex::split(entry).expect("words");
    let desk = Desk::new()
        .with("vmcp.yaml", &configuration("  - {name: a, url: 'http://${NOT_THERE}/'}\n"))
        .with("vmcp-2.yaml", &configuration("  - {name: a, ulr: 'http://h/'}\n"));
    let vmcp = std::path::Path::new(env!("CARGO_BIN_EXE_vmcp")).parent().unwrap();
    let path = format!("{}:/usr/bin:/bin", vmcp.display());
    let checked = async |files: &[&str]| {
        let mut hook = tokio::process::Command::new(&entry[0]);
        hook.args(&entry[1..]).args(files).current_dir(desk.path()).env("PATH", &path);
        let output = hook.output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(checked(&["vmcp.yaml"]).await, (Some(0), String::new()));
    let (code, error) = checked(&["vmcp-2.yaml", "vmcp.yaml"]).await;
    assert_eq!(code, Some(2));
    assert!(error.contains("vmcp-2.yaml:3:15: backends[0]: unknown key"), "{error}");
}

/// A pipeline checks everything but what it must not have.
#[tokio::test]
async fn secrets_can_be_left_aside() {
    let text = "  - {name: a, url: 'http://${NOT_THERE}/'}\n  - {name: '${NOR_THIS}', url: 'http://h/'}\n\
                outgoingAuth:\n  backends:\n    a: {type: header_injection, headerInjection: {headerName: X, headerValueEnv: NOT_THERE}}\n    \
                c: {type: header_injection, headerInjection: {headerName: X, headerValueFile: /not/there}}\n\
                sessionStorage: {provider: redis, address: 'r:1', username: u, keysFile: /not/there}\n";
    let good = configuration(text);
    let desk = Desk::new()
        .with("good.yaml", &good)
        .with("bad.yaml", &format!("{good}limits: {{views: 0}}\n"));
    let (_, _, code) = desk.run(&["validate", "-c", "good.yaml"]).await;
    assert_eq!(code, 2, "without the option they are asked for");
    let notes = "note: good.yaml:3:20: backends[0].url: left aside: the environment variable NOT_THERE is not set; set it, or write $${ for ${\n\
         note: good.yaml:4:12: backends[1].name: left aside: the environment variable NOR_THIS is not set; set it, or write $${ for ${\n\
         note: good.yaml:7:82: outgoingAuth.backends.a.headerInjection.headerValueEnv: left aside: the environment variable NOT_THERE is not set or empty\n\
         note: good.yaml:8:83: outgoingAuth.backends.c.headerInjection.headerValueFile: left aside: \"/not/there\" does not exist\n\
         note: good.yaml:9:61: sessionStorage.username: left aside: needs a password: set passwordEnv or passwordFile, or the environment variable THV_SESSION_REDIS_PASSWORD\n\
         note: good.yaml:9:74: sessionStorage.keysFile: left aside: \"/not/there\" does not exist\n";
    desk.check(
        &["validate", "-c", "good.yaml", "--without-secrets"],
        &format!("{notes}good.yaml is valid, apart from what this machine does not have\n"),
    )
    .await;
    let (json, _, _) =
        desk.run(&["validate", "-c", "good.yaml", "--without-secrets", "--json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    let problems = json["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 6, "{json}");
    assert!(problems.iter().all(|one| one["severity"] == "note"), "{json}");
    desk.check(
        &["validate", "-c", "bad.yaml", "--without-secrets"],
        &format!(
            "{}! error: bad.yaml:12:17: limits.views: \"0\" is not between 1 and 1000000\nexit 2\n",
            notes.replace("good", "bad")
        ),
    )
    .await;
    let (_, _, code) =
        desk.run(&["validate", "-c", "good.yaml", "--without-secrets", "--connect"]).await;
    assert_eq!(code, 2);
}

#[tokio::test]
async fn backends_are_tried_on_request() {
    let (one, two) = (shop().start().await.unwrap(), shop().start().await.unwrap());
    let good = configuration(&format!("  - {{name: one, url: '{}'}}\n", one.url()));
    let bad = configuration(&format!(
        "  - {{name: one, url: '{}'}}\n  - {{name: second, url: '{}'}}\n  - {{name: dead, url: 'http://127.0.0.1:1/'}}\n",
        one.url(),
        two.url()
    ));
    let desk = Desk::new().with("good.yaml", &good).with("bad.yaml", &bad);
    desk.check(
        &["validate", "--connect", "-c", "good.yaml"],
        "
good.yaml is valid: shops with 1 backend(s)

Backends
  ok      one  tools 4, resources 2, templates 1, prompts 1  N ms

Tools (4)
  one_order  one: order
  one_break  one: break
  one_look   one: look
  one_count  one: count

Resources (2)
  shop://terms  one
  shop://logo   one

Templates (1)
  shop://item/{id}  one

Prompts (1)
  one_greet  one: greet
",
    )
    .await;
    let (out, error, code) = desk.run(&["validate", "--connect", "-c", "bad.yaml"]).await;
    assert_eq!((error.as_str(), code), ("error: 1 of 3 backend(s) failed\n", 1));
    for part in [
        "  failed  dead    cannot be reached: nothing listens at 127.0.0.1:1 (connection refused); is it running?\n",
        "  ok      second  tools 4, resources 2, templates 1, prompts 1  N ms\n",
        "\nConflicts\n  resource \"shop://logo\" of backend second is left out: one offers the same",
    ] {
        assert!(out.contains(part), "{out}");
    }
    let (out, _, code) = desk.run(&["validate", "--connect", "--json", "-c", "bad.yaml"]).await;
    let found = serde_json::from_str::<Value>(&out).unwrap()["found"].clone();
    assert_eq!(code, 1);
    assert_eq!(found["backends"][0]["name"], "dead");
    assert_eq!(found["backends"][0]["ok"], false);
    assert_eq!(found["backends"][1]["tools"], 4);
    assert_eq!(
        found["catalog"]["tools"][0],
        json!({"name": "one_order", "backend": "one", "original": "order"})
    );
    assert_eq!(found["conflicts"].as_array().unwrap().len(), 3, "{out}");
    assert_eq!((one.sessions().len(), two.sessions().len()), (0, 0), "every session is ended");
}

/// A filter or an override of a tool that the backend does not have is a slip, or the tool has another
/// name by now.
#[tokio::test]
async fn rules_for_tools_that_are_not_there_are_told() {
    let one = shop().start().await.unwrap();
    let text = configuration(&format!("  - {{name: one, url: '{}'}}\n", one.url())).replace(
        "aggregation: {",
        "aggregation: {tools: [{workload: one, filter: [order, take, brake], exclude: [look], \
         overrides: {look: {name: take}, lock: {name: x}}}], ",
    );
    let desk = Desk::new().with("vmcp.yaml", &text);
    let (out, _, code) = desk.run(&["validate", "--connect", "--json", "-c", "vmcp.yaml"]).await;
    let result: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, 0, "{out}");
    let told = |name: &str, rule: &str, names: &str| {
        format!(
            "tool \"{name}\" of backend one is not there, though aggregation.tools' {rule} speaks of it, \
             which has {names}; correct it"
        )
    };
    let told = [
        told("brake", "filter", "the names after overrides"),
        told("lock", "overrides", "the backend's own names"),
        told("look", "exclude", "the names after overrides"),
    ];
    assert_eq!(result["found"]["leftOut"], json!(told));
    let process = Program::vmcp(env!("CARGO_BIN_EXE_vmcp"), &text);
    let process = process.start().await.unwrap();
    for line in &told {
        process.logged(&line.replace('"', "\\\"")).await;
    }
}

#[tokio::test]
async fn a_file_is_written_once_and_for_its_owner_alone() {
    let json = r#"{"mcpServers": {"shop": {"url": "https://h/", "headers": {"Authorization": "Bearer s3cret"}}, "tool": {"command": "npx", "args": ["-y"], "env": {"KEY": "${LATER}", "WORD": "${LATE:-none}"}}}}"#;
    let desk = Desk::new().with("mcp.json", json);
    let init = ["init", "--mcp-json", "mcp.json", "--backend", "a=http://h/"];
    let (text, error, code) = desk.run(&init).await;
    let note = "warning: the environment variable LATER must be set to serve this\n";
    assert_eq!((error.as_str(), code), (note, 0));
    let into = [&init[..], &["-o", "vmcp.yaml"]].concat();
    let written = "vmcp.yaml is written; vmcp serve --config vmcp.yaml serves it\n";
    desk.check(&into, &format!("{written}! {note}")).await;
    assert_eq!(desk.read("vmcp.yaml"), text);
    let metadata = std::fs::metadata(desk.path().join("vmcp.yaml")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    desk.check(
        &into,
        &format!("! {note}! error: vmcp.yaml exists; replace it with --force\nexit 2\n"),
    )
    .await;
    desk.check(&["init", "-o", "vmcp.yaml", "--force"], written).await;
    let names: Vec<_> = std::fs::read_dir(desk.path()).unwrap().collect();
    assert_eq!(names.len(), 2, "no draft is left behind: {names:?}");
    let valid = "vmcp.yaml is valid: vmcp with 1 backend(s)\n";
    desk.check(&["validate", "-c", "vmcp.yaml"], valid).await;
    let (_, error, code) = desk.run(&["init", "-o", "no/where.yaml"]).await;
    assert!(error.contains("no/where.yaml cannot be written") && code == 1, "{error}");
    let (_, error, code) = desk.run(&["init", "--backend", "a b=x"]).await;
    assert!(error.starts_with("error: --backend: write NAME=URL") && code == 2, "{error}");
}

#[tokio::test]
async fn backends_are_served_without_a_file() {
    let server = shop().start().await.unwrap();
    let backend = format!("one={}", server.url());
    let arguments = ["serve", "--backend", &backend, "--mcp-json", "{config}", "--port", "{port}"];
    let json =
        format!(r#"{{"servers": {{"two": {{"type": "http", "url": "{}"}}}}}}"#, server.url());
    let program = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments).config(&json);
    let process = program.start().await.unwrap();
    eventually("both backends are there", async || {
        let client = Client::connect(&process.url()).await.unwrap();
        let tools =
            client.request("1", "tools/list", "{}").await.unwrap().json()["result"]["tools"]
                .clone();
        let names: Vec<_> =
            tools.as_array()?.iter().filter_map(|tool| tool["name"].as_str()).collect();
        (names.contains(&"one_order") && names.contains(&"two_order")).then_some(())
    })
    .await;
    let log = process.log();
    assert!(log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{log}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_what_to_do() {
    let server = shop().start().await.unwrap();
    let port = server.address().port().to_string();
    let desk = Desk::new().showing(&port, "PORT");
    desk.check(
        &["serve", "--backend", "a=http://h/", "--port", &port, "--log-format", "text"],
        "! error: choose another port with --port: cannot listen on 127.0.0.1:PORT: Address already in use (os error 98)\nexit 1\n",
    )
    .await;
    let admin = format!("admin: {{listen: '127.0.0.1:{port}'}}\n");
    let text = configuration("  - {name: a, url: 'http://h/'}\n") + &admin;
    let desk = Desk::new().showing(&port, "PORT").with("vmcp.yaml", &text);
    desk.check(
        &["serve", "--config", "vmcp.yaml", "--port", "0", "--log-format", "text"],
        "! error: choose another port in admin.listen: admin.listen: cannot listen on 127.0.0.1:PORT: Address already in use (os error 98)\nexit 1\n",
    )
    .await;
}

#[tokio::test]
async fn without_a_file_nobody_beyond_this_machine_is_served() {
    let desk = Desk::new().with("vmcp.yaml", &configuration("  - {name: a, url: 'http://h/'}\n"));
    desk.check(
        &["serve", "--backend", "a=http://h/", "--host", "0.0.0.0"],
        "! error: without a configuration file, vmcp serves this machine only, not 0.0.0.0: \
         anybody there could call every backend; \
         write a file with vmcp init -o vmcp.yaml, say in its incomingAuth who may call, \
         and serve it with --config vmcp.yaml\nexit 2\n",
    )
    .await;
    for arguments in [
        &["serve"][..],
        &["serve", "-c", "vmcp.yaml", "--backend", "a=http://h/"],
        &["serve", "-c", "vmcp.yaml", "--mcp-json", "x.json"],
        &["serve", "vmcp.yaml", "--backend", "a=http://h/"],
        &["serve", "vmcp.yaml", "-c", "vmcp.yaml"],
        &["serve", "vmcp.yaml", "--start-timeout", "5m"],
        &["serve", "vmcp.toml"],
        &["serve", "vmcp.yaml", "--host", "no.such.name.invalid"],
        &["validate", "-c", "-"],
        &["validate"],
        &["init", "--force"],
        &["call", "http://h/"],
        &["completions", "no-shell"],
    ] {
        let (out, error, code) = desk.run(arguments).await;
        assert_eq!((out.as_str(), code), ("", 2), "{arguments:?}: {error}");
    }
}

#[tokio::test]
async fn schemas_and_completions_are_printed() {
    let desk = Desk::new();
    let (out, _, code) = desk.run(&["schema"]).await;
    let schema: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&schema["additionalProperties"], code), (&json!(false), 0));
    let (out, _, _) = desk.run(&["schema", "--markdown"]).await;
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    assert_eq!(out, std::fs::read_to_string(page).unwrap());
    for shell in ["bash", "zsh", "fish"] {
        let (out, _, code) = desk.run(&["completions", shell]).await;
        assert!(code == 0 && out.contains("mcp-json"), "{shell}: {out}");
    }
    for command in ["serve", "validate", "call", "tools"] {
        let (out, _, code) = desk.run(&[command, "-V"]).await;
        assert_eq!((&*out, code), (concat!("vmcp ", env!("CARGO_PKG_VERSION"), "\n"), 0));
        let (help, _, _) = desk.run(&[command, "--help"]).await;
        let place = |text: &str| help.find(text).unwrap_or_else(|| panic!("{text}: {help}"));
        assert!(place("  -h, --help") < place("--debug"), "what is common comes last: {help}");
    }
    let (out, _, _) = desk.run(&["--help"]).await;
    assert!(out.contains("Exit status: 0 if all went well, 1 if something failed, 2 if"), "{out}");
}

#[test]
fn a_reader_may_have_read_enough() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let vmcp = std::process::Command::new(env!("CARGO_BIN_EXE_vmcp"))
        .arg("schema")
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn();
    let output = vmcp.unwrap().wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success(), "{}", output.status);
}

#[tokio::test]
async fn log_lines_have_the_form_that_is_asked_for() {
    let server = shop().start().await.unwrap();
    let backend = format!("one={}", server.url());
    for (format, is_json) in [("auto", true), ("json", true), ("text", false)] {
        let arguments =
            ["serve", "--backend", &backend, "--port", "{port}", "--log-format", format];
        let process = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments).start().await.unwrap();
        // It is ready before what it has said is in the file.
        let log = process.logged("\n").await;
        let first = log.lines().next().unwrap();
        assert_eq!(serde_json::from_str::<Value>(first).is_ok(), is_json, "{format}: {log}");
        assert!(!log.contains('\u{1b}'), "no colour in a file: {log}");
    }
}

/// As serve finds it, too.
#[tokio::test]
async fn a_server_is_tried_as_it_is_served() {
    let old = chatting_sse().await.unwrap();
    let json = json!({"mcpServers": {"old": {"url": old.url()}}}).to_string();
    let desk = Desk::new().with("mcp.json", &json);
    let (out, error, code) = desk.run(&["validate", "--connect", "--mcp-json", "mcp.json"]).await;
    assert_eq!((error.as_str(), code), ("", 0), "{out}");
    assert!(out.contains("  ok      old  tools 1,"), "{out}");
}
