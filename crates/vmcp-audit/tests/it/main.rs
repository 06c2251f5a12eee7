//! Records in real files, pipes and devices.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod also;
mod data;
mod delivery;
mod files;
mod full;
mod killed;
mod lines;
mod outcomes;
mod support;
