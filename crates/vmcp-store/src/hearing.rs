//! What a replica makes of the messages on a bus: news, and whether some may have been missed.
//!
//! A bus delivers in order, and loses silently. So every replica numbers its messages and sends a
//! heartbeat, which its own subscription must bring back: then it has heard everything that was
//! published before. A number that is skipped, and a replica that falls silent, mean that something
//! may have been missed. How messages travel is not known here.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    bus::{Confidence, Local, News, Subscription},
    traffic::{BusTraffic, Counter},
};

/// A replica on a bus, by a random number.
pub type Sender = [u8; 16];

/// Heartbeats within the time for which anything is relied upon.
const BEATS: u32 = 4;

/// Messages of its own that a replica waits to hear.
const SENT: usize = 64;

/// What one replica hears.
#[derive(Debug)]
pub struct Hearing {
    me: Sender,
    /// For how long what is known is relied upon. `None`: not at all.
    max_staleness: Option<Duration>,
    local: Local,
    state: Mutex<State>,
    sent: Counter,
    received: Counter,
    gaps: Counter,
}

#[derive(Debug, Default)]
struct State {
    /// Messages of this replica that have not come back yet, and when they were sent.
    sent: VecDeque<(u64, Instant)>,
    /// When one came back last.
    heard: Option<Instant>,
    peers: HashMap<Sender, Peer>,
}

/// Another replica.
#[derive(Debug)]
struct Peer {
    last: u64,
    heard: Instant,
}

/// What a message's number means.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    InOrder,
    /// There was something before it.
    Missed,
    /// It was heard already.
    Before,
}

/// How often a replica sends a heartbeat if what it says is relied upon for so long, and after which
/// time without any it has fallen silent.
pub fn beats(max_staleness: Duration) -> (Duration, Duration) {
    (max_staleness / BEATS, max_staleness / BEATS * (BEATS - 1))
}

impl Hearing {
    pub fn new(me: Sender, max_staleness: Option<Duration>) -> Self {
        let local = Local::new(Confidence::none());
        let (sent, received, gaps) = Default::default();
        Self { me, max_staleness, local, state: Mutex::default(), sent, received, gaps }
    }

    /// What others tell from now on.
    pub fn subscribe(&self) -> Subscription {
        self.local.subscribe()
    }

    /// How far what is known can be relied upon.
    pub fn confidence(&self) -> &Arc<Confidence> {
        self.local.confidence()
    }

    /// Notes that a subscription has begun: what was said before is missed.
    pub fn begin(&self) {
        self.confidence().doubt();
        *self.state() = State::default();
    }

    /// Notes that a message of this replica is about to be sent.
    pub fn note_sent(&self, number: u64) {
        self.sent.count();
        let mut state = self.state();
        if state.sent.len() == SENT {
            state.sent.pop_front();
        }
        state.sent.push_back((number, Instant::now()));
    }

    /// Takes a message that has come. One without news is a heartbeat.
    pub fn hear(&self, sender: Sender, number: u64, news: Option<News>) {
        if sender == self.me {
            let complete = self.state().came_back(number);
            if let (Some(complete), Some(max_staleness)) = (complete, self.max_staleness) {
                self.confidence().extend(complete + max_staleness);
            }
            return;
        }
        match self.state().heard_of(sender, number) {
            Heard::InOrder => {}
            Heard::Missed => {
                self.gaps.count();
                self.confidence().doubt();
            }
            Heard::Before => return,
        }
        self.received.count();
        if let Some(news) = news {
            self.local.tell(news);
        }
    }

    /// Forgets replicas of which nothing was heard for so long: something may have been missed.
    pub fn forget_silent(&self, silence: Duration) {
        let mut state = self.state();
        let before = state.peers.len();
        state.peers.retain(|_, peer| peer.heard.elapsed() < silence);
        if state.peers.len() < before {
            self.confidence().doubt();
        }
    }

    /// What has been told so far.
    pub fn traffic(&self) -> BusTraffic {
        BusTraffic {
            sent: self.sent.get(),
            received: self.received.get(),
            gaps: self.gaps.get(),
            generations: self.confidence().mark(),
        }
    }

    /// When a message of this replica came back last.
    pub fn last_came_back(&self) -> Option<Instant> {
        self.state().heard
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes that a message of this replica has come back. Gives the time up to which nothing can have
    /// been missed: whatever a replica has said after it was heard last may have been lost.
    fn came_back(&mut self, number: u64) -> Option<Instant> {
        self.heard = Some(Instant::now());
        let mut found = None;
        while let Some((_, sent)) = self.sent.pop_front_if(|(first, _)| *first <= number) {
            found = Some(sent);
        }
        let heard = self.peers.values().map(|peer| peer.heard);
        found.map(|sent| heard.fold(sent, Instant::min))
    }

    fn heard_of(&mut self, sender: Sender, number: u64) -> Heard {
        let heard = Instant::now();
        let Some(peer) = self.peers.get_mut(&sender) else {
            self.peers.insert(sender, Peer { last: number, heard });
            return if number == 1 { Heard::InOrder } else { Heard::Missed };
        };
        if number <= peer.last {
            return Heard::Before;
        }
        let next = number == peer.last + 1;
        *peer = Peer { last: number, heard };
        if next { Heard::InOrder } else { Heard::Missed }
    }
}

#[cfg(test)]
mod tests;
