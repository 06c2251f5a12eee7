//! The bus over Redis pub/sub.
//!
//! Pub/sub delivers in order, and loses silently. So every replica numbers its messages and sends a
//! heartbeat, which its own subscription must bring back: then it has heard everything that was
//! published before. A number that is skipped, and a replica that falls silent, mean that something
//! may have been missed. What is known is never relied upon for longer than `maxStaleness`.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{
    Msg,
    aio::{MultiplexedConnection, PubSub},
};
use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::{sync::watch, time::Instant};
use tokio_stream::StreamExt as _;
use tokio_util::sync::CancellationToken;

use super::{
    dial,
    message::{Content, Message, Sender},
    ring::Ring,
    settings::{Settings, Validation},
};
use crate::{
    Error, KeyRing,
    bus::{Confidence, Local, News},
};

/// Heartbeats within the time that must pass until nothing is relied upon any more.
const BEATS: u32 = 4;

/// How often there is one if nothing is ever relied upon.
const SLOW_BEAT: Duration = Duration::from_secs(5);

/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// Messages of its own that a replica waits to hear.
const SENT: usize = 64;

/// The bus.
pub(super) struct Bus {
    me: Sender,
    channel: String,
    local: Local,
    state: Mutex<State>,
    /// Puts messages in order; holds the number of the last one.
    sending: tokio::sync::Mutex<u64>,
    connection: watch::Sender<Option<MultiplexedConnection>>,
    /// Whether the log has been told of messages that cannot be opened.
    warned: AtomicBool,
}

#[derive(Default)]
struct State {
    /// Messages of this replica that have not come back yet, and when they were sent.
    sent: VecDeque<(u64, Instant)>,
    /// When one came back last.
    heard: Option<Instant>,
    peers: HashMap<Sender, Peer>,
}

/// Another replica.
struct Peer {
    last: u64,
    heard: Instant,
}

impl Bus {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut me = [0; 16];
        SystemRandom::new().fill(&mut me).expect("the system has randomness");
        Self {
            me,
            channel: format!("{}{}:bus", settings.prefix, settings.db),
            local: Local::new(Confidence::none()),
            state: Mutex::default(),
            sending: tokio::sync::Mutex::new(0),
            connection: watch::Sender::new(None),
            warned: AtomicBool::new(false),
        }
    }

    pub(super) fn local(&self) -> &Local {
        &self.local
    }

    /// Tells the other replicas. If it fails, they notice that they have missed something.
    pub(super) async fn publish(
        &self,
        settings: &Settings,
        ring: &KeyRing,
        news: &News,
    ) -> Result<(), Error> {
        let publishing = self.send(ring, Content::of(news));
        match tokio::time::timeout(settings.command_timeout, publishing).await {
            Ok(published) => published,
            Err(_elapsed) => Err(Error::Unavailable("the bus does not answer".to_owned())),
        }
    }

    /// Keeps the bus running until `stop`, once the keys are known.
    pub(super) async fn keep(&self, settings: &Settings, stop: CancellationToken, ring: &Ring) {
        let keeping = async {
            loop {
                ring.known().await;
                match dial::dial_bus(settings, &self.channel).await {
                    Ok((listening, telling)) => {
                        // What was said before is missed.
                        self.local.confidence().doubt();
                        self.state().forget();
                        self.connection.send_replace(Some(telling));
                        tokio::select! {
                            () = self.listen(settings, listening, ring) => {}
                            () = self.beat(settings, ring) => {}
                        }
                        self.connection.send_replace(None);
                    }
                    Err(error) => tracing::debug!(%error, "the bus cannot be joined yet"),
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        stop.run_until_cancelled(keeping).await;
    }

    async fn send(&self, ring: &KeyRing, content: Content) -> Result<(), Error> {
        // One after another: a number that overtakes another would look like a gap.
        let mut last = self.sending.lock().await;
        let connection = self.connection.borrow().clone();
        *last += 1;
        let Some(mut connection) = connection else {
            return Err(Error::Unavailable("the bus cannot be reached".to_owned()));
        };
        let message = Message { sender: self.me, number: *last, content };
        self.state().note_sent(*last);
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.channel).arg(message.sealed(ring, &self.channel));
        let published = publish.query_async::<()>(&mut connection).await;
        published.map_err(|error| Error::Unavailable(error.to_string()))
    }

    /// Sends heartbeats. Returns when they fail, or do not come back.
    async fn beat(&self, settings: &Settings, ring: &Ring) {
        let (pause, silence) = match settings.validation {
            Validation::Bus { max_staleness } => {
                (max_staleness / BEATS, max_staleness / BEATS * (BEATS - 1))
            }
            Validation::PerRequest => (SLOW_BEAT, SLOW_BEAT * 3),
        };
        let patience = silence.max(settings.command_timeout);
        let began = Instant::now();
        loop {
            let known = ring.known().await;
            let sending = self.send(&known, Content::Beat);
            match tokio::time::timeout(patience, sending).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the bus takes no messages any more");
                    return;
                }
                Err(_elapsed) => return,
            }
            tokio::time::sleep(pause).await;
            let mut state = self.state();
            if state.heard.unwrap_or(began).elapsed() > patience {
                tracing::debug!("the bus is silent; joining it again");
                return;
            }
            let before = state.peers.len();
            state.peers.retain(|_, peer| peer.heard.elapsed() < silence);
            if state.peers.len() < before {
                self.local.confidence().doubt();
            }
        }
    }

    /// Takes messages until the subscription ends.
    async fn listen(&self, settings: &Settings, mut listening: PubSub, ring: &Ring) {
        let mut messages = listening.on_message();
        while let Some(message) = messages.next().await {
            self.hear(settings, &*ring.known().await, &message);
        }
    }

    fn hear(&self, settings: &Settings, ring: &KeyRing, message: &Msg) {
        let message = Message::opened(ring, &self.channel, message.get_payload_bytes());
        let Some(Message { sender, number, content }) = message else {
            if !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(channel = %self.channel, "messages on the bus are not of this deployment, or of a replica with other keys; they are dropped");
            }
            return;
        };
        if sender == self.me {
            let sent = self.state().came_back(number);
            if let (Some(sent), Validation::Bus { max_staleness }) = (sent, settings.validation) {
                self.local.confidence().extend(sent + max_staleness);
            }
            return;
        }
        match self.state().heard_of(sender, number) {
            Heard::InOrder => {}
            Heard::Missed => self.local.confidence().doubt(),
            Heard::Before => return,
        }
        if let Some(news) = content.into_news() {
            self.local.tell(news);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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

impl State {
    fn forget(&mut self) {
        *self = Self::default();
    }

    fn note_sent(&mut self, number: u64) {
        if self.sent.len() == SENT {
            self.sent.pop_front();
        }
        self.sent.push_back((number, Instant::now()));
    }

    /// When a message of this replica was sent that has come back.
    fn came_back(&mut self, number: u64) -> Option<Instant> {
        self.heard = Some(Instant::now());
        let mut found = None;
        while let Some((_, sent)) = self.sent.pop_front_if(|(first, _)| *first <= number) {
            found = Some(sent);
        }
        found
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
