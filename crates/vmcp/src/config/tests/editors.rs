//! The forms that editors have for their servers, and what becomes of a server that cannot be used.

use super::{
    super::{Broken, Given},
    environment,
    given::check,
};

/// What other editors call the same things.
#[test]
fn every_editors_form_is_read() {
    let stdio = "a: runs run [\"x\"] {\"K\": \"s3cret-token\"} in None Session idle 600s {}";
    for text in [
        r#"{"servers": {"a": {"type": "stdio", "command": "run", "args": ["x"], "env": {"K": "${env:TOKEN}"}}}}"#,
        r#"{"mcp": {"servers": {"a": {"command": "run", "args": ["x"], "env": {"K": "${TOKEN}"}}}}, "editor.fontSize": 12}"#,
        r#"{"mcp": {"a": {"type": "local", "command": ["run", "x"], "environment": {"K": "{env:TOKEN}"}, "enabled": true}}}"#,
        r#"{"context_servers": {"a": {"source": "custom", "command": "run", "args": ["x"], "env": {"K": "${TOKEN}"}}}}"#,
        r#"{"context_servers": {"a": {"command": {"path": "run", "args": ["x"], "env": {"K": "${TOKEN}"}}}}}"#,
        r#"{"amp.mcpServers": {"a": {"command": "run", "args": ["x"], "env": {"K": "${TOKEN}"}}}}"#,
        r#"{"mcpServers": {"a": {"command": "run", "args": ["x"], "env": {"K": "${TOKEN}"}, "trust": true, "description": "x", "alwaysAllow": ["y"]}}}"#,
    ] {
        check(&[], text, stdio);
    }
    let http = "a: https://h/mcp unauthenticated ca 0 {}";
    for text in [
        r#"{"mcpServers": {"a": {"httpUrl": "https://h/mcp"}}}"#,
        r#"{"mcpServers": {"a": {"serverUrl": "https://h/mcp"}}}"#,
        r#"{"mcp": {"a": {"type": "remote", "url": "https://h/mcp"}}}"#,
    ] {
        check(&[], text, http);
    }
    check(
        &[],
        r#"{"mcp": {"a": {"command": ["run"]}, "b": {"command": ["run"], "enabled": false}, "c": {"settings": {}}},
            "projects": {"/x": {"mcpServers": {"d": {"command": "run"}}}, "/y": {"mcpServers": {}}}}"#,
        "a: runs run [] {} in None Session idle 600s {}
         warning mcp.json:1:37: mcp.b: is disabled and left out
         warning mcp.json:1:82: mcp.c: comes from an extension of the editor, and is left out
         warning mcp.json:2:13: projects: its servers of single projects are left out; write those that are to be served under mcpServers",
    );
    check(
        &[],
        r#"{"mcp": {"a": {"command": ["run", "x"], "args": []}, "c": {"command": "run", "enabled": 1}}}"#,
        "mcp.json:1:16: mcp.a.args: stands beside a command that holds arguments; keep one
         mcp.json:1:89: mcp.c.enabled: is not true or false",
    );
}

#[test]
fn a_resource_of_kubernetes_is_told_what_it_is() {
    check(
        &[],
        r#"{"kind": "List", "apiVersion": "v1", "items": [{"apiVersion": "toolhive.stacklok.dev/v1beta1",
            "kind": "VirtualMCPServer", "metadata": {"name": "hub", "namespace": "tools"}}]}"#,
        "mcp.json:1:49: this is a Kubernetes resource (VirtualMCPServer hub in tools), not a configuration; \
         ToolHive's operator makes one of it: kubectl get configmap hub-vmcp-config -n tools \
         -o jsonpath='{.data.config\\.yaml}' > vmcp.yaml",
    );
}

#[test]
fn a_command_without_words_is_refused() {
    let text = r#"{"mcp": {"b": {"command": []}}}"#;
    check(&[], text, "mcp.json:1:27: mcp.b.command: must be text");
}

