//! nginx as a plain reverse proxy, by the configuration checked in beside the sources.

use std::{fs, net::SocketAddr, os::unix::fs::PermissionsExt, path::Path, process::Stdio};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use super::{Party, free_address};

const TEMPLATE: &str = include_str!("../../nginx.conf");
const PACKAGE: &str = "nginx-light";

/// Starts nginx in front of `backend`. What stands in `dir`'s folder `files` is served under
/// `/files/`.
pub(crate) async fn nginx(dir: &Path, backend: SocketAddr) -> Result<Party> {
    install().await?;
    let address = free_address()?;
    // Its workers give up the rights of root, and must still reach their files.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    let files = dir.join("files");
    fs::create_dir_all(&files)?;
    fs::write(files.join("ready"), "ready")?;
    let text = TEMPLATE
        .replace("@DIR@", dir.to_str().context("the temporary directory's name is not text")?)
        .replace("@PORT@", &address.port().to_string())
        .replace("@BACKEND@", &backend.to_string());
    let conf = dir.join("nginx.conf");
    fs::write(&conf, text)?;
    let mut command = Command::new("nginx");
    command.arg("-p").arg(dir).arg("-c").arg(&conf).arg("-e").arg("stderr");
    Party::start("nginx", command, address, dir)?.ready("/files/ready").await
}

/// Makes sure that there is an nginx: root gets the package, anyone else is told of it.
async fn install() -> Result<()> {
    let version = Command::new("nginx").arg("-v").stderr(Stdio::null()).status().await;
    if version.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    ensure!(
        rustix::process::geteuid().is_root(),
        "nginx is needed to compare with: install the package {PACKAGE}"
    );
    let status = Command::new("apt-get")
        .args(["install", "-y", "--no-install-recommends", PACKAGE])
        .stdout(Stdio::null())
        .status()
        .await
        .with_context(|| format!("nginx is missing, and so is apt-get to install {PACKAGE}"))?;
    ensure!(status.success(), "nginx is missing, and apt-get could not install {PACKAGE}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::TEMPLATE;

    #[test]
    fn the_template_has_no_other_gaps_than_are_filled() {
        let left = TEMPLATE.replace("@DIR@", "").replace("@PORT@", "").replace("@BACKEND@", "");
        let gap = left.lines().find(|line| !line.starts_with('#') && line.contains('@'));
        assert_eq!(gap, None);
    }
}
