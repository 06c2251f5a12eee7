//! What a backend does that no server should and that harms nobody: it is made the best of, paced, and
//! told in the log once for each backend.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering},
};
use std::time::Duration;

use tokio::time::Instant;
use vmcp_model::{BackendId, Kind};
use vmcp_wire::{Id, IdKey, Message, Shape, sse::Waste};

use crate::secrets::Secrets;

/// Useless bytes that all streams and processes of one backend may bring in a second. More waits at
/// the backend.
const RATE: u64 = 8 << 20;

/// What a line costs, whatever its length.
const LINE: u64 = 64;

/// How far what was taken may be ahead of that rate.
const AHEAD: Duration = Duration::from_millis(100);

/// How often at most lost sessions are told.
const TOLD: Duration = Duration::from_secs(10);

/// How long it takes to tell a session that was lost alone from those that a backend loses when it starts
/// anew: vmcp's own goes with them, which is noticed at once.
const ALONE: Duration = Duration::from_secs(5);

/// How one backend behaves.
#[derive(Debug)]
pub(crate) struct Conduct {
    /// What nobody else may see of what it says.
    secrets: Arc<Secrets>,
    told: AtomicU32,
    /// When what was taken of useless bytes is paid for.
    paid: Mutex<Instant>,
    /// It asks on streams that are only listened to whether somebody is there.
    pings: AtomicBool,
    /// The lists of which it has been found out that there is nothing, though it declares none: bits in
    /// the order of [`Kind::ALL`].
    lacks: AtomicU32,
    losses: Mutex<Losses>,
}

/// The sessions that a backend has lost.
#[derive(Debug, Default)]
struct Losses {
    /// When one was told of last, and how many have been lost since.
    told: Option<(Instant, u32)>,
    /// When one was lost last to which somebody listened.
    heard: Option<Instant>,
    /// Since when it has lost others, and none of these.
    unheard: Option<Instant>,
}

/// Something odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Oddity {
    /// A list whose cursors lead back to what was there before.
    Circle,
    /// Something on a stream, or between lines, that is no message.
    NoMessage,
    /// Lists that its capabilities do not declare.
    Undeclared,
    /// An answer whose id is of another JSON type than that of its request.
    IdType,
}

impl Oddity {
    const ALL: [Self; 4] = [Self::Circle, Self::NoMessage, Self::Undeclared, Self::IdType];

    /// As a person is told.
    fn remark(self) -> &'static str {
        match self {
            Self::Circle => {
                "gives cursors that lead nowhere: to pages that it has listed already, or to one empty page after the other"
            }
            Self::NoMessage => "sends what is no MCP message",
            Self::Undeclared => "lists what its capabilities do not declare",
            Self::IdType => "answers with ids of another JSON type than it is sent",
        }
    }
}

impl Conduct {
    /// That of a backend that has not done anything yet.
    pub(crate) fn of(secrets: Secrets) -> Self {
        Self { secrets: Arc::new(secrets), ..Self::default() }
    }

    /// What nobody else may see of what it says.
    pub(crate) fn secrets(&self) -> &Arc<Secrets> {
        &self.secrets
    }

    /// Whether this is the first of its kind, so that it is to be told.
    pub(crate) fn is_news(&self, oddity: Oddity) -> bool {
        let bit = 1 << oddity as u32;
        self.told.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    /// What it does that no server should, as far as it has been seen.
    pub(crate) fn remarks(&self) -> Vec<&'static str> {
        let told = self.told.load(Ordering::Relaxed);
        let remarks = Oddity::ALL.into_iter().filter(|oddity| told & (1 << *oddity as u32) != 0);
        remarks.map(Oddity::remark).collect()
    }

    /// Notes that there is nothing in a list that it does not declare.
    pub(crate) fn note_lack(&self, kind: Kind) {
        self.lacks.fetch_or(1 << kind as u32, Ordering::Relaxed);
    }

    /// Whether that has been found out.
    pub(crate) fn lacks(&self, kind: Kind) -> bool {
        self.lacks.load(Ordering::Relaxed) & (1 << kind as u32) != 0
    }

    /// Notes that something was skipped because it is no message.
    pub(crate) fn skipped(&self, backend: &BackendId, what: &str) {
        if self.is_news(Oddity::NoMessage) {
            tracing::warn!(%backend, what, "the backend sent something that is no MCP message, which is skipped; further ones are not told");
        }
    }

