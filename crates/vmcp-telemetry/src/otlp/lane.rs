//! The way of one signal to its receiver: one batch at a time, tried again for a while.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, Uri, header};
use prost::Message as _;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep, sleep_until, timeout},
};
use vmcp_fetch::{FetchError, Fetcher, Post};

use super::{
    SignalStats,
    proto::{ExportResponse, RpcStatus},
};
use crate::spans;

/// How long a batch is tried for at most.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause after the first failure, and the longest one that is vmcp's own.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 64 << 10;

/// How much of what a receiver says about a failure gets into the log, in bytes.
const MAX_REASON: usize = 256;

/// Who receives all signals.
pub(super) struct Receiver {
    pub(super) fetcher: Fetcher,
    pub(super) headers: HeaderMap,
    /// For each attempt.
    pub(super) timeout: Duration,
}

pub(super) struct Lane {
    signal: &'static str,
    url: Uri,
    receiver: Arc<Receiver>,
    /// How long a batch is tried for.
    patience: Duration,
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    /// Items under way.
    sending: AtomicU64,
    /// What was dropped when the log was last told of it, and whether it says that some are.
    told_dropped: AtomicU64,
    is_dropping: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is being sent. It stays here when whoever sends it goes away.
    batch: Option<Batch>,
    /// When the receiver wants to be asked again.
    not_before: Option<Instant>,
    /// Attempts in a row that failed.
    failures: u32,
    /// Whether the log says that exports fail.
    is_failing: bool,
}

/// What goes in one request.
pub(super) struct Batch {
    pub(super) body: Bytes,
    pub(super) count: u64,
}

/// The right to send on a lane.
pub(super) struct Sending<'l> {
    lane: &'l Lane,
    state: MutexGuard<'l, State>,
}

/// What came of an attempt.
#[derive(Debug, PartialEq)]
enum Attempt {
    /// All but so many items were taken, and why not those.
    Taken { rejected: u64, why: String },
    /// It would be the same another time.
    Refused(String),
    /// Another time may be better, after this pause if there is one.
    Later { why: String, after: Option<Duration> },
}

