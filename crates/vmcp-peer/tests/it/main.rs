//! The channel between replicas, over real sockets: several replicas in this process, and strangers.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod answers;
mod attacks;
mod bounds;
mod elsewhere;
mod ends;
mod lost;
mod names;
mod nonsense;
mod raw;
mod relay;
mod rings;
mod support;
