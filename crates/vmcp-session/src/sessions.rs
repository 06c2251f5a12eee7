//! All sessions that this process holds, over the store that all replicas share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use ring::{hmac, rand::SecureRandom};
use tokio::sync::Notify;
use vmcp_core::{Background, ClientKey, OwnBounds, Vmcp};
use vmcp_model::{Digest, Identity, Principal, raw};
use vmcp_peer::Peers;
use vmcp_store::{ClientProfile, Clock, Confidence, Key, News, Reach, SessionKey, Store};
use vmcp_wire::Fault;

use crate::{
    far::{Channel, Holder},
    logs::Logs,
    session::Session,
    shown::{KeptContents, Turns},
    upkeep::complain,
};

/// How sessions work.
#[derive(Debug, Clone)]
pub struct Config {
    /// How long an unused session lives.
    pub ttl: Duration,
    /// How long `initialize` waits for backends.
    pub initialize_wait: Duration,
    /// How old an offer may be that is not watched before it is read again.
    pub offer_max_age: Duration,
    /// Whether every backend session is opened at `initialize`.
    pub eager: bool,
    /// Backend sessions that one session opens at once.
    pub max_backend_init_concurrency: usize,
    /// How long what is in flight may still take when a session or the process ends.
    pub drain: Duration,
    pub server: ServerInfo,
    pub limits: Limits,
}

/// What vmcp says it is.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    pub name: String,
    pub version: String,
}

impl ServerInfo {
    /// The protocol's `Implementation` object (JSON text).
    pub fn to_json(&self) -> Bytes {
        let (name, version) = (raw::string(&self.name), raw::string(&self.version));
        [br#"{"name":"#, &name[..], br#","version":"#, &version, b"}"].concat().into()
    }
}

/// How much there may be. Each bound is this process's own.
#[derive(Debug, Clone)]
pub struct Limits {
    pub sessions: usize,
    /// Sessions of one principal, or of one address.
    pub sessions_per_client: usize,
    pub calls_per_session: usize,
    pub subscriptions: usize,
    /// Bytes of one stream that are kept for resumption.
    pub log_bytes: usize,
    /// Bytes of one event.
    pub event_bytes: usize,
}

/// What there is at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub sessions: usize,
    pub calls: usize,
    /// Different descriptions of clients that are kept.
    pub clients: usize,
    /// Background tasks, streamed calls included.
    pub tasks: usize,
}

/// The sessions of this process.
pub struct Sessions {
    pub(crate) shared: Arc<Shared>,
    shards: Box<[Shard]>,
    count: AtomicUsize,
    profiles: Mutex<HashMap<Arc<ClientProfile>, Weak<ClientProfile>>>,
    /// Where the store is shared: the live sessions by what other replicas call them.
    by_key: Mutex<HashMap<SessionKey, Weak<Session>>>,
    /// Counts the sessions ended here, so that a restoration under way notices.
    endings: AtomicU64,
    draining: AtomicBool,
}

type Shard = RwLock<HashMap<Arc<str>, Arc<Session>>>;

/// Sessions are spread over this many tables, so that calls do not wait for each other.
const SHARDS: usize = 64;

/// What all sessions need.
pub(crate) struct Shared {
    pub(crate) vmcp: Arc<Vmcp>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) confidence: Arc<Confidence>,
    /// The name of this replica: random, so that one that starts again is another one.
    pub(crate) replica: Box<str>,
    pub(crate) background: Background,
    pub(crate) clock: Clock,
    pub(crate) config: Config,
    streams: AtomicU64,
    /// What is kept of all streams.
    pub(crate) logs: Arc<Logs>,
    /// What the store keeps of catalogs and own offers.
    pub(crate) kept: KeptContents,
    pub(crate) own_offers: Arc<OwnBounds>,
    /// Lets one work at a time on what a session is shown.
    pub(crate) turns: Turns,
    /// The way to the other replicas, once there is one.
    pub(crate) channel: OnceLock<Channel>,
    /// Told when there is.
    pub(crate) joined: Notify,
    /// The others have been told where this replica is.
    pub(crate) is_announced: AtomicBool,
    /// It has said that it goes.
    pub(crate) is_parting: AtomicBool,
}

