//! Backends that are given without a configuration file, and the file that is written for them.

use super::{super::Given, environment, outcome, parsed, tidy};

/// Checks what backends of the command line and of an editor's file come to: every problem, or
/// what each backend is, and the warnings. The file that is written for them must come to the same.
#[track_caller]
pub(super) fn check(arguments: &[&str], mcp_json: &str, expected: &str) {
    let actual = match given(arguments, mcp_json) {
        Err(problems) => problems,
        Ok(lines) => lines,
    };
    assert_eq!(tidy(&actual), tidy(expected), "\n{actual}\n");
}

fn given(arguments: &[&str], mcp_json: &str) -> Result<String, String> {
    let mut given = Given::default();
    for argument in arguments {
        given.add_argument(argument).map_err(|problems| problems.to_string())?;
    }
    if !mcp_json.is_empty() {
        let added = given.add_mcp_json_text(mcp_json.trim_start(), "mcp.json".to_owned());
        added.map_err(|problems| problems.to_string())?;
    }
    let configuration =
        given.configuration(&environment).map_err(|problems| problems.to_string())?;
    let lines = outcome::rendered(&configuration);
    let written = parsed(&given.text()).expect("what is written can be read");
    let is_warning = |line: &&String| line.starts_with("warning ");
    let (warnings, lines): (Vec<_>, Vec<_>) = lines.iter().partition(is_warning);
    let mut written = outcome::rendered(&written);
    written.retain(|line| !is_warning(&line));
    assert_eq!(lines, written.iter().collect::<Vec<_>>(), "{}", given.text());
    let transports = |line: &&&String| line.ends_with("{}") && line.contains(": ");
    let rules = |line: &&&String| {
        let is_time = line.contains(": idle ") && !line.contains(": idle 30s ");
        is_time || line.starts_with("tools of ")
    };
    let shown = lines.iter().filter(transports).chain(lines.iter().filter(rules));
    let shown: Vec<_> = shown.copied().collect();
    Ok(shown.into_iter().chain(warnings).map(|line| format!("{line}\n")).collect())
}

#[test]
fn arguments_are_urls_or_commands() {
    check(
        &[
            "a=http://h:1/mcp?x=y",
            "b=HTTPS://h/",
            "c=run",
            "d=npx -y 'my server' \"\" --key=${TOKEN} \\$ on",
            "e=http",
        ],
        "",
        "a: http://h:1/mcp?x=y unauthenticated ca 0 {}
         b: https://h/ unauthenticated ca 0 {}
         c: runs run [] {} in None Session idle 600s {}
         d: runs npx [\"-y\", \"my server\", \"\", \"--key=s3cret-token\", \"$\", \"on\"] {} in None Session idle 600s {}
         e: runs http [] {} in None Session idle 600s {}",
    );
    for (argument, expected) in [
        ("http://h/?a=b", "--backend: write NAME=URL, or NAME=COMMAND for a program to run"),
        ("npx server", "--backend: write NAME=URL, or NAME=COMMAND for a program to run"),
        ("my server=run", "--backend: write NAME=URL, or NAME=COMMAND for a program to run"),
        ("a=", "--backend: a needs a URL or a command, its quotes closed"),
        ("a='s3cret", "--backend: a needs a URL or a command, its quotes closed"),
        ("a=http://h:0/", "--backend a: url: \"http://h:0/\": its port is not between 1 and 65535"),
        (
            "a=run ${NOBODY}",
            "--backend a: args[0]: the environment variable NOBODY is not set; set it, or write $${ for ${",
        ),
        (
            "ä=run",
            "--backend ä: name: \"ä\" is not a backend name: use 1 to 64 of the characters A-Z a-z 0-9 . _ -",
        ),
    ] {
        check(&[argument], "", expected);
    }
    check(
        &["a=run", "b=run", "a=http://h/"],
        "",
        "--backend a: \"a\" is the name of another backend already",
    );
}

#[test]
fn editors_files_are_read_as_they_are() {
    check(
        &["first=run"],
        r#"
{
	"inputs": [], // VS Code asks for these
	"mcpServers": {
		"files": {"command": "npx", "args": ["-y", "s //", "\t"], "env": {"A": "${env:TOKEN}", "B": "x${LIMIT}", "N": 1},
			"cwd": "/", "autoApprove": ["*"], "timeout": 60},
		"http": {"type":"http","url":"https://h/mcp","headers":{"Authorization":"Bearer ${TOKEN}"}},
		"streams": {"transport": "streamableHttp", "url": "https://h/${NOBODY:-mcp}"},
		"events": {"type": "sse", /* old */ "serverUrl": "https://h/sse"},
		"plain": {"url": "https://h/plain", "disabled": false},
		"off": {"command": "${input:key}", "disabled": true},
	},
}
"#,
        "first: runs run [] {} in None Session idle 600s {}
         files: runs npx [\"-y\", \"s //\", \"\\t\"] {\"A\": \"s3cret-token\", \"B\": \"x32\", \"N\": \"1\"} in None Session idle 600s {}
         http: https://h/mcp unauthenticated authorization:\"Bearer s3cret-token\" ca 0 {}
         streams: https://h/mcp unauthenticated ca 0 {}
         events: sse https://h/sse unauthenticated ca 0 {}
         plain: https://h/plain unauthenticated ca 0 {}
         files: idle 60s absolute 3600s
         warning mcp.json:10:3: mcpServers.off: is disabled and left out",
    );
    check(
        &[],
        r#"{"servers": {"a": {"type": "stdio", "command": "run"}}}"#,
        "a: runs run [] {} in None Session idle 600s {}",
    );
}

/// What a shell would put in is sent as it stands, and the user is told where.
#[test]
fn variables_without_braces_are_warned_of() {
    check(
        &[],
        r#"{"mcpServers": {"a": {
            "serverUrl": "http://h/$TENANT",
            "headers": {"Authorization": "Bearer $TOKEN", "X-Price": "5$ and $x and a$TOKEN", "X-Good": "${TOKEN}"}
        }, "b": {"command": "sh", "args": ["-c", "echo $HOME"], "env": {"KEY": "$TOKEN"}}}}"#,
        "a: http://h/$TENANT unauthenticated authorization:\"Bearer $TOKEN\" x-price:\"5$ and $x and a$TOKEN\" x-good:\"s3cret-token\" ca 0 {}
         b: runs sh [\"-c\", \"echo $HOME\"] {\"KEY\": \"$TOKEN\"} in None Session idle 600s {}
         warning mcp.json:2:26: mcpServers.a.serverUrl: holds a $ and a name without braces, which stays as it stands; write ${NAME} for the value of the environment variable NAME
         warning mcp.json:3:42: mcpServers.a.headers.Authorization: holds a $ and a name without braces, which stays as it stands; write ${NAME} for the value of the environment variable NAME
         warning mcp.json:4:80: mcpServers.b.env.KEY: holds a $ and a name without braces, which stays as it stands; write ${NAME} for the value of the environment variable NAME",
    );
}

