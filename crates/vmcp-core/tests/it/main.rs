//! The core over real sockets, in front of servers of the testkit.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is the message")]

mod modern;
