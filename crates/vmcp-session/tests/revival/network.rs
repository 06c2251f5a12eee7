//! The network between a replica and the store: it can hold commands or answers back, let them through
//! late, or lose them. It also reads what passes, and notes what must not be.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};
use vmcp_model::{BackendId, Digest};
use vmcp_store::{
    Announced, Answer, BackendRecord, Change, Confidence, Error, KeyRing, News, Reach, Record,
    SessionKey, Store, Subscription, Swap, Timestamp, Tombstone,
};

use super::bus::Member;

/// How long a replica waits for an answer.
pub(super) const COMMAND: Duration = Duration::from_secs(3);

/// What is held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Held {
    /// Commands, before the store has them.
    Commands,
    /// Answers, when the store has done what it was asked.
    Answers,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Open,
    /// So many commands pass before.
    Holding(Held, usize),
    /// The replica is gone.
    Cut,
}

/// One replica's way to the store.
pub(super) struct Line {
    store: Arc<dyn Store>,
    member: Arc<Member>,
    ledger: Arc<Ledger>,
    /// Milliseconds by which the replica's clock is behind the others', because it was started when
    /// the time of the test had run ahead of the system's.
    behind: u64,
    flow: Mutex<Flow>,
    gates: Mutex<Vec<oneshot::Sender<()>>>,
    /// How often something was held or lost.
    disturbances: AtomicU64,
}

/// What has passed, on the way to any replica.
#[derive(Default)]
pub(super) struct Ledger(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    gone: HashMap<SessionKey, Gone>,
    removed: HashSet<SessionKey>,
    /// Records, ended ones included, that hold a backend session. There is one backend.
    holding: HashSet<SessionKey>,
    /// Until when what has ended is claimed.
    claimed: HashMap<SessionKey, Timestamp>,
    /// What the store did that it must not.
    wrong: Vec<String>,
}

/// The end of a record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    pub(super) at: Instant,
    /// Its deadline had passed; nobody ended it.
    pub(super) expired: bool,
    /// When somebody claimed it who knows that he has.
    pub(super) claimed: Option<Instant>,
}

impl Ledger {
    pub(super) fn gone(&self, key: SessionKey) -> Option<Gone> {
        self.entries().gone.get(&key).copied()
    }

    /// How many backend sessions are in records, until these are removed.
    pub(super) fn holding(&self) -> usize {
        self.entries().holding.len()
    }

    pub(super) fn wrong(&self) -> Vec<String> {
        self.entries().wrong.clone()
    }

    /// Notes what a command has done to a record that was gone when the command came.
    fn note(&self, before: Option<Gone>, what: impl FnOnce() -> String) {
        if before.is_some() {
            self.entries().wrong.push(what());
        }
    }

    fn end(&self, key: SessionKey, expired: bool) {
        let gone = Gone { at: Instant::now(), expired, claimed: None };
        self.entries().gone.entry(key).or_insert(gone);
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    pub(super) fn new(
        store: Arc<dyn Store>,
        member: Arc<Member>,
        ledger: Arc<Ledger>,
        behind: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            member,
            ledger,
            behind: u64::try_from(behind.as_millis()).unwrap_or(u64::MAX),
            flow: Mutex::new(Flow::Open),
            gates: Mutex::default(),
            disturbances: AtomicU64::new(0),
        })
    }

    /// Holds back what comes from now on, when so many commands have passed.
    pub(super) fn hold(&self, what: Held, after: usize) {
        self.disturb(Flow::Holding(what, after));
    }

    /// Lets pass what comes from now on. What is held stays so, and is late.
    pub(super) fn open(&self) {
        self.disturb(Flow::Open);
    }

    /// Lets everything pass, in the order in which it came.
    pub(super) fn release(&self) {
        self.disturb(Flow::Open);
        for gate in self.gates().drain(..) {
            // Its command may have been given up with the program.
            let _gone = gate.send(());
        }
    }

    /// Loses what is held.
    pub(super) fn lose(&self) {
        self.disturb(Flow::Open);
        self.gates().clear();
    }

    /// The replica is gone: nothing of it comes any more but what is under way.
    pub(super) fn cut(&self) {
        self.disturb(Flow::Cut);
    }

    /// How often something was held or lost so far. `None`: what comes now does not pass.
    pub(super) fn reached(&self) -> Option<u64> {
        let open = *self.flow() == Flow::Open;
        open.then(|| self.disturbances.load(Ordering::SeqCst))
    }

    /// The same. `None`: something is held at this moment.
    pub(super) fn quiet_since(&self) -> Option<u64> {
        let quiet = *self.flow() == Flow::Open && self.gates().is_empty();
        quiet.then(|| self.disturbances.load(Ordering::SeqCst))
    }

    fn disturb(&self, flow: Flow) {
        *self.flow() = flow;
        self.disturbances.fetch_add(1, Ordering::SeqCst);
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gates(&self) -> MutexGuard<'_, Vec<oneshot::Sender<()>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a command.
    fn over<T, F>(&self, command: impl FnOnce(Arc<dyn Store>, Arc<Ledger>) -> F) -> Answer<'_, T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let command = command(Arc::clone(&self.store), Arc::clone(&self.ledger));
        let held = match &mut *self.flow() {
            Flow::Open => return Box::pin(command),
            Flow::Cut => return Box::pin(std::future::ready(Err(lost()))),
            Flow::Holding(held, 0) => *held,
            Flow::Holding(_, passing) => {
                *passing -= 1;
                return Box::pin(command);
            }
        };
        let (gate, opened) = oneshot::channel();
        self.gates().push(gate);
        let (sender, answer) = oneshot::channel();
        super::start(async move {
            let answer = match held {
                Held::Commands => {
                    if opened.await.is_err() {
                        return;
                    }
                    command.await
                }
                Held::Answers => {
                    let answer = command.await;
                    if opened.await.is_err() {
                        return;
                    }
                    answer
                }
            };
            // Nobody may wait for it any more.
            let _late = sender.send(answer);
        });
        Box::pin(async move {
            match tokio::time::timeout(COMMAND, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) | Err(_) => Err(lost()),
            }
        })
    }

    /// The same time on the clock of all.
    fn common(&self, time: Timestamp) -> Timestamp {
        time.after(Duration::from_millis(self.behind))
    }

    fn own(&self, mut record: Record) -> Record {
        record.deadline = Timestamp(record.deadline.0.saturating_sub(self.behind));
        record
    }
}

