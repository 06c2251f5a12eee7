//! vmcp as it is shipped: the `dist` profile, and a configuration that changes no name.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use tokio::process::Command;

use super::{Party, free_address};

/// What a configuration says of those who call and of what backends are shown, in YAML.
pub(crate) struct Sections {
    /// `incomingAuth` but for its policies.
    pub(crate) incoming: String,
    pub(crate) policies: Vec<String>,
    /// `outgoingAuth`.
    pub(crate) outgoing: String,
    /// `telemetry` and `audit`.
    pub(crate) told: String,
}

impl Default for Sections {
    /// Everybody may do everything, and backends are shown nothing.
    fn default() -> Self {
        Self {
            incoming: "  type: anonymous\n".to_owned(),
            policies: Vec::new(),
            outgoing: "  source: inline\n".to_owned(),
            told: String::new(),
        }
    }
}

/// Builds vmcp and says where it is. cargo's own messages go to standard error.
pub(crate) async fn built() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        executable: Option<PathBuf>,
    }
    let output = Command::new("cargo")
        .args(["build", "--profile", "dist", "-p", "vmcp", "--features", "aws", "--bin", "vmcp"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .await
        .context("cannot start cargo; name a built vmcp with --vmcp")?;
    ensure!(output.status.success(), "vmcp does not build; see above");
    // One JSON object a line; only what was linked has an executable.
    let lines = output.stdout.split(|byte| *byte == b'\n');
    lines
        .filter_map(|line| serde_json::from_slice::<Message>(line).ok()?.executable)
        .next_back()
        .context("cargo built no executable")
}

/// Starts vmcp in front of backends at these URLs.
pub(crate) async fn vmcp(
    program: &Path,
    dir: &Path,
    backends: &[String],
    sections: &Sections,
) -> Result<Party> {
    start(Command::new(program), dir, &configuration(backends, sections)).await
}

/// The same with its records in a Redis.
pub(crate) async fn vmcp_over(
    store: SocketAddr,
    program: &Path,
    dir: &Path,
    backends: &[String],
) -> Result<Party> {
    let text = configuration(backends, &Sections::default());
    let storage = format!("sessionStorage: {{provider: redis, address: \"{store}\"}}\n");
    start(Command::new(program), dir, &(text + &storage)).await
}

/// The same under callgrind, with these options.
pub(crate) async fn vmcp_counted(
    options: &[String],
    program: &Path,
    dir: &Path,
    backends: &[String],
    sections: &Sections,
) -> Result<Party> {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind"]).args(options).arg(program);
    // Otherwise long copies are one instruction that is repeated for every byte, and counted as often.
    command.env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS");
    start(command, dir, &configuration(backends, sections)).await
}

async fn start(mut command: Command, dir: &Path, configuration: &str) -> Result<Party> {
    let address = free_address()?;
    let config = dir.join(format!("vmcp-{}.yaml", address.port()));
    fs::write(&config, configuration)?;
    command.arg("serve").arg("--config").arg(&config);
    command.args(["--host", "127.0.0.1", "--port", &address.port().to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Party::start("vmcp", command, address, dir)?.ready("/readyz").await
}

/// Everything that is not needed stays at its default, which is what users run.
fn configuration(backends: &[String], sections: &Sections) -> String {
    let Sections { incoming, policies, outgoing, told } = sections;
    let mut text = format!("name: bench\ngroupRef: bench\n{told}incomingAuth:\n{incoming}");
    if !policies.is_empty() {
        text += "  authz:\n    type: cedar\n    policies:\n";
        for policy in policies {
            let _infallible = writeln!(text, "      - '{policy}'");
        }
    }
    let _infallible =
        write!(text, "outgoingAuth:\n{outgoing}limits:\n  sessionsPerClient: 1000000\nbackends:\n");
    let mut names = Vec::new();
    for (number, url) in backends.iter().enumerate() {
        let name = format!("b{number}");
        let _infallible =
            writeln!(text, "  - name: {name}\n    url: {url}\n    transport: streamable-http");
        names.push(name);
    }
    let order = names.join(", ");
    let _infallible = writeln!(
        text,
        "aggregation:\n  conflictResolution: priority\n  \
         conflictResolutionConfig:\n    priorityOrder: [{order}]"
    );
    text
}

#[cfg(test)]
mod tests {
    use super::{Sections, configuration};

    #[test]
    fn every_backend_is_listed_and_ordered() {
        let backends = ["http://127.0.0.1:1/mcp".into(), "http://127.0.0.1:2/mcp".into()];
        let text = configuration(&backends, &Sections::default());
        assert!(text.contains("  - name: b1\n    url: http://127.0.0.1:2/mcp\n"), "{text}");
        assert!(text.ends_with("    priorityOrder: [b0, b1]\n"), "{text}");
        assert!(text.contains("\nlimits:\n  sessionsPerClient: 1000000\n"), "{text}");
    }
}
