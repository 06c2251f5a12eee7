//! Looks for backends in a Kubernetes cluster.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use tokio::sync::watch::Receiver;
use vmcp_kubernetes::Cluster;

use crate::config::{self, Configuration, Problems};

/// The variable that names the namespace of the virtual server, as ToolHive's operator sets it. Otherwise it is the
/// pod's own.
const NAMESPACE: &str = "VMCP_NAMESPACE";

/// The variable that names a file which says where the cluster is. Otherwise it is the one whose pod this is.
const KUBECONFIG: &str = "KUBECONFIG";

/// Looks for the backends of a configuration.
pub(crate) struct Discovery {
    running: vmcp_kubernetes::Discovery,
}

/// What is found.
#[derive(Debug)]
pub(crate) struct Found(Receiver<Option<Arc<vmcp_kubernetes::Discovered>>>);

/// The backends that were found last.
#[derive(Debug)]
pub(crate) struct Discovered(Arc<vmcp_kubernetes::Discovered>);

impl Discovery {
    /// Is ready to look for backends, if the configuration leaves them to the cluster.
    pub(crate) async fn of(configuration: &Configuration) -> anyhow::Result<Option<Self>> {
        if !configuration.discovers {
            return Ok(None);
        }
        let given = |name| config::environment(name).filter(|held| !held.is_empty());
        let kubeconfig = given(KUBECONFIG).map(PathBuf::from);
        let cluster = Cluster::new(kubeconfig.as_deref(), given(NAMESPACE)).await;
        let cluster = cluster.context("outgoingAuth.source: discovered")?;
        let group = configuration.group.clone().unwrap_or_default();
        tracing::info!(namespace = cluster.namespace(), group, "looking for backends");
        Ok(Some(Self { running: vmcp_kubernetes::Discovery::new(cluster, group) }))
    }

    /// What it finds.
    pub(crate) fn found(&self) -> Found {
        Found(self.running.found())
    }

    /// Looks for ever.
    pub(crate) async fn run(self) {
        self.running.run().await;
    }
}

impl Found {
    /// Waits until other backends are found.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // It ends with the server.
            std::future::pending::<()>().await;
        }
    }

    /// Those that are found now; `None` until all were looked up once.
    pub(crate) fn now(&self) -> Option<Discovered> {
        self.0.borrow().clone().map(Discovered)
    }
}

impl Discovered {
    /// Reads a file with them.
    pub(crate) fn load(
        &self,
        path: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        note: &dyn Fn(&Path),
    ) -> Result<Configuration, Problems> {
        config::load_discovered(path, environment, note, &self.0)
    }
}
