//! A disk that is full.

use std::{fs, os::unix::fs::symlink, path::Path};

use rustix::process::{Resource, getrlimit, setrlimit};
use tempfile::tempdir;
use vmcp_audit::{Auditor, Overflow, Settings};

use crate::support::{alone, names, record, records, to, told_missing, until};

/// Makes a path lead elsewhere.
fn lead(path: &Path, to: &Path) {
    let other = path.with_extension("other");
    symlink(to, &other).unwrap();
    fs::rename(other, path).unwrap();
}

#[test]
fn what_does_not_fit_is_dropped_and_told() {
    let directory = tempdir().unwrap();
    let (path, file) = (directory.path().join("link"), directory.path().join("file"));
    lead(&path, Path::new("/dev/full"));
    let auditor = Auditor::start(Settings { overflow: Overflow::Drop, ..to(&path) }).unwrap();
    record(&auditor, "one");
    record(&auditor, "two");
    until("the loss", || auditor.stats().dropped == 2);
    let stats = auditor.stats();
    assert!(stats.last_error.unwrap().contains("No space left"));
    fs::write(&file, "").unwrap();
    lead(&path, &file);
    auditor.reopen();
    record(&auditor, "three");
    let stats = auditor.close();
    assert_eq!((stats.written, stats.dropped), (1, 2));
    let records = records(&file);
    assert_eq!((records.len(), told_missing(&records)), (2, 2));
    assert_eq!(names(&records), ["three"]);
}

#[test]
fn what_does_not_fit_is_kept_for_who_waits() {
    let directory = tempdir().unwrap();
    let (path, file) = (directory.path().join("link"), directory.path().join("file"));
    lead(&path, Path::new("/dev/full"));
    let auditor = Auditor::start(Settings { overflow: Overflow::Block, ..to(&path) }).unwrap();
    record(&auditor, "one");
    record(&auditor, "two");
    until("the failure", || auditor.stats().last_error.is_some());
    fs::write(&file, "").unwrap();
    lead(&path, &file);
    auditor.reopen();
    let stats = auditor.close();
    assert_eq!((stats.written, stats.dropped), (2, 0));
    assert_eq!(names(&records(&file)), ["one", "two"]);
}

#[test]
fn closing_does_not_wait_for_room_on_the_disk_for_ever() {
    let settings = Settings { overflow: Overflow::Block, ..to(Path::new("/dev/full")) };
    let auditor = Auditor::start(settings).unwrap();
    record(&auditor, "one");
    let stats = auditor.close();
    assert_eq!((stats.written, stats.dropped, stats.queued), (0, 1, 0));
    let settings = Settings { overflow: Overflow::Drop, ..to(Path::new("/dev/full")) };
    let auditor = Auditor::start(settings).unwrap();
    record(&auditor, "one");
    let stats = auditor.close();
    assert_eq!((stats.written, stats.dropped, stats.queued), (0, 1, 0));
}

/// To be run alone, where files may have a kibibyte; then it says so.
#[test]
fn records_around_a_line_that_was_written_in_part() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("audit.log");
    let auditor = Auditor::start(Settings { overflow: Overflow::Block, ..to(&path) }).unwrap();
    let expected: Vec<_> = (0..10).map(|n| n.to_string()).collect();
    expected.iter().for_each(|name| record(&auditor, name));
    until("an end", || auditor.stats().last_error.is_some() || auditor.stats().queued == 0);
    let mut limit = getrlimit(Resource::Fsize);
    let is_limited = limit.current != limit.maximum;
    limit.current = limit.maximum;
    setrlimit(Resource::Fsize, limit).unwrap();
    let stats = auditor.close();
    assert_eq!((stats.written, stats.dropped), (10, 0));
    let text = fs::read_to_string(&path).unwrap();
    let (whole, torn): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.ends_with('}'));
    let whole: Vec<_> = whole.into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(names(&whole), expected);
    println!("limited: {is_limited}, torn: {}", torn.len());
}

#[test]
fn a_line_that_was_written_in_part_does_not_spoil_the_next() {
    // Whoever ignores the signal is told by an error.
    let limit = "trap '' XFSZ; ulimit -S -f 2";
    let printed = alone("full::records_around_a_line_that_was_written_in_part", limit);
    assert!(printed.contains("limited: true, torn: 1"), "{printed}");
}
