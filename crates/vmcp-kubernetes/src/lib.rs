//! The backends of a virtual server that stand as objects in a Kubernetes cluster: those of the group in the
//! namespace of its pod, as ToolHive's operator keeps them there.
//!
//! [`Cluster`] reaches the API server. [`Discovery`] watches the objects and tells what they come to: [`Backend`]s,
//! each as the operator would write it into a configuration. What the keys of a configuration mean is none of this
//! crate's business, and nobody else names Kubernetes. [`Reporter`] writes what a server sees of its backends into
//! the status of its own object.

mod candidates;
mod cluster;
mod contents;
mod discovery;
mod found;
mod kind;
mod lasting;
mod own;
mod report;
mod seen;
mod strategy;
mod told;
mod trouble;
mod watch;

pub use candidates::MAX_NAME;
pub use cluster::{Cluster, ConnectError};
pub use discovery::Discovery;
pub use found::{Backend, Discovered};
pub use own::OwnSecrets;
pub use report::{Answer, BackendHealth, BackendReport, Breaker, Register, Report, Reporter};
