//! All views, each with those who keep it true.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::{Notify, Semaphore, watch};
use vmcp_backend::{Backend, ClientView};
use vmcp_catalog::Rules;
use vmcp_model::BackendId;
use vmcp_wire::Fault;

use crate::{
    background::Background,
    view::{
        View,
        watching::{Wanted, Watch},
    },
    vmcp::Config,
};

/// Late offers that come within this time are announced together.
const COALESCE: std::time::Duration = std::time::Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Views {
    backends: Vec<Arc<Backend>>,
    config: Config,
    rules: Arc<Rules>,
    background: Background,
    kept: Mutex<HashMap<ClientView, Kept>>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Kept {
    view: Arc<View>,
    /// Asks for a backend's offer again.
    wanted: HashMap<BackendId, Arc<Wanted>>,
}

impl Views {
    pub(crate) fn new(backends: Vec<Arc<Backend>>, config: Config, background: Background) -> Self {
        let rules = Arc::new(config.rules.clone());
        let (changes, _) = watch::channel(0);
        Self { backends, config, rules, background, kept: Mutex::default(), changes }
    }

    pub(crate) fn obtain(&self, client: &ClientView) -> Result<Arc<View>, Fault> {
        let mut kept = self.kept();
        if let Some(known) = kept.get(client) {
            known.view.touch();
            for wanted in known.wanted.values() {
                wanted.used.notify_waiters();
            }
            return Ok(Arc::clone(&known.view));
        }
        if kept.len() >= self.config.views {
            make_room(&mut kept)?;
        }
        let made = self.make(client.clone());
        let view = Arc::clone(&made.view);
        kept.insert(client.clone(), made);
        Ok(view)
    }

    pub(crate) fn has(&self, client: &ClientView) -> bool {
        self.kept().contains_key(client)
    }

    pub(crate) fn all(&self) -> Vec<Arc<View>> {
        self.kept().values().map(|kept| Arc::clone(&kept.view)).collect()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub(crate) fn refresh(&self, backend: &BackendId) {
        for kept in self.kept().values() {
            if let Some(wanted) = kept.wanted.get(backend) {
                wanted.fresh.notify_one();
            }
        }
    }

    pub(crate) fn prune(&self) {
        self.kept().retain(|_, kept| {
            let keep = !unused(&kept.view) || kept.view.idle() < self.config.view_idle;
            if !keep {
                kept.view.stop.cancel();
            }
            keep
        });
    }

    /// Makes a view and starts those who keep it true.
    fn make(&self, client: ClientView) -> Kept {
        let ids = self.backends.iter().map(|backend| backend.id().clone());
        let stop = self.background.stop().child_token();
        let (rules, changes) = (Arc::clone(&self.rules), self.changes.clone());
        let view = Arc::new(View::new(client, rules, ids, changes, stop.clone()));
        view.touch();
        let places = Arc::new(Semaphore::new(self.config.max_backend_init_concurrency.max(1)));
        let mut all_wanted = HashMap::new();
        for backend in &self.backends {
            let wanted: Arc<Wanted> = Arc::default();
            all_wanted.insert(backend.id().clone(), Arc::clone(&wanted));
            let watch = Watch {
                backend: Arc::clone(backend),
                view: Arc::downgrade(&view),
                stop: stop.clone(),
                places: Arc::clone(&places),
                wanted,
                max_age: self.config.offer_max_age,
            };
            self.background.spawn(watch.run());
        }
        // Only a weak reference waits: a view that no session uses must be seen to be unused.
        let (weak, dirty) = (Arc::downgrade(&view), Arc::clone(&view.dirty));
        self.background.spawn(async move {
            stop.run_until_cancelled(merge_late(weak, dirty)).await;
        });
        Kept { view, wanted: all_wanted }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<ClientView, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Merges offers that come in after somebody was shown the catalog.
async fn merge_late(view: Weak<View>, dirty: Arc<Notify>) {
    loop {
        dirty.notified().await;
        tokio::time::sleep(COALESCE).await;
        let Some(view) = view.upgrade() else { return };
        view.merge_if_dirty();
    }
}

/// Ends the view that has been idle longest.
fn make_room(kept: &mut HashMap<ClientView, Kept>) -> Result<(), Fault> {
    let longest =
        kept.iter().filter(|(_, kept)| unused(&kept.view)).max_by_key(|(_, kept)| kept.view.idle());
    let Some(client) = longest.map(|(client, _)| client.clone()) else {
        return Err(Fault::Unavailable(
            "too many clients with different capabilities; try again later".into(),
        ));
    };
    if let Some(ended) = kept.remove(&client) {
        ended.view.stop.cancel();
    }
    Ok(())
}

/// Whether no session uses the view.
fn unused(view: &Arc<View>) -> bool {
    Arc::strong_count(view) == 1
}
