//! The domain object: all backends, and what can be done with them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::{sync::watch, task::JoinSet, time::Instant};
use vmcp_backend::{Backend, ClientView};
use vmcp_catalog::{Catalog, Rules};
use vmcp_model::{BackendId, Kind, LogLevel};
use vmcp_wire::Fault;

use crate::{
    background::Background,
    budget::Budget,
    call::CallStream,
    kept::{Borrower, Bridge, Kept, Shown, Unread},
    known::{Known, KnownKinds},
    lent::Lent,
    own_bounds::OwnBounds,
    places::Places,
    relay::Relay,
    route::Routed,
    state::{Keys, States},
    view::View,
    views::Views,
};

/// How the core works.
#[derive(Debug, Clone)]
pub struct Config {
    pub rules: Rules,
    /// Backends that are asked for their offers at once, for one view.
    pub max_backend_init_concurrency: usize,
    /// How many views are kept.
    pub views: usize,
    /// How long a view that nobody uses is kept.
    pub view_idle: Duration,
    /// How long a backend may take over its first offer before it counts as missing.
    pub initialize_wait: Duration,
    /// What vmcp says that it is when it answers: the `Implementation` object of the protocol (JSON
    /// text).
    pub server_info: Bytes,
    /// The keys with which what clients keep for backends is sealed.
    pub keys: Keys,
    /// For how long that is good.
    pub state_life: Duration,
    /// How old an offer may be before it is asked for again, once somebody is shown it.
    pub offer_max_age: Duration,
    /// What backends have offered before this process began: it is shown until they have been asked.
    pub known: Known,
    /// How clients without sessions use backend sessions.
    pub bridge: Bridge,
    /// Bytes that all streamed answers may hold.
    pub held_bytes: usize,
}

/// All backends behind one front.
#[derive(Debug)]
pub struct Vmcp {
    /// Never changed, only exchanged as a whole.
    backends: ArcSwap<Backends>,
    views: Arc<Views>,
    budget: Arc<Budget>,
    kept: Arc<Kept>,
    rules: ArcSwap<Rules>,
    /// Ticks when some backend has given its place to another, or is gone.
    replaced: watch::Sender<u64>,
    /// Whether the catalog is shown as a whole or not at all.
    whole_only: AtomicBool,
    initialize_wait: Duration,
    pub(crate) states: States,
    /// What vmcp says that it is when it answers (JSON text).
    server_info: Bytes,
}

/// What happens when some of the backends cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartialFailure {
    /// Nobody is shown anything until all are back.
    Fail,
    /// The rest goes on, and what the others have offered last is shown still.
    BestEffort,
}

type Backends = BTreeMap<BackendId, Arc<Backend>>;

/// What became of the backends when others took their place.
#[derive(Debug, Clone, Default)]
pub struct Replaced {
    pub added: Vec<BackendId>,
    pub changed: Vec<BackendId>,
    pub removed: Vec<BackendId>,
    /// The removed ones and those that the changed ones were before. Calls may be under way on
    /// them still.
    pub retired: Vec<Arc<Backend>>,
}

/// How a backend answers a request.
pub enum Reply {
    /// The whole response.
    Ready(Bytes),
    /// The whole response, which is an error of this code.
    Refused { text: Bytes, code: i64 },
    /// A large response under way.
    Relay(Box<Relay>),
    /// A stream of events, the response at its end.
    Stream(Box<CallStream>),
}

impl Vmcp {
    /// Puts backends behind one front. Nothing is sent until somebody needs it.
    pub fn new(backends: Vec<Arc<Backend>>, config: Config, background: Background) -> Arc<Self> {
        let backends = by_id(backends);
        let initialize_wait = config.initialize_wait;
        let states = States::new(config.keys.clone(), config.state_life);
        let server_info = config.server_info.clone();
        let rules = ArcSwap::from_pointee(config.rules.clone());
        let (bridge, budget) = (config.bridge, Budget::new(config.held_bytes));
        let views = Views::new(backends.values().cloned().collect(), config, background.clone());
        let views = Arc::new(views);
        let kept = Arc::new(Kept::new(bridge, background, Arc::clone(&views)));
        Arc::new(Self {
            backends: ArcSwap::from_pointee(backends),
            views,
            budget,
            kept,
            rules,
            replaced: watch::Sender::new(0),
            whole_only: AtomicBool::new(false),
            initialize_wait,
            states,
            server_info,
        })
    }

