//! The network between replicas: what they tell each other can be held back, turned round, or lost.
//! What a replica makes of what comes is the store's own.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use vmcp_store::{Hearing, News, Sender, beats};

/// How often a replica says that it lives if it asks the store every time.
const SLOW_BEAT: Duration = Duration::from_secs(5);

/// All replicas that listen.
#[derive(Default)]
pub(super) struct Bus {
    members: Mutex<Vec<Arc<Member>>>,
    /// How many have joined so far: no two have the same name.
    joined: AtomicU64,
}

/// One replica on the bus.
pub(super) struct Member {
    bus: Weak<Bus>,
    me: Sender,
    hearing: Hearing,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of the last message.
    last: u64,
    deaf: bool,
    inbox: VecDeque<Message>,
    /// The next message of this replica does not come.
    misses: Option<Sender>,
}

#[derive(Clone)]
struct Message {
    sender: Sender,
    number: u64,
    news: Option<News>,
}

impl Bus {
    /// Joins a replica, and lets it say now and then that it lives.
    pub(super) fn join(self: &Arc<Self>, max_staleness: Option<Duration>) -> Arc<Member> {
        let number = self.joined.fetch_add(1, Ordering::Relaxed) + 1;
        let me = u128::from(number).to_be_bytes();
        let hearing = Hearing::new(me, max_staleness);
        hearing.begin();
        let member =
            Arc::new(Member { bus: Arc::downgrade(self), me, hearing, state: Mutex::default() });
        self.members().push(Arc::clone(&member));
        let (pause, silence) = max_staleness.map_or((SLOW_BEAT, SLOW_BEAT * 3), beats);
        let beating = Arc::downgrade(&member);
        super::start(async move {
            while let Some(member) = beating.upgrade().filter(|member| member.is_there()) {
                member.tell(None);
                drop(member);
                tokio::time::sleep(pause).await;
                if let Some(member) = beating.upgrade() {
                    member.hearing.forget_silent(silence);
                }
            }
        });
        member
    }

    /// Takes a replica off, as its death does.
    pub(super) fn leave(&self, gone: &Arc<Member>) {
        self.members().retain(|member| !Arc::ptr_eq(member, gone));
    }

    fn members(&self) -> MutexGuard<'_, Vec<Arc<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    pub(super) fn hearing(&self) -> &Hearing {
        &self.hearing
    }

    /// Says something to all, itself included.
    pub(super) fn tell(&self, news: Option<News>) {
        let Some(bus) = self.bus.upgrade().filter(|_bus| self.is_there()) else { return };
        let number = {
            let mut state = self.state();
            state.last += 1;
            state.last
        };
        self.hearing.note_sent(number);
        let message = Message { sender: self.me, number, news };
        let members: Vec<_> = bus.members().clone();
        members.iter().for_each(|member| member.get(message.clone()));
    }

    /// Holds back what comes for it from now on.
    pub(super) fn deafen(&self) {
        self.state().deaf = true;
    }

    /// Lets through what was held back; `backwards`: the newest first.
    pub(super) fn deliver(&self, backwards: bool) {
        let mut held: Vec<_> = {
            let mut state = self.state();
            state.deaf = false;
            state.inbox.drain(..).collect()
        };
        if backwards {
            held.reverse();
        }
        held.into_iter().for_each(|message| self.hear(message));
    }

    /// Loses what was held back: the connection broke, and another one is made.
    pub(super) fn rejoin(&self) {
        {
            let mut state = self.state();
            state.deaf = false;
            state.inbox.clear();
        }
        self.hearing.begin();
    }

    /// Loses the next message of a replica, unnoticed.
    pub(super) fn miss(&self, other: &Self) {
        self.state().misses = Some(other.me);
    }

    fn get(&self, message: Message) {
        {
            let mut state = self.state();
            if state.deaf {
                state.inbox.push_back(message);
                return;
            }
            if state.misses == Some(message.sender) {
                state.misses = None;
                return;
            }
        }
        self.hear(message);
    }

    fn hear(&self, Message { sender, number, news }: Message) {
        self.hearing.hear(sender, number, news);
    }

    fn is_there(&self) -> bool {
        let bus = self.bus.upgrade();
        bus.is_some_and(|bus| bus.members().iter().any(|member| member.me == self.me))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
