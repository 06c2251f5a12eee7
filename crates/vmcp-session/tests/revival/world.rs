//! Three replicas, their store and their backend, and what steps do to them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};
use vmcp_core::Background;
use vmcp_session::{Reply, Sessions};
use vmcp_store::{Memory, Store, Timestamp};
use vmcp_testkit::{
    peers,
    raw::{Answer, Form, Kind, Running, fixed},
};
use vmcp_wire::{Fault, Message};

use super::{
    bus::{Bus, Member},
    model::{Known, MAX_STALENESS, Manner, Outcome, TTL},
    network::{Ledger, Line},
    steps::{Program, REPLICAS, Step, Use},
};
use crate::support::{client, initialize, nobody, replica_of};

/// The most that passes until what waits for nothing has ended.
const AT_ONCE: Duration = Duration::from_millis(100);

/// How long it may take until all that has ended is cleared away, claims of the dead included.
const CLEARED: Duration = Duration::from_secs(300);

struct World {
    store: Arc<dyn Store>,
    backend: Running,
    bus: Arc<Bus>,
    ledger: Arc<Ledger>,
    replicas: Vec<Replica>,
    sessions: Vec<Known>,
    under_way: Vec<UnderWay>,
    per_request: bool,
    tools: usize,
    /// How many backend sessions the dead may have left open that no record holds.
    orphans: usize,
    /// When the world began: by the system, and by the test's own time.
    began: (SystemTime, Instant),
    wrong: Vec<String>,
}

struct Replica {
    sessions: Arc<Sessions>,
    line: Arc<Line>,
    member: Arc<Member>,
    background: Background,
    /// Changes with each disturbance.
    reaches_since: Instant,
    /// No other replica that was here before has the same.
    number: u64,
}

/// Something that a client does.
struct UnderWay {
    what: Step,
    began: Instant,
    /// The replica, and how often its way had been disturbed.
    on: (usize, u64),
    reached: Option<u64>,
    quiet: Option<u64>,
    doing: Doing,
}

enum Doing {
    Create(oneshot::Receiver<Result<Arc<str>, Fault>>),
    Use(usize, oneshot::Receiver<Outcome>),
    Delete(usize, oneshot::Receiver<Outcome>),
}

