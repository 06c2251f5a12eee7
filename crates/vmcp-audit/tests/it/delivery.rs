//! That records are written, or counted as dropped.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead as _, BufReader},
    thread,
};

use tempfile::tempdir;
use tokio::time::Instant;
use vmcp_audit::{Auditor, Output, Overflow, Settings, Stats};

use crate::support::{
    SESSION, TOKEN, alone, names, pipe, record, records, to, told_missing, until,
};

/// Records from several threads at once, each with a name of its own.
fn record_many(auditor: &Auditor, threads: usize, each: usize) {
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || (0..each).for_each(|n| record(auditor, &format!("{thread}-{n}"))));
        }
    });
}

#[test]
fn of_a_hundred_thousand_each_is_written_or_told_to_be_missing() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(to(&path)).unwrap();
    record_many(&auditor, 4, 25_000);
    let stats = auditor.close();
    let records = records(&path);
    let names = names(&records);
    assert_eq!(stats.written + stats.dropped, 100_000);
    assert_eq!((stats.queued, stats.last_error), (0, None));
    assert_eq!(names.len() as u64, stats.written);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "none is there twice");
    assert_eq!(told_missing(&records), stats.dropped);
    assert_eq!(fs::metadata(&path).unwrap().len(), stats.bytes);
    let ids = records.iter().map(|record| record["audit_id"].as_str().unwrap());
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), records.len(), "ids are of one record each");
}

#[test]
fn who_waits_for_room_loses_nothing() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("pipe");
    let reader = pipe(&path);
    let settings = Settings { overflow: Overflow::Block, queue: 8, ..to(&path) };
    let auditor = Auditor::start(settings).unwrap();
    let count = 2_000;
    let lines = thread::spawn(move || {
        BufReader::new(reader).lines().take(count).map(Result::unwrap).collect::<Vec<_>>()
    });
    record_many(&auditor, 4, count / 4);
    let stats = auditor.close();
    assert_eq!((stats.written, stats.dropped), (count as u64, 0));
    assert_eq!(lines.join().unwrap().len(), count);
}

#[test]
fn nobody_waits_where_records_are_to_be_dropped() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("pipe");
    let reader = pipe(&path);
    let settings = Settings { overflow: Overflow::Drop, queue: 8, ..to(&path) };
    let auditor = Auditor::start(settings).unwrap();
    // More than the pipe and the queue hold, so most of it finds no room, and nobody reads.
    record_many(&auditor, 1, 5_000);
    let stats = auditor.stats();
    assert!(stats.dropped > 0);
    assert_eq!(stats.written + stats.queued as u64 + stats.dropped, 5_000);
    let lines = thread::spawn(move || {
        let lines = BufReader::new(reader).lines().map(Result::unwrap);
        let last = |line: &String| line.contains("the last one");
        let mut all = Vec::new();
        for line in lines {
            all.push(line);
            if all.last().is_some_and(last) {
                break;
            }
        }
        all
    });
    until("room", || auditor.stats().queued == 0);
    record(&auditor, "the last one");
    let stats = auditor.close();
    let lines = lines.join().unwrap();
    let records: Vec<_> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told_missing(&records), stats.dropped, "told before the next record");
    assert_eq!(names(&records).len() as u64, stats.written);
}

#[test]
fn waiting_has_an_end() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("pipe");
    let _reader = pipe(&path);
    let settings = Settings { overflow: Overflow::Block, queue: 8, ..to(&path) };
    let auditor = Auditor::start(settings).unwrap();
    let began = Instant::now();
    while auditor.stats().dropped == 0 {
        record(&auditor, "one");
    }
    assert!(began.elapsed() >= Settings::MAX_WAIT, "the first one waits");
    // Would each wait as long, this took hours.
    record_many(&auditor, 4, 5_000);
    assert!(auditor.stats().dropped > 20_000);
    let before = auditor.stats();
    let stats = auditor.close();
    assert_eq!(stats.queued, 0);
    assert_eq!(stats.dropped, before.dropped + before.queued as u64, "what is left is dropped");
    assert_eq!(stats.written, before.written);
}

#[test]
fn a_queue_has_a_bound_in_bytes() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("pipe");
    let _reader = pipe(&path);
    let auditor = Auditor::start(Settings { queue_bytes: 20_000, ..to(&path) }).unwrap();
    // The pipe takes in what a writer that is quick enough puts there, and is full at some time.
    let mut last = 0;
    until("a writer that waits for a reader", || {
        record_many(&auditor, 1, 200);
        let stats = auditor.stats();
        assert!(stats.queued <= 100, "{}", stats.queued);
        stats.queued > 0 && std::mem::replace(&mut last, stats.written) == stats.written
    });
}

#[test]
fn closing_writes_what_is_queued_and_takes_no_more() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(to(&path)).unwrap();
    record_many(&auditor, 1, 5_000);
    assert_eq!(auditor.close().written, 5_000);
    record(&auditor, "late");
    let stats = auditor.close();
    assert_eq!((stats.written, stats.dropped, stats.queued), (5_000, 1, 0));
    assert_eq!(names(&records(&path)).len(), 5_000);
}

#[test]
fn the_last_one_that_goes_closes_it() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(to(&path)).unwrap();
    let other = auditor.clone();
    record(&auditor, "one");
    drop(auditor);
    record(&other, "two");
    drop(other);
    assert_eq!(names(&records(&path)), ["one", "two"]);
}

#[test]
fn a_record_does_not_wait_for_others_to_be_written() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(to(&path)).unwrap();
    for count in 1..=3 {
        record(&auditor, "one");
        until("the record", || records(&path).len() == count);
    }
}

/// To be run alone.
#[test]
fn one_on_standard_output() {
    let auditor =
        Auditor::start(Settings { output: Output::Stdout, ..Settings::default() }).unwrap();
    record(&auditor, "printed");
    assert_eq!(
        auditor.close(),
        Stats { written: 1, bytes: auditor.stats().bytes, ..Stats::default() }
    );
}

#[test]
fn standard_output_gets_whole_lines() {
    let printed = alone("delivery::one_on_standard_output", "true");
    let lines: Vec<_> = printed.lines().filter(|line| line.starts_with('{')).collect();
    assert_eq!(lines.len(), 1, "{printed}");
    assert!(lines[0].contains("\"printed\"") && lines[0].ends_with('}'), "{printed}");
}

#[test]
fn what_shows_an_auditor_shows_no_secret() {
    let auditor = Auditor::start(Settings::default()).unwrap();
    let shown = format!("{auditor:?}");
    assert!(shown.contains("Stdout") && !shown.contains(TOKEN) && !shown.contains(SESSION));
}
