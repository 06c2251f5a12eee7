//! A backend over real sockets, in front of small servers of our own.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod era;
mod lists;
mod memory;
mod offer;
mod peer;
mod refusals;
mod server;
mod sides;
mod stateless;
mod streams;
mod tls;
mod ways;
