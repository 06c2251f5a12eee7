//! Filled by a later commit of this change.

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "the composition that takes a configuration apart comes next")
)]
mod config;

fn main() {}
