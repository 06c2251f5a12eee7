//! The credential of one backend.

use std::{pin::Pin, sync::Arc};

use http::{HeaderName, HeaderValue};
use tokio::time::Instant;
use vmcp_model::{Digest, Identity, Principal};

use crate::{
    config::Config,
    file::Watched,
    obtain::Source,
    seen::Seen,
    shown::Shown,
    slot::{Obtained, Slot},
    table::Table,
    tally::{Counts, Tally},
};

/// Runs work that no request waits for by itself, to its end or to that of the process.
pub type Spawn = Arc<dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>) + Send + Sync>;

/// What one backend is shown. Nothing is asked of anybody until there is a request.
pub struct Credential {
    config: Config,
    value: Value,
    seen: Arc<Seen>,
}

/// Where its value comes from.
enum Value {
    /// The configuration.
    Fixed,
    File(Arc<Watched>),
    Obtained(Box<Tokens>),
    /// Nowhere: why.
    Missing(Arc<str>),
}

/// What one source gives.
struct Tokens {
    seen: Arc<Seen>,
    source: Arc<Source>,
    spawn: Spawn,
    /// The one for nobody's sake, or for all.
    own: Arc<Slot>,
    /// Those for single callers, if there are such.
    callers: Option<Table>,
    tally: Arc<Tally>,
}

/// What a request is to carry.
pub enum Showing {
    /// Nothing.
    Nothing,
    Now(Shown),
    /// It must be obtained first. Dropping this stops nothing: others may wait for it as well.
    Wait(Pin<Box<dyn Future<Output = Result<Shown, Unavailable>> + Send>>),
}

/// Why there is no credential for a request, which was not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Who gives it is away, slow, or says nothing that can be used. `why` says so in one line, without
    /// any secret; it completes "its credential".
    #[error("{0}")]
    Source(Arc<str>),
    /// This caller gets none, whatever is tried: who gives it refuses, or the caller has shown nothing that
    /// it can be obtained with. In one line, without any secret; it completes "its credential".
    #[error("{0}")]
    Caller(Arc<str>),
    /// There is none, and never will be as this is configured. The text says what is missing, for operators.
    #[error("{0}")]
    Missing(Arc<str>),
}

impl Credential {
    /// Makes it ready. `spawn` runs what obtains values.
    pub fn new(config: Config, spawn: Spawn) -> Self {
        let seen = Arc::<Seen>::default();
        let from = |source| {
            let tally = Arc::<Tally>::default();
            Value::Obtained(Box::new(Tokens {
                seen: Arc::clone(&seen),
                source: Arc::new(source),
                spawn,
                own: Slot::new(None, Arc::clone(&tally)),
                callers: config.is_personal().then(|| Table::new(Arc::clone(&tally))),
                tally,
            }))
        };
        let value = match &config {
            Config::Unauthenticated | Config::Header { .. } => Value::Fixed,
            Config::HeaderFile(file) => Value::File(Watched::new(file)),
            Config::Token(grant) => from(Source::of_grant(grant.as_ref().clone())),
            Config::Aws(role) => from(role.source()),
            Config::Missing { why, .. } => Value::Missing(Arc::clone(why)),
        };
        Self { config, value, seen }
    }

    /// The header that every request carries, if that is all.
    pub fn fixed(&self) -> Option<(HeaderName, HeaderValue)> {
        let Config::Header { name, value } = &self.config else { return None };
        let mut value = value.clone();
        value.set_sensitive(true);
        Some((name.clone(), value))
    }

    /// Whether there is nothing but what [`Self::fixed`] says.
    pub fn is_fixed(&self) -> bool {
        matches!(self.value, Value::Fixed)
    }

    /// Why there is none, and never will be as this is configured.
    pub fn missing(&self) -> Option<Unavailable> {
        let Value::Missing(why) = &self.value else { return None };
        Some(Unavailable::Missing(Arc::clone(why)))
    }

    /// Whether callers are shown with credentials of their own, so that a backend can tell them apart.
    pub fn is_personal(&self) -> bool {
        self.config.is_personal()
    }

    /// Whose credential the backend is shown for a caller, if callers are shown with credentials of their
    /// own: made of no secret, and the same when a token is renewed. Callers of whom it is the same are shown
    /// with the same.
    pub fn subject(&self, caller: &Identity) -> Option<Digest> {
        let Value::Obtained(tokens) = &self.value else { return None };
        let Tokens { source, callers: Some(_), .. } = &**tokens else { return None };
        let (issuer, subject) = match caller.principal() {
            Principal::Anonymous => ("", ""),
            Principal::Subject { issuer, subject } => (&**issuer, &**subject),
        };
        let role = source.role(caller.claims());
        let role = role.as_ref().map(|role| role.as_bytes().as_slice());
        let parts = [source.name(), issuer, subject].map(str::as_bytes);
        Some(Digest::of_parts(parts.into_iter().chain(role)))
    }

