//! The configuration file: read, checked, and ready to be taken apart.

mod expand;
mod problem;
mod suggest;
mod tree;
mod units;
