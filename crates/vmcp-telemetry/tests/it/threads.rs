//! Threads count without each other, and nothing is lost between them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use vmcp_telemetry::{
    catalogue::requests::{CLIENT_DURATION, REQUESTS, SERIES_DROPPED, TOOL_CALLS},
    family::Value,
    metrics::Metrics,
};

use crate::support::{Server, metrics, points, sum};

const THREADS: u64 = 8;

#[test]
fn what_threads_count_adds_up_while_they_run_and_when_they_are_gone() {
    let metrics = metrics(100);
    let counted = Barrier::new(usize::try_from(THREADS).unwrap() + 1);
    let read = Barrier::new(usize::try_from(THREADS).unwrap() + 1);
    let check = || {
        let families = metrics.families();
        assert_eq!(sum(&families, &REQUESTS, ""), THREADS * CALLS);
        let mut calls = points(&families, &TOOL_CALLS);
        calls.sort();
        let per_tool = THREADS * CALLS / 5;
        let tools =
            (0..5).map(|tool| (format!("server=vmcp tool=t{tool} status=success"), per_tool));
        assert_eq!(calls, tools.collect::<Vec<_>>());
        let family = families.iter().find(|family| family.metric == &CLIENT_DURATION).unwrap();
        let Value::Histogram(histogram) = &family.points[0].value else { panic!("{family:?}") };
        let seconds = f64::from(u32::try_from(THREADS * CALLS).unwrap()) * 0.008;
        assert!((histogram.sum - seconds).abs() < 1e-6, "{}", histogram.sum);
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let server = Server::new(&metrics);
                for call in 0..CALLS {
                    server.call(&format!("t{}", call % 5));
                }
                counted.wait();
                read.wait();
            });
        }
        counted.wait();
        check();
        read.wait();
    });
    check();
}

#[test]
fn nothing_is_lost_when_series_are_folded_under_others_hands() {
    let metrics = metrics(16);
    count_in_threads(&metrics);
    let families = metrics.families();
    for metric in [&REQUESTS, &TOOL_CALLS, &CLIENT_DURATION] {
        assert_eq!(sum(&families, metric, ""), THREADS * CALLS, "{}", metric.name);
    }
    assert!(sum(&families, &SERIES_DROPPED, "") > 0);
}

#[test]
fn whoever_reads_while_series_are_folded_sees_no_more_than_there_was() {
    let metrics = metrics(16);
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut last, mut before, mut new) = (0, BTreeMap::new(), 0);
            loop {
                let is_last = ended.load(Ordering::Acquire);
                let families = metrics.families();
                let now = sum(&families, &CLIENT_DURATION, "");
                assert!(now >= last, "{last} has become {now}");
                last = now;
                let calls: BTreeMap<_, _> = points(&families, &TOOL_CALLS).into_iter().collect();
                assert!(calls.len() <= 16);
                // What has gone down was gone and has begun anew, as Prometheus takes it.
                new += calls.iter().fold(0, |new, (call, now)| {
                    let then = before.get(call).filter(|then| *then <= now);
                    new + now - then.unwrap_or(&0)
                });
                before = calls;
                if is_last {
                    return (last, new);
                }
            }
        });
        count_in_threads(&metrics);
        ended.store(true, Ordering::Release);
        let (counted, new) = reader.join().unwrap();
        assert_eq!(counted, THREADS * CALLS);
        assert!(new <= THREADS * CALLS, "{new}");
    });
}

const CALLS: u64 = 4_000;

/// Counts calls of more tools than there is room for.
fn count_in_threads(metrics: &Arc<Metrics>) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let server = Server::new(metrics);
                for call in 0..CALLS {
                    // Some are everybody's, some this thread's alone.
                    server.call(&format!("t{}", call * (thread + 1) % 40));
                }
            });
        }
    });
}

#[test]
fn one_thread_counts_for_several_without_mixing_them() {
    let several = [metrics(10), metrics(10)];
    let servers = several.each_ref().map(Server::new);
    for (server, calls) in servers.iter().zip([3, 5]) {
        (0..calls).for_each(|_| server.call("search"));
    }
    servers[0].call("search");
    assert_eq!(sum(&several[0].families(), &REQUESTS, ""), 4);
    assert_eq!(sum(&several[1].families(), &REQUESTS, ""), 5);
    drop((several, servers));
    let later = metrics(10);
    Server::new(&later).call("search");
    assert_eq!(sum(&later.families(), &REQUESTS, ""), 1);
}

#[test]
fn metrics_may_go_before_their_threads() {
    let metrics = metrics(10);
    let [counted, gone] = [(); 2].map(|()| Arc::new(Barrier::new(2)));
    let waits = [&counted, &gone].map(Arc::clone);
    let server = Server::new(&metrics);
    let thread = thread::spawn(move || {
        server.call("search");
        drop(server);
        waits.iter().for_each(|barrier| {
            barrier.wait();
        });
    });
    counted.wait();
    assert_eq!(Arc::strong_count(&metrics), 1);
    drop(metrics);
    gone.wait();
    thread.join().unwrap();
}
