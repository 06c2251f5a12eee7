//! The domain object: all backends, and what can be done with them.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use tokio::{sync::watch, task::JoinSet, time::Instant};
use vmcp_backend::{Backend, ClientView, Subject, Uses};
use vmcp_catalog::{Catalog, OwnItem, OwnTool, Rules};
use vmcp_model::{BackendId, Digest, Identity, Kind, LogLevel, Method, Passed};
use vmcp_policy::Policy;
use vmcp_wire::{Fault, Message};

use crate::{
    apart::Apart,
    background::Background,
    budget::Budget,
    calls::{Calls, Ticket},
    kept::{Borrower, Bridge, Kept, Shown, Unread},
    known::{Known, KnownKinds},
    lent::Lent,
    own_bounds::OwnBounds,
    places::Places,
    quotas::Quotas,
    resolve::Resolved,
    rights::{Denial, Rights},
    state::{Keys, States},
    view::{BackendState, OfferStatus, View},
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
    /// How many views of single callers are kept, where backends are shown something of these.
    pub caller_views: usize,
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
    /// What says what callers may do. Without it everybody may do everything.
    pub policy: Option<Arc<Policy>>,
    /// How clients with sessions are told that they may not do something.
    pub denial: Denial,
}

/// All backends behind one front.
#[derive(Debug)]
pub struct Vmcp {
    /// Never changed, only exchanged as a whole.
    backends: ArcSwap<Backends>,
    views: Arc<Views>,
    budget: Arc<Budget>,
    calls: Arc<Calls>,
    quotas: Quotas,
    /// How vmcp's own tools are used, in the order of [`OwnTool::ALL`].
    own_uses: [Arc<Uses>; OwnTool::ALL.len()],
    kept: Arc<Kept>,
    rules: ArcSwap<Rules>,
    rights: Rights,
    /// Ticks when some backend has given its place to another, or is gone.
    replaced: watch::Sender<u64>,
    /// Whether the catalog is shown as a whole or not at all.
    pub(crate) whole_only: AtomicBool,
    /// The backends that are shown something of the callers' own.
    apart: ArcSwapOption<Apart>,
    pub(crate) initialize_wait: Duration,
    pub(crate) states: States,
    /// What vmcp says that it is when it answers (JSON text).
    server_info: Bytes,
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

impl Vmcp {
    /// Puts backends behind one front. Nothing is sent until somebody needs it.
    pub fn new(backends: Vec<Arc<Backend>>, config: Config, background: Background) -> Arc<Self> {
        let backends = by_id(backends);
        let apart = ArcSwapOption::new(Apart::of(backends.values()));
        let initialize_wait = config.initialize_wait;
        let states = States::new(config.keys.clone(), config.state_life);
        let server_info = config.server_info.clone();
        let rules = ArcSwap::from_pointee(config.rules.clone());
        let (bridge, budget) = (config.bridge, Budget::new(config.held_bytes));
        let rights = Rights::new(config.policy.clone(), config.denial, background.clone());
        let views = Views::new(backends.values().cloned().collect(), config, background.clone());
        let views = Arc::new(views);
        let kept = Arc::new(Kept::new(bridge, background, Arc::clone(&views)));
        Arc::new(Self {
            backends: ArcSwap::from_pointee(backends),
            views,
            budget,
            calls: Calls::new(),
            quotas: Quotas::default(),
            own_uses: Default::default(),
            kept,
            rules,
            rights,
            replaced: watch::Sender::new(0),
            whole_only: AtomicBool::new(false),
            apart,
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
        self.apart.store(Apart::of(after.values()));
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

    /// Enters a call as under way.
    ///
    /// # Errors
    /// If no more may begin, because the process ends.
    pub fn begin_call(&self, request: &Message) -> Result<Ticket, Fault> {
        let method = request.method().unwrap_or(Method::Other);
        self.calls.begin(method, request.trail().cloned())
    }

    /// All calls under way.
    pub fn calls(&self) -> &Calls {
        &self.calls
    }

    /// The tools of vmcp's own that clients are listed.
    pub fn own_tools(&self) -> Vec<OwnItem> {
        self.rules.load().own.clone()
    }

    /// How a tool of vmcp's own is used.
    pub fn own_uses(&self, tool: OwnTool) -> &Arc<Uses> {
        &self.own_uses[tool as usize]
    }

    /// What callers may do.
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    /// How much each client has here.
    pub fn quotas(&self) -> &Quotas {
        &self.quotas
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

    /// What clients of this kind see, which is asked of the backends if it is not known yet.
    pub fn view(&self, client: &ClientView) -> Result<Arc<View>, Fault> {
        self.views.obtain(client)
    }

    /// What modern clients see that declare these capabilities, if somebody has asked for it before.
    /// `subject` says whose credentials backends are shown for them ([`Self::subject`]).
    pub fn modern_view(&self, capabilities: &[u8], subject: Option<&Digest>) -> Option<Arc<View>> {
        self.views.find_modern(capabilities, subject)
    }

    /// By what backends tell a caller apart from others: whose credentials they are shown, and what they are
    /// passed of its headers. `None` if each is shown the same for the caller as for nobody. It is the same when
    /// a token is renewed, unless that says something else by which some backend is shown another account.
    pub fn subject(&self, caller: &Identity) -> Option<Digest> {
        self.apart.load().as_ref()?.subject(caller)
    }

    /// A caller, with those of its request's headers that backends are passed: `values` gives those of a name.
    pub fn passing<'a, V: Iterator<Item = &'a HeaderValue>>(
        &self,
        caller: Identity,
        values: impl Fn(&HeaderName) -> V,
    ) -> Identity {
        let apart = self.apart.load();
        let names = apart.as_ref().map(|apart| apart.passthrough());
        let Some(names) = names.filter(|names| !names.is_empty()) else { return caller };
        let found = names.iter().flat_map(|name| {
            // Copied: a header's value would keep the whole buffer alive that it came in.
            values(name)
                .map(|value| (name.as_str().into(), Bytes::copy_from_slice(value.as_bytes())))
        });
        match Passed::new(found.collect()) {
            Some(passed) => caller.passing(passed),
            None => caller,
        }
    }

    /// Waits until what a view shows is complete, or `enough` says that it will do, but no longer
    /// than a new client may have to wait. One that has been there for as long is not waited for.
    pub async fn settle(&self, view: &View, enough: impl Fn(&Arc<Catalog>) -> bool) {
        view.settle_once(self.initialize_wait, enough).await;
    }

    /// Whether a request would go to the same backend if the offers of all were known. Where names can be
    /// contested, the first to answer is not the one to whom they belong.
    pub fn is_certain(&self, view: &View, resolved: &Resolved<'_>) -> bool {
        let Resolved::Backend(routed) = resolved else { return true };
        let kind = match routed.message.method() {
            Some(Method::ToolsCall) => Kind::Tool,
            Some(Method::PromptsGet) => Kind::Prompt,
            Some(Method::ResourcesRead) => Kind::Resource,
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

    /// What is known of the backends: of each the worst that some view knows.
    pub fn backend_states(&self) -> BTreeMap<BackendId, BackendState> {
        let mut worst = BTreeMap::new();
        for view in self.views() {
            for (id, state) in view.backends() {
                let known = worst.entry(id).or_insert_with(|| state.clone());
                if matches!(state.status, OfferStatus::Failed(_) | OfferStatus::Partial(_)) {
                    *known = state;
                }
            }
        }
        worst
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

    /// Asks a backend for its offers again, as it has changed or restarted: for everybody, and for these callers
    /// if it is shown something of their own.
    pub fn refresh(&self, backend: &BackendId, subject: Option<&Subject>) {
        self.views.refresh(backend, subject);
    }

    /// Notes that a backend lists to a session what it does not list to others: what everybody is offered
    /// is read on new sessions from then on, as an old one may list what was true when it began.
    pub fn note_own_lists(&self, backend: &BackendId) {
        self.views.note_own_lists(backend);
    }

    /// Ends what nobody has used for a while. To be called now and then.
    pub fn prune(&self) {
        self.views.prune();
        self.rights.prune();
        self.kept.prune();
        self.quotas.prune();
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
