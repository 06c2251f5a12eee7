//! A real Kubernetes API server with its etcd, on loopback, with the definitions of ToolHive's objects.
//!
//! - [`ApiServer`]: starts both, stops the API server, starts it again, and says who has asked it for what
//! - [`Namespace`]: one of it, with the objects in it
//! - [`objects`]: the objects of ToolHive, as its operator leaves them
//! - [`Pod`]: what a pod of a virtual server has: its rights, its token, its files, its environment
//! - [`Api`]: requests to the API server as anybody, and [`Watch`]
//! - [`Volume`]: a folder whose files change as those of a mounted ConfigMap do
//!
//! Nothing runs but these two programs: no operator, no controller, no node. Objects have the status that a test
//! gives them, and nothing removes what belonged to an object that is gone.

mod api;
mod audit;
mod definitions;
mod namespace;
pub mod objects;
mod pod;
mod setup;
mod volume;

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde_json::json;
use tokio::time::{Instant, sleep};

pub use api::{Answer, Api, Watch};
pub use audit::{Request, tally};
pub use namespace::Namespace;
pub use pod::{Pod, Rights};
pub use volume::Volume;

use crate::process::{Process, Program};

/// How long it may take until the API server serves.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often it is asked.
const POLL: Duration = Duration::from_millis(50);

/// A running API server. It and its etcd are killed when this is dropped, or when the test's process ends.
#[derive(Debug)]
pub struct ApiServer {
    program: Program,
    server: Option<Process>,
    etcd: Process,
    port: u16,
    admin: Api,
    files: Arc<setup::Files>,
    namespaces: AtomicUsize,
}

impl ApiServer {
    /// Starts one that knows the kinds of ToolHive, and waits until it serves them. Tokens of its service
    /// accounts say that they come from [`Self::url`].
    pub async fn start() -> Result<Self> {
        Self::start_as(None).await
    }

    /// The same, with another issuer in the tokens: `https://kubernetes.default.svc`.
    pub async fn with_issuer(issuer: &str) -> Result<Self> {
        Self::start_as(Some(issuer)).await
    }

    async fn start_as(issuer: Option<&str>) -> Result<Self> {
        let files = Arc::new(setup::Files::write()?);
        let etcd = setup::etcd()?.start().await.context("start etcd")?;
        let port = crate::process::free_port()?;
        let own = format!("https://127.0.0.1:{port}");
        files.write_kubeconfig(&own)?;
        let program = setup::kube_apiserver(&files, &etcd, issuer.unwrap_or(&own))?.port(port);
        let admin = Api::new(port, &files.authority, &files.admin_token)?;
        let mut server = Self {
            program,
            server: None,
            etcd,
            port,
            admin,
            files,
            namespaces: AtomicUsize::new(0),
        };
        server.begin().await?;
        definitions::apply(&server.admin).await?;
        definitions::until_served(&server.admin).await?;
        Ok(server)
    }

    /// `https://127.0.0.1` and its port.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The certificate of the authority that vouches for it, in PEM.
    pub fn authority(&self) -> &str {
        &self.files.authority
    }

    /// The file with that certificate.
    pub fn authority_path(&self) -> PathBuf {
        self.files.authority_path()
    }

    /// The file by which kubectl and helm are the administrator.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.files.kubeconfig_path()
    }

    /// Requests of an administrator, who may do everything.
    pub fn admin(&self) -> &Api {
        &self.admin
    }

    /// Creates a namespace that nothing else is in.
    pub async fn namespace(&self) -> Result<Namespace> {
        let name = format!("c{:02}", self.namespaces.fetch_add(1, Ordering::Relaxed) + 1);
        let object = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name},
        });
        self.admin.create("/api/v1/namespaces", &object).await?;
        Ok(Namespace::new(name, self.admin.clone(), Arc::clone(&self.files)))
    }

    /// What a service account ([`Pod::account`]) has asked for so far, the oldest first, also before a restart.
    /// A request is there a moment after its answer; a watch is one request, and is there when it has begun.
    pub fn requests(&self, account: &str) -> Result<Vec<Request>> {
        audit::requests(&self.files.audit_path(), account)
    }

    /// Kills the API server. What it holds is in etcd.
    pub async fn stop(&mut self) -> Result<()> {
        self.admin.forget_connections();
        if let Some(server) = self.server.take() {
            server.kill().await?;
        }
        Ok(())
    }

    /// Starts the API server on the same port, and waits until it serves all that it did.
    pub async fn start_again(&mut self) -> Result<()> {
        self.stop().await?;
        self.begin().await?;
        definitions::until_served(&self.admin).await
    }

    async fn begin(&mut self) -> Result<()> {
        let mut process = self.program.spawn()?;
        let deadline = Instant::now() + PATIENCE;
        while !self.is_ready().await {
            if !process.is_running() {
                bail!("kube-apiserver ended before it was ready:\n{}", process.log());
            }
            if Instant::now() > deadline {
                bail!("kube-apiserver was not ready in {PATIENCE:?}:\n{}", process.log());
            }
            sleep(POLL).await;
        }
        self.server = Some(process);
        Ok(())
    }

    async fn is_ready(&self) -> bool {
        self.admin
            .send(http::Method::GET, "/readyz", None)
            .await
            .is_ok_and(|answer| answer.is_success())
    }

    /// Stops the API server where it is: it holds its connections, and says nothing.
    pub fn pause(&self) -> Result<()> {
        self.process()?.signal(Signal::STOP)
    }

    /// Lets it go on.
    pub fn resume(&self) -> Result<()> {
        self.process()?.signal(Signal::CONT)
    }

    /// The API server: its log, its memory.
    pub fn process(&self) -> Result<&Process> {
        self.server.as_ref().context("it does not run")
    }

    pub fn etcd(&self) -> &Process {
        &self.etcd
    }
}
