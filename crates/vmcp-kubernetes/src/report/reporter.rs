//! Reads the object of a virtual server, merges and writes its status, at every interval and when something changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, SystemTime},
};

use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::{
    sync::watch::Receiver,
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    Register, Report,
    alive::Alive,
    lines::{Lines, digest, replica_name},
    merge::{Gone, Merged, Own, Told, merge},
};
use crate::{
    cluster::Cluster,
    trouble::{cause, code},
};

/// How often a replica shows that it lives.
const REFRESH: Duration = Duration::from_secs(5 * 60);

/// How many such times may pass until others take it for gone.
const MISSED: u32 = 3;

/// How long changes are gathered that come one after the other, and up to as much again.
const GATHER: Duration = Duration::from_millis(500);

/// How soon after a look at the object a change makes it look again, at the earliest.
const GAP: Duration = Duration::from_secs(5);

/// How often it is tried to write what others have written over meanwhile.
const ATTEMPTS: u32 = 6;

/// How long to wait after the first such attempt; twice as long each time. The operator answers each write within
/// 0.4 s.
const AGAIN: Duration = Duration::from_millis(100);

/// How long another replica may say nothing after this one has lost a backend, until it is taken to have ended before.
/// Longer than it takes to notice that a watch is dead, or until a kubelet has brought a file to every pod.
const FORGET: Duration = Duration::from_secs(150);

/// How long a request may take.
const REQUEST: Duration = Duration::from_secs(10);

/// How long the register may take to answer.
const REGISTER: Duration = Duration::from_secs(2);

/// How long it may take to leave.
const LEAVE: Duration = Duration::from_secs(3);

/// Who writes, in the object's list of managed fields.
const WRITER: &str = "vmcp";

/// Reports what one replica of a virtual server sees, in the status of the server's object.
///
/// A replica costs the API server a `get` at each interval, and a write (`patch`) on each change and, unless it
/// [shares](Self::share) a register with the others, every 5 minutes. What the pod's Role needs is just that: `get` of `virtualmcpservers`, `patch` of
/// `virtualmcpservers/status`.
pub struct Reporter {
    cluster: Cluster,
    server: String,
    replica: String,
    interval: Duration,
    alive: Alive,
    /// Where the next jitter comes from.
    dice: u64,
    /// Where the replicas say that they live, if it is not by their lines.
    register: Option<Arc<dyn Register>>,
    /// When it wrote last.
    written: Option<Instant>,
    /// Whether a line of it may stand there.
    has_line: bool,
    /// Trouble that is not over, and whether it has been told.
    trouble: Option<(Trouble, bool)>,
    was_left_out: bool,
    /// What it waited for when it wrote last.
    waited_for: Option<String>,
    /// The backends that it knew last.
    known: BTreeSet<String>,
    /// Those that it knew and that are gone, since when.
    lost: BTreeMap<String, Instant>,
}

/// Why the status could not be written, as far as it decides what to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Somebody else wrote in between.
    Conflict,
    /// There is no such object, or no such kind.
    Missing,
    /// The API server does not know who asks.
    Unproven,
    /// The service account may not.
    Forbidden,
    /// The API server takes no such status.
    Refused,
    Away,
}

impl Reporter {
    /// Reports in the name of a replica (its pod) on the VirtualMCPServer of that name, which lies in the namespace
    /// of the cluster. It rereads the object at every interval. Nothing is asked until it [runs](Self::run).
    pub fn new(cluster: Cluster, server: String, replica: &str, interval: Duration) -> Self {
        let replica = replica_name(replica);
        let interval = interval.max(Duration::from_secs(1));
        Self {
            cluster,
            server,
            alive: Alive::new(REFRESH.max(interval) * MISSED, interval),
            dice: digest([replica.as_str()].into_iter()),
            register: None,
            replica,
            interval,
            written: None,
            has_line: false,
            trouble: None,
            was_left_out: false,
            waited_for: None,
            known: BTreeSet::new(),
            lost: BTreeMap::new(),
        }
    }

    /// Has the replicas say in a place that they share that they live: at rest nothing is written into the status.
    pub fn share(&mut self, register: Arc<dyn Register>) {
        self.register = Some(register);
    }

