//! What a reader sees while series are folded: nothing that is shown goes down or jumps, and each request is new once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use proptest::{collection::vec, prelude::*, sample::select};
use vmcp_model::{
    Era, Kind, Method,
    trail::{End, Via, Why},
};
use vmcp_telemetry::{
    catalogue::requests::{
        BACKEND_DURATION, BACKEND_ERRORS, BACKEND_REQUESTS, CLIENT_DURATION, REQUEST_DURATION,
        REQUESTS, SERIES, SERIES_DROPPED, SERVER_DURATION, TOOL_CALLS,
    },
    family::{Family, Metric, MetricKind, Value},
    metrics::Metrics,
};

use crate::support::{Request, Server, call, metrics, points, sum};

/// All points of all counters and histograms: of which metric and with which attributes, and their numbers.
type Shown = BTreeMap<(&'static str, String), Vec<u64>>;

#[derive(Debug, Clone)]
enum Step {
    /// This thread counts a request.
    Count(usize, Request),
    /// This thread ends, and another takes its place.
    Replace(usize),
}

const THREADS: usize = 3;

fn step(names: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        20 => (0..THREADS, request(names)).prop_map(|(thread, request)| Step::Count(thread, request)),
        1 => (0..THREADS).prop_map(Step::Replace),
    ]
}

fn request(names: usize) -> impl Strategy<Value = Request> {
    let failed = End::Failed { why: Why::Timeout, code: -32603, message: "late".into() };
    let ends = [
        Some(End::Answered),
        Some(End::Answered),
        Some(End::ToolError),
        Some(End::Error { code: -32602, message: "no".into() }),
        Some(failed),
        None,
    ];
    let backend = select(vec![Some("jira"), Some("jira"), Some("github"), Some("other"), None]);
    let era = select(vec![Era::Legacy, Era::Modern]);
    let status = select(vec![200_u16, 200, 0, 202, 404]);
    (kind(names), backend, era, select(ends.to_vec()), status, any::<bool>()).prop_map(
        |((via, method, capability), backend, era, end, status, is_sent)| {
            let at_backend = call("").at_backend.filter(|_| is_sent && backend.is_some());
            Request { via, method, era, backend, capability, end, status, at_backend, ..call("") }
        },
    )
}

type KindOfRequest = (Via, Option<Method>, Option<(Kind, String)>);

fn kind(names: usize) -> impl Strategy<Value = KindOfRequest> {
    let name = move || {
        // Somebody may really have given this name.
        (0..names).prop_map(|name| if name == 0 { "other".to_owned() } else { format!("t{name}") })
    };
    let named = move |method, kind| {
        name().prop_map(move |name| (Via::Post, Some(method), Some((kind, name))))
    };
    let read = (Kind::Resource, "file:///".to_owned());
    prop_oneof![
        6 => named(Method::ToolsCall, Kind::Tool),
        2 => named(Method::PromptsGet, Kind::Prompt),
        1 => named(Method::CompletionComplete, Kind::Prompt),
        1 => Just((Via::Post, Some(Method::ToolsCall), None)),
        1 => Just((Via::Post, Some(Method::ResourcesRead), Some(read))),
        1 => Just((Via::Post, Some(Method::ToolsList), None)),
        1 => Just((Via::Get, None, None)),
    ]
}

/// Threads that count one after the other.
struct Crew {
    metrics: Arc<Metrics>,
    workers: Vec<Worker>,
}

struct Worker {
    requests: SyncSender<Request>,
    counted: Receiver<()>,
    thread: JoinHandle<()>,
}

impl Worker {
    fn new(metrics: &Arc<Metrics>) -> Self {
        let (requests, wanted) = sync_channel::<Request>(0);
        let (done, counted) = sync_channel(0);
        let server = Server::new(metrics);
        let thread = thread::spawn(move || {
            while let Ok(request) = wanted.recv() {
                server.serve(&request);
                done.send(()).expect("a crew");
            }
        });
        Self { requests, counted, thread }
    }

    fn end(self) {
        drop(self.requests);
        self.thread.join().expect("a worker that did not panic");
    }
}

impl Crew {
    fn new(max_series: usize) -> Self {
        let metrics = metrics(max_series);
        let workers = (0..THREADS).map(|_| Worker::new(&metrics)).collect();
        Self { metrics, workers }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Count(thread, request) => {
                self.workers[*thread].requests.send(request.clone()).expect("a worker");
                self.workers[*thread].counted.recv().expect("a worker");
            }
            Step::Replace(thread) => {
                let new = Worker::new(&self.metrics);
                std::mem::replace(&mut self.workers[*thread], new).end();
            }
        }
    }

    fn end(self) {
        self.workers.into_iter().for_each(Worker::end);
    }
}

