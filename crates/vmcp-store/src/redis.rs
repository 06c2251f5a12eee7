//! Records in Redis: for any number of replicas, which may come and go.
//!
//! Redis 7.0 or newer, alone, behind Sentinels, or as a cluster. Every step touches one key, so that
//! it is one step in a cluster too. What would reveal a client or a backend session is sealed
//! ([`seal`]); keys are digests.
//!
//! Beside the records there is an index, a sorted set of them by the time at which they need a look.
//! A record's own deadline decides; the index may be early, and is put right then. Every key also
//! expires by itself, long after its time, in case no replica is left to look.

mod bus;
mod codec;
mod dial;
mod link;
mod message;
mod records;
mod replicas;
mod rests;
mod ring;
mod scripts;
mod settings;
mod time;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use redis::{FromRedisValue, Value};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vmcp_model::{BackendId, Digest};

pub use settings::{Address, Password, Servers, Settings, Tls, Validation};

use crate::{
    Answer, Clock, Error, KeyRing, Reach, Store, Swap,
    bus::{Confidence, News, Subscription},
    record::{Announced, BackendRecord, Change, Record, SessionKey, Timestamp, Tombstone},
    traffic::Traffic,
};
use bus::Bus;
use link::Link;
use ring::Ring;
use time::AgreedTime;

/// How long what nobody looks after is kept after its time. Longer than the time of Redis may jump: what
/// Redis lets go by itself is gone.
const GRACE: Duration = Duration::from_hours(72);

/// A store in Redis.
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    link: Link,
    ring: Ring,
    time: AgreedTime,
    bus: Bus,
}

impl Redis {
    /// Begins to connect, and goes on until `stop`. `tasks` counts the tasks that do the work, on the
    /// runtime on which this is called.
    pub fn start(settings: Settings, tasks: &TaskTracker, stop: &CancellationToken) -> Self {
        let inner = Arc::new(Inner {
            ring: Ring::new(&settings),
            time: AgreedTime::new(&settings.prefix),
            bus: Bus::new(&settings),
            link: Link::new(settings),
        });
        let (keeper, stopped) = (Arc::clone(&inner), stop.clone());
        tasks.spawn(async move {
            keeper.link.keep(stopped, &keeper.ring, &keeper.time).await;
        });
        let (keeper, stopped) = (Arc::clone(&inner), stop.clone());
        tasks.spawn(async move {
            keeper.bus.keep(&keeper.link.settings, stopped, &keeper.ring).await;
        });
        Self { inner }
    }
}

impl Inner {
    fn key(&self, kind: &[u8], name: &[u8]) -> Vec<u8> {
        [self.link.settings.prefix.as_bytes(), kind, name].concat()
    }

    fn record_key(&self, key: SessionKey) -> Vec<u8> {
        use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
        self.key(b"s:", BASE64_URL_SAFE_NO_PAD.encode(key.as_bytes()).as_bytes())
    }

    fn index(&self) -> Vec<u8> {
        self.key(b"due", b"")
    }

    /// Runs a script on a record.
    async fn run<T: FromRedisValue>(
        &self,
        script: &scripts::Script,
        key: SessionKey,
        arguments: &[&[u8]],
    ) -> Result<T, Error> {
        read(script.run(&self.link, &self.record_key(key), arguments).await?)
    }

    /// Sends a command whose first argument is its key.
    async fn send<T: FromRedisValue>(
        &self,
        name: &str,
        key: &[u8],
        arguments: &[&[u8]],
    ) -> Result<T, Error> {
        let mut command = redis::cmd(name);
        command.arg(key).arg(arguments);
        read(self.link.send(key, &command).await?)
    }

    /// When a key goes by itself whose time is this.
    fn expiry(&self, time: Timestamp) -> Vec<u8> {
        decimal(self.time.in_redis(time).after(GRACE))
    }

    async fn enter_in_index(&self, key: SessionKey, due: Timestamp) -> Result<(), Error> {
        self.send("ZADD", &self.index(), &[&decimal(due), key.as_bytes()]).await
    }

    /// Something cannot be read. Others may have written it under keys that are not known here.
    fn unreadable(&self, what: &'static str) -> Error {
        self.ring.doubt();
        unreadable(what)
    }

    fn catalog_key(&self, digest: Digest) -> Vec<u8> {
        self.key(b"c:", digest.to_string().as_bytes())
    }

    async fn put_catalog(
        &self,
        digest: Digest,
        catalog: &Bytes,
        until: Timestamp,
    ) -> Result<(), Error> {
        let (key, until) = (self.catalog_key(digest), decimal(self.time.in_redis(until)));
        let ring = self.ring.get()?;
        let prolong = async || self.send("PEXPIREAT", &key, &[&until, b"GT"]).await;
        // It is there, as a rule, and need not be sent.
        let present: Vec<u8> = self.send("GETRANGE", &key, &[b"0", vmcp_keys::KEY_END]).await?;
        if vmcp_keys::is_by_current(&ring, &present) {
            return prolong().await;
        }
        let place = [b"catalog", &digest.as_bytes()[..]];
        let sealed = vmcp_keys::seal(&ring, &place, catalog);
        // Under an older key: it must be readable when that one is gone.
        if !present.is_empty()
            && self.send::<Option<()>>("SET", &key, &[&sealed, b"XX", b"KEEPTTL"]).await?.is_some()
        {
            return prolong().await;
        }
        self.send("SET", &key, &[&sealed, b"PXAT", &until]).await
    }