/// Runs a program, and says what was wrong.
pub(super) async fn run(program: Program) -> Vec<String> {
    let backend = peers::stateful()
        .form(Form::Json)
        .resource(r#"{"uri":"a://b","name":"b"}"#, r#"{"contents":[]}"#.to_owned());
    let mut world = World {
        store: Arc::new(Memory::new()),
        backend: backend.start().await.expect("a free port"),
        bus: Arc::default(),
        ledger: Arc::default(),
        replicas: Vec::new(),
        sessions: Vec::new(),
        under_way: Vec::new(),
        per_request: program.per_request,
        tools: 0,
        orphans: 0,
        began: (SystemTime::now(), Instant::now()),
        wrong: Vec::new(),
    };
    for _replica in 0..REPLICAS {
        let replica = world.start().await;
        world.replicas.push(replica);
    }
    for step in program.steps {
        world.take(step).await;
        world.look().await;
        if !world.wrong.is_empty() {
            return world.wrong;
        }
    }
    world.finish().await;
    world.wrong
}

impl World {
    async fn start(&self) -> Replica {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let max_staleness = (!self.per_request).then_some(MAX_STALENESS);
        let member = self.bus.join(max_staleness);
        let by_system = self.began.0.elapsed().unwrap_or_default();
        let behind = self.began.1.elapsed().saturating_sub(by_system);
        let (store, ledger) = (Arc::clone(&self.store), Arc::clone(&self.ledger));
        let line = Line::new(store, Arc::clone(&member), ledger, behind);
        let background = Background::new(tokio::runtime::Handle::current());
        let store = Arc::clone(&line) as Arc<dyn Store>;
        let sessions = replica_of(&store, &self.backend.url(), TTL, &background);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Replica { sessions, line, member, background, reaches_since: Instant::now(), number }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Create { on } => {
                let sessions = Arc::clone(&self.replicas[on].sessions);
                let creating = async move { initialize(&sessions, &nobody()).await };
                self.begin(step, on, Doing::Create(spawn(creating)));
            }
            Step::Use { on, session, how } => {
                let Some(known) = self.sessions.get_mut(session) else { return };
                known.begin(how);
                let (sessions, id) = (Arc::clone(&self.replicas[on].sessions), known.id.clone());
                let using = spawn(async move { use_it(&sessions, &id, how).await });
                self.begin(step, on, Doing::Use(session, using));
            }
            Step::Delete { on, session } => {
                let Some(known) = self.sessions.get(session) else { return };
                let (sessions, id) = (Arc::clone(&self.replicas[on].sessions), known.id.clone());
                let ending = spawn(async move {
                    match sessions.end(&id, &nobody()).await {
                        Ok(()) => Outcome::Served(None),
                        Err(fault) => of_fault(fault),
                    }
                });
                self.begin(step, on, Doing::Delete(session, ending));
            }
            Step::Wait(milliseconds) => {
                return self.pass(Duration::from_millis(milliseconds)).await;
            }
            Step::Hold { on, what, after } => self.replicas[on].line.hold(what, after),
            Step::Open { on } => self.reach(on, Line::open),
            Step::Release { on } => self.reach(on, Line::release),
            Step::Lose { on } => self.reach(on, Line::lose),
            Step::Deafen { on } => self.replicas[on].member.deafen(),
            Step::Deliver { on, backwards } => self.replicas[on].member.deliver(backwards),
            Step::Rejoin { on } => self.replicas[on].member.rejoin(),
            Step::Miss { from, to } if from == to => {}
            Step::Miss { from, to } => {
                self.replicas[to].member.miss(&self.replicas[from].member);
            }
            Step::Restart { on } => {
                self.orphans += self.may_be_left_by(on);
                self.replicas[on].die(&self.bus);
                // What it had not told the store yet is lost with it.
                self.sessions.iter_mut().for_each(|known| known.used = None);
                self.replicas[on] = self.start().await;
            }
            Step::Offer => {
                self.tools += 1;
                let tool = format!(
                    r#"{{"name":"more_{}","inputSchema":{{"type":"object"}}}}"#,
                    self.tools
                );
                self.backend.add(Kind::Tools, &tool, fixed(Answer::text("more"))).await;
            }
        }
        self.settle().await;
    }

    fn reach(&mut self, on: usize, how: fn(&Line)) {
        let replica = &mut self.replicas[on];
        how(&replica.line);
        replica.reaches_since = Instant::now();
    }

    fn begin(&mut self, what: Step, on: usize, doing: Doing) {
        let replica = &self.replicas[on];
        let (reached, quiet) = (replica.line.reached(), replica.line.quiet_since());
        let on = (on, replica.number);
        self.under_way.push(UnderWay { what, began: Instant::now(), on, reached, quiet, doing });
    }

    /// Lets what can be done be done.
    async fn settle(&mut self) {
        let until = Instant::now() + AT_ONCE;
        while Instant::now() < until {
            sleep(Duration::from_millis(1)).await;
            self.collect().await;
            if self.under_way.is_empty() {
                break;
            }
        }
        sleep(Duration::from_millis(1)).await;
    }

    async fn pass(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            sleep((time / 100).max(Duration::from_millis(10))).await;
            self.collect().await;
        }
    }

    /// Judges what has ended.
    async fn collect(&mut self) {
        let (ended, under_way) =
            std::mem::take(&mut self.under_way).into_iter().partition(UnderWay::has_ended);
        self.under_way = under_way;
        if ended.is_empty() {
            return;
        }
        self.note_lapsed().await;
        for ended in ended {
            self.judge(ended);
        }
    }

    fn judge(
        &mut self,
        UnderWay { what, began, on: (on, number), reached, quiet, doing }: UnderWay,
    ) {
        let replica = &self.replicas[on];
        if replica.number != number {
            // It has died, and its answer went nowhere.
            return;
        }
        let line = &replica.line;
        let manner = Manner {
            began,
            reached: reached.is_some() && line.reached() == reached,
            quiet: quiet.is_some() && line.quiet_since() == quiet,
            reaches_since: replica.reaches_since,
        };
        let wrong = match doing {
            Doing::Create(creating) => match now(creating) {
                Ok(id) => {
                    self.sessions.push(Known::new(id));
                    None
                }
                Err(fault) => manner.quiet.then(|| fault.to_string()),
            },
            Doing::Use(session, using) => {
                let (outcome, known) = (now(using), &mut self.sessions[session]);
                let gone = self.ledger.gone(known.key);
                if matches!(outcome, Outcome::Served(_)) && gone.is_none() {
                    known.used = manner.quiet.then_some(began).or(known.used);
                }
                let wrong = known.used(&outcome, manner, gone, self.per_request);
                wrong.map(|why| format!("{outcome:?}: {why}"))
            }
            Doing::Delete(session, ending) => {
                let (outcome, known) = (now(ending), &mut self.sessions[session]);
                let gone = self.ledger.gone(known.key);
                known.deleted(&outcome, manner, gone).map(|why| format!("{outcome:?}: {why}"))
            }
        };
        self.wrong.extend(wrong.map(|why| format!("{what:?}: {why}")));
    }

    /// Notes which records are there no more for clients, though nobody has ended them.
    async fn note_lapsed(&mut self) {
        let now = self.now();
        for known in &mut self.sessions {
            let loaded = self.store.load(known.key, now).await.expect("it is at hand");
            if loaded.is_none() && self.ledger.gone(known.key).is_none() {
                known.lapse();
            }
        }
    }

    /// Looks at all records.
    async fn look(&mut self) {
        self.wrong.extend(self.ledger.wrong());
        self.note_lapsed().await;
        let now = self.now();
        let undisturbed = self.replicas.iter().all(|replica| replica.line.quiet_since().is_some());
        for (number, known) in self.sessions.iter_mut().enumerate() {
            let gone = self.ledger.gone(known.key);
            let loaded = self.store.load(known.key, now).await;
            match (loaded.expect("it is at hand"), gone) {
                (Some(_), Some(_)) => self.wrong.push(format!("session {number} stands again")),
                (None, Some(gone)) => self.wrong.extend(known.expired(gone)),
                (_, None) => {}
            }
            if !undisturbed {
                // Its use may not have been told.
                known.used = None;
            }
        }
    }

    /// Lets everything come to its end: nothing may be left.
    async fn finish(&mut self) {
        for on in 0..REPLICAS {
            self.replicas[on].member.deliver(false);
            self.reach(on, Line::release);
        }
        let until = Instant::now() + CLEARED;
        loop {
            self.pass(Duration::from_secs(3)).await;
            let records = self.store.records().await.expect("it is at hand");
            let open = self.backend.sessions().len();
            if records == 0 && open <= self.orphans && self.under_way.is_empty() {
                break;
            }
            if Instant::now() > until {
                let waiting: Vec<_> = self.under_way.iter().map(|doing| doing.what).collect();
                self.wrong.push(format!(
                    "left in the end: {records} records, {open} backend sessions, and {waiting:?}"
                ));
                break;
            }
        }
        self.look().await;
    }

    /// How many backend sessions a replica leaves open at most that is about to die: those that no
    /// record holds yet, and what it is about to open.
    fn may_be_left_by(&self, on: usize) -> usize {
        let number = self.replicas[on].number;
        let opening = self.under_way.iter().filter(|doing| doing.on == (on, number)).count();
        opening + self.backend.sessions().len().saturating_sub(self.ledger.holding())
    }

    /// The time on the clock of all.
    fn now(&self) -> Timestamp {
        let since_epoch = self.began.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Timestamp(began).after(self.began.1.elapsed())
    }
}

