//! Where the API server is, and who asks it.

use std::{path::Path, time::Duration};

use kube::{
    Api, Client, Config,
    api::DynamicObject,
    client::ClientBuilder,
    config::{InClusterError, KubeConfigOptions, Kubeconfig},
};
use thiserror::Error;
use tower::layer::layer_fn;

use crate::{
    kind::{Kind, virtual_server},
    lasting::Lasting,
    trouble::{cause, innermost},
};

/// How long a watch is asked to last. Then it is begun again where it was.
pub(crate) const WATCH: Duration = Duration::from_secs(120);

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);

/// Where the account of a pod is mounted.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A connection to the API server of a cluster, and the namespace that is looked at there.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    namespace: String,
    /// Where the API server is.
    address: String,
    /// By what it is asked, in words.
    credential: String,
}

/// Why a cluster cannot be reached at all. That its API server does not answer is none of these.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No cluster is known.
    #[error("{0}; to look at a cluster from outside its pods, name a kubeconfig in KUBECONFIG")]
    Outside(String),
    /// There can be no such namespace.
    #[error("{0:?} is no name of a namespace")]
    Namespace(String),
    /// The file that says where it is cannot be used.
    #[error("the kubeconfig {0}: {1}")]
    Kubeconfig(String, String),
    /// What says where it is cannot be used.
    #[error("the connection to the API server {0} cannot be set up: {1}")]
    Client(String, String),
}

impl Cluster {
    /// Says where the cluster is, which is not asked yet: that of a kubeconfig, or else the one in which this
    /// process runs as a pod. The namespace is the pod's own if none is given. Must be called on a runtime.
    pub async fn new(
        kubeconfig: Option<&Path>,
        namespace: Option<String>,
    ) -> Result<Self, ConnectError> {
        let mut config = match kubeconfig {
            None => Config::incluster().map_err(|error| ConnectError::Outside(outside(&error)))?,
            Some(path) => from_file(path).await.map_err(|error| {
                ConnectError::Kubeconfig(path.display().to_string(), innermost(&error))
            })?,
        };
        let namespace = namespace.unwrap_or_else(|| config.default_namespace.clone());
        if !is_namespace(&namespace) {
            return Err(ConnectError::Namespace(namespace));
        }
        // Who asks decides how long to wait until the next time, and is told what went wrong.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT);
        let address = config.cluster_url.to_string();
        let credential = match kubeconfig {
            None => format!("the token in {ACCOUNT}/token"),
            Some(path) => format!("what the kubeconfig {} says about its user", path.display()),
        };
        let cannot = |error| ConnectError::Client(address.clone(), cause(&error));
        let client = ClientBuilder::try_from(config).map_err(cannot)?;
        let lasting = layer_fn(|service| Lasting::new(service, WATCH));
        let client = client.with_layer(&lasting).build();
        Ok(Self { client, namespace, address, credential })
    }

    /// The namespace that is looked at.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Where the API server is.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// By what it is asked, in words.
    pub(crate) fn credential(&self) -> &str {
        &self.credential
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
        let (address, credential) = ("http://api.test".to_owned(), "its token".to_owned());
        Self { client, namespace: namespace.to_owned(), address, credential }
    }
}

/// Whether a namespace can be called so: what is called otherwise would be another part of a path.
fn is_namespace(name: &str) -> bool {
    let is_alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 63
        && name.starts_with(is_alphanumeric)
        && name.ends_with(is_alphanumeric)
        && name.chars().all(|c| is_alphanumeric(c) || c == '-')
}

/// Why this is no pod that may ask its API server.
fn outside(error: &InClusterError) -> String {
    let why = innermost(error);
    match error {
        InClusterError::ReadEnvironmentVariable(_) => {
            "this is no pod of a cluster: KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set".to_owned()
        }
        InClusterError::ParseClusterPort(_) => {
            format!("KUBERNETES_SERVICE_PORT is no port: {why}")
        }
        InClusterError::ParseClusterUrl(_) => {
            format!("KUBERNETES_SERVICE_HOST is no host: {why}")
        }
        InClusterError::ReadDefaultNamespace(_) => {
            format!("{ACCOUNT}/namespace cannot be read: {why}, as where the service account's token is not mounted")
        }
        InClusterError::ReadCertificateBundle(_) => {
            format!("{ACCOUNT}/ca.crt cannot be read: {why}, as where the service account's token is not mounted")
        }
        InClusterError::ParseCertificates(_) => {
            format!("{ACCOUNT}/ca.crt holds no PEM certificate: {why}")
        }
    }
}

async fn from_file(path: &Path) -> Result<Config, kube::config::KubeconfigError> {
    let file = Kubeconfig::read_from(path)?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_one_part_of_a_path() {
        for name in ["default", "team-1", "0"] {
            assert!(is_namespace(name), "{name}");
        }
        for name in ["", "../c29", "a/b", "Team", "-a", "a-", "a.b", "a b", "a\n", &"a".repeat(64)]
        {
            assert!(!is_namespace(name), "{name:?}");
        }
    }
}