fn lost() -> Error {
    Error::Unavailable("no answer in time".to_owned())
}

impl Store for Line {
    fn outlives_process(&self) -> bool {
        true
    }
    fn create(&self, key: SessionKey, deadline: Timestamp) -> Answer<'_, bool> {
        let deadline = self.common(deadline);
        self.over(|store, ledger| async move {
            let before = ledger.gone(key);
            let created = store.create(key, deadline).await?;
            if created {
                ledger.note(before, || format!("{key:?} was created again"));
            }
            Ok(created)
        })
    }
    fn fill(&self, key: SessionKey, mut record: Record) -> Answer<'_, bool> {
        record.deadline = self.common(record.deadline);
        self.over(|store, ledger| async move {
            let before = ledger.gone(key);
            let filled = store.fill(key, record).await?;
            if filled {
                ledger.note(before, || format!("{key:?} was filled again"));
            }
            Ok(filled)
        })
    }
    fn load(&self, key: SessionKey, now: Timestamp) -> Answer<'_, Option<Record>> {
        let now = self.common(now);
        let loaded = self.over(move |store, ledger| async move {
            let before = ledger.gone(key);
            let loaded = store.load(key, now).await?;
            if loaded.is_some() {
                ledger.note(before, || format!("{key:?} was loaded"));
            }
            Ok(loaded)
        });
        Box::pin(async move { Ok(loaded.await?.map(|record| self.own(record))) })
    }
    fn change(&self, key: SessionKey, change: Change) -> Answer<'_, bool> {
        self.over(move |store, ledger| async move {
            let before = ledger.gone(key);
            let changed = store.change(key, change.clone()).await?;
            if changed {
                ledger.note(before, || format!("{key:?} was changed: {change:?}"));
            }
            Ok(changed)
        })
    }
    fn swap_backend(
        &self,
        key: SessionKey,
        backend: BackendId,
        expected: Option<BackendRecord>,
        new: BackendRecord,
    ) -> Answer<'_, Swap> {
        self.over(move |store, ledger| async move {
            let before = ledger.gone(key);
            let swapped = store.swap_backend(key, backend, expected, new).await?;
            if swapped == Swap::Done {
                ledger.entries().holding.insert(key);
            }
            if swapped != Swap::Gone {
                ledger.note(before, || format!("{key:?} took a backend session: {swapped:?}"));
            }
            Ok(swapped)
        })
    }
    fn refresh(&self, keys: Vec<SessionKey>, deadline: Timestamp) -> Answer<'_, Vec<bool>> {
        let deadline = self.common(deadline);
        self.over(move |store, ledger| async move {
            let before: Vec<_> = keys.iter().map(|key| ledger.gone(*key)).collect();
            let stand = store.refresh(keys.clone(), deadline).await?;
            for ((key, before), stands) in keys.iter().zip(before).zip(&stand) {
                if *stands {
                    ledger.note(before, || format!("{key:?} was refreshed"));
                }
            }
            Ok(stand)
        })
    }
    fn end(&self, key: SessionKey, now: Timestamp) -> Answer<'_, bool> {
        let now = self.common(now);
        self.over(move |store, ledger| async move {
            let before = ledger.gone(key);
            let ended = store.end(key, now).await?;
            if ended {
                ledger.note(before, || format!("{key:?} was ended again"));
                ledger.end(key, false);
            }
            Ok(ended)
        })
    }
    fn due(&self, now: Timestamp, limit: usize) -> Answer<'_, Vec<SessionKey>> {
        let now = self.common(now);
        self.over(move |store, _ledger| async move { store.due(now, limit).await })
    }
    fn claim(
        &self,
        key: SessionKey,
        now: Timestamp,
        until: Timestamp,
    ) -> Answer<'_, Option<Tombstone>> {
        let (now, until) = (self.common(now), self.common(until));
        let answered = *self.flow() == Flow::Open;
        self.over(move |store, ledger| async move {
            let removed = ledger.entries().removed.contains(&key);
            let claimed = store.claim(key, now, until).await?;
            if claimed.is_some() {
                ledger.end(key, true);
                let mut entries = ledger.entries();
                if let Some(gone) = entries.gone.get_mut(&key).filter(|_gone| answered) {
                    gone.claimed.get_or_insert_with(Instant::now);
                }
                if removed {
                    entries.wrong.push(format!("{key:?} was claimed after its removal"));
                }
                if entries.claimed.insert(key, until).is_some_and(|before| now < before) {
                    entries.wrong.push(format!("{key:?} was claimed twice at once"));
                }
            }
            Ok(claimed)
        })
    }
    fn remove(&self, key: SessionKey) -> Answer<'_, ()> {
        self.over(move |store, ledger| async move {
            store.remove(key).await?;
            let mut entries = ledger.entries();
            entries.removed.insert(key);
            entries.holding.remove(&key);
            Ok(())
        })
    }
    fn put_catalog(&self, digest: Digest, catalog: Bytes, until: Timestamp) -> Answer<'_, ()> {
        let until = self.common(until);
        self.over(
            move |store, _ledger| async move { store.put_catalog(digest, catalog, until).await },
        )
    }
    fn catalog(&self, digest: Digest, now: Timestamp) -> Answer<'_, Option<Bytes>> {
        let now = self.common(now);
        self.over(move |store, _ledger| async move { store.catalog(digest, now).await })
    }
    fn backend(
        &self,
        key: SessionKey,
        backend: BackendId,
    ) -> Answer<'_, Option<Option<BackendRecord>>> {
        self.over(move |store, ledger| async move {
            let before = ledger.gone(key);
            let found = store.backend(key, backend).await?;
            if found.is_some() {
                ledger.note(before, || format!("{key:?} was asked for a backend session"));
            }
            Ok(found)
        })
    }
    fn ask(&self, key: SessionKey, question: Digest) -> Answer<'_, bool> {
        self.over(move |store, ledger| async move {
            let before = ledger.gone(key);
            let asked = store.ask(key, question).await?;
            if asked {
                ledger.note(before, || format!("{key:?} took a question"));
            }
            Ok(asked)
        })
    }
    fn answer(&self, key: SessionKey, question: Digest) -> Answer<'_, bool> {
        self.over(move |store, _ledger| async move { store.answer(key, question).await })
    }
    fn keys(&self) -> Result<Arc<KeyRing>, Error> {
        self.store.keys()
    }
    fn announce_replica(
        &self,
        replica: String,
        address: Option<Box<str>>,
        until: Timestamp,
    ) -> Answer<'_, ()> {
        let until = self.common(until);
        self.over(|store, _| async move { store.announce_replica(replica, address, until).await })
    }
    fn replica(&self, replica: String, now: Timestamp) -> Answer<'_, Option<Announced>> {
        let now = self.common(now);
        self.over(move |store, _ledger| async move { store.replica(replica, now).await })
    }
    fn records(&self) -> Answer<'_, usize> {
        self.over(|store, _ledger| async move { store.records().await })
    }
    fn publish(&self, news: News) -> Answer<'_, ()> {
        self.member.tell(Some(news));
        Box::pin(std::future::ready(Ok(())))
    }
    fn subscribe(&self) -> Subscription {
        self.member.hearing().subscribe()
    }
    fn confidence(&self) -> Arc<Confidence> {
        Arc::clone(self.member.hearing().confidence())
    }
    fn reach(&self) -> Reach {
        Reach::Good
    }
}
