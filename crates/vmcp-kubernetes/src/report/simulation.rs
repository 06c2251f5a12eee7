//! Replicas that report to one API server, over minutes and hours that pass in a moment.

mod server;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use tokio::{
    sync::watch::{self, Sender},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep},
};

use self::server::{Mood, Server};
use super::{Answer, Register, Report, Reporter, merge::tests::report};

const MINUTE: Duration = Duration::from_secs(60);

const INTERVAL: Duration = Duration::from_secs(30);

/// Pods of one virtual server, and what they report to.
struct Pods {
    server: Server,
    /// Where they say that they live, if they share something.
    shared: Option<Arc<Shared>>,
    tasks: JoinSet<()>,
}

/// What replicas share.
#[derive(Default)]
struct Shared {
    until: Mutex<BTreeMap<String, Instant>>,
    is_away: AtomicBool,
}

impl Register for Shared {
    fn enter(&self, replica: &str, holds: Duration) -> Answer<'_, ()> {
        if !self.is_away.load(Ordering::Relaxed) {
            self.until.lock().unwrap().insert(replica.to_owned(), Instant::now() + holds);
        }
        Box::pin(async {})
    }

    fn has(&self, replica: &str) -> Answer<'_, Option<bool>> {
        let until = self.until.lock().unwrap().get(replica).copied();
        let lives = until.is_some_and(|until| until > Instant::now());
        let is_away = self.is_away.load(Ordering::Relaxed);
        Box::pin(async move { (!is_away).then_some(lives) })
    }
}

/// One of them.
struct Pod {
    sees: Sender<Option<Arc<Report>>>,
    task: AbortHandle,
}

impl Pods {
    fn new() -> Self {
        Self { server: Server::new(), shared: None, tasks: JoinSet::new() }
    }

    fn that_share(shared: &Arc<Shared>) -> Self {
        Self { shared: Some(Arc::clone(shared)), ..Self::with_operator() }
    }

    fn with_operator() -> Self {
        let mut pods = Self::new();
        let server = pods.server.clone();
        pods.tasks.spawn(async move { server.operate().await });
        pods
    }

    /// Starts a pod that sees this of its backends.
    fn start(&mut self, name: &str, letters: &str) -> Pod {
        let (sees, reports) = watch::channel(Some(Arc::new(report(letters))));
        let cluster = self.server.cluster();
        let mut reporter = Reporter::new(cluster, "hub".to_owned(), name, INTERVAL);
        if let Some(shared) = &self.shared {
            reporter.share(Arc::clone(shared) as Arc<dyn Register>);
        }
        let task = self.tasks.spawn(async move {
            reporter.run(reports).await;
            reporter.leave().await;
        });
        Pod { sees, task }
    }

    /// The lines of the replicas that stand in the status.
    fn lines(&self) -> Vec<String> {
        let state = self.server.state();
        let conditions = state.status["conditions"].as_array().cloned().unwrap_or_default();
        let kept = conditions.iter().find(|condition| condition["type"] == "VMCPReplicas");
        let message = kept.map(|kept| kept["message"].as_str().unwrap()).unwrap_or_default();
        message.split("; ").skip(1).map(str::to_owned).collect()
    }

    fn names(&self) -> Vec<String> {
        let name = |line: &String| line.split(' ').next().unwrap().to_owned();
        self.lines().iter().map(name).collect()
    }

    fn seen(&self) -> Value {
        self.server.state().history.last().cloned().unwrap_or_default()
    }

    fn writes(&self) -> u64 {
        self.server.state().writes
    }
}

