//! The bus over Redis pub/sub. What a replica makes of what it hears is [`Hearing`]'s.

use std::{
    sync::atomic::{AtomicBool, Ordering},
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
    message::{Content, Message},
    ring::Ring,
    settings::{Settings, Validation},
};
use crate::{
    Error, KeyRing,
    bus::News,
    hearing::{Hearing, Sender, beats},
};

/// How often there is one if nothing is ever relied upon.
const SLOW_BEAT: Duration = Duration::from_secs(5);

/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_millis(250);

/// The bus.
pub(super) struct Bus {
    me: Sender,
    channel: String,
    hearing: Hearing,
    /// Puts messages in order; holds the number of the last one.
    sending: tokio::sync::Mutex<u64>,
    connection: watch::Sender<Option<MultiplexedConnection>>,
    /// Whether the log has been told of messages that cannot be opened.
    warned: AtomicBool,
}

impl Bus {
    pub(super) fn new(settings: &Settings) -> Self {
        let mut me = [0; 16];
        SystemRandom::new().fill(&mut me).expect("the system has randomness");
        let max_staleness = match settings.validation {
            Validation::Bus { max_staleness } => Some(max_staleness),
            Validation::PerRequest => None,
        };
        Self {
            me,
            channel: format!("{}{}:bus", settings.prefix, settings.db),
            hearing: Hearing::new(me, max_staleness),
            sending: tokio::sync::Mutex::new(0),
            connection: watch::Sender::new(None),
            warned: AtomicBool::new(false),
        }
    }

    pub(super) fn hearing(&self) -> &Hearing {
        &self.hearing
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
                        self.hearing.begin();
                        self.connection.send_replace(Some(telling));
                        tokio::select! {
                            () = self.listen(listening, ring) => {}
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
        self.hearing.note_sent(*last);
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(&self.channel).arg(message.sealed(ring, &self.channel));
        let published = publish.query_async::<()>(&mut connection).await;
        published.map_err(|error| Error::Unavailable(error.to_string()))
    }

    /// Sends heartbeats. Returns when they fail, or do not come back.
    async fn beat(&self, settings: &Settings, ring: &Ring) {
        let (pause, silence) = match settings.validation {
            Validation::Bus { max_staleness } => beats(max_staleness),
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
            if self.hearing.last_came_back().unwrap_or(began).elapsed() > patience {
                tracing::debug!("the bus is silent; joining it again");
                return;
            }
            self.hearing.forget_silent(silence);
        }
    }

    /// Takes messages until the subscription ends.
    async fn listen(&self, mut listening: PubSub, ring: &Ring) {
        let mut messages = listening.on_message();
        while let Some(message) = messages.next().await {
            self.hear(&*ring.known().await, &message, ring);
        }
    }

    fn hear(&self, keys: &KeyRing, message: &Msg, ring: &Ring) {
        let message = Message::opened(keys, &self.channel, message.get_payload_bytes());
        let Some(Message { sender, number, content }) = message else {
            ring.doubt();
            if !self.warned.swap(true, Ordering::Relaxed) {
                tracing::warn!(channel = %self.channel, "messages on the bus are not of this deployment, or of a replica with other keys; they are dropped");
            }
            return;
        };
        self.hearing.hear(sender, number, content.into_news());
    }
}
