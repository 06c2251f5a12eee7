//! The core on its own: its clock stands still while there is something to do, and its backends are
//! servers of the testkit in memory.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod calls;
mod client;
mod fresh;
mod headers;
mod kept;
mod left;
mod limits;
mod lost;
mod own;
mod reach;
mod resolve;
mod resources;
mod rights;
mod states;
mod status;
mod tasks;
mod tickets;
mod timeouts;
mod views;
mod world;
