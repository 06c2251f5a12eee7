//! Where a configuration comes from: a file that stands alone, standard input, a variable.

use vmcp_testkit::process::Program;

use super::{Desk, configuration};

#[tokio::test]
async fn a_file_may_stand_alone() {
    let json = r#"{"mcpServers": {"a": {"type": "http", "url": "http://127.0.0.1:1/"}}}"#;
    let desk = Desk::new()
        .with("vmcp.yaml", &configuration("  - {name: a, url: 'http://127.0.0.1:1/'}\n"))
        .with("mcp.json", json);
    desk.check(&["validate", "vmcp.yaml"], "vmcp.yaml is valid: shops with 1 backend(s)\n").await;
    let (out, error, code) = desk.run(&["validate", "mcp.json"]).await;
    assert!(out.contains(" is valid: ") && code == 0, "{out}{error}");
    desk.check(
        &["validate", "vmcp.toml"],
        "! error: vmcp.toml is neither a URL nor a file that ends in .yaml, .yml or .json\nexit 2\n",
    )
    .await;
    for file in ["vmcp.yaml", "mcp.json"] {
        let file = desk.path().join(file).display().to_string();
        let arguments = ["serve", &file, "--host", "localhost", "--port", "{port}"];
        let program = Program::new(env!("CARGO_BIN_EXE_vmcp"), &arguments);
        let state = desk.path().display().to_string();
        let process = program.environment("XDG_STATE_HOME", &state).start().await.unwrap();
        assert!(process.terminate().await.unwrap().success());
    }
}

#[tokio::test]
async fn a_configuration_may_come_on_standard_input() {
    let yaml = configuration("  - {name: a, url: 'http://127.0.0.1:1/'}\n");
    let desk = Desk::new().with("good.yaml", &yaml).with("bad.yaml", &(yaml.clone() + "odd: 1\n"));
    let piped = async |arguments: &str, file: &str| {
        let line = format!("exec \"$0\" {arguments} < {file}");
        let mut shell = tokio::process::Command::new("sh");
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_vmcp")]).current_dir(desk.path());
        let output = shell.output().await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr), output.status.code())
    };
    let (out, _, code) = piped("validate --config -", "good.yaml").await;
    assert_eq!((&*out, code), ("/dev/stdin is valid: shops with 1 backend(s)\n", Some(0)));
    let (_, error, code) = piped("validate --config -", "bad.yaml").await;
    assert!(error.starts_with("error: /dev/stdin:6:1: ") && code == Some(2), "{error}");
    let (_, error, code) = piped("serve --config - --host no.such.name.invalid", "good.yaml").await;
    assert!(error.contains("--host no.such.name.invalid: ") && code == Some(2), "{error}");
}

#[tokio::test]
async fn a_variable_names_the_configuration_where_nothing_else_does() {
    let yaml = configuration("  - {name: a, url: 'http://127.0.0.1:1/'}\n");
    let desk = Desk::new().with("vmcp.yaml", &yaml);
    let with = async |line: &str| {
        let mut shell = tokio::process::Command::new("sh");
        let line = format!("{line} || echo exit $?");
        shell.args(["-c", &line, env!("CARGO_BIN_EXE_vmcp")]).current_dir(desk.path());
        let output = shell.output().await.unwrap();
        let both = [output.stdout, output.stderr].concat();
        String::from_utf8(both).unwrap()
    };
    let valid = "vmcp.yaml is valid: shops with 1 backend(s)\n";
    assert_eq!(with("VMCP_CONFIG=vmcp.yaml \"$0\" validate").await, valid);
    let other = with("VMCP_CONFIG=nowhere.yaml \"$0\" validate --backend a=http://h/").await;
    assert!(other.starts_with("the configuration is valid: "), "what is typed counts: {other}");
    assert_eq!(with("VMCP_CONFIG=nowhere.yaml \"$0\" validate vmcp.yaml").await, valid);
    let none = with("VMCP_CONFIG= \"$0\" validate").await;
    assert!(none.starts_with("exit 2\nerror: nothing names a configuration: "), "{none}");
}

/// Who has no backends before they were looked up is not told that there are none.
#[cfg(feature = "kubernetes")]
#[tokio::test]
async fn a_command_says_that_it_does_not_look_into_a_cluster() {
    let text = configuration("[]\n").replace("backends:\n[]\n", "groupRef: tools\n");
    let desk =
        Desk::new().with("vmcp.yaml", &format!("{text}outgoingAuth: {{source: discovered}}\n"));
    let note =
        "the running server finds its backends in the cluster; this command does not look there";
    let (out, error, code) = desk.run(&["validate", "-c", "vmcp.yaml"]).await;
    assert!(out.contains(note) && code == 0, "{out}{error}");
    assert!(!out.contains("0 backend"), "{out}");
    let (out, _, _) = desk.run(&["validate", "-c", "vmcp.yaml", "--json"]).await;
    let result: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(result["problems"].to_string().contains(note), "{out}");
    for command in ["tools", "list"] {
        let (out, error, _) = desk.run(&[command, "vmcp.yaml"]).await;
        assert!(error.contains(note), "{command}: {out}{error}");
    }
}

#[tokio::test]
async fn it_says_what_it_is_built_with() {
    let (out, _, code) = Desk::new().run(&["version"]).await;
    assert!(out.starts_with(&format!("vmcp {}", env!("CARGO_PKG_VERSION"))) && code == 0, "{out}");
    assert_eq!(out.contains("kubernetes"), cfg!(feature = "kubernetes"), "{out}");
    assert_eq!(out.contains("aws"), cfg!(feature = "aws"), "{out}");
}
