//! Sends spans, metrics and records to whoever receives OTLP (OTLP/HTTP with binary protobuf).
//!
//! Nobody who hands something over waits: there are bounded queues, and what finds its queue full is
//! dropped and counted, so that what stands in one already is not torn apart. One task for each signal
//! sends one batch after the other. A receiver that is away costs a bounded amount of memory, and two
//! lines in the log: when it begins, and when it is over.

mod encode;
mod lane;
mod proto;
mod queue;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval_at, timeout_at},
};
use vmcp_fetch::{Fetcher, InvalidRoots, Rules};

use crate::{
    family::Family,
    spans::{Attribute, Span},
};

use encode::Origin;
use lane::{Batch, Lane, Receiver};
use queue::Queue;

/// Where telemetry goes, and how much of it waits.
#[derive(Clone)]
pub struct Config {
    /// The whole URL of each signal; `None` for what is not sent.
    pub traces: Option<Uri>,
    pub metrics: Option<Uri>,
    pub logs: Option<Uri>,
    /// What the receiver is shown. Values are secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Authorities that vouch for the receiver, in PEM, in place of the system's.
    pub ca_bundle: Option<Vec<u8>>,
    /// Whether the receiver may be reached without TLS.
    pub insecure: bool,
    /// For each attempt.
    pub timeout: Duration,
    /// Who sends: `service.name` and the like.
    pub resource: Vec<(String, String)>,
    /// How many spans and how many records wait at most.
    pub max_spans: usize,
    pub max_logs: usize,
    /// How long spans and records wait for others to go with.
    pub batch_interval: Duration,
    pub metrics_interval: Duration,
    /// When metrics began to count.
    pub started: SystemTime,
}

impl Config {
    /// OpenTelemetry's defaults, and no signal.
    pub fn new(started: SystemTime) -> Self {
        Self {
            traces: None,
            metrics: None,
            logs: None,
            headers: Vec::new(),
            ca_bundle: None,
            insecure: false,
            timeout: Duration::from_secs(10),
            resource: Vec::new(),
            max_spans: 2048,
            max_logs: 2048,
            batch_interval: Duration::from_secs(5),
            metrics_interval: Duration::from_secs(60),
            started,
        }
    }
}

/// Without the values of headers.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Config")
            .field("headers", &headers)
            .field("insecure", &self.insecure)
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

/// Something that has happened, for whoever keeps records.
#[derive(Debug, Clone, PartialEq)]
pub struct LogRecord {
    pub time: SystemTime,
    /// `AUDIT`.
    pub severity: &'static str,
    pub body: String,
    pub attributes: Vec<Attribute>,
    /// In which span it has happened.
    pub trace: Option<([u8; 16], [u8; 8])>,
}

/// Work that goes on until it is dropped, or until [`Exporter::flush`] ends it.
pub type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs such work on a runtime.
pub type Spawn<'a> = &'a dyn Fn(Work);

/// Says what all metrics are now.
pub type Gather = Box<dyn Fn() -> Vec<Family> + Send + Sync>;

/// What came of all that was to be sent since the start: spans, points of metrics, records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub traces: SignalStats,
    pub metrics: SignalStats,
    pub logs: SignalStats,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignalStats {
    /// The receiver has taken it.
    pub exported: u64,
    /// It found its queue full, or came too late.
    pub dropped: u64,
    /// The receiver did not take it.
    pub failed: u64,
    /// It waits, or is being sent.
    pub queued: u64,
}

/// Sends what it is given.
pub struct Exporter {
    traces: Option<Arc<Queued<Span>>>,
    logs: Option<Arc<Queued<LogRecord>>>,
    metrics: Option<Arc<Gathered>>,
    /// Whether the tasks are to end.
    ending: watch::Sender<bool>,
}

/// A signal whose items are handed over one by one.
struct Queued<T> {
    lane: Lane,
    queue: Queue<T>,
    origin: Arc<Origin>,
    encode: fn(&Origin, Vec<T>) -> Vec<u8>,
    interval: Duration,
}

/// What becomes of items that make no full batch once one has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// They wait for others: each request costs both sides more than an item.
    Waits,
    Goes,
}

/// A signal that is asked for.
struct Gathered {
    lane: Lane,
    origin: Arc<Origin>,
    gather: Gather,
    interval: Duration,
}

/// The shortest interval, so that nothing spins, and the longest, so that clocks can hold it.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

