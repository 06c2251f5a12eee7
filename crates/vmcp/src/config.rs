//! The configuration file: read, checked, and ready to be taken apart.

mod expand;
mod problem;
mod reader;
mod schema;
mod suggest;
mod tree;
mod units;
mod value;
