//! The keys of the issuer as this process knows them: fetched when they are needed, by one attempt
//! at a time, and kept when they cannot be fetched again.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use arc_swap::{ArcSwapOption, Guard};
use tokio::{sync::watch, time::Instant};

use crate::{authenticator::Spawn, issuer::Issuer, keys::Keys};

/// How old keys may be until they are fetched again, on use.
const FRESH: Duration = Duration::from_secs(600);

/// How often keys are fetched because a token names one that is not known: once in this time, or
/// so many times at once after a while of peace. Anybody can make up the name of a key.
const EVERY: Duration = Duration::from_secs(10);
const AT_ONCE: u32 = 3;

/// How often keys are asked for while there are none.
const AGAIN: Duration = Duration::from_secs(1);

pub(crate) struct KeySource {
    issuer: Issuer,
    keys: ArcSwapOption<Fetched>,
    state: Mutex<State>,
    /// Says that an attempt has ended.
    ended: watch::Sender<()>,
    spawn: Spawn,
}

/// Keys, and when they were fetched.
pub(crate) struct Fetched {
    pub(crate) keys: Keys,
    at: Instant,
}

struct State {
    /// Whether an attempt is under way.
    running: bool,
    /// When the last one began.
    began: Option<Instant>,
    /// Whether the last one failed.
    failed: bool,
    /// Attempts that unknown keys may still cause, at this time.
    left: u32,
    at: Instant,
}

/// An attempt under way; ended when dropped.
struct Running(Arc<KeySource>);

impl KeySource {
    /// Begins to fetch the keys.
    pub(crate) fn start(issuer: Issuer, spawn: Spawn) -> Arc<Self> {
        let state =
            State { running: false, began: None, failed: false, left: AT_ONCE, at: Instant::now() };
        let source = Arc::new(Self {
            issuer,
            keys: ArcSwapOption::empty(),
            state: Mutex::new(state),
            ended: watch::Sender::new(()),
            spawn,
        });
        source.fetch();
        source
    }

    /// The keys, if there are any. Old ones are used, and fetched again meanwhile.
    pub(crate) fn keys(self: &Arc<Self>) -> Guard<Option<Arc<Fetched>>> {
        let known = self.keys.load();
        if known.as_ref().is_some_and(|known| known.at.elapsed() >= FRESH) {
            let state = self.lock();
            let due = state.began.is_none_or(|began| began.elapsed() >= EVERY);
            if due && !state.running {
                self.begin(state);
            }
        }
        known
    }

    /// Whether the last attempt to fetch the keys failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.lock().failed
    }

    /// Fetches the keys, unless that is being done already or was done just now. What is returned
    /// waits for the end.
    pub(crate) fn fetch(
        self: &Arc<Self>,
    ) -> Option<impl Future<Output = ()> + Send + Sync + use<>> {
        let mut state = self.lock();
        // Ends are told under the same lock, so this one will be that of the attempt under way.
        let mut ended = self.ended.subscribe();
        if !state.running {
            if !state.may_begin(self.keys.load().is_some()) {
                return None;
            }
            self.begin(state);
        }
        Some(async move {
            // An attempt ends before its source does.
            let _ended = ended.changed().await;
        })
    }

    fn begin(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.running = true;
        state.began = Some(Instant::now());
        drop(state);
        let running = Running(Arc::clone(self));
        (self.spawn)(Box::pin(async move {
            running.0.attempt().await;
            drop(running);
        }));
    }

    async fn attempt(&self) {
        let fetched = self.issuer.keys().await;
        let issuer = self.issuer.name();
        let had_failed = self.lock().failed;
        match fetched {
            Ok(keys) => {
                let before = self.keys.load().as_ref().map(|before| before.keys.digest());
                let is_new = before != Some(keys.digest()) || had_failed;
                if keys.len() == 0 && self.issuer.can_be_asked() {
                    if is_new {
                        tracing::info!(
                            issuer,
                            "the issuer publishes no keys and is asked about each token"
                        );
                    }
                } else if keys.len() == 0 {
                    tracing::warn!(issuer, "the issuer publishes no key that can be used");
                } else if is_new {
                    tracing::info!(
                        issuer,
                        keys = keys.len(),
                        "the issuer's keys have been fetched"
                    );
                }
                self.keys.store(Some(Arc::new(Fetched { keys, at: Instant::now() })));
                self.lock().failed = false;
            }
            Err(error) => {
                if !had_failed {
                    let meanwhile = match (self.keys.load().is_some(), self.issuer.can_be_asked()) {
                        (true, _) => "those known are used",
                        (false, false) => "nobody can call with its tokens",
                        (false, true) => "nobody can call with its JWTs",
                    };
                    tracing::warn!(issuer, %error, "the issuer's keys cannot be fetched; {meanwhile}");
                }
                self.lock().failed = true;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn may_begin(&mut self, has_keys: bool) -> bool {
        if !has_keys {
            return self.began.is_none_or(|began| began.elapsed() >= AGAIN);
        }
        let due = self.at.elapsed().as_secs() / EVERY.as_secs();
        if due > 0 {
            self.left =
                AT_ONCE.min(self.left.saturating_add(u32::try_from(due).unwrap_or(AT_ONCE)));
            self.at = Instant::now();
        }
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        true
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.running = false;
        self.0.ended.send_replace(());
    }
}
