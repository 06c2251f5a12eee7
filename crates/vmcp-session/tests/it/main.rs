//! Sessions over a store that two replicas share, in front of a real backend.

mod restore;
mod revival;
mod store_failure;
mod support;
