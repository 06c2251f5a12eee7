//! What is done to records.

use std::{collections::HashMap, sync::Arc};

use redis::Value;
use tokio::task::JoinSet;
use vmcp_model::{BackendId, Digest};

use super::{Inner, codec, decimal, read, scripts, unreadable};
use crate::{
    Error, KeyRing, Swap,
    record::{BackendRecord, Change, Handed, Record, SessionKey, Timestamp, Tombstone},
};

/// A field of a record that is sealed, and changed as a whole.
struct Field<T> {
    name: &'static [u8],
    /// What it holds, and what is said when others never leave it alone.
    what: &'static str,
    busy: &'static str,
    read: fn(&KeyRing, SessionKey, &[u8]) -> Option<T>,
    write: fn(&KeyRing, SessionKey, &T) -> Vec<u8>,
}

const HANDED: Field<Handed> = Field {
    name: codec::HANDED,
    what: "what was handed out",
    busy: "what is handed out keeps changing",
    read: codec::read_handed,
    write: codec::handed,
};

const SUBSCRIPTIONS: Field<Vec<Box<str>>> = Field {
    name: b"u",
    what: "subscriptions",
    busy: "the subscriptions keep changing",
    read: codec::read_subscriptions,
    write: |ring, key, uris| codec::subscriptions(ring, key, uris),
};

/// Attempts to change what somebody else changes at the same time.
const ATTEMPTS: usize = 16;

/// What became of an exchange of one field.
enum Swapped {
    Done,
    Other(Vec<u8>),
    Gone,
}

impl Inner {
    pub(super) async fn create(&self, key: SessionKey, deadline: Timestamp) -> Result<bool, Error> {
        // First into the index: an entry without a record is harmless, the other way is not.
        self.enter_in_index(key, deadline).await?;
        self.run(&scripts::CREATE, key, &[&decimal(deadline), &self.expiry(deadline)]).await
    }

    pub(super) async fn fill(&self, key: SessionKey, record: &Record) -> Result<bool, Error> {
        let fields = codec::fields(&*self.ring.get()?, key, record);
        let (expiry, deadline) = (self.expiry(record.deadline), decimal(record.deadline));
        let mut arguments: Vec<&[u8]> = vec![&expiry, b"d", &deadline];
        for (field, value) in &fields {
            arguments.extend([&field[..], value]);
        }
        self.run(&scripts::FILL, key, &arguments).await
    }

    pub(super) async fn load(
        &self,
        key: SessionKey,
        now: Timestamp,
    ) -> Result<Option<Record>, Error> {
        let fields: HashMap<Vec<u8>, Vec<u8>> =
            self.send("HGETALL", &self.record_key(key), &[]).await?;
        let record =
            codec::record(&*self.ring.get()?, key, fields).map_err(|what| self.unreadable(what))?;
        Ok(record.filter(|record| record.deadline > now))
    }

