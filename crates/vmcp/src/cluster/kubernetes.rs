//! A Kubernetes cluster, as far as it is for this process.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use tokio::sync::watch::Receiver;
use vmcp_kubernetes::Reporter;

use super::reporting::Reporting;
use crate::{
    compose::Running,
    config::{self, Configuration, Problems},
};

/// The variable that names the namespace of the virtual server, as ToolHive's operator sets it. Otherwise it is the
/// pod's own.
const NAMESPACE: &str = "VMCP_NAMESPACE";

/// The variable that names the VirtualMCPServer, as ToolHive's operator sets it.
const NAME: &str = "VMCP_NAME";

/// The variable that names the pod, as every container has it.
const POD: &str = "HOSTNAME";

/// The variable that names a file which says where the cluster is. Otherwise it is the one whose pod this is.
const KUBECONFIG: &str = "KUBECONFIG";

/// What is done in a cluster.
#[derive(Default)]
pub(crate) struct Cluster {
    discovery: Option<vmcp_kubernetes::Discovery>,
    found: Option<Found>,
    reporting: Option<Reporting>,
}

/// What is found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    backends: Receiver<Option<Arc<vmcp_kubernetes::Discovered>>>,
    group: String,
    /// What keeps them from being found.
    hindrance: Receiver<Option<String>>,
}

/// The backends that were found last.
#[derive(Debug)]
pub(crate) struct Discovered(Arc<vmcp_kubernetes::Discovered>);

impl Cluster {
    /// Is ready to look for backends if the configuration leaves them to the cluster, and to report how they are in a
    /// pod of ToolHive's operator.
    pub(crate) async fn of(configuration: &Configuration) -> anyhow::Result<Self> {
        let given = |name| config::environment(name).filter(|held| !held.is_empty());
        let is_in_pod = config::is_in_pod(&config::environment);
        if !configuration.discovers && !is_in_pod {
            return Ok(Self::default());
        }
        let kubeconfig = given(KUBECONFIG).map(PathBuf::from);
        let cluster =
            match vmcp_kubernetes::Cluster::new(kubeconfig.as_deref(), given(NAMESPACE)).await {
                Ok(cluster) => cluster,
                Err(error) if configuration.discovers => {
                    return Err(error).context("outgoingAuth.source: discovered");
                }
                Err(error) => {
                    tracing::warn!(%error, "the status of the VirtualMCPServer is not written");
                    return Ok(Self::default());
                }
            };
        let discovery = configuration.discovers.then(|| {
            let group = configuration.group.clone().unwrap_or_default();
            tracing::info!(namespace = cluster.namespace(), group, "looking for backends");
            let storage = configuration.storage.clone();
            let own = vmcp_kubernetes::OwnSecrets::told_by(move || {
                config::own_secrets(storage.as_ref(), &config::environment)
            });
            vmcp_kubernetes::Discovery::new(cluster.clone(), group, own)
        });
        let found = discovery.as_ref().map(|discovery| Found {
            backends: discovery.found(),
            group: configuration.group.clone().unwrap_or_default(),
            hindrance: discovery.hindrance(),
        });
        let reporting = is_in_pod.then(|| {
            let server = given(NAME).unwrap_or_default();
            let replica = given(POD).unwrap_or_else(|| server.clone());
            let interval = configuration.failures.reporting_interval;
            Reporting::new(Reporter::new(cluster, server, &replica, interval), found.clone())
        });
        Ok(Self { discovery, found, reporting })
    }

    /// What it finds, where it looks for backends.
    pub(crate) fn found(&self) -> Option<Found> {
        self.found.clone()
    }

    /// Looks and reports for ever.
    pub(crate) async fn run(&mut self, running: &Running) {
        let discovery = self.discovery.take();
        let discovered = async {
            match discovery {
                Some(discovery) => discovery.run().await,
                None => std::future::pending().await,
            }
        };
        let reported = async {
            match &mut self.reporting {
                Some(reporting) => reporting.run(running).await,
                None => std::future::pending().await,
            }
        };
        tokio::join!(discovered, reported);
    }

    /// Takes back what this replica has reported.
    pub(crate) async fn leave(self) {
        if let Some(reporting) = self.reporting {
            reporting.leave().await;
        }
    }
}

impl Found {
    /// Waits until other backends are found.
    pub(crate) async fn changed(&mut self) {
        if self.backends.changed().await.is_err() {
            // It ends with the server.
            std::future::pending::<()>().await;
        }
    }

    /// Where each backend is, what its MCPExternalAuthConfig is called, and the type of that.
    pub(super) fn places(&self) -> BTreeMap<String, (String, Option<(String, String)>)> {
        let found = self.backends.borrow().clone();
        let backends = found.iter().flat_map(|found| &found.backends);
        let place = |backend: &vmcp_kubernetes::Backend| {
            let url = backend.entry["url"].as_str().unwrap_or_default().to_owned();
            (backend.name.clone(), (url, backend.auth.clone()))
        };
        backends.map(place).collect()
    }

    /// Why there may be backends that are not known. `are_used` says whether those that were found are.
    pub(super) fn waiting(&self, are_used: bool) -> Option<String> {
        match &*self.backends.borrow() {
            Some(found) if are_used => {
                (!found.has_group).then(|| format!("the MCPGroup {} does not exist", self.group))
            }
            _ => {
                let hindrance = self.hindrance.borrow().clone();
                let why = hindrance.map(|why| format!(": {why}")).unwrap_or_default();
                Some(format!("the backends have not been looked up{why}"))
            }
        }
    }

    /// Those that are found now; `None` until all were looked up once.
    pub(crate) fn now(&self) -> Option<Discovered> {
        self.backends.borrow().clone().map(Discovered)
    }
}

impl Discovered {
    /// Reads a file with them. Also gives its text.
    pub(crate) fn load(
        &self,
        path: &Path,
        environment: &dyn Fn(&str) -> Option<String>,
        note: &dyn Fn(&Path),
    ) -> Result<(Configuration, String), Problems> {
        config::load_discovered(path, environment, note, &self.0)
    }

    /// Reads the text of such a file with them.
    pub(crate) fn reread(
        &self,
        text: &str,
        name: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Configuration, Problems> {
        config::reread_discovered(text, name, environment, &self.0)
    }
}
