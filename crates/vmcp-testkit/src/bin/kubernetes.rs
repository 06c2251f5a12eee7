//! Starts an API server of Kubernetes that knows the kinds of ToolHive, and keeps it until it is ended.
//!
//! Says where it is, where its etcd is, and by which file kubectl and helm get to it.

use std::io::Write as _;

use anyhow::Result;
use vmcp_testkit::kubernetes::ApiServer;

#[tokio::main]
async fn main() -> Result<()> {
    let server = ApiServer::start().await?;
    let mut out = std::io::stdout();
    writeln!(out, "listening on {}", server.url())?;
    writeln!(out, "etcd {}", server.etcd().url_of(""))?;
    writeln!(out, "kubeconfig {}", server.kubeconfig_path().display())?;
    out.flush()?;
    Ok(tokio::signal::ctrl_c().await?)
}
