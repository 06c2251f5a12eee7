//! Records in real files, pipes and devices.

mod delivery;
mod files;
mod lines;
mod support;
