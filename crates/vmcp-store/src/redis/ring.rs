//! The keys that all replicas share: from configuration, or kept in Redis.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use redis::{Cmd, FromRedisValue};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{dial::Connection, settings::Settings};
use crate::{Error, KeyRing};

/// The keys, once they are known.
pub(super) struct Ring {
    key: String,
    /// What is written to see whether anything can be.
    probe: String,
    configured: bool,
    ring: watch::Sender<Option<Arc<KeyRing>>>,
    doubt: Notify,
    /// When there was an agreement last.
    last: Mutex<Option<Instant>>,
}

/// How long the keys are not doubted again after they were agreed upon.
const AGAIN: Duration = Duration::from_secs(1);

/// Attempts to add keys while others do the same.
const ATTEMPTS: usize = 16;

/// Exchanges a value that is still the same. Arguments: the present value, the new one.
const EXCHANGE: &str = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
    redis.call('SET', KEYS[1], ARGV[2])
    return 1";

impl Ring {
    pub(super) fn new(settings: &Settings) -> Self {
        let configured = settings.keys.clone().map(Arc::new);
        Self {
            key: format!("{}keys", settings.prefix),
            probe: format!("{}probe", settings.prefix),
            configured: configured.is_some(),
            ring: watch::Sender::new(configured),
            doubt: Notify::new(),
            last: Mutex::new(None),
        }
    }

    pub(super) fn get(&self) -> Result<Arc<KeyRing>, Error> {
        let known = self.ring.borrow().clone();
        known.ok_or_else(|| Error::Unavailable("it has not been reached yet".to_owned()))
    }

    /// Waits until the keys are known.
    pub(super) async fn known(&self) -> Arc<KeyRing> {
        loop {
            let mut ring = self.ring.subscribe();
            // The sender is here: it cannot have gone.
            if let Ok(known) = ring.wait_for(Option::is_some).await
                && let Some(known) = known.clone()
            {
                return known;
            }
        }
    }

    /// Notes that something was written under keys that are not known here: others may have agreed about
    /// other ones.
    pub(super) fn doubt(&self) {
        if !self.configured {
            self.doubt.notify_one();
        }
    }

    /// Waits until there is doubt, and not for a while after there was.
    pub(super) async fn doubted(&self) {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last {
            tokio::time::sleep_until(last + AGAIN).await;
        }
        self.doubt.notified().await;
    }

    /// Agrees with the other replicas about the keys: those in Redis, or those that are put there
    /// now. A Redis that has lost them gets them back, and so do others those that only this replica knows.
    pub(super) async fn agree(&self, mut connection: Connection) -> Result<(), String> {
        if self.configured {
            // A server that takes no writes is of no use.
            let mut write = redis::cmd("SET");
            write.arg(&self.probe).arg("").arg("PX").arg(1000);
            return send::<()>(&mut connection, &write).await;
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let own = self.ring.borrow().clone();
        let made = own.as_deref().cloned().unwrap_or_else(KeyRing::generate);
        let put: bool =
            send(&mut connection, redis::cmd("SETNX").arg(&self.key).arg(written(&made))).await?;
        if put {
            match own {
                None => tracing::warn!(
                    "keys were made and are kept in Redis: whoever can read it can forge sessions and messages; configure sessionStorage.keysFile or keysEnv to keep them elsewhere"
                ),
                Some(_) => tracing::warn!("the keys had gone from Redis and were put there again"),
            }
            self.ring.send_replace(Some(Arc::new(made)));
            return Ok(());
        }
        for _attempt in 0..ATTEMPTS {
            let text: String = send(&mut connection, redis::cmd("GET").arg(&self.key)).await?;
            let kept = read(&text).ok_or("the keys in Redis cannot be read")?;
            let ring = match &own {
                Some(own) => kept.clone().knowing(own),
                None => kept.clone(),
            };
            if ring == kept || self.exchange(&mut connection, &text, &ring).await? {
                self.ring.send_replace(Some(Arc::new(ring)));
                return Ok(());
            }
        }
        Err("the keys in Redis keep changing".to_owned())
    }

    /// Sees to it that the keys in Redis are those that are known here. Whoever starts next, and finds none
    /// there, would make its own, and know no session.
    pub(super) async fn look(&self, connection: &mut Connection) -> Result<(), String> {
        if self.configured {
            return Ok(());
        }
        let known = self.ring.borrow().as_deref().map(written);
        let kept: Option<String> = send(connection, redis::cmd("GET").arg(&self.key)).await?;
        if kept == known { Ok(()) } else { self.agree(connection.clone()).await }
    }

    /// Puts other keys in the place of those that were read, if they still stand there.
    async fn exchange(
        &self,
        connection: &mut Connection,
        before: &str,
        ring: &KeyRing,
    ) -> Result<bool, String> {
        let mut exchange = redis::cmd("EVAL");
        exchange.arg(EXCHANGE).arg(1).arg(&self.key).arg(before).arg(written(ring));
        send(connection, &exchange).await
    }
}

async fn send<T: FromRedisValue>(connection: &mut Connection, command: &Cmd) -> Result<T, String> {
    let value = connection.send(command).await.map_err(|error| error.to_string())?;
    redis::from_redis_value(value).map_err(|error| error.to_string())
}

/// A key a line, the newest first.
fn written(ring: &KeyRing) -> String {
    ring.all().map(|key| BASE64_STANDARD.encode(key.secret) + "\n").collect()
}

fn read(text: &str) -> Option<KeyRing> {
    let keys = text.lines().map(|line| BASE64_STANDARD.decode(line).ok()?.try_into().ok());
    KeyRing::of(keys.collect::<Option<Vec<[u8; 32]>>>()?)
}
