//! What callers may do: the policies, and what they come to for each caller and catalog.

mod explain;
mod failures;
mod grant;
mod memo;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwapOption;
use tokio::sync::{OnceCell, watch};
use vmcp_catalog::Catalog;
use vmcp_model::{Digest, Identity, Method};
use vmcp_policy::Policy;

pub use self::explain::{Explanation, Use, Used, explain};
pub use self::grant::{Grant, Granted};

pub(crate) use self::grant::object_of;

use self::{
    failures::Failures,
    grant::Judge,
    memo::{Both, Memo},
};
use crate::background::Background;

/// Callers and catalogs are spread over this many tables, so that calls do not wait for each other.
const SHARDS: usize = 16;

/// Callers whose rights are kept for certain, in each of them.
const CALLERS: usize = 2048;

/// Sets of rights that are kept for certain, at most.
const SETS: usize = 1024;

/// Bytes that what is left of catalogs may take for so long.
const BYTES: usize = 128 << 20;

/// The policies, if there are any, and what they came to.
#[derive(Debug)]
pub struct Rights {
    ruling: ArcSwapOption<Ruling>,
    /// Whether a denial is an answer like any other.
    denial_is_answer: AtomicBool,
    /// Ticks when other policies have taken the place of those there were.
    changes: watch::Sender<u64>,
    /// Requests that were denied, in the order of [`Method::ALL`].
    denied: [AtomicU64; Method::ALL.len()],
    background: Background,
}

/// How a client with a session is told that it may not do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Denial {
    /// By the status 403 and an error.
    #[default]
    Forbidden,
    /// By an error alone, as of any other request that has failed.
    Answer,
}

/// Policies, and what they came to.
#[derive(Debug)]
struct Ruling {
    policy: Arc<Policy>,
    failures: Arc<Failures>,
    /// By the caller's claims and the catalog.
    callers: [Memo<Weak<Grant>>; SHARDS],
    /// By all that the policies read of a caller, and the catalog. Worked out once however many wait. What is not
    /// here any more is gone.
    sets: Memo<Arc<OnceCell<Arc<Grant>>>>,
    /// By the catalog and what is left of it, for as long as somebody is left that.
    parts: Memo<Weak<Catalog>>,
}

impl Rights {
    pub(crate) fn new(policy: Option<Arc<Policy>>, denial: Denial, background: Background) -> Self {
        Self {
            denial_is_answer: AtomicBool::new(denial == Denial::Answer),
            ruling: ArcSwapOption::new(policy.map(Ruling::new)),
            changes: watch::Sender::new(0),
            denied: std::array::from_fn(|_method| AtomicU64::new(0)),
            background,
        }
    }

    /// Puts other policies in the place of those there are. What goes on is not judged again; what comes
    /// is judged by them.
    pub fn replace(&self, policy: Option<Arc<Policy>>, denial: Denial) {
        self.denial_is_answer.store(denial == Denial::Answer, Ordering::Relaxed);
        let digest = |policy: Option<&Arc<Policy>>| policy.map(|policy| policy.digest());
        let now = self.ruling.load().as_ref().map(|ruling| ruling.policy.digest());
        if now == digest(policy.as_ref()) {
            return;
        }
        self.ruling.store(policy.map(Ruling::new));
        self.changes.send_modify(|count| *count += 1);
    }

    /// Whether policies say what callers may do. Otherwise everybody may do everything.
    pub fn are_limited(&self) -> bool {
        self.ruling.load().is_some()
    }

    /// Ticks when other policies have taken the place of those there were.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What a caller may use of a catalog, if it is at hand; otherwise the catalog is given back.
    pub fn at_hand(&self, caller: &Identity, whole: Arc<Catalog>) -> Result<Granted, Arc<Catalog>> {
        let ruling = self.ruling.load();
        let Some(ruling) = ruling.as_ref() else { return Ok(Granted::whole(whole)) };
        match ruling.known(caller, &whole) {
            Some(grant) => Ok(Granted { whole, grant: Some(grant) }),
            None => Err(whole),
        }
    }

