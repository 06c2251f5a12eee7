//! Sessions over a store that two replicas share, in front of a real backend.

mod modern;
mod restore;
mod store_failure;
mod support;