    /// Puts other backends and rules in the place of those there are. A backend that stays is the
    /// very same as before; one of the same name that is another has changed, and what it offered
    /// last is used until it offers something. Calls under way go on where they are. To be called
    /// by one at a time.
    pub fn replace(&self, backends: Vec<Arc<Backend>>, rules: Rules) -> Replaced {
        let after = by_id(backends);
        let before = self.backends.swap(Arc::new(after.clone()));
        let mut replaced = Replaced::default();
        for (id, backend) in before.iter() {
            match after.get(id) {
                Some(now) if Arc::ptr_eq(now, backend) => continue,
                Some(_) => replaced.changed.push(id.clone()),
                None => replaced.removed.push(id.clone()),
            }
            replaced.retired.push(Arc::clone(backend));
        }
        replaced.added = after.keys().filter(|id| !before.contains_key(*id)).cloned().collect();
        self.rules.store(Arc::new(rules.clone()));
        self.views.replace(after.into_values().collect(), rules, &replaced);
        self.replaced.send_modify(|count| *count += 1);
        replaced
    }

    /// A backend by its name.
    pub fn backend(&self, id: &str) -> Option<Arc<Backend>> {
        self.backends.load().get(id).cloned()
    }

    /// The backend that gets what names nothing that is known: the only one that there is. Where
    /// another's offer is merely not known yet, or not any more, there is none.
    pub fn sole(&self, catalog: &Catalog) -> Option<Arc<Backend>> {
        let backends = self.backends.load();
        match catalog.backends() {
            [only] if backends.len() == 1 => backends.get(only).cloned(),
            _ => None,
        }
    }

    /// What all streamed answers may hold.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// The only backend that has resources, if it is known of every backend what it has.
    pub(crate) fn sole_with_resources(&self, catalog: &Catalog) -> Option<Arc<Backend>> {
        let backends = self.backends.load();
        let all = backends.keys().all(|id| catalog.backends().binary_search(id).is_ok());
        let only = catalog.sole_with_resources().filter(|_| all)?;
        backends.get(only).cloned()
    }

    /// All backends, in the order of their names.
    pub fn backends(&self) -> Vec<Arc<Backend>> {
        self.backends.load().values().cloned().collect()
    }

    /// Whether a backend is in use, or one on which its sessions are good.
    pub fn is_in_use(&self, backend: &Backend) -> bool {
        let backends = self.backends.load();
        backends.get(backend.id()).is_some_and(|now| now.lineage() == backend.lineage())
    }

    /// Decides what happens when some of the backends cannot be used.
    pub fn set_partial_failure(&self, mode: PartialFailure) {
        self.whole_only.store(mode == PartialFailure::Fail, Ordering::Relaxed);
    }

    /// Whether nobody is shown a part.
    pub fn is_whole_only(&self) -> bool {
        self.whole_only.load(Ordering::Relaxed)
    }

    /// Refuses to show a catalog in which something is missing, if that is how it is to be.
    pub fn check_whole(&self, view: &View) -> Result<(), Fault> {
        if !self.is_whole_only() {
            return Ok(());
        }
        let out: Vec<_> = self.out(view).iter().map(ToString::to_string).collect();
        if out.is_empty() {
            return Ok(());
        }
        let why = format!(
            "these backends cannot be used: {}; operational.failureHandling.partialFailureMode is \
             fail, so nothing is shown without them (with best_effort the rest would be)",
            out.join(", ")
        );
        Err(Fault::Unavailable(why.into()))
    }

    /// The backends that cannot be used, or have had their time to say what they offer.
    fn out(&self, view: &View) -> Vec<BackendId> {
        let mut out = view.missing(self.initialize_wait);
        for backend in self.backends.load().values().filter(|backend| backend.is_out()) {
            if !out.contains(backend.id()) {
                out.push(backend.id().clone());
            }
        }
        out
    }

    /// What clients of this kind see, which is asked of the backends if it is not known yet.
    pub fn view(&self, client: &ClientView) -> Result<Arc<View>, Fault> {
        self.views.obtain(client)
    }

    /// What modern clients see that declare these capabilities, if somebody has asked for it before.
    pub fn modern_view(&self, capabilities: &[u8]) -> Option<Arc<View>> {
        self.views.find_modern(capabilities)
    }

    /// Waits until what a view shows is complete, or `enough` says that it will do, but no longer
    /// than a new client may have to wait. One that has been there for as long is not waited for.
    pub async fn settle(&self, view: &View, enough: impl Fn(&Arc<Catalog>) -> bool) {
        view.settle_once(self.initialize_wait, enough).await;
    }

    /// Whether a request would go to the same backend if the offers of all were known. Where names can be
    /// contested, the first to answer is not the one to whom they belong.
    pub fn is_certain(&self, view: &View, routed: &Routed<'_>) -> bool {
        let kind = match &*routed.message.method() {
            "tools/call" => Kind::Tool,
            "prompts/get" => Kind::Prompt,
            "resources/read" => Kind::Resource,
            _ => return true,
        };
        self.rules.load().is_certain(kind, routed.backend.id(), &view.unknown())
    }