    /// Reports for ever, which is until nobody can send a report any more. The first is `None` until it is known
    /// which backends there are: until then nothing is written.
    pub async fn run(&mut self, mut reports: Receiver<Option<Arc<Report>>>) {
        if reports.wait_for(Option::is_some).await.is_err() {
            return;
        }
        sleep(self.varied(GATHER, GATHER)).await;
        let mut last = Arc::new(Report::default());
        loop {
            let now = reports.borrow_and_update().clone();
            last = now.unwrap_or(last);
            self.report(Some(&last)).await;
            if !self.wait(&mut reports, &last).await {
                return;
            }
        }
    }

    /// Takes back what this replica has said, for it ends. Takes 3 seconds at most. If nothing can be written, the
    /// others take it back after 15 minutes.
    pub async fn leave(mut self) {
        if self.has_line {
            let _is_late = timeout(LEAVE, self.report(None)).await;
        }
    }

    /// Waits for the next interval, or for something that must be told before. Returns whether there is somebody
    /// who reports.
    async fn wait(&mut self, reports: &mut Receiver<Option<Arc<Report>>>, last: &Report) -> bool {
        let start = Instant::now();
        let next = start + self.varied(self.interval, self.interval / 10);
        loop {
            tokio::select! {
                () = sleep_until(next) => return true,
                changed = reports.changed() => if changed.is_err() {
                    return false;
                }
            }
            let now = reports.borrow_and_update().clone();
            if now.is_some_and(|now| !now.is_as_urgent_as(last)) {
                let early = Instant::now().max(start + GAP) + self.varied(GATHER, GATHER);
                sleep_until(early.min(next)).await;
                return true;
            }
        }
    }

    /// Brings the status to what it should be, if the API server lets it.
    async fn report(&mut self, report: Option<&Report>) {
        self.enter(report.is_some()).await;
        if let Some(report) = report {
            self.note_lost(report);
        }
        let mut pause = AGAIN;
        for attempt in 1.. {
            let Err((trouble, error)) = self.attempt(report).await else { break };
            if trouble != Trouble::Conflict || attempt == ATTEMPTS {
                return self.tell(trouble, &error);
            }
            sleep(self.varied(pause, pause)).await;
            pause *= 2;
        }
        if self.trouble.take().is_some_and(|(_, is_told)| is_told) {
            tracing::info!("the status of the VirtualMCPServer can be written again");
        }
    }

    /// Says in the register that this replica lives, or that it ends.
    async fn enter(&self, lives: bool) {
        if let Some(register) = &self.register {
            let holds = if lives { self.interval * 4 } else { Duration::ZERO };
            let _is_late =
                timeout(REGISTER, register.enter(&self.entered(&self.replica), holds)).await;
        }
    }

    /// What the register says of the replicas of these lines.
    async fn registered(&self, lines: &Lines) -> BTreeMap<String, bool> {
        let Some(register) = &self.register else { return BTreeMap::new() };
        let mut registered = BTreeMap::new();
        for replica in lines.0.keys().filter(|replica| **replica != self.replica) {
            let lives = timeout(REGISTER, register.has(&self.entered(replica))).await;
            // One that does not answer is not asked for all of them in turn.
            let Ok(Some(lives)) = lives else { break };
            registered.insert(replica.clone(), lives);
        }
        registered
    }

    /// What a replica is called in a register that other servers may share.
    fn entered(&self, replica: &str) -> String {
        format!("{}/{}/{replica}", self.cluster.namespace(), self.server)
    }

    async fn attempt(&mut self, report: Option<&Report>) -> Result<(), (Trouble, String)> {
        let objects = self.cluster.virtual_servers();
        let object = answered(objects.get(&self.server)).await?;
        let told = Told::read(&object.data["status"], object.metadata.generation);
        let registered = self.registered(&told.lines).await;
        let registered = |replica: &str| registered.get(replica).copied();
        let replicas = self.alive.look(&told.lines, &self.replica, registered, Instant::now());
        let gone = Gone { replicas, backends: self.forgotten(&told.lines) };
        let is_old = self.written.is_none_or(|written| written.elapsed() >= REFRESH);
        let is_due = is_old && self.register.is_none();
        let waits_for = report.and_then(|report| report.waiting.clone());
        let is_anew = report.is_some() && waits_for != self.waited_for;
        let own = Own { replica: &self.replica, report, is_due, is_anew };
        let Merged { status, is_left_out } = merge(&told, &own, &gone, SystemTime::now());
        if is_left_out && !self.was_left_out {
            tracing::warn!(
                replica = self.replica,
                "the status of the VirtualMCPServer has no room for what this replica sees; it shows what others see"
            );
        }
        self.was_left_out = is_left_out;
        let Some(status) = status else {
            self.waited_for = waits_for;
            return Ok(());
        };
        let version = object.metadata.resource_version;
        let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
        let writer = PatchParams { field_manager: Some(WRITER.to_owned()), ..Default::default() };
        let patch = Patch::Merge(&patch);
        self.has_line = true;
        answered(objects.patch_status(&self.server, &writer, &patch)).await?;
        self.written = Some(Instant::now());
        self.waited_for = waits_for;
        Ok(())
    }

