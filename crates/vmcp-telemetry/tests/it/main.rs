//! Metrics as those see them who count requests and read them.

mod bounds;
mod example;
mod exposition;
mod folding;
mod parser;
mod projection;
mod support;
mod threads;