    /// What a caller may use of a catalog. Works it out, off the workers, if nobody has before.
    pub async fn find(&self, caller: &Identity, whole: Arc<Catalog>) -> Granted {
        let Some(ruling) = self.ruling.load_full() else { return Granted::whole(whole) };
        if let Some(grant) = ruling.known(caller, &whole) {
            return Granted { whole, grant: Some(grant) };
        }
        let subject = match ruling.policy.subject(caller.claims().json()) {
            Ok(subject) => Some(subject),
            Err(nobody) => {
                tracing::warn!(%nobody, "nothing is allowed to a caller");
                None
            }
        };
        let key = subject.as_ref().map_or(Digest::of(b""), |subject| subject.key());
        let room = (BYTES / whole.weight().max(1)).clamp(16, SETS);
        let set = ruling.sets.get_or_insert_with((key, whole.digest()), room, Arc::default);
        let failures = Arc::clone(&ruling.failures);
        let judge = Judge { policy: Arc::clone(&ruling.policy), failures, subject };
        let work_out = async {
            let (ruling, whole, judge) = (Arc::clone(&ruling), Arc::clone(&whole), judge.clone());
            let working = self.background.runtime().spawn_blocking(move || {
                judge.work_out(&whole, |key, restrict| ruling.part(key, restrict))
            });
            working.await
        };
        let grant = set.get_or_try_init(|| work_out).await.cloned().unwrap_or_else(|failed| {
            tracing::error!(%failed, "what a caller may do could not be worked out: nothing is allowed");
            judge.nothing(&whole)
        });
        ruling.of(caller).insert(
            (caller.claims().digest(), whole.digest()),
            CALLERS,
            Arc::downgrade(&grant),
        );
        Granted { whole, grant: Some(grant) }
    }

    /// Forgets what was worked out of catalogs that are gone. To be called now and then.
    pub(crate) fn prune(&self) {
        let Some(ruling) = self.ruling.load_full() else { return };
        ruling.callers.iter().for_each(|callers| callers.retain(|grant| grant.strong_count() > 0));
        ruling.sets.retain(|set| set.get().is_none_or(|grant| grant.is_needed()));
        ruling.parts.retain(|part| part.strong_count() > 0);
    }

    /// The policies that hold now.
    pub fn policy(&self) -> Option<Arc<Policy>> {
        self.ruling.load().as_ref().map(|ruling| Arc::clone(&ruling.policy))
    }

    /// How clients with sessions are told that they may not do something.
    pub fn denial(&self) -> Denial {
        match self.denial_is_answer.load(Ordering::Relaxed) {
            true => Denial::Answer,
            false => Denial::Forbidden,
        }
    }

    /// How often each policy could not be evaluated, of those that could not at all.
    pub fn failures(&self) -> BTreeMap<String, u64> {
        let ruling = self.ruling.load_full();
        ruling.map(|ruling| ruling.failures.counts()).unwrap_or_default()
    }

    /// Counts a request that was denied.
    pub fn note_denied(&self, caller: &Identity, method: Method) {
        tracing::debug!(caller = ?caller.principal(), method = method.name(), "denied a request");
        self.denied[method as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many requests of each method were denied, of those that were at all.
    pub fn denied(&self) -> Vec<(Method, u64)> {
        let counted = Method::ALL.iter().zip(&self.denied);
        let counted = counted.map(|(method, count)| (*method, count.load(Ordering::Relaxed)));
        counted.filter(|(_, count)| *count > 0).collect()
    }
}

impl Ruling {
    fn new(policy: Arc<Policy>) -> Arc<Self> {
        Arc::new(Self {
            policy,
            failures: Arc::default(),
            callers: std::array::from_fn(|_shard| Memo::default()),
            sets: Memo::default(),
            parts: Memo::default(),
        })
    }

    fn of(&self, caller: &Identity) -> &Memo<Weak<Grant>> {
        let claims = caller.claims().digest();
        &self.callers[usize::from(claims.as_bytes()[0]) % SHARDS]
    }

    /// What is left of a catalog, which many share.
    fn part(&self, key: Both, restrict: &dyn Fn() -> Arc<Catalog>) -> Arc<Catalog> {
        if let Some(part) = self.parts.get(&key, SETS).and_then(|part| part.upgrade()) {
            return part;
        }
        let part = restrict();
        self.parts.insert(key, SETS, Arc::downgrade(&part));
        part
    }

    fn known(&self, caller: &Identity, whole: &Catalog) -> Option<Arc<Grant>> {
        self.of(caller).get(&(caller.claims().digest(), whole.digest()), CALLERS)?.upgrade()
    }
}
