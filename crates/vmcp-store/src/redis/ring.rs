//! The keys that all replicas share: from configuration, or kept in Redis.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use redis::{Cmd, FromRedisValue};
use tokio::sync::watch;

use super::{dial::Connection, settings::Settings};
use crate::{Error, KeyRing};

/// The keys, once they are known.
pub(super) struct Ring {
    key: String,
    configured: bool,
    ring: watch::Sender<Option<Arc<KeyRing>>>,
}

impl Ring {
    pub(super) fn new(settings: &Settings) -> Self {
        let configured = settings.keys.clone().map(Arc::new);
        Self {
            key: format!("{}keys", settings.prefix),
            configured: configured.is_some(),
            ring: watch::Sender::new(configured),
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

    /// Agrees with the other replicas about the keys: those in Redis, or those that are put there
    /// now. A Redis that has lost them gets them back.
    pub(super) async fn agree(&self, mut connection: Connection) -> Result<(), String> {
        if self.configured {
            // A server that takes no writes is of no use.
            let probe = format!("{}probe", self.key);
            let mut write = redis::cmd("SET");
            write.arg(probe).arg("").arg("PX").arg(1000);
            return send::<()>(&mut connection, &write).await;
        }
        let own = self.ring.borrow().clone();
        let made = own.as_deref().cloned().unwrap_or_else(KeyRing::generate);
        let put: bool =
            send(&mut connection, redis::cmd("SETNX").arg(&self.key).arg(written(&made))).await?;
        let ring = if put {
            tracing::warn!(
                "keys were made and are kept in Redis: whoever can read it can forge sessions and messages; configure sessionStorage.keysFile or keysEnv to keep them elsewhere"
            );
            made
        } else {
            let text: String = send(&mut connection, redis::cmd("GET").arg(&self.key)).await?;
            read(&text).ok_or("the keys in Redis cannot be read")?
        };
        let ring = match own {
            Some(own) => ring.knowing(&own),
            None => ring,
        };
        self.ring.send_replace(Some(Arc::new(ring)));
        Ok(())
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