    async fn catalog(&self, digest: Digest, now: Timestamp) -> Result<Option<Bytes>, Error> {
        let key = self.catalog_key(digest);
        let sealed: Option<Vec<u8>> = self.send("GET", &key, &[]).await?;
        let Some(sealed) = sealed else { return Ok(None) };
        let until: i64 = self.send("PEXPIRETIME", &key, &[]).await?;
        if u64::try_from(until).is_ok_and(|until| until <= self.time.in_redis(now).0) {
            return Ok(None);
        }
        let place = [b"catalog", &digest.as_bytes()[..]];
        let catalog = vmcp_keys::open(&*self.ring.get()?, &place, &sealed);
        catalog.map(|catalog| Some(catalog.into())).ok_or_else(|| self.unreadable("a catalog"))
    }
}

/// A time as Redis takes it.
fn decimal(time: Timestamp) -> Vec<u8> {
    time.0.to_string().into_bytes()
}

fn read<T: FromRedisValue>(value: Value) -> Result<T, Error> {
    redis::from_redis_value(value).map_err(|error| Error::Corrupt(error.to_string()))
}

fn unreadable(what: &'static str) -> Error {
    Error::Corrupt(format!("{what} is not of this version, or was written under other keys"))
}

impl Store for Redis {
    fn outlives_process(&self) -> bool {
        true
    }

    fn create(&self, key: SessionKey, deadline: Timestamp) -> Answer<'_, bool> {
        Box::pin(self.inner.create(key, deadline))
    }

    fn fill(&self, key: SessionKey, record: Record) -> Answer<'_, bool> {
        Box::pin(async move { self.inner.fill(key, &record).await })
    }

    fn load(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Option<Record>> {
        Box::pin(self.inner.load(key, now))
    }

    fn change(&self, key: SessionKey, change: Change) -> Answer<'_, bool> {
        Box::pin(self.inner.change(key, change))
    }

    fn swap_backend(
        &self,
        key: SessionKey,
        backend: BackendId,
        expected: Option<BackendRecord>,
        new: BackendRecord,
    ) -> Answer<'_, Swap> {
        Box::pin(
            async move { self.inner.swap_backend(key, &backend, expected.as_ref(), &new).await },
        )
    }

    fn refresh(&self, keys: Vec<SessionKey>, deadline: Timestamp) -> Answer<'_, Vec<bool>> {
        Box::pin(self.inner.refresh(keys, deadline))
    }

    fn end(&self, key: SessionKey, now: Timestamp) -> Answer<'_, bool> {
        Box::pin(self.inner.end(key, now))
    }

    fn due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<SessionKey>> {
        if self.inner.time.is_settling() {
            return Box::pin(std::future::ready(Ok(Vec::new())));
        }
        Box::pin(self.inner.due(now, limit))
    }

    fn claim(
        &self,
        key: SessionKey,
        now: Timestamp,
        until: Timestamp,
    ) -> Answer<'_, Option<Tombstone>> {
        Box::pin(self.inner.claim(key, now, until))
    }

    fn remove(&self, key: SessionKey) -> Answer<'_, ()> {
        Box::pin(self.inner.remove(key))
    }

    fn put_catalog(&self, digest: Digest, catalog: Bytes, until: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move { self.inner.put_catalog(digest, &catalog, until).await })
    }

    fn catalog(&self, digest: Digest, now: Timestamp) -> Answer<'_, Option<Bytes>> {
        Box::pin(self.inner.catalog(digest, now))
    }

    fn backend(
        &self,
        key: SessionKey,
        backend: BackendId,
    ) -> Answer<'_, Option<Option<BackendRecord>>> {
        Box::pin(async move { self.inner.backend(key, &backend).await })
    }

    fn ask(&self, key: SessionKey, question: Digest) -> Answer<'_, bool> {
        Box::pin(async move {
            self.inner.run(&scripts::SET, key, &[&codec::question_field(question), b""]).await
        })
    }

    fn answer(&self, key: SessionKey, question: Digest) -> Answer<'_, bool> {
        Box::pin(async move {
            self.inner.run(&scripts::TAKE, key, &[&codec::question_field(question)]).await
        })
    }

    fn keys(&self) -> Result<Arc<KeyRing>, Error> {
        self.inner.ring.get()
    }

    fn announce_replica(
        &self,
        replica: String,
        address: Option<Box<str>>,
        until: Timestamp,
    ) -> Answer<'_, ()> {
        Box::pin(
            async move { self.inner.announce_replica(&replica, address.as_deref(), until).await },
        )
    }

    fn replica(&self, replica: String, now: Timestamp) -> Answer<'_, Option<Announced>> {
        Box::pin(async move { self.inner.replica(&replica, now).await })
    }

    fn records(&self) -> Answer<'_, usize> {
        Box::pin(async move { self.inner.send("ZCARD", &self.inner.index(), &[]).await })
    }

    fn publish(&self, news: News) -> Answer<'_, ()> {
        Box::pin(async move {
            let Inner { link, ring, bus, .. } = &*self.inner;
            bus.publish(&link.settings, &*ring.get()?, &news).await
        })
    }

    fn subscribe(&self) -> Subscription {
        self.inner.bus.hearing().subscribe()
    }

    fn confidence(&self) -> Arc<Confidence> {
        Arc::clone(self.inner.bus.hearing().confidence())
    }

    fn reach(&self) -> Reach {
        self.inner.link.reach()
    }

    fn traffic(&self) -> Option<Traffic> {
        let Inner { link, bus, .. } = &*self.inner;
        let (commands, failures) = (link.commands.get(), link.failures.get());
        Some(Traffic { commands, failures, bus: bus.hearing().traffic() })
    }

    fn clock(&self) -> Clock {
        self.inner.time.clock().clone()
    }
}

#[cfg(test)]
mod tests;