    pub(super) async fn change(&self, key: SessionKey, change: Change) -> Result<bool, Error> {
        match change {
            Change::LogLevel(level) => {
                self.run(&scripts::SET, key, &[b"l", level.to_string().as_bytes()]).await
            }
            Change::Catalog { from, to } => {
                let swap = [&b"c"[..], from.as_bytes(), to.as_bytes()];
                let swapped: Vec<Value> = self.run(&scripts::SWAP, key, &swap).await?;
                Ok(matches!(swapped.first(), Some(Value::Int(1))))
            }
            Change::OwnOffer { backend, from, to } => {
                let bytes = |digest: &Option<Digest>| {
                    digest.map_or_else(Vec::new, |digest| digest.as_bytes().to_vec())
                };
                let (field, from, to) =
                    (codec::own_offer_field(&backend), bytes(&from), bytes(&to));
                Ok(matches!(self.swap(key, &field, &from, &to).await?, Swapped::Done))
            }
            Change::StreamEpoch(epoch) => {
                self.run(&scripts::RAISE, key, &[epoch.to_string().as_bytes()]).await
            }
            Change::HandOut { backend, uris } => self.hand_out(key, &backend, &uris).await,
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

    /// Adds to what was handed out.
    async fn hand_out(
        &self,
        key: SessionKey,
        backend: &BackendId,
        uris: &[Digest],
    ) -> Result<bool, Error> {
        self.amend(key, &HANDED, |handed| {
            handed.note(backend, uris);
            true
        })
        .await
    }

    async fn change_subscriptions(
        &self,
        key: SessionKey,
        change: impl Fn(&mut Vec<Box<str>>) -> bool,
    ) -> Result<bool, Error> {
        self.amend(key, &SUBSCRIPTIONS, change).await
    }

    /// Reads what a field holds, changes it, and writes it if nobody else has meanwhile. `change` says
    /// whether there is anything to write.
    async fn amend<T: Default>(
        &self,
        key: SessionKey,
        field: &Field<T>,
        change: impl Fn(&mut T) -> bool,
    ) -> Result<bool, Error> {
        let found: Vec<Vec<u8>> = self.run(&scripts::GET, key, &[field.name]).await?;
        let Some(mut present) = found.into_iter().next() else { return Ok(false) };
        let ring = self.ring.get()?;
        for _attempt in 0..ATTEMPTS {
            let mut held = if present.is_empty() {
                T::default()
            } else {
                (field.read)(&ring, key, &present).ok_or_else(|| self.unreadable(field.what))?
            };
            if !change(&mut held) {
                return Ok(true);
            }
            let new = (field.write)(&ring, key, &held);
            match self.swap(key, field.name, &present, &new).await? {
                Swapped::Done => return Ok(true),
                Swapped::Other(other) => present = other,
                Swapped::Gone => return Ok(false),
            }
        }
        Err(Error::Unavailable(field.busy.to_owned()))
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

    pub(super) async fn swap_backend(
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
                        .ok_or_else(|| self.unreadable("a backend session"))?;
                    if Some(&session) != expected {
                        return Ok(Swap::Lost(session));
                    }
                    present = other;
                }
            }
        }
        Err(Error::Unavailable("the backend session keeps changing".to_owned()))
    }

    pub(super) async fn backend(
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
                .ok_or_else(|| self.unreadable("a backend session")),
        }
    }

    pub(super) async fn refresh(
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
                let arguments: [&[u8]; 2] = [&decimal(deadline), &inner.expiry(deadline)];
                Ok((at, inner.run(&scripts::REFRESH, key, &arguments).await?))
            });
        }
        while let Some(asked) = asking.join_next().await {
            let (at, stands) = asked.map_err(|why| Error::Unavailable(why.to_string()))??;
            stand[at] = stands;
        }
        Ok(stand)
    }

    pub(super) async fn end(&self, key: SessionKey, now: Timestamp) -> Result<bool, Error> {
        let ended = self.run(&scripts::END, key, &[&decimal(now), &self.expiry(now)]).await?;
        if ended {
            self.enter_in_index(key, now).await?;
        }
        Ok(ended)
    }

    pub(super) async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionKey>, Error> {
        let limit = limit.to_string();
        let arguments: [&[u8]; 5] = [b"-inf", &decimal(now), b"LIMIT", b"0", limit.as_bytes()];
        let due: Vec<Vec<u8>> = self.send("ZRANGEBYSCORE", &self.index(), &arguments).await?;
        let mut keys = Vec::new();
        for key in due {
            match key.try_into() {
                Ok(key) => keys.push(SessionKey::from_bytes(key)),
                // Nothing that vmcp has written: it must not stand before what is due.
                Err(foreign) => {
                    tracing::warn!(
                        "took something out of the index of sessions in Redis that is not vmcp's"
                    );
                    self.send::<()>("ZREM", &self.index(), &[&foreign]).await?;
                }
            }
        }
        Ok(keys)
    }

    pub(super) async fn claim(
        &self,
        key: SessionKey,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Tombstone>, Error> {
        let arguments: [&[u8]; 3] = [&decimal(now), &decimal(until), &self.expiry(until)];
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

    pub(super) async fn remove(&self, key: SessionKey) -> Result<(), Error> {
        let removed: bool = self.run(&scripts::REMOVE, key, &[]).await?;
        if removed {
            self.send::<()>("ZREM", &self.index(), &[key.as_bytes()]).await?;
        }
        Ok(())
    }
}
