//! When to ask a peer for a sign of life, and when it is gone. Pure: the moments are given.
//!
//! While something is open on a connection, the other end is asked every [`PING`]; whatever it sends is a
//! sign of life. After [`SILENCE`] without one it is gone. While nothing is open, nothing is asked.

use tokio::time::Instant;

use crate::settings::{PING, SILENCE};

/// What is known of one connection.
#[derive(Debug, Default)]
pub(crate) struct Alive {
    watch: Option<Watch>,
}

#[derive(Debug)]
struct Watch {
    /// Silence counts from here, or from what was heard later.
    since: Instant,
    /// When it was asked last.
    asked: Option<Instant>,
    /// When this is to be looked at again.
    due: Instant,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing, until something is opened.
    Rest,
    /// Ask for a sign of life, and look again at that moment.
    Ask(Instant),
    /// Look again at that moment.
    Wait(Instant),
    /// The peer is gone.
    Gone,
}

impl Alive {
    /// What to do now. `heard` is when the peer was heard last.
    pub(crate) fn next(&mut self, now: Instant, is_in_use: bool, heard: Instant) -> Next {
        if !is_in_use {
            self.watch = None;
            return Next::Rest;
        }
        let fresh = || Watch { since: now, asked: None, due: now };
        let watch = self.watch.get_or_insert_with(fresh);
        // This process stood still: what the peer has sent meanwhile was not read yet.
        if now >= watch.due + PING {
            watch.since = now;
            watch.asked = None;
        }
        let gone = watch.since.max(heard) + SILENCE;
        if now >= gone {
            return Next::Gone;
        }
        let is_to_ask = watch.asked.is_none_or(|asked| now >= asked + PING);
        if is_to_ask {
            watch.asked = Some(now);
        }
        let ask = watch.asked.map_or(now, |asked| asked + PING);
        watch.due = ask.min(gone);
        if is_to_ask { Next::Ask(watch.due) } else { Next::Wait(watch.due) }
    }
}

#[cfg(test)]
mod tests;