/// Tools that the editor does not offer are not offered here, and calls may take as long as there.
#[test]
fn what_an_editor_says_about_tools_and_time_holds() {
    check(
        &[],
        r#"{"mcpServers": {
            "a": {"command": "run", "disabledTools": ["q", "r"], "timeout": 90},
            "b": {"command": "run", "includeTools": ["x"], "excludeTools": ["y"], "timeout": 600000},
            "c": {"command": "run", "tools": ["*"], "timeout": 36000000},
            "d": {"command": "run", "tools": ["x"]}
        }}"#,
        "a: runs run [] {} in None Session idle 600s {}
         b: runs run [] {} in None Session idle 600s {}
         c: runs run [] {} in None Session idle 600s {}
         d: runs run [] {} in None Session idle 600s {}
         a: idle 90s absolute 3600s
         b: idle 600s absolute 3600s
         c: idle 3600s absolute 3600s
         tools of a: [] exclude [\"q\", \"r\"] all false
         tools of b: [\"x\"] exclude [\"y\"] all false
         tools of d: [\"x\"] exclude [] all false
         warning mcp.json:4:64: mcpServers.c.timeout: is longer than a call may take, which is an hour",
    );
    check(
        &[],
        r#"{"mcpServers": {"a": {"command": "run", "disabledTools": "q", "tools": [1, "", {}], "timeout": "soon"}}}"#,
        "mcp.json:1:58: mcpServers.a.disabledTools: must be a list of the names of tools
         mcp.json:1:76: mcpServers.a.tools[1]: is not the name of a tool
         mcp.json:1:80: mcpServers.a.tools[2]: is not the name of a tool
         mcp.json:1:96: mcpServers.a.timeout: is not a number of seconds, or of milliseconds",
    );
}

/// One that cannot be used is left out, so that the others are served.
#[test]
fn a_broken_server_keeps_no_other_from_being_served() {
    let file = r#"{"mcpServers": {
        "a": {"command": "run"},
        "b": {"command": "run", "env": {"KEY": "${NOBODY}"}},
        "c": {"command": "${input:x}"},
        "d": {"url": "ftp://h/", "headers": 1},
        "e": []
    }}"#;
    let read = |text: &str| {
        let mut given = Given::new(Broken::LeftOut);
        let added = given.add_mcp_json_text(text, "mcp.json".to_owned());
        added
            .and_then(|()| given.configuration(&environment))
            .map_err(|problems| problems.to_string())
    };
    let configuration = read(file).unwrap();
    let names: Vec<_> =
        configuration.backends.iter().map(|backend| backend.config.id.as_str()).collect();
    assert_eq!(names, ["a"]);
    let left_out = [
        "mcp.json:3:48: mcpServers.b.env.KEY: the environment variable NOBODY is not set; set it, or write $${ for ${; this server is left out",
        "mcp.json:4:26: mcpServers.c.command: asks the user for an input, which a server cannot do; write ${NAME} and set the environment variable NAME; this server is left out",
        "mcp.json:5:22: mcpServers.d.url: \"ftp://h/\" is not an http or https URL; write it like http://127.0.0.1:8080/mcp; this server is left out",
        "mcp.json:5:45: mcpServers.d.headers: must be a map of keys; this server is left out",
        "mcp.json:6:14: mcpServers.e: must be a map of keys; this server is left out",
    ];
    let warnings: Vec<_> = configuration.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, left_out);
    let none = read(&file.replace(r#""a": {"command": "run"},"#, "")).unwrap_err();
    assert_eq!(none.lines().count(), 6, "{none}");
    assert!(none.starts_with("mcp.json: holds no backend to serve\n"), "{none}");
    // What is wrong with the file as a whole is not.
    assert!(read("{\"mcpServers\": []}").is_err());
}

#[test]
fn what_says_not_what_it_is_is_told_with_what_was_meant() {
    let read = |text: &str| {
        let mut given = Given::new(Broken::LeftOut);
        let added = given.add_mcp_json_text(text, "mcp.json".to_owned());
        let configured = added.and_then(|()| given.configuration(&environment));
        configured.map(|read| read.warnings.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let told = read(r#"{"mcpServers": {"a": {"comand": "npx"}}}"#).unwrap_err().to_string();
    assert!(
        told.contains("\"comand\" is not known here and has no effect; did you mean \"command\"?"),
        "{told}"
    );
    assert!(
        told.contains("mcpServers.a: has neither a command nor a url; give it one of them"),
        "{told}"
    );

    // All tools, and none.
    let told = read(
        r#"{"mcpServers": {"a": {"command": "run", "includeTools": []}, "b": {"command": "run", "disabledTools": ["*"]}}}"#,
    );
    assert_eq!(
        told.unwrap(),
        ["mcp.json:1:41: mcpServers.a.includeTools: names no tool, and so all are shown"]
    );
    check(
        &[],
        r#"{"mcpServers": {"b": {"command": "run", "disabledTools": ["*", "x"]}}}"#,
        "b: runs run [] {} in None Session idle 600s {}
         tools of b: [] exclude [] all true",
    );
}

/// What is not JSON is told as such.
#[test]
fn mistakes_of_json_are_told_as_mistakes_of_json() {
    for (text, told) in [
        (
            "{\"mcpServers\": {\n \"a\": {}\n \"b\": {}}}",
            "mcp.json:3:2: not valid JSON: expected `,` or `}`; is a comma missing before this?",
        ),
        (
            "{\"servers\":",
            "mcp.json:1:11: not valid JSON: EOF while parsing a value; is a bracket or a quote not closed?",
        ),
        (
            r#"{"servers": {"a": {"command": "C:\Users"}}}"#,
            r"mcp.json:1:35: not valid JSON: invalid escape; write \\ for \",
        ),
    ] {
        check(&[], text, told);
    }
}

/// However many servers have names of which nothing is left.
#[test]
fn names_are_made_in_no_time() {
    let servers: Vec<_> = (0..5000_u32)
        .map(|number| {
            let name = char::from_u32(0x4e00 + number).unwrap();
            format!("\"{name}\": {{\"command\": \"run\"}}")
        })
        .collect();
    let mut given = Given::new(Broken::Refused);
    let text = format!("{{\"mcpServers\": {{{}}}}}", servers.join(","));
    given.add_mcp_json_text(&text, "mcp.json".to_owned()).unwrap();
    let written = given.text();
    assert!(written.contains("name: backend-5000\n") && !written.contains("backend-5001"));
}

#[test]
fn a_file_of_another_kind_is_named() {
    let toml = "[mcp_servers.files]\ncommand = \"npx\"\n";
    check(
        &[],
        toml,
        "mcp.json: is TOML, as Codex has it, and only JSON is read; write its servers as \
         {\"mcpServers\": {\"NAME\": {\"command\": ..., \"args\": [...]}}}",
    );
    check(
        &[],
        "name: x\nbackends: []\n",
        "mcp.json:1:1: is a configuration of vmcp; it is read with --config",
    );
    check(
        &[],
        r#"{"mcpServers": {"a": {"command": "run", "cwd": "${workspaceFolder}/x", "args": ["${userHome}"]}}}"#,
        "mcp.json:1:48: mcpServers.a.cwd: holds ${workspaceFolder}, which only the editor knows; write the folder itself",
    );
}