impl Sessions {
    /// Sessions over a store. Upkeep begins at once.
    pub fn start(
        vmcp: Arc<Vmcp>,
        store: Arc<dyn Store>,
        config: Config,
        background: Background,
    ) -> Arc<Self> {
        let mut first_stream = [0; 8];
        ring::rand::SystemRandom::new().fill(&mut first_stream).expect("the system has randomness");
        let mut replica = [0; 16];
        ring::rand::SystemRandom::new().fill(&mut replica).expect("the system has randomness");
        let (logs, clock) = (Logs::new(vmcp.budget()), store.clock());
        let shared = Shared {
            own_offers: Arc::clone(vmcp.own_bounds()),
            vmcp,
            confidence: store.confidence(),
            replica: BASE64_URL_SAFE_NO_PAD.encode(replica).into(),
            store,
            background: background.clone(),
            clock,
            config,
            // Random, so that an event id of another replica names no stream here.
            streams: AtomicU64::new(u64::from_be_bytes(first_stream) >> 8 | 1),
            logs,
            kept: KeptContents::default(),
            turns: Turns::default(),
            channel: OnceLock::new(),
            joined: Notify::new(),
            is_announced: AtomicBool::new(false),
            is_parting: AtomicBool::new(false),
        };
        let sessions = Arc::new(Self {
            shared: Arc::new(shared),
            shards: (0..SHARDS).map(|_shard| Shard::default()).collect(),
            count: AtomicUsize::new(0),
            profiles: Mutex::default(),
            by_key: Mutex::default(),
            endings: AtomicU64::new(0),
            draining: AtomicBool::new(false),
        });
        background.spawn_until_stop(Arc::clone(&sessions).keep_deadlines());
        background.spawn_until_stop(Arc::clone(&sessions).keep_pruned());
        background.spawn_until_stop(Arc::clone(&sessions).keep_ending());
        background.spawn_until_stop(Arc::clone(&sessions).keep_catalogs());
        background.spawn_until_stop(Arc::clone(&sessions).keep_rights());
        background.spawn_until_stop(Arc::clone(&sessions).keep_whole());
        if sessions.shared.store.outlives_process() {
            background.spawn_until_stop(Arc::clone(&sessions).keep_hearing());
            background.spawn_until_stop(Arc::clone(&sessions).keep_announcing());
        }
        sessions
    }

    /// The name of this replica. One that starts again has another.
    pub fn replica(&self) -> &str {
        &self.shared.replica
    }

    /// Reaches links that other replicas hold, and does for them, by what they ask of the holder, what they want of
    /// those that are held here. They reach this one at an address (`host:port`).
    pub fn join(self: &Arc<Self>, peers: Arc<Peers>, holder: &Holder, address: Box<str>) {
        holder.answer_for(self);
        self.shared.channel.get_or_init(|| Channel { peers, address });
        self.shared.joined.notify_one();
    }

    /// The session of this id, if it belongs to the caller: the live one, or one made from its
    /// record without asking any backend. To anyone else it does not exist.
    pub async fn find(
        &self,
        id: &str,
        identity: &Identity,
        client: ClientKey,
    ) -> Result<Arc<Session>, Fault> {
        if let Some(session) = self.live(id) {
            if session.principal != *identity.principal() {
                return Err(self.refuse_stranger(session.key).await);
            }
            if !self.is_certain(&session) {
                // Boxed, as is all that a call seldom waits for.
                Box::pin(self.confirm(&session)).await?;
            }
            let now = session.touch();
            if self.is_late(&session, now) {
                Box::pin(self.save(&session, now)).await?;
            }
            if !session.is_ended() {
                return Ok(session);
            }
            // It went out of service here meanwhile; the record says whether it stands.
        }
        let session = Box::pin(self.restore(id, identity, client)).await?;
        let now = self.shared.clock.now();
        if self.is_late(&session, now) {
            Box::pin(self.save(&session, now)).await?;
        }
        if session.is_ended() { Err(Fault::SessionUnknown) } else { Ok(session) }
    }

    /// Ends a session. Its backend sessions are closed when what is in flight has ended.
    pub async fn end(&self, id: &str, identity: &Identity) -> Result<(), Fault> {
        let principal = identity.principal();
        let key = SessionKey::of(id);
        let now = self.shared.clock.now();
        let live = self.live(id);
        match &live {
            Some(session) if session.principal != *principal => {
                return Err(self.refuse_stranger(key).await);
            }
            Some(_) => {}
            None => {
                let record = self.shared.store.load(key, now).await.map_err(unavailable)?;
                let Some(record) = record else { return Err(Fault::SessionUnknown) };
                if !self.owns(principal, record.owner)? {
                    return Err(Fault::SessionUnknown);
                }
            }
        }
        let ended = self.shared.store.end(key, now).await.map_err(unavailable)?;
        self.note_ending();
        if let Some(session) = &live {
            self.drop_live(session);
        }
        if !ended {
            return Err(Fault::SessionUnknown);
        }
        self.shared.tell(News::Ended(key)).await;
        self.close_soon(key, live);
        Ok(())
    }

    /// What there is now.
    pub fn usage(&self) -> Usage {
        let clients = self.profiles.lock().unwrap_or_else(PoisonError::into_inner).len();
        Usage {
            sessions: self.count.load(Ordering::Relaxed),
            calls: self.shared.vmcp.calls().count(),
            clients,
            tasks: self.shared.background.tasks().len(),
        }
    }

    /// How many records the store holds.
    pub async fn records(&self) -> Result<usize, Fault> {
        self.shared.store.records().await.map_err(unavailable)
    }

    /// Whether the store can be reached.
    pub fn reach(&self) -> Reach {
        self.shared.store.reach()
    }

    /// How this process says it is.
    pub fn server(&self) -> &ServerInfo {
        &self.shared.config.server
    }

