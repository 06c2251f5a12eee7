//! The configuration file: read, checked, and ready to be taken apart.

mod problem;
mod tree;