impl Exporter {
    /// Starts to send. Each signal's work is handed to `spawn`; what it leaves when it is dropped is sent
    /// by [`Self::flush`]. Reads the system's authorities where the configuration has none.
    pub fn start(
        config: Config,
        gather: Gather,
        spawn: Spawn<'_>,
    ) -> Result<Arc<Self>, InvalidRoots> {
        let fetcher = Fetcher::new(Rules {
            ca_bundle: config.ca_bundle.as_deref(),
            allow_private_ip: true,
            private_ip_key: "",
            allow_http: config.insecure,
        });
        // Without TLS nobody has to vouch for anybody.
        let urls = [&config.traces, &config.metrics, &config.logs];
        let secure = urls.into_iter().flatten().any(|url| url.scheme_str() != Some("http"));
        if let Some(problem) = fetcher.problem().filter(|_| secure) {
            return Err(problem);
        }
        let batch_interval = config.batch_interval.clamp(SHORTEST, LONGEST);
        let mut headers = HeaderMap::new();
        for (name, mut value) in config.headers {
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let receiver = Arc::new(Receiver { fetcher, headers, timeout: config.timeout });
        let origin = Arc::new(Origin::new(config.resource, config.started));
        let lane = |signal, url, usable| Lane::new(signal, url, Arc::clone(&receiver), usable);
        let traces = config.traces.map(|url| {
            Arc::new(Queued {
                lane: lane("traces", url, Duration::MAX),
                queue: Queue::new(config.max_spans),
                origin: Arc::clone(&origin),
                encode: encode::spans,
                interval: batch_interval,
            })
        });
        let logs = config.logs.map(|url| {
            Arc::new(Queued {
                lane: lane("logs", url, Duration::MAX),
                queue: Queue::new(config.max_logs),
                origin: Arc::clone(&origin),
                encode: encode::logs,
                interval: batch_interval,
            })
        });
        let metrics = config.metrics.map(|url| {
            let interval = config.metrics_interval.clamp(SHORTEST, LONGEST);
            Arc::new(Gathered { lane: lane("metrics", url, interval), origin, gather, interval })
        });
        let exporter = Arc::new(Self { traces, logs, metrics, ending: watch::Sender::new(false) });
        exporter.spawn(spawn);
        Ok(exporter)
    }

    fn spawn(&self, spawn: Spawn<'_>) {
        let mut works: Vec<Work> = Vec::new();
        if let Some(traces) = self.traces.clone() {
            works.push(Box::pin(async move { traces.run().await }));
        }
        if let Some(logs) = self.logs.clone() {
            works.push(Box::pin(async move { logs.run().await }));
        }
        if let Some(metrics) = self.metrics.clone() {
            works.push(Box::pin(async move { metrics.run().await }));
        }
        for work in works {
            let mut ending = self.ending.subscribe();
            spawn(Box::pin(async move {
                tokio::select! {
                    _ended = ending.wait_for(|ending| *ending) => {}
                    () = work => {}
                }
            }));
        }
    }

    /// Whether spans are sent at all.
    pub fn sends_traces(&self) -> bool {
        self.traces.is_some()
    }

    /// Whether records are sent at all.
    pub fn sends_logs(&self) -> bool {
        self.logs.is_some()
    }

    /// Takes spans. It never waits.
    pub fn record(&self, spans: impl IntoIterator<Item = Span>) {
        if let Some(traces) = &self.traces {
            for span in spans {
                traces.take(span);
            }
        }
    }

    /// Takes a record. It never waits.
    pub fn log(&self, record: LogRecord) {
        if let Some(logs) = &self.logs {
            logs.take(record);
        }
    }

    /// Ends the tasks and sends what is left, the metrics as they are now among it, for this long at
    /// most. What comes later is dropped.
    pub async fn flush(&self, patience: Duration) {
        let deadline = Instant::now() + patience.min(LONGEST);
        self.ending.send_replace(true);
        let traces = async {
            if let Some(traces) = &self.traces {
                traces.flush(deadline).await;
            }
        };
        let logs = async {
            if let Some(logs) = &self.logs {
                logs.flush(deadline).await;
            }
        };
        let metrics = async {
            if let Some(metrics) = &self.metrics {
                let _late = timeout_at(deadline, metrics.send()).await;
                metrics.lane.give_up();
            }
        };
        tokio::join!(traces, logs, metrics);
    }

    /// What has come of everything so far.
    pub fn stats(&self) -> Stats {
        Stats {
            traces: self.traces.as_ref().map(|traces| traces.stats()).unwrap_or_default(),
            logs: self.logs.as_ref().map(|logs| logs.stats()).unwrap_or_default(),
            metrics: self.metrics.as_ref().map(|metrics| metrics.lane.stats()).unwrap_or_default(),
        }
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl<T: queue::Weighed> Queued<T> {
    fn take(&self, item: T) {
        if !self.queue.push(item) {
            self.lane.note_dropped(1);
        }
    }

    async fn run(&self) {
        loop {
            self.queue.wait(self.interval).await;
            self.send(Rest::Waits).await;
        }
    }

    /// Sends batch after batch.
    async fn send(&self, rest: Rest) {
        let mut sending = self.lane.sending().await;
        // What was left under way by a task that has ended.
        sending.settle().await;
        loop {
            let items = self.queue.pop();
            let count = items.len();
            if count == 0 {
                return;
            }
            let body = (self.encode)(&self.origin, items).into();
            sending.begin(Batch { body, count: count as u64 });
            sending.settle().await;
            self.lane.tell_of_dropped();
            if rest == Rest::Waits && !self.queue.has_batch() {
                return;
            }
        }
    }

    async fn flush(&self, deadline: Instant) {
        let _late = timeout_at(deadline, self.send(Rest::Goes)).await;
        self.lane.note_dropped(self.queue.close());
        self.lane.give_up();
    }

    fn stats(&self) -> SignalStats {
        let mut stats = self.lane.stats();
        stats.queued += self.queue.len() as u64;
        stats
    }
}

impl Gathered {
    async fn run(&self) {
        let mut ticks = interval_at(Instant::now() + self.interval, self.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.send().await;
        }
    }

    async fn send(&self) {
        let mut sending = self.lane.sending().await;
        // What is older says nothing that this does not.
        let (body, count) = encode::metrics(&self.origin, (self.gather)());
        if count > 0 {
            sending.begin(Batch { body: body.into(), count });
            sending.settle().await;
        }
    }
}