/// Texts that mean something else in YAML unless they are quoted.
#[test]
fn every_text_is_written_as_what_it_is() {
    let texts = [
        "",
        " ",
        "#",
        "- a",
        "a: b",
        "a #b",
        "a:",
        ":",
        "&x",
        "*x",
        "!x",
        "%x",
        "@x",
        "`x",
        "{",
        "[",
        "]",
        ",",
        "? x",
        "|",
        ">",
        "<<",
        "=",
        "---",
        "...",
        "~",
        "null",
        "Null",
        "true",
        "yes",
        "No",
        "off",
        "y",
        ".",
        "/",
        "a/b:c",
        "1e3",
        "0x1",
        "0o7",
        "1_000",
        ".5",
        ".inf",
        ".nan",
        "12:30",
        "2024-01-01",
        "a\\b",
        "'q'",
        "\"",
        "a\nb",
        "a\n",
        "\ta\t",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{e000}",
        "😀",
        "$",
        "$x",
        "$$",
        "$${TOKEN}",
    ];
    let env: serde_json::Map<String, serde_json::Value> = texts
        .iter()
        .filter(|text| !text.is_empty() && !text.contains('='))
        .map(|text| ((*text).to_owned(), (*text).into()))
        .collect();
    let json = serde_json::json!({"mcpServers": {"a": {"command": "run", "args": texts.to_vec(), "env": env}}});
    let escaped = |c: char| if c == '\u{7f}' { "\\u007f".to_owned() } else { c.to_string() };
    let json: String = json.to_string().chars().map(escaped).collect();
    let lines = given(&[], &json).expect("every text can be given");
    let expected = texts.map(|text| text.replace("$${", "${"));
    assert!(lines.contains(&format!("runs run {expected:?}")), "{lines}");
}

#[test]
fn names_are_made_usable_and_kept_apart() {
    check(
        &["my-server=run"],
        r#"{"mcpServers": {
 "my server": {"command": "a"},
 "my-server-2": {"command": "b"},
 "my/server": {"command": "c"},
 "äö": {"command": "d"}
}}"#,
        "my-server: runs run [] {} in None Session idle 600s {}
         my-server-3: runs a [] {} in None Session idle 600s {}
         my-server-2: runs b [] {} in None Session idle 600s {}
         my-server-4: runs c [] {} in None Session idle 600s {}
         backend: runs d [] {} in None Session idle 600s {}
         warning mcp.json:2:2: mcpServers.\"my server\": cannot be the name of a backend; it is called my-server-3 here
         warning mcp.json:4:2: mcpServers.\"my/server\": cannot be the name of a backend; it is called my-server-4 here
         warning mcp.json:5:2: mcpServers.\"äö\": cannot be the name of a backend; it is called backend here",
    );
    check(
        &[],
        r#"{
"servers": {"a": {"command": "b"}, "c": {"command": "d"}},
"mcpServers": {"c": {"command": "e"}, "f": {"command": "g"}}
}"#,
        "a: runs b [] {} in None Session idle 600s {}
         c: runs d [] {} in None Session idle 600s {}
         f: runs g [] {} in None Session idle 600s {}
         warning mcp.json:3:16: mcpServers.c: is left out: the file's other list has a server of this name",
    );
    let long = "x y".repeat(40);
    let json = format!(
        r#"{{"servers": {{"{long}": {{"command": "a"}}, "{long}z": {{"command": "b"}}}}}}"#
    );
    let lines = given(&[], &json).expect("long names are shortened");
    let names: Vec<_> = lines.lines().filter_map(|line| line.split_once(": runs")).collect();
    assert!(names.iter().all(|(name, _)| name.len() == 64), "{lines}");
    check(
        &["a=run"],
        r#"{"mcpServers": {"a": {"command": "b"}}}"#,
        "mcp.json: \"a\" is the name of another backend already",
    );
}