impl Pod {
    fn sees(&self, letters: &str) {
        self.sees.send_replace(Some(Arc::new(report(letters))));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_runs_alone_costs_a_get_an_interval_and_a_write_each_five_minutes() {
    let mut pods = Pods::with_operator();
    let pod = pods.start("hub-1", "ru");
    let start = Instant::now();
    for check in 0.. {
        let mut seen = report("ru");
        seen.backends[0].last_check = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(check));
        seen.backends[1].failures = check;
        pod.sees.send_replace(Some(Arc::new(seen)));
        sleep(Duration::from_secs(1)).await;
        if start.elapsed() >= 60 * MINUTE {
            break;
        }
    }
    let state = pods.server.state();
    assert!((108..=121).contains(&state.gets), "{}", state.gets);
    assert!((10..=12).contains(&state.writes), "{}", state.writes);
    assert_eq!(state.answers, 1);
    assert_eq!(state.conflicts, 0);
    assert_eq!(state.status["message"], "1 of 2 are up");
    assert_eq!(state.history, [json!(["Degraded", ["ready", "unavailable"], 1])]);
    assert!(state.status["discoveredBackends"][1]["consecutiveFailures"].as_u64() > Some(3000));
}

#[tokio::test(start_paused = true)]
async fn replicas_that_see_different_things_come_to_one_steady_status() {
    let mut pods = Pods::with_operator();
    let all = ["rrr", "rur", "rrr", "rud", "-rr"];
    let started: Vec<_> = all
        .iter()
        .enumerate()
        .map(|(index, letters)| pods.start(&format!("hub-{index}"), letters))
        .collect();
    sleep(2 * MINUTE).await;
    assert_eq!(pods.lines().len(), all.len());
    let steady = json!(["Degraded", ["ready", "degraded", "degraded"], 1]);
    assert_eq!(pods.seen(), steady);
    let (writes, answers) = {
        let mut state = pods.server.state();
        state.history.drain(..);
        (state.writes, state.answers)
    };
    assert!(writes <= 10, "{writes}");
    assert!(answers <= writes, "{answers}");

    sleep(60 * MINUTE).await;
    let state = pods.server.state();
    let written = state.writes - writes;
    // One a replica and five minutes.
    assert!((50..=60).contains(&written), "{written}");
    assert_eq!(state.answers - answers, 0);
    assert_eq!(state.history, [steady]);
    let entry = &state.status["discoveredBackends"][1];
    assert_eq!(entry["message"], "ready on 3 of 5 replicas");
    assert_eq!(state.status["url"], "http://hub.test");
    drop(state);
    drop(started);
}

#[tokio::test(start_paused = true)]
async fn replicas_that_share_something_write_nothing_at_rest() {
    let shared = Arc::new(Shared::default());
    let mut pods = Pods::that_share(&shared);
    let _rests = [pods.start("hub-1", "ru"), pods.start("hub-2", "rr")];
    let dies = pods.start("hub-3", "rr");
    sleep(2 * MINUTE).await;
    let writes = pods.writes();
    assert!(writes <= 6, "{writes}");
    sleep(60 * MINUTE).await;
    assert_eq!(pods.writes(), writes);
    let steady = json!(["Degraded", ["ready", "degraded"], 1]);
    assert_eq!(pods.seen(), steady);
    // It is away, and nobody is taken for dead.
    shared.is_away.store(true, Ordering::Relaxed);
    sleep(60 * MINUTE).await;
    assert_eq!((pods.writes(), pods.seen()), (writes, steady));
    shared.is_away.store(false, Ordering::Relaxed);
    sleep(2 * MINUTE).await;
    assert_eq!(pods.writes(), writes);
    // It has forgotten everything.
    shared.until.lock().unwrap().clear();
    sleep(10 * MINUTE).await;
    assert_eq!(pods.writes(), writes);
    dies.task.abort();
    sleep(5 * MINUTE).await;
    assert_eq!(
        (pods.names(), pods.writes()),
        (vec!["hub-1".to_owned(), "hub-2".to_owned()], writes + 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_dies_without_a_word_is_dropped_after_a_quarter_of_an_hour() {
    let mut pods = Pods::with_operator();
    let _lives = pods.start("hub-1", "r");
    let dies = pods.start("hub-2", "u");
    sleep(MINUTE).await;
    assert_eq!(pods.seen(), json!(["Degraded", ["degraded"], 0]));
    dies.task.abort();
    sleep(14 * MINUTE).await;
    assert_eq!(pods.names(), ["hub-1", "hub-2"]);
    sleep(2 * MINUTE).await;
    assert_eq!(pods.names(), ["hub-1"]);
    assert_eq!(pods.seen(), json!(["Ready", ["ready"], 1]));
}

#[tokio::test(start_paused = true)]
async fn what_a_server_waits_for_is_told_as_it_is_now() {
    let mut pods = Pods::new();
    let waits =
        |why: &str| Some(Arc::new(Report { waiting: Some(why.to_owned()), ..Report::default() }));
    let pod = pods.start("hub-1", "");
    for why in ["it may not look", "there is no group"] {
        pod.sees.send_replace(waits(why));
        sleep(Duration::from_secs(10)).await;
        let status = pods.server.state().status.clone();
        assert_eq!((&status["phase"], &status["message"]), (&json!("Pending"), &json!(why)));
    }
    assert_eq!(pods.writes(), 2);
    sleep(4 * MINUTE).await;
    assert_eq!(pods.writes(), 2);
    pod.sees("r");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(pods.seen(), json!(["Ready", ["ready"], 1]));
}

/// A backend that is gone goes though a dead replica has not said so, and no replica that is merely slow, or knows other
/// backends, is overruled.
#[tokio::test(start_paused = true)]
async fn a_backend_goes_that_only_a_dead_replica_still_has() {
    let mut pods = Pods::with_operator();
    let lives = [pods.start("hub-1", "rr"), pods.start("hub-2", "rr")];
    let dies = pods.start("hub-3", "rr");
    sleep(2 * MINUTE).await;
    assert_eq!(pods.seen(), json!(["Ready", ["ready", "ready"], 2]));
    dies.task.abort();
    sleep(MINUTE).await;
    lives.iter().for_each(|pod| pod.sees("r"));
    let mut other = None;
    for _ in 0..20 {
        sleep(Duration::from_secs(10)).await;
        // One that has never known it does not bring it back.
        other.get_or_insert_with(|| pods.start("hub-4", "r"));
    }
    assert_eq!(pods.seen(), json!(["Ready", ["ready"], 1]));
    assert_eq!(pods.names(), ["hub-1", "hub-2", "hub-3", "hub-4"]);
    pods.server.state().history.drain(..);
    sleep(60 * MINUTE).await;
    assert_eq!(pods.names(), ["hub-1", "hub-2", "hub-4"]);
    let history = pods.server.state().history.clone();
    assert!(history.iter().all(|seen| *seen == json!(["Ready", ["ready"], 1])), "{history:?}");
}

/// As in a rollout: new replicas have let go of a backend that the old ones keep.
#[tokio::test(start_paused = true)]
async fn a_replica_that_lives_keeps_a_backend_that_others_have_let_go() {
    let mut pods = Pods::with_operator();
    let lets_go = pods.start("hub-1", "rr");
    let keeps = pods.start("hub-2", "rr");
    sleep(2 * MINUTE).await;
    lets_go.sees("r");
    // It was late to write: its watch was dead.
    sleep(Duration::from_secs(130)).await;
    keeps.sees("ru");
    sleep(60 * MINUTE).await;
    let state = pods.server.state();
    assert_eq!(state.history.last(), Some(&json!(["Degraded", ["ready", "unavailable"], 1])));
    assert!(state.history.len() <= 3, "{:?}", state.history);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_ends_in_order_is_dropped_at_once() {
    let mut pods = Pods::with_operator();
    let _lives = pods.start("hub-1", "r");
    let ends = pods.start("hub-2", "u");
    sleep(MINUTE).await;
    drop(ends.sees);
    sleep(Duration::from_secs(4)).await;
    assert_eq!(pods.names(), ["hub-1"]);
    assert_eq!(pods.seen(), json!(["Ready", ["ready"], 1]));
}

#[tokio::test(start_paused = true)]
async fn a_change_is_told_before_the_next_interval() {
    let mut pods = Pods::new();
    let pod = pods.start("hub-1", "n");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(pods.seen(), json!(["Pending", ["unknown"], 0]));
    pod.sees("r");
    sleep(Duration::from_secs(7)).await;
    assert_eq!(pods.seen(), json!(["Ready", ["ready"], 1]));
    assert_eq!(pods.writes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_comes_and_goes_each_second_costs_a_write_each_five_seconds_at_most() {
    let mut pods = Pods::with_operator();
    let pod = pods.start("hub-1", "r");
    for second in 0..600 {
        pod.sees(if second % 2 == 0 { "r" } else { "u" });
        sleep(Duration::from_secs(1)).await;
    }
    let state = pods.server.state();
    assert!(state.gets <= 130 && state.writes <= 120, "{} {}", state.gets, state.writes);
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_conflicts_ends() {
    let mut pods = Pods::new();
    pods.server.state().mood = Mood::Storm;
    let _pod = pods.start("hub-1", "r");
    sleep(10 * MINUTE).await;
    let (gets, conflicts) = {
        let state = pods.server.state();
        (state.gets, state.conflicts)
    };
    assert_eq!(gets, conflicts);
    assert!((60..=126).contains(&conflicts), "{conflicts}");
    pods.server.state().mood = Mood::Answers;
    sleep(MINUTE).await;
    assert_eq!(pods.writes(), 1);
    assert_eq!(pods.names(), ["hub-1"]);
}

#[tokio::test(start_paused = true)]
async fn many_replicas_that_start_at_once_all_get_their_line_in() {
    let mut pods = Pods::with_operator();
    let started: Vec<_> =
        (0..20).map(|index| pods.start(&format!("hub-{index:02}"), "rrrr")).collect();
    sleep(3 * MINUTE).await;
    assert_eq!(pods.lines().len(), started.len());
    assert_eq!(pods.writes(), 20);
}

#[tokio::test(start_paused = true)]
async fn while_the_api_server_is_away_nothing_is_lost() {
    for mood in [Mood::Refuses(403), Mood::Refuses(404), Mood::Refuses(500), Mood::Hangs] {
        let mut pods = Pods::with_operator();
        let first = pods.start("hub-1", "r");
        let _second = pods.start("hub-2", "r");
        sleep(MINUTE).await;
        pods.server.state().mood = mood;
        sleep(30 * MINUTE).await;
        first.sees("u");
        sleep(MINUTE).await;
        {
            let mut state = pods.server.state();
            state.mood = Mood::Answers;
            state.history.drain(..);
        }
        sleep(2 * MINUTE).await;
        assert_eq!(pods.names(), ["hub-1", "hub-2"]);
        let history = pods.server.state().history.clone();
        let last = json!(["Degraded", ["degraded"], 0]);
        assert!(history.len() <= 2 && history.last() == Some(&last), "{history:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn five_hundred_backends_on_three_replicas_are_reported() {
    let mut pods = Pods::with_operator();
    let letters = "r".repeat(499) + "u";
    let started: Vec<_> =
        (0..3).map(|index| pods.start(&format!("hub-{index}"), &letters)).collect();
    sleep(2 * MINUTE).await;
    assert_eq!(pods.seen()[2], 499);
    let lines: usize = pods.lines().iter().map(String::len).sum();
    assert!(lines < 100, "{lines}");
    assert_eq!(pods.writes(), started.len() as u64);
}