    /// Notes which backends have gone.
    fn note_lost(&mut self, report: &Report) {
        let names = report.backends.iter().map(|backend| backend.name.clone());
        let known: BTreeSet<String> = names.collect();
        let now = Instant::now();
        self.lost.extend(self.known.difference(&known).map(|name| (name.clone(), now)));
        self.lost.retain(|name, since| !known.contains(name) && since.elapsed() < REFRESH * MISSED);
        self.known = known;
    }

    /// The backends that are gone and stand in lines of others still, which nobody has written since: who lives and
    /// sees the cluster says within seconds that one is gone. Who has written since knows better, whatever it says.
    fn forgotten(&self, lines: &Lines) -> BTreeMap<String, BTreeSet<String>> {
        let others = lines.0.keys().filter(|replica| **replica != self.replica);
        let of = |replica: &String| {
            let is_forgotten = |since: &Instant| {
                let time = since.elapsed();
                time >= FORGET && self.alive.is_silent(replica, time)
            };
            let lost = self.lost.iter().filter(|(_, since)| is_forgotten(since));
            (replica.clone(), lost.map(|(name, _)| name.clone()).collect())
        };
        others.map(of).collect()
    }

    /// Tells of trouble once.
    fn tell(&mut self, trouble: Trouble, error: &str) {
        let is_refusal = |one| matches!(one, Trouble::Unproven | Trouble::Forbidden);
        let before = self.trouble;
        // An API server that starts refuses all for a moment. What is missing is refused at the next interval, too.
        let is_passing =
            is_refusal(trouble) && !before.is_some_and(|(before, _)| is_refusal(before));
        let was_told = before.is_some_and(|(before, is_told)| is_told && before == trouble);
        // What was told is over only when all is well.
        let is_told = !is_passing || before.is_some_and(|(_, is_told)| is_told);
        self.trouble = Some((trouble, is_told));
        if is_passing || was_told {
            return;
        }
        let (server, namespace) = (&self.server, self.cluster.namespace());
        match trouble {
            Trouble::Missing => tracing::warn!(
                error,
                server,
                namespace,
                "there is no VirtualMCPServer of this name; its status is not reported until there is"
            ),
            Trouble::Unproven => tracing::warn!(
                error,
                server,
                namespace,
                "the status of the VirtualMCPServer is not reported, as the API server does not know who asks; see \
                 whether {} is good",
                self.cluster.credential()
            ),
            Trouble::Forbidden => tracing::warn!(
                error,
                server,
                namespace,
                "the service account may not report the status of the VirtualMCPServer; grant it get on \
                 virtualmcpservers and patch on virtualmcpservers/status"
            ),
            Trouble::Conflict | Trouble::Refused | Trouble::Away => tracing::warn!(
                error,
                server,
                namespace,
                "the status of the VirtualMCPServer cannot be written; it is tried again at each interval"
            ),
        }
    }

    /// A time, and up to some more, which is another for each replica.
    fn varied(&mut self, time: Duration, more: Duration) -> Duration {
        // SplitMix64.
        self.dice = self.dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.dice ^ (self.dice >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let part = (mixed ^ (mixed >> 31)) % 1000;
        time + more * u32::try_from(part).unwrap_or_default() / 1000
    }
}

/// What the API server answers in time.
async fn answered<T>(
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T, (Trouble, String)> {
    let Ok(answer) = timeout(REQUEST, request).await else {
        return Err((Trouble::Away, "the API server does not answer".to_owned()));
    };
    answer.map_err(|error| {
        let trouble = match code(&error) {
            409 => Trouble::Conflict,
            404 => Trouble::Missing,
            401 => Trouble::Unproven,
            403 => Trouble::Forbidden,
            400 | 413 | 422 => Trouble::Refused,
            _ => Trouble::Away,
        };
        (trouble, cause(&error))
    })
}