    /// The response with the id of its request, if that differs from its own in nothing but the JSON type.
    pub(crate) fn retyped(&self, backend: &BackendId, message: Message, id: &IdKey) -> Message {
        let resembles = |found: Id<'_>| !found.is(id) && found.resembles(id);
        if message.shape() != Shape::Response || !message.id().is_some_and(resembles) {
            return message;
        }
        if self.is_news(Oddity::IdType) {
            let answered = message.id().map(|id| String::from_utf8_lossy(id.text()).into_owned());
            tracing::warn!(%backend, answered, request = ?id, "the backend answers with ids of another JSON type than it is sent");
        }
        Message::parse(message.with_id(&id.to_json())).unwrap_or(message)
    }

    /// Notes that it asks whether somebody is there on streams that are only listened to.
    pub(crate) fn note_ping(&self) {
        self.pings.store(true, Ordering::Relaxed);
    }

    /// Whether it does.
    pub(crate) fn pings(&self) -> bool {
        self.pings.load(Ordering::Relaxed)
    }

    /// Tells of a session that the backend has lost, and of those since the last time, now and then.
    pub(crate) fn tell_lost(&self, backend: &BackendId) {
        let mut losses = self.losses();
        let others = match &mut losses.told {
            Some((told, others)) if told.elapsed() < TOLD => {
                *others += 1;
                return;
            }
            Some((_, others)) => *others,
            None => 0,
        };
        losses.told = Some((Instant::now(), 0));
        drop(losses);
        tracing::warn!(%backend, others, "the backend has lost a client's session, and with it whatever it kept there; it goes on with a new one");
    }

    /// Notes that a session was lost to which somebody listened.
    pub(crate) fn note_lost_heard(&self) {
        let mut losses = self.losses();
        losses.heard = Some(Instant::now());
        losses.unheard = None;
    }

    /// Notes that a session was lost to which nobody listened, and when it was opened.
    pub(crate) fn note_lost_unheard(&self, opened: Instant) {
        let mut losses = self.losses();
        // Else it may have gone with those.
        if losses.heard.is_none_or(|heard| heard < opened) {
            losses.unheard.get_or_insert_with(Instant::now);
        }
    }

    /// Whether it loses the sessions to which nobody listens, and only those.
    pub(crate) fn loses_unheard(&self) -> bool {
        self.losses().unheard.is_some_and(|since| since.elapsed() >= ALONE)
    }

    fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what was useless, and says when more may be read, if not at once.
    pub(crate) fn waste(&self, waste: Waste) -> Option<Instant> {
        if waste == Waste::default() {
            return None;
        }
        let cost = waste.bytes as u64 + LINE * waste.lines as u64;
        let cost = Duration::from_nanos(cost.saturating_mul(1_000_000_000 / RATE));
        let now = Instant::now();
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        *paid = (*paid).max(now) + cost;
        let until = *paid - AHEAD;
        (until > now).then_some(until)
    }
}

impl Default for Conduct {
    fn default() -> Self {
        Self {
            secrets: Arc::default(),
            told: AtomicU32::new(0),
            paid: Mutex::new(Instant::now()),
            pings: AtomicBool::new(false),
            lacks: AtomicU32::new(0),
            losses: Mutex::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn all_streams_of_a_backend_share_what_may_be_useless() {
        let (conduct, began) = (Conduct::default(), Instant::now());
        // Two streams at once, of which each waits as it is told.
        for _turn in 0..100 {
            let waits = [(); 2].map(|()| conduct.waste(Waste { lines: 1000, bytes: 2000 }));
            if let Some(until) = waits.into_iter().flatten().max() {
                tokio::time::sleep_until(until).await;
            }
        }
        let expected = Duration::from_millis(200 * 66_000 * 1000 / RATE);
        let took = began.elapsed() + AHEAD;
        assert!(took > expected.mul_f64(0.95) && took < expected.mul_f64(1.05), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_is_lost_alone_is_told_from_a_new_start() {
        let (conduct, opened) = (Conduct::default(), Instant::now());
        conduct.note_lost_unheard(opened);
        tokio::time::advance(ALONE / 2).await;
        assert!(!conduct.loses_unheard(), "it may have started anew");
        conduct.note_lost_heard();
        tokio::time::advance(ALONE).await;
        conduct.note_lost_unheard(opened);
        tokio::time::advance(ALONE).await;
        assert!(!conduct.loses_unheard(), "it went then, and nobody has noticed");
        conduct.note_lost_unheard(Instant::now());
        tokio::time::advance(ALONE).await;
        assert!(conduct.loses_unheard());
    }

    #[tokio::test(start_paused = true)]
    async fn a_heartbeat_waits_for_nothing() {
        let conduct = Conduct::default();
        for _second in 0..1000 {
            assert_eq!(conduct.waste(Waste { lines: 2, bytes: 30 }), None);
            tokio::time::advance(Duration::from_millis(1)).await;
        }
    }
}