fn shown(families: &[Family]) -> Shown {
    let is_counted = |family: &&Family| family.metric.kind != MetricKind::Gauge;
    let counted =
        families.iter().filter(is_counted).filter(|family| family.metric != &SERIES_DROPPED);
    let points = counted.flat_map(|family| {
        family.points.iter().map(|point| {
            let numbers = match &point.value {
                Value::Number(number) => vec![*number],
                Value::Histogram(histogram) => histogram.counts.clone(),
                Value::Fraction(_) => panic!("{point:?}"),
            };
            ((family.metric.name, format!("{:?}", point.attributes)), numbers)
        })
    });
    points.collect()
}

/// In how many points of a metric a request is: one or none.
fn is_in(metric: &Metric, request: &Request) -> bool {
    let is_sent = request.at_backend.is_some();
    let has_failed = match &request.end {
        None => !(request.status == 202 || request.method.is_none() && request.status == 200),
        Some(end) => !matches!(end, End::Answered | End::ToolError),
    };
    let is_call = matches!(request.capability, Some((Kind::Tool, _)));
    match metric {
        metric if metric == &SERVER_DURATION => request.method.is_some(),
        metric if metric == &TOOL_CALLS => is_call,
        metric if metric == &REQUESTS || metric == &REQUEST_DURATION => true,
        metric if metric == &BACKEND_ERRORS => is_sent && has_failed,
        _ => is_sent,
    }
}

const COUNTED: [&Metric; 8] = [
    &SERVER_DURATION,
    &CLIENT_DURATION,
    &REQUESTS,
    &REQUEST_DURATION,
    &TOOL_CALLS,
    &BACKEND_REQUESTS,
    &BACKEND_ERRORS,
    &BACKEND_DURATION,
];

/// How many requests are new in all points of a metric together. Nothing that is in both may have gone down.
fn new_in(metric: &Metric, before: &Shown, after: &Shown) -> u64 {
    let of_metric = after.iter().filter(|((name, _), _)| *name == metric.name);
    let new = of_metric.map(|(point, now)| {
        let Some(then) = before.get(point) else { return now.iter().sum() };
        let new = now.iter().zip(then).map(|(now, then)| {
            now.checked_sub(*then).unwrap_or_else(|| panic!("{point:?}: from {then} to {now}"))
        });
        new.sum::<u64>()
    });
    new.sum()
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() }
}

fn program() -> impl Strategy<Value = Vec<Step>> {
    prop_oneof![vec(step(2), 1..80), vec(step(5), 1..80), vec(step(60), 1..80)]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn one_request_changes_one_point_by_one(max_series in 1..24_usize, program in program()) {
        let mut crew = Crew::new(max_series);
        let mut before = Shown::new();
        for step in &program {
            crew.run(step);
            let families = crew.metrics.families();
            prop_assert!(sum(&families, &SERIES, "") <= max_series as u64);
            let after = shown(&families);
            for metric in COUNTED {
                let expected = matches!(step, Step::Count(_, request) if is_in(metric, request));
                let new = new_in(metric, &before, &after);
                prop_assert_eq!(new, u64::from(expected), "{} after {:?}", metric.name, step);
            }
            before = after;
        }
        crew.end();
    }

    #[test]
    fn whoever_reads_later_finds_each_request_once(max_series in 1..24_usize, program in program()) {
        let mut crew = Crew::new(max_series);
        program.iter().for_each(|step| crew.run(step));
        let metrics = Arc::clone(&crew.metrics);
        crew.end();
        prop_assert_eq!(totals(&metrics.families()), totals(&with_room_for_all(&program)));
    }
}

/// The same requests, where there is room for all.
fn with_room_for_all(program: &[Step]) -> Vec<Family> {
    let metrics = metrics(10_000);
    let server = Server::new(&metrics);
    for step in program {
        if let Step::Count(_, request) = step {
            server.serve(request);
        }
    }
    metrics.families()
}

/// What is counted by those attributes that are never folded away.
fn totals(families: &[Family]) -> BTreeMap<(&'static str, String), u64> {
    let names = ["mcp.method.name=", "error.type=", "method=", "mcp_method=", "status=", "action="];
    let is_kept = |attribute: &&str| names.iter().any(|name| attribute.starts_with(name));
    let mut totals = BTreeMap::new();
    for metric in COUNTED {
        for (attributes, count) in points(families, metric) {
            let kept: Vec<_> = attributes.split(' ').filter(is_kept).collect();
            *totals.entry((metric.name, kept.join(" "))).or_insert(0) += count;
        }
    }
    totals.retain(|_, count| *count > 0);
    totals
}