    /// What a request is to carry: for this caller, or for nobody's sake, as checks and the reading of what
    /// all callers share are.
    pub fn shown(&self, caller: Option<&Identity>) -> Showing {
        match &self.value {
            Value::Fixed => match self.fixed() {
                Some((name, value)) => Showing::Now(Shown::header(name, value)),
                None => Showing::Nothing,
            },
            Value::File(file) => Showing::Now(file.shown(Instant::now())),
            Value::Obtained(tokens) => tokens.shown(caller),
            Value::Missing(why) => {
                let missing = Unavailable::Missing(Arc::clone(why));
                Showing::Wait(Box::pin(async { Err(missing) }))
            }
        }
    }

    /// Notes that the backend has refused this value with 401, so that it is forgotten. Whether another one
    /// may be better, so that asking [`Self::shown`] again is worth while: not if this one was obtained because
    /// of a refusal a moment ago, which stays in use then.
    pub fn refused(&self, caller: Option<&Identity>, shown: &Shown) -> bool {
        match &self.value {
            Value::Fixed | Value::Missing(_) => false,
            Value::File(file) => file.refused(shown),
            Value::Obtained(tokens) => tokens.refused(caller, shown),
        }
    }

    /// What the backend was shown, besides what the configuration holds: it may repeat it in whatever it says.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The values of these that are known whole.
    pub fn last_shown(&self) -> Vec<Shown> {
        match &self.value {
            Value::Fixed | Value::Obtained(_) | Value::Missing(_) => self.seen.last(),
            Value::File(file) => vec![file.shown(Instant::now())],
        }
    }

    /// How many values there are, and what came of obtaining them; `None` if nothing is obtained. Looks at each.
    pub fn counts(&self) -> Option<Counts> {
        let Value::Obtained(tokens) = &self.value else { return None };
        let now = Instant::now();
        let of_callers = tokens.callers.as_ref().map_or(0, |callers| callers.at_hand(now));
        Some(tokens.tally.with(of_callers + usize::from(tokens.own.is_at_hand(now))))
    }

    /// Lets go what nobody has used for long. To be called now and then.
    pub fn prune(&self) {
        if let Value::Obtained(tokens) = &self.value
            && let Some(callers) = &tokens.callers
        {
            callers.prune(Instant::now());
        }
    }
}

impl Tokens {
    fn shown(&self, caller: Option<&Identity>) -> Showing {
        let now = Instant::now();
        let source = || (Arc::clone(&self.source), Arc::clone(&self.seen));
        let (Some(callers), Some(caller)) = (&self.callers, caller) else {
            if !self.source.gives_own() {
                return Showing::Nothing;
            }
            let obtain = || {
                let (source, seen) = source();
                Box::pin(async move { noted(source.own().await, &seen) }) as _
            };
            return self.own.shown(now, &self.spawn, obtain);
        };
        let Some(proof) = caller.proof() else {
            let why = "is obtained with the token that a caller shows, and this caller has shown none; \
                       call with an access token (incomingAuth.type: oidc)";
            return Showing::Wait(Box::pin(async { Err(Unavailable::Caller(why.into())) }));
        };
        let obtain = || {
            let ((source, seen), proof) = (source(), Arc::clone(proof));
            Box::pin(async move { noted(source.for_caller(&proof).await, &seen) }) as _
        };
        callers.slot(&proof.digest, now).shown(now, &self.spawn, obtain)
    }

    fn refused(&self, caller: Option<&Identity>, shown: &Shown) -> bool {
        let now = Instant::now();
        match (&self.callers, caller) {
            (Some(callers), Some(caller)) => {
                let proof = caller.proof();
                proof.is_some_and(|proof| callers.slot(&proof.digest, now).refused(now, shown))
            }
            _ => self.own.refused(now, shown),
        }
    }
}

/// Remembers a value that was obtained.
fn noted(obtained: Result<Obtained, Unavailable>, seen: &Seen) -> Result<Obtained, Unavailable> {
    obtained.inspect(|obtained| seen.note(&obtained.shown))
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Credential").field(&self.config).finish()
    }
}
