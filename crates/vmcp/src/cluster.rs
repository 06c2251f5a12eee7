//! The Kubernetes cluster in which vmcp runs as a pod: backends are looked for there where the configuration says so,
//! and the state of all is reported in the object of the virtual server.

#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(not(feature = "kubernetes"))]
#[path = "cluster/absent.rs"]
mod kubernetes;
#[cfg(feature = "kubernetes")]
mod register;
#[cfg(feature = "kubernetes")]
mod reporting;

pub(crate) use kubernetes::{Cluster, Discovered, Found};
