//! Where the API server is, and who asks it.

use std::{path::Path, time::Duration};

use kube::{
    Api, Client, Config,
    api::DynamicObject,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig},
};
use thiserror::Error;
use tower::layer::layer_fn;

use crate::{
    kind::{Kind, virtual_server},
    lasting::Lasting,
};

/// How long a watch is asked to last. Then it is begun again where it was.
pub(crate) const WATCH: Duration = Duration::from_secs(120);

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// A connection to the API server of a cluster, and the namespace that is looked at there.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
}

/// Why a cluster cannot be reached at all. That its API server does not answer is none of these.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No cluster is known.
    #[error(
        "this is no pod of a cluster, or its service account's token is not mounted; to look at a cluster from \
         outside, name a kubeconfig in KUBECONFIG ({0})"
    )]
    Outside(#[source] kube::config::InClusterError),
    /// The file that says where it is cannot be used.
    #[error("the kubeconfig {0}: {1}")]
    Kubeconfig(String, #[source] kube::config::KubeconfigError),
    /// What says where it is cannot be used.
    #[error("the connection to the API server cannot be set up: {0}")]
    Client(#[source] kube::Error),
}

impl Cluster {
    /// Says where the cluster is, which is not asked yet: that of a kubeconfig, or else the one in which this
    /// process runs as a pod. The namespace is the pod's own if none is given. Must be called on a runtime.
    pub async fn new(
        kubeconfig: Option<&Path>,
        namespace: Option<String>,
    ) -> Result<Self, ConnectError> {
        let mut config = match kubeconfig {
            None => Config::incluster().map_err(ConnectError::Outside)?,
            Some(path) => from_file(path)
                .await
                .map_err(|error| ConnectError::Kubeconfig(path.display().to_string(), error))?,
        };
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        // Who asks decides how long to wait until the next time, and is told what went wrong.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        let client = ClientBuilder::try_from(config).map_err(ConnectError::Client)?;
        let lasting = layer_fn(|service| Lasting::new(service, WATCH));
        Ok(Self { client: client.with_layer(&lasting).build(), namespace })
    }

    /// The namespace that is looked at.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The objects of a kind.
    pub(crate) fn objects(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind.resource())
    }

    /// The objects that describe virtual servers.
    pub(crate) fn virtual_servers(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.namespace, &virtual_server())
    }

    pub(crate) fn client(&self) -> Client {
        self.client.clone()
    }
}

#[cfg(test)]
impl Cluster {
    /// One whose API server answers in this process.
    pub(crate) fn answered_by(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned() }
    }
}

async fn from_file(path: &Path) -> Result<Config, kube::config::KubeconfigError> {
    let file = Kubeconfig::read_from(path)?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await
}