impl Lane {
    /// Nothing is tried for longer than `usable`.
    pub(super) fn new(
        signal: &'static str,
        url: Uri,
        receiver: Arc<Receiver>,
        usable: Duration,
    ) -> Self {
        Self {
            signal,
            url,
            receiver,
            patience: usable.min(PATIENCE),
            exported: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            sending: AtomicU64::new(0),
            told_dropped: AtomicU64::new(0),
            is_dropping: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Waits for whoever sends now.
    pub(super) async fn sending(&self) -> Sending<'_> {
        Sending { lane: self, state: self.state.lock().await }
    }

    pub(super) fn note_dropped(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    /// Tells the log when items begin to be dropped, not of each.
    pub(super) fn tell_of_dropped(&self) {
        let dropped = self.dropped.load(Ordering::Relaxed);
        let is_dropping = self.told_dropped.swap(dropped, Ordering::Relaxed) != dropped;
        if is_dropping && !self.is_dropping.load(Ordering::Relaxed) {
            tracing::warn!(
                signal = self.signal,
                dropped,
                "more telemetry comes than its receiver takes; what finds the queue full is dropped"
            );
        }
        self.is_dropping.store(is_dropping, Ordering::Relaxed);
    }

    /// What is still under way counts as lost.
    pub(super) fn give_up(&self) {
        let lost = self.sending.swap(0, Ordering::Relaxed);
        self.failed.fetch_add(lost, Ordering::Relaxed);
        if let Ok(mut state) = self.state.try_lock() {
            state.batch = None;
        }
    }

    pub(super) fn stats(&self) -> SignalStats {
        SignalStats {
            exported: self.exported.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            queued: self.sending.load(Ordering::Relaxed),
        }
    }

    async fn attempt(&self, body: &Bytes) -> Attempt {
        let post = Post {
            content_type: "application/x-protobuf",
            headers: &self.receiver.headers,
            body,
            max_answer: MAX_ANSWER,
        };
        let answer = self.receiver.fetcher.post_body(&self.url, post);
        match timeout(self.receiver.timeout, answer).await {
            Ok(Ok(answer)) => judged(&answer),
            Ok(Err(error)) => self.broken(&error),
            Err(_elapsed) => {
                let why = format!("it took longer than {:?}", self.receiver.timeout);
                Attempt::Later { why, after: None }
            }
        }
    }

    fn broken(&self, error: &FetchError) -> Attempt {
        let why = error.to_string().replace(&self.url.to_string(), &shown(&self.url));
        match error {
            FetchError::Unreachable { .. }
            | FetchError::Unusable { .. }
            | FetchError::TooSlow { .. } => Attempt::Later { why, after: None },
            FetchError::NotHttps(_)
            | FetchError::Private { .. }
            | FetchError::Redirected { .. }
            | FetchError::Status { .. }
            | FetchError::Tls(_) => Attempt::Refused(why),
        }
    }
}

impl Sending<'_> {
    /// Has a batch to send, in place of any other.
    pub(super) fn begin(&mut self, batch: Batch) {
        self.lane.sending.store(batch.count, Ordering::Relaxed);
        self.state.batch = Some(batch);
    }

    /// Sends the batch, if there is one, until it is taken or lost.
    pub(super) async fn settle(&mut self) {
        let Some(batch) = &self.state.batch else { return };
        let (body, count) = (batch.body.clone(), batch.count);
        let rejected = self.deliver(&body).await.map_or(count, |rejected| rejected.min(count));
        self.state.batch = None;
        self.lane.sending.store(0, Ordering::Relaxed);
        self.lane.exported.fetch_add(count - rejected, Ordering::Relaxed);
        self.lane.failed.fetch_add(rejected, Ordering::Relaxed);
    }

    /// Tries until it is taken, and says how many items were not; `None` if it was not taken at all.
    async fn deliver(&mut self, body: &Bytes) -> Option<u64> {
        let mut patience = Patience::new(self.lane.patience);
        if let Some(at) = self.state.not_before.take() {
            sleep_until(at).await;
        }
        loop {
            let (why, after) = match self.lane.attempt(body).await {
                Attempt::Taken { rejected: 0, .. } => {
                    self.note_success();
                    return Some(0);
                }
                Attempt::Taken { rejected, why } => {
                    self.note_loss(&why);
                    return Some(rejected);
                }
                Attempt::Refused(why) => {
                    self.note_loss(&why);
                    return None;
                }
                Attempt::Later { why, after } => (why, after),
            };
            self.state.failures += 1;
            if self.state.failures > 1 {
                self.tell_of_failure(&why);
            }
            let Some(pause) = patience.pause(after) else {
                // What comes next has to wait all the same.
                self.state.not_before = after.map(|after| Instant::now() + after.min(PATIENCE));
                self.note_loss(&why);
                return None;
            };
            sleep(pause).await;
        }
    }

    fn note_success(&mut self) {
        self.state.failures = 0;
        if std::mem::take(&mut self.state.is_failing) {
            let lost = self.lane.failed.load(Ordering::Relaxed);
            tracing::info!(signal = self.lane.signal, lost, "telemetry is exported again");
        }
    }

    fn note_loss(&mut self, why: &str) {
        self.state.failures += 1;
        self.tell_of_failure(why);
    }

    /// Tells the log when exports begin to fail, not of each.
    fn tell_of_failure(&mut self, why: &str) {
        if !std::mem::replace(&mut self.state.is_failing, true) {
            tracing::warn!(signal = self.lane.signal, %why, "telemetry cannot be exported");
        }
    }
}

/// How long it is worth trying on.
struct Patience {
    end: Instant,
    next: Duration,
}

impl Patience {
    fn new(longest: Duration) -> Self {
        Self { end: Instant::now() + longest, next: FIRST_PAUSE }
    }

    /// The pause before the next attempt; `None` if there is none any more.
    fn pause(&mut self, after: Option<Duration>) -> Option<Duration> {
        // Many that were turned away together do not come back together.
        let own = self.next.mul_f64(0.5 + spans::fraction());
        self.next = (self.next * 2).min(LONGEST_PAUSE);
        let pause = after.unwrap_or_default().max(own);
        (pause < self.end.saturating_duration_since(Instant::now())).then_some(pause)
    }
}

/// What an answer says (OTLP, sections "OTLP/HTTP Response" and "Retryable Response Codes").
fn judged(answer: &Response<Bytes>) -> Attempt {
    let status = answer.status();
    if status.is_success() {
        // Who answers with something else has taken it all the same.
        let partial = ExportResponse::decode(answer.body().clone()).unwrap_or_default();
        let partial = partial.partial_success.unwrap_or_default();
        let rejected = u64::try_from(partial.rejected).unwrap_or(0);
        let why = format!("it does not take all: {}", readable(&partial.error_message));
        return Attempt::Taken { rejected, why };
    }
    let said = RpcStatus::decode(answer.body().clone()).unwrap_or_default();
    let why = format!("it answers {status} {}", readable(&said.message)).trim_end().to_owned();
    let is_retryable = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    if !is_retryable {
        return Attempt::Refused(why);
    }
    let after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    Attempt::Later { why, after: after.and_then(|after| retry_after(after, SystemTime::now())) }
}

/// A URL without what may be secret: what stands before the host, and behind the path.
fn shown(url: &Uri) -> String {
    let scheme = url.scheme_str().unwrap_or_default();
    let authority = url.authority().map(|authority| authority.as_str()).unwrap_or_default();
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    format!("{scheme}://{host}{}", url.path())
}

/// Seconds, or a date (RFC 9110, section 10.2.3).
fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value.trim()).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// What somebody else says, for a line of the log.
fn readable(text: &str) -> String {
    let text = &text[..text.floor_char_boundary(MAX_REASON)];
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