    pub fn vmcp(&self) -> &Arc<Vmcp> {
        &self.shared.vmcp
    }

    pub(crate) fn live(&self, id: &str) -> Option<Arc<Session>> {
        self.shard(id).read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Every live session.
    pub(crate) fn all(&self) -> Vec<Arc<Session>> {
        let mut all = Vec::with_capacity(self.count.load(Ordering::Relaxed));
        for shard in &self.shards {
            all.extend(shard.read().unwrap_or_else(PoisonError::into_inner).values().cloned());
        }
        all
    }

    /// Enters a session, unless one of this id is there already, which then is the one to use.
    pub(crate) fn enter(&self, session: Arc<Session>) -> Arc<Session> {
        let mut shard = self.shard(&session.id).write().unwrap_or_else(PoisonError::into_inner);
        let entered = shard.entry(Arc::clone(&session.id)).or_insert_with(|| {
            self.count.fetch_add(1, Ordering::Relaxed);
            if self.shared.store.outlives_process() {
                self.by_key().insert(session.key, Arc::downgrade(&session));
            }
            session
        });
        Arc::clone(entered)
    }

    /// Takes a session out of service here.
    pub(crate) fn drop_live(&self, session: &Arc<Session>) {
        session.finish();
        let mut shard = self.shard(&session.id).write().unwrap_or_else(PoisonError::into_inner);
        if shard.get(&session.id).is_some_and(|present| Arc::ptr_eq(present, session)) {
            shard.remove(&session.id);
            self.by_key().remove(&session.key);
            if shard.len() * 4 < shard.capacity() {
                shard.shrink_to_fit();
            }
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether there is room for one more session.
    pub(crate) fn has_room(&self) -> bool {
        self.count.load(Ordering::Relaxed) < self.limit()
    }

    /// How many sessions there may be.
    pub fn limit(&self) -> usize {
        self.shared.config.limits.sessions
    }

    /// The live session that other replicas call so.
    pub(crate) fn by_name(&self, key: SessionKey) -> Option<Arc<Session>> {
        self.by_key().get(&key).and_then(Weak::upgrade)
    }

    fn by_key(&self) -> MutexGuard<'_, HashMap<SessionKey, Weak<Session>>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a session has ended, here or elsewhere.
    pub(crate) fn note_ending(&self) {
        self.endings.fetch_add(1, Ordering::SeqCst);
    }

    /// How many sessions were ended so far.
    pub(crate) fn endings(&self) -> u64 {
        self.endings.load(Ordering::SeqCst)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The keyed hash under which a principal's sessions are kept.
    pub(crate) fn owner(&self, principal: &Principal) -> Result<Digest, Fault> {
        let keys = self.shared.store.keys().map_err(unavailable)?;
        Ok(owner(principal, &keys.current))
    }

    /// Whether a record of this owner belongs to a principal. It may have been made under an older
    /// key.
    pub(crate) fn owns(&self, principal: &Principal, owner_digest: Digest) -> Result<bool, Fault> {
        let keys = self.shared.store.keys().map_err(unavailable)?;
        Ok(keys.all().any(|key| owner(principal, key) == owner_digest))
    }

    /// One copy of what a client said about itself, for all sessions of such clients.
    pub(crate) fn share_profile(&self, profile: ClientProfile) -> Arc<ClientProfile> {
        let mut profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = profiles.get(&profile).and_then(Weak::upgrade) {
            return known;
        }
        let profile = Arc::new(profile);
        profiles.insert(Arc::clone(&profile), Arc::downgrade(&profile));
        profile
    }

    /// Forgets descriptions of clients that have no session.
    pub(crate) fn prune_profiles(&self) {
        let mut profiles = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        profiles.retain(|profile, _| Arc::strong_count(profile) > 1);
    }

    fn shard(&self, id: &str) -> &Shard {
        // Ids are random: their last bytes spread them evenly.
        let hash =
            id.bytes().rev().take(4).fold(0_usize, |hash, byte| hash * 31 + usize::from(byte));
        &self.shards[hash % SHARDS]
    }
}

impl Shared {
    /// A number for a stream, which no other stream has.
    pub(crate) fn next_stream(&self) -> u64 {
        self.streams.fetch_add(1, Ordering::Relaxed)
    }
}

/// The store cannot be reached: nothing is lost, and trying again helps. Why is for the log alone, as it
/// tells of servers and users that are no client's to know.
pub(crate) fn unavailable(error: vmcp_store::Error) -> Fault {
    complain(&error, "a client is told that the session store cannot be reached");
    Fault::Unavailable("the session store cannot be reached".into())
}

fn owner(principal: &Principal, key: &Key) -> Digest {
    let parts = match principal {
        Principal::Anonymous => Digest::of_parts([b"anonymous".as_slice()]),
        Principal::Subject { issuer, subject } => {
            Digest::of_parts([b"subject".as_slice(), issuer.as_bytes(), subject.as_bytes()])
        }
    };
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key.secret);
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hmac::sign(&key, parts.as_bytes()).as_ref());
    Digest::from_bytes(bytes)
}
