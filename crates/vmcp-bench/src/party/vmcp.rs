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
pub(crate) async fn vmcp(program: &Path, dir: &Path, backends: &[String]) -> Result<Party> {
    start(Command::new(program), dir, &configuration(backends, &[])).await
}

/// The same with its records in a Redis.
pub(crate) async fn vmcp_over(
    store: SocketAddr,
    program: &Path,
    dir: &Path,
    backends: &[String],
) -> Result<Party> {
    let text = configuration(backends, &[]);
    let storage = format!("sessionStorage: {{provider: redis, address: \"{store}\"}}\n");
    start(Command::new(program), dir, &(text + &storage)).await
}

/// The same under callgrind, with these options.
pub(crate) async fn vmcp_counted(
    options: &[String],
    program: &Path,
    dir: &Path,
    backends: &[String],
    policies: &[String],
) -> Result<Party> {
    let mut command = Command::new("valgrind");
    command.args(["--quiet", "--tool=callgrind"]).args(options).arg(program);
    // Otherwise long copies are one instruction that is repeated for every byte, and counted as often.
    command.env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS");
    start(command, dir, &configuration(backends, policies)).await
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
fn configuration(backends: &[String], policies: &[String]) -> String {
    let mut text = String::from("name: bench\ngroupRef: bench\nincomingAuth:\n  type: anonymous\n");
    if !policies.is_empty() {
        text += "  authz:\n    type: cedar\n    policies:\n";
        for policy in policies {
            let _infallible = writeln!(text, "      - '{policy}'");
        }
    }
    text.push_str(
        "outgoingAuth:\n  source: inline\n\
         limits:\n  sessionsPerClient: 1000000\n\
         backends:\n",
    );
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
    use super::configuration;

    #[test]
    fn every_backend_is_listed_and_ordered() {
        let text =
            configuration(&["http://127.0.0.1:1/mcp".into(), "http://127.0.0.1:2/mcp".into()], &[]);
        assert!(text.contains("  - name: b1\n    url: http://127.0.0.1:2/mcp\n"), "{text}");
        assert!(text.ends_with("    priorityOrder: [b0, b1]\n"), "{text}");
        assert!(text.contains("\nlimits:\n  sessionsPerClient: 1000000\n"), "{text}");
    }
}
