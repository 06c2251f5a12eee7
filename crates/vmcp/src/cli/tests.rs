//! The command line is sound, and what the documents tell people to type can be typed.

use clap::{CommandFactory as _, Parser as _};

use super::Cli;

const DOCUMENTS: [(&str, &str); 4] = [
    ("README.md", include_str!("../../../../README.md")),
    ("docs/quickstart.md", include_str!("../../../../docs/quickstart.md")),
    (
        "docs/migrating-from-toolhive.md",
        include_str!("../../../../docs/migrating-from-toolhive.md"),
    ),
    ("docs/configuration.md", include_str!("../../../../docs/configuration.md")),
];

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn documented_commands_can_be_typed() {
    let mut count = 0;
    for (name, text) in DOCUMENTS {
        for command in commands(text) {
            let words = shlex::split(&command).unwrap_or_else(|| panic!("{name}: {command}"));
            let words = words.into_iter().take_while(|word| word != ">");
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{name}: {command}\n{error}");
            }
            count += 1;
        }
    }
    assert!(count > 15, "only {count} commands were found");
}

#[test]
fn a_session_lives_as_long_as_a_file_could_say() {
    let with = |ttl: &str| {
        Cli::try_parse_from(["vmcp", "serve", "-c", "vmcp.yaml", "--session-ttl", ttl]).is_ok()
    };
    assert_eq!(["1ms", "1h30m", "720h"].map(with), [true; 3]);
    assert_eq!(["0s", "721h", "-1s", "30", "", "soon"].map(with), [false; 6]);
}

#[test]
fn how_long_programs_may_take_to_start_is_given_without_a_file() {
    let with = |source: &[&str], timeout: &str| {
        let line = [&["vmcp", "serve"], source, &["--start-timeout", timeout]].concat();
        Cli::try_parse_from(line).map(drop).map_err(|error| error.to_string())
    };
    let given = ["--mcp-json", "mcp.json"];
    assert_eq!(["1ms", "90s", "1h"].map(|timeout| with(&given, timeout)), [const { Ok(()) }; 3]);
    let told = with(&given, "2h").unwrap_err();
    assert!(told.contains("write a duration between 1ms and 1h"), "{told}");
    let told = with(&["--config", "vmcp.yaml"], "90s").unwrap_err();
    assert!(told.contains("--config"), "{told}");
}

/// Whoever comes from ToolHive is told what to do without its options, and where an option belongs.
#[test]
fn an_option_from_elsewhere_gets_a_tip() {
    let told = |line: &str| {
        let matches = Cli::command().try_get_matches_from(line.split(' '));
        super::tips::added(matches.expect_err(line)).to_string()
    };
    for (line, wanted) in [
        ("vmcp serve --group tools", "tip: no backends are found by a group"),
        ("vmcp serve --group=tools", "tip: no backends are found by a group"),
        ("vmcp init --group tools", "tip: no backends are found by a group"),
        ("vmcp serve --optimizer", "tip: there is no optimizer yet"),
        ("vmcp serve --optimizer-embedding", "tip: there is no optimizer yet"),
        ("vmcp -c a.yaml serve", "tip: -c belongs behind the command, as in: vmcp serve -c"),
        ("vmcp --config a.yaml serve", "tip: --config belongs behind the command"),
        ("vmcp serve --hots ::1", "'--host'"),
    ] {
        let told = told(line);
        assert!(told.contains(wanted) && !told.contains("as a value"), "{line}: {told}");
    }
}

/// The command lines of a document's blocks of shell.
fn commands(text: &str) -> Vec<String> {
    let text = text.replace("\\\n", " ");
    let mut commands = Vec::new();
    let mut shell = false;
    for line in text.lines() {
        if line.starts_with("```") {
            shell = line == "```sh";
        } else if shell && let Some(command) = line.strip_prefix("cargo run --release -- ") {
            commands.push(format!("vmcp {command}"));
        } else if shell && line.starts_with("vmcp ") {
            commands.push(line.to_owned());
        }
    }
    commands
}
