//! One session, as this process holds it.

use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
    atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use vmcp_catalog::{Catalog, Reach};
use vmcp_core::{Caller, ClientCapabilities, CountedSession, Granted, View};
use vmcp_model::{Era, Identity, LogLevel, Principal, ProtocolVersion, trail::Client};
use vmcp_store::{ClientProfile, Handed, SessionKey, Timestamp};

use crate::{
    activity::Activity, backends::Slots, own_offers::Own, rights::Last, sessions::Shared,
    shown::Superseded,
};

/// A live session. Idle, it costs memory only: no task, no socket, no stream.
pub struct Session {
    pub(crate) me: Weak<Self>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: Arc<str>,
    pub(crate) key: SessionKey,
    pub(crate) principal: Principal,
    pub(crate) client: Arc<ClientProfile>,
    pub(crate) capabilities: ClientCapabilities,
    pub(crate) view: Arc<View>,
    pub(crate) catalog: ArcSwap<Catalog>,
    own: Mutex<Option<Box<Own>>>,
    pub(crate) slots: Mutex<Slots>,
    pub(crate) subscriptions: Mutex<Vec<Box<str>>>,
    handed: Mutex<Handed>,
    log_level: AtomicU8,
    /// Milliseconds of the clock.
    last_used: AtomicU64,
    /// Up to when the use has been told to the store.
    pub(crate) refreshed: AtomicU64,
    pub(crate) ended: AtomicBool,
    /// Which GET stream the record knew of last.
    pub(crate) stream_epoch: AtomicU64,
    /// Which GET stream was opened here last.
    pub(crate) own_stream_epoch: AtomicU64,
    /// The generation at which the record was looked at last.
    pub(crate) checked: AtomicU64,
    activity: Mutex<Option<Box<Activity>>>,
    pub(crate) superseded: Superseded,
    /// What the client may use, where policies say that.
    pub(crate) last: ArcSwapOption<Last>,
    /// What the client calls itself, once somebody wants to know.
    named_client: OnceLock<Option<Arc<Client>>>,
    pub(crate) _counted: CountedSession,
}

/// What a session is made from.
pub(crate) struct Parts {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: Arc<str>,
    pub(crate) principal: Principal,
    pub(crate) client: Arc<ClientProfile>,
    pub(crate) view: Arc<View>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) own: Option<Box<Own>>,
    pub(crate) slots: Slots,
    pub(crate) subscriptions: Vec<Box<str>>,
    pub(crate) handed: Handed,
    pub(crate) log_level: Option<LogLevel>,
    pub(crate) stream_epoch: u64,
    pub(crate) checked: u64,
    /// Up to when the record knows of its use.
    pub(crate) refreshed: Timestamp,
    pub(crate) counted: CountedSession,
}