    /// The backend sessions for one request of a modern client.
    pub fn lend(&self, view: &Arc<View>, borrower: Borrower, level: Option<LogLevel>) -> Lent {
        Lent::new(Arc::clone(&self.kept), Arc::clone(view), borrower, level)
    }

    /// What a modern client is shown: its view's catalog, unless its kept sessions list something of
    /// their own. Who asks matters only where somebody's do.
    pub fn shown(&self, view: &Arc<View>, whose: impl FnOnce() -> Borrower) -> Shown {
        self.kept.shown(view, || self.kept.key(&whose(), view.client()))
    }

    /// Lists of a modern client's own that have changed and are not read yet.
    pub fn unread(&self, view: &View, whose: impl FnOnce() -> Borrower) -> Option<Unread> {
        self.kept.unread(|| self.kept.key(&whose(), view.client()), None)
    }

    /// Ticks whenever what some modern client is shown of its own has changed.
    pub fn own_changes(&self) -> watch::Receiver<u64> {
        self.kept.own_changes()
    }

    /// The room that own offers may take.
    pub fn own_bounds(&self) -> &Arc<OwnBounds> {
        self.kept.own_bounds()
    }

    /// How many sessions of a backend are kept for clients that have none.
    pub fn kept_sessions(&self, backend: &Backend) -> usize {
        self.kept.count(backend)
    }

    /// Ends the sessions that are kept on a backend which is not in use any more, when the calls on them
    /// have ended, or at `deadline`.
    pub async fn part_with(&self, backend: &Backend, deadline: Instant) {
        self.kept.part_with(backend, deadline).await;
    }

    /// Whether clients of this kind are known already.
    pub fn has_view(&self, client: &ClientView) -> bool {
        self.views.has(client)
    }

    /// What kinds of clients were found to be offered, also of those that are not here any more.
    pub fn known_kinds(&self) -> KnownKinds {
        self.views.known_kinds()
    }

    /// Bounds the programs that are started at once to find out what they offer.
    pub fn starts(&self) -> &Places {
        self.views.starts()
    }

    /// Every view that is kept.
    pub fn views(&self) -> Vec<Arc<View>> {
        self.views.list()
    }

    /// Ticks whenever some view's catalog has changed, or more is known of what it is made of.
    pub fn catalog_changes(&self) -> watch::Receiver<u64> {
        self.views.changes()
    }

    /// Ticks whenever other backends have taken the place of those there were.
    pub fn replacements(&self) -> watch::Receiver<u64> {
        self.replaced.subscribe()
    }

    /// Asks a backend for its offers again, in every view: it has changed or restarted.
    pub fn refresh(&self, backend: &BackendId) {
        self.views.refresh(backend);
    }

    /// Notes that a backend lists to a session what it does not list to others: what everybody is offered
    /// is read on new sessions from then on, as an old one may list what was true when it began.
    pub fn note_own_lists(&self, backend: &BackendId) {
        self.views.note_own_lists(backend);
    }

    /// Ends what nobody has used for a while. To be called now and then.
    pub fn prune(&self) {
        self.views.prune();
        self.kept.prune();
        for backend in self.backends.load().values() {
            backend.prune();
        }
    }

    /// Ends what cannot outlive this process: child processes and connections that are sessions.
    pub async fn shutdown(&self) {
        let mut ending = JoinSet::new();
        for backend in self.backends.load().values() {
            let backend = Arc::clone(backend);
            ending.spawn(async move { backend.shutdown().await });
        }
        while ending.join_next().await.is_some() {}
    }

    /// Leaves child processes no time to end by themselves.
    pub fn hurry(&self) {
        self.backends.load().values().for_each(|backend| backend.hurry());
    }

    /// What vmcp says that it is when it answers (JSON text).
    pub fn server_info(&self) -> &Bytes {
        &self.server_info
    }

    /// One page of a list, as the result of its method.
    pub fn list(
        &self,
        catalog: &Catalog,
        kind: Kind,
        cursor: Option<&str>,
    ) -> Result<Bytes, Fault> {
        let page = catalog.page(kind, cursor).map_err(|_invalid| {
            Fault::InvalidParams("invalid cursor: the list has changed or the cursor is not of this list; list from the start".into())
        })?;
        Ok(page.json)
    }
}

fn by_id(backends: Vec<Arc<Backend>>) -> Backends {
    backends.into_iter().map(|backend| (backend.id().clone(), backend)).collect()
}