impl Replica {
    fn die(&self, bus: &Bus) {
        self.line.cut();
        bus.leave(&self.member);
        self.background.stop().cancel();
    }
}

impl UnderWay {
    fn has_ended(&self) -> bool {
        match &self.doing {
            Doing::Create(answer) => !answer.is_empty(),
            Doing::Use(_, answer) | Doing::Delete(_, answer) => !answer.is_empty(),
        }
    }
}

/// Does something by itself.
fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> oneshot::Receiver<T> {
    let (sender, answer) = oneshot::channel();
    super::start(async move {
        // Nobody may wait for it any more.
        let _given_up = sender.send(work.await);
    });
    answer
}

/// An answer that is there.
fn now<T>(mut answer: oneshot::Receiver<T>) -> T {
    answer.try_recv().expect("it is there")
}

async fn use_it(sessions: &Sessions, id: &str, how: Use) -> Outcome {
    let session = match sessions.find(id, &nobody(), client()).await {
        Ok(session) => session,
        Err(fault) => return of_fault(fault),
    };
    let (method, params) = match how {
        Use::Call => ("tools/call", r#"{"name":"backend_count"}"#),
        Use::List => ("tools/list", "{}"),
        Use::Level => ("logging/setLevel", r#"{"level":"error"}"#),
        Use::Subscribe => ("resources/subscribe", r#"{"uri":"a://b"}"#),
    };
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    let message = Message::parse(text.into()).expect("a message");
    let text = match session.handle(&nobody(), message).await {
        Ok(Reply::Ready(text)) => text,
        Ok(Reply::Parts(parts)) => parts.concat().into(),
        Ok(Reply::Accepted | Reply::Relay(_) | Reply::Stream(_)) => {
            return Outcome::Failed("not a whole answer".to_owned());
        }
        Err(fault) => return of_fault(fault),
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let Ok(answer) = serde_json::from_str::<serde_json::Value>(&text) else {
        return Outcome::Failed(text);
    };
    if answer["result"].is_null() {
        return Outcome::Failed(text);
    }
    let count = answer["result"]["content"][0]["text"].as_str();
    Outcome::Served(count.and_then(|count| count.parse().ok()))
}

fn of_fault(fault: Fault) -> Outcome {
    match fault {
        Fault::SessionUnknown => Outcome::Unknown,
        Fault::Unavailable(why) => Outcome::Unavailable(why.to_string()),
        other => Outcome::Failed(other.to_string()),
    }
}