impl Session {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts {
            shared,
            id,
            principal,
            client,
            view,
            catalog,
            own,
            slots,
            subscriptions,
            handed,
            log_level,
            stream_epoch,
            checked,
            refreshed,
            counted,
        } = parts;
        let now = shared.clock.now();
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            key: SessionKey::of(&id),
            capabilities: ClientCapabilities::parse(&client.capabilities),
            shared,
            id,
            principal,
            client,
            view,
            catalog: ArcSwap::new(catalog),
            own: Mutex::new(own),
            slots: Mutex::new(slots),
            subscriptions: Mutex::new(subscriptions),
            handed: Mutex::new(handed),
            log_level: AtomicU8::new(log_level.map_or(0, |level| level as u8 + 1)),
            last_used: AtomicU64::new(now.0),
            refreshed: AtomicU64::new(refreshed.0),
            ended: AtomicBool::new(false),
            stream_epoch: AtomicU64::new(stream_epoch),
            own_stream_epoch: AtomicU64::new(0),
            checked: AtomicU64::new(checked),
            superseded: Superseded::default(),
            activity: Mutex::new(None),
            last: ArcSwapOption::empty(),
            named_client: OnceLock::new(),
            _counted: counted,
        })
    }

    /// What the client calls itself.
    pub(crate) fn named_client(&self) -> Option<Arc<Client>> {
        self.named_client.get_or_init(|| Client::parse(&self.client.info)).clone()
    }

    /// The revision that was negotiated.
    pub fn version(&self) -> ProtocolVersion {
        self.client.version
    }

    /// Notes that the session is used, and gives when that is.
    pub(crate) fn touch(&self) -> Timestamp {
        let now = self.shared.clock.now();
        self.last_used.store(now.0, Ordering::Relaxed);
        now
    }

    pub(crate) fn last_used(&self) -> Timestamp {
        Timestamp(self.last_used.load(Ordering::Relaxed))
    }

    /// Whether something goes on that keeps the session alive without requests.
    pub(crate) fn is_busy(&self) -> bool {
        let activity = self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        activity.as_ref().is_some_and(|activity| {
            !activity.calls.is_empty()
                || activity.standalone.as_ref().is_some_and(|log| log.is_attached())
        })
    }

    /// Whether the client has opened its GET stream on another replica, which listens to the backends
    /// for it.
    pub(crate) fn streams_elsewhere(&self) -> bool {
        self.own_stream_epoch.load(Ordering::Relaxed) < self.stream_epoch.load(Ordering::Relaxed)
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// The least severe log message that the client wants, if it has said so.
    pub(crate) fn log_level(&self) -> Option<LogLevel> {
        const LEVELS: [LogLevel; 8] = [
            LogLevel::Debug,
            LogLevel::Info,
            LogLevel::Notice,
            LogLevel::Warning,
            LogLevel::Error,
            LogLevel::Critical,
            LogLevel::Alert,
            LogLevel::Emergency,
        ];
        let stored = self.log_level.load(Ordering::Relaxed).checked_sub(1)?;
        LEVELS.get(usize::from(stored)).copied()
    }

    pub(crate) fn set_log_level(&self, level: LogLevel) {
        self.log_level.store(level as u8 + 1, Ordering::Relaxed);
    }

    /// Whether the client wants to hear of changes of this resource.
    pub(crate) fn is_subscribed(&self, uri: &str) -> bool {
        self.subscriptions().iter().any(|subscribed| **subscribed == *uri)
    }

    pub(crate) fn subscriptions(&self) -> MutexGuard<'_, Vec<Box<str>>> {
        self.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What backends have handed out.
    pub(crate) fn handed(&self) -> MutexGuard<'_, Handed> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on what goes on. It is made when something begins, and gone when nothing is left.
    pub(crate) fn with_activity<T>(&self, work: impl FnOnce(&mut Activity) -> T) -> T {
        let mut slot = self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        let activity = slot.get_or_insert_default();
        let done = work(activity);
        if activity.is_over() {
            *slot = None;
        }
        done
    }

    /// Looks at what goes on, if anything does.
    pub(crate) fn peek<T>(&self, look: impl FnOnce(&Activity) -> Option<T>) -> Option<T> {
        let slot = self.activity.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_deref().and_then(look)
    }

    /// Works on what the session has of its own offers. It is made when there is some, and gone when
    /// nothing is left.
    pub(crate) fn with_own<T>(&self, work: impl FnOnce(&mut Own) -> T) -> T {
        let mut slot = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let own = slot.get_or_insert_default();
        let done = work(own);
        if own.is_over() {
            *slot = None;
        }
        done
    }

    /// The same, if there is anything of it.
    pub(crate) fn with_any_own<T>(&self, work: impl FnOnce(&mut Own) -> T) -> Option<T> {
        let some = self.own.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        some.then(|| self.with_own(work))
    }

    /// Notes by which token its caller calls now, so that what is done beside its requests is done with the
    /// newest. One by which backends would be shown another account is good for its own request only.
    pub(crate) fn note_caller(&self, identity: &Identity) {
        let Some(subject) = self.view.client().subject() else { return };
        if !subject.is(identity)
            && self.shared.vmcp.subject(identity).as_ref() == Some(subject.key())
        {
            subject.note(identity);
        }
    }

    /// The session as the core takes a caller, for a request of this one.
    pub(crate) fn caller<'a>(&'a self, identity: &'a Identity, granted: &'a Granted) -> Caller<'a> {
        Caller {
            identity,
            catalog: granted.catalog(),
            whole: &granted.whole,
            grant: granted.grant.as_deref(),
            reach: Reach::Listed,
            era: Era::Legacy,
            log_level: self.log_level(),
            parameters: &[],
            capabilities: self.capabilities,
            sessions: self,
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The id is a secret: who knows it may use the session.
        f.debug_struct("Session").field("key", &self.key).finish_non_exhaustive()
    }
}