#[test]
fn what_an_editors_file_has_wrong_is_told_with_its_place() {
    check(
        &[],
        r#"
{"mcpServers": {
  "a": {"type": "ws", "url": "wss://h/"},
  "b": {"command": "run", "url": "http://h/"},
  "c": {"serverUrl": "ftp://h/"},
  "d": {"command": "run", "env": {"A": "${NOBODY}", "B": null}, "cwd": "there"},
  "e": {"type": "http", "command": "run"}
}}"#,
        "mcp.json:2:17: mcpServers.a.type: must be streamable-http or sse or stdio, not \"ws\"
         mcp.json:3:34: mcpServers.b.url: only takes effect with transport: streamable-http or sse
         mcp.json:4:22: mcpServers.c.serverUrl: \"ftp://h/\" is not an http or https URL; write it like http://127.0.0.1:8080/mcp
         mcp.json:5:40: mcpServers.d.env.A: the environment variable NOBODY is not set; set it, or write $${ for ${
         mcp.json:5:58: mcpServers.d.env.B: has no value; give it one or remove it
         mcp.json:5:72: mcpServers.d.cwd: \"there\" is not an absolute path
         mcp.json:6:8: mcpServers.e.url: is required: the URL of its MCP endpoint
         mcp.json:6:36: mcpServers.e.command: only takes effect with transport: stdio",
    );
    check(
        &[],
        r#"
{"mcpServers": {
  "a": {"command": "run", "args": ["${input:key}"], "env": {"A": "${input:key}"}},
  "b": {"url": "http://h/", "serverUrl": "http://h/", "disabled": 1},
  "c": [],
  "b": {}
}}"#,
        "mcp.json:2:36: mcpServers.a.args[0]: asks the user for an input, which a server cannot do; write ${NAME} and set the environment variable NAME
         mcp.json:2:66: mcpServers.a.env.A: asks the user for an input, which a server cannot do; write ${NAME} and set the environment variable NAME
         mcp.json:3:29: mcpServers.b.serverUrl: says again what another key says; keep one
         mcp.json:3:67: mcpServers.b.disabled: is not true or false
         mcp.json:4:8: mcpServers.c: must be a map of keys
         mcp.json:5:3: the key \"b\" stands on line 3 already",
    );
    check(&[], "[]", "mcp.json:1:1: must be a map of keys");
    check(
        &[],
        "{\"a\": 1}",
        "mcp.json:1:1: lists no MCP servers: they stand under mcpServers (Claude, Cursor, Windsurf, Cline, Gemini CLI), \
         servers (VS Code), context_servers (Zed) or mcp (opencode)",
    );
    check(&[], "{\"servers\": []}", "mcp.json:1:13: servers: must be a map of servers by name");
    check(
        &[],
        "{\"servers\": {\"a\": {\"command\": \"x\", \"disabled\": true}}}",
        "mcp.json: holds no backend to serve
         mcp.json:1:14: servers.a: is disabled and left out",
    );
}

#[test]
fn the_file_to_begin_with_can_be_read() {
    let text = super::super::starter();
    parsed(&text).expect("it is complete");
    // And so can what stands there as a suggestion.
    let keys = [
        "transport",
        "headers",
        "  X-",
        "- name: files",
        "  command",
        "  args",
        "  env",
        "    LOG",
        "outgoingAuth",
        "  source",
        "  backends:",
        "    NAME",
        "      type",
        "      header",
        "        header",
        "operational",
        "  logLevel",
        "  timeouts",
        "    default",
        "sessions",
        "  ttl",
    ];
    let uncomment = |line: &str| {
        let (indent, comment) = line.split_once("# ").unwrap_or((line, ""));
        let is_key = keys.iter().any(|key| comment.starts_with(key));
        if is_key { format!("{indent}{comment}") } else { line.to_owned() }
    };
    let whole: Vec<_> = text.lines().map(uncomment).collect();
    let whole =
        whole.join("\n").replace("NAME:\n", "example:\n").replace("NAME_AUTHORIZATION", "TOKEN");
    let configuration = parsed(&whole).expect("the suggestions are fine");
    assert_eq!(configuration.backends.len(), 2, "{whole}");
}
