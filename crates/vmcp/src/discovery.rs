//! Looks for backends in the cluster where the configuration says so.

#[cfg(feature = "kubernetes")]
mod kubernetes;
#[cfg(not(feature = "kubernetes"))]
#[path = "discovery/absent.rs"]
mod kubernetes;

pub(crate) use kubernetes::{Discovered, Discovery, Found};
