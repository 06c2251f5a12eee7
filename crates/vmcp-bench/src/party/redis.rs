//! A Redis that keeps nothing on disk.

use std::{path::Path, process::Stdio};

use anyhow::{Context as _, Result};
use tokio::{net::TcpStream, process::Command, time};

use super::{POLL, Party, START, free_address};

/// Starts `redis-server`, Debian's package of that name.
pub(crate) async fn redis(dir: &Path) -> Result<Party> {
    let address = free_address()?;
    let mut command = Command::new("redis-server");
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string()]);
    command.args(["--save", "", "--appendonly", "no"]).arg("--dir").arg(dir);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let party = Party::start("redis-server", command, address, dir)
        .context("is the package redis-server installed?")?;
    let answering = async {
        while TcpStream::connect(address).await.is_err() {
            time::sleep(POLL).await;
        }
    };
    time::timeout(START, answering).await.context("redis-server does not begin to serve")?;
    Ok(party)
}
