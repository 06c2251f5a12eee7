//! Records in Redis: for any number of replicas, which may come and go.
//!
//! Redis 6.2 or newer, alone, behind Sentinels, or as a cluster. Every step touches one key, so that
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
mod rests;
mod ring;
mod scripts;
mod seal;
mod settings;

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use redis::{FromRedisValue, Value};
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use vmcp_model::{BackendId, Digest};

pub use settings::{Address, Servers, Settings, Tls, Validation};

use crate::{
    Answer, Error, KeyRing, Reach, Store, Swap,
    bus::{Confidence, News, Subscription},
    record::{BackendRecord, Change, Record, SessionKey, Timestamp, Tombstone},
};
use bus::Bus;
use link::Link;
use ring::Ring;

/// How long what nobody looks after is kept after its time.
const GRACE: Duration = Duration::from_secs(3600);

/// Attempts to change what somebody else changes at the same time.
const ATTEMPTS: usize = 16;

/// A store in Redis.
pub struct Redis {
    inner: Arc<Inner>,
}

struct Inner {
    link: Link,
    ring: Ring,
    bus: Bus,
}

impl Redis {
    /// Begins to connect, and goes on until `stop`. `tasks` counts the tasks that do the work, on the
    /// runtime on which this is called.
    pub fn start(settings: Settings, tasks: &TaskTracker, stop: &CancellationToken) -> Self {
        let inner = Arc::new(Inner {
            ring: Ring::new(&settings),
            bus: Bus::new(&settings),
            link: Link::new(settings),
        });
        let (keeper, stopped) = (Arc::clone(&inner), stop.clone());
        tasks.spawn(async move {
            keeper.link.keep(stopped, &keeper.ring).await;
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

    async fn enter_in_index(&self, key: SessionKey, due: Timestamp) -> Result<(), Error> {
        self.send("ZADD", &self.index(), &[&decimal(due), key.as_bytes()]).await
    }

    async fn create(&self, key: SessionKey, deadline: Timestamp) -> Result<bool, Error> {
        // First into the index: an entry without a record is harmless, the other way is not.
        self.enter_in_index(key, deadline).await?;
        self.run(&scripts::CREATE, key, &[&decimal(deadline), &expiry(deadline)]).await
    }

    async fn fill(&self, key: SessionKey, record: &Record) -> Result<bool, Error> {
        let fields = codec::fields(&*self.ring.get()?, key, record);
        let (expiry, deadline) = (expiry(record.deadline), decimal(record.deadline));
        let mut arguments: Vec<&[u8]> = vec![&expiry, b"d", &deadline];
        for (field, value) in &fields {
            arguments.extend([&field[..], value]);
        }
        self.run(&scripts::FILL, key, &arguments).await
    }

    async fn load(&self, key: SessionKey, now: Timestamp) -> Result<Option<Record>, Error> {
        let fields: HashMap<Vec<u8>, Vec<u8>> =
            self.send("HGETALL", &self.record_key(key), &[]).await?;
        let record = codec::record(&*self.ring.get()?, key, fields).map_err(unreadable)?;
        Ok(record.filter(|record| record.deadline > now))
    }

    async fn change(&self, key: SessionKey, change: Change) -> Result<bool, Error> {
        match change {
            Change::LogLevel(level) => {
                self.run(&scripts::SET, key, &[b"l", level.to_string().as_bytes()]).await
            }
            Change::Catalog { from, to } => {
                let swap = [&b"c"[..], from.as_bytes(), to.as_bytes()];
                let swapped: Vec<Value> = self.run(&scripts::SWAP, key, &swap).await?;
                Ok(matches!(swapped.first(), Some(Value::Int(1))))
            }
            Change::StreamEpoch(epoch) => {
                self.run(&scripts::RAISE, key, &[epoch.to_string().as_bytes()]).await
            }
            Change::Subscribe(uri) => {
                self.change_subscriptions(key, |uris| {
                    let new = !uris.contains(&uri);
                    if new {
                        uris.push(uri.clone());
                    }
                    new
                })
                .await
            }
            Change::Unsubscribe(uri) => {
                self.change_subscriptions(key, |uris| {
                    let before = uris.len();
                    uris.retain(|other| *other != uri);
                    uris.len() < before
                })
                .await
            }
        }
    }

    /// Reads the subscriptions, changes them, and writes them if nobody else has meanwhile.
    async fn change_subscriptions(
        &self,
        key: SessionKey,
        change: impl Fn(&mut Vec<Box<str>>) -> bool,
    ) -> Result<bool, Error> {
        let found: Vec<Vec<u8>> = self.run(&scripts::GET, key, &[b"u"]).await?;
        let Some(mut present) = found.into_iter().next() else { return Ok(false) };
        let ring = self.ring.get()?;
        for _attempt in 0..ATTEMPTS {
            let mut uris = if present.is_empty() {
                Vec::new()
            } else {
                codec::read_subscriptions(&ring, key, &present)
                    .ok_or_else(|| unreadable("subscriptions"))?
            };
            if !change(&mut uris) {
                return Ok(true);
            }
            let new = codec::subscriptions(&ring, key, &uris);
            match self.swap(key, b"u", &present, &new).await? {
                Swapped::Done => return Ok(true),
                Swapped::Other(other) => present = other,
                Swapped::Gone => return Ok(false),
            }
        }
        Err(Error::Unavailable("the subscriptions keep changing".to_owned()))
    }

    async fn swap(
        &self,
        key: SessionKey,
        field: &[u8],
        present: &[u8],
        new: &[u8],
    ) -> Result<Swapped, Error> {
        let swapped: Vec<Value> = self.run(&scripts::SWAP, key, &[field, present, new]).await?;
        let mut swapped = swapped.into_iter();
        match (swapped.next(), swapped.next()) {
            (None, _) => Ok(Swapped::Gone),
            (Some(Value::Int(1)), _) => Ok(Swapped::Done),
            (_, Some(other)) => read(other).map(Swapped::Other),
            _ => Err(unreadable("an answer")),
        }
    }

    async fn swap_backend(
        &self,
        key: SessionKey,
        backend: &BackendId,
        expected: Option<&BackendRecord>,
        new: &BackendRecord,
    ) -> Result<Swap, Error> {
        let ring = self.ring.get()?;
        let field = codec::backend_field(backend);
        let text = codec::backend(&ring, key, backend, new);
        // No two sealed texts are alike: what is there must be read to be compared.
        let mut present = Vec::new();
        for _attempt in 0..ATTEMPTS {
            match self.swap(key, &field, &present, &text).await? {
                Swapped::Done => return Ok(Swap::Done),
                Swapped::Gone => return Ok(Swap::Gone),
                Swapped::Other(other) => {
                    let session = codec::read_backend(&ring, key, backend, &other)
                        .ok_or_else(|| unreadable("a backend session"))?;
                    if Some(&session) != expected {
                        return Ok(Swap::Lost(session));
                    }
                    present = other;
                }
            }
        }
        Err(Error::Unavailable("the backend session keeps changing".to_owned()))
    }

    async fn backend(
        &self,
        key: SessionKey,
        backend: &BackendId,
    ) -> Result<Option<Option<BackendRecord>>, Error> {
        let field = codec::backend_field(backend);
        let found: Vec<Vec<u8>> = self.run(&scripts::GET, key, &[&field]).await?;
        match found.first() {
            None => Ok(None),
            Some(text) if text.is_empty() => Ok(Some(None)),
            Some(text) => codec::read_backend(&*self.ring.get()?, key, backend, text)
                .map(|session| Some(Some(session)))
                .ok_or_else(|| unreadable("a backend session")),
        }
    }

    async fn refresh(
        self: &Arc<Self>,
        keys: Vec<SessionKey>,
        deadline: Timestamp,
    ) -> Result<Vec<bool>, Error> {
        let mut stand = vec![false; keys.len()];
        // All at once: the connection puts them one behind the other.
        let mut asking = JoinSet::new();
        for (at, key) in keys.into_iter().enumerate() {
            let inner = Arc::clone(self);
            asking.spawn(async move {
                let arguments: [&[u8]; 2] = [&decimal(deadline), &expiry(deadline)];
                Ok((at, inner.run(&scripts::REFRESH, key, &arguments).await?))
            });
        }
        while let Some(asked) = asking.join_next().await {
            let (at, stands) = asked.map_err(|why| Error::Unavailable(why.to_string()))??;
            stand[at] = stands;
        }
        Ok(stand)
    }

    async fn end(&self, key: SessionKey, now: Timestamp) -> Result<bool, Error> {
        let ended = self.run(&scripts::END, key, &[&decimal(now), &expiry(now)]).await?;
        if ended {
            self.enter_in_index(key, now).await?;
        }
        Ok(ended)
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionKey>, Error> {
        let limit = limit.to_string();
        let arguments: [&[u8]; 5] = [b"-inf", &decimal(now), b"LIMIT", b"0", limit.as_bytes()];
        let due: Vec<Vec<u8>> = self.send("ZRANGEBYSCORE", &self.index(), &arguments).await?;
        let keys = due.into_iter().map(|key| Ok(SessionKey::from_bytes(key.try_into()?)));
        keys.collect::<Result<_, Vec<u8>>>().map_err(|_other| unreadable("the index"))
    }

    async fn claim(
        &self,
        key: SessionKey,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Tombstone>, Error> {
        let arguments: [&[u8]; 3] = [&decimal(now), &decimal(until), &expiry(until)];
        let claimed: Vec<Value> = self.run(&scripts::CLAIM, key, &arguments).await?;
        let mut claimed = claimed.into_iter();
        match claimed.next() {
            None => {
                self.send::<()>("ZREM", &self.index(), &[key.as_bytes()]).await?;
                Ok(None)
            }
            Some(Value::Int(1)) => {
                self.enter_in_index(key, until).await?;
                self.tombstone(key, claimed).map(Some)
            }
            // The index was early.
            Some(_) => {
                let due: Vec<u8> = read(claimed.next().unwrap_or(Value::Nil))?;
                let due = codec::number(&due).ok_or_else(|| unreadable("a deadline"))?;
                self.enter_in_index(key, Timestamp(due)).await?;
                Ok(None)
            }
        }
    }

    fn tombstone(
        &self,
        key: SessionKey,
        mut fields: impl Iterator<Item = Value>,
    ) -> Result<Tombstone, Error> {
        let ring = self.ring.get()?;
        let mut backends = Vec::new();
        while let (Some(field), Some(text)) = (fields.next(), fields.next()) {
            let (field, text): (Vec<u8>, Vec<u8>) = (read(field)?, read(text)?);
            let Some(name) = field.strip_prefix(b"b") else { continue };
            let name = std::str::from_utf8(name).ok().and_then(|name| BackendId::new(name).ok());
            let session = name.and_then(|name| {
                let session = codec::read_backend(&ring, key, &name, &text)?;
                Some((name, session))
            });
            match session {
                Some(session) => backends.push(session),
                // The others are closed all the same.
                None => tracing::warn!(
                    "a backend session of a session that has ended cannot be read, and stays open at its backend"
                ),
            }
        }
        backends.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(Tombstone { backends })
    }

    async fn remove(&self, key: SessionKey) -> Result<(), Error> {
        let removed: bool = self.run(&scripts::REMOVE, key, &[]).await?;
        if removed {
            self.send::<()>("ZREM", &self.index(), &[key.as_bytes()]).await?;
        }
        Ok(())
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
        let (key, until) = (self.catalog_key(digest), decimal(until));
        // It is there, as a rule, and need not be sent.
        if self.send::<bool>("EXISTS", &key, &[]).await? {
            return self.send("PEXPIREAT", &key, &[&until, b"GT"]).await;
        }
        let place = [b"catalog", &digest.as_bytes()[..]];
        let sealed = seal::seal(&*self.ring.get()?, &place, catalog);
        self.send("SET", &key, &[&sealed, b"PXAT", &until]).await
    }

    async fn catalog(&self, digest: Digest, now: Timestamp) -> Result<Option<Bytes>, Error> {
        let key = self.catalog_key(digest);
        let sealed: Option<Vec<u8>> = self.send("GET", &key, &[]).await?;
        let Some(sealed) = sealed else { return Ok(None) };
        let until: i64 = self.send("PEXPIRETIME", &key, &[]).await?;
        if u64::try_from(until).is_ok_and(|until| until <= now.0) {
            return Ok(None);
        }
        let place = [b"catalog", &digest.as_bytes()[..]];
        let catalog = seal::open(&*self.ring.get()?, &place, &sealed);
        catalog.map(|catalog| Some(catalog.into())).ok_or_else(|| unreadable("a catalog"))
    }
}

/// What became of an exchange of one field.
enum Swapped {
    Done,
    Other(Vec<u8>),
    Gone,
}

/// A time as Redis takes it.
fn decimal(time: Timestamp) -> Vec<u8> {
    time.0.to_string().into_bytes()
}

/// When a key goes by itself whose time is this.
fn expiry(time: Timestamp) -> Vec<u8> {
    decimal(time.after(GRACE))
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

    fn announce_replica(&self, replica: String, until: Timestamp) -> Answer<'_, ()> {
        Box::pin(async move {
            let key = self.inner.key(b"r:", replica.as_bytes());
            self.inner.send("SET", &key, &[b"", b"PXAT", &decimal(until)]).await
        })
    }

    fn has_replica(&self, replica: String, now: Timestamp) -> Answer<'_, bool> {
        Box::pin(async move {
            let key = self.inner.key(b"r:", replica.as_bytes());
            let until: i64 = self.inner.send("PEXPIRETIME", &key, &[]).await?;
            Ok(u64::try_from(until).is_ok_and(|until| until > now.0))
        })
    }

    fn records(&self) -> Answer<'_, usize> {
        Box::pin(async move { self.inner.send("ZCARD", &self.inner.index(), &[]).await })
    }

    fn publish(&self, news: News) -> Answer<'_, ()> {
        Box::pin(async move {
            let Inner { link, ring, bus } = &*self.inner;
            bus.publish(&link.settings, &*ring.get()?, &news).await
        })
    }

    fn subscribe(&self) -> Subscription {
        self.inner.bus.local().subscribe()
    }

    fn confidence(&self) -> Arc<Confidence> {
        Arc::clone(self.inner.bus.local().confidence())
    }

    fn reach(&self) -> Reach {
        self.inner.link.reach()
    }
}

#[cfg(test)]
mod tests;
